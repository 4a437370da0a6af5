/**
 * What the hypervisor's work would cost on hardware, in crossings of the seam: for each kind of exit a row of
 * counters. A vCPU's accesses count in the row of its last exit, until its next one; those before its first
 * exit, and those of its thread's start and end, in rows of their own.
 */
import { type RecordType, recordType } from '../state/layout.ts'
import { type ExitName, exitNames } from './vcpu.ts'

export const COST_EXITS = 0
export const COST_SYSREG_READS = 1
export const COST_SYSREG_WRITES = 2
export const COST_MMIO_READS = 3
export const COST_MMIO_WRITES = 4
/** Looks at runnable() while a halt polls. */
export const COST_POLLS = 5
/** Words of a row. */
export const COST_STRIDE = 6

/** The names of the rows: kinds of exit, then what belongs to none. */
export const costRowNames: readonly CostRow['exit'][] = [...exitNames, 'first-entry']
/** The row of a vCPU that has not left the guest yet. */
export const COST_FIRST_ENTRY = exitNames.length * COST_STRIDE

/** The cost table of a machine. */
export const COST_TABLE: RecordType = recordType('cost', [
  { name: 'row', at: 0, count: costRowNames.length * COST_STRIDE, class: 'observational' },
])

/** One row of a machine's cost table. */
export interface CostRow {
  /** The design that ran. */
  readonly design: string
  /** The kind of exit, or `first-entry`. */
  readonly exit: ExitName | 'first-entry'
  /** How many exits of the kind there were. */
  readonly exits: number
  /** Reads of ICH_ and ICC_ system registers. */
  readonly sysregReads: number
  /** Writes of ICH_ and ICC_ system registers. */
  readonly sysregWrites: number
  /** Reads of the distributor's and redistributors' registers. */
  readonly mmioReads: number
  /** Writes of them. */
  readonly mmioWrites: number
  /** Looks at runnable() while a halt polled. */
  readonly polls: number
}

/** The rows of the cost table at a word offset that have counted anything. */
export function readCost(words: Int32Array, table: number, design: string): CostRow[] {
  return costRowNames
    .map((exit, i): CostRow => {
      const row = table + i * COST_STRIDE
      return {
        design,
        exit,
        exits: words[row + COST_EXITS],
        sysregReads: words[row + COST_SYSREG_READS],
        sysregWrites: words[row + COST_SYSREG_WRITES],
        mmioReads: words[row + COST_MMIO_READS],
        mmioWrites: words[row + COST_MMIO_WRITES],
        polls: words[row + COST_POLLS],
      }
    })
    .filter(({ design: _, exit: __, ...counts }) => Object.values(counts).some((count) => count > 0))
}

/** What one crossing of each kind takes on some machine, in cycles or nanoseconds: the caller's numbers. */
export interface Latencies {
  /** An exit and the entry after it. */
  readonly exit: number
  /** A system register read. */
  readonly sysregRead: number
  /** A system register write. */
  readonly sysregWrite: number
  /** An MMIO read. */
  readonly mmioRead: number
  /** An MMIO write. */
  readonly mmioWrite: number
}

/** What a row amounts to with a table of latencies, in the table's unit. */
export function latencyOf(row: CostRow, latencies: Latencies): number {
  return (
    row.exits * latencies.exit +
    row.sysregReads * latencies.sysregRead +
    row.sysregWrites * latencies.sysregWrite +
    row.mmioReads * latencies.mmioRead +
    row.mmioWrites * latencies.mmioWrite
  )
}
