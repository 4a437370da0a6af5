/** What a hypervisor leaves behind in the virtual CPU interface when a vCPU leaves its guest, and when another comes. */
import { ICC_RPR_EL1 } from 'vgic'
import { designs, kvm61, type ScenarioMachine, scenario, type VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { go, goTo } from '../../../kit/driving.ts'
import { bitOf, GICD, ICENABLER, ICPENDR, IPRIORITYR, IROUTER, wordOf } from '../../../kit/frames.ts'
import { handle } from '../../../kit/guest-lists.ts'
import { acknowledge, boot, enable, end, vmOf } from '../../../kit/vm.ts'

/** CPU 0's list registers, as they stand in the silicon, and its ICH_ELRSR_EL2. */
function physicalListRegisters({ hypervisor }: ScenarioMachine) {
  const { silicon } = hypervisor
  const pe = silicon.peOf(0)
  return {
    elrsr: silicon.virtualInterface.elrsr(pe),
    lrs: [0, 1, 2, 3].map((n) => [silicon.ich.readLrLow(pe, n), silicon.ich.readLrHigh(pe, n)]),
  }
}
const EMPTY = { elrsr: 0xf, lrs: Array.from({ length: 4 }, () => [0, 0]) }

describe('after an exit', () => {
  it.each([1, 2, 3, 4])('list registers that held %i interrupts are zero, and read as empty', (count) => {
    const s = scenario('fold').vm({ vcpus: 1 })
    for (let n = 0; n < count; n++) s.spi({ intid: 40 + n })
    const machine = s
      .guest(0, (guest) => guest.hvc().hvc().onIrq(handle))
      .device('uart', (device) => {
        for (let n = 0; n < count; n++) device.pulse(40 + n)
        return device
      })
      .machine()
    go(machine, 'uart')
    goTo(machine, 'vcpu0', 'enters the guest')
    const { elrsr, lrs } = physicalListRegisters(machine)
    expect(elrsr).toBe(0xf & ~(2 ** count - 1))
    expect(lrs.map(([low]) => low).sort()).toEqual(
      [...Array.from({ length: 4 - count }, () => 0), 40, 41, 42, 43].slice(0, 4),
    )
    goTo(machine, 'vcpu0', 'fold')
    expect(physicalListRegisters(machine)).toEqual(EMPTY)
  })
})

describe('Linux 6.1 sorts an ap_list', () => {
  /** SPIs 40 to 43 are pending for vCPU 1, which is outside, the most urgent one last. */
  function pendingFor1(): VirtualMachine {
    const vm = boot(vmOf({ design: kvm61(designs.wfiFlag) }))
    for (let intid = 40; intid < 46; intid++) {
      enable(vm, intid)
      vm.writeMmio(0, GICD + IROUTER + 8 * intid, 8, 1)
      vm.writeMmio(0, GICD + IPRIORITYR + intid, 1, 0xe0 - 0x10 * (intid - 40))
    }
    vm.preempt(1)
    for (let intid = 40; intid < 44; intid++) vm.setLine(intid, 1)
    return vm
  }
  const presented = (vm: VirtualMachine): number[] => {
    vm.enter(1)
    return vm.listRegisters(1).lr.map((lr) => Number(lr & 0xffff_ffffn))
  }

  it('of more pending and active interrupts than list registers', () => {
    const vm = pendingFor1()
    vm.setLine(44, 1)
    expect(presented(vm)).toEqual([44, 43, 42, 41])
  })

  it('not if some of them are neither any more', () => {
    const vm = pendingFor1()
    vm.writeMmio(0, wordOf(ICPENDR, 43), 4, bitOf(43))
    vm.setLine(44, 1)
    expect(presented(vm)).toEqual([40, 41, 42, 44])
  })

  it('also if some of them are disabled', () => {
    const vm = pendingFor1()
    vm.writeMmio(0, wordOf(ICENABLER, 43), 4, bitOf(43))
    vm.setLine(44, 1)
    expect(presented(vm)).toEqual([44, 42, 41, 40])
  })
})

describe('the active priorities of a guest', () => {
  it.each([
    // 0xa0 is in ICH_AP1R0, R1 and R2.
    { preemptionBits: 5 },
    { preemptionBits: 6 },
    { preemptionBits: 7 },
  ])('with $preemptionBits preemption bits are back when it is loaded again', ({ preemptionBits }) => {
    const vm = boot(vmOf({ silicon: { cpus: 1, priorityBits: 7, preemptionBits } }))
    enable(vm, 40)
    vm.writeMmio(0, GICD + IPRIORITYR + 40, 1, 0xa0)
    vm.setLine(40, 1)
    expect(acknowledge(vm, 0)).toBe(40)
    expect(vm.readSysreg(0, ICC_RPR_EL1)).toBe(0xa0)
    vm.preempt(0)
    expect(vm.readSysreg(1, ICC_RPR_EL1)).toBe(0xff)
    vm.preempt(1)
    expect(vm.readSysreg(0, ICC_RPR_EL1)).toBe(0xa0)
    end(vm, 0, 40)
    expect(vm.readSysreg(0, ICC_RPR_EL1)).toBe(0xff)
  })
})

it('a guest that has acknowledged the last pending list register exits for what has none (NP)', () => {
  const vm = boot(vmOf({ silicon: { cpus: 1, listRegisters: 1 } }))
  for (const intid of [40, 41]) {
    enable(vm, intid)
    vm.setLine(intid, 1)
  }
  expect(acknowledge(vm, 0)).toBe(40)
  vm.enter(0)
  expect(BigInt.asUintN(32, vm.listRegisters(0).lr[0])).toBe(41n)
})
