/**
 * The conditions that every explanation of a physical interrupt ends with, whether it begins at the interrupt
 * (explain-interrupt.ts) or at a message (explain-msi.ts): an LPI's at its redistributor, and from the distributor to the
 * CPU interface.
 */
import { LR_Group, LR_PRIORITY_SHIFT, VMCR_VENG0, VMCR_VENG1, VMCR_VPMR } from '../arch/ich-registers.ts'
import { FIRST_LPI, intidName } from '../arch/intid.ts'
import { hex } from '../errors/printed.ts'
import { link, type ReasonedCondition } from './condition-table.ts'
import { CONTROLS, PRIORITY_IDLE } from './cpu-interface/cpu-interface.ts'
import type { PhysicalInterface } from './cpu-interface/icc.ts'
import { HPPI_INTID } from './distributor/hppi.ts'
import type { Redistributor } from './distributor/redistributor.ts'
import type { InterruptReason } from './interrupt-reasons.ts'
import { GICD_CTLR, type PhysicalInterrupts } from './interrupts/physical-interrupts.ts'
import { LPI_ENABLE, type LpiConfiguration, rankLpi } from './lpi/lpi-configuration.ts'
import type { Lpis } from './lpi/lpis.ts'
import type { MsiReason } from './msi-reasons.ts'
import { HIGHEST_PENDING, PHYSICAL_INTERFACE } from './records/pe.ts'

/** A condition that both explanations have. */
export type DeliveryLink = ReasonedCondition<InterruptReason & MsiReason>

/** The blocks that an interrupt goes through. */
export interface DeliveryPath {
  readonly physical: PhysicalInterrupts
  readonly redistributor: Redistributor
  readonly physicalInterface: PhysicalInterface
  /** Undefined without LPIs. */
  readonly lpis: Lpis | undefined
}

/** What the distributor and the CPU interface look at. */
export interface Candidate {
  readonly intid: number
  readonly group: 0 | 1
  readonly priority: number
}

/** Whether a redistributor takes an LPI. With its LPIs disabled nothing more is known of it. */
export function takenLinks(lpis: Lpis, cpu: number, intid: number): DeliveryLink[] {
  const isInForce = lpis.isInForce(cpu)
  const lags = lpis.isLagging(cpu) ? ', and its effect is under way' : ''
  const detail = `GICR_CTLR.EnableLPIs of CPU ${cpu} is ${lpis.isEnabled(cpu) ? 1 : 0}${lags}`
  const enabled = link('LPIs', isInForce, detail, 'lpis-disabled')
  const range = link('range', lpis.takes(cpu, intid - FIRST_LPI), `INTID ${intid}`, 'intid-out-of-range')
  return isInForce ? [enabled, range] : [enabled]
}

/** Whether an LPI that a redistributor takes is enabled and pending. */
export function lpiLinks(lpis: Lpis, cpu: number, intid: number): DeliveryLink[] {
  const lpi = intid - FIRST_LPI
  const isPending = lpis.isPending(cpu, lpi)
  return [
    configurationLink(lpis.configuration, lpis.byteKnown(cpu, lpi), lpis.byteInMemory(cpu, lpi)),
    link('pending', isPending, isPending ? 'it is' : 'it is not', 'not-pending'),
  ]
}

/** An LPI that a redistributor takes, with the priority that it has, or would have when it is used. */
export function lpiCandidate(lpis: Lpis, cpu: number, intid: number): Candidate {
  const lpi = intid - FIRST_LPI
  const byte = lpis.byteKnown(cpu, lpi) || Math.max(lpis.byteInMemory(cpu, lpi), 0)
  return { intid, group: 1, priority: lpis.configuration.priorityOf(byte) }
}

/** The configuration that a redistributor goes by; what is in memory counts only for an LPI that was never used. */
export function configurationLink(
  configuration: LpiConfiguration,
  known: number,
  memory: number,
): DeliveryLink {
  const inMemory = `in memory ${memory < 0 ? 'nothing answers' : configurationOf(configuration, memory)}`
  if (known === 0) return link('configuration', isEnabled(memory), `not read yet; ${inMemory}`, 'disabled')
  const reason = isEnabled(memory) ? 'configuration-stale' : 'disabled'
  const detail = `${configurationOf(configuration, known)}; ${inMemory}`
  return link('configuration', isEnabled(known), detail, reason)
}

const isEnabled = (byte: number): boolean => byte >= 0 && (byte & LPI_ENABLE) !== 0

const configurationOf = (configuration: LpiConfiguration, byte: number): string =>
  `${isEnabled(byte) ? 'enabled' : 'disabled'}, priority ${hex(configuration.priorityOf(byte))}`

/** Whether the distributor forwards a group. */
export function distributorLink({ physical }: DeliveryPath, group: 0 | 1): DeliveryLink {
  const isForwarded = ((physical.groupsInForce() >> group) & 1) !== 0
  const bit = (physical.words[physical.distributor + GICD_CTLR] >> group) & 1
  const lags = isForwarded && bit === 0 ? ', and its disabling is under way: RWP' : ''
  const detail = `group ${group}; GICD_CTLR.EnableGrp${group} is ${bit}${lags}`
  return link('distributor', isForwarded, detail, 'distributor-off')
}

/** From the redistributor of a CPU to the output of its CPU interface. */
export function interfaceLinks(path: DeliveryPath, cpu: number, candidate: Candidate): DeliveryLink[] {
  const { physical, redistributor, physicalInterface, lpis } = path
  const { intid, group, priority } = candidate
  const { words } = physical
  const pe = physical.peOf(cpu)
  const at = pe + PHYSICAL_INTERFACE
  const controls = words[at + CONTROLS]
  const isAsleep = redistributor.isAsleep(pe)
  const isOn = (controls & (group === 1 ? VMCR_VENG1 : VMCR_VENG0)) !== 0
  const first = firstOf(lpis, cpu, words[at + HIGHEST_PENDING])
  const mask = VMCR_VPMR(controls)
  const running = physicalInterface.runningPriority(words, at)
  const asListRegister = (group === 1 ? LR_Group : 0) | (priority << LR_PRIORITY_SHIFT)
  const preempts =
    running === PRIORITY_IDLE || physicalInterface.preemptsRunning(controls, asListRegister, running)
  return [
    link('awake', !isAsleep, `GICR_WAKER.ChildrenAsleep is ${isAsleep ? 1 : 0}`, 'asleep'),
    link('group', isOn, `ICC_IGRPEN${group}_EL1 is ${isOn ? 1 : 0}`, 'group-off'),
    link('first', first === intid, first === undefined ? 'none is' : `${intidName(first)} is`, 'outranked'),
    link(
      'priority mask',
      priority < mask,
      `priority ${hex(priority)}; ICC_PMR_EL1 is ${hex(mask)}`,
      'priority-masked',
    ),
    link('running priority', preempts, `ICC_RPR_EL1 is ${hex(running)}`, 'running-priority'),
  ]
}

/** The INTID of a CPU's highest priority pending interrupt, of an enabled group or not. */
function firstOf(lpis: Lpis | undefined, cpu: number, hppi: number): number | undefined {
  if (hppi === 0) return undefined
  const intid = HPPI_INTID(hppi)
  return intid === FIRST_LPI && lpis ? FIRST_LPI + rankLpi(lpis.highest(cpu)) : intid
}
