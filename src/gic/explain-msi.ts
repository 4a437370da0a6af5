/**
 * Why a message-signalled interrupt does, or does not, raise the IRQ line of a CPU: a chain of conditions from the
 * ITS and its tables through the redistributor to the CPU interface. All must hold; the first that does not is the
 * reason. The state does not change.
 */

import { GICD_CTLR_EnableGrp1 } from '../arch/gicd-registers.ts'
import { VMCR_VENG1, VMCR_VPMR } from '../arch/ich-registers.ts'
import { FIRST_LPI, intidName } from '../arch/intid.ts'
import { hex } from '../errors/printed.ts'
import { conditionTable } from './condition-table.ts'
import { VPE_UNMAPPED } from './config/translation-faults.ts'
import { CONTROLS, PRIORITY_IDLE } from './cpu-interface/cpu-interface.ts'
import type { PhysicalInterface } from './cpu-interface/icc.ts'
import { HPPI_INTID } from './distributor/hppi.ts'
import type { Redistributor } from './distributor/redistributor.ts'
import { type InterfacePath, vlpiLinks } from './explain-vlpi.ts'
import type { PhysicalInterrupts } from './interrupts/physical-interrupts.ts'
import { doorbellOwners } from './its/inspect-tables.ts'
import type { Its } from './its/its.ts'
import { ITS_FOUND_CPU, ITS_FOUND_ICID, ITS_FOUND_INTID } from './its/its-records.ts'
import { rankLpi } from './lpi/lpi-configuration.ts'
import type { Lpis } from './lpi/lpis.ts'
import {
  configurationLink,
  type Link,
  link,
  type MsiCondition,
  type MsiReason,
  msiReasons,
  translationLink,
} from './msi-reasons.ts'
import { PHYSICAL_INTERFACE } from './records/pe.ts'

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
    /** The vPE of an event that has a vLPI, whose INTID `intid` is then; `cpu` is where the vPE is mapped. */
    readonly vpe?: number,
  ) {
    const broken = links.find(({ holds }) => !holds)
    this.signalled = broken === undefined
    this.reason = broken?.reason ?? 'signalled'
    this.conditions = links.map(({ name, holds, detail }) => ({ name, holds, detail }))
  }

  /** `device 7 event 0, LPI 8192 on CPU 0: not-pending`, what that means, and the conditions, one a line. */
  toString(): string {
    const { deviceId, eventId, reason, conditions } = this
    const what = `device ${deviceId} event ${eventId}${this.interruptText}`
    return conditionTable(`${what}: ${reason}. ${msiReasons[reason]}`, conditions)
  }

  private get interruptText(): string {
    const { intid, cpu, vpe } = this
    if (intid === undefined) return ''
    const name = vpe === undefined ? intidName(intid) : `v${intidName(intid)} of vPE ${vpe}`
    return `, ${name}${cpu === undefined ? '' : ` on CPU ${cpu}`}`
  }

  /** The table, for Node's util.inspect. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/** Where an LPI goes. */
interface Path extends InterfacePath {
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
  if (tables.isVirtual) {
    const before = [enabled, device, event]
    return explainVlpi(its, path, deviceId, eventId, before)
  }
  const collection = translationLink('collection', `collection ${icid}`, tables.findCollection(icid))
  const links = [enabled, device, event, collection]
  if (!collection.holds) return new MsiExplanation(deviceId, eventId, intid, undefined, links)
  const cpu = found(ITS_FOUND_CPU)
  const lpi = intid - FIRST_LPI
  links.push(
    ...redistributorLinks(its.lpis, cpu, intid),
    translatedLink(its, deviceId, eventId),
    configurationLink(its.lpis.configuration, its.lpis.byteKnown(cpu, lpi), its.lpis.byteInMemory(cpu, lpi)),
    pendingLink(its.lpis, cpu, intid),
    ...forwardingLinks(its.lpis, path, cpu, intid),
    ...doorbellLinks(its, intid),
  )
  return new MsiExplanation(deviceId, eventId, intid, cpu, links)
}

function explainVlpi(
  its: Its,
  path: Path,
  deviceId: number,
  eventId: number,
  before: readonly Link[],
): MsiExplanation {
  const { found } = its
  const { intid, vpe, doorbell } = found
  const mapped = translationLink('vPE', `vPE ${vpe}`, its.vpeEntries?.find(vpe) ?? VPE_UNMAPPED)
  if (!mapped.holds || !its.vpes) {
    return new MsiExplanation(deviceId, eventId, intid, undefined, [...before, mapped], vpe)
  }
  const { cpu } = found
  const translated = translatedLink(its, deviceId, eventId)
  const links = vlpiLinks(its.vpes, path, { cpu, intid, doorbell }, translated)
  return new MsiExplanation(deviceId, eventId, intid, cpu, [...before, mapped, ...links], vpe)
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

/** What an LPI that is a doorbell stands for. It is said of doorbells only, and keeps none from being signalled. */
function doorbellLinks(its: Its, intid: number): Link[] {
  if (!its.vpes) return []
  const owners = doorbellOwners(its, intid)
  return owners.length === 0 ? [] : [link('doorbell', true, `of ${owners.join('; ')}`, 'signalled')]
}

/** The INTID of a CPU's highest priority pending interrupt. */
function firstOf(lpis: Lpis, cpu: number, hppi: number): number | undefined {
  if (hppi === 0) return undefined
  return HPPI_INTID(hppi) === FIRST_LPI ? FIRST_LPI + rankLpi(lpis.highest(cpu)) : HPPI_INTID(hppi)
}
