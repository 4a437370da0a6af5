/** The words of a VM's ITS: the state of its registers. */
import { type RecordType, recordType } from '../../state/layout.ts'
import { type Rows, wordsOf } from '../../state/rows.ts'

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
} as const satisfies Rows

/** A VM has one ITS or none. */
export const ITS: RecordType = recordType({ name: 'its', prefix: 'vm.' }, wordsOf(itsRows, undefined))
