/** The invariants about LPIs: who names them, who holds them, and where they go (S14, S15, S16, S18). */

import { intidName } from '../arch/intid.ts'
import { COMMAND_ADDRESS, COMMAND_ADDRESS_2, COMMAND_opcode, ITS_MOVALL } from '../arch/its-commands.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import { ITS_COMMAND } from '../hyp/records/its-record.ts'
import {
  CACHED_DEVICE,
  CACHED_EVENT,
  CACHED_ITS,
  CACHED_LPI,
  CACHED_STRIDE,
  COLLECTION_TARGET,
  EVENT_COLLECTION,
  EVENT_LPI,
  LPI_INTID,
  LPI_REFS,
  LPIS_CACHE_NEXT,
} from '../hyp/records/lpi-record.ts'
import {
  VCPU_AP_COUNT,
  VCPU_AP_FIRST,
  VCPU_LPIS_ENABLED,
  VCPU_LR_IRQ,
  VCPU_MIGRANT,
  VCPU_MIGRANT_HELD,
  VCPU_USED_LRS,
} from '../hyp/records/vcpu.ts'
import { asIrq, IRQ_LINK, type Irq, irqTarget, TARGET_NONE } from '../hyp/records/vgic-irq.ts'
import type { VgicIts } from '../hyp/vgic/vgic-its.ts'
import { DEVICE_HOLDS, DEVICE_LPI } from '../scenario/device-offsets.ts'
import type { Machine } from '../scenario/machine.ts'
import type { Changes } from './changes.ts'

/** What names an LPI, and whether it holds a reference. */
type Visit = (irq: Irq, holder: string, holds: boolean) => void

/** Each method returns a text that says what is wrong, or undefined. */
export class LpiInvariants {
  /** Whether the VM has LPIs. */
  readonly present: boolean
  private readonly hypervisor: Hypervisor
  private readonly words: Int32Array
  private readonly its: VgicIts
  /** By slot, counted from 1, the references that somebody has. */
  private readonly counts: Int32Array
  /** By offset, 1 for a word that a rule here reads. */
  private readonly reads: Uint8Array

  constructor(private readonly machine: Machine) {
    const { hypervisor } = machine
    this.hypervisor = hypervisor
    this.words = hypervisor.words
    this.its = hypervisor.mmio.dist.its
    const { count } = hypervisor.layout.lpis.lpi
    this.present = count > 0
    this.counts = new Int32Array(count + 1)
    this.reads = this.present ? wordsRead(machine) : new Uint8Array(0)
  }

  /** Whether a rule may say something else than before: only if the last step has changed a word that it reads. */
  concerns({ at, count }: Changes): boolean {
    const { reads } = this
    for (let i = 0; i < count; i++) if (reads[at[i]] !== 0) return true
    return false
  }

  /** S15: somebody names an LPI that was freed. */
  freed(): string | undefined {
    let found: string | undefined
    this.visit((irq, holder) => {
      if (this.words[irq + LPI_INTID] === 0) found ??= `${holder} names an LPI that was freed`
    })
    return found
  }

  /** S16: an LPI has more or fewer references than holders, or the table does not have it. */
  miscounted(): string | undefined {
    const { words, counts } = this
    const { lpis } = this.its
    counts.fill(0)
    this.visit((irq, _holder, holds) => {
      if (holds) counts[lpis.slotOf(irq)]++
    })
    for (let slot = 1; slot < counts.length; slot++) {
      const irq = lpis.at(slot)
      const references = words[irq + LPI_REFS]
      const name = intidName(words[irq + LPI_INTID])
      if (references !== counts[slot])
        return `the reference count of ${name} is ${references}, its holders are ${counts[slot]}`
      if (references > 0 && !lpis.isInTable(irq)) return `${name} is in use, and not in the table`
    }
    return undefined
  }

  /**
   * S18: the last step has changed where an LPI, or its collection, goes, and they differ now. `before` is the words as they
   * were before it.
   */
  misdirected(before: Int32Array): string | undefined {
    const { words, its } = this
    for (let slot = 1; slot <= its.events.layout.count; slot++) {
      if (!its.events.isUsed(slot)) continue
      const irq = its.lpiOf(slot)
      const [target, wanted] = [irqTarget(words[irq]), its.targetOf(its.collectionOf(slot))]
      const isOld = target === irqTarget(before[irq]) && wanted === this.targetBefore(before, slot)
      if (isOld || wanted === TARGET_NONE || this.isWanted(irq, target) || this.isMovedAll(before, irq))
        continue
      return `${intidName(its.lpis.intidOf(irq))} goes to vcpu${target}, and its collection to vcpu${wanted}`
    }
    return undefined
  }

  /** Where the collection of an event went; where it goes, if the event was another. */
  private targetBefore(before: Int32Array, slot: number): number {
    const { its } = this
    const event = its.events.recordOf(slot)
    if (before[event + EVENT_LPI] !== this.words[event + EVENT_LPI])
      return its.targetOf(its.collectionOf(slot))
    const collection = before[event + EVENT_COLLECTION]
    return collection === 0 ? TARGET_NONE : before[its.collections.recordOf(collection) + COLLECTION_TARGET]
  }

  /** Whether one of the events of an LPI is in a collection that goes to a vCPU: they share it, and the last moves it. */
  private isWanted(irq: Irq, target: number): boolean {
    const { its } = this
    for (let slot = 1; slot <= its.events.layout.count; slot++) {
      const isIts = its.events.isUsed(slot) && its.lpiOf(slot) === irq
      if (isIts && its.targetOf(its.collectionOf(slot)) === target) return true
    }
    return false
  }

  /** Whether the last step was a MOVALL that took an LPI from the vCPU that it names to the other. */
  private isMovedAll(before: Int32Array, irq: Irq): boolean {
    for (let n = 0; n < this.hypervisor.layout.itsCount; n++) {
      const command = this.its.recordOf(n) + ITS_COMMAND
      if (COMMAND_opcode(before[command]) !== ITS_MOVALL) continue
      const [from, to] = [
        before[command + COMMAND_ADDRESS] >>> 16,
        before[command + COMMAND_ADDRESS_2] >>> 16,
      ]
      if (irqTarget(before[irq]) === from && irqTarget(this.words[irq]) === to) return true
    }
    return false
  }

  /** S14: a cached translation is not that of the tables, and no command is carried out. */
  staleTranslation(): string | undefined {
    const { words } = this
    const { translations, translationCount } = this.hypervisor.layout.lpis
    const end = translations + translationCount * CACHED_STRIDE
    for (let at = translations; at < end && words[at + CACHED_ITS] !== 0; at += CACHED_STRIDE) {
      const n = words[at + CACHED_ITS] - 1
      const [device, event] = [words[at + CACHED_DEVICE], words[at + CACHED_EVENT]]
      if (this.its.isLocked(n) || this.lpiOf(n, device, event) === words[at + CACHED_LPI]) continue
      return `the translation of device ${device >>> 0} event ${event >>> 0} is cached, and is not that of the tables`
    }
    return undefined
  }

  /** The slot of the LPI that a message means by the tables; 0 if none. */
  private lpiOf(n: number, deviceId: number, eventId: number): number {
    const { words, its } = this
    const event = its.isEnabled(n) ? its.findEvent(n, deviceId, eventId) : 0
    const target = event === 0 ? TARGET_NONE : its.targetOf(its.collectionOf(event))
    if (target === TARGET_NONE || words[this.hypervisor.vcpu(target) + VCPU_LPIS_ENABLED] === 0) return 0
    return words[its.events.recordOf(event) + EVENT_LPI]
  }

  /** Visits all that names an LPI. */
  private visit(visit: Visit): void {
    for (let i = 0; i < this.hypervisor.layout.vcpuCount; i++) this.visitVcpu(i, visit)
    const { words, its, machine } = this
    for (let slot = 1; slot <= its.events.layout.count; slot++)
      if (its.events.isUsed(slot)) visit(its.lpiOf(slot), `event ${its.eventIdOf(slot)}`, true)
    const { translations, translationCount } = this.hypervisor.layout.lpis
    const end = translations + translationCount * CACHED_STRIDE
    for (let at = translations; at < end && words[at + CACHED_ITS] !== 0; at += CACHED_STRIDE)
      visit(its.lpis.at(words[at + CACHED_LPI]), 'a cached translation', true)
    for (const [index, { name }] of machine.devices.entries()) {
      const irq = machine.deviceSteps.messageLpi(index, false)
      if (irq !== 0) visit(irq, `the message of ${name}`, machine.deviceSteps.messageLpi(index, true) !== 0)
    }
  }

  private visitVcpu(index: number, visit: Visit): void {
    const { words } = this
    const { apLists } = this.hypervisor
    const v = this.hypervisor.vcpu(index)
    const visitLpi = (irq: Irq, holder: string, holds: boolean): void => {
      if (irq !== 0 && apLists.lpis.isLpi(irq)) visit(irq, holder, holds)
    }
    for (const irq of apLists.listOf(v)) visitLpi(irq, `vcpu${index}'s list`, true)
    for (let i = 0; i < words[v + VCPU_USED_LRS]; i++)
      visitLpi(asIrq(words[v + VCPU_LR_IRQ + i]), `list register ${i} of vcpu${index}`, true)
    visitLpi(asIrq(words[v + VCPU_MIGRANT]), `the prune of vcpu${index}`, words[v + VCPU_MIGRANT_HELD] !== 0)
  }
}

/** By offset, 1 for a word of what an ITS has and maps, or that says who names an LPI. */
function wordsRead({ hypervisor, devices, deviceSteps }: Machine): Uint8Array {
  const { words, layout, interrupts, config, mmio } = hypervisor
  const reads = new Uint8Array(words.length)
  // The ITSs' records, and those of all that they map, follow each other.
  reads.fill(1, mmio.dist.its.recordOf(0), layout.lpis.common + LPIS_CACHE_NEXT + 1)
  for (const irq of interrupts.all) reads[irq + IRQ_LINK] = 1
  for (let i = 0; i < layout.vcpuCount; i++) {
    const v = hypervisor.vcpu(i)
    for (const word of [VCPU_AP_FIRST, VCPU_AP_COUNT, VCPU_USED_LRS, VCPU_LPIS_ENABLED]) reads[v + word] = 1
    for (const word of [VCPU_MIGRANT, VCPU_MIGRANT_HELD]) reads[v + word] = 1
    reads.fill(1, v + VCPU_LR_IRQ, v + VCPU_LR_IRQ + config.listRegisters)
  }
  for (const index of devices.keys())
    for (const word of [DEVICE_LPI, DEVICE_HOLDS]) reads[deviceSteps.recordOf(index) + word] = 1
  return reads
}
