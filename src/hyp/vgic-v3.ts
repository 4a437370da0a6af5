/**
 * The vGIC's list registers and CPU interface registers (KVM's vgic-v3.c): flush fills the list registers from
 * the ap_list before entry, fold brings them back after exit, load and put move the state that stays in the
 * hardware for as long as the vCPU's thread is on the PE: ICH_VMCR_EL2 and the active priorities.
 */
import {
  HCR_En,
  HCR_UIE,
  LR_ACTIVE,
  LR_EOI,
  LR_Group,
  LR_PENDING,
  LR_PRIORITY_SHIFT,
  LR_STATE,
  LR_State,
} from '../arch/ich.ts'
import type { ApLists } from './ap-list.ts'
import type { Seam } from './seam.ts'
import {
  VCPU_AP_COUNT,
  VCPU_AP0R,
  VCPU_AP1R,
  VCPU_HCR,
  VCPU_LOADED,
  VCPU_LR,
  VCPU_PE,
  VCPU_USED_LRS,
  VCPU_VMCR,
} from './vcpu.ts'
import { IRQ_ACTIVE, IRQ_EDGE, IRQ_GROUP1, IRQ_LATCH, irqIsPending, irqPriority } from './vgic-irq.ts'

export class VgicV3 {
  readonly words: Int32Array
  readonly listRegisters: number

  constructor(
    readonly seam: Seam,
    readonly apLists: ApLists,
  ) {
    this.words = seam.words
    this.listRegisters = seam.silicon.config.listRegisters
  }

  /** vcpu_load: the CPU interface state becomes resident. */
  load(v: number): void {
    const { words, seam } = this
    const pe = words[v + VCPU_PE]
    seam.writeVmcr(v, pe, words[v + VCPU_VMCR])
    const registers = seam.readActivePriorityRegisters(v)
    for (let n = 0; n < registers; n++) {
      seam.writeAp0r(v, pe, n, words[v + VCPU_AP0R + n])
      seam.writeAp1r(v, pe, n, words[v + VCPU_AP1R + n])
    }
    words[v + VCPU_LOADED] = 1
  }

  /** vcpu_put: the shadow becomes authoritative again. */
  put(v: number): void {
    const { words, seam } = this
    const pe = words[v + VCPU_PE]
    this.saveVmcr(v)
    const registers = seam.readActivePriorityRegisters(v)
    for (let n = 0; n < registers; n++) {
      words[v + VCPU_AP0R + n] = seam.readAp0r(v, pe, n)
      words[v + VCPU_AP1R + n] = seam.readAp1r(v, pe, n)
    }
    words[v + VCPU_LOADED] = 0
  }

  /** Refreshes the shadow of ICH_VMCR_EL2, which runnable() reads. */
  saveVmcr(v: number): void {
    this.words[v + VCPU_VMCR] = this.seam.readVmcr(v, this.words[v + VCPU_PE])
  }

  /** Fills list registers from the ap_list; with an empty list the hardware is left as it is. */
  flush(v: number): void {
    if (this.words[v + VCPU_AP_COUNT] !== 0) this.flushSome(v)
  }

  private flushSome(v: number): void {
    const { words, seam, apLists, listRegisters } = this
    const count = words[v + VCPU_AP_COUNT]
    let hcr = HCR_En
    if (count > listRegisters) {
      apLists.sort(v)
      hcr |= HCR_UIE
    }
    const list = v + apLists.place.apList
    let used = 0
    for (let i = 0; i < count && used < listRegisters; i++) {
      const irq = words[list + i]
      if (apLists.targetOracle(irq) !== v) continue
      this.populate(v, irq, v + VCPU_LR + 2 * used)
      used++
    }
    words[v + VCPU_USED_LRS] = used
    words[v + VCPU_HCR] = hcr
    const pe = words[v + VCPU_PE]
    seam.writeHcr(v, pe, hcr)
    for (let n = 0, at = v + VCPU_LR; n < used; n++, at += 2) seam.writeLr(v, pe, n, words[at], words[at + 1])
  }

  /**
   * Puts an interrupt into the two words at `at`. A level-sensitive one asks for a maintenance interrupt at its
   * EOI and is never pending and active at once, so that its deactivation is seen and its line sampled again.
   */
  private populate(v: number, irq: number, at: number): void {
    const { words } = this
    const word = words[irq]
    let high = irqPriority(word) << LR_PRIORITY_SHIFT
    if (word & IRQ_GROUP1) high |= LR_Group
    if (word & IRQ_ACTIVE) high |= LR_ACTIVE
    const edge = (word & IRQ_EDGE) !== 0
    if (!edge) high |= LR_EOI
    if ((edge || (word & IRQ_ACTIVE) === 0) && irqIsPending(word)) {
      high |= LR_PENDING
      if (edge) words[irq] = word & ~IRQ_LATCH
    }
    words[at] = this.apLists.intidOf(v, irq)
    words[at + 1] = high
  }

  /** Brings the list registers back after an exit and takes what is done with off the ap_list. */
  fold(v: number): void {
    if (this.words[v + VCPU_USED_LRS] !== 0) this.foldSome(v)
    if (this.words[v + VCPU_AP_COUNT] !== 0) this.apLists.prune(v)
  }

  private foldSome(v: number): void {
    const { words, seam } = this
    const pe = words[v + VCPU_PE]
    const used = words[v + VCPU_USED_LRS]
    const empty = seam.readElrsr(v, pe)
    words[v + VCPU_HCR] &= ~HCR_En
    seam.writeHcr(v, pe, words[v + VCPU_HCR])
    for (let n = 0, at = v + VCPU_LR; n < used; n++, at += 2) {
      if (empty & (1 << n)) words[at + 1] &= ~LR_STATE
      else seam.readLr(v, pe, n, at)
      seam.writeLr(v, pe, n, 0, 0)
      this.foldOne(v, at)
      words[at] = 0
      words[at + 1] = 0
    }
    words[v + VCPU_HCR] = 0
    words[v + VCPU_USED_LRS] = 0
  }

  private foldOne(v: number, at: number): void {
    const { words } = this
    const irq = this.apLists.irqOf(v, words[at])
    const high = words[at + 1]
    let word = words[irq] & ~IRQ_ACTIVE
    if (high & LR_ACTIVE) word |= IRQ_ACTIVE
    const pending = (LR_State(high) & 1) !== 0
    if (word & IRQ_EDGE) {
      if (pending) word |= IRQ_LATCH
    } else if (!pending) {
      word &= ~IRQ_LATCH
    }
    words[irq] = word
  }
}
