/**
 * A VM whose guests run elsewhere: in a CPU emulator, or in a recording that is played back. Its owner says what each
 * vCPU's guest does, one access at a time, and what userspace does; between them are the real run loop, list registers
 * and seam. A vCPU that is asked for something enters its guest first; when it leaves for an access that traps, it is
 * outside when the call returns, with its list registers folded back.
 */
import { halves, joined } from '../../arch/doubleword.ts'
import { FIRST_PPI, FIRST_SPI } from '../../arch/intid.ts'
import { dataAbortSyndrome, ESR_EC, ESR_WFI } from '../../arch/syndrome.ts'
import {
  argumentBits,
  argumentBoolean,
  argumentEncoding,
  argumentInteger,
  argumentLevel,
  argumentNumber,
  argumentOneOf,
  argumentSize,
  configBoolean,
  configInteger,
  configOptions,
  type Fields,
} from '../../errors/arguments.ts'
import { counted, listed } from '../../errors/printed.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { checkGicConfig, type GicConfig, gicFields } from '../../gic/config/config.ts'
import { argumentMasks, daifOf, type InterruptMasks } from '../../gic/cpu-interface/interrupt-masks.ts'
import { LINE_VFIQ, LINE_VIRQ } from '../../gic/cpu-interface/lines.ts'
import { PCPU_TRAP, WFX_COMPLETES, WFX_TRAPS } from '../../gic/cpu-interface/pcpu.ts'
import type { ImageBytes } from '../../state/image.ts'
import type { Difference } from '../../state/machine-state.ts'
import { type Explanation, explain } from '../explain/explain.ts'
import { type CostRow, readCost } from '../host/cost.ts'
import { Hypervisor } from '../hypervisor.ts'
import { digestOf } from '../recipe.ts'
import { EXIT_IRQ, EXIT_MMIO, EXIT_SYSREG, EXIT_WFI } from '../records/exits.ts'
import { GUEST_PC, GUEST_VALUE, GUEST_VALUE_HIGH } from '../records/guest-record.ts'
import {
  peOf,
  timerIntids,
  VCPU_DATA,
  VCPU_ESR,
  VCPU_FAULT_IPA,
  VCPU_INDEX,
  VCPU_LAST_CPU,
  VCPU_PE,
  VCPU_USED_LRS,
  type Vcpu,
} from '../records/vcpu.ts'
import { MAX_VCPUS } from '../records/vgic-irq.ts'
import { checkDesign } from '../run/check-design.ts'
import type { Design } from '../run/design.ts'
import { NO_POLLING } from '../run/halt.ts'
import {
  THREAD_ENDED,
  THREAD_IN_GUEST,
  THREAD_SLEEPS,
  THREAD_STEPS,
  THREAD_WAITS_FOR_VCPUS,
} from '../run/thread-states.ts'
import { TIMER_PHYSICAL, TIMER_VIRTUAL } from '../vgic/arch-timer.ts'
import { checkGuestFrames, type GuestFramesConfig } from '../vgic/guest-frames.ts'
import { restoreVgic, type SavedVgic, saveVgic } from './save-restore.ts'

/** A VM and its host. */
export interface VirtualMachineConfig {
  /** 1 to 255. vCPU n has affinity 0.0.(n / 16).(n % 16). */
  readonly vcpus: number
  /** SPIs, 0 to 988; default 32. */
  readonly spis?: number
  /** Whether the guests have the virtual and the physical timer, PPIs 27 and 30; default true. */
  readonly timers?: boolean
  /** Where the guests see their GIC. */
  readonly frames?: GuestFramesConfig
  /** The silicon; `cpus`, the host's CPUs, may be left out and is then the number of vCPUs. */
  readonly silicon?: Partial<GicConfig>
  /** The hypervisor's design. */
  readonly design: Design
}

const fields: Fields<VirtualMachineConfig> = {
  vcpus: true,
  spis: true,
  timers: true,
  frames: true,
  silicon: true,
  design: true,
}

/** What the last entry of a vCPU that is in its guest wrote, as its guest has left it by now. */
export interface ListRegisters {
  /** ICH_HCR_EL2; 0 if nothing was written because there was nothing to present. */
  readonly hcr: number
  /** `ICH_LR<n>_EL2`, all of them; 0 for one that ICH_ELRSR_EL2 reports as empty, which a hypervisor does not read. */
  readonly lr: readonly bigint[]
}

/** Where a vCPU is: in its guest, outside of it, asleep in a WFI, or off. */
export type VcpuPlace = 'guest' | 'outside' | 'asleep' | 'off'

/** A VM in a few words: what {@link VirtualMachine.toJSON} gives. */
export interface VirtualMachineSummary {
  /** Its design's name. */
  readonly design: string
  /** How many SPIs it has. */
  readonly spis: number
  /** Whether it has timers. */
  readonly timers: boolean
  /** Where each vCPU is. */
  readonly vcpus: readonly VcpuPlace[]
}

/**
 * The most exits of a vCPU for interrupts of the host before its guest gets on. Whoever asks something of a guest wants
 * an instruction of it, and with fewer list registers than interrupts a design may be stuck: the maintenance interrupt
 * ends every entry before one (hard case 16). On silicon an interrupt takes its time, and an instruction slips in.
 */
const MAX_EXITS = 64
/** How often a thread runs to where it parks, on one call, before its design is taken for one that leads nowhere. */
const MAX_TRIES = 1000
const HIGH = 0x1_0000_0000

/** A VM after reset. Wrong arguments throw a `VgicError`; whatever guests do does not. */
export class VirtualMachine {
  /** @internal */
  readonly hypervisor: Hypervisor

  /** Throws a `config` error that names a field out of its bounds. */
  constructor(
    /** What it was made from. */
    readonly config: VirtualMachineConfig,
  ) {
    configOptions('The configuration of a virtual machine', config, fields)
    const vcpus = configInteger('vcpus', config.vcpus, 1, MAX_VCPUS)
    const { cpus = vcpus, ...silicon } = configOptions<Partial<GicConfig>>(
      'silicon',
      config.silicon ?? {},
      gicFields,
    )
    const checked = checkGicConfig({ ...silicon, cpus })
    const design = checkDesign(config.design)
    const setup = {
      vcpus,
      spis: configInteger('spis', config.spis ?? 32, 0, 988),
      timers: configBoolean('timers', config.timers ?? true),
      haltPolling: NO_POLLING,
      interrupts: [],
      vmcr: Array.from({ length: vcpus }, () => 0),
      guests: [],
      enabled: false,
      frames: checkGuestFrames(vcpus, config.frames),
    }
    this.hypervisor = new Hypervisor(checked, setup, design, [], digestOf(setup, design))
  }

  /** A copy of the whole state. */
  snapshot(): ArrayBuffer {
    return this.hypervisor.state.snapshot()
  }

  /** Goes back to a snapshot of this VM or of one with the same configuration. Throws a `VgicError` for any other. */
  restore(image: ImageBytes): void {
    this.hypervisor.state.restore(image)
  }

  /** A 53-bit hash of the state without counters: equal states have equal hashes. */
  hash(): number {
    return this.hypervisor.state.hash()
  }

  /** What changed since a snapshot, a register field at a time. */
  diff(image: ImageBytes): Difference[] {
    return this.hypervisor.state.diff(image)
  }

  /** What the hypervisor's accesses to the silicon were, a row for each kind of exit. */
  cost(): CostRow[] {
    const { words, layout, design } = this.hypervisor
    return readCost(words, layout.costTable, design.name)
  }

  /**
   * A vCPU enters its guest, and takes the host's interrupts that make it leave again first. Returns whether it is in
   * the guest: not if it sleeps in a WFI.
   */
  enter(vcpu: number): boolean {
    return this.enterGuest(this.vcpu(vcpu))
  }

  /** Whether a vCPU is in its guest. */
  isInGuest(vcpu: number): boolean {
    return this.hypervisor.runLoop.threadState(this.vcpu(vcpu)) === THREAD_IN_GUEST
  }

  /** A vCPU that is in its guest leaves it for an interrupt of the host, and its list registers are folded back. */
  exit(vcpu: number): void {
    const v = this.vcpu(vcpu)
    if (this.hypervisor.runLoop.threadState(v) === THREAD_IN_GUEST) this.leave(v, EXIT_IRQ)
  }

  /** A vCPU's thread loses its host CPU, with what vcpu_put does, until it is asked for something. */
  preempt(vcpu: number): void {
    const v = this.vcpu(vcpu)
    if (this.hypervisor.words[v + VCPU_PE] !== 0) this.takeOff(v)
  }

  /** What the guest of a vCPU reads at an intermediate physical address, 1, 2, 4 or 8 bytes of it: bits 31:0. */
  readMmio(vcpu: number, address: number, size: number): number {
    const v = this.accessMemory(vcpu, address, size, false, 0n)
    return this.hypervisor.words[v + GUEST_VALUE] >>> 0
  }

  /** All 64 bits of it. */
  readMmio64(vcpu: number, address: number, size = 8): bigint {
    const v = this.accessMemory(vcpu, address, size, false, 0n)
    return joined(this.hypervisor.words[v + GUEST_VALUE], this.hypervisor.words[v + GUEST_VALUE_HIGH])
  }

  /** The guest of a vCPU writes. */
  writeMmio(vcpu: number, address: number, size: number, value: number | bigint): void {
    this.accessMemory(vcpu, address, size, true, argumentBits('value', value))
  }

  /** What the guest of a vCPU reads from a system register at EL1: bits 31:0. */
  readSysreg(vcpu: number, encoding: number): number {
    argumentEncoding(encoding)
    const v = this.inGuest(vcpu)
    const { words, guest } = this.hypervisor
    const value = guest.read(peOf(words, v), encoding) >>> 0
    this.leaveIfTrapped(v, 0, 0)
    return value
  }

  /** All 64 bits of it. */
  readSysreg64(vcpu: number, encoding: number): bigint {
    argumentEncoding(encoding)
    const v = this.inGuest(vcpu)
    const { words, guest, silicon } = this.hypervisor
    const pe = peOf(words, v)
    const low = guest.read(pe, encoding)
    const value = joined(low, silicon.systemRegisters.readHigh(pe, encoding))
    this.leaveIfTrapped(v, 0, 0)
    return value
  }

  /** The guest of a vCPU writes a system register at EL1. */
  writeSysreg(vcpu: number, encoding: number, value: number | bigint): void {
    argumentEncoding(encoding)
    const [low, high] = halves(argumentBits('value', value))
    const v = this.inGuest(vcpu)
    this.hypervisor.guest.write(peOf(this.hypervisor.words, v), encoding, low, high)
    this.leaveIfTrapped(v, low, high)
  }

  /** Whether the last system register access of a vCPU's guest was UNDEFINED. */
  wasUndefined(vcpu: number): boolean {
    const { words } = this.hypervisor
    const pe = peOf(words, this.vcpu(vcpu))
    return pe !== 0 && words[pe + PCPU_TRAP] !== 0 && ESR_EC(words[pe + PCPU_TRAP]) === 0
  }

  /** The guest of a vCPU executes WFI. Returns whether it goes on; if not it sleeps until something wakes it. */
  wfi(vcpu: number): boolean {
    const v = this.inGuest(vcpu)
    const { words, silicon } = this.hypervisor
    const result = silicon.pcpu.wfi(peOf(words, v), ESR_WFI)
    if (result === WFX_COMPLETES) return true
    if (result === WFX_TRAPS) this.leave(v, EXIT_WFI)
    return this.hypervisor.runLoop.threadState(v) !== THREAD_SLEEPS
  }

  /**
   * Userspace moves the line of an SPI, or of a vCPU's PPI (KVM_IRQ_LINE). An edge is latched when it rises. The timers'
   * PPIs have no line there: see {@link setTimer}.
   */
  setLine(intid: number, level: 0 | 1, vcpu = 0): void {
    const v = this.vcpu(vcpu)
    const { apLists, layout, setup } = this.hypervisor
    argumentInteger('intid', intid, FIRST_PPI, FIRST_SPI + layout.spiCount - 1)
    const isHigh = argumentLevel('level', level)
    if (setup.timers && timerIntids.some((timer) => timer === intid)) {
      throw new VgicError('argument', `PPI ${intid} belongs to a timer: use setTimer.`)
    }
    this.hypervisor.injection.run(apLists.irqOf(v, intid), isHigh ? 1 : 0)
  }

  /**
   * The guest of a vCPU sets a timer that has expired, or turns the timer off. In a VM without timers such a write of a
   * guest reaches nothing.
   */
  setTimer(vcpu: number, timer: 'virtual' | 'physical', expired: boolean): void {
    argumentOneOf('timer', timer, ['virtual', 'physical'] as const)
    argumentBoolean('expired', expired)
    const { timers } = this.hypervisor
    if (!timers.present) return
    const v = this.inGuest(vcpu)
    const which = timer === 'virtual' ? TIMER_VIRTUAL : TIMER_PHYSICAL
    timers.program(v, which, expired ? 0 : -1)
    if (expired) timers.expire(v, which)
  }

  /** The guest of a vCPU sets or clears PSTATE.I and F, which are both set after reset: `setMasks(0, { irq: false })`. */
  setMasks(vcpu: number, masks: InterruptMasks): void {
    const checked = argumentMasks(masks)
    const { words, silicon } = this.hypervisor
    const pe = peOf(words, this.inGuest(vcpu))
    silicon.pcpu.setMasks(pe, daifOf(checked, silicon.pcpu.masks(pe)))
  }

  /**
   * The level of the virtual IRQ or FIQ line of a vCPU: at 1 its guest takes the exception, unless PSTATE masks it. 0
   * while the vCPU is not in its guest.
   */
  line(vcpu: number, line: 'virq' | 'vfiq'): 0 | 1 {
    const v = this.vcpu(vcpu)
    const { words, silicon, runLoop } = this.hypervisor
    argumentOneOf('line', line, ['virq', 'vfiq'] as const)
    if (runLoop.threadState(v) !== THREAD_IN_GUEST) return 0
    return silicon.pcpu.virtualLines(peOf(words, v)) & (line === 'virq' ? LINE_VIRQ : LINE_VFIQ) ? 1 : 0
  }

  /** List registers of a vCPU that is in its guest; all zero if it is not, or if nothing was presented to it. */
  listRegisters(vcpu: number): ListRegisters {
    const { words, silicon, config, runLoop } = this.hypervisor
    const v = this.vcpu(vcpu)
    const pe = peOf(words, v)
    const written = runLoop.threadState(v) === THREAD_IN_GUEST && words[v + VCPU_USED_LRS] !== 0
    return {
      hcr: written ? silicon.ich.readHcr(pe) >>> 0 : 0,
      lr: Array.from({ length: config.listRegisters }, (_, n) =>
        written && ((silicon.virtualInterface.elrsr(pe) >> n) & 1) === 0
          ? joined(silicon.ich.readLrLow(pe, n), silicon.ich.readLrHigh(pe, n))
          : 0n,
      ),
    }
  }

  /**
   * Why an interrupt is, or is not, delivered to a vCPU; without a vCPU to the one that an SPI is routed to, and vCPU 0
   * for an SGI or a PPI. Changes nothing. An INTID that the VM does not have is explained too.
   */
  explain(intid: number, vcpu?: number): Explanation {
    return explain(this.hypervisor, intid, vcpu)
  }

  /** Stops the VM: every vCPU leaves its guest and is put, until it is asked for something. */
  stop(): void {
    for (let vcpu = 0; vcpu < this.config.vcpus; vcpu++) this.preempt(vcpu)
  }

  /**
   * The VM's interrupts as KVM's userspace reads them, in plain JSON. Throws a `VgicError` EBUSY while a vCPU is loaded:
   * call `stop()` first.
   */
  saveVgic(): SavedVgic {
    return saveVgic(this.hypervisor)
  }

  /**
   * Puts saved interrupts into this VM, whatever it had before. Throws a `VgicError`, and changes nothing: EBUSY while a
   * vCPU is loaded, `argument` for what is no saved VM of this size, EINVAL for a value that a register does not take.
   */
  restoreVgic(saved: SavedVgic): void {
    restoreVgic(this.hypervisor, saved)
  }

  /** `GICD_ISENABLER1`: the emulated register at an intermediate physical address, or undefined. */
  nameOf(address: number): string | undefined {
    return this.hypervisor.mmio.nameOf(argumentNumber('address', address))
  }

  /** What it is and where its vCPUs are, as plain data; {@link snapshot} has the state. */
  toJSON(): VirtualMachineSummary {
    const { setup, design } = this.hypervisor
    const vcpus = Array.from({ length: setup.vcpus }, (_, vcpu) => this.placeOf(this.vcpu(vcpu)))
    return { design: design.name, spis: setup.spis, timers: setup.timers, vcpus }
  }

  /** `VirtualMachine (design wfi-handler, 2 vCPUs, 32 SPIs): guest: vcpu0; asleep: vcpu1`. */
  toString(): string {
    const { design, spis, vcpus } = this.toJSON()
    const places = (['guest', 'outside', 'asleep', 'off'] as const).flatMap((place) => {
      const there = Array.from(vcpus.keys()).filter((vcpu) => vcpus[vcpu] === place)
      return there.length === 0 ? [] : [`${place}: ${listed(there, (vcpu) => `vcpu${vcpu}`)}`]
    })
    const what = `design ${design}, ${counted(vcpus.length, 'vCPU')}, ${counted(spis, 'SPI')}`
    return `VirtualMachine (${what}): ${places.join('; ')}`
  }

  /** So that failed expectations print the line and no keys. */
  get [Symbol.toStringTag](): string {
    return 'VirtualMachine'
  }

  /** What Node's util.inspect prints. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }

  private placeOf(v: Vcpu): VcpuPlace {
    switch (this.hypervisor.runLoop.threadState(v)) {
      case THREAD_IN_GUEST:
        return 'guest'
      case THREAD_SLEEPS:
        return 'asleep'
      case THREAD_ENDED:
        return 'off'
      default:
        return 'outside'
    }
  }

  private vcpu(index: number): Vcpu {
    return this.hypervisor.vcpu(argumentInteger('vcpu', index, 0, this.config.vcpus - 1))
  }

  /** The record of a vCPU, which is in its guest now. */
  private inGuest(vcpu: number): Vcpu {
    const v = this.vcpu(vcpu)
    if (this.enterGuest(v)) return v
    throw new VgicError('argument', `vCPU ${vcpu} sleeps in its WFI: ask enter() before its guest does more.`)
  }

  private enterGuest(v: Vcpu): boolean {
    const { runLoop, guest } = this.hypervisor
    for (let exits = 0; this.schedule(v); exits++) {
      let state = runLoop.threadState(v)
      for (let tries = 0; state === THREAD_STEPS || state === THREAD_WAITS_FOR_VCPUS; tries++)
        state = this.goOn(v, tries)
      if (state !== THREAD_IN_GUEST) return false
      if (exits === MAX_EXITS || !guest.isInterrupted(v)) return true
      this.leave(v, EXIT_IRQ)
    }
    return false
  }

  /** The thread runs as far as it can; vCPUs that it waits for take the IPI that it has sent them. */
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
      if (other !== v && runLoop.threadState(other) === THREAD_IN_GUEST) runLoop.leave(other, EXIT_IRQ)
    }
    return runLoop.run(v)
  }

  /** Gives a thread that can run its host CPU; whoever has it is preempted. */
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
    if (runLoop.threadState(v) === THREAD_IN_GUEST) this.leave(v, EXIT_IRQ)
    scheduler.preempt(v)
    runLoop.run(v)
  }

  /** The guest leaves, and what it left for is dealt with. */
  private leave(v: Vcpu, reason: number): void {
    let state = this.hypervisor.runLoop.leave(v, reason)
    for (let tries = 0; state === THREAD_WAITS_FOR_VCPUS; tries++) state = this.goOn(v, tries)
    this.hypervisor.words[v + GUEST_PC] = 0
  }

  private accessMemory(vcpu: number, address: number, size: number, isWrite: boolean, value: bigint): Vcpu {
    argumentInteger('address', address, 0, 2 ** 52 - 1)
    argumentSize('size', size)
    const v = this.inGuest(vcpu)
    const { words } = this.hypervisor
    const [low, high] = halves(value)
    words[v + VCPU_ESR] = dataAbortSyndrome(size, isWrite) | 0
    words[v + VCPU_FAULT_IPA] = address | 0
    words[v + VCPU_FAULT_IPA + 1] = Math.floor(address / HIGH)
    words[v + VCPU_DATA] = low
    words[v + VCPU_DATA + 1] = high
    this.leave(v, EXIT_MMIO)
    return v
  }

  private leaveIfTrapped(v: Vcpu, low: number, high: number): void {
    const { words } = this.hypervisor
    const syndrome = words[peOf(words, v) + PCPU_TRAP]
    if (syndrome === 0 || ESR_EC(syndrome) === 0) return
    words[v + VCPU_ESR] = syndrome
    words[v + VCPU_DATA] = low
    words[v + VCPU_DATA + 1] = high
    this.leave(v, EXIT_SYSREG)
  }
}
