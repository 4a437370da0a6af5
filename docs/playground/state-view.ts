/** The machine after a step: cards of values, those marked that the step has changed. */
import { make } from './dom.ts'
import type { Card, CellShape, Film } from './messages.ts'

/** Cards of a film. They are made once; a step changes texts and classes only. */
export class StateView {
  private cells: HTMLElement[] = []
  private shapes: readonly CellShape[] = []
  private film: Film | undefined

  constructor(private readonly place: HTMLElement) {}

  clear(): void {
    this.film = undefined
    this.cells = []
    this.place.replaceChildren()
  }

  show(film: Film): void {
    this.film = film
    this.shapes = film.cards.flatMap(({ rows }) => rows.flatMap(({ cells }) => cells))
    this.cells = this.shapes.map((shape, i) => cellOf(shape, widest(film, i)))
    let next = 0
    const cards = film.cards.map((card) => {
      const count = card.rows.reduce((sum, { cells }) => sum + cells.length, 0)
      next += count
      return cardOf(card, this.cells.slice(next - count, next))
    })
    this.place.replaceChildren(...cards)
  }

  goTo(frame: number): void {
    if (!this.film) return
    const { values } = this.film.frames[frame]
    const before = frame > 0 ? this.film.frames[frame - 1].values : values
    for (const [i, cell] of this.cells.entries()) {
      const text = values[i]
      cell.classList.toggle('changed', text !== before[i] && text !== '')
      cell.classList.toggle('absent', text === '')
      if (this.shapes[i].isFlag) cell.classList.toggle('lit', text === '1')
      else cell.textContent = text
    }
  }
}

/** The length of a cell's longest text: a cell is that wide, so that others stay where they are. */
const widest = ({ frames }: Film, i: number): number =>
  frames.reduce((width, { values }) => Math.max(width, values[i].length), 0)

function cellOf({ name, isFlag }: CellShape, width: number): HTMLElement {
  if (isFlag) return make('span', `flag ${name.replaceAll(' ', '-')}`, name)
  const cell = make('span')
  cell.style.minWidth = `calc(${width}ch + 4px)`
  return cell
}

function cardOf({ title, columns, rows }: Card, cells: readonly HTMLElement[]): HTMLElement {
  let next = 0
  const heads = columns
    ? [make('dt'), make('dd', 'heads', ...columns.map((text) => make('span', '', text)))]
    : []
  const lines = rows.flatMap(({ label, cells: shapes }) => {
    next += shapes.length
    return [make('dt', '', label), make('dd', '', ...cells.slice(next - shapes.length, next))]
  })
  const list = make('dl', '', ...heads, ...lines)
  return make('section', columns ? 'card table' : 'card', make('h2', '', title), list)
}
