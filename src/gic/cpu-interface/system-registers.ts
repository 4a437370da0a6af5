/**
 * Decodes system register accesses: the register that an encoding names, and the exception if it may not be accessed.
 * The order of the checks is the architecture's (IHI 0069, the accessibility pseudocode of each register): an
 * encoding that is not implemented, or not in that direction or at that level, is UNDEFINED before any trap is looked
 * at; then ICH_HCR_EL2's traps; then HCR_EL2.{FMO,IMO} choose the virtual interface at EL1. At EL2, and where they
 * are clear, an ICC_* name is the physical CPU interface. Both interfaces have one set of rows.
 */

import { HCR_EL2, HCR_EL2_FMO, HCR_EL2_IMO } from '../../arch/hcr-el2.ts'
import * as icc from '../../arch/icc-registers.ts'
import * as arch from '../../arch/ich-registers.ts'
import { type InterruptGroup, icvRegisters } from '../../arch/icv-registers.ts'
import { ESR_UNDEFINED, sysregSyndrome } from '../../arch/syndrome.ts'
import type { Encoding } from '../../arch/sysreg.ts'
import type { Sgis } from '../distributor/sgi.ts'
import { type Pe, PHYSICAL_INTERFACE } from '../records/pe.ts'
import type { InterfaceRegisters } from './common-registers.ts'
import type { Icc } from './icc.ts'
import type { Ich } from './ich.ts'
import type { Icv } from './icv.ts'
import { exceptionLevel, PCPU_HCR_EL2, PCPU_PSTATE, PCPU_TRAP, type Pcpu, writeHcrEl2 } from './pcpu.ts'
import { ICH_HCR, type VirtualInterface } from './virtual-interface.ts'

/** The blocks whose registers are accessed. */
export interface Blocks {
  readonly pcpu: Pcpu
  readonly virtualInterface: VirtualInterface
  readonly ich: Ich
  readonly icv: Icv
  readonly icc: Icc
  readonly sgis: Sgis
}

/** A register of EL2 or EL3, or one that is the same at every level above EL0. */
interface PlainRow {
  readonly kind: 'plain'
  readonly minimumEl: 1 | 2
  readonly read?: (blocks: Blocks, pe: Pe, el: number) => number
  readonly readHigh?: (blocks: Blocks, pe: Pe) => number
  readonly write?: (blocks: Blocks, pe: Pe, low: number, high: number) => void
}

/** How an EL1 access to an ICC_* name is trapped, or routed to the virtual interface. */
interface Routing {
  /** ICH_HCR_EL2 bits that trap a read or write. */
  readonly traps: number
  readonly trapsWrite: number
  /** HCR_EL2 bits of which any gives the virtual interface. */
  readonly virtual: number
}

/** Read and write of a register of either CPU interface; `at` is the interface's handle. */
interface InterfaceAccess {
  readonly read?: (registers: InterfaceRegisters, at: number) => number
  readonly write?: (registers: InterfaceRegisters, at: number, value: number) => void
}

/** An ICC_* register with an ICV_* counterpart. */
interface InterfaceRow extends Routing, InterfaceAccess {
  readonly kind: 'interface'
}

/** An SGI register. It has no ICV_* counterpart: an access that would be routed to one traps. */
interface SgiRow extends Routing {
  readonly kind: 'sgi'
  readonly read?: undefined
  readonly write: (blocks: Blocks, pe: Pe, low: number, high: number) => void
}

type Row = PlainRow | InterfaceRow | SgiRow

/** ICC_SRE_ELx: system registers are always on, RAO/WI. */
const SRE_EL1 = 0x7
const SRE_EL2 = 0xf

const trapsOf = { 0: arch.HCR_TALL0, 1: arch.HCR_TALL1, common: arch.HCR_TC } as const
const virtualOf = { 0: HCR_EL2_FMO, 1: HCR_EL2_IMO, common: HCR_EL2_FMO | HCR_EL2_IMO } as const

const accesses = new Map<Encoding, InterfaceAccess>([
  [icc.ICC_IAR0_EL1, { read: (registers, at) => registers.readIar0(at) }],
  [icc.ICC_IAR1_EL1, { read: (registers, at) => registers.readIar1(at) }],
  [icc.ICC_EOIR0_EL1, { write: (registers, at, value) => registers.writeEoir0(at, value) }],
  [icc.ICC_EOIR1_EL1, { write: (registers, at, value) => registers.writeEoir1(at, value) }],
  [icc.ICC_DIR_EL1, { write: (registers, at, value) => registers.writeDir(at, value) }],
  [icc.ICC_HPPIR0_EL1, { read: (registers, at) => registers.readHppir0(at) }],
  [icc.ICC_HPPIR1_EL1, { read: (registers, at) => registers.readHppir1(at) }],
  [icc.ICC_RPR_EL1, { read: (registers, at) => registers.readRpr(at) }],
  [
    icc.ICC_PMR_EL1,
    {
      read: (registers, at) => registers.readPmr(at),
      write: (registers, at, value) => registers.writePmr(at, value),
    },
  ],
  [
    icc.ICC_BPR0_EL1,
    {
      read: (registers, at) => registers.readBpr0(at),
      write: (registers, at, value) => registers.writeBpr0(at, value),
    },
  ],
  [
    icc.ICC_BPR1_EL1,
    {
      read: (registers, at) => registers.readBpr1(at),
      write: (registers, at, value) => registers.writeBpr1(at, value),
    },
  ],
  [
    icc.ICC_CTLR_EL1,
    {
      read: (registers, at) => registers.readCtlr(at),
      write: (registers, at, value) => registers.writeCtlr(at, value),
    },
  ],
  [
    icc.ICC_IGRPEN0_EL1,
    {
      read: (registers, at) => registers.readIgrpen0(at),
      write: (registers, at, value) => registers.writeIgrpen0(at, value),
    },
  ],
  [
    icc.ICC_IGRPEN1_EL1,
    {
      read: (registers, at) => registers.readIgrpen1(at),
      write: (registers, at, value) => registers.writeIgrpen1(at, value),
    },
  ],
])

/** `ICC_AP<group>R<n>`, whose virtual counterpart has its state in `ICH_AP<group>R<n>`. */
const activePriorityAccess = (group: 0 | 1, n: number): Required<InterfaceAccess> => ({
  read: (registers, at) => registers.readApr(at, group, n),
  write: (registers, at, value) => registers.writeApr(at, group, n, value),
})

const routing = (group: InterruptGroup, trapsWrite = 0): Routing => ({
  traps: trapsOf[group],
  trapsWrite,
  virtual: virtualOf[group],
})

/** Builds the rows of the registers that a configuration implements. */
function buildRows({ config, activePriorityRegisters }: VirtualInterface): Map<Encoding, Row> {
  const rows = new Map<Encoding, Row>()
  for (const { encoding, group, name } of icvRegisters) {
    const activePriorities = /AP([01])R(\d)/.exec(name)
    if (activePriorities) {
      const [apGroup, n] = [Number(activePriorities[1]) as 0 | 1, Number(activePriorities[2])]
      if (n >= activePriorityRegisters) continue
      rows.set(encoding, { kind: 'interface', ...routing(apGroup), ...activePriorityAccess(apGroup, n) })
      rows.set(arch.ichApr(apGroup, n), {
        kind: 'plain',
        minimumEl: 2,
        read: ({ icv }, pe) => icv.readApr(pe, apGroup, n),
        write: ({ icv }, pe, value) => icv.writeApr(pe, apGroup, n, value),
      })
      continue
    }
    const access = accesses.get(encoding)
    const trapsWrite = encoding === icc.ICC_DIR_EL1 ? arch.HCR_TDIR : 0
    if (access) rows.set(encoding, { kind: 'interface', ...routing(group, trapsWrite), ...access })
  }
  const sgis: readonly (readonly [Encoding, SgiRow['write']])[] = [
    [icc.ICC_SGI0R_EL1, ({ sgis }, pe, low, high) => sgis.writeSgi0r(pe, low, high)],
    [icc.ICC_SGI1R_EL1, ({ sgis }, pe, low, high) => sgis.writeSgi1r(pe, low, high)],
    [icc.ICC_ASGI1R_EL1, ({ sgis }, pe, low, high) => sgis.writeSgi0r(pe, low, high)],
  ]
  for (const [encoding, write] of sgis) rows.set(encoding, { kind: 'sgi', ...routing('common'), write })
  const plain: readonly (readonly [Encoding, Omit<PlainRow, 'kind'>])[] = [
    [icc.ISR_EL1, { minimumEl: 1, read: ({ pcpu }, pe, el) => pcpu.isr(pe, el) }],
    [icc.ICC_SRE_EL1, { minimumEl: 1, read: () => SRE_EL1, write: () => {} }],
    [icc.ICC_SRE_EL2, { minimumEl: 2, read: () => SRE_EL2, write: () => {} }],
    [
      HCR_EL2,
      {
        minimumEl: 2,
        read: ({ pcpu }, pe) => pcpu.words[pe + PCPU_HCR_EL2],
        readHigh: ({ pcpu }, pe) => pcpu.words[pe + PCPU_HCR_EL2 + 1],
        write: ({ pcpu }, pe, low, high) => writeHcrEl2(pcpu.words, pe, low, high),
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
        write: ({ ich }, pe, value) => ich.writeVmcr(ich.words, pe, value),
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
      write: ({ ich, virtualInterface }, pe, low, high) => {
        ich.writeLr(pe, n, low, high)
        virtualInterface.noticeListRegister(pe, n)
      },
    })
  }
  return rows
}

/** System register accesses of the PEs. Whether an access went through is in the PE's word `trap`. */
export class SystemRegisters {
  private readonly rows: ReadonlyMap<Encoding, Row>

  constructor(
    readonly words: Int32Array,
    readonly blocks: Blocks,
  ) {
    this.rows = buildRows(blocks.virtualInterface)
  }

  /** MRS at exception level `el`: bits 31:0; 0 if it traps. */
  read(pe: Pe, encoding: Encoding, el = exceptionLevel(this.words[pe + PCPU_PSTATE])): number {
    const row = this.reached(pe, encoding, el, true)
    if (!row?.read) return 0
    if (row.kind === 'interface') {
      const { icv, icc: physical } = this.blocks
      return this.isVirtual(pe, row, el) ? row.read(icv, pe) : row.read(physical, pe + PHYSICAL_INTERFACE)
    }
    return row.read(this.blocks, pe, el)
  }

  /**
   * Bits 63:32 of the register that the PE has just read; 0 if that trapped. No register that has them changes by a
   * read.
   */
  readHigh(pe: Pe, encoding: Encoding): number {
    const row = this.rows.get(encoding)
    if (row?.kind !== 'plain' || !row.readHigh || this.words[pe + PCPU_TRAP] !== 0) return 0
    return row.readHigh(this.blocks, pe)
  }

  /** MSR at exception level `el`; does nothing if it traps. */
  write(
    pe: Pe,
    encoding: Encoding,
    low: number,
    high: number,
    el = exceptionLevel(this.words[pe + PCPU_PSTATE]),
  ): void {
    const row = this.reached(pe, encoding, el, false)
    if (!row?.write) return
    if (row.kind !== 'interface') row.write(this.blocks, pe, low, high)
    else if (this.isVirtual(pe, row, el)) row.write(this.blocks.icv, pe, low)
    else row.write(this.blocks.icc, pe + PHYSICAL_INTERFACE, low)
  }

  /**
   * The row that an access is to; undefined if it traps or is UNDEFINED. Sets the PE's `trap` word to the syndrome,
   * or 0.
   */
  private reached(pe: Pe, encoding: Encoding, el: number, isRead: boolean): Row | undefined {
    const row = this.rows.get(encoding)
    const syndrome = this.refuses(pe, row, encoding, el, isRead)
    this.words[pe + PCPU_TRAP] = syndrome
    return syndrome === 0 ? row : undefined
  }

  private refuses(pe: Pe, row: Row | undefined, encoding: Encoding, el: number, isRead: boolean): number {
    if (!row || (isRead ? !row.read : !row.write) || el < 1) return ESR_UNDEFINED
    if (row.kind === 'plain') return el < row.minimumEl ? ESR_UNDEFINED : 0
    if (el >= 2) return 0
    const traps = isRead ? row.traps : row.traps | row.trapsWrite
    const isTrapped = (this.words[pe + ICH_HCR] & traps) !== 0
    if (isTrapped || (row.kind === 'sgi' && this.isVirtual(pe, row, el)))
      return sysregSyndrome(encoding, isRead)
    return 0
  }

  /** Whether an ICC_* name means the virtual interface. */
  private isVirtual(pe: Pe, { virtual }: Routing, el: number): boolean {
    return el < 2 && (this.words[pe + PCPU_HCR_EL2] & virtual) !== 0
  }
}
