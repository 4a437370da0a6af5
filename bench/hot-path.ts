/**
 * The benchmark's scenarios: the real run loop over the real seam with its counters on, doing what the native
 * yardstick does. Its guests access their virtual CPU interface directly: neither looks whether that calls for
 * maintenance, and an exit follows anyway. In the cases named `-pe` they do it through their PE, as guests of the library
 * do: that decides what an access reaches, samples the lines, and looks whether the access calls for maintenance, which
 * the EOI of a level-sensitive SPI does; then the guest exits for that. The guest of `wfi-timer-pe` programs its virtual timer,
 * sleeps until that expires, and turns it off. Those named `-timers` are the same in a VM with timers, which nobody programs. The
 * checksum of a round has what its calls gave, summed up in 32-bit
 * wrap-around, and the state after it, as the yardstick prints it.
 */
import { dataAbortSyndrome, ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_SGI1R_EL1, ichApr, sysregSyndrome } from 'vgic'
import { type Design, designs, type Scenario, type ScenarioMachine, scenario } from 'vgic/scenario'
import type { Pe } from '../src/gic/records/pe.ts'
import { PCPU_TRAP } from '../src/gic/records/pe-offsets.ts'
import { EXIT_HVC, EXIT_IRQ, EXIT_MMIO, EXIT_SYSREG, EXIT_WFI } from '../src/hyp/records/exits.ts'
import { GUEST_VALUE } from '../src/hyp/records/guest-offsets.ts'
import {
  VCPU_AP0R,
  VCPU_AP1R,
  VCPU_DATA,
  VCPU_ESR,
  VCPU_FAULT_IPA,
  VCPU_VMCR,
} from '../src/hyp/records/vcpu-offsets.ts'
import { asIrq, type Irq, irqAfter } from '../src/hyp/records/vgic-irq.ts'
import {
  THREAD_POLLS,
  THREAD_SLEEPS,
  THREAD_STEPS,
  THREAD_WAITS_FOR_CPU,
} from '../src/hyp/run/thread-states.ts'
import { TIMER_VIRTUAL } from '../src/hyp/vgic/arch-timer.ts'

/** When the guest's timer expires after it was programmed. */
const TIMER_TICKS = 100

/** Scenarios: the yardstick's numbers, and those that it does not have. */
export const HYPERCALL = 1
export const SPI = 2
export const IPI = 3
export const WFI = 4
const OVERFLOW = 5
export const MMIO_READ = 6
export const WFI_ASLEEP = 7
export const LPI = 8
export const HYPERCALL_V4 = 9
export const IPI_HW = 10
export const VLPI = 11
export const WFI_V4 = 12
export const HYPERCALL_PE = 13
export const SPI_PE = 14
export const IPI_PE = 15
export const WFI_ASLEEP_PE = 16
export const WFI_TIMER_PE = 17
export const HYPERCALL_TIMERS = 18
export const SPI_TIMERS = 19
export const IPI_TIMERS = 20
export const WFI_ASLEEP_TIMERS = 21
export const MMIO_READ_TIMERS = 22
/** Those in a VM with timers. */
export const WITH_TIMERS: readonly number[] = [
  WFI_TIMER_PE,
  ...[HYPERCALL_TIMERS, SPI_TIMERS, IPI_TIMERS, WFI_ASLEEP_TIMERS, MMIO_READ_TIMERS],
]
/** Those of which vCPU 0 is in its guest when they begin. */
const IN_GUEST: readonly number[] = [
  ...[IPI, WFI, MMIO_READ, WFI_ASLEEP, LPI, IPI_HW, VLPI, WFI_V4],
  ...[IPI_PE, WFI_ASLEEP_PE, WFI_TIMER_PE, IPI_TIMERS, WFI_ASLEEP_TIMERS, MMIO_READ_TIMERS],
]
/** Those measured without halt polling: a thread that halts goes to sleep at once. */
export const ASLEEP: readonly number[] = [WFI_ASLEEP, WFI_ASLEEP_PE, ...WITH_TIMERS]

const VCPUS = 4
const SPIS = 64
const GICD_CTLR = 0x0800_0000
const NASSGIREQ = 0x100
const ENABLE_GRP1 = 2
const GICD_ISENABLER1 = 0x0800_0104
const ESR_READ = dataAbortSyndrome(4, false) | 0
const ESR_WRITE64 = dataAbortSyndrome(8, true) | 0
const ESR_WRITE = dataAbortSyndrome(4, true) | 0
const ESR_SGI1R = sysregSyndrome(ICC_SGI1R_EL1, false) | 0

const priority = (index: number): number => ((index * 37) % 28) << 3

/**
 * The machine of the yardstick: every interrupt enabled, in group 1, SPIs alternately edge and level. A halt polls,
 * or goes to sleep at once.
 */
export function machineOf(
  listRegisters: number,
  design: Design = designs.wfiFullPut,
  polls = true,
): ScenarioMachine {
  return hotPath(design, polls).gic({ listRegisters }).machine()
}

/** The same machine with timers. Its halts go to sleep at once. */
export const machineWithTimers = (design: Design): ScenarioMachine =>
  hotPath(design, false, { timers: true }).gic({ listRegisters: 4 }).machine()

/** Its recipe, but for the GIC. */
function hotPath(design: Design, polls: boolean, vm: { lpis?: number; timers?: boolean } = {}): Scenario {
  const recipe = scenario('hot path')
    .vm({ vcpus: VCPUS, spis: SPIS, haltPolling: { limit: polls ? 1000 : 0 }, lpis: 8, ...vm })
    .design(design)
  for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
    for (let intid = 0; intid < 16; intid++)
      recipe.sgi({ intid, vcpu, priority: priority(vcpu * 32 + intid) })
    for (let intid = 16; intid < 32; intid++) {
      const trigger = intid % 2 === 0 ? 'edge' : 'level'
      recipe.ppi({ intid, vcpu, trigger, priority: priority(vcpu * 32 + intid) })
    }
  }
  for (let i = 0; i < SPIS; i++) {
    recipe.spi({ intid: 32 + i, trigger: i % 2 === 0 ? 'edge' : 'level', priority: priority(VCPUS * 32 + i) })
  }
  return recipe
}

/**
 * The same machine on GICv4.1: each vCPU has a vPE, and the 64 events of an assigned device are forwarded as vLPIs of
 * vCPU 0.
 */
export function machineOfV41(polls: boolean): ScenarioMachine {
  const recipe = hotPath(designs.wfiFullPut, polls, { lpis: VLPIS }).gic({
    version: '4.1',
    listRegisters: 4,
    lpis: 128,
    memoryLines: 512,
  })
  for (let event = 0; event < VLPIS; event++) recipe.vlpi({ device: DEVICE, event, intid: FIRST_LPI + event })
  return recipe.machine()
}

/** A guest's ITS, with its tables in the guest's memory: as GuestIts of the library has them. */
const GITS = 0x0808_0000
const GITS_CWRITER = GITS + 0x88
const GITS_BASER = GITS + 0x100
const GITS_CBASER = GITS + 0x80
const GICR = 0x080a_0000
const MEMORY = 0x4000_0000
const QUEUE = MEMORY + 0x1_0000
const QUEUE_SIZE = 0x1000
const VALID = 0x8000_0000
const DEVICE = 7
const FIRST_LPI = 8192
const VLPIS = 64

/** The same VM with an ITS, which its guest has booted: 64 events of a device are LPIs of vCPU 0; it has room for `lpis`. */
export function machineWithIts(lpis = 64): ScenarioMachine {
  return scenario('hot path with an ITS')
    .gic({ listRegisters: 4, memoryLines: 256 })
    .vm({ vcpus: VCPUS, spis: SPIS, frames: { its: GITS }, lpis, itsDevices: 1, itsCollections: 1 })
    .design(designs.wfiFullPut)
    .machine()
}

const mix = (sum: number, value: number): number => (Math.imul(sum, 31) + value) | 0

/** One machine's hot path. */
export class HotPath {
  private readonly words
  private readonly hypervisor
  private readonly runLoop
  private readonly lines
  private readonly icv
  private readonly pcpu
  private readonly guest
  /** Records of vCPUs 0 and 1, of their PEs, and the first SPI's word. */
  private readonly v0
  private readonly v1
  private readonly pe0
  private readonly pe1
  private readonly spis
  /** Bytes of the command queue that are written. */
  private written = 0

  constructor(private readonly machine: ScenarioMachine) {
    const { hypervisor } = machine
    this.hypervisor = hypervisor
    this.words = hypervisor.words
    this.runLoop = hypervisor.runLoop
    this.lines = hypervisor.silicon.virtualInterface
    this.icv = hypervisor.silicon.icv
    this.pcpu = hypervisor.silicon.pcpu
    this.guest = hypervisor.guest
    this.v0 = hypervisor.vcpu(0)
    this.v1 = hypervisor.vcpu(1)
    this.pe0 = hypervisor.silicon.peOf(0)
    this.pe1 = hypervisor.silicon.peOf(1)
    this.spis = asIrq(hypervisor.layout.spis)
    hypervisor.halt.openWindows()
    for (let i = 0; i < VCPUS; i++) this.runLoop.run(hypervisor.vcpu(i))
  }

  /** Runs a scenario by its number. `timed` is what runs its iterations. Returns its checksum. */
  run(
    scenarioNumber: number,
    iterations: number,
    timed: (iterate: () => number) => number = (iterate) => iterate(),
  ): number {
    const beginsInGuest = IN_GUEST.includes(scenarioNumber)
    if (beginsInGuest) this.runLoop.run(this.v0)
    if (scenarioNumber === IPI_HW) this.runLoop.run(this.v1)
    const accesses = this.accesses()
    const sum = timed(() => this.iterate(scenarioNumber, iterations))
    const state = mix(this.state(sum), this.accesses() - accesses)
    if (beginsInGuest) this.runLoop.leave(this.v0, EXIT_HVC)
    if (scenarioNumber === IPI_HW) this.runLoop.leave(this.v1, EXIT_HVC)
    return state >>> 0
  }

  /** How many accesses to system registers the hypervisor has made. */
  private accesses(): number {
    return this.machine
      .cost()
      .reduce((sum, { sysregReads, sysregWrites }) => sum + sysregReads + sysregWrites, 0)
  }

  /** As the yardstick's: of each vCPU the list registers, the live and the shadow registers. */
  private state(sum: number): number {
    const { words, hypervisor } = this
    const { ich, systemRegisters } = hypervisor.silicon
    let state = sum
    for (let i = 0; i < VCPUS; i++) {
      const v = hypervisor.vcpu(i)
      const pe = hypervisor.silicon.peOf(i)
      for (let n = 0; n <= (ich.vtr & 0x1f); n++) {
        state = mix(mix(state, ich.readLrLow(pe, n)), ich.readLrHigh(pe, n))
      }
      for (const value of [
        ich.readVmcr(pe),
        words[v + VCPU_VMCR],
        systemRegisters.read(pe, ichApr(0, 0)),
        systemRegisters.read(pe, ichApr(1, 0)),
        words[v + VCPU_AP0R],
        words[v + VCPU_AP1R],
      ]) {
        state = mix(state, value)
      }
    }
    return state
  }

  private iterate(scenarioNumber: number, iterations: number): number {
    let sum = 0
    switch (scenarioNumber) {
      case HYPERCALL:
      case HYPERCALL_V4:
        for (let i = 0; i < iterations; i++) sum = (sum + this.hypercall()) | 0
        break
      case SPI:
        for (let i = 0; i < iterations; i++) sum = (sum + this.spi(i)) | 0
        break
      case IPI:
        for (let i = 0; i < iterations; i++) sum = (sum + this.ipi(i)) | 0
        break
      case WFI:
        for (let i = 0; i < iterations; i++) sum = (sum + this.wfi(i)) | 0
        break
      case OVERFLOW:
        for (let i = 0; i < iterations; i++) sum = (sum + this.overflow(i)) | 0
        break
      case MMIO_READ:
      case MMIO_READ_TIMERS:
        for (let i = 0; i < iterations; i++) sum = (sum + this.mmioRead(i)) | 0
        break
      case WFI_ASLEEP:
        for (let i = 0; i < iterations; i++) sum = (sum + this.wfiAsleep(i)) | 0
        break
      case LPI:
        for (let i = 0; i < iterations; i++) sum = (sum + this.lpi(i)) | 0
        break
      case IPI_HW:
        for (let i = 0; i < iterations; i++) sum = (sum + this.ipiHw(i)) | 0
        break
      case VLPI:
        for (let i = 0; i < iterations; i++) sum = (sum + this.vlpi(i)) | 0
        break
      case WFI_V4:
        for (let i = 0; i < iterations; i++) sum = (sum + this.wfiV4(i)) | 0
        break
      case HYPERCALL_PE:
      case HYPERCALL_TIMERS:
        for (let i = 0; i < iterations; i++) sum = (sum + this.hypercallByPe()) | 0
        break
      case SPI_PE:
      case SPI_TIMERS:
        for (let i = 0; i < iterations; i++) sum = (sum + this.spiByPe(i)) | 0
        break
      case IPI_PE:
      case IPI_TIMERS:
        for (let i = 0; i < iterations; i++) sum = (sum + this.ipiByPe(i)) | 0
        break
      case WFI_ASLEEP_PE:
      case WFI_ASLEEP_TIMERS:
        for (let i = 0; i < iterations; i++) sum = (sum + this.wfiAsleepByPe(i)) | 0
        break
      case WFI_TIMER_PE:
        for (let i = 0; i < iterations; i++) sum = (sum + this.wfiTimerByPe()) | 0
        break
    }
    return sum >>> 0
  }

  private hypercall(): number {
    this.runLoop.enter(this.v0)
    const virq = this.lines.lines(this.pe0)
    this.runLoop.leave(this.v0, EXIT_HVC)
    return virq
  }

  /** The handle of an SPI: the 64 there are, in turn. */
  private spiOf(i: number): Irq {
    return irqAfter(this.spis, i & 63)
  }

  private spi(i: number): number {
    const irq = this.spiOf(i)
    this.hypervisor.inject(irq, 1)
    this.runLoop.enter(this.v0)
    const virq = this.lines.lines(this.pe0)
    const intid = this.icv.readIar1(this.pe0)
    this.hypervisor.inject(irq, 0)
    this.icv.writeEoir1(this.pe0, intid)
    this.runLoop.leave(this.v0, EXIT_HVC)
    return virq + intid
  }

  private ipi(i: number): number {
    const { words, v0, v1, pe1 } = this
    words[v0 + VCPU_ESR] = ESR_SGI1R
    words[v0 + VCPU_DATA] = 2 | ((i & 15) << 24)
    words[v0 + VCPU_DATA + 1] = 0
    this.runLoop.leave(v0, EXIT_SYSREG)
    this.runLoop.enter(v0)
    this.runLoop.enter(v1)
    const virq = this.lines.lines(pe1)
    const intid = this.icv.readIar1(pe1)
    this.icv.writeEoir1(pe1, intid)
    this.runLoop.leave(v1, EXIT_HVC)
    return virq + intid
  }

  /** As the yardstick: the halt looks once in vain, and once more after the interrupt has come. */
  private wfi(i: number): number {
    const { v0, runLoop, hypervisor } = this
    const irq = this.spiOf(i)
    const ranOn = runLoop.leave(v0, EXIT_WFI) === THREAD_POLLS ? 0 : 1
    hypervisor.inject(irq, 1)
    const woken = runLoop.run(v0) === THREAD_STEPS ? 1 : 0
    runLoop.enter(v0)
    return ranOn + 2 * woken + this.take(irq)
  }

  /** The same where the thread has gone to sleep, so that the scheduler takes its PE and gives it one. */
  private wfiAsleep(i: number): number {
    const irq = this.spiOf(i)
    return this.sleepUntil(irq) + this.take(irq)
  }

  /** From a WFI to the entry after the SPI that ends it. */
  private sleepUntil(irq: Irq): number {
    const { v0, runLoop, hypervisor } = this
    const ranOn = runLoop.leave(v0, EXIT_WFI) === THREAD_SLEEPS ? 0 : 1
    hypervisor.inject(irq, 1)
    const woken = runLoop.threadState(v0) === THREAD_WAITS_FOR_CPU ? 1 : 0
    hypervisor.scheduler.switchIn(v0, 0)
    runLoop.run(v0)
    runLoop.enter(v0)
    return ranOn + 2 * woken
  }

  /** The guest takes an SPI whose device lowers its line before the EOI. */
  private take(irq: Irq): number {
    const virq = this.lines.lines(this.pe0)
    const intid = this.icv.readIar1(this.pe0)
    this.hypervisor.inject(irq, 0)
    this.icv.writeEoir1(this.pe0, intid)
    return virq + intid
  }

  private hypercallByPe(): number {
    this.runLoop.enter(this.v0)
    const virq = this.pcpu.virtualLines(this.pe0)
    this.runLoop.leave(this.v0, EXIT_HVC)
    return virq
  }

  private spiByPe(i: number): number {
    const irq = this.spiOf(i)
    this.hypervisor.inject(irq, 1)
    this.runLoop.enter(this.v0)
    const intid = this.takeByPe(irq)
    this.runLoop.leave(this.v0, EXIT_HVC)
    return intid
  }

  private ipiByPe(i: number): number {
    const { words, v0, v1, pe1, guest } = this
    const low = 2 | ((i & 15) << 24)
    guest.write(this.pe0, ICC_SGI1R_EL1, low, 0)
    words[v0 + VCPU_ESR] = words[this.pe0 + PCPU_TRAP]
    words[v0 + VCPU_DATA] = low
    words[v0 + VCPU_DATA + 1] = 0
    this.runLoop.leave(v0, EXIT_SYSREG)
    this.runLoop.enter(v0)
    this.runLoop.enter(v1)
    const intid = guest.read(pe1, ICC_IAR1_EL1)
    guest.write(pe1, ICC_EOIR1_EL1, intid, 0)
    this.runLoop.leave(v1, EXIT_HVC)
    return intid
  }

  private wfiAsleepByPe(i: number): number {
    const { v0, runLoop } = this
    const irq = this.spiOf(i)
    if (!runLoop.staysInGuest(v0)) {
      runLoop.leave(v0, EXIT_IRQ)
      runLoop.enter(v0)
    }
    const trapped = this.pcpu.wfi(this.pe0)
    return trapped + this.sleepUntil(irq) + this.takeByPe(irq)
  }

  private wfiTimerByPe(): number {
    const { v0, pe0, runLoop, guest } = this
    const { timers, scheduler } = this.hypervisor
    timers.program(v0, TIMER_VIRTUAL, TIMER_TICKS)
    const trapped = this.pcpu.wfi(pe0)
    const ranOn = runLoop.leave(v0, EXIT_WFI) === THREAD_SLEEPS ? 0 : 1
    timers.expire(v0, TIMER_VIRTUAL)
    const woken = runLoop.threadState(v0) === THREAD_WAITS_FOR_CPU ? 1 : 0
    scheduler.switchIn(v0, 0)
    runLoop.run(v0)
    runLoop.enter(v0)
    const intid = guest.read(pe0, ICC_IAR1_EL1)
    timers.program(v0, TIMER_VIRTUAL, -1)
    guest.write(pe0, ICC_EOIR1_EL1, intid, 0)
    return trapped + ranOn + 2 * woken + intid
  }

  private takeByPe(irq: Irq): number {
    const intid = this.guest.read(this.pe0, ICC_IAR1_EL1)
    this.hypervisor.inject(irq, 0)
    this.guest.write(this.pe0, ICC_EOIR1_EL1, intid, 0)
    return intid
  }

  private mmioRead(i: number): number {
    const { words, v0 } = this
    words[v0 + VCPU_ESR] = ESR_READ
    words[v0 + VCPU_FAULT_IPA] = GICD_ISENABLER1 + 4 * (i & 1)
    words[v0 + VCPU_FAULT_IPA + 1] = 0
    this.runLoop.leave(v0, EXIT_MMIO)
    const value = words[v0 + GUEST_VALUE]
    this.runLoop.enter(v0)
    return value
  }

  /** The guest boots its ITS and maps 64 events of a device to LPIs of vCPU 0. */
  bootIts(): void {
    this.runLoop.run(this.v0)
    for (let i = 0; i < 64; i += 4) this.store(MEMORY + i, 0xa1a1_a1a1)
    this.access(GICR + 0x70, MEMORY + 15, 0)
    this.access(GICR + 0x78, MEMORY + 0x10_0000, 0x4000_0000)
    this.access(GICR, 1, 0, ESR_WRITE)
    this.access(GITS_BASER, MEMORY + 0x2_0000, VALID)
    this.access(GITS_BASER + 8, MEMORY + 0x3_0000, VALID)
    this.access(GITS_CBASER, QUEUE, VALID)
    this.access(GITS, 1, 0, ESR_WRITE)
    this.command(0x08, DEVICE, 6, 0, MEMORY + 0x4_0000, VALID)
    this.command(0x09, 0, 0, 0, 0, VALID)
    for (let event = 0; event < 64; event++) this.command(0x0a, DEVICE, event, FIRST_LPI + event, 0, 0)
    this.runLoop.leave(this.v0, EXIT_HVC)
  }

  private store(address: number, value: number): void {
    this.hypervisor.silicon.pool?.write32(address, value | 0)
  }

  /** A guest's write of 64 bits, or of 32, to a register, and back into the guest. */
  private access(address: number, low: number, high: number, esr = ESR_WRITE64): void {
    const { words, v0 } = this
    words[v0 + VCPU_ESR] = esr
    words[v0 + VCPU_FAULT_IPA] = address
    words[v0 + VCPU_FAULT_IPA + 1] = 0
    words[v0 + VCPU_DATA] = low
    words[v0 + VCPU_DATA + 1] = high
    this.runLoop.leave(v0, EXIT_MMIO)
    this.runLoop.enter(v0)
  }

  private command(
    opcode: number,
    device: number,
    event: number,
    intid: number,
    low: number,
    high: number,
  ): void {
    const at = QUEUE + this.written
    this.store(at, opcode)
    this.store(at + 4, device)
    this.store(at + 8, event)
    this.store(at + 12, intid)
    this.store(at + 16, low)
    this.store(at + 20, high)
    this.written = (this.written + 32) & (QUEUE_SIZE - 1)
    this.access(GITS_CWRITER, this.written, 0)
  }

  /** As kvm-unit-tests' micro-benchmark: the guest sends INT to its ITS, and takes the LPI. */
  private lpi(i: number): number {
    this.command(0x03, DEVICE, i & 63, 0, 0, 0)
    const virq = this.lines.lines(this.pe0)
    const intid = this.icv.readIar1(this.pe0)
    this.icv.writeEoir1(this.pe0, intid)
    return virq + intid
  }

  /** The guest has its SGIs as vSGIs: it sets GICD_CTLR.nASSGIreq, and then EnableGrp1. */
  enableVsgis(): void {
    this.runLoop.run(this.v0)
    this.access(GICD_CTLR, 0, 0, ESR_WRITE)
    this.access(GICD_CTLR, NASSGIREQ, 0, ESR_WRITE)
    this.access(GICD_CTLR, NASSGIREQ | ENABLE_GRP1, 0, ESR_WRITE)
    this.runLoop.leave(this.v0, EXIT_HVC)
  }

  /** An IPI to a vCPU that runs: the sender exits as without vSGIs, and the target does not. */
  private ipiHw(i: number): number {
    const { words, v0, pe1 } = this
    words[v0 + VCPU_ESR] = ESR_SGI1R
    words[v0 + VCPU_DATA] = 2 | ((i & 15) << 24)
    words[v0 + VCPU_DATA + 1] = 0
    this.runLoop.leave(v0, EXIT_SYSREG)
    this.runLoop.enter(v0)
    return this.takeDirect(pe1, i & 15)
  }

  /** A message of the assigned device to a vCPU that runs: nobody exits. */
  private vlpi(i: number): number {
    this.sendVlpi(i)
    return this.takeDirect(this.pe0, FIRST_LPI + (i & 63))
  }

  /** As `wfi`, where the interrupt is a vLPI: the vPE leaves, its doorbell rings, and it is resident again. */
  private wfiV4(i: number): number {
    const { v0, runLoop } = this
    const ranOn = runLoop.leave(v0, EXIT_WFI) === THREAD_POLLS ? 0 : 1
    this.sendVlpi(i)
    const woken = runLoop.run(v0) === THREAD_STEPS ? 1 : 0
    runLoop.enter(v0)
    return ranOn + 2 * woken + this.takeDirect(this.pe0, FIRST_LPI + (i & 63))
  }

  private sendVlpi(i: number): void {
    const { silicon } = this.hypervisor
    silicon.its[0].receive(DEVICE, i & 63)
    silicon.settle()
  }

  /** A guest takes an interrupt that is in no list register. */
  private takeDirect(pe: Pe, expected: number): number {
    const virq = this.lines.lines(pe)
    const intid = this.icv.readIar1(pe)
    if (intid !== expected) throw new Error(`The guest has acknowledged ${intid}, not ${expected}.`)
    this.icv.writeEoir1(pe, intid)
    return virq + intid
  }

  private overflow(i: number): number {
    const { v0, pe0, runLoop, hypervisor, icv } = this
    let sum = 0
    for (let j = 0; j < 8; j++) hypervisor.inject(this.spiOf((i + j) * 2), 1)
    for (let half = 0; half < 2; half++) {
      runLoop.enter(v0)
      sum += this.lines.lines(pe0)
      for (let j = 0; j < 4; j++) {
        const intid = icv.readIar1(pe0)
        sum += intid
        icv.writeEoir1(pe0, intid)
      }
      this.runLoop.leave(v0, EXIT_HVC)
    }
    return sum
  }
}
