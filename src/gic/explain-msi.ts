/**
 * Why a message-signalled interrupt does, or does not, raise the IRQ line of a CPU: a chain of conditions from the
 * ITS and its tables through the redistributor to the CPU interface. All must hold; the first that does not is the
 * reason. The state does not change.
 */

import { GICD_CTLR_EnableGrp1 } from '../arch/gicd-registers.ts'
import { VMCR_VENG1, VMCR_VPMR } from '../arch/ich-registers.ts'
import { FIRST_LPI, intidName } from '../arch/intid.ts'
import { hex } from '../errors/printed.ts'
import { TRANSLATED, type TranslationFault, translationFaults } from './config/translation-faults.ts'
import { CONTROLS, PRIORITY_IDLE } from './cpu-interface/cpu-interface.ts'
import type { PhysicalInterface } from './cpu-interface/icc.ts'
import { HPPI_INTID } from './distributor/hppi.ts'
import type { Redistributor } from './distributor/redistributor.ts'
import type { PhysicalInterrupts } from './interrupts/physical-interrupts.ts'
import type { Its } from './its/its.ts'
import { ITS_FOUND_CPU, ITS_FOUND_ICID, ITS_FOUND_INTID } from './its/its-records.ts'
import { LPI_ENABLE, rankLpi } from './lpi/lpi-configuration.ts'
import type { Lpis } from './lpi/lpis.ts'
import { PHYSICAL_INTERFACE } from './records/pe.ts'

/** Why a message does, or does not, raise an IRQ: see {@link msiReasons}. */
export type MsiReason =
  | 'signalled'
  | TranslationFault
  | 'not-translated'
  | 'disabled'
  | 'configuration-stale'
  | 'not-pending'
  | 'distributor-off'
  | 'asleep'
  | 'group-off'
  | 'outranked'
  | 'priority-masked'
  | 'running-priority'

/**
 * Each reason as a sentence: `signalled`, why the IRQ line is high for the message, and the others, why it is not.
 */
export const msiReasons: Readonly<Record<MsiReason, string>> = {
  signalled: 'The IRQ line of the CPU is high for it.',
  'its-disabled': 'The ITS takes no messages: GITS_CTLR.Enabled is 0.',
  'memory-refused': 'The memory that the tables are in refused an access.',
  'device-out-of-range':
    'The device table has no entry for the DeviceID, or it has more bits than GITS_TYPER allows.',
  'device-unmapped': 'The device has no ITT: no MAPD was carried out.',
  'event-out-of-range': 'The EventID has more bits than the MAPD of its device gave it.',
  'event-unmapped': 'The event has no LPI: no MAPTI or MAPI was carried out, or a DISCARD.',
  'collection-unmapped': 'The collection of the event goes to no redistributor: no MAPC was carried out.',
  'lpis-disabled': 'The redistributor takes no LPIs: GICR_CTLR.EnableLPIs is 0, or its effect is under way.',
  'intid-out-of-range': 'GICR_PROPBASER.IDbits is too small for the INTID.',
  'not-translated': 'The message was accepted, and its translation is still under way.',
  disabled: 'The LPI is disabled in its configuration.',
  'configuration-stale':
    'The LPI is enabled in memory, but the redistributor knows it as disabled: no INV or INVALL was carried out since.',
  'not-pending': 'The LPI is not pending: no message came, or it was acknowledged, cleared or moved.',
  'distributor-off': 'The distributor forwards nothing of group 1: GICD_CTLR.EnableGrp1 is 0.',
  asleep: 'The redistributor forwards nothing: GICR_WAKER.ChildrenAsleep is 1.',
  'group-off': 'Group 1 is disabled at the CPU interface: ICC_IGRPEN1_EL1.',
  outranked: 'Another pending interrupt comes first.',
  'priority-masked': 'Its priority is not higher than ICC_PMR_EL1.',
  'running-priority': 'Its group priority is not higher than the running priority, ICC_RPR_EL1.',
}

/** A condition of the chain. */
export interface MsiCondition {
  /** The name of the condition. */
  readonly name: string
  /** Whether it holds. */
  readonly holds: boolean
  /** The state that decides it. */
  readonly detail: string
}

interface Link extends MsiCondition {
  /** The reason that it gives if it is the first that does not hold. */
  readonly reason: MsiReason
}

/** Why a message does, or does not, raise an IRQ. It prints as a table. */
export class MsiExplanation {
  /** Whether all conditions hold. */
  readonly signalled: boolean
  /** The first condition that does not hold, or `signalled`. */
  readonly reason: MsiReason
  /** The chain in order; it ends where the translation does. */
  readonly conditions: readonly MsiCondition[]

  /** @internal */
  constructor(
    /** The DeviceID of the sender. */
    readonly deviceId: number,
    /** The EventID of the message. */
    readonly eventId: number,
    /** The LPI that it is translated to; undefined if it is not translated. */
    readonly intid: number | undefined,
    /** The CPU that the LPI goes to; undefined if the message is not translated. */
    readonly cpu: number | undefined,
    links: readonly Link[],
  ) {
    const broken = links.find(({ holds }) => !holds)
    this.signalled = broken === undefined
    this.reason = broken?.reason ?? 'signalled'
    this.conditions = links.map(({ name, holds, detail }) => ({ name, holds, detail }))
  }

  /** `device 7 event 0, LPI 8192 on CPU 0: not-pending`, what that means, and the conditions, one a line. */
  toString(): string {
    const { deviceId, eventId, intid, cpu, reason, conditions } = this
    const width = Math.max(...conditions.map(({ name }) => name.length))
    const broken = conditions.findIndex(({ holds }) => !holds)
    const rows = conditions.map(({ name, holds, detail }, i) => {
      const mark = holds ? 'yes' : i === broken ? 'NO ' : 'no '
      return `  ${name.padEnd(width)}  ${mark}  ${detail}`
    })
    const lpi = intid === undefined ? '' : `, ${intidName(intid)}${cpu === undefined ? '' : ` on CPU ${cpu}`}`
    return [`device ${deviceId} event ${eventId}${lpi}: ${reason}. ${msiReasons[reason]}`, ...rows].join('\n')
  }

  /** The table, for Node's util.inspect. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/** The blocks between the ITS and a CPU. */
interface Path {
  readonly physical: PhysicalInterrupts
  readonly redistributor: Redistributor
  readonly physicalInterface: PhysicalInterface
}

/** Explains a message to an ITS. */
export function explainMsi(its: Its, path: Path, deviceId: number, eventId: number): MsiExplanation {
  const { tables } = its
  const found = (at: number): number => its.words[its.its + at]
  const enabled = link('ITS', its.isEnabled, `GITS_CTLR.Enabled is ${its.isEnabled ? 1 : 0}`, 'its-disabled')
  const device = translationLink('device', `DeviceID ${deviceId}`, tables.findDevice(deviceId))
  if (!device.holds) return new MsiExplanation(deviceId, eventId, undefined, undefined, [enabled, device])
  const event = translationLink('event', `EventID ${eventId}`, tables.findEvent(eventId))
  if (!event.holds)
    return new MsiExplanation(deviceId, eventId, undefined, undefined, [enabled, device, event])
  const intid = found(ITS_FOUND_INTID)
  const icid = found(ITS_FOUND_ICID)
  const collection = translationLink('collection', `collection ${icid}`, tables.findCollection(icid))
  const links = [enabled, device, event, collection]
  if (!collection.holds) return new MsiExplanation(deviceId, eventId, intid, undefined, links)
  const cpu = found(ITS_FOUND_CPU)
  links.push(
    ...redistributorLinks(its.lpis, cpu, intid),
    translatedLink(its, deviceId, eventId),
    configurationLink(its.lpis, cpu, intid - FIRST_LPI),
    pendingLink(its.lpis, cpu, intid),
    ...forwardingLinks(its.lpis, path, cpu, intid),
  )
  return new MsiExplanation(deviceId, eventId, intid, cpu, links)
}

const link = (name: string, holds: boolean, detail: string, reason: MsiReason): Link => ({
  name,
  holds,
  detail,
  reason,
})

function translationLink(name: string, what: string, fault: number): Link {
  if (fault === TRANSLATED) return link(name, true, `${what} is mapped`, 'signalled')
  return link(name, false, what, translationFaults[fault])
}

function redistributorLinks(lpis: Lpis, cpu: number, intid: number): Link[] {
  const isInForce = lpis.isInForce(cpu)
  const enabled = link(
    'LPIs',
    isInForce,
    `GICR_CTLR.EnableLPIs of CPU ${cpu} is ${isInForce ? 1 : 0}`,
    'lpis-disabled',
  )
  const taken = lpis.takes(cpu, intid - FIRST_LPI)
  const range = link('range', taken, `INTID ${intid}`, 'intid-out-of-range')
  return isInForce ? [enabled, range] : [enabled]
}

function translatedLink({ messages }: Its, deviceId: number, eventId: number): Link {
  const waits = Array.from({ length: messages.count }, (_, n) => n).some(
    (n) => messages.deviceIdOf(n) >>> 0 === deviceId && messages.eventIdOf(n) >>> 0 === eventId,
  )
  const detail = waits ? 'a message is accepted and not translated' : 'no message waits'
  return link('translated', !waits, detail, 'not-translated')
}

/**
 * The configuration that the redistributor uses, which it may have cached; the byte in memory counts only if it has
 * not.
 */
function configurationLink(lpis: Lpis, cpu: number, lpi: number): Link {
  const known = lpis.byteKnown(cpu, lpi)
  const memory = lpis.byteInMemory(cpu, lpi)
  const inMemory = `in memory ${memory < 0 ? 'nothing answers' : configurationOf(lpis, memory)}`
  if (known === 0) return link('configuration', isEnabled(memory), `not read yet; ${inMemory}`, 'disabled')
  const reason = isEnabled(memory) ? 'configuration-stale' : 'disabled'
  return link('configuration', isEnabled(known), `${configurationOf(lpis, known)}; ${inMemory}`, reason)
}

const isEnabled = (byte: number): boolean => byte >= 0 && (byte & LPI_ENABLE) !== 0

const configurationOf = (lpis: Lpis, byte: number): string =>
  `${isEnabled(byte) ? 'enabled' : 'disabled'}, priority ${hex(lpis.configuration.priorityOf(byte))}`

function pendingLink(lpis: Lpis, cpu: number, intid: number): Link {
  const isPending = lpis.isPending(cpu, intid - FIRST_LPI)
  return link('pending', isPending, isPending ? 'it is' : 'it is not', 'not-pending')
}

function forwardingLinks(lpis: Lpis, path: Path, cpu: number, intid: number): Link[] {
  const { physical, redistributor, physicalInterface } = path
  const { words } = physical
  const pe = physical.peOf(cpu)
  const at = pe + PHYSICAL_INTERFACE
  const controls = words[at + CONTROLS]
  const isForwarded = (physical.groupsInForce() & GICD_CTLR_EnableGrp1) !== 0
  const isAsleep = redistributor.isAsleep(pe)
  const isGroupOn = (controls & VMCR_VENG1) !== 0
  const hppi = physicalInterface.highestPending(at)
  const first = firstOf(lpis, cpu, hppi)
  const priority = lpis.configuration.priorityOf(lpis.byteKnown(cpu, intid - FIRST_LPI))
  const running = physicalInterface.runningPriority(words, at)
  const preempts = running === PRIORITY_IDLE || physicalInterface.preemptsRunning(controls, hppi, running)
  return [
    link('distributor', isForwarded, `GICD_CTLR.EnableGrp1 is ${isForwarded ? 1 : 0}`, 'distributor-off'),
    link('awake', !isAsleep, `GICR_WAKER.ChildrenAsleep is ${isAsleep ? 1 : 0}`, 'asleep'),
    link('group', isGroupOn, `ICC_IGRPEN1_EL1 is ${isGroupOn ? 1 : 0}`, 'group-off'),
    link('first', first === intid, first === undefined ? 'none is' : `${intidName(first)} is`, 'outranked'),
    link(
      'priority mask',
      priority < VMCR_VPMR(controls),
      `priority ${hex(priority)}; ICC_PMR_EL1 is ${hex(VMCR_VPMR(controls))}`,
      'priority-masked',
    ),
    link('running priority', preempts, `ICC_RPR_EL1 is ${hex(running)}`, 'running-priority'),
  ]
}

/** The INTID of a CPU's highest priority pending interrupt. */
function firstOf(lpis: Lpis, cpu: number, hppi: number): number | undefined {
  if (hppi === 0) return undefined
  return HPPI_INTID(hppi) === FIRST_LPI ? FIRST_LPI + rankLpi(lpis.highest(cpu)) : HPPI_INTID(hppi)
}
