/**
 * What the hypervisor's work would cost on hardware, in accesses through the seam: for each kind of exit a row of
 * counters. A vCPU's accesses count in the row of its last exit, until its next one; those before its first
 * exit, and those of its thread's start and end, in rows of their own.
 */

import {
  argumentInteger,
  argumentList,
  argumentNumber,
  argumentObject,
  argumentOptions,
  argumentString,
  type Fields,
} from '../../errors/arguments.ts'
import {
  COST_DIRTY_POLLS,
  COST_EXITS,
  COST_ITS_COMMANDS,
  COST_MMIO_READS,
  COST_MMIO_WRITES,
  COST_POLLS,
  COST_STRIDE,
  COST_SYSREG_READS,
  COST_SYSREG_WRITES,
  COST_TABLE_ACCESSES,
  costRowNames,
} from '../records/cost-row.ts'
import type { ExitName } from '../records/exits.ts'

/** One row of a machine's cost table. */
export interface CostRow {
  /** The design that ran. */
  readonly design: string
  /** The kind of exit, or `first-entry` for accesses before a vCPU's first exit. */
  readonly exit: ExitName | 'first-entry'
  /** Number of exits of this kind. */
  readonly exits: number
  /** Reads of ICH_ and ICC_ system registers. */
  readonly sysregReads: number
  /** Writes of ICH_ and ICC_ system registers. */
  readonly sysregWrites: number
  /** Reads of the distributor's and redistributors' registers. */
  readonly mmioReads: number
  /** Writes of the distributor's and redistributors' registers. */
  readonly mmioWrites: number
  /** Checks of runnable() while a halt polled. */
  readonly polls: number
  /** Commands to the host's ITS, SYNC and VSYNC included; without GICv4 there are none. */
  readonly itsCommands: number
  /** Reads of GICR_VPENDBASER that wait until Dirty is 0. They are MMIO reads too. */
  readonly dirtyPolls: number
  /**
   * Accesses to tables in memory: writes to the host's configuration tables of LPIs and vLPIs; and of the guest's memory
   * what its ITS reads and writes there, commands, configuration and pending bytes, and entries.
   */
  readonly tableAccesses: number
}

/** The rows of the cost table at a word offset that are not all zero. */
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
        itsCommands: words[row + COST_ITS_COMMANDS],
        dirtyPolls: words[row + COST_DIRTY_POLLS],
        tableAccesses: words[row + COST_TABLE_ACCESSES],
      }
    })
    .filter(({ design: _, exit: __, ...counts }) => Object.values(counts).some((count) => count > 0))
}

/** The counters of a row, in the order of the printed table. */
const counters = [
  'exits',
  'sysregReads',
  'sysregWrites',
  'mmioReads',
  'mmioWrites',
  'polls',
  'itsCommands',
  'dirtyPolls',
  'tableAccesses',
] as const

/** KVM's exit statistics of a VM, under its names, and the exits by kind. */
export interface ExitStatistics {
  /** Exits for WFI and WFIT. */
  readonly wfi_exit_stat: number
  /** Exits for WFE and WFET. */
  readonly wfe_exit_stat: number
  /** Halts that polled before they would sleep. */
  readonly halt_attempted_poll: number
  /** Halts that ended while they polled. */
  readonly halt_successful_poll: number
  /** All exits, and by kind. */
  readonly exits: number
  /** Exits of each kind that occurred. */
  readonly byKind: Readonly<Partial<Record<ExitName, number>>>
}

/** A cost table as text, a line for each row; with latencies also the rows' totals, in the latencies' unit. */
export function formatCost(rows: readonly CostRow[], latencies?: Latencies): string {
  for (const [i, row] of argumentList('rows', rows, 'rows of a cost table').entries())
    checkRow(`rows[${i}]`, row)
  if (latencies !== undefined) checkLatencies(latencies)
  const heads = [
    'exit',
    'exits',
    'sysreg r',
    'sysreg w',
    'mmio r',
    'mmio w',
    'polls',
    'its cmds',
    'dirty polls',
    'tables',
    ...(latencies ? ['total'] : []),
  ]
  const lines = rows.map((row) => [
    row.exit,
    ...counters.map((counter) => String(row[counter])),
    ...(latencies ? [String(latencyOf(row, latencies))] : []),
  ])
  const widths = heads.map((head, i) =>
    lines.reduce((width, line) => Math.max(width, line[i].length), head.length),
  )
  const aligned = (cells: readonly string[]) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ')
  const design = rows.length > 0 ? `${rows[0].design}\n` : ''
  return design + [heads, ...lines].map(aligned).join('\n')
}

/** The caller's latencies of one access of each kind on some machine, in cycles or nanoseconds. */
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
  /** A command in the queue of the host's ITS, without the MMIO accesses that submit it; default 0. */
  readonly itsCommand?: number
  /** An access to a table in memory; default 0. */
  readonly tableAccess?: number
}

const latencyFields: Fields<Latencies> = {
  exit: true,
  sysregRead: true,
  sysregWrite: true,
  mmioRead: true,
  mmioWrite: true,
  itsCommand: true,
  tableAccess: true,
}

/** The latencies, checked and complete. */
function checkLatencies(latencies: Latencies): Required<Latencies> {
  argumentOptions('latencies', latencies, latencyFields)
  const { itsCommand = 0, tableAccess = 0 } = latencies
  const all = { ...latencies, itsCommand, tableAccess }
  for (const name of Object.keys(latencyFields) as (keyof Latencies)[]) argumentNumber(name, all[name])
  return all
}

/** Throws an `argument` error for a value that is not a row of a cost table; other fields are allowed. */
function checkRow(name: string, row: CostRow): void {
  argumentObject(name, row, 'a row of a cost table')
  argumentString(`${name}.design`, row.design)
  argumentString(`${name}.exit`, row.exit)
  for (const count of counters) argumentInteger(`${name}.${count}`, row[count], 0, Number.MAX_SAFE_INTEGER)
}

/** The total of a row with a table of latencies, in the table's unit. Dirty polls are among the MMIO reads. */
export function latencyOf(row: CostRow, latencies: Latencies): number {
  checkRow('row', row)
  const each = checkLatencies(latencies)
  return (
    row.exits * each.exit +
    row.sysregReads * each.sysregRead +
    row.sysregWrites * each.sysregWrite +
    row.mmioReads * each.mmioRead +
    row.mmioWrites * each.mmioWrite +
    row.itsCommands * each.itsCommand +
    row.tableAccesses * each.tableAccess
  )
}
