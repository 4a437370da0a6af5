/** A state on the path of a search, as far as it is kept: what the search stack (search-stack.ts) is made of. */
import type { Sums } from './sum-hash.ts'

export class Frame implements Sums {
  a = 0
  b = 0
  slow = 0
  /** The budget: how many bounded interventions are left. */
  budget = 0
  /** What the state is known by together with its budget (search.ts), and its table key in the visited set. */
  keyA = 0
  keyB = 0
  tableKey = 0
  /** The state's slot in the visited set. */
  slot = 0
  /**
   * The first actor that has not been asked yet whether it can step, a multiple of 32 or the end of all; and of the 32 before it
   * a bit for each that is still to be tried, none if there are none before (ready-actors.ts).
   */
  nextActor = 0
  ready = 0
  /** The one whose step is under way. */
  actor = 0
  /** Whether no actor can step from it, as far as is known. */
  isEnd = true
  /** Whether only one actor's step is explored, for now: a value of explorer.ts. */
  reduced = 0
  /** Where the changes of the step that led to it begin in the journal. */
  journal = 0
  /**
   * What the search for fair cycles (fair-cycles.ts) knows of it: its number in the order of visits, the least number that
   * it leads back to, and whether a step in its component leads from it.
   */
  visit = 0
  low = 0
  isCyclic = false
}
