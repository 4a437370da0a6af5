/**
 * The frames of an ITS (IHI 0069, "The ITS register map"): its control registers, and 64 KiB above them GITS_TRANSLATER,
 * to which devices write. A CPU's write there is a message with DeviceID 0 (IMPLEMENTATION DEFINED).
 */

import { ITS_FRAMES } from '../config/its-config.ts'
import { IIDR, identificationRows } from '../frames/identification.ts'
import {
  DOUBLEWORD,
  HALFWORD,
  RegisterMap,
  type RegisterRow,
  readOnly,
  WORD,
} from '../frames/register-map.ts'
import type { Its } from './its.ts'

const wide = (
  name: string,
  offset: number,
  length: number,
  read: (its: Its, word: number) => number,
  write: (its: Its, word: number, value: number) => void,
): RegisterRow<Its> => ({
  name,
  offset,
  length,
  bits: 0,
  sizes: WORD | DOUBLEWORD,
  read: (its, _owner, word) => read(its, word),
  write: (its, _owner, word, _count, value) => write(its, word, value),
})

/** Offset of GITS_TRANSLATER, from the control frame. */
export const TRANSLATER = 0x1_0040

export const gitsMap = new RegisterMap<Its>(
  [
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
    wide(
      'GITS_TYPER',
      0x8,
      8,
      (its, half) => its.readTyper(half),
      () => {},
    ),
    wide(
      'GITS_CBASER',
      0x80,
      8,
      (its, half) => its.readCbaser(half),
      (its, half, value) => its.writeCbaser(half, value),
    ),
    wide(
      'GITS_CWRITER',
      0x88,
      8,
      (its, half) => its.readCwriter(half),
      (its, half, value) => its.writeCwriter(half, value),
    ),
    wide(
      'GITS_CREADR',
      0x90,
      8,
      (its, half) => its.readCreadr(half),
      (its, half, value) => its.writeCreadr(half, value),
    ),
    wide(
      'GITS_BASER',
      0x100,
      0x40,
      (its, word) => its.readBaser(word),
      (its, word, value) => its.writeBaser(word, value),
    ),
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
  ],
  ITS_FRAMES,
)
