/**
 * The registers of an ITS that a guest sees (KVM's vgic-its.c): IHI 0069, "The ITS register map". The owner of an access is
 * the number of the ITS. A vCPU's write of GITS_TRANSLATER is ignored: messages come from devices.
 */

import { RegisterMap, type RegisterRow, readOnly, register64, WORD } from '../../gic/frames/register-map.ts'
import { ITS_BASER, ITS_CBASER, ITS_CREADR, ITS_CWRITER, ITS_ENABLED } from '../records/its-record.ts'
import { cbaserLow, itsBaserHigh, itsBaserLow } from './lpi-tables.ts'
import { VGIC_IIDR, type VgicDist } from './vgic-dist.ts'

/** Physical LPIs, 8-byte ITT entries, 16 bits of EventID and DeviceID; collections are in memory. */
const GITS_TYPER = 0x1_ef71
const QUIESCENT = 0x8000_0000 | 0
/** Bits 63 and 62 of `GITS_BASER<n>`, the former also of GITS_CBASER, in the upper word. */
export const VALID = 0x8000_0000 | 0
export const INDIRECT = 0x4000_0000
/** Type and Entry_Size, bits 58:56 and 52:48. */
const BASER_FIXED = 0x071f_0000
/** Devices, and collections; entries of 8 bytes. */
const BASER_TYPE = [0x0107_0000, 0x0407_0000] as const
/** After reset: write-back cacheable, inner shareable, 64 KiB pages. */
const BASER_RESET_LOW = 0x600
const BASER_RESET_HIGH = 0x1800_0000

type Row = RegisterRow<VgicDist>

/**
 * An ITS can be enabled only with a queue and both tables. Commands that were written before are carried out then, by
 * whoever makes the access.
 */
function writeControl(dist: VgicDist, n: number, value: number): void {
  const { words, its, commands } = dist
  const record = its.recordOf(n)
  const complete =
    words[record + ITS_CBASER + 1] & words[record + ITS_BASER + 1] & words[record + ITS_BASER + 3] & VALID
  if (value & 1 && words[record + ITS_ENABLED] === 0 && complete === 0) return
  words[record + ITS_ENABLED] = value & 1
  if ((value & 1) === 0) its.cache.invalidate()
  commands.start(n)
}

/** Read only while enabled. GITS_CREADR and GITS_CWRITER go back to the beginning of the queue. */
function writeCbaser({ words, its }: VgicDist, n: number, half: number, value: number): void {
  const record = its.recordOf(n)
  if (words[record + ITS_ENABLED] !== 0) return
  words[record + ITS_CBASER + half] = half === 0 ? cbaserLow(value) : itsBaserHigh(value)
  if (half === 0) words[record + ITS_CBASER + 1] = itsBaserHigh(words[record + ITS_CBASER + 1])
  words[record + ITS_CREADR] = 0
  words[record + ITS_CWRITER] = 0
}

/** An offset past the end of the queue is ignored. */
function writeCwriter(dist: VgicDist, n: number, half: number, value: number): void {
  const { words, its, commands } = dist
  const record = its.recordOf(n)
  const offset = value & 0xf_ffe0
  if (half !== 0 || offset >= commands.queueSize(record)) return
  words[record + ITS_CWRITER] = offset
  commands.start(n)
}

/** Read only while enabled. */
function writeBaser({ words, its }: VgicDist, n: number, word: number, value: number): void {
  const record = its.recordOf(n)
  if (words[record + ITS_ENABLED] !== 0 || word >= 4) return
  const table = word >> 1
  const at = record + ITS_BASER + (word & ~1)
  const [low, high] = [words[at], words[at + 1]]
  if ((word & 1) === 0) words[at] = itsBaserLow(value)
  const written = word & 1 ? value & ~(table === 1 ? INDIRECT : 0) : high
  words[at + 1] = (itsBaserHigh(written) & ~BASER_FIXED) | BASER_TYPE[table]
  const isChanged = words[at] !== low || words[at + 1] !== high
  if (isChanged) its.replaceTable(n, table, (words[at + 1] & VALID) !== 0)
}

const rows: readonly Row[] = [
  {
    name: 'GITS_CTLR',
    offset: 0x0,
    length: 4,
    bits: 0,
    sizes: WORD,
    read: ({ words, its }, n) => {
      const record = its.recordOf(n)
      const isQuiescent = words[record + ITS_CREADR] === words[record + ITS_CWRITER]
      return words[record + ITS_ENABLED] | (isQuiescent ? QUIESCENT : 0)
    },
    write: (machine, n, _first, _count, value) => writeControl(machine, n, value),
  },
  readOnly('GITS_IIDR', 0x4, () => VGIC_IIDR),
  register64<VgicDist>('GITS_TYPER', 0x8, 8, (_machine, _owner, half) => (half === 0 ? GITS_TYPER : 0)),
  register64<VgicDist>(
    'GITS_CBASER',
    0x80,
    8,
    ({ words, its }, n, half) => words[its.recordOf(n) + ITS_CBASER + half],
    writeCbaser,
  ),
  register64<VgicDist>(
    'GITS_CWRITER',
    0x88,
    8,
    ({ words, its }, n, half) => words[its.recordOf(n) + ITS_CWRITER + half],
    writeCwriter,
  ),
  register64<VgicDist>(
    'GITS_CREADR',
    0x90,
    8,
    ({ words, its }, n, half) => words[its.recordOf(n) + ITS_CREADR + half],
  ),
  register64<VgicDist>(
    'GITS_BASER',
    0x100,
    0x40,
    ({ words, its }, n, word) => (word < 4 ? words[its.recordOf(n) + ITS_BASER + word] : 0),
    writeBaser,
  ),
  ...(
    [
      ['PIDR4', 0xffd0, 0x40],
      ['PIDR5', 0xffd4, 0],
      ['PIDR6', 0xffd8, 0],
      ['PIDR7', 0xffdc, 0],
      ['PIDR0', 0xffe0, 0x92],
      ['PIDR1', 0xffe4, 0xb4],
      ['PIDR2', 0xffe8, 0x3b],
      ['PIDR3', 0xffec, 0],
      ['CIDR0', 0xfff0, 0x0d],
      ['CIDR1', 0xfff4, 0xf0],
      ['CIDR2', 0xfff8, 0x05],
      ['CIDR3', 0xfffc, 0xb1],
    ] as const
  ).map(([name, offset, value]): Row => readOnly(`GITS_${name}`, offset, () => value)),
]

/** The control frame and the translation frame, in which a vCPU's write of GITS_TRANSLATER is ignored. */
export const VGIC_GITS_SIZE = 0x2_0000

export const itsMap = new RegisterMap<VgicDist>(rows, VGIC_GITS_SIZE)

export function resetIts(words: Int32Array, its: number): void {
  for (const [table, type] of BASER_TYPE.entries()) {
    words[its + ITS_BASER + 2 * table] = BASER_RESET_LOW
    words[its + ITS_BASER + 2 * table + 1] = BASER_RESET_HIGH | type
  }
}
