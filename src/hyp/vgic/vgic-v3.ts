/**
 * The vGIC's list registers and CPU interface registers (KVM's vgic-v3.c): flush fills the list registers from the
 * ap_list before an entry, fold reads them back after an exit, and load and put move the state that stays in the
 * hardware while the vCPU's thread is on the PE: ICH_VMCR_EL2 and the active priorities. What Linux does otherwise is in
 * vgic-v3-linux.ts, what known bugs do in vgic-v3-museum.ts.
 */
import {
  HCR_En,
  HCR_EOIcount,
  HCR_LRENPIE,
  HCR_NPIE,
  HCR_TDIR,
  HCR_UIE,
  HCR_VGrp0DIE,
  HCR_VGrp0EIE,
  HCR_VGrp1DIE,
  HCR_VGrp1EIE,
  LR_ACTIVE,
  LR_EOI,
  LR_PENDING,
  VMCR_VENG0,
  VMCR_VENG1,
  VMCR_VEOIM,
} from '../../arch/ich-registers.ts'
import { FIRST_SPI, type Intid } from '../../arch/intid.ts'
import { clearLr, lrAt, lrHigh } from '../../gic/cpu-interface/ich.ts'
import { asPe, type Pe } from '../../gic/records/pe.ts'
import type { Seam } from '../host/seam.ts'
import {
  VCPU_AP_COUNT,
  VCPU_AP_FIRST,
  VCPU_HCR,
  VCPU_LOADED,
  VCPU_LR_IRQ,
  VCPU_PE,
  VCPU_USED_LRS,
  VCPU_VMCR,
  type Vcpu,
} from '../records/vcpu.ts'
import {
  asIrq,
  IRQ_ACTIVE,
  IRQ_DEACTIVATED,
  IRQ_EDGE,
  IRQ_HW,
  IRQ_LATCH,
  IRQ_LINE,
  IRQ_LINK,
  type Irq,
  irqGroupIsOff,
  irqIsDeliverable,
  irqIsPending,
  irqListRegister,
  irqStateOf,
  irqStaysOn,
} from '../records/vgic-irq.ts'
import { VM_DEACTIVATED } from '../records/vm.ts'
import type { ApLists } from './ap-list.ts'
import type { MappedInterrupts } from './mapped-interrupts.ts'

/** The enables of maintenance interrupts, of which a flush sets at least one if a pending interrupt did not fit. */
export const OVERFLOW_INTERRUPTS = HCR_UIE | HCR_NPIE | HCR_VGrp0EIE | HCR_VGrp1EIE

/** ICH_HCR_EL2 of a guest with interrupts in list registers, of which none asks for a maintenance interrupt. */
export const HCR_IN_USE = HCR_En | HCR_TDIR

/**
 * The interrupts whose latch a fold keeps, by their word when they were put into a list register: an edge, which may
 * have come again meanwhile, and an active one, which was not pending in its list register and so was not
 * acknowledged.
 */
const KEEPS_LATCH = IRQ_EDGE | IRQ_ACTIVE

export class VgicV3 {
  readonly words: Int32Array
  readonly listRegisters: number
  /** The offset of the VM's count of interrupts that {@link mark} has marked. */
  readonly deactivated: number
  /** From this handle on interrupts are LPIs: one that is in a list register is held, so that it cannot go meanwhile. */
  readonly firstLpi: number
  /**
   * ICH_HCR_EL2 while no list register is in use, from the load on. With GICv4 the interface stays enabled: what a vPE has
   * needs no list register.
   */
  readonly idleHcr: number

  constructor(
    readonly seam: Seam,
    readonly apLists: ApLists,
    readonly mapped: MappedInterrupts,
  ) {
    this.words = seam.words
    this.listRegisters = seam.silicon.config.listRegisters
    this.deactivated = apLists.layout.vm + VM_DEACTIVATED
    this.firstLpi = apLists.lpis.first
    this.idleHcr = apLists.layout.direct.vpeCount > 0 ? HCR_TDIR | HCR_En : HCR_TDIR
  }

  /** vcpu_load: moves the CPU interface state to the PE. */
  load(words: Int32Array, v: Vcpu, pe: Pe): void {
    this.seam.writeInterface(words, v, pe)
    words[v + VCPU_LOADED] = 1
  }

  /** The same, and ICH_HCR_EL2 while no list register is in use. */
  loadWithHcr(words: Int32Array, v: Vcpu, pe: Pe): void {
    this.seam.writeInterfaceAndHcr(words, v, pe, this.idleHcr)
    words[v + VCPU_LOADED] = 1
  }

  /** vcpu_put: moves the CPU interface state to the shadow registers. */
  put(words: Int32Array, v: Vcpu, pe: Pe): void {
    this.seam.readInterface(words, v, pe)
    words[v + VCPU_LOADED] = 0
  }

  /** Refreshes the shadow of ICH_VMCR_EL2, which runnable() reads. */
  saveVmcr(words: Int32Array, v: Vcpu, pe: Pe): void {
    words[v + VCPU_VMCR] = this.seam.readVmcr(words, v, pe)
  }

  /** Fills list registers from the ap_list; with an empty list it does not access the hardware. */
  flush(v: Vcpu): void {
    const { words } = this
    const count = words[v + VCPU_AP_COUNT]
    if (count !== 0) this.flushSome(v, asPe(words[v + VCPU_PE]), count)
  }

  /**
   * Fills empty list registers from a list of `count` interrupts, and then evaluates the maintenance interrupt. A
   * single pending or active interrupt asks for none.
   */
  flushSome(v: Vcpu, pe: Pe, count: number): void {
    if (count === 1) this.flushOnly(v, pe, HCR_IN_USE)
    else this.flushSeveral(v, pe, count)
  }

  private flushSeveral(v: Vcpu, pe: Pe, count: number): void {
    if (count > this.listRegisters) this.flushOverflowing(v, pe)
    else this.fill(v, pe, HCR_IN_USE)
    this.seam.settleMaintenance(this.words, pe)
  }

  /**
   * An ap_list of one interrupt, as most are: `fill` without its loop, which would cost as much again.
   * @noinline
   */
  flushOnly(v: Vcpu, pe: Pe, hcr: number): void {
    const { words, apLists } = this
    const irq = asIrq(words[v + VCPU_AP_FIRST])
    const word = words[irq]
    if (!irqStaysOn(word, apLists.targetOf(words, v))) {
      words[v + VCPU_USED_LRS] = 0
      return
    }
    words[v + VCPU_HCR] = hcr
    words[v + VCPU_USED_LRS] = 1
    words[v + VCPU_LR_IRQ] = irq
    if (irq >= this.firstLpi) apLists.lpis.get(irq)
    const high = this.populate(words, v, irq, word)
    this.seam.fillOnly(words, v, pe, hcr, apLists.intidOf(v, irq), high)
  }

  /**
   * Fills list registers from a list that has more interrupts than there are list registers. ICH_VMCR_EL2 is read for
   * the disabled groups only if the list has interrupts of both.
   * @noinline
   */
  private flushOverflowing(v: Vcpu, pe: Pe): void {
    const { words, apLists, seam } = this
    const bothGroups = apLists.hasBothGroups(v)
    const off = bothGroups ? ~seam.readVmcr(words, v, pe) & (VMCR_VENG0 | VMCR_VENG1) : 0
    apLists.sorts.pendingFirst(v, off)
    const end = this.endOfFitting(v)
    const overflow = this.overflowInterrupts(end, off, bothGroups ? groupSwitches(off) : 0)
    this.fill(v, pe, HCR_IN_USE | overflow)
  }

  /**
   * The maintenance interrupts to enable if interrupts from `first` on did not fit, 0 for none: when few list
   * registers are left in use (UIE; not with one list register, where it would always be asserted); when none in a
   * list register is pending, while one without is that the guest can take (NPIE); when the guest deactivates one
   * without a list register by its EOI (LRENPIE). `switches` are those that make the guest exit when it enables or
   * disables a group, so that the choice is made again.
   */
  overflowInterrupts(first: Irq | 0, off: number, switches: number): number {
    const { words } = this
    let hcr = 0
    for (let irq = first; irq !== 0; irq = asIrq(words[irq + IRQ_LINK])) {
      const word = words[irq]
      if (word & IRQ_ACTIVE) hcr |= HCR_LRENPIE | HCR_UIE
      else if (irqIsDeliverable(word))
        hcr |= irqGroupIsOff(word, off) ? switches : switches | HCR_NPIE | HCR_UIE
    }
    return this.listRegisters === 1 ? hcr & ~HCR_UIE : hcr
  }

  /**
   * The interrupt on the ap_list that is the first not to fit into the list registers, 0 if all do. Those that do not
   * belong on the list need none.
   */
  endOfFitting(v: Vcpu): Irq | 0 {
    const { words, apLists } = this
    const index = apLists.targetOf(words, v)
    let free = this.listRegisters
    let irq = asIrq(words[v + VCPU_AP_FIRST])
    for (; irq !== 0 && free > 0; irq = asIrq(words[irq + IRQ_LINK]))
      if (irqStaysOn(words[irq], index)) free--
    return irq
  }

  /**
   * Fills the list registers from the ap_list, and enables the interface if any interrupt needs one.
   * @noinline
   */
  fill(v: Vcpu, pe: Pe, hcr: number): void {
    const { words, apLists, seam, listRegisters } = this
    const index = apLists.targetOf(words, v)
    let used = 0
    let status = 0
    let irq = asIrq(words[v + VCPU_AP_FIRST])
    for (; irq !== 0 && used < listRegisters; irq = asIrq(words[irq + IRQ_LINK])) {
      const word = words[irq]
      if (!irqStaysOn(word, index)) continue
      const high = this.populate(words, v, irq, word)
      status |= seam.fillLr(words, pe, used, apLists.intidOf(v, irq), high)
      words[v + VCPU_LR_IRQ + used] = irq
      if (irq >= this.firstLpi) apLists.lpis.get(irq)
      used++
    }
    words[v + VCPU_USED_LRS] = used
    if (used === 0) return
    words[v + VCPU_HCR] = hcr
    seam.filled(words, v, pe, hcr, used, status)
  }

  /**
   * The upper word of a list register for an interrupt. A mapped or level-sensitive interrupt is never pending and
   * active at once: its deactivation must be seen, so that its line is sampled again. For the same reason a
   * level-sensitive one that is not mapped asks for a maintenance interrupt at its EOI.
   */
  populate(words: Int32Array, v: Vcpu, irq: Irq, word: number): number {
    if ((word & (IRQ_HW | IRQ_EDGE)) !== IRQ_EDGE) return this.populateLevelOrMapped(v, irq, word)
    if (!irqIsPending(word)) return irqListRegister(word)
    words[irq] = word & ~IRQ_LATCH
    return irqListRegister(word) | LR_PENDING
  }

  private populateLevelOrMapped(v: Vcpu, irq: Irq, word: number): number {
    const high = irqListRegister(word) | (word & IRQ_HW ? this.mapped.pintidOf(v, irq) : LR_EOI)
    if (word & IRQ_ACTIVE || !irqIsPending(word)) return high
    if (word & IRQ_EDGE) this.words[irq] = word & ~IRQ_LATCH
    else if (word & IRQ_HW) this.words[irq] = word & ~IRQ_LINE
    return high | LR_PENDING
  }

  /**
   * Folds the list registers after an exit, and prunes the ap_list.
   * @noinline
   */
  fold(v: Vcpu): void {
    const { words } = this
    const used = words[v + VCPU_USED_LRS]
    if (used !== 0) this.foldSome(v, asPe(words[v + VCPU_PE]), used)
    this.apLists.prune(words, v)
  }

  /** Folds `used` list registers. */
  foldSome(v: Vcpu, pe: Pe, used: number): void {
    const { words } = this
    if (words[v + VCPU_HCR] & HCR_LRENPIE) this.deactivateCounted(v)
    if (used === 1) this.foldFirst(v, pe, this.idleHcr, KEEPS_LATCH)
    else this.foldLrs(v, pe, this.idleHcr, used, this.seam.elrsr(pe), 1, KEEPS_LATCH)
    if (words[this.deactivated] !== 0) this.deactivateMarked(v)
  }

  /** Folds the only list register that was used: `foldLrs` without its loop. */
  foldFirst(v: Vcpu, pe: Pe, hcr: number, keeps: number): void {
    const { words } = this
    this.foldOne(words, v, asIrq(words[v + VCPU_LR_IRQ]), this.seam.foldOnly(words, v, pe, hcr), keeps)
    words[v + VCPU_LR_IRQ] = 0
    words[v + VCPU_USED_LRS] = 0
    words[v + VCPU_HCR] = 0
  }

  /** A fold that takes the list registers in `empty` to be empty, whatever the hardware says. */
  foldKnowing(v: Vcpu, empty: number): void {
    const { words } = this
    const pe = asPe(words[v + VCPU_PE])
    const used = words[v + VCPU_USED_LRS]
    if (used !== 0) this.foldLrs(v, pe, this.idleHcr, used, empty, 0, KEEPS_LATCH)
    this.apLists.prune(words, v)
  }

  /**
   * Reads and clears the used list registers, and writes `hcr` to ICH_HCR_EL2. Those in `empty`, for which `reads`
   * reads were made, are not read. `keeps` is {@link KEEPS_LATCH}, or Linux 6.1's.
   */
  foldLrs(v: Vcpu, pe: Pe, hcr: number, used: number, empty: number, reads: number, keeps: number): void {
    const { words, seam } = this
    seam.beginFold(words, pe, hcr, used, empty)
    let read = reads
    for (let n = 0; n < used; n++) {
      const at = lrAt(pe, n)
      const isEmpty = (empty >> n) & 1
      this.foldOne(words, v, asIrq(words[v + VCPU_LR_IRQ + n]), isEmpty ? 0 : lrHigh(words, at), keeps)
      clearLr(words, at)
      words[v + VCPU_LR_IRQ + n] = 0
      read += 1 - isEmpty
    }
    words[v + VCPU_HCR] = 0
    words[v + VCPU_USED_LRS] = 0
    seam.folded(words, v, read, used)
  }

  /** Folds an interrupt, by the upper word of its list register; 0 if that is empty. */
  foldOne(words: Int32Array, v: Vcpu, irq: Irq, high: number, keeps: number): void {
    const word = words[irq]
    const state = irqStateOf(high)
    words[irq] = word & keeps ? (word & ~IRQ_ACTIVE) | state : foldedLevel(word, state, keeps)
    if ((word & (IRQ_HW | IRQ_EDGE)) === IRQ_HW)
      this.resample(v, irq, high, keeps === KEEPS_LATCH || (word & IRQ_ACTIVE) !== 0)
    if (irq >= this.firstLpi) this.foldLpi(words, irq, keeps)
  }

  /**
   * On silicon whose list registers have active LPIs (choice `lpiActive`) the hypervisor drops that state: the EOI of an
   * LPI counts nowhere, so one that had no list register by then would stay active. Linux 6.1 keeps it.
   */
  private foldLpi(words: Int32Array, irq: Irq, keeps: number): void {
    if (keeps === KEEPS_LATCH) words[irq] &= ~IRQ_ACTIVE
    this.apLists.lpis.put(irq)
  }

  /**
   * Samples the physical line of a mapped level-sensitive interrupt that is still pending in its list register, or
   * that was deactivated while its line is recorded as high. If the line is low, the physical interrupt is made
   * inactive, so that its next assertion is taken. Linux sees no deactivation of one that was not active before.
   */
  private resample(v: Vcpu, irq: Irq, high: number, seesDeactivation: boolean): void {
    const { words } = this
    const isEmpty = (high & (LR_ACTIVE | LR_PENDING)) === 0
    const deactivated = seesDeactivation && isEmpty && (words[irq] & IRQ_LINE) !== 0
    if ((high & LR_PENDING) === 0 && !deactivated) return
    if (this.mapped.physicalLine(v, irq)) {
      words[irq] |= IRQ_LINE
    } else {
      words[irq] &= ~IRQ_LINE
      this.mapped.setPhysicalActive(v, irq, false)
    }
  }

  /**
   * Deactivates the interrupts in no list register that the guest has ended; EOIcount is their number. They are the
   * first active ones on the ap_list after the last that was put into a list register, since earlier ones have list
   * registers.
   */
  deactivateCounted(v: Vcpu): void {
    const { words, seam, apLists } = this
    let count = HCR_EOIcount(seam.readHcr(v, asPe(words[v + VCPU_PE])))
    const last = asIrq(words[v + VCPU_LR_IRQ + words[v + VCPU_USED_LRS] - 1])
    for (let irq = apLists.after(v, last); irq !== 0 && count > 0; irq = asIrq(words[irq + IRQ_LINK])) {
      if ((words[irq] & IRQ_ACTIVE) === 0) continue
      this.deactivate(v, irq)
      count--
    }
  }

  /** Deactivates the interrupts of a vCPU that another vCPU has marked, because they were in a list register then. */
  deactivateMarked(v: Vcpu): void {
    const { words } = this
    for (let irq = asIrq(words[v + VCPU_AP_FIRST]); irq !== 0; irq = asIrq(words[irq + IRQ_LINK])) {
      if ((words[irq] & IRQ_DEACTIVATED) === 0) continue
      words[irq] &= ~IRQ_DEACTIVATED
      words[this.deactivated]--
      this.deactivate(v, irq)
    }
  }

  /**
   * Deactivates an interrupt that is in no list register, and its physical one, which no hardware has deactivated.
   */
  private deactivate(v: Vcpu, irq: Irq): void {
    const { words } = this
    words[irq] &= ~IRQ_ACTIVE
    if (words[irq] & IRQ_HW) this.mapped.deactivate(v, irq)
  }

  /**
   * Emulates a trapped write to ICC_DIR_EL1. The interrupt may be on the list of another vCPU, in a list register of
   * a running guest: then that vCPU is kicked, and its fold finds the mark.
   */
  deactivateByDir(v: Vcpu, intid: Intid): void {
    const { words, apLists } = this
    // DIR is ignored in EOImode 0.
    if ((this.seam.readVmcr(words, v, asPe(words[v + VCPU_PE])) & VMCR_VEOIM) === 0) return
    if (intid >= FIRST_SPI + apLists.layout.spiCount) return
    const irq = apLists.irqOf(v, intid)
    const owner = apLists.holderOf(irq) || v
    if (words[owner + VCPU_USED_LRS] !== 0) {
      this.mark(irq)
      apLists.notify(owner)
    } else if (words[irq] & IRQ_ACTIVE) {
      this.deactivate(v, irq)
      this.apLists.prune(words, owner)
      if (owner !== v) apLists.notify(owner)
    }
  }

  /** Marks an interrupt, which leaves its deactivation to the fold of the vCPU on whose list it is. */
  private mark(irq: Irq): void {
    const { words } = this
    if (words[irq] & IRQ_DEACTIVATED) return
    words[irq] |= IRQ_DEACTIVATED
    words[this.deactivated]++
  }
}

/**
 * The enables of the maintenance interrupts for a switch of each group, with the groups `off` disabled. That for a group's
 * being enabled is the bit below that for its being disabled.
 */
export const groupSwitches = (off: number): number =>
  (HCR_VGrp0DIE | HCR_VGrp1DIE) - ((off & VMCR_VENG0) << 4) - ((off & VMCR_VENG1) << 5)

/**
 * The word of a level-sensitive interrupt after a fold, by the state in which it comes back. One that went in pending
 * and is not pending any more was acknowledged, and loses its latch; with Linux 6.1 it keeps the latch until it is
 * inactive.
 */
const foldedLevel = (word: number, state: number, keeps: number): number =>
  (word & (state & ~keeps ? ~IRQ_ACTIVE : ~(IRQ_ACTIVE | IRQ_LATCH))) | (state & IRQ_ACTIVE)
