/** SPIs of devices that were given to the VM, several of them: each has a physical SPI of its own. */
import { designs, kvm61, type ScenarioMachine, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { IRQ_LINE } from '../../../../src/hyp/records/vgic-irq.ts'
import { bothBaselines } from '../../../kit/designs.ts'
import { acknowledged, fire, go, goTo, irqWord, physicalActive } from '../../../kit/driving.ts'
import { bitOf, ICACTIVER, ICPENDR, ISACTIVER, ISENABLER, ISPENDR, wordOf } from '../../../kit/frames.ts'

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

describe('an SPI of a physical device whose line is high', () => {
  /** The host has taken it, and the guest, which has it disabled, has not. */
  const taken = (write: (bit: number) => readonly [address: number, value: number], enabled = false) => {
    const [address, value] = write(bitOf(42))
    const machine = scenario('line is high')
      .gic({ spis: 64 })
      .design(kvm61(designs.wfiHandler))
      .spi({ intid: 42, trigger: 'level', physical: 50, enabled })
      .guest(0, (guest) => guest.hvc().writeMmio(address, value).hvc())
      .device('nic', (device) => device.raise(42))
      .machine()
    fire(machine, 'nic')
    goTo(machine, 'vcpu0', 'hvc')
    expect(physicals(machine)).toEqual([50])
    go(machine, 'vcpu0')
    return machine
  }

  it('enabled again stays active at the distributor: the host takes no second one', () => {
    const machine = taken((bit) => [wordOf(ISENABLER, 42), bit])
    expect(physicals(machine)).toEqual([50])
    expect(irqWord(machine, 42) & IRQ_LINE).not.toBe(0)
  })

  it('whose pending state the guest clears is taken once more, as the line is high', () => {
    const machine = taken((bit) => [wordOf(ICPENDR, 42), bit])
    expect(physicals(machine)).toEqual([50])
  })
})
