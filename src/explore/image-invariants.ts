/**
 * The invariants of saving and restoring a VM: R1 to R5. When userspace saves the interrupts, the state before the step is
 * saved once more, here, and looked at: what the image has, whether a second one is the same, and what a restore makes of it.
 * Then the words are as they were. With GICv4 nothing is restored then: what is injected directly is configuration of the
 * host, which a restore does not bring.
 *
 * When userspace restores the VM, a step at a time, a step that is refused must have changed nothing, what the ITSs have mapped
 * must be what commands can map, and at the end the registers read as they were saved.
 */
import { type Intid, intidName } from '../arch/intid.ts'
import { isErrno, VgicError } from '../errors/vgic-error.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import { COLLECTION_ID, DEVICE_BITS, DEVICE_ID } from '../hyp/records/lpi-record.ts'
import { VCPU_LPIS_ENABLED, VCPU_VMCR } from '../hyp/records/vcpu.ts'
import { IRQ_AP_LIST, IRQ_LATCH, type Irq, irqTarget, TARGET_NONE } from '../hyp/records/vgic-irq.ts'
import { ENDED, type NextPc } from '../hyp/run/program.ts'
import { readEntry } from '../hyp/userspace/its-table-entries.ts'
import { readItsTables } from '../hyp/userspace/its-tables-restore.ts'
import { eventsOf, slotsOf } from '../hyp/userspace/its-tables-save.ts'
import { restoreVgic, type SavedRegisters, type SavedVgic } from '../hyp/userspace/save-restore.ts'
import { type ItsTables, pendingAddress, pendingTablesInUse, roomOf } from '../hyp/userspace/saved-its.ts'
import { COLLECTION_TABLE, DEVICE_TABLE, ITS_ID_BITS, type VgicIts } from '../hyp/vgic/vgic-its.ts'
import { DEVICE_IMAGE, DEVICE_INJECT } from '../scenario/device-record.ts'
import type { Machine } from '../scenario/machine.ts'
import type { Restores } from '../scenario/restores.ts'
import type { InvariantId } from './invariants.ts'

type Found = readonly [InvariantId, string]

export class ImageInvariants {
  private readonly hypervisor: Hypervisor
  private readonly words: Int32Array

  constructor(private readonly machine: Machine) {
    this.hypervisor = machine.hypervisor
    this.words = machine.hypervisor.words
  }

  /** After a step of a save by a device; `before` is the words as they were before it. */
  afterSave(
    index: number,
    before: Int32Array,
    checked: Readonly<Record<InvariantId, boolean>>,
  ): Found | undefined {
    const { machine, words } = this
    const at = machine.deviceSteps.recordOf(index)
    const after = words.slice()
    words.set(before)
    const pc = machine.deviceSteps.nextInjection(index)
    const found = machine.saves.savesInterrupts(pc) ? this.ofInterrupts(pc, checked) : undefined
    words.set(before)
    const image = machine.saves.imageAfter(pc, before[at + DEVICE_IMAGE])
    words.set(after)
    if (found || !checked.R5 || words[at + DEVICE_INJECT] !== ENDED) return found
    const torn = this.torn(image)
    return torn === undefined ? undefined : ['R5', torn]
  }

  /** Whether a restore has begun and is not done. */
  get isUnderWay(): boolean {
    return this.machine.restores?.isKept ?? false
  }

  /** After a step of a restore by a device; `before` is the words as they were before it. */
  afterRestore(
    index: number,
    before: Int32Array,
    checked: Readonly<Record<InvariantId, boolean>>,
  ): Found | undefined {
    const { machine, words } = this
    const { restores } = machine
    if (!restores) return undefined
    if (restores.isRefused) return this.afterRefusal(index, restores, before, checked)
    const unreachable = checked.R3 ? this.unreachable() : undefined
    if (unreachable !== undefined) return ['R3', unreachable]
    if (!checked.R2 || restores.isKept) return undefined
    const after = words.slice()
    words.set(before)
    const [image, events] = [restores.read(), restores.events]
    words.set(after)
    const differs = restores.differing(image, events)
    // To read that an SGI is pending accesses the hardware.
    words.set(after)
    return differs === undefined ? undefined : ['R2', differs]
  }

  /** A step was refused: R4 if it has changed something, R2 in any case. */
  private afterRefusal(
    index: number,
    restores: Restores,
    before: Int32Array,
    checked: Readonly<Record<InvariantId, boolean>>,
  ): Found | undefined {
    const { machine, words } = this
    const why = (): string => {
      const after = words.slice()
      words.set(before)
      const into = machine.deviceSteps.next(index)?.restore ?? 'same'
      const refusal = restores.take(machine.deviceSteps.nextInjection(index), into) ?? ''
      words.set(after)
      return refusal
    }
    const changed = checked.R4 ? this.changed(before) : undefined
    if (changed !== undefined) return ['R4', `${changed} has changed by a step that is refused: ${why()}`]
    return checked.R2 ? ['R2', `the image is refused: ${why()}`] : undefined
  }

  /** The name of a word that is not as it was. Those of the devices, the ghosts and the image come after the others. */
  private changed(before: Int32Array): string | undefined {
    const { words, machine } = this
    const { layout } = this.hypervisor.state
    const { compared } = layout
    for (let range = 0; range < compared.length; range += 2) {
      const end = Math.min(compared[range + 1], machine.deviceSteps.recordOf(0))
      for (let word = compared[range]; word < end; word++)
        if (words[word] !== before[word]) return layout.nameOf(word)
    }
    return undefined
  }

  /** R3: what the ITSs have mapped, by the checks of the commands that map it. */
  private unreachable(): string | undefined {
    const { its } = this.hypervisor.mmio.dist
    const { vcpuCount, itsCount } = this.hypervisor.layout
    for (let n = 0; n < itsCount; n++) {
      for (const slot of slotsOf(its, n, COLLECTION_TABLE)) {
        const icid = this.words[its.collections.recordOf(slot) + COLLECTION_ID]
        const target = its.targetOf(slot)
        if (icid >= roomOf(its, n, COLLECTION_TABLE))
          return `ITS ${n} has ICID ${icid}, for which it has no table`
        if (target !== TARGET_NONE && target >= vcpuCount)
          return `collection ${icid} goes to vcpu${target}, which does not exist`
      }
      for (const slot of slotsOf(its, n, DEVICE_TABLE)) {
        const wrong = this.unreachableDevice(n, slot)
        if (wrong !== undefined) return wrong
      }
    }
    return undefined
  }

  private unreachableDevice(n: number, slot: number): string | undefined {
    const { its } = this.hypervisor.mmio.dist
    const device = its.devices.recordOf(slot)
    const [id, bits] = [this.words[device + DEVICE_ID], this.words[device + DEVICE_BITS]]
    if (id >= roomOf(its, n, DEVICE_TABLE)) return `ITS ${n} has device ${id}, for which it has no table`
    if (bits > ITS_ID_BITS) return `device ${id} has ${bits} bits of EventIDs, which no MAPD gives it`
    for (const event of eventsOf(its, slot)) {
      const [eventId, intid] = [its.eventIdOf(event), its.lpis.intidOf(its.lpiOf(event))]
      if (!its.hasEvent(slot, eventId))
        return `device ${id} has event ${eventId}, and ${bits} bits of EventIDs`
      if (intid >>> ITS_ID_BITS !== 0) return `event ${eventId} of device ${id} is mapped to INTID ${intid}`
    }
    return undefined
  }

  /** R5: an image has a timer masked, as its interrupt was made pending, and does not have the interrupt. */
  private torn(image: number): string | undefined {
    for (let i = 0; i < this.hypervisor.layout.vcpuCount; i++) {
      const intid = this.machine.saves.lostTimer(image, i)
      if (intid !== 0)
        return `the image has the timer of vcpu${i} masked, and its interrupt, ${intidName(intid)}, neither pending nor active`
    }
    return undefined
  }

  private ofInterrupts(
    pc: NextPc,
    checked: Readonly<Record<InvariantId, boolean>>,
  ): readonly [InvariantId, string] | undefined {
    const { machine, hypervisor, words } = this
    const state = words.slice()
    const image = machine.saves.take(pc)
    if (image === undefined) return undefined
    const wrong = checked.R1 ? this.differing(image, pc) : undefined
    if (wrong !== undefined) return ['R1', wrong]
    if (!checked.R2 || hypervisor.v4 !== undefined) return undefined
    const lost = this.restored(image, state)
    return lost === undefined ? undefined : ['R2', lost]
  }

  /** R1: the image is not of this state, or a second one is another. */
  private differing(image: SavedVgic, pc: NextPc): string | undefined {
    const wrong = this.wrongRegisters(image) ?? this.wrongPendingBit() ?? this.wrongMapping()
    if (wrong !== undefined) return wrong
    return JSON.stringify(this.machine.saves.take(pc)) === JSON.stringify(image)
      ? undefined
      : 'a second image of the same state is another'
  }

  /** Pending state of software in ISPENDR, without the lines. vSGIs are the hardware's. */
  private wrongRegisters({ dist, redist }: SavedVgic): string | undefined {
    const { layout, apLists, v4 } = this.hypervisor
    const isPending = (registers: SavedRegisters, frame: string, intid: Intid): boolean =>
      ((BigInt(registers[`${frame}_ISPENDR${intid >> 5}`] ?? '0x0') >> BigInt(intid & 31)) & 1n) === 1n
    for (let i = 0; i < layout.vcpuCount; i++) {
      const v = apLists.vcpuOf(i)
      for (let intid = v4?.vsgis ? 16 : 0; intid < 32 + layout.spiCount; intid++) {
        const [registers, frame] = intid < 32 ? [redist[i], 'GICR'] : [dist, 'GICD']
        const is = (this.words[apLists.irqOf(v, intid)] & IRQ_LATCH) !== 0
        if (isPending(registers, frame, intid) === is) continue
        return `the image has ${intidName(intid)} of vcpu${i} ${is ? 'not ' : ''}pending, and software has it ${is ? '' : 'not '}pending`
      }
    }
    return undefined
  }

  /** The pending tables that are in use have the pending LPIs. Those that are injected directly are the hardware's. */
  private wrongPendingBit(): string | undefined {
    const { hypervisor, words } = this
    const { its } = hypervisor.mmio.dist
    const inUse = pendingTablesInUse(hypervisor)
    for (let slot = its.lpis.firstSlot; slot !== 0; slot = its.lpis.next(slot)) {
      const irq = its.lpis.at(slot)
      if (hypervisor.v4?.forwarding.isForwardedLpi(irq)) continue
      for (let i = 0; i < hypervisor.layout.vcpuCount; i++) {
        if (!inUse[i]) continue
        const isPending = (words[irq] & IRQ_LATCH) !== 0 && irqTarget(words[irq]) === i
        if (this.pendingBit(irq, i) !== isPending)
          return `the pending table of vcpu${i} has ${intidName(its.lpis.intidOf(irq))} ${isPending ? 'not ' : ''}pending`
      }
    }
    return undefined
  }

  private pendingBit(irq: Irq, index: number): boolean {
    const { its } = this.hypervisor.mmio.dist
    const intid = its.lpis.intidOf(irq)
    const entry = readEntry(its.memory, pendingAddress(its, index, intid), 'a pending table')
    return ((entry[(intid >>> 5) & 1] >>> (intid & 31)) & 1) === 1
  }

  /** The tables of the ITSs that are enabled have their events, and no others. */
  private wrongMapping(): string | undefined {
    const { its } = this.hypervisor.mmio.dist
    const { itsCount } = this.hypervisor.layout
    const enabled = Array.from({ length: itsCount }, (_, n) => n).filter((n) => its.isEnabled(n))
    let saved = 0
    for (const n of enabled) {
      const tables = tablesOf(its, n)
      if (typeof tables === 'string') return tables
      for (const [deviceId, { events }] of tables.devices) {
        for (const [eventId, { intid }] of events) {
          const slot = its.findEvent(n, deviceId, eventId)
          if (slot === 0 || its.lpis.intidOf(its.lpiOf(slot)) !== intid)
            return `the tables of ITS ${n} have device ${deviceId} event ${eventId}, which is not mapped to LPI ${intid}`
          saved++
        }
      }
    }
    if (enabled.length < itsCount || saved === this.mapped()) return undefined
    return `the tables have ${saved} events of ${this.mapped()}`
  }

  /** How many events are mapped, in a collection: others have no place in the tables. */
  private mapped(): number {
    const { its } = this.hypervisor.mmio.dist
    let mapped = 0
    for (let slot = 1; slot <= its.events.layout.count; slot++)
      if (its.events.isUsed(slot) && its.collectionOf(slot) !== 0) mapped++
    return mapped
  }

  /** R2: what a restore of the image leaves differs from the state. */
  private restored(image: SavedVgic, state: Int32Array): string | undefined {
    const { hypervisor, words } = this
    try {
      restoreVgic(hypervisor, image)
    } catch (error) {
      if (error instanceof VgicError) return `the image is refused: ${error.message}`
      throw error
    }
    for (let i = 0; i < hypervisor.layout.vcpuCount; i++) {
      const v = hypervisor.vcpu(i)
      if (words[v + VCPU_VMCR] !== state[v + VCPU_VMCR]) return `ICH_VMCR_EL2 of vcpu${i} differs`
      for (let intid = 0; intid < 32 + hypervisor.layout.spiCount; intid++) {
        const irq = hypervisor.apLists.irqOf(v, intid)
        if ((words[irq] ^ state[irq]) & ~IRQ_AP_LIST) return `${intidName(intid)} of vcpu${i} differs`
      }
    }
    return this.lostLpi(state)
  }

  private lostLpi(state: Int32Array): string | undefined {
    const { words, hypervisor } = this
    const { lpis } = hypervisor.mmio.dist.its
    const restored = new Map<Intid, number>()
    for (let slot = lpis.firstSlot; slot !== 0; slot = lpis.next(slot))
      restored.set(lpis.intidOf(lpis.at(slot)), words[lpis.at(slot)])
    words.set(state)
    for (let slot = lpis.firstSlot; slot !== 0; slot = lpis.next(slot)) {
      const irq = lpis.at(slot)
      const target = irqTarget(words[irq])
      const isTaken = target !== TARGET_NONE && words[hypervisor.vcpu(target) + VCPU_LPIS_ENABLED] !== 0
      const isPending = (restored.get(lpis.intidOf(irq)) ?? 0) & IRQ_LATCH
      if (isTaken && (words[irq] & IRQ_LATCH) !== isPending)
        return `${intidName(lpis.intidOf(irq))} was ${isPending ? 'not ' : ''}pending`
    }
    return undefined
  }
}

/** The tables of an ITS in the guest's memory, or a text that says that it has something there that is refused. */
function tablesOf(its: VgicIts, n: number): ItsTables | string {
  try {
    return readItsTables(its, n)
  } catch (error) {
    if (isErrno(error)) return `the tables are refused: ${error.message}`
    throw error
  }
}
