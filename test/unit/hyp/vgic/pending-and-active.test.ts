/**
 * ISPENDR of a level-sensitive interrupt that is active, with its line low: it is pending and active until the guest
 * deactivates it, and pending after that. Linux 6.1 forgets it when the interrupt is deactivated.
 */

import { ICC_CTLR_EL1, ICC_DIR_EL1 } from 'vgic'
import { baselines, type Design, designs, kvm61, scenario, type VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { bothBaselines } from '../../../kit/designs.ts'
import { ACTIVE, acknowledged, fire, flushes, go, goTo } from '../../../kit/driving.ts'
import {
  bitOf,
  GICD,
  ICPENDR,
  IROUTER,
  ISACTIVER,
  ISENABLER,
  ISPENDR,
  sgiBase,
  wordOf,
} from '../../../kit/frames.ts'
import { EOI_MODE_1 } from '../../../kit/guest-lists.ts'
import { acknowledge, boot, enable, end, setTrigger, vmOf } from '../../../kit/vm.ts'
import { explore } from '../../explore/checked.ts'

const every = Object.values(designs).map((design) => ({ name: design.name, design: baselines.fixed(design) }))
const kinds = [
  { what: 'an SPI', intid: 40 },
  { what: 'a PPI', intid: 20 },
] as const
/** The register with an interrupt's bit: a PPI's is vCPU 1's. */
const registerOf = (offset: number, intid: number): number =>
  intid < 32 ? sgiBase(1) + offset : wordOf(offset, intid)
const isSet = (vm: VirtualMachine, offset: number, intid: number, by = 1): boolean =>
  (BigInt(vm.readMmio(by, registerOf(offset, intid), 4)) & BigInt(bitOf(intid))) !== 0n
const set = (vm: VirtualMachine, offset: number, intid: number, by = 1): void =>
  vm.writeMmio(by, registerOf(offset, intid), 4, bitOf(intid))

/** Two vCPUs; the interrupt is level-sensitive, enabled, and vCPU 1's. */
function levelVm(design: Design, intid: number): VirtualMachine {
  const vm = boot(vmOf({ design }))
  if (intid >= 32) {
    setTrigger(vm, intid, 'level')
    vm.writeMmio(0, GICD + IROUTER + 8 * intid, 8, 1)
    enable(vm, intid)
  } else vm.writeMmio(1, sgiBase(1) + ISENABLER, 4, bitOf(intid))
  return vm
}

/** Acknowledged by vCPU 1, and its line low again. */
function active(design: Design, intid: number): VirtualMachine {
  const vm = levelVm(design, intid)
  vm.setLine(intid, 1, 1)
  expect(acknowledge(vm, 1)).toBe(intid)
  vm.setLine(intid, 0, 1)
  return vm
}

describe.each(kinds)('ISPENDR of $what that is active, its line low', ({ intid }) => {
  describe.each([
    { who: 'its own vCPU', by: 1 },
    { who: 'another vCPU', by: 0 },
  ])('written by $who', ({ by }) => {
    it.each(every)(
      'makes it pending and active, and it is taken again once it is ended: $name',
      ({ design }) => {
        const vm = active(design, intid)
        set(vm, ISPENDR, intid, by)
        for (let look = 0; look < 2; look++) {
          for (const reader of [0, 1]) {
            expect(isSet(vm, ISPENDR, intid, reader)).toBe(true)
            expect(isSet(vm, ISACTIVER, intid, reader)).toBe(true)
          }
          vm.enter(1)
          expect(acknowledge(vm, 1)).toBe(1023)
          vm.exit(1)
          vm.preempt(1)
        }
        end(vm, 1, intid)
        vm.enter(1)
        expect(acknowledge(vm, 1)).toBe(intid)
        end(vm, 1, intid)
        vm.enter(1)
        expect(acknowledge(vm, 1)).toBe(1023)
        expect(isSet(vm, ISPENDR, intid)).toBe(false)
      },
    )

    it('is taken again when it is deactivated by ICC_DIR_EL1', () => {
      const vm = active(baselines.fixed(designs.wfiHandler), intid)
      vm.writeSysreg(1, ICC_CTLR_EL1, EOI_MODE_1)
      set(vm, ISPENDR, intid, by)
      end(vm, 1, intid)
      expect(acknowledge(vm, 1)).toBe(1023)
      vm.writeSysreg(1, ICC_DIR_EL1, intid)
      expect(acknowledge(vm, 1)).toBe(intid)
    })
  })

  it('with kvm61 reads pending and active, and is gone with the end of interrupt', () => {
    const vm = active(kvm61(designs.wfiHandler), intid)
    set(vm, ISPENDR, intid)
    vm.enter(1)
    vm.exit(1)
    expect(isSet(vm, ISPENDR, intid)).toBe(true)
    end(vm, 1, intid)
    vm.enter(1)
    expect(acknowledge(vm, 1)).toBe(1023)
    expect(isSet(vm, ISPENDR, intid)).toBe(false)
  })

  it.each(bothBaselines)('taken back by ICPENDR comes no more: $name', ({ design }) => {
    const vm = active(design, intid)
    set(vm, ISPENDR, intid)
    set(vm, ICPENDR, intid)
    expect(isSet(vm, ISPENDR, intid)).toBe(false)
    end(vm, 1, intid)
    vm.enter(1)
    expect(acknowledge(vm, 1)).toBe(1023)
  })

  it.each(bothBaselines)('a level that was made pending by it is acknowledged once: $name', ({ design }) => {
    const vm = levelVm(design, intid)
    set(vm, ISPENDR, intid)
    expect(acknowledge(vm, 1)).toBe(intid)
    end(vm, 1, intid)
    vm.enter(1)
    expect(acknowledge(vm, 1)).toBe(1023)
  })

  it.each([
    { order: 'ISPENDR, ISACTIVER', registers: [ISPENDR, ISACTIVER] },
    { order: 'ISACTIVER, ISPENDR', registers: [ISACTIVER, ISPENDR] },
  ])('after a restore by a guest in the order $order is pending and active', ({ registers }) => {
    for (const { design } of every) {
      const vm = levelVm(design, intid)
      for (const register of registers) set(vm, register, intid)
      vm.enter(1)
      expect(acknowledge(vm, 1)).toBe(1023)
      vm.exit(1)
      expect([ISPENDR, ISACTIVER].map((register) => isSet(vm, register, intid, 0))).toEqual([true, true])
      vm.stop()
      const other = levelVm(design, intid)
      other.stop()
      other.restoreVgic(vm.saveVgic())
      other.enter(1)
      other.stop()
      expect(other.saveVgic()).toEqual(vm.saveVgic())
      expect([ISPENDR, ISACTIVER].map((register) => isSet(other, register, intid, 0))).toEqual([true, true])
    }
  })
})

describe('a level-sensitive interrupt that is pending and active', () => {
  it('is only active in its list register, so that its end is seen', () => {
    const machine = scenario('only active')
      .design(baselines.fixed(designs.wfiHandler))
      .spi({ intid: 40, trigger: 'level' })
      .guest(0, (guest) => guest.ack().writeMmio(wordOf(ISPENDR, 40), bitOf(40)).hvc())
      .device('board', (device) => device.raise(40).lower(40))
      .machine()
    fire(machine, 'board')
    goTo(machine, 'vcpu0', 'ack: ICC_IAR1_EL1')
    fire(machine, 'board')
    const events = goTo(machine, 'vcpu0', 'hvc')
    expect(flushes(events).map(({ lrs }) => lrs.map(({ state }) => state))).toEqual([[ACTIVE]])
  })

  it('comes at once, by the maintenance interrupt for the end of the one before', () => {
    const machine = scenario('at once')
      .design(baselines.fixed(designs.wfiHandler))
      .spi({ intid: 40, trigger: 'level' })
      .guest(0, (guest) => guest.ack().writeMmio(wordOf(ISPENDR, 40), bitOf(40)).eoi().ack())
      .device('board', (device) => device.raise(40).lower(40))
      .machine()
    fire(machine, 'board')
    const before = goTo(machine, 'vcpu0', 'ack: ICC_IAR1_EL1')
    fire(machine, 'board')
    expect(acknowledged([...before, ...go(machine, 'vcpu0')])).toEqual([40, 40])
  })

  it('is never lost, explored: with fixed', () => {
    const waits = scenario('explored')
      .vm({ vcpus: 2 })
      .gic({ listRegisters: 1 })
      .design(baselines.fixed(designs.wfiHandler))
      .spi({ intid: 40, trigger: 'level' })
      .guest(0, (guest) =>
        guest
          .onIrq((list) => list.ack().quiesce(40).eoi())
          .unmask()
          .wfi(),
      )
      .guest(1, (guest) => guest.writeMmio(wordOf(ISPENDR, 40), bitOf(40)))
      .device('board', (device) => device.raise(40))
    expect(explore(waits)).toMatchObject({ complete: true })
  })
})
