/**
 * The invariants of saving a VM: R1, R2, R5. When userspace saves the interrupts, the state before the step is saved once
 * more, here, and looked at: what the image has, whether a second one is the same, and what a restore makes of it. Then the
 * words are as they were.
 *
 * R2 is not checked with GICv4: what is injected directly is configuration of the host, which a restore does not bring.
 */
import { type Intid, intidName } from '../arch/intid.ts'
import { VgicError } from '../errors/vgic-error.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import { VCPU_LPIS_ENABLED, VCPU_VMCR } from '../hyp/records/vcpu.ts'
import { IRQ_AP_LIST, IRQ_LATCH, type Irq, irqTarget, TARGET_NONE } from '../hyp/records/vgic-irq.ts'
import { ENDED, type NextPc } from '../hyp/run/program.ts'
import { readEntry } from '../hyp/userspace/its-table-entries.ts'
import { readItsTables } from '../hyp/userspace/its-tables-restore.ts'
import { restoreVgic, type SavedRegisters, type SavedVgic } from '../hyp/userspace/save-restore.ts'
import { pendingAddress, pendingTablesInUse } from '../hyp/userspace/saved-its.ts'
import { DEVICE_IMAGE, DEVICE_INJECT } from '../scenario/device-record.ts'
import type { Machine } from '../scenario/machine.ts'
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
    const at = machine.deviceOf(index)
    const after = words.slice()
    words.set(before)
    const pc = machine.nextInjection(index)
    const found = machine.saves.savesInterrupts(pc) ? this.ofInterrupts(pc, checked) : undefined
    words.set(before)
    const image = machine.saves.imageAfter(pc, before[at + DEVICE_IMAGE])
    words.set(after)
    if (found || !checked.R5 || words[at + DEVICE_INJECT] !== ENDED) return found
    const torn = this.torn(image)
    return torn === undefined ? undefined : ['R5', torn]
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
      for (const [deviceId, { events }] of readItsTables(its, n).devices) {
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
