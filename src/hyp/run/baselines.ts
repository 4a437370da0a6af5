/**
 * Two baselines, each a set of edits that any design can have: `fixed` is every design as it is defined here,
 * with every good choice; `kvm61` is what the recordings show of Linux 6.1.
 */

import { checkDesign } from './check-design.ts'
import type { Design } from './design.ts'
import { edit } from './edit.ts'
import { compile } from './program.ts'
import {
  accessStoppedFromMemory,
  candidateRunnable,
  dyRunnable,
  emulateMmioFromMemory,
  flushActiveFirst,
  foldIgnoringEoiCount,
} from './steps.ts'

/** A design with every good choice: as it is. */
export const fixed = (design: Design): Design => checkDesign(design)

/**
 * A design with the choices of Linux 6.1:
 * - active interrupts come first when there are more than list registers, so that four active ones hide a pending
 *   one, and underflow is the only maintenance interrupt;
 * - which groups the guest has disabled does not matter for that, and no maintenance interrupt tells that it switches one;
 * - EOIcount is ignored;
 * - a level that software has made pending while it was active is forgotten when it is deactivated;
 * - ICC_DIR_EL1 is not trapped;
 * - a timer is sampled at a load only: one that the guest turns off while its interrupt waits outside of the list
 *   registers still counts until the next load;
 * - a write to the distributor re-evaluates nothing: what became pending while EnableGrp1 was 0, or while its
 *   GICD_IROUTER named no vCPU, waits until something else queues it, an interrupt that was deactivated by a write
 *   is not offered again by that, and a new priority or group waits until a vCPU that has the interrupt exits;
 * - an access to pending state neither stops the VM nor asks the right vCPU's timer, a write that disables an interrupt
 *   leaves it to a vCPU that has it in a list register, and one that deactivates it does not sample its line;
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
