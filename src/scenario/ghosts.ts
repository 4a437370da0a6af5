/**
 * Ghost state: what the invariants need to know and no part of the machine keeps. For each vCPU, ICH_VMCR_EL2 as it
 * was when the guest last ran; for each interrupt, whether it has an edge that the guest has not acknowledged.
 */
import { ICH_VMCR_VIEW } from '../arch/ich-registers.ts'
import { FIRST_LPI, FIRST_SPI, type Intid } from '../arch/intid.ts'
import { ESR_WnR } from '../arch/syndrome.ts'
import { ICH_VMCR } from '../gic/cpu-interface/virtual-interface.ts'
import type { Pe } from '../gic/records/pe.ts'
import type { GuestObserver } from '../hyp/guest/guest.ts'
import type { Hypervisor, VmSetup } from '../hyp/hypervisor.ts'
import { LPI_INTID } from '../hyp/records/lpi-record.ts'
import {
  peOf,
  VCPU_ESR,
  VCPU_FAULT_IPA,
  VCPU_INDEX,
  VCPU_NOTIFIER,
  VCPU_PC,
  type Vcpu,
} from '../hyp/records/vcpu.ts'
import { asIrq, IRQ_EDGE, IRQ_LATCH, type Irq, irqApListOf } from '../hyp/records/vgic-irq.ts'
import { rowOf } from '../hyp/run/steps.ts'
import type { IrqDirectory } from '../hyp/vgic/irq-directory.ts'
import { type RecordType, recordType } from '../state/layout.ts'
import { offsetOf, type Rows, wordsOf } from '../state/rows.ts'
import type { Acknowledgements } from './acknowledgements.ts'

/** How many words it has: of each kind as many as the VM needs. */
interface GhostSizes {
  readonly vcpus: number
  readonly spiWords: number
  readonly lpiWords: number
}

const ghostSizes = ({ vcpus, spis, lpis, frames }: VmSetup): GhostSizes => ({
  vcpus,
  spiWords: Math.max(Math.ceil(spis / 32), 1),
  lpiWords: (frames.its ?? []).length === 0 ? 0 : Math.ceil(lpis.lpis / 32),
})

/** How many words the outstanding edges of a VM's private interrupts and SPIs take. */
export function edgeWords(setup: VmSetup): number {
  const { vcpus, spiWords } = ghostSizes(setup)
  return vcpus + spiWords
}

/** Bitmaps of outstanding edges are by the interrupts' index: irq-directory.ts. */
const ghostRows = {
  GHOST_VMCR: {
    name: 'vmcr of vcpu[<n>]',
    count: ({ vcpus }) => vcpus,
    class: 'authoritative',
    by: ['guest'],
    says: 'ICH_VMCR_EL2 as the guest of each vCPU left it.',
    view: ICH_VMCR_VIEW,
  },
  GHOST_EDGES: {
    name: 'edges of vcpu[<n>]',
    count: ({ vcpus }) => vcpus,
    class: 'authoritative',
    by: ['guest', 'queue'],
    says: "Outstanding edges of each vCPU's SGIs and PPIs.",
  },
  GHOST_SPI_EDGES: {
    name: 'edges of SPI <n>',
    n: (i) => `${FIRST_SPI + 32 * i} to ${FIRST_SPI + 32 * i + 31}`,
    count: ({ spiWords }) => spiWords,
    class: 'authoritative',
    by: ['guest', 'queue'],
    says: 'Those of SPIs.',
  },
  GHOST_LPI_EDGES: {
    name: 'edges of lpi[<n>]',
    n: (i) => `${32 * i}..${32 * i + 31}`,
    count: ({ lpiWords }) => lpiWords,
    class: 'authoritative',
    by: ['guest', 'queue'],
    says: 'Those of LPI objects.',
  },
} as const satisfies Rows<GhostSizes>

/** What a step of a thread may do that the ghosts are to know. */
const ENDS_ACCESS = 1
const CARRIES_OUT = 2

/** The record of the ghost state. */
export const ghostRecord = (setup: VmSetup): RecordType =>
  recordType('ghost', wordsOf(ghostRows, ghostSizes(setup)))

export class Ghosts implements GuestObserver {
  private readonly words: Int32Array
  /** Keeps what guests acknowledge; null for none. */
  acknowledgements: Acknowledgements | null = null
  /**
   * Offset of a bitmap of outstanding edges, by the interrupts' index (irq-directory.ts): a word for each vCPU's SGIs
   * and PPIs, then the SPIs.
   */
  private readonly edges: number
  /** Bits by program counter: the step may complete the guest's access, or carries out a command of its ITS. */
  private readonly ends: Uint8Array
  private readonly interrupts: IrqDirectory
  /** One past the last SPI. */
  private readonly intidEnd: number

  constructor(
    private readonly hypervisor: Hypervisor,
    /** The record of the ghost state. */
    readonly at: number,
  ) {
    this.words = hypervisor.words
    this.interrupts = hypervisor.interrupts
    this.intidEnd = FIRST_SPI + hypervisor.layout.spiCount
    hypervisor.guest.observer = this
    this.edges = at + offsetOf(ghostRows, 'GHOST_EDGES', ghostSizes(hypervisor.setup))
    for (let i = 0; i < hypervisor.layout.vcpuCount; i++) this.words[at + i] = hypervisor.setup.vmcr[i]
    this.ends = Uint8Array.from(hypervisor.runLoop.program.steps, (step) => {
      const row = rowOf(step?.op ?? 0)
      return (row?.endsAccess ? ENDS_ACCESS : 0) | (row?.carriesOut ? CARRIES_OUT : 0)
    })
  }

  /** ICH_VMCR_EL2 as the guest of a vCPU left it. */
  vmcrOf(v: Vcpu): number {
    return this.words[this.at + this.words[v + VCPU_INDEX]]
  }

  /** Takes a step of a vCPU's guest, and records ICH_VMCR_EL2. */
  stepGuest(v: Vcpu): void {
    const { words, hypervisor } = this
    const pe = peOf(words, v)
    const result = hypervisor.guest.step(v, hypervisor.setup.guests[words[v + VCPU_INDEX]])
    this.recordVmcr(v, pe)
    if (result > 0) hypervisor.runLoop.exit(v, result - 1)
  }

  /** Records ICH_VMCR_EL2 of the PE that a vCPU is on as its guest has left it. */
  recordVmcr(v: Vcpu, pe: Pe): void {
    const { words } = this
    words[this.at + words[v + VCPU_INDEX]] = words[pe + ICH_VMCR]
  }

  /**
   * Takes a step of a vCPU's thread. If it emulates the guest's write to ICPENDR, the edges that the guest has
   * cleared so are not outstanding any more.
   */
  stepThread(v: Vcpu): number {
    const { words, hypervisor } = this
    const ends = this.endsNext(v)
    if (ends === 0) return hypervisor.runLoop.step(v)
    const cleared = hypervisor.mmio.clearedEdges(v)
    const before = words[v + VCPU_FAULT_IPA]
    const result = hypervisor.runLoop.step(v)
    const isDone = before !== 0 && words[v + VCPU_FAULT_IPA] === 0
    if (isDone) for (const irq of cleared) this.settled(irq)
    if (isDone || ends & CARRIES_OUT) this.forgetLpis()
    return result
  }

  /** Whether the next step of a thread may end edges that are outstanding, so that {@link stepThread} must take it. */
  mayEndEdges(v: Vcpu): boolean {
    const { words, hypervisor } = this
    if (this.endsNext(v) === 0) return false
    return (words[v + VCPU_ESR] & ESR_WnR) !== 0 || hypervisor.layout.lpis.lpi.count > 0
  }

  /** What the next step of a thread may end, of {@link ends}. */
  private endsNext(v: Vcpu): number {
    const { words } = this
    return words[v + VCPU_NOTIFIER] === 0 ? this.ends[words[v + VCPU_PC]] : 0
  }

  private settled(irq: Irq): void {
    this.words[this.wordOf(irq)] &= ~(1 << this.bitOf(irq))
  }

  /** LPIs that the guest's own access has cleared, discarded or disabled: their edges are outstanding no more. */
  private forgetLpis(): void {
    const { words, hypervisor } = this
    const { lpi } = hypervisor.layout.lpis
    for (let slot = 0; slot < lpi.count; slot++) {
      const irq = asIrq(lpi.records + slot * lpi.size)
      const isPending = (words[irq] & IRQ_LATCH) !== 0 || irqApListOf(words[irq]) !== 0
      if (!isPending && this.isOutstanding(irq)) this.settled(irq)
    }
  }

  /**
   * Moves the outstanding edges into the image of a VM that is restored, since nothing is pending until it is: to the words
   * at `edges`, and of LPIs, whose objects go, the INTIDs to those at `lpis`.
   */
  hideEdges(edges: number, lpis: number): void {
    const { words, hypervisor } = this
    const { lpi } = hypervisor.layout.lpis
    let at = lpis
    for (let slot = 0; slot < lpi.count; slot++) {
      const irq = asIrq(lpi.records + slot * lpi.size)
      if (this.isOutstanding(irq)) words[at++] = words[irq + LPI_INTID]
    }
    const end = this.edges + edgeWords(hypervisor.setup)
    words.copyWithin(edges, this.edges, end)
    words.fill(0, this.edges, end + Math.ceil(lpi.count / 32))
  }

  /** Moves them back. */
  showEdges(edges: number, lpis: number): void {
    const { words, hypervisor } = this
    words.copyWithin(this.edges, edges, edges + edgeWords(hypervisor.setup))
    for (let at = lpis; at < lpis + hypervisor.layout.lpis.lpi.count; at++) {
      const irq = words[at] === 0 ? 0 : hypervisor.apLists.lpis.find(words[at])
      if (irq !== 0) words[this.wordOf(irq)] |= 1 << this.bitOf(irq)
    }
  }

  /** Records that a device has raised the line of an interrupt: an edge that the guest is to acknowledge. */
  injected(irq: Irq): void {
    if (this.words[irq] & IRQ_EDGE) this.words[this.wordOf(irq)] |= 1 << this.bitOf(irq)
  }

  /** The guest of a vCPU has acknowledged an INTID: its edge is not outstanding any more. */
  acknowledged(v: Vcpu, intid: Intid): void {
    const { words, acknowledgements } = this
    const vcpu = words[v + VCPU_INDEX]
    if (acknowledgements !== null) acknowledgements.add(vcpu, intid)
    if (intid < this.intidEnd) {
      const index = this.interrupts.indexOfIntid(vcpu, intid)
      words[this.edges + (index >> 5)] &= ~(1 << (index & 31))
    } else if (intid >= FIRST_LPI) this.acknowledgedLpi(intid)
  }

  private acknowledgedLpi(intid: Intid): void {
    const irq = this.hypervisor.apLists.lpis.find(intid)
    if (irq !== 0) this.settled(irq)
  }

  /** Outstanding edges of the interrupts with indices 32 n to 32 n + 31, a bit each. */
  outstanding(n: number): number {
    return this.words[this.edges + n]
  }

  /** Whether an interrupt has an edge that the guest has not acknowledged. */
  isOutstanding(irq: Irq): boolean {
    return ((this.words[this.wordOf(irq)] >>> this.bitOf(irq)) & 1) === 1
  }

  /** Offset of the word that has an interrupt's bit. */
  wordOf(irq: Irq): number {
    return this.edges + (this.hypervisor.interrupts.indexOf(irq) >> 5)
  }

  /** Offset of the first word of the SPIs' bits. */
  get spiEdges(): number {
    return this.edges + this.hypervisor.layout.vcpuCount
  }

  private bitOf(irq: Irq): number {
    return this.hypervisor.interrupts.indexOf(irq) & 31
  }
}
