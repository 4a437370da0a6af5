/**
 * Baselines, each a set of edits for any design: `fixed` is a design as it is defined here, with every good choice;
 * `kvm61` and `kvm72` have the behaviour of Linux 6.1 and 7.2 that the recordings show.
 */

import { checkDesign } from './check-design.ts'
import { type Design, when } from './design.ts'
import { edit } from './edit.ts'
import { compile } from './program.ts'
import {
  accessStoppedFromMemory,
  candidateRunnable,
  deactivateStopped,
  deactivationLeft,
  dyRunnable,
  emulateMmioFromMemory,
  emulateSysregByShadow,
  flushActiveFirst,
  flushWritingHcr,
  foldIgnoringEoiCount,
  foldSavingVmcr,
  loadAgain,
  putAgain,
  resumeVcpus,
  stopVcpus,
  timerLoad,
} from './steps.ts'

/**
 * A design with every good choice: the design itself. Throws an `argument` error for a value that is not a design.
 */
export const fixed = (design: Design): Design => checkDesign(design)

/**
 * A design with the choices of Linux 6.1:
 * - active interrupts come first when there are more than list registers, so that four active ones hide a pending
 *   one, and underflow is the only maintenance interrupt;
 * - groups that the guest has disabled are not considered, and no maintenance interrupt reports that the guest
 *   switches one;
 * - EOIcount is ignored;
 * - the pending state that software gives an active level-sensitive interrupt is lost when the interrupt is
 *   deactivated;
 * - ICC_DIR_EL1 is not trapped;
 * - a timer is sampled only at a load: if the guest turns it off while its interrupt is in no list register, the
 *   interrupt stays pending until the next load;
 * - a write to the distributor re-evaluates nothing: an interrupt that became pending while EnableGrp1 was 0, or
 *   while its GICD_IROUTER named no vCPU, waits until something else queues it, one that is deactivated by a write is
 *   not queued again by that, and a new priority or group takes effect when a vCPU that has the interrupt exits;
 * - an access to pending state neither stops the VM nor uses the right vCPU's timer, a write that disables an
 *   interrupt leaves it in a running vCPU's list register, and one that deactivates it does not sample its line;
 * - a directed yield evaluates runnable() of a vCPU that may be running by now, if the design has that question.
 */
export function kvm61(design: Design): Design {
  const asks = compile(checkDesign(design)).steps.includes(dyRunnable)
  const edited = edit(design)
    .replaceAll('flush', flushActiveFirst)
    .replaceAll('fold', foldIgnoringEoiCount)
    .omitAll('trapDir')
    .omitAll('timerSync')
    .omitAll('reevaluate')
    .replaceAll('emulateMmio', emulateMmioFromMemory)
    .replaceAll('accessStopped', accessStoppedFromMemory)
  const all = asks ? edited.replaceAll(dyRunnable.name, candidateRunnable) : edited
  return all.design(`${design.name} (kvm61)`)
}

/** The parts of a thread that load: the timers come first in Linux 7.2. */
const LOADING = ['load', 'signal', 'userspace', 'mmio'] as const

export function kvm72(design: Design): Design {
  const notifiers = { schedOut: [putAgain], schedIn: [timerLoad, loadAgain] }
  const asks = compile(checkDesign(design)).steps.includes(dyRunnable)
  let edited = edit({ ...design, ...notifiers })
  for (const part of LOADING) edited = edited.swap(`${part}/load`, `${part}/timerLoad`)
  edited = edited
    .replaceAll('load', loadAgain)
    .replaceAll('put', putAgain)
    .omitAll('trapDir')
    .replaceAll('flush', flushWritingHcr)
    .replaceAll('fold', foldSavingVmcr)
    .insertAfter('sysreg/emulateSysreg', when(deactivationLeft, stopVcpus, deactivateStopped, resumeVcpus))
    .replace('sysreg/emulateSysreg', emulateSysregByShadow)
    .omitAll('timerSync')
    .omitAll('reevaluate')
    .replaceAll('emulateMmio', emulateMmioFromMemory)
    .replaceAll('accessStopped', accessStoppedFromMemory)
  if (asks) edited = edited.replaceAll(dyRunnable.name, candidateRunnable)
  return edited.design(`${design.name} (kvm72)`)
}
