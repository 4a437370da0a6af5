/**
 * The registers of the frames GICD, GICR and GITS by name and by offset (IHI 0069, "The GIC Distributor register map",
 * "The GIC Redistributor register map", "The ITS register map"). A run of equal registers is one row; its registers
 * are made when they are asked for. In a register with bits for each interrupt a field is named after its interrupt:
 * `INTID40`.
 */
import { type Field, field, type RegisterView, res0, view } from './field.ts'
import * as gicd from './gicd-registers.ts'
import * as gicr from './gicr-registers.ts'
import * as gits from './gits-registers.ts'
import { FIRST_SPECIAL, FIRST_SPI } from './intid.ts'

/** The frames: the distributor's, a redistributor's from RD_base on, and an ITS's. */
export type RegisterFrame = 'GICD' | 'GICR' | 'GITS'

/** A memory-mapped register. */
export interface FrameRegister {
  /** Architectural name, with its number where there are several: `GICD_ISENABLER1`. */
  readonly name: string
  /** The frame that it is in. */
  readonly frame: RegisterFrame
  /** Byte offset from the frame's base; of a redistributor's registers, from RD_base. */
  readonly offset: number
  /** The accesses that it allows. */
  readonly access: 'RW' | 'RO' | 'WO'
  /** The views of its bits; several if the architecture's version decides. The first is the newest. */
  readonly views: readonly [RegisterView, ...RegisterView[]]
}

/** A run of registers. */
interface Row {
  /** The name without the number. */
  readonly name: string
  readonly offset: number
  readonly access: FrameRegister['access']
  /** The number of the first, and how many there are; undefined for a register without a number. */
  readonly first?: number
  readonly count?: number
  readonly width: 32 | 64
  /** The views of a register by its number. */
  readonly views: (name: string, n: number) => readonly [RegisterView, ...RegisterView[]]
}

type Access = FrameRegister['access']

/** A register without a number. The newest view comes first. */
const one = (
  offset: number,
  access: Access,
  newest: RegisterView,
  ...older: readonly RegisterView[]
): Row => ({
  name: newest.name,
  offset,
  access,
  width: newest.width,
  views: () => [newest, ...older],
})

const word = (name: string, offset: number, access: Access, ...fields: readonly Field[]): Row =>
  one(offset, access, view(name, 32, fields))

const doubleword = (name: string, offset: number, access: Access, ...fields: readonly Field[]): Row =>
  one(offset, access, view(name, 64, fields))

/** A run with `bits` for each interrupt, from the first interrupt's register on. */
const perInterrupt = (name: string, offset: number, bits: 1 | 2 | 8, intids: number): Row => ({
  name,
  offset,
  access: 'RW',
  first: 0,
  count: Math.ceil((intids * bits) / 32),
  width: 32,
  views: (each, n) => [view(each, 32, interruptFields(n, bits))],
})

const interruptFields = (n: number, bits: number): Field[] =>
  Array.from({ length: 32 / bits }, (_, i) =>
    field(`INTID${n * (32 / bits) + i}`, bits * (i + 1) - 1, bits * i),
  ).reverse()

/** The registers for interrupts, which the distributor and SGI_base have at the same offsets. */
const interruptRows = (frame: RegisterFrame, base: number, intids: number): Row[] => [
  ...(
    [
      ['IGROUPR', 0x80],
      ['ISENABLER', 0x100],
      ['ICENABLER', 0x180],
      ['ISPENDR', 0x200],
      ['ICPENDR', 0x280],
      ['ISACTIVER', 0x300],
      ['ICACTIVER', 0x380],
      ['IGRPMODR', 0xd00],
    ] as const
  ).map(([name, offset]) => perInterrupt(`${frame}_${name}`, base + offset, 1, intids)),
  perInterrupt(`${frame}_IPRIORITYR`, base + 0x400, 8, Math.min(intids, FIRST_SPECIAL)),
  perInterrupt(`${frame}_ICFGR`, base + 0xc00, 2, intids),
]

/** A run of words that this library does not look into. */
const words = (name: string, offset: number, first: number, count: number, access: Access = 'RO'): Row => ({
  name,
  offset,
  access,
  first,
  count,
  width: 32,
  views: (each) => [view(each, 32, [field('Value', 31, 0)])],
})

const identification = (frame: RegisterFrame): Row[] => [
  words(`${frame}_PIDR`, 0xffd0, 4, 4),
  words(`${frame}_PIDR`, 0xffe0, 0, 2),
  word(
    `${frame}_PIDR2`,
    0xffe8,
    'RO',
    res0(31, 8),
    field('ArchRev', 7, 4),
    field('JEDEC', 3),
    field('DES_1', 2, 0),
  ),
  words(`${frame}_PIDR`, 0xffec, 3, 1),
  words(`${frame}_CIDR`, 0xfff0, 0, 4),
]

const iidr = (frame: RegisterFrame, offset: number): Row =>
  word(
    `${frame}_IIDR`,
    offset,
    'RO',
    field('ProductID', 31, 24),
    res0(23, 20),
    field('Variant', 19, 16),
    field('Revision', 15, 12),
    field('Implementer', 11, 0),
  )

const statusr = (frame: RegisterFrame): Row =>
  word(
    `${frame}_STATUSR`,
    0x10,
    'RW',
    res0(31, 4),
    field('WROD', 3),
    field('RWOD', 2),
    field('WRD', 1),
    field('RRD', 0),
  )

const gicdRows: readonly Row[] = [
  one(0x0, 'RW', gicd.GICD_CTLR_VIEW),
  one(0x4, 'RO', gicd.GICD_TYPER_VIEW),
  iidr('GICD', 0x8),
  one(0xc, 'RO', gicd.GICD_TYPER2_VIEW),
  statusr('GICD'),
  ...interruptRows('GICD', 0, 1024),
  words('GICD_ITARGETSR', 0x800, 0, 255, 'RW'),
  words('GICD_NSACR', 0xe00, 0, 64, 'RW'),
  word(
    'GICD_SGIR',
    0xf00,
    'WO',
    res0(31, 26),
    field('TargetListFilter', 25, 24),
    field('CPUTargetList', 23, 16),
    field('NSATT', 15),
    res0(14, 4),
    field('INTID', 3, 0),
  ),
  words('GICD_CPENDSGIR', 0xf10, 0, 4, 'RW'),
  words('GICD_SPENDSGIR', 0xf20, 0, 4, 'RW'),
  {
    name: 'GICD_IROUTER',
    offset: 0x6000 + 8 * FIRST_SPI,
    access: 'RW',
    first: FIRST_SPI,
    count: FIRST_SPECIAL - FIRST_SPI,
    width: 64,
    views: (name) => [
      view(name, 64, [
        res0(63, 40),
        field('Aff3', 39, 32),
        field('Interrupt_Routing_Mode', 31),
        res0(30, 24),
        field('Aff2', 23, 16),
        field('Aff1', 15, 8),
        field('Aff0', 7, 0),
      ]),
    ],
  },
  ...identification('GICD'),
]

const SGI_BASE = 0x1_0000
const VLPI_BASE = 0x2_0000
const V41 = { feature: 'FEAT_GICv4p1' } as const

const gicrRows: readonly Row[] = [
  one(0x0, 'RW', gicr.GICR_CTLR_VIEW),
  iidr('GICR', 0x4),
  one(0x8, 'RO', gicr.GICR_TYPER_VIEW),
  statusr('GICR'),
  one(0x14, 'RW', gicr.GICR_WAKER_VIEW),
  doubleword('GICR_SETLPIR', 0x40, 'WO', res0(63, 32), field('pINTID', 31, 0)),
  doubleword('GICR_CLRLPIR', 0x48, 'WO', res0(63, 32), field('pINTID', 31, 0)),
  one(0x70, 'RW', gicr.GICR_PROPBASER_VIEW),
  one(0x78, 'RW', gicr.GICR_PENDBASER_VIEW),
  doubleword(
    'GICR_INVLPIR',
    0xa0,
    'WO',
    field('V', 63, 63, V41),
    res0(62, 48),
    field('vPEID', 47, 32, V41),
    field('INTID', 31, 0),
  ),
  doubleword(
    'GICR_INVALLR',
    0xb0,
    'WO',
    field('V', 63, 63, V41),
    res0(62, 48),
    field('vPEID', 47, 32, V41),
    res0(31, 0),
  ),
  word('GICR_SYNCR', 0xc0, 'RO', res0(31, 1), field('Busy', 0)),
  ...interruptRows('GICR', SGI_BASE, 32),
  word('GICR_NSACR', SGI_BASE + 0xe00, 'RW', ...interruptFields(0, 2)),
  one(VLPI_BASE + 0x70, 'RW', gicr.GICR_VPROPBASER_V4_1_VIEW, gicr.GICR_VPROPBASER_V4_0_VIEW),
  one(VLPI_BASE + 0x78, 'RW', gicr.GICR_VPENDBASER_V4_1_VIEW, gicr.GICR_VPENDBASER_V4_0_VIEW),
  word('GICR_VSGIR', VLPI_BASE + 0x80, 'WO', res0(31, 16), field('vPEID', 15, 0)),
  one(VLPI_BASE + 0x88, 'RO', gicr.GICR_VSGIPENDR_VIEW),
  ...identification('GICR'),
]

const gitsRows: readonly Row[] = [
  one(0x0, 'RW', gits.GITS_CTLR_VIEW),
  iidr('GITS', 0x4),
  one(0x8, 'RO', gits.GITS_TYPER_VIEW),
  one(0x18, 'RO', gits.GITS_MPIDR_VIEW),
  one(0x80, 'RW', gits.GITS_CBASER_VIEW),
  one(0x88, 'RW', gits.GITS_CWRITER_VIEW),
  one(0x90, 'RO', gits.GITS_CREADR_VIEW),
  {
    name: 'GITS_BASER',
    offset: 0x100,
    access: 'RW',
    first: 0,
    count: 8,
    width: 64,
    views: (name) => [{ ...gits.GITS_BASER_VIEW, name }],
  },
  ...identification('GITS'),
  word('GITS_TRANSLATER', 0x1_0040, 'WO', field('EventID', 31, 0)),
  doubleword(
    'GITS_SGIR',
    0x2_0020,
    'WO',
    res0(63, 48),
    field('vPEID', 47, 32),
    res0(31, 4),
    field('vINTID', 3, 0),
  ),
]

const rowsOf: Readonly<Record<RegisterFrame, readonly Row[]>> = {
  GICD: gicdRows,
  GICR: gicrRows,
  GITS: gitsRows,
}

/** The frames' names. */
export const registerFrames: readonly RegisterFrame[] = ['GICD', 'GICR', 'GITS']

const bytesOf = ({ count = 1, width }: Row): number => (count * width) / 8

function registerOf(frame: RegisterFrame, row: Row, i: number): FrameRegister {
  const n = (row.first ?? 0) + i
  const name = row.first === undefined ? row.name : `${row.name}${n}`
  const offset = row.offset + (i * row.width) / 8
  return { name, frame, offset, access: row.access, views: row.views(name, n) }
}

/** The register that the bytes at an offset of a frame belong to; undefined where there is none. */
export function frameRegisterAt(frame: RegisterFrame, offset: number): FrameRegister | undefined {
  const row = rowsOf[frame].find((each) => offset >= each.offset && offset < each.offset + bytesOf(each))
  return row && registerOf(frame, row, Math.floor((offset - row.offset) / (row.width / 8)))
}

/** The register of a name, `GICD_ISENABLER1`; undefined if there is none. */
export function frameRegisterByName(name: string): FrameRegister | undefined {
  for (const frame of registerFrames) {
    for (const row of rowsOf[frame]) {
      if (row.first === undefined && row.name === name) return registerOf(frame, row, 0)
      if (row.first === undefined || !name.startsWith(row.name)) continue
      const digits = name.slice(row.name.length)
      const i = /^(0|[1-9]\d{0,3})$/.test(digits) ? Number(digits) - row.first : -1
      if (i >= 0 && i < (row.count ?? 1)) return registerOf(frame, row, i)
    }
  }
  return undefined
}

/** The names: `GICD_CTLR`; of a run of registers the first one's and the last one's, `GICD_IROUTER32`, `GICD_IROUTER1019`. */
export function frameRegisterNames(): string[] {
  return registerFrames.flatMap((frame) =>
    rowsOf[frame].flatMap((row) => {
      const last = (row.count ?? 1) - 1
      const ends = last === 0 ? [0] : [0, last]
      return ends.map((i) => registerOf(frame, row, i).name)
    }),
  )
}
