/**
 * Variants of vgic-v3.ts that only the museum's designs have (src/explore/museum): each has a known bug, but for
 * `foldListRegisters`, which is the first half of a fold that another vCPU may come between.
 */
import { HCR_En, HCR_LRENPIE, HCR_TDIR, LR_PENDING } from '../../arch/ich-registers.ts'
import { FIRST_SPI, type Intid } from '../../arch/intid.ts'
import { lrAt, lrHigh } from '../../gic/cpu-interface/ich.ts'
import { asPe } from '../../gic/records/pe.ts'
import { VCPU_AP_COUNT, VCPU_HCR, VCPU_LR_IRQ, VCPU_PE, VCPU_USED_LRS, type Vcpu } from '../records/vcpu.ts'
import {
  asIrq,
  IRQ_ACTIVE,
  IRQ_EDGE,
  IRQ_HW,
  IRQ_LINE,
  type Irq,
  irqIsMappedLevel,
} from '../records/vgic-irq.ts'
import type { VgicV3 } from './vgic-v3.ts'
import { foldSavingVmcr, KEEPS_LATCH_61 } from './vgic-v3-linux.ts'

/** `flush`, without references to the LPIs in list registers. */
export function flushUnheld(vgic: VgicV3, v: Vcpu): void {
  vgic.flush(v)
  forEachLpi(vgic, v, (irq) => vgic.apLists.lpis.put(irq))
}

/** `fold`, after `flushUnheld`. */
export function foldUnheld(vgic: VgicV3, v: Vcpu): void {
  forEachLpi(vgic, v, (irq) => vgic.apLists.lpis.get(irq))
  vgic.fold(v)
}

function forEachLpi(vgic: VgicV3, v: Vcpu, act: (irq: Irq) => void): void {
  const { words } = vgic
  for (let n = 0; n < words[v + VCPU_USED_LRS]; n++) {
    const irq = asIrq(words[v + VCPU_LR_IRQ + n])
    if (irq >= vgic.firstLpi) act(irq)
  }
}

/** `flush`, where active interrupts of an overflowing list are sorted the other way. */
export function flushActiveReversed(vgic: VgicV3, v: Vcpu): void {
  const { words } = vgic
  const count = words[v + VCPU_AP_COUNT]
  if (count <= vgic.listRegisters) vgic.flush(v)
  else {
    vgic.apLists.sorts.activeReversed(v)
    const overflow = vgic.overflowInterrupts(vgic.endOfFitting(v), 0, 0)
    vgic.fill(v, asPe(words[v + VCPU_PE]), HCR_En | HCR_TDIR | overflow)
  }
}

/** `flush`, where a level that is active goes in as pending, too, while its line is high (catalogue 25). */
export function flushActiveAndPending(vgic: VgicV3, v: Vcpu): void {
  const { words, seam, apLists } = vgic
  vgic.flush(v)
  const pe = asPe(words[v + VCPU_PE])
  const used = words[v + VCPU_USED_LRS]
  let status = 0
  for (let n = 0; n < used; n++) {
    const irq = asIrq(words[v + VCPU_LR_IRQ + n])
    const isBoth = (words[irq] & (IRQ_EDGE | IRQ_HW | IRQ_ACTIVE | IRQ_LINE)) === (IRQ_ACTIVE | IRQ_LINE)
    const high = lrHigh(words, lrAt(pe, n)) | (isBoth ? LR_PENDING : 0)
    status |= seam.fillLr(words, pe, n, apLists.intidOf(v, irq), high)
  }
  if (used !== 0) seam.filled(words, v, pe, words[v + VCPU_HCR], used, status)
}

/** A fold that leaves the ap_list as it is. */
export function foldListRegisters(vgic: VgicV3, v: Vcpu): void {
  const used = vgic.words[v + VCPU_USED_LRS]
  if (used !== 0) vgic.foldSome(v, asPe(vgic.words[v + VCPU_PE]), used)
}

/** Linux 7.2's fold, where a mapped level keeps the sample of its line that it had before (catalogue 31). */
export function foldUnsampled(vgic: VgicV3, v: Vcpu): void {
  const { words } = vgic
  const used = words[v + VCPU_USED_LRS]
  const irqs = Array.from({ length: used }, (_, n) => asIrq(words[v + VCPU_LR_IRQ + n]))
  const lines = irqs.map((irq) => (irqIsMappedLevel(words[irq]) ? words[irq] & IRQ_LINE : 0))
  foldSavingVmcr(vgic, v, asPe(words[v + VCPU_PE]))
  for (const [n, irq] of irqs.entries()) if (lines[n] !== 0) vgic.apLists.store(irq, words[irq] | IRQ_LINE)
}

/** `fold`, where the physical interrupt of what comes back active is made inactive (catalogue 32). */
export function foldDroppingActive(vgic: VgicV3, v: Vcpu): void {
  const { words } = vgic
  const used = words[v + VCPU_USED_LRS]
  const irqs = Array.from({ length: used }, (_, n) => asIrq(words[v + VCPU_LR_IRQ + n]))
  vgic.fold(v)
  for (const irq of irqs)
    if ((words[irq] & (IRQ_HW | IRQ_ACTIVE)) === (IRQ_HW | IRQ_ACTIVE))
      vgic.mapped.setPhysicalActive(v, irq, false)
}

/** `fold`, where LPIs keep the active state that they have in a list register (catalogue 34). */
export function foldKeepingActiveLpis(vgic: VgicV3, v: Vcpu): void {
  const { words, seam } = vgic
  const pe = asPe(words[v + VCPU_PE])
  const used = words[v + VCPU_USED_LRS]
  if (used !== 0 && words[v + VCPU_HCR] & HCR_LRENPIE) vgic.deactivateCounted(v)
  if (used !== 0) vgic.foldLrs(v, pe, vgic.idleHcr, used, seam.elrsr(pe), 1, KEEPS_LATCH_61)
  if (words[vgic.deactivated] !== 0) vgic.deactivateMarked(v)
  vgic.apLists.prune(words, v)
}

/**
 * Deactivates what a trapped write to ICC_DIR_EL1 names without a sample of its line, if it is in no list register: a level
 * that was high before stays pending (catalogue 60).
 */
export function deactivateUnsampled(vgic: VgicV3, v: Vcpu, intid: Intid): void {
  const { words, apLists } = vgic
  if (intid >= FIRST_SPI + apLists.layout.spiCount) return
  const irq = apLists.irqOf(v, intid)
  const line = words[irq] & IRQ_LINE
  vgic.deactivateByDir(v, intid)
  if (line !== 0 && (words[irq] & IRQ_ACTIVE) === 0) apLists.store(irq, words[irq] | line)
}
