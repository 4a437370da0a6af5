/**
 * MMIO emulation (KVM's vgic-mmio.c): a guest's access to the frames of its distributor, redistributors and ITS,
 * which are not mapped, exits; this file decodes and executes it. vgic-mmio-registers.ts and vgic-its-registers.ts
 * have the registers, vgic-mmio-irqs.ts their effects on interrupts.
 */

import { GICD_CTLR_EnableGrp1 } from '../../arch/gicd-registers.ts'
import { FIRST_SPI } from '../../arch/intid.ts'
import { ESR_accessSize, ESR_WnR } from '../../arch/syndrome.ts'
import type { Memory } from '../../gic/config/memory.ts'
import { DOUBLEWORD, type RegisterMap } from '../../gic/frames/register-map.ts'
import { GITS_CONTROL_SIZE } from '../../gic/its/gits-frame.ts'
import { GUEST_VALUE, GUEST_VALUE_HIGH } from '../records/guest-record.ts'
import {
  privateIrq,
  VCPU_AP_COUNT,
  VCPU_DATA,
  VCPU_ESR,
  VCPU_FAULT_IPA,
  VCPU_INDEX,
  VCPU_USED_LRS,
  type Vcpu,
} from '../records/vcpu.ts'
import {
  asIrq,
  IRQ_EDGE,
  IRQ_ENABLED,
  IRQ_GROUP1,
  type Irq,
  irqAfter,
  irqApListOf,
  irqIsDeliverable,
} from '../records/vgic-irq.ts'
import { VM_ACCESSING, VM_RUNNING, VM_STOPPER, type VmLayout } from '../records/vm.ts'
import type { ApLists } from './ap-list.ts'
import type { MappedInterrupts } from './mapped-interrupts.ts'
import { type GuestFrames, VGIC_GICD_SIZE, VGIC_GICR_SIZE, VgicDist } from './vgic-dist.ts'
import type { ItsWays } from './vgic-its-commands.ts'
import { itsMap, resetIts, VGIC_GITS_SIZE } from './vgic-its-registers.ts'
import { distributorMap, redistributorMap, type VgicRow } from './vgic-mmio-registers.ts'

/** The results of an access, which are the outcomes of the step `emulateMmio`: done. */
export const MMIO_DONE = 0
/** Done, and interrupts may belong elsewhere now. */
export const MMIO_REEVALUATE = 1
/** Not done: the accessed state may be in list registers of running vCPUs. */
export const MMIO_STOP = 2
/** Not an access to the emulated GIC. */
export const MMIO_USERSPACE = 3
/** Done, and the vCPU is to carry out an ITS's commands. */
export const MMIO_COMMANDS = 4

/** A frame's registers, and by row number the conditions of an access. */
interface Frame {
  readonly map: RegisterMap<VgicDist, Vcpu, VgicRow>
  readonly flags: Uint8Array
}

const HOLDS_ACTIVE = 1
const HOLDS_PENDING = 2
const HOLDS_EITHER = 3
const REEVALUATES = 4
const DISABLES_BITS = 8
const DISABLES_ALL = 16
const STOPS_FOR = 32

const frameOf = (map: RegisterMap<VgicDist, Vcpu, VgicRow>): Frame => ({
  map,
  flags: Uint8Array.from([
    0,
    ...map.rows.map(
      ({ holds, reevaluates, disables, stopsFor }) =>
        (holds === 'active' ? HOLDS_ACTIVE : holds === 'pending' ? HOLDS_PENDING : 0) |
        (reevaluates ? REEVALUATES : 0) |
        (disables === 'interrupts' ? DISABLES_BITS : disables === 'all' ? DISABLES_ALL : 0) |
        (stopsFor ? STOPS_FOR : 0),
    ),
  ]),
})

const distributorFrame = frameOf(distributorMap)
const redistributorFrame = frameOf(redistributorMap)

const NOTHING: readonly Irq[] = []
const HIGH = 0x1_0000_0000
const FRAME = 0xffff_0000 | 0

export class VgicMmio {
  readonly words: Int32Array
  readonly layout: VmLayout
  readonly dist: VgicDist
  /** By ITS, the address of its frames. */
  private readonly bases: readonly number[]
  private readonly hasIts: boolean
  /** Whether an access to active state stops the VM in the accessing vCPU's own redistributor, too: Linux 6.1. */
  private readonly stopsForOwn: boolean
  private readonly gicdLow: number
  private readonly gicdHigh: number

  constructor(
    readonly apLists: ApLists,
    mapped: MappedInterrupts,
    readonly frames: GuestFrames,
    memory: Memory,
    ways: ItsWays,
  ) {
    this.bases = frames.its ?? []
    this.hasIts = this.bases.length > 0
    this.words = apLists.words
    this.layout = apLists.layout
    this.stopsForOwn = ways.isLinux61
    this.dist = new VgicDist(apLists, mapped, frames, memory, ways)
    this.gicdLow = frames.gicd | 0
    this.gicdHigh = Math.floor(frames.gicd / HIGH)
  }

  /** Resets the registers, except those that are set up when the VM is made. */
  reset(): void {
    this.dist.reset()
    for (let n = 0; n < this.layout.itsCount; n++) resetIts(this.words, this.dist.its.recordOf(n))
  }

  /**
   * Executes the access for which a vCPU has exited; the result of a read goes to its guest. With `asksOwners`, an
   * access to pending state stops the vCPUs that may have it in a list register, as one to active state always does,
   * and so does a write that disables interrupts that they may have. Without it, the access is to the words in
   * memory, and timers' lines are those of the accessing vCPU. Returns an MMIO_ value.
   */
  access(v: Vcpu, asksOwners: boolean): number {
    const { words } = this
    const low = words[v + VCPU_FAULT_IPA]
    const high = words[v + VCPU_FAULT_IPA + 1]
    words[this.layout.vm + VM_RUNNING] = asksOwners === true ? 0 : v
    words[this.layout.vm + VM_ACCESSING] = v
    if (((low ^ this.gicdLow) & FRAME) === 0 && high === this.gicdHigh)
      return this.accessFrame(v, v, distributorFrame, low & 0xffff, asksOwners)
    return this.accessOther(v, high * HIGH + (low >>> 0), asksOwners)
  }

  /** An access outside the distributor's frame. */
  private accessOther(v: Vcpu, address: number, asksOwners: boolean): number {
    const index = this.redistributorAt(address)
    if (index >= 0) {
      const offset = address - this.dist.redistributors[index]
      return this.accessFrame(v, this.apLists.vcpuOf(index), redistributorFrame, offset, asksOwners)
    }
    const n = this.itsAt(address)
    return n < 0 ? MMIO_USERSPACE : this.accessIts(v, n, address - this.bases[n])
  }

  /** An access to the control frame goes on with what an earlier one has left in the queue: a read after its value is taken. */
  private accessIts(v: Vcpu, n: number, offset: number): number {
    const { words, dist } = this
    const { commands } = dist
    const esr = words[v + VCPU_ESR]
    const size = ESR_accessSize(esr)
    const isOthers = commands.isQueueLocked(n)
    if (esr & ESR_WnR) itsMap.write(dist, n, offset, size, words[v + VCPU_DATA], words[v + VCPU_DATA + 1])
    else {
      words[v + GUEST_VALUE] = itsMap.read(dist, n, offset, size)
      words[v + GUEST_VALUE_HIGH] = size === DOUBLEWORD ? itsMap.readHigh(dist, n, offset) : 0
    }
    // A read waits for nobody.
    if (isOthers || offset >= GITS_CONTROL_SIZE) return this.finish(v, MMIO_DONE)
    commands.start(n)
    if (!commands.isQueueLocked(n)) return this.finish(v, MMIO_DONE)
    commands.lockQueue(n, v)
    return this.finish(v, MMIO_COMMANDS)
  }

  /**
   * Whether an access must wait: it writes a register of an ITS whose commands another vCPU carries out. KVM takes
   * cmd_lock for GITS_CTLR, GITS_CBASER and GITS_CWRITER, and its_lock for a `GITS_BASER<n>` that it does not ignore.
   */
  mustWait(v: Vcpu): boolean {
    return this.hasIts === true && this.waitsForIts(v)
  }

  private waitsForIts(v: Vcpu): boolean {
    const { words, dist } = this
    for (let n = 0; n < this.bases.length; n++)
      if (
        dist.commands.isQueueLocked(n) &&
        words[v + VCPU_ESR] & ESR_WnR &&
        this.itsAt(addressOf(words, v)) === n
      )
        return true
    return false
  }

  /** The number of the ITS at an address; -1 if there is none. */
  private itsAt(address: number): number {
    for (let n = 0; n < this.bases.length; n++) {
      if (address >= this.bases[n] && address < this.bases[n] + VGIC_GITS_SIZE) return n
    }
    return -1
  }

  /** @noinline */
  private accessFrame(v: Vcpu, owner: Vcpu, frame: Frame, offset: number, asksOwners: boolean): number {
    const { words } = this
    const { map } = frame
    const esr = words[v + VCPU_ESR]
    const size = ESR_accessSize(esr)
    const row = map.numberOf(offset, size)
    const flags = frame.flags[row]
    if (
      flags & (asksOwners === true ? HOLDS_EITHER : HOLDS_ACTIVE) &&
      this.mustStop(v, owner, frame, map.firstOf(row, offset))
    )
      return MMIO_STOP
    if ((esr & ESR_WnR) === 0) {
      words[v + GUEST_VALUE] = map.readRow(this.dist, owner, row, offset, size)
      words[v + GUEST_VALUE_HIGH] = size === DOUBLEWORD ? map.readHigh(this.dist, owner, offset) : 0
      return this.finish(v, MMIO_DONE)
    }
    const value = words[v + VCPU_DATA]
    if (flags & STOPS_FOR && !this.isAlone(v) && map.rows[row - 1].stopsFor?.(this.dist, value))
      return MMIO_STOP
    if (asksOwners && this.mustWithdraw(v, owner, flags, map.firstOf(row, offset), words[v + VCPU_DATA]))
      return MMIO_STOP
    map.write(this.dist, owner, offset, size, words[v + VCPU_DATA], words[v + VCPU_DATA + 1])
    return this.finish(v, flags & REEVALUATES ? MMIO_REEVALUATE : MMIO_DONE)
  }

  /**
   * Whether the accessed state may be in list registers of a running vCPU other than `v`, which has exited: of any
   * vCPU for an SPI that there is, of its own vCPU for a private interrupt. Linux before 6.3 (fd2b165ce2cc) does not ask
   * whose redistributor it is.
   */
  private mustStop(v: Vcpu, owner: Vcpu, frame: Frame, first: number): boolean {
    if (this.isAlone(v) || first >= FIRST_SPI + this.layout.spiCount) return false
    return owner !== v || first >= FIRST_SPI || (this.stopsForOwn && frame === redistributorFrame)
  }

  /** Whether no other vCPU is in its guest or can enter it. */
  private isAlone(v: Vcpu): boolean {
    const { words, layout } = this
    return layout.vcpuCount === 1 || words[layout.vm + VM_STOPPER] === words[v + VCPU_INDEX] + 1
  }

  /** Whether a write of `value` disables an interrupt that may be in a list register of a running vCPU. */
  private mustWithdraw(v: Vcpu, owner: Vcpu, flags: number, first: number, value: number): boolean {
    if ((flags & (DISABLES_BITS | DISABLES_ALL)) === 0 || this.isAlone(v)) return false
    if (flags & DISABLES_ALL) return (value & GICD_CTLR_EnableGrp1) === 0 && this.someonePresents()
    const end = FIRST_SPI + this.layout.spiCount - first
    for (let i = 0; i < 32 && i < end; i++)
      if ((value >>> i) & 1 && this.isPresented(this.apLists.irqOf(owner, first + i))) return true
    return false
  }

  /** Whether a vCPU has list registers in use. One that is outside its guest, like the accessing one, has none. */
  private someonePresents(): boolean {
    const { words, apLists, layout } = this
    for (let i = 0; i < layout.vcpuCount; i++) if (words[apLists.vcpuOf(i) + VCPU_USED_LRS] !== 0) return true
    return false
  }

  /** Whether an interrupt is on the ap_list of a vCPU that has list registers in use. */
  private isPresented(irq: Irq): boolean {
    const { words, apLists } = this
    const holder = irqApListOf(words[irq])
    return holder !== 0 && words[apLists.vcpuOf(holder - 1) + VCPU_USED_LRS] !== 0
  }

  /** Completes an access in userspace, which has nothing at the address: a read returns zero, a write is ignored. */
  finishInUserspace(v: Vcpu): void {
    const { words } = this
    if ((words[v + VCPU_ESR] & ESR_WnR) === 0) {
      words[v + GUEST_VALUE] = 0
      words[v + GUEST_VALUE_HIGH] = 0
    }
    this.finish(v, MMIO_DONE)
  }

  private finish(v: Vcpu, result: number): number {
    const { words } = this
    words[v + VCPU_FAULT_IPA] = 0
    words[v + VCPU_FAULT_IPA + 1] = 0
    words[v + VCPU_DATA] = 0
    words[v + VCPU_DATA + 1] = 0
    words[this.layout.vm + VM_RUNNING] = 0
    return result
  }

  /**
   * Puts every pending interrupt on the list where it belongs, removes those that do not belong where they are, and
   * notifies the vCPUs concerned. A vCPU that has list registers in use updates its own list when it exits.
   */
  reevaluate(): void {
    const { words, apLists, layout } = this
    for (let i = 0; i < layout.vcpuCount; i++) {
      const v = apLists.vcpuOf(i)
      for (let intid = 0; intid < FIRST_SPI; intid++) this.requeue(privateIrq(v, intid))
    }
    for (let spi = 0; spi < layout.spiCount; spi++) this.requeue(irqAfter(asIrq(layout.spis), spi))
    const { lpis } = apLists
    for (let slot = lpis.firstSlot; slot !== 0; slot = lpis.next(slot)) this.requeue(lpis.at(slot))
    for (let i = 0; i < layout.vcpuCount; i++) {
      const v = apLists.vcpuOf(i)
      if (words[v + VCPU_AP_COUNT] === 0) continue
      if (words[v + VCPU_USED_LRS] === 0) apLists.prune(words, v)
      else apLists.notify(v)
    }
  }

  private requeue(irq: Irq): void {
    const { words, apLists } = this
    if (!irqIsDeliverable(words[irq])) return
    const target = apLists.queue(words, irq, words[irq])
    if (target !== 0) apLists.notify(target)
  }

  /** The interrupts whose pending state the access under way clears by ICPENDR, for the ghosts, which count edges. */
  clearedEdges(v: Vcpu): readonly Irq[] {
    const { words, apLists, layout } = this
    if (words[v + VCPU_FAULT_IPA] === 0 || (words[v + VCPU_ESR] & ESR_WnR) === 0) return NOTHING
    const address = addressOf(words, v)
    const [, number] = /^GIC[DR]_ICPENDR(\d+)$/.exec(this.nameOf(address) ?? '') ?? []
    if (number === undefined || ESR_accessSize(words[v + VCPU_ESR]) !== 4) return NOTHING
    const index = this.redistributorAt(address)
    const owner = index < 0 ? v : apLists.vcpuOf(index)
    const first = 32 * Number(number)
    const bits = words[v + VCPU_DATA]
    return Array.from({ length: 32 }, (_, i) => first + i)
      .filter(
        (intid, i) =>
          (bits >>> i) & 1 && intid < FIRST_SPI + layout.spiCount && intid >= FIRST_SPI === index < 0,
      )
      .map((intid) => apLists.irqOf(owner, intid))
  }

  /** `GICD_ISENABLER1`: the register at an address, or undefined. */
  nameOf(address: number): string | undefined {
    const { gicd } = this.frames
    if (address >= gicd && address < gicd + VGIC_GICD_SIZE) return distributorMap.nameOf(address - gicd)
    const n = this.itsAt(address)
    if (n >= 0) return itsMap.nameOf(address - this.bases[n])
    const index = this.redistributorAt(address)
    return index < 0 ? undefined : redistributorMap.nameOf(address - this.dist.redistributors[index])
  }

  /** The vCPU whose redistributor is at an address; -1 if there is none. */
  private redistributorAt(address: number): number {
    const { gicr } = this.frames
    let first = 0
    for (let i = 0; i < gicr.length; i++) {
      const { base, count } = gicr[i]
      const offset = address - base
      if (offset >= 0 && offset < count * VGIC_GICR_SIZE) {
        const index = first + Math.floor(offset / VGIC_GICR_SIZE)
        return index < this.layout.vcpuCount ? index : -1
      }
      first += count
    }
    return -1
  }
}

/** The address of an access that a vCPU has exited for. */
const addressOf = (words: Int32Array, v: Vcpu): number =>
  words[v + VCPU_FAULT_IPA + 1] * HIGH + (words[v + VCPU_FAULT_IPA] >>> 0)

/** The word of an SPI after reset: edge-triggered, group 1, priority 0, routed to vCPU 0. */
export const SPI_RESET = IRQ_EDGE | IRQ_GROUP1
/** The word of an SGI after reset: edge-triggered, group 1, enabled. */
export const SGI_RESET = IRQ_EDGE | IRQ_GROUP1 | IRQ_ENABLED
export const PPI_RESET = IRQ_GROUP1
