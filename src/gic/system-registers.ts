/**
 * Which system register an encoding reaches, and what an access that may not reach it reports. The order of
 * the checks is the architecture's (IHI 0069, the accessibility pseudocode of each register): an encoding that
 * is not implemented, or not in that direction or at that level, is UNDEFINED before any trap is looked at;
 * then ICH_HCR_EL2's traps; then HCR_EL2.{FMO,IMO} choose the virtual interface.
 *
 * This release has no physical CPU interface: an access that would reach it is UNDEFINED, as on a PE whose
 * ICC_SRE_ELx.SRE is 0.
 */
import * as icc from '../arch/icc.ts'
import * as arch from '../arch/ich.ts'
import { type InterruptGroup, icvRegisters } from '../arch/icv.ts'
import { ESR_UNDEFINED, sysregSyndrome } from '../arch/syndrome.ts'
import type { Ich } from './ich.ts'
import type { Icv } from './icv.ts'
import {
  exceptionLevel,
  HCR_EL2,
  HCR_EL2_FMO,
  HCR_EL2_IMO,
  PCPU_DATA_HIGH,
  PCPU_HCR_EL2,
  PCPU_PSTATE,
  PCPU_TRAP,
  type Pcpu,
} from './pcpu.ts'
import { ICH_HCR, type VirtualInterface } from './virtual-interface.ts'

/** The blocks of a PE that registers reach. */
export interface Blocks {
  readonly pcpu: Pcpu
  readonly virtualInterface: VirtualInterface
  readonly ich: Ich
  readonly icv: Icv
}

/** A register of EL2 and up, or one that is the same at every level above EL0. */
interface PlainRow {
  readonly kind: 'plain'
  readonly minimumEl: 1 | 2
  readonly read?: (blocks: Blocks, pe: number, el: number) => number
  readonly readHigh?: (blocks: Blocks, pe: number) => number
  readonly write?: (blocks: Blocks, pe: number, low: number, high: number) => void
}

/** An ICC_* name whose EL1 accesses ICH_HCR_EL2 can trap and HCR_EL2 can turn to the virtual interface. */
interface GroupRow {
  readonly kind: 'group'
  /** ICH_HCR_EL2 bits that trap a read or write. */
  readonly traps: number
  readonly trapsWrite: number
  /** HCR_EL2 bits of which any gives the virtual interface. */
  readonly virtual: number
  /** Where there is no virtual register (the SGI registers): the HCR_EL2 bits trap. */
  readonly virtualTraps: boolean
  readonly read?: (blocks: Blocks, pe: number, el: number) => number
  readonly write?: (blocks: Blocks, pe: number, low: number) => void
}

type Row = PlainRow | GroupRow

/** ICC_SRE_ELx: system registers are always on, RAO/WI. */
const SRE_EL1 = 0x7
const SRE_EL2 = 0xf

const trapsOf = { 0: arch.HCR_TALL0, 1: arch.HCR_TALL1, common: arch.HCR_TC } as const
const virtualOf = { 0: HCR_EL2_FMO, 1: HCR_EL2_IMO, common: HCR_EL2_FMO | HCR_EL2_IMO } as const

type VirtualAccess = Pick<GroupRow, 'read' | 'write'>

const virtualAccesses = new Map<number, VirtualAccess>([
  [icc.ICC_IAR0_EL1, { read: ({ icv }, pe) => icv.readIar0(pe) }],
  [icc.ICC_IAR1_EL1, { read: ({ icv }, pe) => icv.readIar1(pe) }],
  [icc.ICC_EOIR0_EL1, { write: ({ icv }, pe, value) => icv.writeEoir0(pe, value) }],
  [icc.ICC_EOIR1_EL1, { write: ({ icv }, pe, value) => icv.writeEoir1(pe, value) }],
  [icc.ICC_DIR_EL1, { write: ({ icv }, pe, value) => icv.writeDir(pe, value) }],
  [icc.ICC_HPPIR0_EL1, { read: ({ icv }, pe) => icv.readHppir0(pe) }],
  [icc.ICC_HPPIR1_EL1, { read: ({ icv }, pe) => icv.readHppir1(pe) }],
  [icc.ICC_RPR_EL1, { read: ({ icv }, pe) => icv.readRpr(pe) }],
  [
    icc.ICC_PMR_EL1,
    { read: ({ icv }, pe) => icv.readPmr(pe), write: ({ icv }, pe, value) => icv.writePmr(pe, value) },
  ],
  [
    icc.ICC_BPR0_EL1,
    { read: ({ icv }, pe) => icv.readBpr0(pe), write: ({ icv }, pe, value) => icv.writeBpr0(pe, value) },
  ],
  [
    icc.ICC_BPR1_EL1,
    { read: ({ icv }, pe) => icv.readBpr1(pe), write: ({ icv }, pe, value) => icv.writeBpr1(pe, value) },
  ],
  [
    icc.ICC_CTLR_EL1,
    { read: ({ icv }, pe) => icv.readCtlr(pe), write: ({ icv }, pe, value) => icv.writeCtlr(pe, value) },
  ],
  [
    icc.ICC_IGRPEN0_EL1,
    {
      read: ({ icv }, pe) => icv.readIgrpen0(pe),
      write: ({ icv }, pe, value) => icv.writeIgrpen0(pe, value),
    },
  ],
  [
    icc.ICC_IGRPEN1_EL1,
    {
      read: ({ icv }, pe) => icv.readIgrpen1(pe),
      write: ({ icv }, pe, value) => icv.writeIgrpen1(pe, value),
    },
  ],
])

/** ICV_AP<group>R<n> is ICH_AP<group>R<n>. */
function activePriorityAccess(group: 0 | 1, n: number): Required<VirtualAccess> {
  return group === 0
    ? {
        read: ({ ich }, pe) => ich.readAp0r(pe, n),
        write: ({ ich }, pe, value) => ich.writeAp0r(pe, n, value),
      }
    : {
        read: ({ ich }, pe) => ich.readAp1r(pe, n),
        write: ({ ich }, pe, value) => ich.writeAp1r(pe, n, value),
      }
}

function groupRow(group: InterruptGroup, access: VirtualAccess, trapsWrite = 0): GroupRow {
  return {
    kind: 'group',
    traps: trapsOf[group],
    trapsWrite,
    virtual: virtualOf[group],
    virtualTraps: false,
    ...access,
  }
}

/** Builds the rows for what a configuration implements. */
function buildRows({ config, activePriorityRegisters }: VirtualInterface): Map<number, Row> {
  const rows = new Map<number, Row>()
  for (const { encoding, group, name } of icvRegisters) {
    const activePriorities = /AP([01])R(\d)/.exec(name)
    if (activePriorities) {
      const [apGroup, n] = [Number(activePriorities[1]) as 0 | 1, Number(activePriorities[2])]
      if (n >= activePriorityRegisters) continue
      rows.set(encoding, groupRow(apGroup, activePriorityAccess(apGroup, n)))
      rows.set(arch.ichApr(apGroup, n), { kind: 'plain', minimumEl: 2, ...activePriorityAccess(apGroup, n) })
      continue
    }
    const access = virtualAccesses.get(encoding)
    const trapsWrite = encoding === icc.ICC_DIR_EL1 ? arch.HCR_TDIR : 0
    if (access) rows.set(encoding, groupRow(group, access, trapsWrite))
  }
  for (const encoding of [icc.ICC_SGI0R_EL1, icc.ICC_SGI1R_EL1, icc.ICC_ASGI1R_EL1]) {
    rows.set(encoding, { ...groupRow('common', { write: () => {} }), virtualTraps: true })
  }
  const plain: readonly (readonly [number, Omit<PlainRow, 'kind'>])[] = [
    [icc.ISR_EL1, { minimumEl: 1, read: ({ pcpu }, pe, el) => pcpu.isr(pe, el) }],
    [icc.ICC_SRE_EL1, { minimumEl: 1, read: () => SRE_EL1, write: () => {} }],
    [icc.ICC_SRE_EL2, { minimumEl: 2, read: () => SRE_EL2, write: () => {} }],
    [
      HCR_EL2,
      {
        minimumEl: 2,
        read: ({ pcpu }, pe) => pcpu.words[pe + PCPU_HCR_EL2],
        write: ({ pcpu }, pe, value) => pcpu.writeHcrEl2(pe, value),
      },
    ],
    [
      arch.ICH_HCR_EL2,
      {
        minimumEl: 2,
        read: ({ ich }, pe) => ich.readHcr(pe),
        write: ({ ich }, pe, value) => ich.writeHcr(ich.words, pe, value),
      },
    ],
    [
      arch.ICH_VMCR_EL2,
      {
        minimumEl: 2,
        read: ({ ich }, pe) => ich.readVmcr(pe),
        write: ({ ich }, pe, value) => ich.writeVmcr(pe, value),
      },
    ],
    [arch.ICH_VTR_EL2, { minimumEl: 2, read: ({ ich }) => ich.vtr }],
    [arch.ICH_MISR_EL2, { minimumEl: 2, read: ({ virtualInterface }, pe) => virtualInterface.misr(pe) }],
    [arch.ICH_EISR_EL2, { minimumEl: 2, read: ({ virtualInterface }, pe) => virtualInterface.eisr(pe) }],
    [arch.ICH_ELRSR_EL2, { minimumEl: 2, read: ({ virtualInterface }, pe) => virtualInterface.elrsr(pe) }],
  ]
  for (const [encoding, row] of plain) rows.set(encoding, { kind: 'plain', ...row })
  for (let n = 0; n < config.listRegisters; n++) {
    rows.set(arch.ichLr(n), {
      kind: 'plain',
      minimumEl: 2,
      read: ({ ich }, pe) => ich.readLrLow(pe, n),
      readHigh: ({ ich }, pe) => ich.readLrHigh(pe, n),
      write: ({ ich }, pe, low, high) => ich.writeLr(pe, n, low, high),
    })
  }
  return rows
}

/** System register accesses of the PEs. The answer to an access is also in the PE's words `trap` and `dataHigh`. */
export class SystemRegisters {
  private readonly rows: ReadonlyMap<number, Row>

  constructor(
    readonly words: Int32Array,
    readonly blocks: Blocks,
  ) {
    this.rows = buildRows(blocks.virtualInterface)
  }

  /** MRS at exception level `el`: bits 31:0, with 63:32 in `dataHigh`; 0 if it traps. */
  read(pe: number, encoding: number, el = exceptionLevel(this.words[pe + PCPU_PSTATE])): number {
    const row = this.reached(pe, encoding, el, true)
    this.words[pe + PCPU_DATA_HIGH] = 0
    if (!row?.read) return 0
    if (row.kind === 'plain' && row.readHigh) this.words[pe + PCPU_DATA_HIGH] = row.readHigh(this.blocks, pe)
    return row.read(this.blocks, pe, el)
  }

  /** MSR at exception level `el`; does nothing if it traps. */
  write(
    pe: number,
    encoding: number,
    low: number,
    high: number,
    el = exceptionLevel(this.words[pe + PCPU_PSTATE]),
  ): void {
    this.reached(pe, encoding, el, false)?.write?.(this.blocks, pe, low, high)
  }

  /** The row that an access reaches; otherwise undefined. Leaves the syndrome, or 0, in the PE's `trap`. */
  private reached(pe: number, encoding: number, el: number, isRead: boolean): Row | undefined {
    const row = this.rows.get(encoding)
    const syndrome = this.refuses(pe, row, encoding, el, isRead)
    this.words[pe + PCPU_TRAP] = syndrome
    return syndrome === 0 ? row : undefined
  }

  private refuses(pe: number, row: Row | undefined, encoding: number, el: number, isRead: boolean): number {
    if (!row || (isRead ? !row.read : !row.write) || el < 1) return ESR_UNDEFINED
    if (row.kind === 'plain') return el < row.minimumEl ? ESR_UNDEFINED : 0
    if (el >= 2) return ESR_UNDEFINED
    const { words } = this
    const traps = isRead ? row.traps : row.traps | row.trapsWrite
    const isVirtual = (words[pe + PCPU_HCR_EL2] & row.virtual) !== 0
    if (words[pe + ICH_HCR] & traps || (isVirtual && row.virtualTraps))
      return sysregSyndrome(encoding, isRead)
    return isVirtual ? 0 : ESR_UNDEFINED
  }
}
