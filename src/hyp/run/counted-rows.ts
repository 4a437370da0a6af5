/**
 * Superinstructions for a caller that counts steps, as a plain run of a scenario does: virtual time passes as if each row
 * had been taken alone. How many a superinstruction has taken is known by where it led.
 */
import { VCPU_NOTIFIER, VCPU_PC, type Vcpu } from '../records/vcpu.ts'
import { pass } from '../records/virtual-time.ts'
import { VM_TIME } from '../records/vm.ts'
import { performFused } from './fused-dispatch.ts'
import { type Program, TABLE_FUSED, TABLE_LAST, TABLE_NEXT, TABLE_SHIFT } from './program.ts'
import type { RunLoop } from './run-loop.ts'
import { STEP_POLL_BEGIN, STEP_POLL_END } from './step-numbers.ts'
import { rowOf } from './steps.ts'
import { rowsOf } from './superinstructions.ts'
import { THREAD_IN_GUEST, THREAD_POLLS } from './thread-states.ts'

/** By where a superinstruction may lead, how many rows it has taken then. */
type Ways = ReadonlyMap<number, number>

export class CountedRows {
  private readonly words: Int32Array
  private readonly table: Int32Array
  private readonly now: number
  /** By program counter, the rows of the superinstruction that begins there; 0 if there is none that can be counted. */
  private readonly rows: Int32Array
  /** The rows up to the one that reads the time; 0 if none does. */
  private readonly timed: Int32Array
  /** Undefined where all ways lead from the last row. */
  private readonly ways: readonly (Ways | undefined)[]

  constructor(private readonly runLoop: RunLoop) {
    const { words, table, program } = runLoop
    this.words = words
    this.table = table
    this.now = runLoop.apLists.layout.vm + VM_TIME
    const all = program.steps.map((_, pc) => rowsOf(program, pc))
    const ways = all.map((rows) => waysOf(program, rows))
    this.rows = Int32Array.from(all, (rows, pc) => (ways[pc] === undefined ? 0 : rows.length))
    this.timed = Int32Array.from(all, (rows) => 1 + rows.findIndex((pc) => readsTime(program, pc)))
    this.ways = ways.map((each, pc) =>
      each && [...each.values()].some((count) => count < all[pc].length) ? each : undefined,
    )
  }

  /**
   * Takes the superinstruction that is next for a vCPU that is on a PE, if it has at most `most` rows. Returns how many it
   * has taken; 0 if there is none, or the thread can take none.
   */
  take(v: Vcpu, most: number): number {
    const { words, table } = this
    const notifier = words[v + VCPU_NOTIFIER]
    const pc = notifier !== 0 ? notifier : words[v + VCPU_PC]
    const rows = this.rows[pc]
    if (rows === 0 || rows > most) return 0
    const timed = this.timed[pc]
    if (timed !== 0) pass(words, this.now, timed)
    const at = pc << TABLE_SHIFT
    const to = performFused(this.runLoop, table[at + TABLE_FUSED], v, at)
    if (to >= 0) words[v + (notifier !== 0 ? VCPU_NOTIFIER : VCPU_PC)] = to
    const isWhole = to === table[at + TABLE_NEXT] || to === ~THREAD_IN_GUEST
    const taken = isWhole ? rows : to < 0 ? this.atRest(v, pc, to) : (this.ways[pc]?.get(to) ?? rows)
    pass(words, this.now, taken - timed)
    return taken
  }

  /** The thread has come to rest: if it polls after all rows, otherwise before the first, the second or the last. */
  private atRest(v: Vcpu, pc: number, to: number): number {
    const rows = this.rows[pc]
    const rest = this.words[v + VCPU_PC]
    if (to === ~THREAD_POLLS) return rows
    if (rest === pc) return 0
    return rest === this.table[(pc << TABLE_SHIFT) + TABLE_LAST] ? rows - 1 : 1
  }
}

/** Only the begin and the end of a halt do: halt polling is by how long halts take. */
const readsTime = ({ steps }: Program, pc: number): boolean =>
  steps[pc]?.op === STEP_POLL_BEGIN || steps[pc]?.op === STEP_POLL_END

/**
 * Where rows may lead. Undefined if there are none, if that does not tell how many were taken, or if the ghosts follow one
 * that is not the first, or a command of an ITS.
 */
export function waysOf({ table, steps }: Program, rows: readonly number[]): Ways | undefined {
  const ways = new Map<number, number>()
  for (const [i, pc] of rows.entries()) {
    const { op, outcomes } = steps[pc] ?? { op: 0, outcomes: [] }
    const facts = rowOf(op)
    if (facts?.carriesOut || (facts?.endsAccess && i > 0)) return undefined
    const isWay = outcomes.length > 1 || i === rows.length - 1
    const at = (pc << TABLE_SHIFT) + 1
    for (const to of isWay ? table.subarray(at, at + Math.max(outcomes.length, 1)) : []) {
      if ((ways.get(to) ?? i + 1) !== i + 1) return undefined
      ways.set(to, i + 1)
    }
  }
  return rows.length === 0 ? undefined : ways
}
