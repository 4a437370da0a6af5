/** The words of the cost table: a row of counters for each kind of exit, and one for what belongs to none. */
import { type RecordType, recordType } from '../../state/layout.ts'
import { type ExitName, exitNames } from './exits.ts'

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
export const costRowNames: readonly (ExitName | 'first-entry')[] = [...exitNames, 'first-entry']
/** The row of a vCPU that has not left the guest yet. */
export const COST_FIRST_ENTRY = exitNames.length * COST_STRIDE

/** The cost table of a machine. */
export const COST_TABLE: RecordType = recordType('cost', [
  { name: 'row', at: 0, count: costRowNames.length * COST_STRIDE, class: 'observational' },
])
