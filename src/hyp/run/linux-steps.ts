/**
 * Steps that only the baselines `kvm61` and `kvm72` have: what Linux 6.1 and 7.2 do otherwise than a design of the library.
 * Each is a function of the machine's ThreadSteps, whose parts it uses.
 */
import { HCR_En } from '../../arch/ich-registers.ts'
import { asPe } from '../../gic/records/pe.ts'
import { VCPU_AP_COUNT, VCPU_DATA, VCPU_ESR, VCPU_PE, VCPU_USED_LRS, type Vcpu } from '../records/vcpu.ts'
import { executeAsLinux61 } from '../vgic/vgic-its-linux.ts'
import * as vgicV3 from '../vgic/vgic-v3-linux.ts'
import { ESR_DIR, type ThreadSteps } from './thread-steps.ts'

export function loadAgain(steps: ThreadSteps, v: Vcpu): void {
  steps.trapGuest(v)
  steps.vgic.load(v)
}

export function putAgain(steps: ThreadSteps, v: Vcpu): void {
  vgicV3.putActivePriorities(steps.vgic, v)
}

export function vpeEnable(steps: ThreadSteps, v: Vcpu): void {
  if (steps.words[v + VCPU_USED_LRS] === 0)
    steps.seam.writeHcr(steps.words, v, asPe(steps.words[v + VCPU_PE]), HCR_En)
  steps.settle(v)
}

export function vpeDisable(steps: ThreadSteps, v: Vcpu): void {
  steps.seam.writeHcr(steps.words, v, asPe(steps.words[v + VCPU_PE]), 0)
  steps.settle(v)
}

export function flushActiveFirst(steps: ThreadSteps, v: Vcpu): void {
  vgicV3.flushActiveFirst(steps.vgic, v)
  steps.settle(v)
}

export function flushWritingHcr(steps: ThreadSteps, v: Vcpu): void {
  const { words, vgic } = steps
  vgicV3.flushWritingHcr(vgic, v, asPe(words[v + VCPU_PE]), words[v + VCPU_AP_COUNT])
  steps.settle(v)
}

export function foldIgnoringEoiCount(steps: ThreadSteps, v: Vcpu): void {
  vgicV3.foldIgnoringEoiCount(steps.vgic, v)
  steps.settle(v)
}

export function foldSavingVmcr(steps: ThreadSteps, v: Vcpu): void {
  const { words, vgic } = steps
  vgicV3.foldSavingVmcr(vgic, v, asPe(words[v + VCPU_PE]))
  steps.settle(v)
}

/** A deactivation that is left keeps its INTID, which is an SPI's and so not 0, in VCPU_DATA. */
export function emulateSysregByShadow(steps: ThreadSteps, v: Vcpu): void {
  if (steps.words[v + VCPU_ESR] === ESR_DIR) deactivateStopped(steps, v)
  else steps.emulateSysreg(v)
}

export function deactivationLeft(steps: ThreadSteps, v: Vcpu): boolean {
  return steps.words[v + VCPU_DATA] !== 0
}

export function deactivateStopped(steps: ThreadSteps, v: Vcpu): void {
  const { words, vgic, seam } = steps
  if (!vgicV3.deactivateByShadow(vgic, v, words[v + VCPU_DATA] & seam.virtualInterface.intidMask)) return
  words[v + VCPU_DATA] = 0
  words[v + VCPU_DATA + 1] = 0
}

export function emulateMmioFromMemory(steps: ThreadSteps, v: Vcpu): number {
  return steps.mmio.access(v, false)
}

export function accessStoppedFromMemory(steps: ThreadSteps, v: Vcpu): number {
  return steps.withCommands(v, emulateMmioFromMemory(steps, v))
}

export function executeCommandAsLinux61(steps: ThreadSteps, v: Vcpu): void {
  const n = steps.commands.lockedBy(v)
  if (n >= 0) executeAsLinux61(steps.commands, n)
}

export function candidateRunnable(steps: ThreadSteps, v: Vcpu): boolean {
  const candidate = steps.onSpin.candidate(v)
  return candidate !== 0 && steps.halt.runnable(candidate)
}
