/**
 * The states that the search went through to the one it is in. Only that one is kept as it is, on top; of the
 * others the journal has what the step from them changed, so that leaving a state brings the one below back.
 */
import type { Changes } from './changes.ts'

/** Words of a frame: the lanes of the state's hash. */
export const FRAME_HASH_A = 0
export const FRAME_HASH_B = 1
/** What is left of the bounded interventions. */
export const FRAME_BUDGET = 2
/** The next actor to try, and the one whose step is under way. */
export const FRAME_NEXT = 3
export const FRAME_ACTOR = 4
/** How many steps were taken from it. */
export const FRAME_STEPS = 5
/** Where the state is in the visited set. */
export const FRAME_SLOT = 6
/** Where the changes of the step that led to it begin in the journal. */
const FRAME_JOURNAL = 7
const FRAME_WORDS = 8

export class SearchStack {
  /** The state on top; `words` are that state, or the one that a step from it has led to. */
  readonly top: Int32Array
  /** How many steps led to the state on top; -1 while there is none. */
  depth = -1
  /** The frame of the state on top, an offset in `frames`. */
  frame = -FRAME_WORDS
  /** By depth, FRAME_ words. */
  frames = new Int32Array(64 * FRAME_WORDS)
  /** Pairs of a word's offset and the value it had before. */
  private journal = new Int32Array(1 << 12)
  private journalEnd = 0

  constructor(private readonly words: Int32Array) {
    this.top = words.slice()
  }

  /** The frame of a state below. */
  frameOf(depth: number): number {
    return depth * FRAME_WORDS
  }

  /** Puts the state that a step has led to on top, by what the step has changed. */
  push(hashA: number, hashB: number, budget: number, slot: number, changes: Changes): void {
    const { at, count } = changes
    const frame = this.frame + FRAME_WORDS
    if (frame === this.frames.length) this.frames = grown(this.frames)
    if (this.journalEnd + 2 * count > this.journal.length) this.journal = grown(this.journal)
    const { frames, journal, top, words } = this
    let end = this.journalEnd
    frames[frame + FRAME_HASH_A] = hashA
    frames[frame + FRAME_HASH_B] = hashB
    frames[frame + FRAME_BUDGET] = budget
    frames[frame + FRAME_NEXT] = 0
    frames[frame + FRAME_STEPS] = 0
    frames[frame + FRAME_SLOT] = slot
    frames[frame + FRAME_JOURNAL] = end
    for (let i = 0; i < count; i++) {
      const word = at[i]
      journal[end++] = word
      journal[end++] = top[word]
      top[word] = words[word]
    }
    this.journalEnd = end
    this.frame = frame
    this.depth++
  }

  /** Leaves the state on top for the one below. */
  pop(): void {
    const { frames, frame, journal, top, words } = this
    const begin = frames[frame + FRAME_JOURNAL]
    for (let i = this.journalEnd - 2; i >= begin; i -= 2) {
      const word = journal[i]
      top[word] = journal[i + 1]
      words[word] = journal[i + 1]
    }
    this.journalEnd = begin
    this.frame = frame - FRAME_WORDS
    this.depth--
  }

  /** Takes a step from the state on top back. */
  undo({ at, count }: Changes): void {
    const { words, top } = this
    for (let i = 0; i < count; i++) words[at[i]] = top[at[i]]
  }

  /** The depth of the state with a hash and a budget; -1 if it is not on the stack. */
  depthOf(hashA: number, hashB: number, budget: number): number {
    const { frames } = this
    for (let depth = this.depth; depth >= 0; depth--) {
      const frame = this.frameOf(depth)
      if (frames[frame + FRAME_HASH_A] !== hashA || frames[frame + FRAME_HASH_B] !== hashB) continue
      if (frames[frame + FRAME_BUDGET] === budget) return depth
    }
    return -1
  }

  /** The actors whose steps led to the state on top, and on from it. */
  actors(): number[] {
    return Array.from(
      { length: this.depth + 1 },
      (_, depth) => this.frames[this.frameOf(depth) + FRAME_ACTOR],
    )
  }

  /** Puts the machine into the states from the top down to `depth`, and back; `visit` is told who steps there. */
  visitDownTo(depth: number, visit: (actor: number) => void): void {
    const { frames, journal, words } = this
    const here = words.slice()
    words.set(this.top)
    let end = this.journalEnd
    for (let d = this.depth; d >= depth; d--) {
      const frame = this.frameOf(d)
      visit(frames[frame + FRAME_ACTOR])
      const begin = frames[frame + FRAME_JOURNAL]
      for (let i = end - 2; i >= begin; i -= 2) words[journal[i]] = journal[i + 1]
      end = begin
    }
    words.set(here)
  }
}

function grown(old: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * old.length)
  larger.set(old)
  return larger
}
