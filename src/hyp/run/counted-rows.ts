/**
 * Superinstructions for a caller that counts steps, as a plain run of a scenario does: virtual time passes as if each row
 * had been taken alone. How many a superinstruction has taken is known by where it led.
 */
import { VCPU_NOTIFIER, VCPU_PC, VCPU_PE, type Vcpu } from '../records/vcpu.ts'
import { pass } from '../records/virtual-time.ts'
import { VM_TIME } from '../records/vm.ts'
import { performFused } from './fused-dispatch.ts'
import { ENDED, type Program, TABLE_FUSED, TABLE_LAST, TABLE_NEXT, TABLE_SHIFT } from './program.ts'
import type { RunLoop } from './run-loop.ts'
import { STEP_POLL_BEGIN, STEP_POLL_END } from './step-numbers.ts'
import { rowOf } from './steps.ts'
import { rowsOf } from './superinstructions.ts'
import { THREAD_IN_GUEST, THREAD_POLLS, THREAD_SLEEPS } from './thread-states.ts'

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
  /** 1 if the row may end the guest's access, or begins an entry that the run loop's `entersAtOnce` takes. */
  private readonly stops: Uint8Array
  /** By program counter, for each place to which not all rows lead: that, and the rows that do. */
  private readonly ways: readonly Int32Array[]

  constructor(private readonly runLoop: RunLoop) {
    const { words, table, program } = runLoop
    this.words = words
    this.table = table
    this.now = runLoop.apLists.layout.vm + VM_TIME
    const all = program.steps.map((_, pc) => rowsOf(program, pc))
    const ways = all.map((rows) => waysOf(program, rows))
    this.rows = Int32Array.from(all, (rows, pc) => (ways[pc] === undefined ? 0 : rows.length))
    this.timed = Int32Array.from(all, (rows) => 1 + rows.findIndex((pc) => readsTime(program, pc)))
    this.stops = Uint8Array.from(program.steps, (step, pc) =>
      pc === runLoop.entryPc || rowOf(step?.op ?? 0)?.endsAccess ? 1 : 0,
    )
    this.ways = ways.map((each, pc) =>
      Int32Array.from([...(each ?? [])].filter(([, count]) => count < all[pc].length).flat()),
    )
  }

  /**
   * Takes superinstructions, one after another, of a vCPU that is on a PE; as many as have at most `most` rows. Returns how
   * many rows it has taken; 0 if the next row begins none, or the thread can take none. It stops before a row that may end
   * the guest's access, and before an entry that the caller can take at once, unless that is the first. A thread that goes to
   * sleep leaves its PE, by its sched_out notifier; one that has got a PE goes on after its sched_in notifier.
   * @noinline
   */
  take(v: Vcpu, most: number): number {
    const { words, table, runLoop } = this
    let pcWord = v + (words[v + VCPU_NOTIFIER] !== 0 ? VCPU_NOTIFIER : VCPU_PC)
    let pc = words[pcWord]
    let taken = 0
    let passed = 0
    do {
      const rows = this.rows[pc]
      if (rows === 0 || rows > most - taken) break
      const timed = this.timed[pc]
      if (timed !== 0) {
        pass(words, this.now, taken + timed - passed)
        passed = taken + timed
      }
      const at = pc << TABLE_SHIFT
      const to = performFused(runLoop, table[at + TABLE_FUSED], v, at)
      if (to >= 0) {
        taken += to === table[at + TABLE_NEXT] ? rows : this.rowsTo(pc, to)
        words[pcWord] = to
        if (to === ENDED && words[v + VCPU_PE] !== 0) pcWord = v + VCPU_PC
      } else {
        taken += to === ~THREAD_IN_GUEST ? rows : this.atRest(v, pc, to)
        if (to !== ~THREAD_SLEEPS || taken === most) break
        runLoop.block(v)
        taken++
        pcWord = v + VCPU_NOTIFIER
      }
      pc = words[pcWord]
    } while (this.stops[pc] === 0)
    pass(words, this.now, taken - passed)
    return taken
  }

  /** How many rows the superinstruction at `pc` has taken if it leads to `to`. */
  private rowsTo(pc: number, to: number): number {
    const ways = this.ways[pc]
    for (let i = 0; i < ways.length; i += 2) if (ways[i] === to) return ways[i + 1]
    return this.rows[pc]
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
