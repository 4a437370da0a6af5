/**
 * The path of the search from the first state to the current one. Only the current state, the top, is kept whole. The
 * journal has what each step on the path overwrote, so that leaving a state restores the one below.
 */
import { doubled } from '../state/doubled.ts'
import type { Changes } from './changes.ts'
import type { SumHash } from './sum-hash.ts'

/** Words of a frame: the lanes of the state's hash. */
export const FRAME_HASH_A = 0
export const FRAME_HASH_B = 1
/** The budget: how many bounded interventions are left. */
export const FRAME_BUDGET = 2
/**
 * The first actor of which is not known yet whether it can step, and a bit for each of those before it that is still to
 * be tried (ready-actors.ts); the actor whose step is under way.
 */
export const FRAME_NEXT = 3
export const FRAME_ACTOR = 4
/** Steps that were taken from it. */
export const FRAME_STEPS = 5
/** The state's slot in the visited set. */
export const FRAME_SLOT = 6
/** What the state is known by together with its budget (search.ts). */
export const FRAME_KEY_A = 7
export const FRAME_KEY_B = 8
/** Whether only one actor's step is explored, for now: a FRAME_ value of explorer.ts. */
export const FRAME_REDUCED = 9
/** Offset in the journal of the changes of the step that led to it. */
const FRAME_JOURNAL = 10
/** The sum of the state's words that seldom change (sum-hash.ts), and its table key in the visited set. */
export const FRAME_HASH_SLOW = 11
export const FRAME_TABLE_KEY = 12
export const FRAME_READY = 13
const FRAME_WORDS = 14

/** The state that a step has led to, as far as the stack keeps it. */
interface SearchState {
  readonly hash: SumHash
  readonly left: number
  readonly keyA: number
  readonly keyB: number
  readonly tableKey: number
  readonly changes: Changes
}

export class SearchStack {
  /** A copy of the state on top. `words` are that state, or the one after a step from it. */
  readonly top: Int32Array
  /** Steps that led to the state on top; -1 while the stack is empty. */
  depth = -1
  /** Offset in `frames` of the frame of the state on top. */
  frame = -FRAME_WORDS
  /** The frames by depth, FRAME_WORDS words each. */
  frames = new Int32Array(64 * FRAME_WORDS)
  /** Pairs of a word's offset and the value it had before. */
  private journal = new Int32Array(1 << 12)
  private journalEnd = 0

  constructor(private readonly words: Int32Array) {
    this.top = words.slice()
  }

  /** Offset of the frame of the state at a depth. */
  frameOf(depth: number): number {
    return depth * FRAME_WORDS
  }

  /** Pushes the state that a step has led to; `changes` is what the step has changed. */
  push({ hash, left, keyA, keyB, tableKey, changes }: SearchState, slot: number): void {
    const { at, count } = changes
    const frame = this.frame + FRAME_WORDS
    if (frame === this.frames.length) this.frames = doubled(this.frames)
    if (this.journalEnd + 2 * count > this.journal.length) this.journal = doubled(this.journal)
    const { frames, journal, top, words } = this
    let end = this.journalEnd
    frames[frame + FRAME_HASH_A] = hash.a
    frames[frame + FRAME_HASH_B] = hash.b
    frames[frame + FRAME_HASH_SLOW] = hash.slow
    frames[frame + FRAME_BUDGET] = left
    frames[frame + FRAME_KEY_A] = keyA
    frames[frame + FRAME_KEY_B] = keyB
    frames[frame + FRAME_TABLE_KEY] = tableKey
    frames[frame + FRAME_NEXT] = 0
    frames[frame + FRAME_READY] = 0
    frames[frame + FRAME_STEPS] = 0
    frames[frame + FRAME_REDUCED] = 0
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

  /** Sets a hash to that of the state on top. */
  hashOfTop(hash: SumHash): void {
    const { frames, frame } = this
    hash.a = frames[frame + FRAME_HASH_A]
    hash.b = frames[frame + FRAME_HASH_B]
    hash.slow = frames[frame + FRAME_HASH_SLOW]
  }

  /** Pops the state on top, and restores the one below. */
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

  /** Pops every state: the words are the first one. */
  clear(): void {
    if (this.depth < 0) return
    this.words.set(this.top)
    while (this.depth >= 0) this.pop()
  }

  /** Undoes a step from the state on top. */
  undo({ at, count }: Changes): void {
    const { words, top } = this
    for (let i = 0; i < count; i++) words[at[i]] = top[at[i]]
  }

  /** The depth of the state with a key; -1 if it is not on the stack. */
  depthOf(keyA: number, keyB: number): number {
    const { frames } = this
    for (let depth = this.depth; depth >= 0; depth--) {
      const frame = this.frameOf(depth)
      if (frames[frame + FRAME_KEY_A] === keyA && frames[frame + FRAME_KEY_B] === keyB) return depth
    }
    return -1
  }

  /** The actors whose steps led to the state on top, and the one whose step is under way. */
  actors(): number[] {
    return Array.from(
      { length: this.depth + 1 },
      (_, depth) => this.frames[this.frameOf(depth) + FRAME_ACTOR],
    )
  }

  /**
   * Puts the machine into the states from the top down to `depth` in turn, calls `visit` in each with the actor that
   * steps from it, and restores the top.
   */
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
