/**
 * Baselines, each a set of edits for any design: `fixed` is a design as it is defined here, with every good choice;
 * `kvm61` and `kvm72` have the behaviour of Linux 6.1 and 7.2 that the recordings show.
 */

import { VgicError } from '../../errors/vgic-error.ts'
import { checkDesign } from './check-design.ts'
import { type Design, when } from './design.ts'
import { type Edit, edit } from './edit.ts'
import { isOwnStep, type Step } from './step.ts'
import {
  accessStoppedFromMemory,
  candidateRunnable,
  deactivateStopped,
  deactivationLeft,
  dyRunnable,
  emulateMmioAsLinux61,
  emulateMmioFromMemory,
  emulateSysregByShadow,
  executeCommandAsLinux61,
  flushActiveFirst,
  flushWritingHcr,
  foldIgnoringEoiCount,
  foldSavingVmcr,
  handleRequestsPruning,
  loadAgain,
  putAgain,
  resumeVcpus,
  stopVcpus,
  timerLoad,
  vpeDisable,
  vpeEnable,
  vpeLoadUnlessWaiting,
  vpePut,
  vpePutByFlag,
} from './steps.ts'

/**
 * A design with every good choice: the design itself. Throws an `argument` error for a value that is not a design.
 *
 * It does as Linux 7.2 where that is better than Linux 6.1: pending interrupts come before active ones, and what the
 * guest cannot take comes last; a maintenance interrupt reports that the guest switches a group; EOIcount deactivates
 * what comes after the last list register; ICC_DIR_EL1 is trapped; an LPI is never active outside a list register. It
 * stays different
 * - in ICH_HCR_EL2, which is written only with list registers in use, and asks for the group switches only while
 *   interrupts of both groups do not all fit: in other states a switch changes nothing, and its exit would be in vain;
 * - in ICH_VMCR_EL2, which is read where it is needed: at a put, when both groups do not fit, and for a trapped DIR;
 * - in trapping every DIR, from the load on. A count of SPIs in flight traps more than a guest needs as soon as it
 *   has gone wrong, and must reach every vCPU before the first SPI is acknowledged;
 * - in the order of interrupts of a disabled group: pending ones come after all active ones, which the guest may end;
 * - in a DIR of what is in another vCPU's list register: that vCPU is kicked and its fold does it, and the VM is not
 *   stopped;
 * - in a put and a load, which do nothing for a vCPU that is put or loaded already.
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
 * - an access to the active state of the accessing vCPU's own private interrupts stops the VM, too;
 * - an access to pending state neither stops the VM nor uses the right vCPU's timer, a write that disables an
 *   interrupt leaves it in a running vCPU's list register, and one that deactivates it does not sample its line;
 * - MAPC with V = 0, whose RDbase means nothing, has no effect if that names no vCPU, and INVALL and EnableLPIs = 1 queue
 *   pending LPIs in the order in which they were mapped, not by INTID;
 * - what EnableLPIs = 0 takes off an ap_list stays pending, so that INV and INVALL queue it for a redistributor that
 *   takes no LPIs;
 * - a `GITS_BASER<n>` that changes and stays valid keeps what was mapped in the old table;
 * - a directed yield evaluates runnable() of a vCPU that may be running by now, if the design has that question.
 */
export function kvm61(design: Design): Design {
  let edited = edit(design)
  const names = stepNamesFor('kvm61', edited, [...replacedBy61.keys(), 'put'])
  for (const [name, by] of replacedBy61) edited = edited.replaceAll(name, by)
  edited = edited.insertAfterAll(flushActiveFirst.name, vpeEnable).insertAfterAll('put', vpeDisable)
  return withoutUnknownToLinux(edited, names).design(`${design.name} (kvm61)`)
}

/** The steps that Linux 6.1 has instead of a design's. */
const replacedBy61: ReadonlyMap<string, Step> = new Map([
  ['flush', flushActiveFirst],
  ['fold', foldIgnoringEoiCount],
  ['trapDir', vpeEnable],
  ['emulateMmio', emulateMmioAsLinux61],
  ['accessStopped', accessStoppedFromMemory],
  ['executeCommand', executeCommandAsLinux61],
])

/**
 * The names of a design's steps. Throws for a design without one of those that a baseline edits, by name or by path: another is
 * in its place, and the baseline cannot know what that is to be with the kernel's own.
 */
function stepNamesFor(
  baseline: string,
  { program }: Edit,
  addresses: readonly string[],
): ReadonlySet<string> {
  const { design, steps, paths } = program
  const refuse = (why: string): never => {
    throw new VgicError('argument', `${design.name} has ${why}`)
  }
  const edited = new Set(addresses.map((address) => address.replace(/.*\//, '')))
  const own = steps.find((step) => step && isOwnStep(step) && edited.has(step.name))
  if (own)
    refuse(
      `a step ${own.name} of its own: ${baseline} edits the library's of that name, so call it otherwise.`,
    )
  const names = new Set(steps.flatMap((step) => step?.name ?? []))
  const missing = addresses.find((address) => !names.has(address) && !paths.includes(address))
  if (missing === undefined) return names
  const applied = [replacedBy61.get(missing), replacedBy72.get(missing)].find(
    (by) => by && names.has(by.name),
  )
  if (applied)
    refuse(
      `${applied.name} in place of ${missing}, as a baseline has it: apply one only, before other edits.`,
    )
  return refuse(
    `no step ${missing}, which ${baseline} edits: apply ${baseline} first, and edit what it returns.`,
  )
}

/** Without what no Linux has, as far as the design has it. */
function withoutUnknownToLinux(edit: Edit, names: ReadonlySet<string>): Edit {
  let edited = edit
  for (const name of ['timerSync', 'reevaluate']) if (names.has(name)) edited = edited.omitAll(name)
  return names.has(dyRunnable.name) ? edited.replaceAll(dyRunnable.name, candidateRunnable) : edited
}

/** The steps that Linux 7.2 has instead of a design's, beside those that are in another order there. */
const replacedBy72: ReadonlyMap<string, Step> = new Map([
  ['handleRequests', handleRequestsPruning],
  ['flush', flushWritingHcr],
  ['fold', foldSavingVmcr],
  ['emulateMmio', emulateMmioFromMemory],
  ['accessStopped', accessStoppedFromMemory],
])

/** The parts of a thread that load the vGIC and the timers. */
const LOADING = ['load', 'signal', 'userspace', 'mmio'] as const
/** The parts that put them, but for a WFI. */
const PUTTING = ['signal', 'userspace', 'mmio', 'off'] as const

/**
 * A design with the choices of Linux 7.2, whose own is `wfi-full-put`. Beside it, on `fixed`, these are:
 * - the scheduler's notifiers put and load whether or not the vCPU waits in its WFI, so that a WFI that sleeps has two
 *   puts and two loads; whatever notifiers the design had are replaced;
 * - a load comes after that of the timers, and a put saves the active priorities only, before the vPE leaves;
 * - every entry writes ICH_HCR_EL2, with maintenance interrupts for the switch of each group, and every exit reads
 *   ICH_VMCR_EL2 and ICH_MISR_EL2 and clears ICH_HCR_EL2, also with no list register in use;
 * - interrupts of disabled groups come last, active ones too, and of equal priorities those that are mapped to
 *   physical interrupts come first;
 * - ICC_DIR_EL1 is trapped while active interrupts are in no list register, and by a count of SPIs in flight that does
 *   not come down for every SPI: after the first edge, every DIR of the VM exits. The first SPI that is counted makes
 *   all vCPUs enter anew;
 * - a DIR of an interrupt in a list register of a running vCPU stops the VM, and one of an interrupt on the ap_list of another
 *   vCPU, in no list register, does not kick that vCPU, which prunes its list before it enters again;
 * - as in Linux 6.1, software's pending state of an active level-sensitive interrupt is lost when it is deactivated,
 *   `timerSync` and `reevaluate` do not exist, accesses are emulated from memory, and a directed yield evaluates
 *   runnable() of a vCPU that may be running by now, if the design has that question.
 */
export function kvm72(design: Design): Design {
  const notifiers = {
    schedOut: [putAgain, vpePutByFlag],
    schedIn: [timerLoad, loadAgain, vpeLoadUnlessWaiting],
  }
  let edited = edit({ ...checkDesign(design), ...notifiers })
  const { paths } = edited.program
  const names = stepNamesFor('kvm72', edited, [
    ...[...replacedBy72.keys(), 'trapDir', 'sysreg/emulateSysreg'],
    ...LOADING.flatMap((part) => [`${part}/load`, `${part}/timerLoad`, `${part}/vpeLoad`]),
    ...PUTTING.flatMap((part) => [`${part}/put`, `${part}/vpePut`]),
  ])
  for (const part of LOADING)
    edited = edited.swap(`${part}/load`, `${part}/timerLoad`).swap(`${part}/load`, `${part}/vpeLoad`)
  for (const part of PUTTING) edited = edited.swap(`${part}/put`, `${part}/vpePut`)
  for (const part of ['wfi', 'suspend']) {
    if (paths.includes(`${part}/put`) && paths.includes(`${part}/vpePutByFlag`))
      edited = edited.swap(`${part}/put`, `${part}/vpePutByFlag`)
  }
  for (const [name, by] of replacedBy72) edited = edited.replaceAll(name, by)
  edited = edited
    .replaceAll('load', loadAgain)
    .insertAfterAll(loadAgain.name, vpeEnable)
    .replaceAll('put', putAgain)
    .insertAfterAll(vpePut.name, vpeDisable)
    .insertAfterAll(vpePutByFlag.name, vpeDisable)
    .omitAll('trapDir')
    .insertAfter('sysreg/emulateSysreg', when(deactivationLeft, stopVcpus, deactivateStopped, resumeVcpus))
    .replace('sysreg/emulateSysreg', emulateSysregByShadow)
  return withoutUnknownToLinux(edited, names).design(`${design.name} (kvm72)`)
}
