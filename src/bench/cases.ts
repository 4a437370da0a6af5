/**
 * What an exit costs, as functions that any benchmark suite can time: a VM whose guests run elsewhere, by the public
 * interface, does the work that a hypervisor does for a hypercall, an SPI, an IPI, a WFI, and so on. Nothing here reads a
 * clock.
 */
import {
  ICC_EOIR1_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_SGI1R_EL1,
} from '../arch/icc-registers.ts'
import { argumentOptions, argumentWith } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import type { Bounds } from '../explore/bounds.ts'
import { Exploration, explore } from '../explore/exploration.ts'
import { checkDesign } from '../hyp/run/check-design.ts'
import type { Design } from '../hyp/run/design.ts'
import { designs } from '../hyp/run/designs.ts'
import { VirtualMachine } from '../hyp/userspace/virtual-machine.ts'
import { checkScenario, type Scenario } from '../scenario/builder.ts'

/** A case that is set up: what is timed. */
export interface BenchRun {
  /** One iteration. It leaves the machine as it found it, but for counters, and returns what its accesses gave. */
  iterate(): number
  /** All that the iterations have returned, summed up in 32-bit wrap-around: work that was left out shows. */
  checksum(): number
}

/** A case of a benchmark. */
export interface BenchCase<O = BenchOptions> {
  /** Its name. */
  readonly name: string
  /** What an iteration does. */
  readonly says: string
  /** Makes the machine, which is not to be timed. Throws a `VgicError` for options that are out of range. */
  setup(options?: O): BenchRun
}

/** What can be chosen of the machine of an exit's case. */
export interface BenchOptions {
  /** The hypervisor's design; default `designs.wfiFullPut`. */
  readonly design?: Design
  /** Whether the guests have timers, which are loaded and put too; default false. */
  readonly timers?: boolean
  /** List registers of each PE, 1 to 16; default 4. */
  readonly listRegisters?: number
}

const GICD = 0x0800_0000
const GICD_IGROUPR = GICD + 0x80
const GICD_ISENABLER = GICD + 0x100
const GICD_ICFGR = GICD + 0xc00
const GICD_ISENABLER1 = GICD_ISENABLER + 4
const GICR_SGI = 0x080b_0000
const GICR_STRIDE = 0x2_0000
const VCPUS = 4
const SPIS = 64
const FIRST_SPI = 32
/** More than a flush finds room for with the default list registers. */
const MANY = 6

/** A VM whose guests have booted: every interrupt enabled, in group 1, SPIs alternately edge-triggered and level-sensitive. */
function booted(options: BenchOptions = {}): VirtualMachine {
  const {
    design = designs.wfiFullPut,
    timers = false,
    listRegisters = 4,
  } = argumentOptions('options', options, {
    design: true,
    timers: true,
    listRegisters: true,
  })
  const vm = new VirtualMachine({
    vcpus: VCPUS,
    spis: SPIS,
    timers,
    design: checkDesign(design),
    silicon: { listRegisters },
  })
  vm.writeMmio(0, GICD, 4, 2)
  for (let word = 1; word <= SPIS / 32; word++) {
    vm.writeMmio(0, GICD_IGROUPR + 4 * word, 4, 0xffff_ffff)
    vm.writeMmio(0, GICD_ISENABLER + 4 * word, 4, 0xffff_ffff)
  }
  for (let word = 2; word < 2 + SPIS / 16; word++) vm.writeMmio(0, GICD_ICFGR + 4 * word, 4, 0x2222_2222)
  for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
    vm.writeMmio(vcpu, GICR_SGI + GICR_STRIDE * vcpu + 0x80, 4, 0xffff_ffff)
    vm.writeMmio(vcpu, GICR_SGI + GICR_STRIDE * vcpu + 0x100, 4, 0xffff)
    vm.writeSysreg(vcpu, ICC_PMR_EL1, 0xf0)
    vm.writeSysreg(vcpu, ICC_IGRPEN1_EL1, 1)
    vm.exit(vcpu)
  }
  return vm
}

/** The guest of vCPU 0, which is in it, takes an SPI whose device lowers its line before the EOI. */
function take(vm: VirtualMachine): number {
  const intid = vm.readSysreg(0, ICC_IAR1_EL1)
  if (intid >= FIRST_SPI + SPIS)
    throw new VgicError(
      'scenario',
      `The guest has acknowledged ${intid}: with this design an SPI does not arrive.`,
    )
  vm.setLine(intid, 0)
  vm.writeSysreg(0, ICC_EOIR1_EL1, intid)
  return intid
}

/** A case of an iteration that is given its number. */
const exitCase = (
  name: string,
  says: string,
  iterate: (vm: VirtualMachine, i: number) => number,
  begin: (vm: VirtualMachine) => void = () => undefined,
): BenchCase => ({
  name,
  says,
  setup(options) {
    const vm = booted(options)
    begin(vm)
    return summing((i) => iterate(vm, i))
  },
})

function summing(iterate: (i: number) => number): BenchRun {
  let [sum, count] = [0, 0]
  return {
    iterate() {
      const result = iterate(count)
      count = (count + 1) | 0
      sum = (Math.imul(sum, 31) + result) | 0
      return result
    },
    checksum: () => sum,
  }
}

/** The exits of a vCPU; each is an entry and an exit, and what comes between and after. */
export const exitCases: readonly BenchCase[] = [
  exitCase('hypercall', 'vCPU 0 enters its guest, and exits', (vm) => {
    vm.enter(0)
    const virq = vm.line(0, 'virq')
    vm.exit(0)
    return virq
  }),
  exitCase('spi', 'a device raises an SPI; the guest acknowledges and ends it, and exits', (vm, i) => {
    vm.setLine(FIRST_SPI + (i & (SPIS - 1)), 1)
    vm.enter(0)
    const intid = take(vm)
    vm.exit(0)
    return intid
  }),
  exitCase('ipi', 'the guest of vCPU 0 sends an SGI, which traps; vCPU 1 takes it', (vm, i) => {
    vm.writeSysreg(0, ICC_SGI1R_EL1, 2 | ((i & 15) << 24))
    vm.enter(1)
    const intid = vm.readSysreg(1, ICC_IAR1_EL1)
    vm.writeSysreg(1, ICC_EOIR1_EL1, intid)
    vm.exit(1)
    return intid
  }),
  exitCase(
    'wfi',
    'the guest waits and its thread sleeps; an SPI wakes it, and the guest takes that',
    (vm, i) => {
      const isAwake = vm.wfi(0) ? 1 : 0
      vm.setLine(FIRST_SPI + (i & (SPIS - 1)), 1)
      vm.enter(0)
      return isAwake + take(vm)
    },
    (vm) => {
      vm.enter(0)
    },
  ),
  exitCase('overflow', `${MANY} SPIs are pending at once, which the guest takes one by one`, (vm, i) => {
    for (let n = 0; n < MANY; n++) vm.setLine(FIRST_SPI + ((i + n) & (SPIS - 1)), 1)
    let sum = 0
    for (let taken = 0; taken < MANY; ) {
      vm.enter(0)
      while (taken < MANY && vm.line(0, 'virq') === 1) {
        sum += take(vm)
        taken++
      }
      vm.exit(0)
    }
    return sum
  }),
  exitCase(
    'mmio_read_vgic',
    'the guest reads GICD_ISENABLER1, which is emulated',
    (vm) => {
      const value = vm.readMmio(0, GICD_ISENABLER1, 4) | 0
      vm.enter(0)
      return value
    },
    (vm) => {
      vm.enter(0)
    },
  ),
]

/** A scenario of your own: an iteration is a run from its first step to its end, on a new machine each time. */
export function scenarioCase(scenario: Scenario): BenchCase<never> {
  argumentWith('scenario', scenario, 'run', 'a scenario, as scenario() makes it')
  return {
    name: scenario.name,
    says: 'the run of a scenario, to its end',
    setup: () => summing(() => scenario.run().steps),
  }
}

/** An exploration of your own: an iteration explores all of it. What it returns is the number of steps that it took. */
export function explorationCase(scenario: Scenario, bounds: Bounds = {}): BenchCase<never> {
  argumentWith('scenario', scenario, 'run', 'a scenario, as scenario() makes it')
  // Checks the bounds.
  new Exploration(scenario, bounds)
  return {
    name: `explore: ${checkScenario(scenario).name}`,
    says: 'an exploration of a scenario, to its end',
    setup: () => summing(() => explore(scenario, bounds).transitions),
  }
}
