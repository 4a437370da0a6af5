/**
 * The registers of the ITS that a guest sees (KVM's vgic-its.c): IHI 0069, "The ITS register map". Only their state
 * is modelled: the ITS does not process commands yet, so GITS_CREADR does not change.
 */

import { RegisterMap, readOnly, register64, WORD } from '../../gic/frames/register-map.ts'
import { ITS_BASER, ITS_CBASER, ITS_CREADR, ITS_CWRITER, ITS_ENABLED } from '../records/its-record.ts'
import type { Vcpu } from '../records/vcpu.ts'
import { cbaserLow, itsBaserHigh, itsBaserLow } from './lpi-tables.ts'
import type { VgicDist } from './vgic-dist.ts'
import type { VgicRow } from './vgic-mmio-registers.ts'

const GITS_IIDR = 0x4b00_043b
/** Physical LPIs, 8-byte ITT entries, 16 bits of EventID and DeviceID; collections are in memory. */
const GITS_TYPER = 0x1_ef71
const QUIESCENT = 0x8000_0000 | 0
const VALID = 0x8000_0000 | 0
const INDIRECT = 0x4000_0000
/** Type and Entry_Size, bits 58:56 and 52:48. */
const BASER_FIXED = 0x071f_0000
/** Devices, and collections; entries of 8 bytes. */
const BASER_TYPE = [0x0107_0000, 0x0407_0000] as const
/** After reset: write-back cacheable, inner shareable, 64 KiB pages. */
const BASER_RESET_LOW = 0x600
const BASER_RESET_HIGH = 0x1800_0000

type Row = VgicRow

/** Writes GITS_CTLR. The ITS can be enabled only with a queue and both tables. */
function writeControl({ words, layout }: VgicDist, value: number): void {
  const { its } = layout
  const complete =
    words[its + ITS_CBASER + 1] & words[its + ITS_BASER + 1] & words[its + ITS_BASER + 3] & VALID
  if (value & 1 && words[its + ITS_ENABLED] === 0 && complete === 0) return
  words[its + ITS_ENABLED] = value & 1
}

/**
 * Writes GITS_CBASER, which is read-only while the ITS is enabled. GITS_CREADR goes back to the beginning of the
 * queue.
 */
function writeCbaser({ words, layout }: VgicDist, _owner: Vcpu, half: number, value: number): void {
  const { its } = layout
  if (words[its + ITS_ENABLED] !== 0) return
  words[its + ITS_CBASER + half] = half === 0 ? cbaserLow(value) : itsBaserHigh(value)
  if (half === 0) words[its + ITS_CBASER + 1] = itsBaserHigh(words[its + ITS_CBASER + 1])
  words[its + ITS_CREADR] = 0
}

/** Writes GITS_CWRITER. An offset past the end of the queue is ignored. */
function writeCwriter({ words, layout }: VgicDist, _owner: Vcpu, half: number, value: number): void {
  const { its } = layout
  const offset = value & 0xf_ffe0
  const size = ((words[its + ITS_CBASER] & 0xff) + 1) << 12
  if (half === 0 && offset < size) words[its + ITS_CWRITER] = offset
}

function writeBaser({ words, layout }: VgicDist, _owner: Vcpu, word: number, value: number): void {
  const { its } = layout
  if (words[its + ITS_ENABLED] !== 0 || word >= 4) return
  const table = word >> 1
  const at = its + ITS_BASER + (word & ~1)
  const high = word & 1 ? value & ~(table === 1 ? INDIRECT : 0) : words[at + 1]
  if ((word & 1) === 0) words[at] = itsBaserLow(value)
  words[at + 1] = (itsBaserHigh(high) & ~BASER_FIXED) | BASER_TYPE[table]
}

const rows: readonly Row[] = [
  {
    name: 'GITS_CTLR',
    offset: 0x0,
    length: 4,
    bits: 0,
    sizes: WORD,
    read: ({ words, layout: { its } }) =>
      words[its + ITS_ENABLED] | (words[its + ITS_CREADR] === words[its + ITS_CWRITER] ? QUIESCENT : 0),
    write: (machine, _owner, _first, _count, value) => writeControl(machine, value),
  },
  readOnly('GITS_IIDR', 0x4, () => GITS_IIDR),
  register64<VgicDist, Vcpu>('GITS_TYPER', 0x8, 8, (_machine, _owner, half) => (half === 0 ? GITS_TYPER : 0)),
  register64<VgicDist, Vcpu>(
    'GITS_CBASER',
    0x80,
    8,
    ({ words, layout }, _owner, half) => words[layout.its + ITS_CBASER + half],
    writeCbaser,
  ),
  register64<VgicDist, Vcpu>(
    'GITS_CWRITER',
    0x88,
    8,
    ({ words, layout }, _owner, half) => words[layout.its + ITS_CWRITER + half],
    writeCwriter,
  ),
  register64<VgicDist, Vcpu>(
    'GITS_CREADR',
    0x90,
    8,
    ({ words, layout }, _owner, half) => words[layout.its + ITS_CREADR + half],
  ),
  register64<VgicDist, Vcpu>(
    'GITS_BASER',
    0x100,
    0x40,
    ({ words, layout }, _owner, word) => (word < 4 ? words[layout.its + ITS_BASER + word] : 0),
    writeBaser,
  ),
  ...(
    [
      ['PIDR4', 0xffd0, 0x40],
      ['PIDR0', 0xffe0, 0x92],
      ['PIDR1', 0xffe4, 0xb4],
      ['PIDR2', 0xffe8, 0x3b],
      ['CIDR0', 0xfff0, 0x0d],
      ['CIDR1', 0xfff4, 0xf0],
      ['CIDR2', 0xfff8, 0x05],
      ['CIDR3', 0xfffc, 0xb1],
    ] as const
  ).map(([name, offset, value]): Row => readOnly(`GITS_${name}`, offset, () => value)),
]

/** The control frame and the translation frame, in which a vCPU's write of GITS_TRANSLATER is ignored. */
export const VGIC_GITS_SIZE = 0x2_0000

export const itsMap = new RegisterMap<VgicDist, Vcpu, VgicRow>(rows, VGIC_GITS_SIZE)

export function resetIts(words: Int32Array, its: number): void {
  for (const [table, type] of BASER_TYPE.entries()) {
    words[its + ITS_BASER + 2 * table] = BASER_RESET_LOW
    words[its + ITS_BASER + 2 * table + 1] = BASER_RESET_HIGH | type
  }
}
