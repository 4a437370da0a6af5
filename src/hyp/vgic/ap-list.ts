/**
 * The ap_lists: for each vCPU, the interrupts that are pending or active for it (KVM's vgic.c). An interrupt is on at
 * most one list, that of the vCPU that its word names. Beside its word it has its link, the handle of the next one on the
 * list, as KVM's vgic_irq has its list_head; of an interrupt that is on none it is 0, so that a list that is walked ends.
 * Each method here is one critical section under the ap_list and interrupt locks.
 */
import { VMCR_VPMR } from '../../arch/ich-registers.ts'
import { FIRST_SPI, type Intid } from '../../arch/intid.ts'
import { type Kicks, postRequest } from '../host/kick.ts'
import {
  asVcpu,
  privateIntid,
  privateIrq,
  REQ_IRQ_PENDING,
  VCPU_AP_COUNT,
  VCPU_AP_FIRST,
  VCPU_AP_LAST,
  VCPU_INDEX,
  VCPU_MIGRANT,
  VCPU_MIGRANT_HELD,
  VCPU_MIGRANT_TO,
  VCPU_VMCR,
  type Vcpu,
} from '../records/vcpu.ts'
import {
  asIrq,
  IRQ_ACTIVE,
  IRQ_AP_LIST,
  IRQ_AP_LIST_SHIFT,
  IRQ_GROUP1,
  IRQ_LATCH,
  IRQ_LINE,
  IRQ_LINK,
  IRQ_SHIFT,
  type Irq,
  irqApListOf,
  irqInputMoves,
  irqIsDeliverable,
  irqPriority,
  irqStaysOn,
  irqTarget,
  irqWithInput,
  TARGET_NONE,
} from '../records/vgic-irq.ts'
import { VM_ACCESSING, VM_COUNTED_SPIS, VM_ENABLED, type VmLayout } from '../records/vm.ts'
import { ApListSorts } from './ap-list-sorts.ts'
import { VgicLpis } from './vgic-lpis.ts'

export class ApLists {
  private readonly vm: number
  private readonly vcpus: number
  private readonly vcpuSize: number
  private readonly spis: number
  /** The offset at which INTID 0 would have its word if it were an SPI. */
  private readonly spiZero: number
  /** LPIs: those on an ap_list are held. */
  readonly lpis: VgicLpis
  private readonly firstLpi: number
  /** The handle from which on {@link account} has something to do: that of the first SPI, if they are counted, or LPI. */
  private readonly firstAccounted: number
  /** The orders of a list for a flush that has too few list registers for it. */
  readonly sorts: ApListSorts

  constructor(
    readonly words: Int32Array,
    readonly layout: VmLayout,
    readonly kicks: Kicks,
    /** Whether the design reads the count of SPIs in flight; without it none are counted. */
    readonly countsSpis: boolean,
  ) {
    this.vm = layout.vm
    this.vcpus = layout.vcpus
    this.vcpuSize = layout.vcpuSize
    this.spis = layout.spis
    this.spiZero = layout.spis - (FIRST_SPI << IRQ_SHIFT)
    this.lpis = new VgicLpis(words, layout.lpis)
    this.firstLpi = this.lpis.first
    this.sorts = new ApListSorts(words, layout)
    this.firstAccounted = countsSpis ? layout.spis : this.firstLpi
  }

  /** The handle of an interrupt of a vCPU; SPIs are the same for all. */
  irqOf(v: Vcpu, intid: Intid): Irq {
    return intid < FIRST_SPI ? privateIrq(v, intid) : asIrq(this.spiZero + (intid << IRQ_SHIFT))
  }

  /** Whether a handle is an SPI's. */
  isSpi(irq: Irq): boolean {
    return irq >= this.spis && irq < this.firstLpi
  }

  /** The INTID of a handle on a vCPU's ap_list. */
  intidOf(v: Vcpu, irq: Irq): Intid {
    if (irq < this.spis) return privateIntid(v, irq)
    return irq < this.firstLpi ? (irq - this.spiZero) >> IRQ_SHIFT : this.lpis.intidOf(irq)
  }

  /** The vCPU on whose ap_list an interrupt is; 0 if it is on none. */
  holderOf(irq: Irq): Vcpu | 0 {
    const index = irqApListOf(this.words[irq])
    return index === 0 ? 0 : this.vcpuOf(index - 1)
  }

  /** The interrupt after one on a vCPU's ap_list, if it is on that, or the first if it is 0. */
  after(v: Vcpu, irq: Irq | 0): Irq | 0 {
    const { words } = this
    if (irq === 0) return asIrq(words[v + VCPU_AP_FIRST])
    return irqApListOf(words[irq]) === words[v + VCPU_INDEX] + 1 ? asIrq(words[irq + IRQ_LINK]) : 0
  }

  /** The interrupts on a vCPU's ap_list, in order, for code that may allocate. */
  listOf(v: Vcpu): Irq[] {
    const { words } = this
    const list: Irq[] = []
    for (let irq = asIrq(words[v + VCPU_AP_FIRST]); irq !== 0; irq = asIrq(words[irq + IRQ_LINK]))
      list.push(irq)
    return list
  }

  /** The target field of interrupts for a vCPU; -1 while the distributor is off, which no interrupt has. */
  targetOf(words: Int32Array, v: Vcpu): number {
    return words[this.vm + VM_ENABLED] !== 0 ? words[v + VCPU_INDEX] : -1
  }

  /** The vCPU whose access is emulated; vCPU 0 if nobody's was yet. */
  get accessing(): Vcpu {
    const v = this.words[this.vm + VM_ACCESSING]
    return v === 0 ? this.vcpuOf(0) : asVcpu(v)
  }

  /** The record of a vCPU. */
  vcpuOf(index: number): Vcpu {
    return asVcpu(this.vcpus + index * this.vcpuSize)
  }

  /**
   * The vCPU on whose ap_list an interrupt belongs, by its word: a vCPU's record, or 0 for none. An active interrupt
   * stays where it is; a pending and enabled one goes to its target, unless the distributor is off.
   */
  targetOracle(words: Int32Array, word: number): Vcpu | 0 {
    if (word & IRQ_ACTIVE)
      return irqApListOf(word) === 0 ? this.targetVcpu(word) : this.vcpuOf(irqApListOf(word) - 1)
    if (!irqIsDeliverable(word)) return 0
    return words[this.vm + VM_ENABLED] !== 0 ? this.targetVcpu(word) : 0
  }

  /** The vCPU that an interrupt is routed to; 0 if its GICD_IROUTER names none. */
  private targetVcpu(word: number): Vcpu | 0 {
    const target = irqTarget(word)
    return target === TARGET_NONE ? 0 : this.vcpuOf(target)
  }

  /**
   * kvm_vgic_vcpu_pending_irq: whether an enabled interrupt on the ap_list is pending, not active, and of higher
   * priority than the guest's mask. It reads the mask in the shadow of ICH_VMCR_EL2, ignores the group enables, the
   * running priority and PSTATE, and changes nothing: it may be called for any vCPU, but only the owner of a blocked
   * one may rely on the answer.
   */
  hasPendingIrq(words: Int32Array, v: Vcpu): boolean {
    // Mostly the ap_list is empty, which one word tells.
    return words[v + VCPU_AP_COUNT] !== 0 && this.hasPendingOnList(words, v)
  }

  private hasPendingOnList(words: Int32Array, v: Vcpu): boolean {
    if (words[this.vm + VM_ENABLED] === 0) return false
    const mask = VMCR_VPMR(words[v + VCPU_VMCR])
    for (let irq = asIrq(words[v + VCPU_AP_FIRST]); irq !== 0; irq = asIrq(words[irq + IRQ_LINK])) {
      const word = words[irq]
      if (irqIsDeliverable(word) && irqPriority(word) < mask) return true
    }
    return false
  }

  /**
   * Sets an interrupt's input, as a device does: a rising edge is latched, a level is stored. Puts the interrupt on
   * the list where it belongs and returns that vCPU, which is to be notified; 0 for none.
   */
  setInput(irq: Irq, level: number): Vcpu | 0 {
    const { words } = this
    const word = words[irq]
    return irqInputMoves(word, level) ? this.queue(words, irq, irqWithInput(word)) : 0
  }

  /** `setInput`, which does not take an SPI to be the first in flight (catalogue 58). */
  setInputCountedHere(irq: Irq, level: number): Vcpu | 0 {
    const counted = this.vm + VM_COUNTED_SPIS
    this.words[counted]++
    const v = this.setInput(irq, level)
    this.words[counted]--
    return v
  }

  /** The vCPU that `setInput` would return. */
  targetOfInput(irq: Irq, level: number): Vcpu | 0 {
    const word = this.words[irq]
    return irqInputMoves(word, level) ? this.targetOracle(this.words, irqWithInput(word)) : 0
  }

  /**
   * Makes an interrupt pending whatever its trigger, as an SGI or a write to ISPENDR does; returns what `setInput`
   * does.
   */
  latch(irq: Irq): Vcpu | 0 {
    return this.queue(this.words, irq, this.words[irq] | IRQ_LATCH)
  }

  /** Stores an interrupt's word, puts it on the list where it belongs and notifies that vCPU: vgic_queue_irq_unlock. */
  store(irq: Irq, word: number): void {
    const target = this.queue(this.words, irq, word)
    if (target !== 0) this.notify(target)
  }

  /** Sets an interrupt's input and notifies the vCPU; `word` is the interrupt's, for a caller that has read it. */
  inject(irq: Irq, level: number, word = this.words[irq]): void {
    if (irqInputMoves(word, level)) this.store(irq, irqWithInput(word))
  }

  /** Takes the LPIs off a vCPU's ap_list, which its redistributor no longer forwards. They keep their pending state. */
  takeLpisOff(v: Vcpu): void {
    let before = asIrq(0)
    for (const irq of this.listOf(v)) {
      if (irq < this.firstLpi) before = irq
      else this.discard(v, before, irq)
    }
  }

  /** Takes all interrupts off a vCPU's ap_list. */
  clear(v: Vcpu): void {
    for (const irq of this.listOf(v)) this.discard(v, asIrq(0), irq)
  }

  /** Notifies a vCPU that an interrupt was queued: the request first, then the kick. */
  notify(v: Vcpu): void {
    this.kicks.notify(this.words, v)
  }

  /**
   * Stores an interrupt's word and puts it on the ap_list where it belongs. One that is on a list already may be
   * missing from the list registers of a running guest, so its vCPU is to be notified in both cases.
   */
  queue(words: Int32Array, irq: Irq, word: number): Vcpu | 0 {
    const v = this.targetOracle(words, word)
    if (v === 0 || irqApListOf(word) !== 0) {
      words[irq] = word
      return v
    }
    this.place(words, v, irq, word)
    if (irq >= this.firstAccounted) this.account(irq)
    return v
  }

  /** Of what was put on a list, an LPI is held, and an SPI counted in {@link VM_COUNTED_SPIS}. */
  private account(irq: Irq): void {
    if (irq >= this.firstLpi) this.lpis.get(irq)
    else this.countSpi()
  }

  /**
   * Counts an SPI in flight. The first one is a reason for every vCPU to enter anew, with ICC_DIR_EL1 trapped: KVM's request
   * to all, which wakes those that sleep, too.
   */
  private countSpi(): void {
    const { words, layout } = this
    if (words[this.vm + VM_COUNTED_SPIS]++ !== 0) return
    for (let i = 0; i < layout.vcpuCount; i++) {
      postRequest(words, this.vcpuOf(i), REQ_IRQ_PENDING)
      this.kicks.kick(this.vcpuOf(i))
    }
  }

  /** Whether SPIs are counted as in flight. */
  hasSpisInFlight(words: Int32Array): boolean {
    return words[this.vm + VM_COUNTED_SPIS] !== 0
  }

  /** A level-sensitive SPI was deactivated. Linux's atomic_dec_if_positive: the count may be too small by now. */
  discountSpi(): void {
    if (this.words[this.vm + VM_COUNTED_SPIS] > 0) this.words[this.vm + VM_COUNTED_SPIS]--
  }

  /** Puts an interrupt that is on no list on that of its target, `v`. */
  private place(words: Int32Array, v: Vcpu, irq: Irq, word: number): void {
    this.linkLast(words, v, irq)
    words[irq] = word | ((irqTarget(word) + 1) << IRQ_AP_LIST_SHIFT)
  }

  /** Puts an interrupt on the list of a vCPU, off whatever list it is on. */
  moveTo(v: Vcpu, irq: Irq): void {
    const { words } = this
    const word = words[irq]
    const holder = this.holderOf(irq)
    if (holder !== 0) this.remove(holder, irq)
    this.linkLast(words, v, irq)
    words[irq] = (word & ~IRQ_AP_LIST) | ((words[v + VCPU_INDEX] + 1) << IRQ_AP_LIST_SHIFT)
  }

  /**
   * Puts an interrupt at the end of a list. Its link is 0 already, unless it is an LPI whose slot was freed on a list, by a
   * reference too few: what has come after it there must not make a ring of this list.
   */
  private linkLast(words: Int32Array, v: Vcpu, irq: Irq): void {
    const last = asIrq(words[v + VCPU_AP_LAST])
    words[last === 0 ? v + VCPU_AP_FIRST : last + IRQ_LINK] = irq
    words[irq + IRQ_LINK] = 0
    words[v + VCPU_AP_LAST] = irq
    words[v + VCPU_AP_COUNT]++
  }

  private remove(v: Vcpu, irq: Irq): void {
    const { words } = this
    let before = asIrq(0)
    let at = asIrq(words[v + VCPU_AP_FIRST])
    while (at !== irq && at !== 0) {
      before = at
      at = asIrq(words[at + IRQ_LINK])
    }
    if (at !== 0) this.unlink(v, before, irq)
    // An LPI that was freed on the list has cut it off before this interrupt.
    else words[irq + IRQ_LINK] = 0
  }

  /** Takes an interrupt off a list, on which it is after `before`, or the first if that is 0. */
  private unlink(v: Vcpu, before: Irq, irq: Irq): void {
    const { words } = this
    const link = irq + IRQ_LINK
    words[before === 0 ? v + VCPU_AP_FIRST : before + IRQ_LINK] = words[link]
    words[link] = 0
    if (words[v + VCPU_AP_LAST] === irq) words[v + VCPU_AP_LAST] = before
    words[v + VCPU_AP_COUNT]--
  }

  /** Removes interrupts that do not belong on a vCPU's list, and puts them on the list where they belong, if any. */
  prune(words: Int32Array, v: Vcpu): void {
    const count = words[v + VCPU_AP_COUNT]
    if (count === 1) this.pruneOnly(words, v)
    else if (count !== 0) this.pruneSeveral(v)
  }

  /**
   * Prunes a list of one interrupt, as most are. Most have been ended, too: one that is neither pending nor active belongs
   * on no list.
   */
  private pruneOnly(words: Int32Array, v: Vcpu): void {
    const irq = asIrq(words[v + VCPU_AP_FIRST])
    const word = words[irq]
    if (word & (IRQ_ACTIVE | IRQ_LATCH | IRQ_LINE) || irq >= this.firstLpi) {
      this.pruneSeveral(v)
      return
    }
    words[v + VCPU_AP_FIRST] = 0
    words[v + VCPU_AP_LAST] = 0
    words[v + VCPU_AP_COUNT] = 0
    words[irq] = word & ~IRQ_AP_LIST
  }

  private pruneSeveral(v: Vcpu): void {
    const { words } = this
    const index = this.targetOf(words, v)
    let link = v + VCPU_AP_FIRST
    let last = 0
    let kept = 0
    for (let irq = asIrq(words[link]), next = irq; irq !== 0; irq = next) {
      next = asIrq(words[irq + IRQ_LINK])
      const word = words[irq]
      if (irqStaysOn(word, index)) {
        link = irq + IRQ_LINK
        last = irq
        kept++
        continue
      }
      words[link] = next
      words[irq + IRQ_LINK] = 0
      this.takeOff(words, irq, word)
    }
    words[v + VCPU_AP_LAST] = last
    words[v + VCPU_AP_COUNT] = kept
  }

  /**
   * The part of a prune that is one section: removes interrupts that belong on no list, up to the first that belongs on
   * another list, which stays until {@link migratePicked}. Returns whether there is none. With `holds` it is held.
   */
  pick(v: Vcpu, holds: boolean): boolean {
    const { words } = this
    const index = this.targetOf(words, v)
    let before = asIrq(0)
    let irq = asIrq(words[v + VCPU_AP_FIRST])
    while (irq !== 0) {
      const next = asIrq(words[irq + IRQ_LINK])
      const word = words[irq]
      const to = this.targetOracle(words, word & ~IRQ_AP_LIST)
      if (irqStaysOn(word, index)) before = irq
      else if (to === 0) this.discard(v, before, irq)
      else {
        this.setMigrant(v, irq, to, holds && irq >= this.firstLpi)
        return false
      }
      irq = next
    }
    return true
  }

  /** Takes an interrupt off a list, on which it is after `before`. */
  private discard(v: Vcpu, before: Irq, irq: Irq): void {
    this.unlink(v, before, irq)
    this.words[irq] &= ~IRQ_AP_LIST
    if (irq >= this.firstLpi) this.lpis.put(irq)
  }

  private setMigrant(v: Vcpu, irq: Irq, to: Vcpu, holds: boolean): void {
    const { words } = this
    words[v + VCPU_MIGRANT] = irq
    words[v + VCPU_MIGRANT_TO] = to
    words[v + VCPU_MIGRANT_HELD] = holds ? 1 : 0
    if (holds) this.lpis.get(irq)
  }

  /**
   * The rest of a prune: moves the interrupt that was picked, if it belongs there still, and is still on the list of its
   * vCPU. Without `asksOwner` only the former is looked at; without `notifies` nobody is told.
   */
  migratePicked(v: Vcpu, asksOwner: boolean, notifies = true): void {
    const { words } = this
    const [irq, to] = [asIrq(words[v + VCPU_MIGRANT]), asVcpu(words[v + VCPU_MIGRANT_TO])]
    if (irq === 0) return
    const word = words[irq]
    const isOwn = irqApListOf(word) === words[v + VCPU_INDEX] + 1
    if ((isOwn || !asksOwner) && this.targetOracle(words, word & ~IRQ_AP_LIST) === to) {
      this.moveTo(to, irq)
      if (notifies) this.notify(to)
    }
    if (words[v + VCPU_MIGRANT_HELD] !== 0) this.lpis.put(irq)
    words[v + VCPU_MIGRANT] = 0
    words[v + VCPU_MIGRANT_TO] = 0
    words[v + VCPU_MIGRANT_HELD] = 0
  }

  private takeOff(words: Int32Array, irq: Irq, word: number): void {
    if (!irqIsDeliverable(word)) words[irq] = word & ~IRQ_AP_LIST
    else if (!this.migrate(irq, word)) return
    if (irq >= this.firstLpi) this.lpis.put(irq)
  }

  /**
   * Puts an interrupt that was taken off a list on that of its target, unless the distributor is off. It is in flight
   * already, and not counted again. False for one that is on its target's list already: it was met only because an LPI was
   * freed on the other list, whose slot is on this one by now. Put there again, it would be met again, and so on.
   */
  private migrate(irq: Irq, word: number): boolean {
    const { words } = this
    const off = word & ~IRQ_AP_LIST
    const target = this.targetOracle(words, off)
    if (target === 0) {
      words[irq] = off
      return true
    }
    if (irqApListOf(word) === words[target + VCPU_INDEX] + 1) return false
    this.place(words, target, irq, off)
    if (irq >= this.firstLpi) this.lpis.get(irq)
    this.notify(target)
    return true
  }

  /** Whether interrupts of both groups are on a list. */
  hasBothGroups(v: Vcpu): boolean {
    const { words } = this
    const first = asIrq(words[v + VCPU_AP_FIRST])
    const word = words[first]
    let differences = 0
    for (let irq = first; irq !== 0; irq = asIrq(words[irq + IRQ_LINK])) differences |= words[irq] ^ word
    return (differences & IRQ_GROUP1) !== 0
  }
}
