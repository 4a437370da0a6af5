/**
 * Accesses to the emulated GIC that concern other vCPUs, the physical distributor, or interrupts that somebody must look
 * at again; on both baselines, which differ only where a test says so.
 */

import { ICC_CTLR_EL1 } from 'vgic'
import { baselines, designs, kvm61, scenario, type VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { bothBaselines } from '../../../kit/designs.ts'
import { acknowledged, actor, fire, go, goTo, happen, physicalActive } from '../../../kit/driving.ts'
import {
  bitOf,
  GICD,
  GICR,
  ICACTIVER,
  ICENABLER,
  ICPENDR,
  IGROUPR,
  IPRIORITYR,
  IROUTER,
  ISACTIVER,
  ISENABLER,
  ISPENDR,
  redistributor,
  sgiBase,
  wordOf,
} from '../../../kit/frames.ts'
import { EOI_MODE_1 } from '../../../kit/guest-lists.ts'
import { acknowledge, boot, enable, end, isSet, setTrigger, vmOf } from '../../../kit/vm.ts'

const SPI = 40
const onFixed = () => boot(vmOf({ design: baselines.fixed(designs.wfiHandler) }))
const onKvm61 = () => boot(vmOf({ design: kvm61(designs.wfiHandler) }))
/** Routes an SPI to vCPU 1 and enables it. */
function routed(vm: VirtualMachine, intid = SPI): VirtualMachine {
  vm.writeMmio(0, GICD + IROUTER + 8 * intid, 8, 1)
  enable(vm, intid)
  return vm
}

describe('an SPI that is active in a list register of another vCPU that runs', () => {
  it.each(bothBaselines)(
    'is read as active, and that vCPU has left its guest for it: $name',
    ({ design }) => {
      const vm = routed(boot(vmOf({ design })))
      vm.setLine(SPI, 1)
      expect(acknowledge(vm, 1)).toBe(SPI)
      expect(vm.isInGuest(1)).toBe(true)
      expect(isSet(vm, ISACTIVER, SPI)).toBe(true)
      expect(vm.isInGuest(1)).toBe(false)
    },
  )

  it.each(bothBaselines)(
    'is deactivated by a write, and comes again when its line is high: $name',
    ({ design }) => {
      const vm = routed(boot(vmOf({ design })))
      setTrigger(vm, SPI, 'level')
      vm.setLine(SPI, 1)
      expect(acknowledge(vm, 1)).toBe(SPI)
      vm.writeSysreg(1, ICC_CTLR_EL1, EOI_MODE_1)
      end(vm, 1, SPI)
      expect(acknowledge(vm, 1)).toBe(1023)
      vm.writeMmio(0, wordOf(ICACTIVER, SPI), 4, bitOf(SPI))
      expect(acknowledge(vm, 1)).toBe(SPI)
    },
  )

  it('is read by its own vCPU without stopping the others, if it is private', () => {
    const vm = onFixed()
    vm.enter(1)
    vm.readMmio(0, sgiBase(0) + ISACTIVER, 4)
    expect(vm.isInGuest(1)).toBe(true)
    vm.readMmio(0, sgiBase(1) + ISACTIVER, 4)
    expect(vm.isInGuest(1)).toBe(false)
  })

  it('stops the others with `kvm61` also for its own vCPU, but not for the words of GICD that are reserved', () => {
    const vm = onKvm61()
    vm.enter(1)
    vm.readMmio(0, GICD + ISACTIVER, 4)
    vm.writeMmio(0, GICD + ICACTIVER, 4, 1)
    expect(vm.isInGuest(1)).toBe(true)
    vm.readMmio(0, sgiBase(0) + ISACTIVER, 4)
    expect(vm.isInGuest(1)).toBe(false)
    vm.enter(1)
    vm.writeMmio(0, sgiBase(0) + ICACTIVER, 4, 1)
    expect(vm.isInGuest(1)).toBe(false)
  })
})

describe('an SPI that is pending in a list register of another vCPU that runs', () => {
  const presented = (vm: VirtualMachine): VirtualMachine => {
    routed(vm).setLine(SPI, 1)
    vm.enter(1)
    return vm
  }

  it('is read as pending with `fixed`, which asks that vCPU; `kvm61` asks its memory', () => {
    expect(isSet(presented(onFixed()), ISPENDR, SPI)).toBe(true)
    const vm = presented(onKvm61())
    expect(isSet(vm, ISPENDR, SPI)).toBe(false)
    expect(vm.isInGuest(1)).toBe(true)
  })

  it('is cleared by ICPENDR with `fixed`; `kvm61` clears what is not there, and it is taken', () => {
    const fixedVm = presented(onFixed())
    fixedVm.writeMmio(0, wordOf(ICPENDR, SPI), 4, bitOf(SPI))
    expect(acknowledge(fixedVm, 1)).toBe(1023)
    const vm = presented(onKvm61())
    vm.writeMmio(0, wordOf(ICPENDR, SPI), 4, bitOf(SPI))
    expect(acknowledge(vm, 1)).toBe(SPI)
  })
})

describe('a write to GICD_CTLR re-evaluates what is pending on every PE (hard case 31)', () => {
  const pended = (vm: VirtualMachine): VirtualMachine => {
    routed(vm)
    vm.writeMmio(0, GICD, 4, 0)
    vm.setLine(SPI, 1)
    expect(vm.wfi(1)).toBe(false)
    vm.writeMmio(0, GICD, 4, 2)
    return vm
  }

  it('with `fixed`: what became pending meanwhile wakes its vCPU and is delivered', () => {
    const vm = pended(onFixed())
    expect(vm.enter(1)).toBe(true)
    expect(acknowledge(vm, 1)).toBe(SPI)
  })

  it('with `kvm61` not until something queues it', () => {
    const vm = pended(onKvm61())
    vm.enter(1)
    enable(vm, SPI)
    expect(vm.enter(1)).toBe(true)
    expect(acknowledge(vm, 1)).toBe(SPI)
  })

  it.each(bothBaselines)(
    'on again, it wakes a vCPU on whose list one was deactivated meanwhile: $name',
    ({ design }) => {
      const vm = routed(boot(vmOf({ design })))
      setTrigger(vm, SPI, 'level')
      vm.setLine(SPI, 1)
      expect(acknowledge(vm, 1)).toBe(SPI)
      vm.writeSysreg(1, ICC_CTLR_EL1, EOI_MODE_1)
      end(vm, 1, SPI)
      expect(vm.wfi(1)).toBe(false)
      vm.writeMmio(0, GICD, 4, 0)
      vm.writeMmio(0, wordOf(ICACTIVER, SPI), 4, bitOf(SPI))
      expect(vm.enter(1)).toBe(false)
      vm.writeMmio(0, GICD, 4, 2)
      expect(vm.enter(1)).toBe(true)
      expect(acknowledge(vm, 1)).toBe(SPI)
    },
  )

  it.each(bothBaselines)('off, nothing is presented any more: $name', ({ design }) => {
    const vm = routed(boot(vmOf({ design })))
    vm.setLine(SPI, 1)
    vm.writeMmio(0, GICD, 4, 0)
    expect(acknowledge(vm, 1)).toBe(1023)
  })

  it('off, a vCPU that runs with the interrupt in a list register leaves its guest with `fixed`', () => {
    const vm = routed(onFixed())
    vm.setLine(SPI, 1)
    vm.enter(1)
    vm.writeMmio(0, GICD, 4, 0)
    expect(acknowledge(vm, 1)).toBe(1023)
  })
})

describe('an SPI deactivated from another PE wakes a sleeping target that has it pending (hard case 32)', () => {
  const asleep = (vm: VirtualMachine): VirtualMachine => {
    routed(vm)
    setTrigger(vm, SPI, 'level')
    vm.writeSysreg(1, ICC_CTLR_EL1, EOI_MODE_1)
    vm.setLine(SPI, 1)
    acknowledge(vm, 1)
    end(vm, 1, SPI)
    expect(vm.wfi(1)).toBe(false)
    vm.writeMmio(0, wordOf(ICACTIVER, SPI), 4, bitOf(SPI))
    return vm
  }

  it('with `fixed`', () => {
    const vm = asleep(onFixed())
    expect(vm.enter(1)).toBe(true)
    expect(acknowledge(vm, 1)).toBe(SPI)
  })

  it('with `kvm61` it sleeps on until something else wakes it', () => {
    const vm = asleep(onKvm61())
    expect(vm.enter(1)).toBe(false)
    vm.writeMmio(0, sgiBase(1) + ISPENDR, 4, 1)
    expect(vm.enter(1)).toBe(true)
    expect(acknowledge(vm, 1)).toBe(SPI)
  })
})

describe('a write to GICD_IROUTER', () => {
  it.each(bothBaselines)(
    'moves a pending SPI when the vCPU that has it leaves its guest: $name',
    ({ design }) => {
      const vm = boot(vmOf({ design }))
      enable(vm, SPI)
      vm.setLine(SPI, 1)
      vm.enter(0)
      expect(vm.listRegisters(0).lr[0]).toBe(0x5000_0000_0000_0028n)
      vm.writeMmio(1, GICD + IROUTER + 8 * SPI, 8, 1)
      vm.exit(0)
      vm.enter(0)
      expect(vm.listRegisters(0).hcr).toBe(0)
      expect(acknowledge(vm, 1)).toBe(SPI)
    },
  )

  it('wakes the new target at once with `fixed`', () => {
    const vm = onFixed()
    enable(vm, SPI)
    expect(vm.wfi(1)).toBe(false)
    vm.setLine(SPI, 1)
    vm.enter(0)
    vm.writeMmio(0, GICD + IROUTER + 8 * SPI, 8, 1)
    expect(vm.enter(1)).toBe(true)
    expect(acknowledge(vm, 1)).toBe(SPI)
  })

  it.each(bothBaselines)('leaves an active SPI where it is: $name', ({ design }) => {
    const vm = boot(vmOf({ design }))
    enable(vm, SPI)
    vm.setLine(SPI, 1)
    expect(acknowledge(vm, 0)).toBe(SPI)
    vm.writeMmio(0, GICD + IROUTER + 8 * SPI, 8, 1)
    vm.enter(0)
    expect(vm.listRegisters(0).lr[0]).toBe(0x9000_0000_0000_0028n)
    vm.setLine(SPI, 1)
    expect(acknowledge(vm, 1)).toBe(1023)
    end(vm, 0, SPI)
    vm.exit(0)
    expect(acknowledge(vm, 1)).toBe(SPI)
  })

  it.each(bothBaselines)(
    'an edge of an SPI that is active elsewhere is told to the vCPU that has it, not to its target: $name',
    ({ design }) => {
      const vm = boot(vmOf({ design }))
      enable(vm, SPI)
      vm.setLine(SPI, 1)
      expect(acknowledge(vm, 0)).toBe(SPI)
      vm.writeMmio(0, GICD + IROUTER + 8 * SPI, 8, 1)
      expect(vm.wfi(1)).toBe(false)
      vm.enter(0)
      vm.setLine(SPI, 1)
      // The kick brings vCPU 0 out and in again: pending and active.
      vm.enter(0)
      expect(vm.listRegisters(0).lr[0]).toBe(0xd000_0000_0000_0028n)
      expect(vm.enter(1)).toBe(false)
    },
  )

  it('to an affinity that nobody has keeps the SPI pending; back again it is delivered with `fixed`', () => {
    const vm = onFixed()
    enable(vm, SPI)
    vm.writeMmio(0, GICD + IROUTER + 8 * SPI, 8, 0x200)
    vm.setLine(SPI, 1)
    expect(isSet(vm, ISPENDR, SPI)).toBe(true)
    expect([0, 1].map((vcpu) => acknowledge(vm, vcpu))).toEqual([1023, 1023])
    vm.writeMmio(0, GICD + IROUTER + 8 * SPI, 8, 1)
    expect(acknowledge(vm, 1)).toBe(SPI)
  })

  it('with `kvm61` it waits there until something queues it', () => {
    const vm = onKvm61()
    enable(vm, SPI)
    vm.writeMmio(0, GICD + IROUTER + 8 * SPI, 8, 0x200)
    vm.setLine(SPI, 1)
    vm.writeMmio(0, GICD + IROUTER + 8 * SPI, 8, 1)
    expect(acknowledge(vm, 1)).toBe(1023)
    enable(vm, SPI)
    expect(acknowledge(vm, 1)).toBe(SPI)
  })
})

describe('a disabled interrupt', () => {
  it.each(bothBaselines)('stays pending and is delivered when it is enabled: $name', ({ design }) => {
    const vm = routed(boot(vmOf({ design })))
    vm.writeMmio(0, wordOf(ICENABLER, SPI), 4, bitOf(SPI))
    vm.setLine(SPI, 1)
    expect(acknowledge(vm, 1)).toBe(1023)
    expect(isSet(vm, ISPENDR, SPI)).toBe(true)
    expect(vm.wfi(1)).toBe(false)
    enable(vm, SPI)
    expect(vm.enter(1)).toBe(true)
    expect(acknowledge(vm, 1)).toBe(SPI)
  })
})

describe('a write that disables what a running vCPU has in a list register, and RWP that reads as 0', () => {
  const kinds = [
    { what: 'an SPI, by GICD_ICENABLER1', intid: SPI, address: wordOf(ICENABLER, SPI), value: bitOf(SPI) },
    {
      what: 'an SPI among others, by GICD_ICENABLER1',
      intid: SPI,
      address: wordOf(ICENABLER, SPI),
      value: 0xffff_ffff,
    },
    { what: 'an SGI, by GICR_ICENABLER0', intid: 3, address: sgiBase(1) + ICENABLER, value: bitOf(3) },
    { what: 'a PPI, by GICR_ICENABLER0', intid: 20, address: sgiBase(1) + ICENABLER, value: bitOf(20) },
    { what: 'all, by GICD_CTLR', intid: SPI, address: GICD, value: 0 },
  ] as const

  /** The interrupt is pending in a list register of vCPU 1, which runs. */
  function presented(vm: VirtualMachine, intid: number): VirtualMachine {
    if (intid === SPI) {
      routed(vm)
      vm.setLine(SPI, 1)
    } else if (intid < 16) vm.writeMmio(1, sgiBase(1) + ISPENDR, 4, bitOf(intid))
    else {
      vm.writeMmio(1, sgiBase(1) + ISENABLER, 4, bitOf(intid))
      vm.setLine(intid, 1, 1)
    }
    vm.enter(1)
    expect(vm.listRegisters(1).lr[0] & 0x3fffn).toBe(BigInt(intid))
    return vm
  }

  it.each(kinds)('$what: it is not taken any more with `fixed`, and waits', ({ intid, address, value }) => {
    for (const design of Object.values(designs)) {
      const vm = presented(boot(vmOf({ design: baselines.fixed(design) })), intid)
      vm.writeMmio(0, address, 4, value)
      expect(vm.isInGuest(1)).toBe(false)
      expect(vm.readMmio(0, GICD, 4) >>> 31).toBe(0)
      expect(acknowledge(vm, 1)).toBe(1023)
      const pending = intid < 32 ? sgiBase(1) + ISPENDR : wordOf(ISPENDR, intid)
      expect(vm.readMmio(0, pending, 4)).toBe(bitOf(intid))
    }
  })

  it.each(kinds)('$what: with `kvm61` the vCPU is left alone, and takes it', ({ intid, address, value }) => {
    const vm = presented(onKvm61(), intid)
    vm.writeMmio(0, address, 4, value)
    expect(vm.isInGuest(1)).toBe(true)
    expect(acknowledge(vm, 1)).toBe(intid)
  })

  it('stops nobody who has none of it, and not for a read', () => {
    const vm = presented(onFixed(), SPI)
    enable(vm, SPI + 1)
    vm.setLine(SPI + 1, 1)
    vm.writeMmio(0, wordOf(ICENABLER, SPI), 4, bitOf(SPI + 1))
    vm.writeMmio(0, sgiBase(0) + ICENABLER, 4, 0xffff_ffff)
    vm.writeMmio(0, sgiBase(1) + ICENABLER, 4, 0xffff_ffff)
    vm.writeMmio(0, wordOf(ICENABLER, SPI), 4, 0)
    vm.readMmio(0, wordOf(ICENABLER, SPI), 4)
    vm.readMmio(0, GICD, 4)
    vm.writeMmio(0, GICD + ICENABLER, 4, 0xffff_ffff)
    vm.writeMmio(0, GICD, 4, 2)
    expect(vm.isInGuest(1)).toBe(true)
    expect(acknowledge(vm, 1)).toBe(SPI)
  })

  it('stops nobody if the vCPU that has it is not running', () => {
    const vm = presented(boot(vmOf({ vcpus: 3, design: baselines.fixed(designs.wfiHandler) })), SPI)
    vm.exit(1)
    vm.enter(2)
    vm.writeMmio(0, wordOf(ICENABLER, SPI), 4, bitOf(SPI))
    vm.writeMmio(0, GICD, 4, 0)
    expect(vm.isInGuest(2)).toBe(true)
    expect(acknowledge(vm, 1)).toBe(1023)
  })

  it('by the vCPU that has it itself, which is outside for it, stops nobody', () => {
    const vm = presented(onFixed(), SPI)
    vm.enter(0)
    vm.writeMmio(1, wordOf(ICENABLER, SPI), 4, bitOf(SPI))
    expect(vm.isInGuest(0)).toBe(true)
    expect(acknowledge(vm, 1)).toBe(1023)
  })

  it.each(kinds.filter(({ intid }) => intid === SPI))(
    '$what: whatever comes in between, it is not taken after the write',
    ({ address, value }) => {
      const machine = scenario('disabled beside a guest')
        .vm({ vcpus: 2 })
        .spi({ intid: SPI, vcpu: 1 })
        .guest(0, (guest) => guest.writeMmio(address, value).hvc())
        .guest(1, (guest) =>
          guest
            .onIrq((list) => list.ack().eoi())
            .unmask()
            .hvc()
            .hvc(),
        )
        .device('board', (device) => device.pulse(SPI))
        .machine()
      fire(machine, 'board')
      const start = machine.snapshot()
      let [before, after] = [0, 0]
      for (let moment = 0; moment < 60; moment++) {
        machine.restore(start)
        const early = acknowledged(go(machine, 'vcpu1', undefined, moment))
        // It gets as far as it can alone, and again after each step of the other.
        let isDone = false
        const late: number[] = []
        while (!isDone && machine.stateOf(actor(machine, 'vcpu0')) !== 'done') {
          isDone = go(machine, 'vcpu0').some(({ what }) => what === 'skipInstruction')
          if (!isDone) early.push(...acknowledged(go(machine, 'vcpu1', undefined, 1)))
        }
        late.push(...acknowledged(go(machine, 'vcpu1')))
        expect(
          late.filter((intid) => intid === SPI),
          `${moment}`,
        ).toEqual([])
        if (early.includes(SPI)) before++
        else after++
      }
      expect(before).toBeGreaterThan(5)
      expect(after).toBeGreaterThan(5)
    },
  )
})

describe('a new priority or group of what a running vCPU has in a list register', () => {
  const writes = [
    { what: 'GICD_IPRIORITYR', address: GICD + IPRIORITYR + SPI, size: 1, value: 0x40, lr: 0x5040n },
    { what: 'GICD_IGROUPR', address: wordOf(IGROUPR, SPI), size: 4, value: 0, lr: 0x4000n },
  ] as const
  const presented = (vm: VirtualMachine): VirtualMachine => {
    routed(vm).setLine(SPI, 1)
    vm.enter(1)
    return vm
  }

  it.each(writes)('$what is seen in finite time with `fixed`: it makes the vCPU leave', (write) => {
    const vm = presented(onFixed())
    vm.writeMmio(0, write.address, write.size, write.value)
    vm.enter(1)
    expect(vm.listRegisters(1).lr[0] >> 48n).toBe(write.lr)
  })

  it.each(writes)('$what with `kvm61` waits until the vCPU leaves for something else', (write) => {
    const vm = presented(onKvm61())
    vm.writeMmio(0, write.address, write.size, write.value)
    vm.enter(1)
    expect(vm.listRegisters(1).lr[0] >> 48n).toBe(0x5000n)
    vm.exit(1)
    vm.enter(1)
    expect(vm.listRegisters(1).lr[0] >> 48n).toBe(write.lr)
  })
})

describe('the timers’ PPIs', () => {
  const withTimer = ({ design }: (typeof bothBaselines)[number]): VirtualMachine => {
    const vm = boot(vmOf({ design, timers: true }))
    vm.writeMmio(0, sgiBase(1) + ISENABLER, 4, bitOf(27))
    return vm
  }

  it.each(bothBaselines)('an expired timer interrupts its vCPU, through the HW bit: $name', (baseline) => {
    const vm = withTimer(baseline)
    vm.setTimer(1, 'virtual', true)
    vm.enter(1)
    expect(vm.listRegisters(1).lr[0]).toBe(0x7000_001b_0000_001bn)
    expect(acknowledge(vm, 1)).toBe(27)
    vm.setTimer(1, 'virtual', false)
    end(vm, 1, 27)
    expect(acknowledge(vm, 1)).toBe(1023)
  })

  it.each(bothBaselines)('one that expires while its vCPU sleeps wakes it: $name', (baseline) => {
    const vm = withTimer(baseline)
    for (const timer of ['virtual', 'physical'] as const) {
      const intid = timer === 'virtual' ? 27 : 30
      vm.writeMmio(0, sgiBase(1) + ISENABLER, 4, bitOf(intid))
      expect(vm.wfi(1)).toBe(false)
      expect(() => vm.setTimer(1, timer, false)).toThrow('vCPU 1 sleeps in its WFI')
      vm.setTimer(1, timer, true)
      expect(vm.enter(1)).toBe(true)
      expect(acknowledge(vm, 1)).toBe(intid)
      vm.setTimer(1, timer, false)
      end(vm, 1, intid)
      expect(acknowledge(vm, 1)).toBe(1023)
    }
  })

  it.each(Object.values(designs))(
    'one that is disabled wakes its vCPU, too, which sleeps again once it is off: $name',
    (design) => {
      const vm = boot(vmOf({ design, timers: true }))
      expect(vm.wfi(1)).toBe(false)
      vm.setTimer(1, 'virtual', true)
      expect(vm.enter(1)).toBe(true)
      expect(vm.wfi(1)).toBe(true)
      vm.setTimer(1, 'virtual', false)
      expect(vm.wfi(1)).toBe(false)
    },
  )

  it.each(bothBaselines)('hard case 20: ended while its line is high it comes again: $name', (baseline) => {
    const vm = withTimer(baseline)
    vm.setTimer(1, 'virtual', true)
    expect(acknowledge(vm, 1)).toBe(27)
    end(vm, 1, 27)
    vm.exit(1)
    expect(acknowledge(vm, 1)).toBe(27)
  })

  it.each(bothBaselines)('ISPENDR shows their line, whatever was written: $name', (baseline) => {
    const vm = withTimer(baseline)
    vm.writeMmio(1, sgiBase(1) + ISPENDR, 4, 0xffff_ffff)
    expect(vm.readMmio(1, sgiBase(1) + ISPENDR, 4)).toBe(0xb7ff_ffff)
    vm.writeMmio(1, sgiBase(1) + ICPENDR, 4, 0xffff_ffff)
    vm.setTimer(1, 'virtual', true)
    expect(vm.readMmio(1, sgiBase(1) + ISPENDR, 4)).toBe(bitOf(27))
  })

  it('another vCPU reads their line with `fixed`, and its own timer’s with `kvm61`', () => {
    for (const baseline of bothBaselines) {
      const vm = withTimer(baseline)
      vm.setTimer(1, 'physical', true)
      const theirs = vm.readMmio(0, sgiBase(1) + ISPENDR, 4)
      vm.setTimer(1, 'physical', false)
      vm.setTimer(0, 'physical', true)
      const own = vm.readMmio(0, sgiBase(1) + ISPENDR, 4)
      expect([theirs, own]).toEqual(baseline.name === 'fixed' ? [bitOf(30), 0] : [0, bitOf(30)])
    }
  })

  it.each(bothBaselines)('all can be set active: $name', (baseline) => {
    const vm = withTimer(baseline)
    vm.writeMmio(0, sgiBase(1) + ISACTIVER, 4, 0xffff_ffff)
    expect(vm.readMmio(0, sgiBase(1) + ICACTIVER, 4)).toBe(0xffff_ffff)
    vm.writeMmio(0, sgiBase(1) + ICACTIVER, 4, 0xffff_ffff)
    expect(vm.readMmio(0, sgiBase(1) + ISACTIVER, 4)).toBe(0)
  })
})

describe('an SPI of a physical device', () => {
  const guest = (write: (list: { writeMmio(address: number, value: number): unknown }) => unknown) =>
    scenario('mapped SPI')
      .design(kvm61(designs.wfiHandler))
      .spi({ intid: SPI, trigger: 'level', physical: 50 })
      .guest(0, (g) => {
        write(g)
        g.hvc()
      })
      .machine()
  const mmio = (machine: ReturnType<typeof guest>) =>
    go(machine, 'vcpu0').flatMap(({ accesses }) =>
      accesses
        .filter(({ kind }) => kind === 'mmio')
        .map(({ direction, name, register, low }) => ({
          direction,
          register: name || `0x${register.toString(16)}`,
          bit: low,
        })),
    )

  it('set active by the guest is active in the physical distributor, and inactive again', () => {
    const machine = guest((g) => g.writeMmio(wordOf(ISACTIVER, SPI), bitOf(SPI)))
    expect(mmio(machine)).toEqual([
      { direction: 'write', register: 'GICD_ISACTIVER1', bit: bitOf(50) },
      { direction: 'read', register: 'GICD_ISACTIVER1', bit: bitOf(50) },
    ])
    expect(physicalActive(machine, 50)).toBe(true)
    const cleared = guest((g) => {
      g.writeMmio(wordOf(ISACTIVER, SPI), bitOf(SPI))
      g.writeMmio(wordOf(ICACTIVER, SPI), bitOf(SPI))
    })
    expect(mmio(cleared).at(-1)).toEqual({ direction: 'write', register: 'GICD_ICACTIVER1', bit: bitOf(50) })
    expect(physicalActive(cleared, 50)).toBe(false)
  })

  it('set pending is made active in the physical distributor; cleared it is neither pending nor active there', () => {
    const machine = guest((g) => g.writeMmio(wordOf(ISPENDR, SPI), bitOf(SPI)))
    goTo(machine, 'vcpu0', 'skipInstruction')
    expect(physicalActive(machine, 50)).toBe(true)
    const cleared = guest((g) => {
      g.writeMmio(wordOf(ISPENDR, SPI), bitOf(SPI))
      g.writeMmio(wordOf(ICPENDR, SPI), bitOf(SPI))
    })
    const writes = go(cleared, 'vcpu0')
      .flatMap(({ accesses }) => accesses.filter(({ kind }) => kind === 'mmio'))
      .map(({ register }) => register)
    expect(writes.slice(-2)).toEqual([GICD + ICPENDR + 4, GICD + ICACTIVER + 4])
    expect(physicalActive(cleared, 50)).toBe(false)
  })
})

describe('an SPI of a physical device that the host took while the guest had it disabled', () => {
  it.each(bothBaselines)(
    'and whose line has fallen since: enabled, it is inactive at the distributor, and its next rise is taken: $name',
    ({ design }) => {
      const machine = scenario('enabled too late')
        .gic({ spis: 64 })
        .design(design)
        .spi({ intid: SPI, trigger: 'level', physical: 50, enabled: false })
        .guest(0, (g) =>
          g
            .onIrq((list) => list.ack().quiesce(SPI).eoi())
            .unmask()
            .hvc()
            .quiesce(SPI)
            .writeMmio(wordOf(ISENABLER, SPI), bitOf(SPI))
            .wfi(),
        )
        .device('nic', (device) => device.raise(SPI).raise(SPI))
        .machine()
      fire(machine, 'nic')
      goTo(machine, 'vcpu0', 'hvc')
      expect(physicalActive(machine, 50)).toBe(true)
      expect(acknowledged(go(machine, 'vcpu0'))).toEqual([])
      expect(physicalActive(machine, 50)).toBe(false)
      fire(machine, 'nic')
      expect(acknowledged(go(machine, 'vcpu0'))).toEqual([SPI])
    },
  )
})

describe('two vCPUs that both want to stop the VM', () => {
  const rivals = () =>
    scenario('two stop each other')
      .vm({ vcpus: 2 })
      .spi({ intid: SPI, vcpu: 1 })
      .guest(0, (g) => g.writeMmio(wordOf(ISACTIVER, SPI), bitOf(SPI)))
      .guest(1, (g) => g.readMmio(wordOf(ICACTIVER, SPI)))

  it('take turns: the second waits until the first has let it go on', () => {
    const machine = rivals().machine()
    goTo(machine, 'vcpu0', 'stopVcpus')
    const events = go(machine, 'vcpu1')
    expect(events.at(-1)?.what).not.toBe('stopVcpus')
    expect(machine.stateOf(actor(machine, 'vcpu1'))).toBe('asleep')
    goTo(machine, 'vcpu0', 'resumeVcpus')
    expect(machine.stateOf(actor(machine, 'vcpu1'))).toBe('ready')
  })

  it('on one PE, both come to their end', () => {
    const run = rivals().gic({ cpus: 1 }).run()
    expect(run.end).toBe('done')
  })

  it('a vCPU that waits for the other gives its PE up to one that wants it', () => {
    const machine = rivals().gic({ cpus: 1 }).machine()
    goTo(machine, 'vcpu0', 'stopVcpus')
    happen(machine, 'preempt vcpu0')
    goTo(machine, 'vcpu0', 'giveUpCpu')
    const events = go(machine, 'vcpu1')
    expect(events.map(({ what }) => what)).toContain('gives its cpu up, and waits for other vCPUs')
    go(machine, 'vcpu0')
    go(machine, 'vcpu1')
    for (const name of ['vcpu0', 'vcpu1']) expect(machine.stateOf(actor(machine, name))).toBe('done')
  })

  it('a vCPU that is preempted while it waits goes on afterwards', () => {
    const machine = rivals().machine()
    goTo(machine, 'vcpu0', 'stopVcpus')
    go(machine, 'vcpu1')
    happen(machine, 'preempt vcpu1')
    go(machine, 'vcpu1')
    go(machine, 'vcpu0')
    go(machine, 'vcpu1')
    expect(machine.stateOf(actor(machine, 'vcpu1'))).toBe('done')
  })
})

describe('an access of a guest in a scenario', () => {
  it('is named by its register in the timeline, costs an exit and no access, and gives its value', () => {
    const run = scenario('reads GICD_ISENABLER1')
      .spi({ intid: SPI })
      .guest(0, (g) => g.readMmio(GICD + ISENABLER + 4).writeMmio(redistributor(0) + 0x70, 0x1_0000_0780n, 8))
      .run()
    expect(run.timeline()).toContain('read GICD_ISENABLER1 -> exit (mmio)')
    expect(run.timeline()).toContain('emulateMmio done = 0x100')
    expect(run.timeline()).toContain('GICR_PROPBASER := 0x100000780 -> exit (mmio)')
    expect(run.cost().find(({ exit }) => exit === 'mmio')).toMatchObject({
      exits: 2,
      sysregReads: 0,
      sysregWrites: 0,
      mmioReads: 0,
      mmioWrites: 0,
    })
  })

  it('outside of the GIC goes to userspace: a put and a load', () => {
    const run = scenario('reads a device')
      .guest(0, (g) => g.readMmio(0x0900_0000, 1).readMmio(GICR))
      .run()
    expect(run.timeline()).toContain('read 1 bytes at 0x9000000 -> exit (mmio)')
    expect(run.cost().find(({ exit }) => exit === 'mmio')?.sysregReads).toBeGreaterThan(0)
  })

  it('does what the guest’s kernel does at boot, and an interrupt comes', () => {
    const run = scenario('boots')
      .vm({ vcpus: 1, distributor: 'reset' })
      .guest(0, (g) =>
        g
          .writeMmio(GICD, 2)
          .writeMmio(GICD + IROUTER + 8 * SPI, 0, 8)
          .writeMmio(wordOf(ISENABLER, SPI), bitOf(SPI))
          .onIrq((handler) => handler.ack().eoi())
          .unmask()
          .wfi(),
      )
      .device('board', (device) => device.at(0).pulse(SPI))
      .run()
    expect(acknowledged(run.events)).toEqual([SPI])
  })
})

describe('a design that is stuck: one list register, an active and a pending interrupt (hard case 16)', () => {
  it.each(bothBaselines)(
    'still lets the guest do what it is asked to, from its own PSTATE: $name',
    ({ design }) => {
      const vm = boot(vmOf({ design, silicon: { cpus: 2, listRegisters: 1 } }))
      const later = SPI + 1
      for (const intid of [SPI, later]) enable(vm, intid)
      vm.setLine(SPI, 1)
      expect(acknowledge(vm, 0)).toBe(SPI)
      vm.setLine(later, 1)
      expect(vm.enter(0)).toBe(true)
      expect(vm.isInGuest(0)).toBe(true)
      end(vm, 0, SPI)
      expect(acknowledge(vm, 0)).toBe(later)
      end(vm, 0, later)
      expect(acknowledge(vm, 0)).toBe(1023)
    },
  )
})
