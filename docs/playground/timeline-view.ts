/** The timeline: a row for each step, a column for each CPU and each actor. */
import { make } from './dom.ts'
import type { CpuFacts, Film, Frame, StepFacts } from './messages.ts'

/** Rows of a film, one of which is current. */
export class TimelineView {
  private rows: HTMLTableRowElement[] = []
  private table: HTMLTableElement | undefined
  private current = 0

  constructor(
    private readonly place: HTMLElement,
    private readonly onChoose: (frame: number) => void,
  ) {}

  /** Shows that there is nothing to show, and why. */
  clear(why: string): void {
    this.rows = []
    this.table = undefined
    this.place.replaceChildren(make('p', 'empty', why))
  }

  show(film: Film, isViolated: boolean): void {
    const last = film.frames.length - 1
    this.rows = film.frames.map((frame, i) => rowOf(film, i, frame, isViolated && i === last))
    for (const [i, row] of this.rows.entries()) row.addEventListener('click', () => this.onChoose(i))
    const table = make('table', '', make('thead', '', headOf(film)), make('tbody', '', ...this.rows))
    table.setAttribute('role', 'grid')
    table.setAttribute('aria-label', 'Timeline')
    table.tabIndex = 0
    this.table = table
    this.place.replaceChildren(table)
    this.current = 0
  }

  focus(): void {
    this.table?.focus()
  }

  goTo(frame: number): void {
    this.rows[this.current]?.setAttribute('aria-selected', 'false')
    const row = this.rows[frame]
    row.setAttribute('aria-selected', 'true')
    this.table?.setAttribute('aria-activedescendant', row.id)
    this.current = frame
    this.reveal(row)
  }

  /** Scrolls the timeline, and nothing else, until the row is seen with its neighbours. */
  private reveal(row: HTMLTableRowElement): void {
    const { place } = this
    const margin = 3 * row.offsetHeight
    const top = row.offsetTop - margin - row.offsetHeight
    const bottom = row.offsetTop + row.offsetHeight + margin
    if (top < place.scrollTop) place.scrollTop = top
    else if (bottom > place.scrollTop + place.clientHeight) place.scrollTop = bottom - place.clientHeight
  }
}

function headOf({ lanes, cpus }: Film): HTMLTableRowElement {
  const heads = ['step', ...Array.from({ length: cpus }, (_, cpu) => `cpu${cpu}`), ...lanes]
  return make(
    'tr',
    '',
    ...heads.map((text, i) => {
      const head = make('th', i > 0 && i <= cpus ? 'cpu' : '', text)
      head.scope = 'col'
      if (i > cpus) head.style.width = widthOf(text, lanes)
      return head
    }),
  )
}

/** A thread's lane, where most steps are, is wider than others. */
function widthOf(lane: string, lanes: readonly string[]): string {
  const weight = (each: string): number => (/^vcpu\d+$/.test(each) ? 5 : 3)
  return `${(100 * weight(lane)) / lanes.reduce((sum, each) => sum + weight(each), 0)}%`
}

function rowOf(
  { lanes, leftOut, frames }: Film,
  i: number,
  { step, cpus }: Frame,
  isViolated: boolean,
): HTMLTableRowElement {
  const number = make('th', '', String(leftOut + i))
  number.scope = 'row'
  const cells = lanes.map((_, lane) =>
    step?.lane === lane ? stepCell(step, placeBefore(frames, i, lane)) : make('td'),
  )
  const row = make('tr', isViolated ? 'violated' : '', number, ...cpus.map(cpuCell), ...cells)
  row.id = `row-${i}`
  row.setAttribute('aria-selected', 'false')
  return row
}

/** Where the last step of a lane was: a place is written once. */
function placeBefore(frames: readonly Frame[], i: number, lane: number): string {
  for (let k = i - 1; k > 0; k--) {
    const { step } = frames[k]
    if (step?.lane === lane) return step.place
  }
  return ''
}

function stepCell({ kind, place, what, accesses }: StepFacts, placeBefore: string): HTMLTableCellElement {
  const cell = make('td', `acts ${kind}`)
  if (place !== placeBefore && place !== '' && place !== 'guest') cell.append(make('small', '', place))
  cell.append(what)
  const reads = accesses.length === 0 ? '' : `; ${accesses.length} accesses`
  cell.title = `${place === '' ? '' : `${place}: `}${what}${reads}`
  return cell
}

function cpuCell({ vcpu, inGuest }: CpuFacts): HTMLTableCellElement {
  const cell = make('td', `cpu ${vcpu === undefined ? 'free' : inGuest ? 'guest' : 'host'}`, make('i'))
  cell.title = vcpu === undefined ? 'free' : `vcpu${vcpu}${inGuest ? ' in its guest' : ''}`
  return cell
}
