/** The words of a VM's ITS: what its registers hold. */
import { type RecordType, recordType } from '../../state/layout.ts'

/** Words of an ITS: GITS_CTLR.Enabled and a spare one, then registers of two words each. */
export const ITS_ENABLED = 0
export const ITS_CBASER = 2
export const ITS_CWRITER = 4
export const ITS_CREADR = 6
/** GITS_BASER0, the device table, and GITS_BASER1, the collection table. */
export const ITS_BASER = 8

/** A VM has one ITS or none. */
export const ITS: RecordType = recordType({ name: 'its', prefix: 'vm.' }, [
  { name: 'GITS_CTLR.Enabled', at: ITS_ENABLED, class: 'authoritative' },
  { name: 'spare word of the ITS', at: ITS_ENABLED + 1, class: 'authoritative' },
  { name: 'GITS_CBASER', at: ITS_CBASER, wide: true, class: 'authoritative' },
  { name: 'GITS_CWRITER', at: ITS_CWRITER, wide: true, class: 'authoritative' },
  { name: 'GITS_CREADR', at: ITS_CREADR, wide: true, class: 'authoritative' },
  { name: 'GITS_BASER<n>', at: ITS_BASER, count: 2, wide: true, class: 'authoritative' },
])
