/**
 * A bounded list of entries of a few words each, the oldest first; what is behind an entry that is removed moves up, and
 * free entries are zero, so that equal lists are equal words.
 */
export class RecordList {
  constructor(
    readonly words: Int32Array,
    /** The word that counts them. */
    private readonly countAt: number,
    /** The first entry. */
    private readonly first: number,
    /** Words of an entry. */
    private readonly size: number,
    readonly capacity: number,
  ) {}

  get count(): number {
    return this.words[this.countAt]
  }

  get isFull(): boolean {
    return this.count === this.capacity
  }

  /** Where entry `n` begins. */
  entryAt(n: number): number {
    return this.first + n * this.size
  }

  /** Adds an entry, and returns where it begins. There is room: {@link isFull} was asked. */
  add(): number {
    return this.entryAt(this.words[this.countAt]++)
  }

  remove(n: number): void {
    const end = this.entryAt(this.count)
    this.words.copyWithin(this.entryAt(n), this.entryAt(n + 1), end)
    this.words.fill(0, end - this.size, end)
    this.words[this.countAt]--
  }

  /** Removes the entries, by where they begin, that a test holds for. */
  removeWhere(test: (entry: number) => boolean): void {
    for (let n = this.count - 1; n >= 0; n--) if (test(this.entryAt(n))) this.remove(n)
  }
}
