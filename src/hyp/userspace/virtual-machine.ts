/**
 * A VM whose guests run elsewhere: in a CPU emulator, or in a recording that is replayed. The caller makes each
 * guest's accesses, one at a time, and userspace's; the run loop, list registers and seam are the real ones. A call
 * for a vCPU's guest enters the guest first; after an access that traps the vCPU is outside, with its list registers
 * folded.
 */
import { highOf, joined, lowOf } from '../../arch/doubleword.ts'
import { FIRST_PPI, FIRST_SPI } from '../../arch/intid.ts'
import { dataAbortWord, ESR_EC, ESR_WFI } from '../../arch/syndrome.ts'
import {
  argumentBits64,
  argumentBoolean,
  argumentEncoding,
  argumentInteger,
  argumentLevel,
  argumentNumber,
  argumentOneOf,
  argumentSize,
} from '../../errors/arguments.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { argumentMasks, daifOf, type InterruptMasks } from '../../gic/cpu-interface/interrupt-masks.ts'
import { HOST_LINES, LINE_VFIQ, LINE_VIRQ, PE_LINES } from '../../gic/cpu-interface/lines.ts'
import {
  PCPU_PSTATE,
  PCPU_TRAP,
  type Pcpu,
  PSTATE_EL,
  PSTATE_EL2,
  WFX_COMPLETES,
  WFX_TRAPS,
} from '../../gic/cpu-interface/pcpu.ts'
import { asPe, type Pe } from '../../gic/records/pe.ts'
import type { ImageBytes } from '../../state/image.ts'
import type { Difference } from '../../state/machine-state.ts'
import { type Explanation, explain } from '../explain/explain.ts'
import type { Guest } from '../guest/guest.ts'
import { type CostRow, readCost } from '../host/cost.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { EXIT_IRQ, EXIT_MMIO, EXIT_SYSREG, EXIT_WFI } from '../records/exits.ts'
import { GUEST_PC, GUEST_VALUE, GUEST_VALUE_HIGH } from '../records/guest-record.ts'
import {
  asVcpu,
  peOf,
  timerIntids,
  VCPU_DATA,
  VCPU_ESR,
  VCPU_FAULT_IPA,
  VCPU_INDEX,
  VCPU_LAST_CPU,
  VCPU_PE,
  type Vcpu,
} from '../records/vcpu.ts'
import type { RunLoop } from '../run/run-loop.ts'
import { THREAD_IN_GUEST, THREAD_SLEEPS, THREAD_STEPS, THREAD_WAITS_FOR_VCPUS } from '../run/thread-states.ts'
import { TIMER_PHYSICAL, TIMER_VIRTUAL } from '../vgic/arch-timer.ts'
import { type ListRegisters, listRegistersOf } from './guest-list-registers.ts'
import { restoreVgic, type SavedVgic, saveVgic } from './save-restore.ts'
import { hypervisorFor, type VirtualMachineConfig } from './virtual-machine-config.ts'
import { printedSummary, summaryOf, type VirtualMachineSummary } from './virtual-machine-summary.ts'

/**
 * The most exits of a vCPU for interrupts of the host before its guest executes an instruction. A call makes its
 * guest execute one; but with fewer list registers than interrupts a design may be stuck, since the maintenance
 * interrupt ends every entry before an instruction (hard case 16). On silicon an interrupt takes time to arrive, and
 * an instruction gets executed.
 */
const MAX_EXITS = 64
/**
 * How often a thread runs until it parks, in one call, before its design is refused as one that makes no progress.
 */
const MAX_TRIES = 1000
const HIGH = 0x1_0000_0000
const VIRTUAL_LINES = ['virq', 'vfiq'] as const

/**
 * A VM, which is in its reset state at first. Wrong arguments throw a `VgicError`; nothing that a guest does throws.
 */
export class VirtualMachine {
  /** @internal */
  readonly hypervisor: Hypervisor
  /** What most calls need of the hypervisor: a call costs as much as a hypercall if it looks for each of them. */
  private readonly words: Int32Array
  private readonly runLoop: RunLoop
  private readonly guest: Guest
  private readonly pcpu: Pcpu
  private readonly vcpus: number
  private readonly vcpuSize: number
  private readonly vcpuCount: number
  /** One past the last SPI. */
  private readonly intidEnd: number

  /**
   * Throws a `config` error that names a field that is out of range, or an `argument` error for what is no design or no
   * memory.
   */
  constructor(
    /** The configuration that it was made from. */
    readonly config: VirtualMachineConfig,
  ) {
    this.hypervisor = hypervisorFor(config)
    const { words, runLoop, guest, layout } = this.hypervisor
    this.words = words
    this.runLoop = runLoop
    this.guest = guest
    this.pcpu = this.hypervisor.silicon.pcpu
    this.vcpus = layout.vcpus
    this.vcpuSize = layout.vcpuSize
    this.vcpuCount = layout.vcpuCount
    this.intidEnd = FIRST_SPI + layout.spiCount
  }

  /** A copy of the whole state; {@link restore} takes it. */
  snapshot(): ArrayBuffer {
    return this.hypervisor.state.snapshot()
  }

  /** Restores a snapshot of this VM, or of one with the same configuration. Throws a `VgicError` for any other. */
  restore(image: ImageBytes): void {
    this.hypervisor.state.restore(image)
  }

  /** A 53-bit hash of the state without counters: equal states have equal hashes. */
  hash(): number {
    return this.hypervisor.state.hash()
  }

  /** What has changed since a snapshot, an entry for each register field. */
  diff(image: ImageBytes): Difference[] {
    return this.hypervisor.state.diff(image)
  }

  /** The hypervisor's accesses to the silicon, a row for each kind of exit. */
  cost(): CostRow[] {
    const { words, layout, design } = this.hypervisor
    return readCost(words, layout.costTable, design.name)
  }

  /**
   * Enters the guest of a vCPU, after taking the host's interrupts that would make it exit again. Returns whether the
   * vCPU is in its guest: it is not if it sleeps in a WFI.
   */
  enter(vcpu: number): boolean {
    return this.enterGuest(this.vcpu(vcpu))
  }

  /** Whether a vCPU is in its guest. */
  isInGuest(vcpu: number): boolean {
    return this.runLoop.isInGuest(this.vcpu(vcpu))
  }

  /** Makes a vCPU that is in its guest exit for an interrupt of the host; its list registers are folded. */
  exit(vcpu: number): void {
    const v = this.vcpu(vcpu)
    if (this.runLoop.isInGuest(v)) this.leave(v, EXIT_IRQ)
  }

  /** Takes a vCPU's host CPU away, with a vcpu_put, until the next call for its guest. */
  preempt(vcpu: number): void {
    const v = this.vcpu(vcpu)
    if (this.words[v + VCPU_PE] !== 0) this.takeOff(v)
  }

  /** A read of 1, 2, 4 or 8 bytes by the guest of a vCPU at an intermediate physical address: bits 31:0. */
  readMmio(vcpu: number, address: number, size: number): number {
    // So small that V8 inlines it everywhere: a call that returns a number from 2^31 on makes an object of it.
    return this.readWord(vcpu, address, size) >>> 0
  }

  /** A read by the guest of a vCPU at an intermediate physical address, as {@link readMmio}: all 64 bits. */
  readMmio64(vcpu: number, address: number, size = 8): bigint {
    const v = this.readMemory(vcpu, address, size)
    return joined(this.words[v + GUEST_VALUE], this.words[v + GUEST_VALUE_HIGH])
  }

  /** A write of 1, 2, 4 or 8 bytes by the guest of a vCPU at an intermediate physical address. */
  writeMmio(vcpu: number, address: number, size: number, value: number | bigint): void {
    if (isWord(value)) this.accessMemory(vcpu, address, size, true, value, value >> 31)
    else this.writeWide(vcpu, address, size, argumentBits64('value', value))
  }

  /** A read of a system register by the guest of a vCPU at EL1: bits 31:0. */
  readSysreg(vcpu: number, encoding: number): number {
    // As small as readMmio.
    return this.readRegister(vcpu, encoding) >>> 0
  }

  /** A read of a system register by the guest of a vCPU at EL1: all 64 bits. */
  readSysreg64(vcpu: number, encoding: number): bigint {
    argumentEncoding(encoding)
    const v = this.inGuest(vcpu)
    const pe = peOf(this.words, v)
    const low = this.guest.read(pe, encoding)
    const value = joined(low, this.hypervisor.silicon.systemRegisters.readHigh(pe, encoding))
    this.leaveIfTrapped(v, pe, 0, 0)
    return value
  }

  /** A write of a system register by the guest of a vCPU at EL1. */
  writeSysreg(vcpu: number, encoding: number, value: number | bigint): void {
    argumentEncoding(encoding)
    if (isWord(value)) this.writeRegister(vcpu, encoding, value, value >> 31)
    else this.writeWideRegister(vcpu, encoding, argumentBits64('value', value))
  }

  /** Whether the last system register access of a vCPU's guest was UNDEFINED. */
  wasUndefined(vcpu: number): boolean {
    const { words } = this
    const pe = peOf(words, this.vcpu(vcpu))
    return pe !== 0 && words[pe + PCPU_TRAP] !== 0 && ESR_EC(words[pe + PCPU_TRAP]) === 0
  }

  /**
   * Executes WFI in the guest of a vCPU. Returns whether the guest continues; if not, the vCPU sleeps until something
   * wakes it.
   */
  wfi(vcpu: number): boolean {
    const v = this.inGuest(vcpu)
    const result = this.pcpu.wfi(peOf(this.words, v), ESR_WFI)
    if (result === WFX_COMPLETES) return true
    if (result === WFX_TRAPS) this.leaveAtInstruction(v, EXIT_WFI)
    return this.runLoop.threadState(v) !== THREAD_SLEEPS
  }

  /**
   * Sets the line of an SPI, or of a vCPU's PPI, as userspace does (KVM_IRQ_LINE). An edge is latched when the line
   * rises. The timers' PPIs cannot be set: see {@link setTimer}.
   */
  setLine(intid: number, level: number | boolean, vcpu = 0): void {
    const v = this.vcpu(vcpu)
    if (!isIndex(intid) || intid < FIRST_SPI || intid >= this.intidEnd) this.checkLine(intid)
    const { injection, apLists } = this.hypervisor
    injection.run(apLists.irqOf(v, intid), argumentLevel('level', level) ? 1 : 0)
  }

  /**
   * A device of the guest's writes `eventId` to GITS_TRANSLATER of an ITS, by its place in `frames.its`: KVM_SIGNAL_MSI, or an
   * irqfd. Both numbers have 32 bits. Returns whether an interrupt came of it.
   */
  signalMsi(deviceId: number, eventId: number, its = 0): boolean {
    argumentInteger('deviceId', deviceId, 0, 0xffff_ffff)
    argumentInteger('eventId', eventId, 0, 0xffff_ffff)
    const { layout, messages } = this.hypervisor
    if (layout.itsCount === 0) {
      throw new VgicError('argument', 'This VM has no ITS: give it one with frames: { its: address }.')
    }
    argumentInteger('its', its, 0, layout.itsCount - 1)
    return messages.run(deviceId, eventId, its)
  }

  /**
   * Sets a timer of a vCPU to be expired, as time does, or turns it off, as its guest does. Of a vCPU that sleeps in its WFI a
   * timer can expire, which wakes it (KVM's background timer), and cannot be turned off: that is an `argument` error. In a VM
   * without timers it has no effect.
   */
  setTimer(vcpu: number, timer: 'virtual' | 'physical', expired: boolean): void {
    argumentOneOf('timer', timer, ['virtual', 'physical'] as const)
    argumentBoolean('expired', expired)
    const { timers } = this.hypervisor
    if (!timers.present) return
    const sleeper = this.vcpu(vcpu)
    const sleeps = expired && this.runLoop.threadState(sleeper) === THREAD_SLEEPS
    const v = sleeps ? sleeper : this.inGuest(vcpu)
    const which = timer === 'virtual' ? TIMER_VIRTUAL : TIMER_PHYSICAL
    timers.program(v, which, expired ? 0 : -1)
    // The guest has armed it before its WFI, of which nobody has told.
    if (sleeps) timers.startBackground(v)
    if (expired) timers.expire(v, which)
  }

  /**
   * Sets or clears PSTATE.I and F of the guest of a vCPU, which are both set after reset: `setMasks(0, { irq: false
   * })`.
   */
  setMasks(vcpu: number, masks: InterruptMasks): void {
    const checked = argumentMasks(masks)
    const { words, silicon } = this.hypervisor
    const pe = peOf(words, this.inGuest(vcpu))
    silicon.pcpu.setMasks(pe, daifOf(checked, silicon.pcpu.masks(pe)))
  }

  /**
   * The level of the virtual IRQ or FIQ line of a vCPU: if it is 1, its guest takes the exception unless PSTATE masks
   * it. 0 while the vCPU is not in its guest.
   */
  line(vcpu: number, line: 'virq' | 'vfiq'): 0 | 1 {
    const pe = this.words[this.vcpu(vcpu) + VCPU_PE]
    if (line !== 'virq' && line !== 'vfiq') argumentOneOf('line', line, VIRTUAL_LINES)
    // A PE at EL2 has no virtual lines.
    if (pe === 0) return 0
    const lines = this.pcpu.virtualLines(asPe(pe))
    return (lines & (line === 'virq' ? LINE_VIRQ : LINE_VFIQ)) === 0 ? 0 : 1
  }

  /** The list registers of a vCPU that is in its guest; all zero if it is not, or if its last entry wrote none. */
  listRegisters(vcpu: number): ListRegisters {
    return listRegistersOf(this.hypervisor, this.vcpu(vcpu))
  }

  /**
   * Explains why an interrupt is, or is not, delivered to a vCPU. `vcpu` defaults to the one that an SPI is routed
   * to, and to vCPU 0 for an SGI or a PPI. The state does not change. An INTID that the VM does not have is explained
   * too.
   */
  explain(intid: number, vcpu?: number): Explanation {
    return explain(this.hypervisor, intid, vcpu)
  }

  /** Stops the VM: every vCPU exits from its guest and is put, until the next call for its guest. */
  stop(): void {
    for (let vcpu = 0; vcpu < this.config.vcpus; vcpu++) this.preempt(vcpu)
  }

  /**
   * The VM's interrupts as plain JSON, as userspace reads them from KVM. What its enabled ITSs have mapped and which
   * LPIs are pending goes into the tables in the guest's memory, which is to be saved afterwards; what disabled ones have
   * mapped is in the JSON. Throws a `VgicError`: EBUSY while a vCPU is loaded, so call `stop()` first; EINVAL or EFAULT if
   * the guest has no place for them.
   */
  saveVgic(): SavedVgic {
    return saveVgic(this.hypervisor)
  }

  /**
   * Restores saved interrupts into this VM, in place of its own; the guest's memory must be there already. Throws a
   * `VgicError` and changes nothing: EBUSY while a vCPU is loaded, `argument` for data that is not a saved VM of this
   * size, EINVAL for a value that a register does not take or a table of an ITS cannot have, EFAULT for a table that is
   * in no memory.
   */
  restoreVgic(saved: SavedVgic): void {
    restoreVgic(this.hypervisor, saved)
  }

  /** `GICD_ISENABLER1`: the emulated register at an intermediate physical address, or undefined. */
  nameOf(address: number): string | undefined {
    return this.hypervisor.mmio.nameOf(argumentNumber('address', address))
  }

  /**
   * A summary as plain data: the configuration, and the states of the vCPUs. {@link snapshot} has the whole state.
   */
  toJSON(): VirtualMachineSummary {
    return summaryOf(this.hypervisor)
  }

  /** `VirtualMachine (design wfi-handler, 2 vCPUs, 32 SPIs): guest: vcpu0; asleep: vcpu1`. */
  toString(): string {
    return printedSummary(this.toJSON())
  }

  /** Makes failed expectations of test runners print the line instead of the object's keys. */
  get [Symbol.toStringTag](): string {
    return 'VirtualMachine'
  }

  /** The line, for Node's util.inspect. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }

  private vcpu(index: number): Vcpu {
    if (!isIndex(index) || index >= this.vcpuCount) this.refuseVcpu(index)
    return asVcpu(this.vcpus + index * this.vcpuSize)
  }

  private refuseVcpu(index: number): void {
    argumentInteger('vcpu', index, 0, this.vcpuCount - 1)
  }

  /** The record of a vCPU, after entering its guest. Throws an `argument` error if it sleeps in a WFI. */
  private inGuest(vcpu: number): Vcpu {
    const v = this.vcpu(vcpu)
    if (!this.enterGuest(v)) refuseSleeping(vcpu)
    return v
  }

  /** As nearly always: the vCPU has its host CPU, no interrupt of the host comes, and it is in its guest or gets there. */
  private enterGuest(v: Vcpu): boolean {
    const { words } = this
    const pe = words[v + VCPU_PE]
    if (pe === 0) return this.enterAfterAll(v)
    const isAtEl2 = (words[pe + PCPU_PSTATE] & PSTATE_EL) === PSTATE_EL2
    if (isAtEl2 && this.runLoop.enter(v) !== THREAD_IN_GUEST) return this.enterAfterAll(v)
    return (words[pe + PE_LINES] & HOST_LINES) === 0 || this.enterAfterAll(v)
  }

  private enterAfterAll(v: Vcpu): boolean {
    const { runLoop, guest } = this.hypervisor
    for (let exits = 0; this.schedule(v); exits++) {
      let state = runLoop.isInGuest(v) ? THREAD_IN_GUEST : THREAD_STEPS
      for (let tries = 0; state === THREAD_STEPS || state === THREAD_WAITS_FOR_VCPUS; tries++)
        state = this.goOn(v, tries)
      if (state !== THREAD_IN_GUEST) return false
      if (exits === MAX_EXITS || !guest.isInterrupted(v)) return true
      this.leave(v, EXIT_IRQ)
    }
    return false
  }

  /** Runs a thread until it parks; vCPUs that it waits for take the IPI that it has sent them. */
  private goOn(v: Vcpu, tries: number): number {
    if (tries > MAX_TRIES) {
      throw new VgicError(
        'scenario',
        `vCPU ${this.hypervisor.words[v + VCPU_INDEX]} makes no progress: its design must enter the guest, and make other vCPUs leave theirs when it waits for them.`,
      )
    }
    const { runLoop, layout } = this.hypervisor
    const state = runLoop.enter(v)
    if (state !== THREAD_WAITS_FOR_VCPUS) return state
    for (let i = 0; i < layout.vcpuCount; i++) {
      const other = this.hypervisor.vcpu(i)
      if (other !== v && runLoop.isInGuest(other)) runLoop.leave(other, EXIT_IRQ)
    }
    return runLoop.run(v)
  }

  /** Gives a runnable thread its host CPU, and preempts the thread that has it. */
  private schedule(v: Vcpu): boolean {
    const { words, scheduler } = this.hypervisor
    if (words[v + VCPU_PE] !== 0) return true
    if (!scheduler.wantsCpu(v)) return false
    const cpu = words[v + VCPU_LAST_CPU]
    const current = scheduler.current(cpu)
    if (current !== 0) this.takeOff(current)
    scheduler.switchIn(v, cpu)
    return true
  }

  private takeOff(v: Vcpu): void {
    const { runLoop, scheduler } = this.hypervisor
    if (runLoop.isInGuest(v)) this.leave(v, EXIT_IRQ)
    scheduler.preempt(v)
    runLoop.run(v)
  }

  /** Makes the guest exit for a reason, and handles the exit. */
  private leave(v: Vcpu, reason: number): void {
    if (this.runLoop.leave(v, reason) === THREAD_WAITS_FOR_VCPUS) this.waitForVcpus(v)
  }

  /** The same for the guest's instruction. It may be skipped, which means nothing to a guest that has no program. */
  private leaveAtInstruction(v: Vcpu, reason: number): void {
    this.leave(v, reason)
    this.words[v + GUEST_PC] = 0
  }

  private waitForVcpus(v: Vcpu): void {
    for (let tries = 0; this.goOn(v, tries) === THREAD_WAITS_FOR_VCPUS; tries++);
  }

  private readWord(vcpu: number, address: number, size: number): number {
    return this.words[this.readMemory(vcpu, address, size) + GUEST_VALUE]
  }

  /** A guest's read of memory; returns the vCPU's record. */
  private readMemory(vcpu: number, address: number, size: number): Vcpu {
    return this.accessMemory(vcpu, address, size, false, 0, 0)
  }

  private writeWide(vcpu: number, address: number, size: number, value: number | bigint): void {
    this.accessMemory(vcpu, address, size, true, lowOf(value), highOf(value))
  }

  private accessMemory(
    vcpu: number,
    address: number,
    size: number,
    isWrite: boolean,
    low: number,
    high: number,
  ): Vcpu {
    if (!isIndex(address)) argumentInteger('address', address, 0, 2 ** 52 - 1)
    argumentSize('size', size)
    const v = this.inGuest(vcpu)
    const { words } = this
    words[v + VCPU_ESR] = dataAbortWord(size, isWrite)
    words[v + VCPU_FAULT_IPA] = address | 0
    words[v + VCPU_FAULT_IPA + 1] = isIndex(address) ? 0 : Math.floor(address / HIGH)
    words[v + VCPU_DATA] = low
    words[v + VCPU_DATA + 1] = high
    this.leaveAtInstruction(v, EXIT_MMIO)
    return v
  }

  private readRegister(vcpu: number, encoding: number): number {
    argumentEncoding(encoding)
    const v = this.inGuest(vcpu)
    const pe = peOf(this.words, v)
    const value = this.guest.read(pe, encoding)
    this.leaveIfTrapped(v, pe, 0, 0)
    return value
  }

  private writeRegister(vcpu: number, encoding: number, low: number, high: number): void {
    const v = this.inGuest(vcpu)
    const pe = peOf(this.words, v)
    this.guest.write(pe, encoding, low, high)
    this.leaveIfTrapped(v, pe, low, high)
  }

  private writeWideRegister(vcpu: number, encoding: number, value: number | bigint): void {
    this.writeRegister(vcpu, encoding, lowOf(value), highOf(value))
  }

  private leaveIfTrapped(v: Vcpu, pe: Pe, low: number, high: number): void {
    const syndrome = this.words[pe + PCPU_TRAP]
    if (syndrome !== 0 && ESR_EC(syndrome) !== 0) this.leaveTrapped(v, syndrome, low, high)
  }

  private leaveTrapped(v: Vcpu, syndrome: number, low: number, high: number): void {
    const { words } = this
    words[v + VCPU_ESR] = syndrome
    words[v + VCPU_DATA] = low
    words[v + VCPU_DATA + 1] = high
    this.leaveAtInstruction(v, EXIT_SYSREG)
  }

  /** Throws for an INTID whose line cannot be set. */
  private checkLine(intid: number): void {
    argumentInteger('intid', intid, FIRST_PPI, this.intidEnd - 1)
    const isTimers = intid === timerIntids[TIMER_VIRTUAL] || intid === timerIntids[TIMER_PHYSICAL]
    if (isTimers && this.hypervisor.setup.timers)
      throw new VgicError('argument', `PPI ${intid} belongs to a timer: use setTimer.`)
  }
}

/** Whether a value, of whatever type, is an integer from 0 to 2^32 - 1: of an index or an address, cheaper to ask first. */
const isIndex = (value: unknown): boolean => typeof value === 'number' && value >>> 0 === value

/** Whether a value is an integer that is its own lower half. */
const isWord = (value: unknown): value is number => typeof value === 'number' && (value | 0) === value

function refuseSleeping(vcpu: number): never {
  throw new VgicError('argument', `vCPU ${vcpu} sleeps in its WFI: ask enter() before its guest does more.`)
}
