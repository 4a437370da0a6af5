/**
 * Lists of which a step has one, such as its accesses. A run takes the same steps again and again, mostly with the same
 * values. So an item that equals the one in its place in the list before, of a step of the same kind, is that object, and a
 * list that equals the list before is that list: most events of a run need no objects but their own.
 */
export class RepeatedLists<T> {
  /** The last list of each kind of step that was not empty. */
  private readonly lists: (readonly T[])[]
  private readonly items: T[] = []
  private kind = 0
  private former: readonly T[] = NONE
  private count = 0
  private isNew = false

  constructor(kinds: number) {
    this.lists = Array.from({ length: kinds }, () => NONE)
  }

  /** Begins the list of a step of a kind, by number. */
  begin(kind: number): void {
    this.kind = kind
    this.former = this.lists[kind]
    this.count = 0
    this.isNew = false
  }

  /** What the last step of this kind had in the place of the next item; undefined if it had nothing there. */
  get last(): T | undefined {
    return this.count < this.former.length ? this.former[this.count] : undefined
  }

  /** Adds an item: {@link last} if it equals that. */
  add(item: T): void {
    if (item !== this.last) this.isNew = true
    this.items[this.count++] = item
  }

  /** Ends the list. */
  end(): readonly T[] {
    const { count, former } = this
    if (count === 0) return NONE
    if (!this.isNew && count === former.length) return former
    const list = this.items.slice(0, count)
    this.lists[this.kind] = list
    return list
  }
}

/** The list of a step that has no items. */
export const NONE: readonly never[] = Object.freeze([])
