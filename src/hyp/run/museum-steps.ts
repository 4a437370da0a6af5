/**
 * Steps that only the museum's designs have (src/explore/museum): most have a known bug each; the rest are halves of a step,
 * between which another actor may come, or what the scene of a bug needs beside it. Their rows in steps.ts say which. Each
 * is a function of the machine's ThreadSteps, whose parts it uses.
 */
import { VCPU_CACHED, VCPU_DATA, VCPU_ESR, VCPU_INDEX, type Vcpu } from '../records/vcpu.ts'
import { asIrq, type Irq } from '../records/vgic-irq.ts'
import * as vgicIts from '../vgic/vgic-its-museum.ts'
import { foldCountingFromHead as foldFromHead } from '../vgic/vgic-v3-linux.ts'
import * as vgicV3 from '../vgic/vgic-v3-museum.ts'
import * as vgicV4 from '../vgic/vgic-v4-museum.ts'
import { ESR_DIR, type ThreadSteps } from './thread-steps.ts'

export function vpeLoadUnmoved(steps: ThreadSteps, v: Vcpu): void {
  if (steps.isWaiting(v)) return
  const was = steps.maskInterrupts(v)
  if (steps.v4) vgicV4.loadUnmoved(steps.v4, v)
  steps.takeMasked(v, was)
}

export function vpePutAtOnce(steps: ThreadSteps, v: Vcpu): void {
  const was = steps.maskInterrupts(v)
  if (steps.v4) vgicV4.putAtOnce(steps.v4, v, steps.isWaiting(v))
  steps.takeMasked(v, was)
}

export function vpePutUnlocked(steps: ThreadSteps, v: Vcpu): void {
  const was = steps.maskInterrupts(v)
  if (steps.v4) vgicV4.putUnstored(steps.v4, v)
  steps.takeMasked(v, was)
}

export function storePendingLast(steps: ThreadSteps, v: Vcpu): void {
  if (steps.v4) vgicV4.storeLast(steps.v4, v)
}

export function vpePutAnyway(steps: ThreadSteps, v: Vcpu): void {
  const was = steps.maskInterrupts(v)
  if (steps.v4) vgicV4.putAnyway(steps.v4, v, steps.isWaiting(v))
  steps.takeMasked(v, was)
}

export function vpeUnmap(steps: ThreadSteps, v: Vcpu): void {
  steps.v4?.vpes.unmap(v, steps.words[v + VCPU_INDEX])
}

export function vpeUnmapSynced(steps: ThreadSteps, v: Vcpu): void {
  vpeUnmap(steps, v)
  steps.v4?.vpes.driver.vsync(v, steps.words[v + VCPU_INDEX])
}

export function emulateSysregUnsampled(steps: ThreadSteps, v: Vcpu): void {
  const { words, vgic, seam } = steps
  if (words[v + VCPU_ESR] === ESR_DIR)
    vgicV3.deactivateUnsampled(vgic, v, words[v + VCPU_DATA] & seam.virtualInterface.intidMask)
  steps.emulateSysreg(v)
}

export function timerInjecting(steps: ThreadSteps, v: Vcpu): void {
  steps.timers.startInjecting(v)
}

export function flushActiveReversed(steps: ThreadSteps, v: Vcpu): void {
  vgicV3.flushActiveReversed(steps.vgic, v)
  steps.settle(v)
}

export function flushUnheld(steps: ThreadSteps, v: Vcpu): void {
  vgicV3.flushUnheld(steps.vgic, v)
  steps.settle(v)
}

export function flushActiveAndPending(steps: ThreadSteps, v: Vcpu): void {
  vgicV3.flushActiveAndPending(steps.vgic, v)
  steps.settle(v)
}

export function foldUnheld(steps: ThreadSteps, v: Vcpu): void {
  vgicV3.foldUnheld(steps.vgic, v)
  steps.settle(v)
}

export function foldCountingFromHead(steps: ThreadSteps, v: Vcpu): void {
  foldFromHead(steps.vgic, v)
  steps.settle(v)
}

export function foldUnsampled(steps: ThreadSteps, v: Vcpu): void {
  vgicV3.foldUnsampled(steps.vgic, v)
  steps.settle(v)
}

export function foldDroppingActive(steps: ThreadSteps, v: Vcpu): void {
  vgicV3.foldDroppingActive(steps.vgic, v)
  steps.settle(v)
}

export function foldKeepingActiveLpis(steps: ThreadSteps, v: Vcpu): void {
  vgicV3.foldKeepingActiveLpis(steps.vgic, v)
  steps.settle(v)
}

export function foldListRegisters(steps: ThreadSteps, v: Vcpu): void {
  vgicV3.foldListRegisters(steps.vgic, v)
  steps.settle(v)
}

export function pruned(steps: ThreadSteps, v: Vcpu): boolean {
  return steps.apLists.pick(v, true)
}

export function prunedUnheld(steps: ThreadSteps, v: Vcpu): boolean {
  return steps.apLists.pick(v, false)
}

export function migrate(steps: ThreadSteps, v: Vcpu): void {
  steps.apLists.migratePicked(v, true)
}

export function migrateUnowned(steps: ThreadSteps, v: Vcpu): void {
  steps.apLists.migratePicked(v, false)
}

export function migrateQuietly(steps: ThreadSteps, v: Vcpu): void {
  steps.apLists.migratePicked(v, true, false)
}

export function cacheEmpty(steps: ThreadSteps, v: Vcpu): boolean {
  const n = steps.commands.lockedBy(v)
  const irq = n >= 0 && steps.commands.invalidates(n) ? steps.commands.its.cache.first() : 0
  steps.words[v + VCPU_CACHED] = irq
  return irq === 0
}

export function dropErased(steps: ThreadSteps, v: Vcpu): void {
  const irq = takeCached(steps, v)
  const { cache, lpis } = steps.commands.its
  if (irq !== 0 && cache.erase(irq)) lpis.put(irq)
}

export function dropSeen(steps: ThreadSteps, v: Vcpu): void {
  const irq = takeCached(steps, v)
  const { cache, lpis } = steps.commands.its
  if (irq === 0) return
  cache.erase(irq)
  lpis.put(irq)
}

function takeCached(steps: ThreadSteps, v: Vcpu): Irq {
  const irq = asIrq(steps.words[v + VCPU_CACHED])
  steps.words[v + VCPU_CACHED] = 0
  return irq
}

export function executeCommandForAll(steps: ThreadSteps, v: Vcpu): void {
  const n = steps.commands.lockedBy(v)
  if (n >= 0) vgicIts.executeForAll(steps.commands, n)
}

export function executeCommandOnly(steps: ThreadSteps, v: Vcpu): void {
  const n = steps.commands.lockedBy(v)
  if (n >= 0) vgicIts.executeOnly(steps.commands, n)
}

export function nestedPending(steps: ThreadSteps, v: Vcpu): boolean {
  return steps.halt.runnable(steps.words, v)
}
