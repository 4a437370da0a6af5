/**
 * The frames of an ITS (IHI 0069, "The ITS register map"): its control registers, and 64 KiB above them GITS_TRANSLATER,
 * to which devices write. A CPU's write there is a message with DeviceID 0 (IMPLEMENTATION DEFINED).
 */

import type { CheckedGicConfig } from '../config/config.ts'
import { itsSize } from '../config/its-config.ts'
import { IIDR, identificationRows } from '../frames/identification.ts'
import {
  DOUBLEWORD,
  HALFWORD,
  RegisterMap,
  type RegisterRow,
  readOnly,
  register64,
  WORD,
} from '../frames/register-map.ts'
import type { Its } from './its.ts'

/** Bytes of the control frame. */
export const GITS_CONTROL_SIZE = 0x1_0000
/** Offset of GITS_TRANSLATER, from the control frame. */
export const TRANSLATER = 0x1_0040

const rows: readonly RegisterRow<Its>[] = [
  {
    name: 'GITS_CTLR',
    offset: 0x0,
    length: 4,
    bits: 0,
    sizes: WORD,
    read: (its) => its.readCtlr(),
    write: (its, _owner, _n, _count, value) => its.writeCtlr(value),
  },
  readOnly('GITS_IIDR', 0x4, () => IIDR),
  register64<Its>('GITS_TYPER', 0x8, 8, (its, _owner, half) => its.readTyper(half)),
  register64<Its>(
    'GITS_CBASER',
    0x80,
    8,
    (its, _owner, half) => its.readCbaser(half),
    (its, _owner, half, value) => its.writeCbaser(half, value),
  ),
  register64<Its>(
    'GITS_CWRITER',
    0x88,
    8,
    (its, _owner, half) => its.readCwriter(half),
    (its, _owner, half, value) => its.writeCwriter(half, value),
  ),
  register64<Its>(
    'GITS_CREADR',
    0x90,
    8,
    (its, _owner, half) => its.readCreadr(half),
    (its, _owner, half, value) => its.writeCreadr(half, value),
  ),
  register64<Its>(
    'GITS_BASER',
    0x100,
    0x40,
    (its, _owner, word) => its.readBaser(word),
    (its, _owner, word, value) => its.writeBaser(word, value),
  ),
  readOnly('GITS_MPIDR', 0x18, ({ mpidr }) => mpidr),
  ...identificationRows<Its>('GITS', 0x94),
  {
    name: 'GITS_TRANSLATER',
    offset: TRANSLATER,
    length: 4,
    // By bytes, so that a write tells its size: EventIDs may be written as 16 bits.
    bits: 8,
    sizes: HALFWORD | WORD,
    read: () => 0,
    write: (its, _owner, first, bytes, value) => {
      if (first === 0) its.receive(0, bytes === 2 ? value & 0xffff : value)
    },
  },
]

/** GITS_SGIR, in the third frame: writing its upper half, with the vPEID, sends the SGI of its lower half. */
const sgirRows: readonly RegisterRow<Its>[] = [
  {
    name: 'GITS_SGIR',
    offset: 0x2_0020,
    length: 8,
    bits: 64,
    sizes: DOUBLEWORD,
    read: () => 0,
    write: (its, _owner, _n, half, value) => its.writeSgir(half - 1, value),
  },
]

const gitsMap = new RegisterMap(rows, itsSize('3'))
const gitsMapV41 = new RegisterMap([...rows, ...sgirRows], itsSize('4.1'))

/** The frames of an ITS. */
export const gitsMapOf = (version: CheckedGicConfig['version']): RegisterMap<Its> =>
  version === '4.1' ? gitsMapV41 : gitsMap
