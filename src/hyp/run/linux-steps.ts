/**
 * Steps that only the baselines `kvm61` and `kvm72` have: what Linux 6.1 and 7.2 do otherwise than a design of the library.
 * Each is a function of the machine's ThreadSteps, whose parts it uses.
 */
import { HCR_En } from '../../arch/ich-registers.ts'
import { INTID_NONE, type Intid } from '../../arch/intid.ts'
import { asPe } from '../../gic/records/pe.ts'
import {
  REQ_PRUNE,
  VCPU_AP_COUNT,
  VCPU_DATA,
  VCPU_ESR,
  VCPU_PE,
  VCPU_THREAD,
  VCPU_USED_LRS,
  type Vcpu,
} from '../records/vcpu.ts'
import { executeAsLinux61 } from '../vgic/vgic-its-linux.ts'
import * as vgicV3 from '../vgic/vgic-v3-linux.ts'
import { ESR_DIR, type ThreadSteps } from './thread-steps.ts'

/** Bits 12:10 of what is written to ICC_DIR_EL1. */
const CPU_NUMBER = 0x1c00

export function loadAgain(steps: ThreadSteps, v: Vcpu): void {
  const { words } = steps
  const pe = asPe(words[v + VCPU_PE])
  steps.trapGuest(words, v, pe)
  steps.vgic.load(words, v, pe)
}

export function putAgain(steps: ThreadSteps, v: Vcpu): void {
  vgicV3.putActivePriorities(steps.vgic, v)
}

export function handleRequestsPruning(steps: ThreadSteps, v: Vcpu): void {
  const { words, vgic } = steps
  if (words[v + VCPU_THREAD] & REQ_PRUNE) vgic.apLists.prune(words, v)
  steps.handleRequests(v)
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
  words[v + VCPU_USED_LRS] = 0
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
  const { vgic, words } = steps
  if (words[v + VCPU_ESR] !== ESR_DIR) steps.emulateSysreg(v)
  else if (vgicV3.deactivateByShadow(vgic, v, deactivatedIntid(words, v))) endDeactivation(words, v)
}

export function deactivationLeft(steps: ThreadSteps, v: Vcpu): boolean {
  return steps.words[v + VCPU_DATA] !== 0
}

export function deactivateStopped(steps: ThreadSteps, v: Vcpu): void {
  const { words, vgic } = steps
  vgicV3.deactivateStopped(vgic, v, deactivatedIntid(words, v))
  endDeactivation(words, v)
}

/**
 * The INTID that a trapped write of ICC_DIR_EL1 names. Linux 7.2 clears bits 12:10, where GICv2 has the number of a CPU, and
 * takes all 64 others to be the INTID's: with one that is set above it names none.
 */
function deactivatedIntid(words: Int32Array, v: Vcpu): Intid {
  return words[v + VCPU_DATA + 1] !== 0 ? INTID_NONE : (words[v + VCPU_DATA] & ~CPU_NUMBER) >>> 0
}

function endDeactivation(words: Int32Array, v: Vcpu): void {
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
  return candidate !== 0 && steps.halt.runnable(steps.words, candidate)
}
