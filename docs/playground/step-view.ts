/** The current step: who took it where, its accesses, and the source of its code. */
import { make } from './dom.ts'
import type { DesignLine, Film, StepFacts, StepSource } from './messages.ts'

/** Its parts stay while their contents change, so that a reader's focus does. */
export class StepView {
  private readonly title = make('h2')
  private readonly design = scrolling('design', 'The design')
  private readonly accesses = scrolling('accesses', 'Accesses to the silicon')
  private readonly code = scrolling('source', 'Source of the step')
  private lines: HTMLElement[] = []
  private current: HTMLElement | undefined
  private isMuseum = false

  constructor(
    private readonly place: HTMLElement,
    private readonly sources: Readonly<Record<string, StepSource>>,
  ) {}

  clear(): void {
    this.place.replaceChildren()
  }

  /** Lists the film's design. `isMuseum`: its own steps are the library's, whose sources are known. */
  show({ listing, vpes }: Film, isMuseum: boolean): void {
    this.isMuseum = isMuseum
    this.lines = listing.map((line) => this.lineOf(line, vpes > 0))
    this.current = undefined
    this.design.replaceChildren(...this.lines)
    this.place.replaceChildren(this.title, this.design, this.accesses, this.code)
  }

  /** A machine without GICv4 does not have the lines about vPEs. */
  private lineOf({ depth, text, step, gicv4 }: DesignLine, hasVpes: boolean): HTMLElement {
    const isAboutVpes = gicv4 === true || (step !== undefined && this.sources[step]?.gicv4 === true)
    const line = make('span', step === undefined ? 'heading' : '', `${' '.repeat(depth)}${text}\n`)
    line.hidden = isAboutVpes && !hasVpes
    return line
  }

  goTo({ design, frames, leftOut }: Film, frame: number): void {
    const { step } = frames[frame]
    this.title.replaceChildren(
      ...(step ? titleOf(leftOut + frame, step) : ['Before the first step ', make('span', '', design)]),
    )
    this.accesses.replaceChildren(...(step ? accessLines(step) : []))
    this.code.replaceChildren(...(step ? this.source(step) : []))
    this.mark(step?.line)
  }

  /** Marks a line of the design, and scrolls there. */
  private mark(line: number | undefined): void {
    const { design, current } = this
    current?.classList.remove('current')
    this.current = line === undefined ? undefined : this.lines[line]
    if (!this.current) return
    this.current.classList.add('current')
    design.scrollTop = this.current.offsetTop - design.clientHeight / 2
  }

  private source({ own, source, what, kind }: StepFacts): (Node | string)[] {
    const known = this.sources[own !== undefined && this.isMuseum ? `own:${source}` : source]
    if (own !== undefined && (!known || !this.isMuseum))
      return [line('where', "a step of the design's own"), own]
    if (!known) return [line('where', `${what}: a step of the ${kind}, not of the design`)]
    const { file, line: number, says, text } = known
    return [make('p', '', says), line('where', `${file}:${number}`), text]
  }
}

function scrolling(id: string, label: string): HTMLElement {
  const element = make('div')
  element.id = id
  element.tabIndex = 0
  element.setAttribute('role', 'region')
  element.setAttribute('aria-label', label)
  return element
}

const line = (className: string, text: string): HTMLElement => make('span', className, `${text}\n`)

function titleOf(number: number, { actor, cpu, place, what }: StepFacts): (Node | string)[] {
  const where = [cpu === undefined ? '' : `on cpu${cpu}`, place].filter(Boolean).join(', ')
  return [`${number}  ${actor}: ${what} `, make('span', '', where)]
}

function accessLines({ accesses }: StepFacts): (Node | string)[] {
  if (accesses.length === 0) return [line('none', 'no access to the silicon')]
  const width = accesses.reduce((most, { name }) => Math.max(most, name.length), 0)
  return accesses.map(({ arrow, name, value }) => `${arrow} ${name.padEnd(width)}  ${value}\n`)
}
