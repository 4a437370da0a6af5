/** Random accesses of guests that run elsewhere, and of what is around their VM. */
import fc from 'fast-check'
import {
  ICC_BPR0_EL1,
  ICC_BPR1_EL1,
  ICC_CTLR_EL1,
  ICC_DIR_EL1,
  ICC_EOIR0_EL1,
  ICC_EOIR1_EL1,
  ICC_IAR0_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_SGI0R_EL1,
  ICC_SGI1R_EL1,
} from 'vgic'
import { type Design, designs, kvm61, VirtualMachine } from 'vgic/scenario'
import {
  GICD,
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
  sgiBase,
} from '../unit/guest-gic.ts'

export const VCPUS = 2
export const SPIS = 32
/** Interrupts that the operations are about: SGIs, the timers' PPIs, SPIs. */
export const INTIDS = [0, 1, 2, 27, 30, 32, 33, 34, 35, 36, 37]

export type Op =
  | {
      readonly op: 'write'
      readonly vcpu: number
      readonly address: number
      readonly size: number
      readonly value: number
    }
  | { readonly op: 'sysreg'; readonly vcpu: number; readonly encoding: number; readonly value: number }
  | { readonly op: 'read'; readonly vcpu: number; readonly encoding: number }
  | { readonly op: 'line'; readonly intid: number; readonly level: 0 | 1 }
  | {
      readonly op: 'timer'
      readonly vcpu: number
      readonly timer: 'virtual' | 'physical'
      readonly expired: boolean
    }
  | { readonly op: 'exit' | 'preempt'; readonly vcpu: number }

const vcpu = fc.nat(VCPUS - 1)
/** Bits of the interrupts above in a register of their frame, all of them or some. */
const someOf = (all: number) =>
  fc.oneof(
    fc.constant(all),
    fc.integer().map((value) => value & all),
  )
const spiBits = someOf(0x3f)
const privateBits = someOf(0x4800_0007)

const bitmap = fc.constantFrom(
  IGROUPR,
  ...[ISENABLER, ISENABLER, ICENABLER, ISPENDR, ISPENDR, ICPENDR, ISACTIVER, ICACTIVER],
)
const distributorWrite = fc.oneof(
  fc.record({ address: bitmap.map((offset) => GICD + offset + 4), size: fc.constant(4), value: spiBits }),
  fc.record({
    address: fc.nat(5).map((i) => GICD + IPRIORITYR + 32 + i),
    size: fc.constant(1),
    value: fc.nat(0xff),
  }),
  fc.record({ address: fc.constant(GICD + ICFGR + 8), size: fc.constant(4), value: fc.integer() }),
  fc.record({
    address: fc.nat(5).map((i) => GICD + IROUTER + 8 * (32 + i)),
    size: fc.constantFrom(4, 8),
    value: fc.constantFrom(0, 1, 1, 7),
  }),
  fc.record({ address: fc.constant(GICD), size: fc.constant(4), value: fc.constantFrom(0, 2, 2) }),
)
const redistributorWrite = fc
  .tuple(
    vcpu,
    fc.oneof(
      fc.record({ address: bitmap, size: fc.constant(4), value: privateBits }),
      fc.record({
        address: fc.nat(31).map((i) => IPRIORITYR + i),
        size: fc.constant(1),
        value: fc.nat(0xff),
      }),
    ),
  )
  .map(([of, write]) => ({ ...write, address: sgiBase(of) + write.address }))

const sgi = fc.tuple(fc.nat(2), fc.nat(3)).map(([intid, targets]) => (intid << 24) | targets)
const intid = fc.constantFrom(...INTIDS)
const sysreg = fc.oneof(
  ...[
    [ICC_PMR_EL1, fc.constantFrom(0xf8, 0xf8, 0x80, 0x40)],
    [ICC_IGRPEN0_EL1, fc.nat(1)],
    [ICC_IGRPEN1_EL1, fc.constantFrom(1, 1, 0)],
    [ICC_CTLR_EL1, fc.nat(3)],
    [ICC_BPR0_EL1, fc.nat(7)],
    [ICC_BPR1_EL1, fc.nat(7)],
    [ICC_SGI0R_EL1, sgi],
    [ICC_SGI1R_EL1, sgi],
    [ICC_SGI1R_EL1, sgi],
    [ICC_EOIR0_EL1, intid],
    [ICC_EOIR1_EL1, intid],
    [ICC_DIR_EL1, intid],
  ].map(([encoding, value]) =>
    fc.record({ encoding: fc.constant(encoding as number), value: value as fc.Arbitrary<number> }),
  ),
)

const write = fc
  .tuple(vcpu, fc.oneof(distributorWrite, redistributorWrite))
  .map(([by, access]): Op => ({ op: 'write', vcpu: by, ...access }))

const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 4, arbitrary: write },
  {
    weight: 3,
    arbitrary: fc.tuple(vcpu, sysreg).map(([by, access]): Op => ({ op: 'sysreg', vcpu: by, ...access })),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('read' as const),
      vcpu,
      encoding: fc.constantFrom(ICC_IAR1_EL1, ICC_IAR1_EL1, ICC_IAR0_EL1),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('line' as const),
      intid: fc.constantFrom(32, 33, 34, 35, 36, 37),
      level: fc.constantFrom<0 | 1>(0, 1),
    }),
  },
  fc.record({
    op: fc.constant('timer' as const),
    vcpu,
    timer: fc.constantFrom('virtual' as const, 'physical' as const),
    expired: fc.boolean(),
  }),
  fc.record({ op: fc.constantFrom('exit' as const, 'preempt' as const), vcpu }),
)

export const operations = fc.array(op, { minLength: 1, maxLength: 60, size: 'max' })

export const machineDesigns: fc.Arbitrary<Design> = fc.constantFrom(
  designs.wfiHandler,
  designs.wfiFullPut,
  designs.runLoopLoad,
  kvm61(designs.wfiHandler),
)

/** A VM whose guests have enabled everything, at one priority, and look with all masks open. */
export function openVm(design: Design, listRegisters: number): VirtualMachine {
  const vm = new VirtualMachine({ vcpus: VCPUS, spis: SPIS, silicon: { listRegisters }, design })
  vm.writeMmio(0, GICD, 4, 2)
  vm.writeMmio(0, GICD + ISENABLER + 4, 4, 0xffff_ffff)
  for (let index = 0; index < VCPUS; index++) {
    vm.writeMmio(index, sgiBase(index) + ISENABLER, 4, 0xffff_ffff)
    vm.writeSysreg(index, ICC_PMR_EL1, 0xf8)
    vm.writeSysreg(index, ICC_IGRPEN1_EL1, 1)
  }
  return vm
}

/** Does it, and returns what the guest read. */
export function perform(vm: VirtualMachine, step: Op): bigint | undefined {
  switch (step.op) {
    case 'write':
      vm.writeMmio(step.vcpu, step.address, step.size, BigInt.asUintN(32, BigInt(step.value)))
      break
    case 'sysreg':
      vm.writeSysreg(step.vcpu, step.encoding, step.value)
      break
    case 'read':
      return vm.readSysreg(step.vcpu, step.encoding)
    case 'line':
      vm.setLine(step.intid, step.level)
      break
    case 'timer':
      vm.setTimer(step.vcpu, step.timer, step.expired)
      break
    default:
      vm[step.op](step.vcpu)
  }
  return undefined
}
