/** SPIs of devices that were given to the VM, several of them: each has a physical SPI of its own. */
import { designs, kvm61, type OpList, type ScenarioMachine, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { bothBaselines } from '../../../kit/designs.ts'
import { acknowledged, fire, go, goTo, physicalActive } from '../../../kit/driving.ts'
import {
  bitOf,
  ICACTIVER,
  ICPENDR,
  ISACTIVER,
  ISENABLER,
  ISPENDR,
  sgiBase,
  wordOf,
} from '../../../kit/frames.ts'
import { boot, vmOf } from '../../../kit/vm.ts'

/** Three devices' SPIs; the middle one is none of a physical device. */
const given = [
  { intid: 40, physical: 52 },
  { intid: 42, physical: 50 },
  { intid: 44, physical: 51 },
] as const
const physicals = (machine: ScenarioMachine): number[] =>
  given.map(({ physical }) => physical).filter((intid) => physicalActive(machine, intid))

const withDevices = (design = kvm61(designs.wfiHandler)) =>
  given
    .reduce(
      (made, { intid, physical }) => made.spi({ intid, trigger: 'level', physical }),
      scenario('three devices').gic({ spis: 64 }).design(design),
    )
    .spi({ intid: 43 })

describe('of several SPIs of physical devices', () => {
  it.each(bothBaselines)('each one’s device raises the guest’s, and no other: $name', ({ design }) => {
    const machine = withDevices(design)
      .guest(0, (guest) =>
        guest
          .onIrq((list) => list.ack().quiesce(44).eoi())
          .unmask()
          .wfi(),
      )
      .device('nic', (device) => device.raise(44))
      .machine()
    fire(machine, 'nic')
    goTo(machine, 'vcpu0', 'enters the guest')
    expect(physicals(machine)).toEqual([51])
    expect(acknowledged(go(machine, 'vcpu0'))).toEqual([44])
    expect(physicals(machine)).toEqual([])
  })

  it.each(given)('GICD_ISACTIVER and ICACTIVER of $intid reach physical SPI $physical alone', (one) => {
    const bit = bitOf(one.intid)
    const machine = withDevices()
      .guest(0, (guest) =>
        guest.writeMmio(wordOf(ISACTIVER, one.intid), bit).writeMmio(wordOf(ICACTIVER, one.intid), bit),
      )
      .machine()
    goTo(machine, 'vcpu0', 'skipInstruction')
    expect(physicals(machine)).toEqual([one.physical])
    go(machine, 'vcpu0')
    expect(physicals(machine)).toEqual([])
  })

  it.each(given)('GICD_ISPENDR and ICPENDR of $intid reach physical SPI $physical alone', (one) => {
    const bit = bitOf(one.intid)
    const machine = withDevices()
      .guest(0, (guest) =>
        guest.writeMmio(wordOf(ISPENDR, one.intid), bit).writeMmio(wordOf(ICPENDR, one.intid), bit),
      )
      .machine()
    goTo(machine, 'vcpu0', 'skipInstruction')
    expect(physicals(machine)).toEqual([one.physical])
    go(machine, 'vcpu0')
    expect(physicals(machine)).toEqual([])
  })

  it('an SPI of no device beside them reaches no physical one', () => {
    const machine = withDevices()
      .guest(0, (guest) =>
        guest
          .writeMmio(wordOf(ISACTIVER, 43), bitOf(43))
          .writeMmio(wordOf(ICACTIVER, 43), bitOf(43))
          .writeMmio(wordOf(ISPENDR, 43), bitOf(43))
          .writeMmio(wordOf(ICPENDR, 43), bitOf(43)),
      )
      .machine()
    const accesses = go(machine, 'vcpu0').flatMap((event) => event.accesses)
    expect(accesses.filter(({ kind }) => kind === 'mmio')).toEqual([])
    expect(physicals(machine)).toEqual([])
  })
})

describe('a mapped SPI that the guest enables', () => {
  const machineOf = (program: (guest: OpList) => OpList) =>
    scenario('enables a mapped SPI')
      .gic({ spis: 64 })
      .design(kvm61(designs.wfiHandler))
      .spi({ intid: 42, trigger: 'level', physical: 50, enabled: false })
      .guest(0, (guest) => program(guest.hvc()))
      .device('nic', (device) => device.raise(42))
      .machine()
  const enable = (list: OpList): OpList => list.writeMmio(wordOf(ISENABLER, 42), bitOf(42))
  /** The host has taken it, and the guest, which has it disabled, has not. */
  const taken = (program: (guest: OpList) => OpList): ScenarioMachine => {
    const machine = machineOf(program)
    fire(machine, 'nic')
    goTo(machine, 'vcpu0', 'hvc')
    expect(physicals(machine)).toEqual([50])
    go(machine, 'vcpu0')
    return machine
  }

  it('while its line is high stays active at the distributor: the host takes no second one', () => {
    expect(physicals(taken(enable))).toEqual([50])
  })

  it('after its line has fallen is inactive there, so that the next one is taken', () => {
    expect(physicals(taken((guest) => enable(guest.quiesce(42))))).toEqual([])
  })

  it('and that it has active stays active there, for its deactivation is to come', () => {
    const active = (guest: OpList): OpList => guest.writeMmio(wordOf(ISACTIVER, 42), bitOf(42))
    expect(physicals(taken((guest) => enable(active(guest).quiesce(42))))).toEqual([50])
  })
})

describe('the PPI of a timer of a vCPU that is on no PE', () => {
  it('is left alone by what another vCPU writes, until it is loaded', () => {
    const vm = boot(vmOf({ timers: true }))
    const at = [0, 1].map((cpu) => () => physicalActive(vm, 27, cpu))
    const activeAt = (): boolean[] => at.map((isActive) => isActive())
    vm.enter(0)
    vm.preempt(1)
    for (const register of [ISPENDR, ISACTIVER]) {
      vm.writeMmio(0, sgiBase(1) + register, 4, bitOf(27))
      expect(activeAt()).toEqual([false, false])
    }
    vm.enter(1)
    expect(activeAt()).toEqual([false, true])
    vm.preempt(1)
    for (const register of [ICPENDR, ICACTIVER]) vm.writeMmio(0, sgiBase(1) + register, 4, bitOf(27))
    vm.enter(1)
    expect(activeAt()).toEqual([false, false])
  })
})
