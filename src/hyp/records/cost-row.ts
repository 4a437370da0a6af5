/**
 * The words of the cost table: a row of counters for each kind of exit, and one for accesses before the first exit.
 */
import { type RecordType, recordType } from '../../state/layout.ts'
import { type Rows, wordsOf } from '../../state/rows.ts'
import { COST_STRIDE } from './cost-offsets.ts'
import { type ExitName, exitNames } from './exits.ts'

export * from './cost-offsets.ts'

export const costRows = {
  COST_EXITS: { name: 'exits', class: 'observational', by: [], says: 'Exits.' },
  COST_SYSREG_READS: {
    name: 'sysregReads',
    class: 'observational',
    by: [],
    says: 'Reads of system registers.',
  },
  COST_SYSREG_WRITES: {
    name: 'sysregWrites',
    class: 'observational',
    by: [],
    says: 'Writes of system registers.',
  },
  COST_MMIO_READS: {
    name: 'mmioReads',
    class: 'observational',
    by: [],
    says: 'Reads of memory-mapped registers.',
  },
  COST_MMIO_WRITES: {
    name: 'mmioWrites',
    class: 'observational',
    by: [],
    says: 'Writes of memory-mapped registers.',
  },
  COST_POLLS: {
    name: 'polls',
    class: 'observational',
    by: [],
    says: 'Checks of runnable() while a halt polls.',
  },
  COST_ITS_COMMANDS: {
    name: 'itsCommands',
    class: 'observational',
    by: [],
    says: "Commands to the host's ITS.",
  },
  COST_DIRTY_POLLS: {
    name: 'dirtyPolls',
    class: 'observational',
    by: [],
    says: 'Reads of GICR_VPENDBASER that wait for Dirty to be 0.',
  },
  COST_TABLE_ACCESSES: {
    name: 'tableAccesses',
    class: 'observational',
    by: [],
    says: "Accesses to tables in memory: the host's of LPIs and vLPIs, the guest's of its ITS.",
  },
} as const satisfies Rows

/** The names of the rows: kinds of exit, then the row for accesses before the first exit. */
export const costRowNames: readonly (ExitName | 'first-entry')[] = [...exitNames, 'first-entry']
/** The row of a vCPU that has not left the guest yet. */
export const COST_FIRST_ENTRY = exitNames.length * COST_STRIDE

/** A row of the cost table of a machine. */
export const COST_ROW: RecordType = recordType(
  { name: 'cost[<n>]', n: (row) => costRowNames[row] },
  wordsOf(costRows, undefined),
)
