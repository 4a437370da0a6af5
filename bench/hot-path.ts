/**
 * The benchmark's scenarios: the real run loop over the real seam with its counters on, doing what the native
 * yardstick does. Its guests access their virtual CPU interface directly: neither looks whether that calls for
 * maintenance, and an exit follows anyway. Each returns the sum of what its calls gave, in 32-bit wrap-around, as the
 * yardstick prints it.
 */
import { dataAbortSyndrome, ICC_SGI1R_EL1, sysregSyndrome } from 'vgic'
import { type Design, designs, type ScenarioMachine, scenario } from 'vgic/scenario'
import type { Irq } from '../src/hyp/records/vgic-irq.ts'

/** EXIT_ values of the run loop. */
const EXIT_WFI = 1
const EXIT_SYSREG = 3
const EXIT_HVC = 4
const EXIT_MMIO = 8
/** THREAD_STEPS, THREAD_SLEEPS, THREAD_WAITS_FOR_CPU, THREAD_POLLS. */
const STEPS = 0
const SLEEPS = 2
const WAITS_FOR_CPU = 3
const POLLS = 5
/** VCPU_ESR, VCPU_DATA, VCPU_FAULT_IPA: words of a vCPU that a trapped access leaves. */
const ESR = 6
const DATA = 7
const FAULT_IPA = 52
/** GUEST_VALUE: what the guest has read. */
const VALUE = 33

/** Scenarios: the yardstick's numbers, and one that it does not have. */
const HYPERCALL = 1
const SPI = 2
const IPI = 3
const WFI = 4
const OVERFLOW = 5
const MMIO_READ = 6
export const WFI_ASLEEP = 7

const VCPUS = 4
const SPIS = 64
const GICD_ISENABLER1 = 0x0800_0104
const ESR_READ = dataAbortSyndrome(4, false) | 0
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
  const recipe = scenario('hot path')
    .gic({ listRegisters })
    .vm({ vcpus: VCPUS, spis: SPIS, haltPolling: { limit: polls ? 1000 : 0 } })
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
  return recipe.machine()
}

/** One machine's hot path. */
export class HotPath {
  private readonly words
  private readonly hypervisor
  private readonly runLoop
  private readonly lines
  private readonly icv
  /** Records of vCPUs 0 and 1, of their PEs, and the first SPI's word. */
  private readonly v0
  private readonly v1
  private readonly pe0
  private readonly pe1
  private readonly spis

  constructor(machine: ScenarioMachine) {
    const { hypervisor } = machine
    this.hypervisor = hypervisor
    this.words = hypervisor.words
    this.runLoop = hypervisor.runLoop
    this.lines = hypervisor.silicon.virtualInterface
    this.icv = hypervisor.silicon.icv
    this.v0 = hypervisor.vcpu(0)
    this.v1 = hypervisor.vcpu(1)
    this.pe0 = hypervisor.silicon.peOf(0)
    this.pe1 = hypervisor.silicon.peOf(1)
    this.spis = hypervisor.layout.spis
    hypervisor.halt.openWindows()
    for (let i = 0; i < VCPUS; i++) this.runLoop.run(hypervisor.vcpu(i))
  }

  /** Runs a scenario by its number and returns its checksum. */
  run(scenarioNumber: number, iterations: number): number {
    const beginsInGuest = [IPI, WFI, MMIO_READ, WFI_ASLEEP].includes(scenarioNumber)
    if (beginsInGuest) this.runLoop.run(this.v0)
    const sum = this.iterate(scenarioNumber, iterations)
    if (beginsInGuest) this.runLoop.leave(this.v0, EXIT_HVC)
    return sum
  }

  private iterate(scenarioNumber: number, iterations: number): number {
    let sum = 0
    switch (scenarioNumber) {
      case HYPERCALL:
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
        for (let i = 0; i < iterations; i++) sum = (sum + this.mmioRead(i)) | 0
        break
      case WFI_ASLEEP:
        for (let i = 0; i < iterations; i++) sum = (sum + this.wfiAsleep(i)) | 0
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
    return (this.spis + (i & 63)) as Irq
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
    words[v0 + ESR] = ESR_SGI1R
    words[v0 + DATA] = 2 | ((i & 15) << 24)
    words[v0 + DATA + 1] = 0
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
    const ranOn = runLoop.leave(v0, EXIT_WFI) === POLLS ? 0 : 1
    hypervisor.inject(irq, 1)
    const woken = runLoop.run(v0) === STEPS ? 1 : 0
    runLoop.enter(v0)
    return ranOn + 2 * woken + this.take(irq)
  }

  /** The same where the thread has gone to sleep, so that the scheduler takes its PE and gives it one. */
  private wfiAsleep(i: number): number {
    const { v0, runLoop, hypervisor } = this
    const irq = this.spiOf(i)
    const ranOn = runLoop.leave(v0, EXIT_WFI) === SLEEPS ? 0 : 1
    hypervisor.inject(irq, 1)
    const woken = runLoop.threadState(v0) === WAITS_FOR_CPU ? 1 : 0
    hypervisor.scheduler.switchIn(v0, 0)
    runLoop.run(v0)
    runLoop.enter(v0)
    return ranOn + 2 * woken + this.take(irq)
  }

  /** The guest takes an SPI whose device lowers its line before the EOI. */
  private take(irq: Irq): number {
    const virq = this.lines.lines(this.pe0)
    const intid = this.icv.readIar1(this.pe0)
    this.hypervisor.inject(irq, 0)
    this.icv.writeEoir1(this.pe0, intid)
    return virq + intid
  }

  private mmioRead(i: number): number {
    const { words, v0 } = this
    words[v0 + ESR] = ESR_READ
    words[v0 + FAULT_IPA] = GICD_ISENABLER1 + 4 * (i & 1)
    words[v0 + FAULT_IPA + 1] = 0
    this.runLoop.leave(v0, EXIT_MMIO)
    const value = words[v0 + VALUE]
    this.runLoop.enter(v0)
    return value
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
