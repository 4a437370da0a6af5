/**
 * The path of the search from the first state to the current one. Only the current state, the top, is kept whole. The
 * journal has what each step on the path overwrote, so that leaving a state restores the one below.
 */
import { doubled } from '../state/doubled.ts'
import type { Changes } from './changes.ts'
import { Frame } from './frame.ts'

export class SearchStack {
  /** A copy of the state on top. `words` are that state, or the one after a step from it. */
  readonly top: Int32Array
  /** Steps that led to the state on top; -1 while the stack is empty. */
  depth = -1
  /** The frames by depth, up to at least the one above the top. */
  private readonly frames = [new Frame()]
  /** Pairs of a word's offset and the value it had before. */
  private journal = new Int32Array(1 << 12)
  private journalEnd = 0

  constructor(private readonly words: Int32Array) {
    this.top = words.slice()
  }

  /** The frame of the state on top. */
  get frame(): Frame {
    return this.frames[this.depth]
  }

  /** The frame above, of the state that a step from the top leads to. */
  get next(): Frame {
    return this.frames[this.depth + 1]
  }

  /**
   * Pushes the state that a step has led to, whose hash and keys are in the frame above; `changes` is what the step has
   * changed, `slot` the state's slot in a visited set.
   */
  push({ at, count }: Changes, slot: number): void {
    let end = this.journalEnd
    if (end + 2 * count > this.journal.length) this.journal = doubled(this.journal)
    const { frames, journal, top, words } = this
    const depth = this.depth + 1
    const frame = frames[depth]
    frame.slot = slot
    frame.nextActor = 0
    frame.ready = 0
    frame.isEnd = true
    frame.reduced = 0
    frame.journal = end
    for (let i = 0; i < count; i++) {
      const word = at[i]
      journal[end] = word
      journal[end + 1] = top[word]
      top[word] = words[word]
      end = (end + 2) | 0
    }
    this.journalEnd = end
    this.depth = depth
    if (depth + 1 === frames.length) frames.push(new Frame())
  }

  /** Pops the state on top, and restores the one below. */
  pop(): void {
    const { journal, top, words } = this
    const begin = this.frame.journal
    for (let i = this.journalEnd - 2; i >= begin; i -= 2) {
      const word = journal[i]
      const old = journal[i + 1]
      top[word] = old
      words[word] = old
    }
    this.journalEnd = begin
    this.depth--
  }

  /** Pops every state: the words are the first one. */
  clear(): void {
    if (this.depth < 0) return
    this.words.set(this.top)
    while (this.depth >= 0) this.pop()
  }

  /** Undoes a step from the state on top. */
  undo({ at, count }: Changes): void {
    const { words, top } = this
    for (let i = 0; i < count; i++) {
      const word = at[i]
      words[word] = top[word]
    }
  }

  /** The frame of the state at a depth. */
  frameAt(depth: number): Frame {
    return this.frames[depth]
  }

  /** The depth of the state with a key; -1 if it is not on the stack. */
  depthOf(keyA: number, keyB: number): number {
    for (let { depth } = this; depth >= 0; depth--) {
      const frame = this.frames[depth]
      if (frame.keyA === keyA && frame.keyB === keyB) return depth
    }
    return -1
  }

  /** The actors whose steps led to the state on top, and the one whose step is under way. */
  actors(): number[] {
    return this.frames.slice(0, this.depth + 1).map(({ actor }) => actor)
  }

  /**
   * Puts the machine into the states from the top down to `depth` in turn, calls `visit` in each with the actor that
   * steps from it, and restores the top.
   */
  visitDownTo(depth: number, visit: (actor: number) => void): void {
    const { journal, words } = this
    const here = words.slice()
    words.set(this.top)
    let end = this.journalEnd
    for (let d = this.depth; d >= depth; d--) {
      const frame = this.frames[d]
      visit(frame.actor)
      const begin = frame.journal
      for (let i = end - 2; i >= begin; i -= 2) words[journal[i]] = journal[i + 1]
      end = begin
    }
    words.set(here)
  }
}
