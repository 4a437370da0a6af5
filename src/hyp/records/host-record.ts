/** The words of the scheduler: which thread is on which PE. */
import { type RecordType, recordType } from '../../state/layout.ts'
import { type Rows, wordsOf } from '../../state/rows.ts'

export * from './host-offsets.ts'

export const hostRows = {
  HOST_PREFERRED: {
    name: 'preferred',
    class: 'normalised',
    by: ['pe', 'sched'],
    says: 'The vCPU that a directed yield wants to run next; 0 if none.',
    means: 'record',
  },
  HOST_CURRENT: {
    name: 'current[<n>]',
    count: ({ cpus }) => cpus,
    class: 'normalised',
    by: ['pe', 'sched'],
    says: 'By CPU, the vCPU whose thread runs there; 0 if none does.',
    means: 'record',
  },
} as const satisfies Rows<{ readonly cpus: number }>

export const hostRecord = (cpus: number): RecordType => recordType('host', wordsOf(hostRows, { cpus }))
