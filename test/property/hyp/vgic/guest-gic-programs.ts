/** Random programs for a VM that is driven access by access: what guests, their timers and userspace can do. */
import fc from 'fast-check'
import {
  ICC_ASGI1R_EL1,
  ICC_CTLR_EL1,
  ICC_DIR_EL1,
  ICC_EOIR0_EL1,
  ICC_EOIR1_EL1,
  ICC_HPPIR1_EL1,
  ICC_IAR0_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_RPR_EL1,
  ICC_SGI0R_EL1,
  ICC_SGI1R_EL1,
} from 'vgic'
import type { VirtualMachine, VirtualMachineConfig } from 'vgic/scenario'
import {
  GICD,
  GITS,
  ICACTIVER,
  ICENABLER,
  ICFGR,
  ICPENDR,
  IGROUPR,
  IPRIORITYR,
  IROUTER,
  ISACTIVER,
  ISENABLER,
  ISPENDR,
  redistributor,
  sgiBase,
} from '../../../kit/frames.ts'

export const VCPUS = 3
export const SPIS = 40

export type Step =
  | { readonly do: 'read'; readonly vcpu: number; readonly address: number; readonly size: number }
  | {
      readonly do: 'write'
      readonly vcpu: number
      readonly address: number
      readonly size: number
      readonly value: number
    }
  | { readonly do: 'readSysreg'; readonly vcpu: number; readonly encoding: number }
  | { readonly do: 'writeSysreg'; readonly vcpu: number; readonly encoding: number; readonly value: number }
  | { readonly do: 'line'; readonly intid: number; readonly level: 0 | 1; readonly vcpu: number }
  | {
      readonly do: 'timer'
      readonly vcpu: number
      readonly timer: 'virtual' | 'physical'
      readonly expired: boolean
    }
  | { readonly do: 'enter' | 'exit' | 'preempt' | 'wfi'; readonly vcpu: number }

export const vcpus = fc.integer({ min: 0, max: VCPUS - 1 })
/** Few interrupts are touched often. */
export const bits = fc.oneof(
  fc.constantFrom(0, 1, 0x100, 0x300, 0x8000_0000, 0xffff_ffff),
  fc.integer({ min: 0, max: 0xffff_ffff }),
)
export const spis = fc.integer({ min: 32, max: 31 + SPIS })
const sizes = fc.constantFrom(1, 2, 4, 4, 4, 8)

const oneBit = fc.constantFrom(IGROUPR, ISENABLER, ICENABLER, ISPENDR, ICPENDR, ISACTIVER, ICACTIVER)
/** Addresses that mean something, and any other. */
const addresses = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(oneBit, fc.integer({ min: 0, max: 3 })).map(([r, n]) => GICD + r + 4 * n),
  },
  { weight: 4, arbitrary: fc.tuple(oneBit, vcpus).map(([r, v]) => sgiBase(v) + r) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 80 }).map((n) => GICD + IPRIORITYR + n) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 5 }).map((n) => GICD + ICFGR + 4 * n) },
  { weight: 2, arbitrary: spis.map((intid) => GICD + IROUTER + 8 * intid) },
  { weight: 1, arbitrary: fc.constant(GICD) },
  {
    weight: 1,
    arbitrary: fc.tuple(vcpus, fc.integer({ min: 0, max: 0x80 })).map(([v, n]) => redistributor(v) + 4 * n),
  },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0x50 }).map((n) => GITS + 4 * n) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0x1_0000 }).map((n) => GICD + n) },
  { weight: 1, arbitrary: fc.maxSafeInteger().map((n) => Math.abs(n) % 2 ** 52) },
)

const readable = fc.constantFrom(ICC_IAR1_EL1, ICC_IAR1_EL1, ICC_IAR0_EL1, ICC_HPPIR1_EL1, ICC_RPR_EL1)
const written = fc.oneof(
  fc.record({
    encoding: fc.constantFrom(ICC_EOIR1_EL1, ICC_EOIR0_EL1, ICC_DIR_EL1),
    value: fc.oneof(fc.integer({ min: 0, max: 72 }), fc.integer({ min: 0, max: 0xff_ffff })),
  }),
  fc.record({
    encoding: fc.constantFrom(ICC_SGI1R_EL1, ICC_SGI0R_EL1, ICC_ASGI1R_EL1),
    value: fc
      .tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 15 }))
      .map(([i, t]) => i * 2 ** 24 + t),
  }),
  fc.record({ encoding: fc.constant(ICC_PMR_EL1), value: fc.constantFrom(0, 0x80, 0xf0, 0xff) }),
  fc.record({
    encoding: fc.constantFrom(ICC_IGRPEN0_EL1, ICC_IGRPEN1_EL1, ICC_CTLR_EL1),
    value: fc.integer({ min: 0, max: 3 }),
  }),
)

/** Anything. */
export const anySteps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('read' as const),
        vcpu: vcpus,
        address: addresses,
        size: sizes,
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('write' as const),
        vcpu: vcpus,
        address: addresses,
        size: sizes,
        value: bits,
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('readSysreg' as const), vcpu: vcpus, encoding: readable }),
    },
    {
      weight: 4,
      arbitrary: fc
        .tuple(vcpus, written)
        .map(([vcpu, { encoding, value }]) => ({ do: 'writeSysreg' as const, vcpu, encoding, value })),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('line' as const),
        intid: spis,
        level: fc.constantFrom(0 as const, 1 as const),
        vcpu: vcpus,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('timer' as const),
        vcpu: vcpus,
        timer: fc.constantFrom('virtual' as const, 'physical' as const),
        expired: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constantFrom('enter' as const, 'exit' as const, 'preempt' as const, 'wfi' as const),
        vcpu: vcpus,
      }),
    },
  ),
  { minLength: 1, maxLength: 60, size: 'max' },
)

/** Hosts: one to three CPUs, one to four list registers. */
export const hosts: fc.Arbitrary<NonNullable<VirtualMachineConfig['silicon']>> = fc.record({
  cpus: fc.integer({ min: 1, max: VCPUS }),
  listRegisters: fc.integer({ min: 1, max: 4 }),
})

/** Takes a step, and says what whoever took it saw. A guest that sleeps does nothing. */
export function take(vm: VirtualMachine, step: Step): unknown {
  if (step.do === 'line') {
    vm.setLine(step.intid, step.level, step.vcpu)
    return undefined
  }
  const { vcpu } = step
  if (step.do === 'exit') return vm.exit(vcpu)
  if (step.do === 'preempt') return vm.preempt(vcpu)
  if (!vm.enter(vcpu)) return 'asleep'
  switch (step.do) {
    case 'read':
      return vm.readMmio64(vcpu, step.address, step.size)
    case 'write':
      return vm.writeMmio(vcpu, step.address, step.size, step.value)
    case 'readSysreg':
      return vm.readSysreg64(vcpu, step.encoding)
    case 'writeSysreg':
      return vm.writeSysreg(vcpu, step.encoding, step.value)
    case 'timer':
      return vm.setTimer(vcpu, step.timer, step.expired)
    case 'wfi':
      return vm.wfi(vcpu)
    default:
      return vm.listRegisters(vcpu)
  }
}
