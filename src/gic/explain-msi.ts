/**
 * Why a message-signalled interrupt does, or does not, raise the IRQ line of a CPU: a chain of conditions from the
 * ITS and its tables through the redistributor to the CPU interface. All must hold; the first that does not is the
 * reason. The state does not change.
 */

import { intidName } from '../arch/intid.ts'
import { conditionTable, link } from './condition-table.ts'
import { VPE_UNMAPPED } from './config/translation-faults.ts'
import {
  type DeliveryPath,
  distributorLink,
  interfaceLinks,
  lpiCandidate,
  lpiLinks,
  takenLinks,
} from './delivery-links.ts'
import { type InterfacePath, vlpiLinks } from './explain-vlpi.ts'
import { doorbellOwners } from './its/inspect-tables.ts'
import type { Its } from './its/its.ts'
import { ITS_FOUND_CPU, ITS_FOUND_ICID, ITS_FOUND_INTID } from './its/its-records.ts'
import { type Link, type MsiCondition, type MsiReason, msiReasons, translationLink } from './msi-reasons.ts'

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

/** Where an LPI, or a vLPI, goes. */
type Path = DeliveryPath & InterfacePath

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
  links.push(...takenLinks(its.lpis, cpu, intid))
  if (links.at(-1)?.holds) {
    const candidate = lpiCandidate(its.lpis, cpu, intid)
    links.push(
      translatedLink(its, deviceId, eventId),
      ...lpiLinks(its.lpis, cpu, intid),
      distributorLink(path, candidate.group),
      ...interfaceLinks(path, cpu, candidate),
      ...doorbellLinks(its, intid),
    )
  }
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

function translatedLink({ messages }: Its, deviceId: number, eventId: number): Link {
  const waits = Array.from({ length: messages.count }, (_, n) => n).some(
    (n) => messages.deviceIdOf(n) >>> 0 === deviceId && messages.eventIdOf(n) >>> 0 === eventId,
  )
  const detail = waits ? 'a message is accepted and not translated' : 'no message waits'
  return link('translated', !waits, detail, 'not-translated')
}

/** What an LPI that is a doorbell stands for. It is said of doorbells only, and keeps none from being signalled. */
function doorbellLinks(its: Its, intid: number): Link[] {
  if (!its.vpes) return []
  const owners = doorbellOwners(its, intid)
  return owners.length === 0 ? [] : [link('doorbell', true, `of ${owners.join('; ')}`, 'signalled')]
}
