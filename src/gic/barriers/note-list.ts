/** A bounded list of notes of a few words each, the oldest first, behind a word that counts them. */
export class NoteList {
  constructor(
    readonly words: Int32Array,
    readonly at: number,
    /** Words of a note. */
    readonly size: number,
    readonly capacity: number,
  ) {}

  get count(): number {
    return this.words[this.at]
  }

  /** Where note `n` begins. */
  noteAt(n: number): number {
    return this.at + 1 + n * this.size
  }

  /** Adds a note; a full list forgets its oldest. */
  add(values: readonly number[]): void {
    if (this.count === this.capacity) this.remove(0)
    this.words.set(values, this.noteAt(this.count))
    this.words[this.at]++
  }

  /** Those behind it move up. */
  remove(n: number): void {
    const end = this.noteAt(this.count)
    this.words.copyWithin(this.noteAt(n), this.noteAt(n + 1), end)
    this.words.fill(0, end - this.size, end)
    this.words[this.at]--
  }

  /** Removes the notes, by where they begin, that a test holds for. */
  removeWhere(test: (note: number) => boolean): void {
    for (let n = this.count - 1; n >= 0; n--) if (test(this.noteAt(n))) this.remove(n)
  }
}
