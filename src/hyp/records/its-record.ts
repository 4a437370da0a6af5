/** The words of a VM's ITS: the state of its registers. */
import { type RecordType, recordType } from '../../state/layout.ts'
import { type Rows, wordsOf } from '../../state/rows.ts'

import { vcpuBefore } from './vcpu.ts'

export * from './its-offsets.ts'

export const itsRows = {
  ITS_ENABLED: {
    name: 'GITS_CTLR.Enabled',
    class: 'authoritative',
    by: [],
    says: 'GITS_CTLR.Enabled.',
  },
  ITS_CBASER: {
    name: 'GITS_CBASER',
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'GITS_CBASER.',
  },
  ITS_CWRITER: {
    name: 'GITS_CWRITER',
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'GITS_CWRITER.',
  },
  ITS_CREADR: {
    name: 'GITS_CREADR',
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'GITS_CREADR.',
  },
  ITS_BASER: {
    name: 'GITS_BASER<n>',
    count: 2,
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'GITS_BASER0, the device table, and GITS_BASER1, the collection table.',
  },
  ITS_COMMAND: {
    name: 'command',
    count: 8,
    class: 'normalised',
    by: [],
    says: 'The command that is carried out; zero while none is.',
  },
  ITS_QUEUE_LOCK: {
    name: 'cmd_lock',
    class: 'authoritative',
    by: [],
    says: 'cmd_lock: one more than the index of the vCPU that carries out commands; 0 if none does.',
    means: vcpuBefore,
  },
  ITS_LOCK: {
    name: 'its_lock',
    class: 'authoritative',
    by: [],
    says: 'its_lock: one more than the index of the vCPU that changes translations; 0 if none does.',
    means: vcpuBefore,
  },
  ITS_WALKED: {
    name: 'walked',
    class: 'authoritative',
    by: [],
    says: 'LPIs, events and translations that commands have gone through since cmd_lock was taken; 0 while nobody has it.',
  },
} as const satisfies Rows

/** An ITS of a VM. */
export const ITS: RecordType = recordType('its[<n>]', wordsOf(itsRows, undefined))
