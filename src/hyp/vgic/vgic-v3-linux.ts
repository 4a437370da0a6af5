/**
 * What Linux 6.1 and 7.2 do otherwise than vgic-v3.ts with list registers and the CPU interface: the steps of the
 * baselines `kvm61` and `kvm72`, of which baselines.ts says what follows.
 */
import {
  HCR_En,
  HCR_EOIcount,
  HCR_LRENPIE,
  HCR_NPIE,
  HCR_TDIR,
  HCR_UIE,
  HCR_vSGIEOICount,
  LR_ACTIVE,
  VMCR_VENG0,
  VMCR_VENG1,
  VMCR_VEOIM,
} from '../../arch/ich-registers.ts'
import { FIRST_PPI, FIRST_SPI, type Intid } from '../../arch/intid.ts'
import { clearLr, lrAt, lrHigh } from '../../gic/cpu-interface/ich.ts'
import { asPe, type Pe } from '../../gic/records/pe.ts'
import { postRequest } from '../host/kick.ts'
import type { Seam } from '../host/seam.ts'
import {
  privateIrq,
  REQ_PRUNE,
  VCPU_AP_COUNT,
  VCPU_AP_FIRST,
  VCPU_AP0R,
  VCPU_AP1R,
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
  IRQ_EDGE,
  IRQ_HW,
  IRQ_LINK,
  type Irq,
  irqIsPending,
  irqStateOf,
  irqStaysOn,
} from '../records/vgic-irq.ts'
import { groupSwitches, type VgicV3 } from './vgic-v3.ts'

/**
 * Linux 6.1's choice: only edges. The latch of a level depends on the state in which it comes back, even if it was
 * active.
 */
export const KEEPS_LATCH_61 = IRQ_EDGE

/** Linux 7.2's vcpu_put: the last exit has saved ICH_VMCR_EL2. */
export function putActivePriorities(vgic: VgicV3, v: Vcpu): void {
  const { words, seam } = vgic
  seam.readActivePriorities(v, asPe(words[v + VCPU_PE]), v + VCPU_AP0R, v + VCPU_AP1R)
  words[v + VCPU_LOADED] = 0
}

/** Linux 6.1's flush: active interrupts first, and underflow as the only maintenance interrupt. */
export function flushActiveFirst(vgic: VgicV3, v: Vcpu): void {
  const { words, listRegisters } = vgic
  const count = words[v + VCPU_AP_COUNT]
  if (count < 2) {
    if (count === 1) vgic.flushOnly(v, asPe(words[v + VCPU_PE]), HCR_En)
    return
  }
  if (count > listRegisters && pendingOrActive(vgic, v) > listRegisters) vgic.apLists.sorts.activeFirst(v)
  const hcr = vgic.endOfFitting(v) === 0 ? HCR_En : HCR_En | HCR_UIE
  vgic.fill(v, asPe(words[v + VCPU_PE]), hcr)
}

/** How many interrupts on an ap_list are pending, enabled or not, or active: what Linux 6.1 sorts it by. */
function pendingOrActive({ words }: VgicV3, v: Vcpu): number {
  let count = 0
  for (let irq = asIrq(words[v + VCPU_AP_FIRST]); irq !== 0; irq = asIrq(words[irq + IRQ_LINK]))
    if (words[irq] & IRQ_ACTIVE || irqIsPending(words[irq])) count++
  return count
}

/**
 * Linux 7.2's flush of an ap_list of `count` interrupts: ICH_HCR_EL2 is written at every entry, also with an empty list,
 * and asks for a maintenance interrupt when the guest switches a group. The disabled groups are those of the shadow of
 * ICH_VMCR_EL2, which the last exit has saved. If nothing on the ap_list gets a list register, ICH_HCR_EL2 is as for an
 * empty list. List registers and the maintenance interrupt are taken to be as the fold has left them.
 */
export function flushWritingHcr(vgic: VgicV3, v: Vcpu, pe: Pe, count: number): void {
  if (count > 1) {
    flushSeveral(vgic, v, pe)
    return
  }
  const { words, seam } = vgic
  const vmcr = words[v + VCPU_VMCR]
  const none = hcrForNone(vgic, words, vmcr)
  if (count !== 0) vgic.flushOnly(v, pe, none & ~ruledOutBy(v, asIrq(words[v + VCPU_AP_FIRST])))
  if (count === 0 || words[v + VCPU_USED_LRS] === 0) writeHcr(seam, words, v, pe, none)
  seam.settleSwitches(words, pe, vmcr)
}

function flushSeveral(vgic: VgicV3, v: Vcpu, pe: Pe): void {
  const { words, seam } = vgic
  const vmcr = words[v + VCPU_VMCR]
  const none = hcrForNone(vgic, words, vmcr)
  const hcr = summarize(vgic, v, none)
  if (hcr & HCR_UIE) vgic.apLists.sorts.groupsFirst(v, disabledGroups(vmcr))
  vgic.fill(v, pe, hcr)
  if (words[v + VCPU_USED_LRS] !== 0) seam.settleMaintenance(words, pe)
  else {
    writeHcr(seam, words, v, pe, none)
    seam.settleSwitches(words, pe, vmcr)
  }
}

/** @inline */
function writeHcr(seam: Seam, words: Int32Array, v: Vcpu, pe: Pe, hcr: number): void {
  words[v + VCPU_HCR] = hcr
  seam.writeHcr(words, v, pe, hcr)
}

const disabledGroups = (vmcr: number): number => ~vmcr & (VMCR_VENG0 | VMCR_VENG1)

/** ICH_HCR_EL2 with nothing in a list register. ICC_DIR_EL1 is trapped by the count of SPIs in flight. */
function hcrForNone({ apLists }: VgicV3, words: Int32Array, vmcr: number): number {
  const off = disabledGroups(vmcr)
  const hcr = HCR_En | HCR_vSGIEOICount | groupSwitches(off)
  return apLists.hasSpisInFlight(words) ? hcr | HCR_TDIR : hcr
}

/** The bit of ICH_HCR_EL2 that an interrupt on the ap_list of `v` rules out: vSGIEOICount is for entries without SGIs. */
const ruledOutBy = (v: Vcpu, irq: Irq): number => (irq < privateIrq(v, FIRST_PPI) ? HCR_vSGIEOICount : 0)

/**
 * ICH_HCR_EL2 for several pending and active interrupts, by that for none: UIE for more than list registers, NPIE for more
 * pending ones, LRENPIE if there are active ones among more, and then ICC_DIR_EL1 is trapped, too.
 */
function summarize(vgic: VgicV3, v: Vcpu, none: number): number {
  const { words, apLists, listRegisters } = vgic
  const index = apLists.targetOf(words, v)
  let pending = 0
  let active = 0
  let hcr = none
  for (let irq = asIrq(words[v + VCPU_AP_FIRST]); irq !== 0; irq = asIrq(words[irq + IRQ_LINK])) {
    const word = words[irq]
    if (!irqStaysOn(word, index)) continue
    if (word & IRQ_ACTIVE) active++
    else pending++
    hcr &= ~ruledOutBy(v, irq)
  }
  if (pending + active <= listRegisters) return hcr
  if (pending > listRegisters) hcr |= HCR_NPIE
  if (active > 0) hcr |= HCR_LRENPIE | HCR_TDIR
  return hcr | HCR_UIE
}

/**
 * Linux 6.1's fold: EOIcount is ignored, and software's pending state of a level-sensitive interrupt is kept until
 * the interrupt is inactive.
 */
export function foldIgnoringEoiCount(vgic: VgicV3, v: Vcpu): void {
  const { words, seam } = vgic
  const pe = asPe(words[v + VCPU_PE])
  const used = words[v + VCPU_USED_LRS]
  const hcr = words[v + VCPU_HCR] & HCR_UIE
  if (used === 1) vgic.foldFirst(v, pe, hcr, KEEPS_LATCH_61)
  else if (used !== 0) vgic.foldLrs(v, pe, hcr, used, seam.elrsr(pe), 1, KEEPS_LATCH_61)
  vgic.apLists.prune(words, v)
}

/**
 * Linux 7.2's fold: it reads ICH_VMCR_EL2 and ICH_MISR_EL2 at every exit, ICH_HCR_EL2 if the guest may have ended
 * interrupts in no list register, and leaves ICH_HCR_EL2 zero, so that no maintenance interrupt stays asserted.
 */
export function foldSavingVmcr(vgic: VgicV3, v: Vcpu, pe: Pe): void {
  if (vgic.words[v + VCPU_USED_LRS] !== 0) foldUsed(vgic, v, pe, false)
  else foldUnused(vgic, v, pe)
}

/** The same if no list register is in use. */
function foldUnused(vgic: VgicV3, v: Vcpu, pe: Pe): void {
  foldNone(vgic, v, pe, 0)
  if (vgic.words[v + VCPU_AP_COUNT] !== 0) vgic.apLists.prune(vgic.words, v)
}

/**
 * The same if no list register is in use, and the ap_list is empty; with `saves` = 1 after a `saveVmcr`.
 * @inline
 */
export function foldNone(vgic: VgicV3, v: Vcpu, pe: Pe, saves: number): void {
  const { words, seam } = vgic
  words[v + VCPU_HCR] = 0
  words[v + VCPU_VMCR] = seam.disable(words, v, pe, saves)
}

/** `foldSavingVmcr`, but EOIcount deactivates from the head of the ap_list on (catalogue 56). */
export function foldCountingFromHead(vgic: VgicV3, v: Vcpu): void {
  const { words } = vgic
  const pe = asPe(words[v + VCPU_PE])
  if (words[v + VCPU_USED_LRS] !== 0) foldUsed(vgic, v, pe, true)
  else foldSavingVmcr(vgic, v, pe)
}

/** @noinline */
function foldUsed(vgic: VgicV3, v: Vcpu, pe: Pe, countsFromHead: boolean): void {
  const { words } = vgic
  const hcr = words[v + VCPU_HCR]
  words[v + VCPU_HCR] = 0
  if (hcr & HCR_LRENPIE) foldDeactivating(vgic, v, pe, countsFromHead)
  else if (words[v + VCPU_USED_LRS] !== 1) foldSeveral(vgic, v, pe)
  else {
    const irq = asIrq(words[v + VCPU_LR_IRQ])
    words[v + VCPU_LR_IRQ] = 0
    words[v + VCPU_USED_LRS] = 0
    foldCounting(vgic, words, v, irq, vgic.seam.takeOnly(words, v, pe, v + VCPU_VMCR))
  }
  vgic.apLists.prune(words, v)
}

function foldSeveral(vgic: VgicV3, v: Vcpu, pe: Pe): void {
  const { words, seam } = vgic
  const used = words[v + VCPU_USED_LRS]
  const empty = takeLrs(vgic, v, pe, used)
  words[v + VCPU_VMCR] = seam.disable(words, v, pe, 0)
  foldTaken(vgic, v, pe, used, empty)
}

/** The same, where the guest may have ended interrupts in no list register. */
function foldDeactivating(vgic: VgicV3, v: Vcpu, pe: Pe, countsFromHead: boolean): void {
  const { words, seam } = vgic
  const used = words[v + VCPU_USED_LRS]
  const empty = takeLrs(vgic, v, pe, used)
  words[v + VCPU_VMCR] = seam.readVmcr(words, v, pe)
  const ended = HCR_EOIcount(seam.readHcr(v, pe))
  seam.writeHcr(words, v, pe, 0)
  seam.readMisr(v, pe)
  const last = asIrq(words[v + VCPU_LR_IRQ + used - 1])
  foldTaken(vgic, v, pe, used, empty)
  if (ended !== 0) deactivateAfter(vgic, v, countsFromHead ? 0 : last, ended)
}

/** Reads ICH_ELRSR_EL2 and the list registers in use, and clears them; returns the former. */
function takeLrs(vgic: VgicV3, v: Vcpu, pe: Pe, used: number): number {
  const { words, seam } = vgic
  const empty = seam.readElrsr(v, pe)
  seam.takeLrs(words, v, pe, used, empty)
  return empty
}

function foldTaken(vgic: VgicV3, v: Vcpu, pe: Pe, used: number, empty: number): void {
  const { words } = vgic
  for (let n = 0; n < used; n++) {
    const at = lrAt(pe, n)
    foldCounting(vgic, words, v, asIrq(words[v + VCPU_LR_IRQ + n]), (empty >> n) & 1 ? 0 : lrHigh(words, at))
    clearLr(words, at)
    words[v + VCPU_LR_IRQ + n] = 0
  }
  words[v + VCPU_USED_LRS] = 0
}

/**
 * Folds an interrupt as Linux 7.2 does: an LPI is never active outside of its list register, and a level-sensitive
 * SPI that was seen active and is so no more is no longer counted as in flight. An edge stays counted, and so does a
 * level that was acknowledged and ended within one entry.
 */
function foldCounting(vgic: VgicV3, words: Int32Array, v: Vcpu, irq: Irq, high: number): void {
  const { apLists } = vgic
  const word = words[irq]
  const folded = irq >= vgic.firstLpi ? high & ~LR_ACTIVE : high
  vgic.foldOne(words, v, irq, folded, KEEPS_LATCH_61)
  const wasActiveLevel = (word & (IRQ_ACTIVE | IRQ_EDGE | IRQ_HW)) === IRQ_ACTIVE
  if (wasActiveLevel && irqStateOf(folded) === 0 && apLists.isSpi(irq)) apLists.discountSpi()
}

/**
 * Deactivates `count` interrupts that the guest has ended outside of list registers: the first active ones on the
 * ap_list after `last`, which had the last list register, or from its head if `last` is 0 (catalogue 56).
 */
function deactivateAfter(vgic: VgicV3, v: Vcpu, last: Irq | 0, count: number): void {
  const { words, apLists } = vgic
  let left = count
  for (let irq = apLists.after(v, last); irq !== 0 && left > 0; irq = asIrq(words[irq + IRQ_LINK])) {
    if ((words[irq] & IRQ_ACTIVE) === 0) continue
    deactivateOutside(vgic, v, irq)
    left--
  }
}

/**
 * Deactivates an interrupt in no list register as if it came back from one inactive, and a mapped one's physical
 * interrupt, even if it was pending only: then the host takes that again.
 */
function deactivateOutside(vgic: VgicV3, v: Vcpu, irq: Irq): void {
  const { words, seam } = vgic
  if (words[irq] & IRQ_HW) seam.deactivatePhysical(v, asPe(words[v + VCPU_PE]), vgic.mapped.pintidOf(v, irq))
  foldCounting(vgic, words, v, irq, vgic.populate(words, v, irq, words[irq]) & ~LR_ACTIVE)
}

/**
 * Emulates a trapped write to ICC_DIR_EL1 as Linux 7.2 does: EOImode is that of the shadow of ICH_VMCR_EL2. False if
 * the interrupt is in a list register of a running guest, and nothing was done: the VM must be stopped for it. A vCPU on
 * whose ap_list it is otherwise is not kicked.
 */
export function deactivateByShadow(vgic: VgicV3, v: Vcpu, intid: Intid): boolean {
  const { words, apLists } = vgic
  if ((words[v + VCPU_VMCR] & VMCR_VEOIM) === 0 || intid >= FIRST_SPI + apLists.layout.spiCount) return true
  const irq = apLists.irqOf(v, intid)
  const owner = apLists.holderOf(irq)
  if (owner === 0) return true
  if (isInListRegister(vgic, owner, irq)) return false
  deactivateOutside(vgic, v, irq)
  if (owner === v) apLists.prune(words, v)
  else postRequest(words, owner, REQ_PRUNE)
  return true
}

/**
 * The rest of it for an interrupt that was in the list register of a running guest, once the VM is stopped: as a write of
 * ICACTIVER. It stays as it was but for its active state, and in flight.
 */
export function deactivateStopped(vgic: VgicV3, v: Vcpu, intid: Intid): void {
  const { words, apLists, mapped } = vgic
  const irq = apLists.irqOf(v, intid)
  const word = words[irq]
  const owner = apLists.holderOf(irq)
  words[irq] = word & ~IRQ_ACTIVE
  if (word & IRQ_HW) mapped.setPhysicalActive(v, irq, false)
  if (owner !== 0) postRequest(words, owner, REQ_PRUNE)
}

function isInListRegister(vgic: VgicV3, v: Vcpu, irq: Irq): boolean {
  const { words } = vgic
  for (let n = words[v + VCPU_USED_LRS] - 1; n >= 0; n--) if (words[v + VCPU_LR_IRQ + n] === irq) return true
  return false
}
