/**
 * Two baselines, each a set of edits for any design: `fixed` is a design as it is defined here, with every good
 * choice; `kvm61` has the behaviour of Linux 6.1 that the recordings show.
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
  vpeDisable,
  vpeEnable,
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
 * - with GICv4, the virtual CPU interface is disabled at every exit with list registers in use and at every put, and
 *   enabled at every load and entry;
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
    .replaceAll('trapDir', vpeEnable)
    .insertAfterAll(flushActiveFirst.name, vpeEnable)
    .insertAfterAll('put', vpeDisable)
    .omitAll('timerSync')
    .omitAll('reevaluate')
    .replaceAll('emulateMmio', emulateMmioFromMemory)
    .replaceAll('accessStopped', accessStoppedFromMemory)
  const all = asks ? edited.replaceAll(dyRunnable.name, candidateRunnable) : edited
  return all.design(`${design.name} (kvm61)`)
}
