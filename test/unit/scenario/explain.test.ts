/** Why an interrupt is, or is not, delivered to a vCPU: each reason that explain() can name, and what it prints. */

import { inspect } from 'node:util'
import { ICC_SGI1R_EL1, VgicError } from 'vgic'
import { replay } from 'vgic/explore'
import {
  type DeliveryReason,
  deliveryReasons,
  designs,
  type Explanation,
  edit,
  type GuestBuilder,
  kvm61,
  type Scenario,
  type ScenarioMachine,
  scenario,
  type VirtualMachine,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { fire, go, goTo, happen } from '../../kit/driving.ts'
import { bitOf, GICD, ICENABLER, IPRIORITYR, IROUTER, wordOf } from '../../kit/frames.ts'
import { busy, handle, self } from '../../kit/guest-lists.ts'
import { acknowledge, boot, enable, vmOf } from '../../kit/vm.ts'
import { explore } from '../explore/checked.ts'

/** One vCPU with SPI 40, which a device pulses twice; the masks of PSTATE are set unless the guest clears them. */
const one = (guest: (guest: GuestBuilder) => unknown = (g) => busy(g.unmask())): Scenario =>
  scenario('one SPI')
    .spi({ intid: 40, priority: 0x80 })
    .guest(0, guest)
    .device('nic', (device) => device.pulse(40).pulse(40))

/** A machine whose vCPU 0 is in the guest and has taken some of its operations. */
function inGuest(s: Scenario, operations = 1): ScenarioMachine {
  const machine = s.machine()
  goTo(machine, 'vcpu0', 'enters the guest')
  go(machine, 'vcpu0', undefined, operations)
  return machine
}

const seen = new Set<DeliveryReason>()

/** Asks, and checks that asking changes nothing, and that the explanation agrees with itself. */
function explained(machine: ScenarioMachine, intid: number, vcpu?: number): Explanation {
  const before = new Int32Array(machine.snapshot())
  const explanation = machine.explain(intid, vcpu)
  expect(new Int32Array(machine.snapshot())).toEqual(before)
  expect(explanation.delivered).toBe(explanation.conditions.every(({ holds }) => holds))
  seen.add(explanation.reason)
  return explanation
}

const reasonOf = (machine: ScenarioMachine, intid: number, vcpu?: number): DeliveryReason =>
  explained(machine, intid, vcpu).reason

const detailOf = ({ conditions }: Explanation, name: string): string | undefined =>
  conditions.find((condition) => condition.name === name)?.detail

describe('an interrupt is delivered', () => {
  it('taken: the guest takes it at its next instruction', () => {
    const machine = inGuest(one())
    fire(machine, 'nic')
    goTo(machine, 'vcpu0', 'enters the guest')
    const explanation = explained(machine, 40)
    expect(explanation).toMatchObject({ intid: 40, vcpu: 0, delivered: true, reason: 'taken' })
    expect(detailOf(explanation, 'list register')).toBe('in list register 0')
  })

  it('at-next-entry: the vCPU is outside, and will enter with it', () => {
    const machine = one((guest) => guest.unmask().hvc().hvc()).machine()
    goTo(machine, 'vcpu0', 'hvc')
    fire(machine, 'nic')
    expect(explained(machine, 40)).toMatchObject({ delivered: true, reason: 'at-next-entry' })
  })

  it('at-next-entry: a kick is on its way to the guest that runs without it', () => {
    const machine = inGuest(one())
    fire(machine, 'nic')
    expect(reasonOf(machine, 40)).toBe('at-next-entry')
  })

  it('at-next-entry: a thread that was preempted has no PE, or another runs on its PE', () => {
    const machine = one((guest) => guest.unmask().hvc().hvc())
      .vm({ vcpus: 2 })
      .gic({ cpus: 1 })
      .guest(1, (guest) => busy(guest))
      .machine()
    goTo(machine, 'vcpu0', 'hvc')
    goTo(machine, 'vcpu0', 'preemptOn')
    happen(machine, 'preempt vcpu0')
    goTo(machine, 'vcpu0', 'giveUpCpu')
    fire(machine, 'nic')
    expect(reasonOf(machine, 40)).toBe('at-next-entry')
    goTo(machine, 'vcpu1', 'enters the guest')
    expect(reasonOf(machine, 40)).toBe('at-next-entry')
  })

  it('with kvm61 although it was disabled meanwhile, while it is in a list register of the guest', () => {
    const machine = inGuest(
      one((guest) => busy(guest))
        .design(kvm61(designs.wfiHandler))
        .vm({ vcpus: 2 })
        .guest(1, (guest) => guest.writeMmio(wordOf(ICENABLER, 40), bitOf(40))),
    )
    fire(machine, 'nic')
    goTo(machine, 'vcpu0', 'enters the guest')
    goTo(machine, 'vcpu1', 'emulateMmioAsLinux61')
    const explanation = explained(machine, 40)
    expect(explanation.reason).toBe('pstate-masked')
    expect(detailOf(explanation, 'enabled')).toBe(
      'GICD_ISENABLER1 bit 8 is 0, but it is in list register 0 since',
    )
    happen(machine, 'tick of vcpu0')
    expect(reasonOf(machine, 40)).toBe('disabled')
  })
})

describe('an interrupt is not delivered', () => {
  it.each([8192, 64, 1019, 1023])('no-such-interrupt: a VM with 32 SPIs has no INTID %i', (intid) => {
    const explanation = explained(one().machine(), intid)
    expect(explanation).toMatchObject({ intid, delivered: false, reason: 'no-such-interrupt' })
    expect(explanation.conditions).toEqual([
      { name: 'exists', holds: false, detail: 'the VM has INTIDs 0 to 63' },
    ])
  })

  it('disabled', () => {
    const machine = inGuest(one().spi({ intid: 40, enabled: false }))
    fire(machine, 'nic')
    expect(reasonOf(machine, 40)).toBe('disabled')
  })

  it('active: the guest has acknowledged it, and an edge that came since waits', () => {
    const machine = inGuest(one((guest) => busy(guest.onIrq((h) => busy(h.ack())).unmask())))
    fire(machine, 'nic')
    goTo(machine, 'vcpu0', 'ack:')
    const once = explained(machine, 40)
    expect(once.reason).toBe('active')
    expect(detailOf(once, 'inactive')).toBe('active in list register 0')
    fire(machine, 'nic')
    const again = explained(machine, 40)
    expect(again.reason).toBe('active')
    expect(detailOf(again, 'inactive')).toBe('GICD_ISACTIVER1 bit 8 is 1')
    expect(detailOf(again, 'pending')).toBe('an edge is latched')
  })

  it('active: on another vCPU, in whose list register it is', () => {
    const machine = inGuest(
      one((guest) => busy(guest.onIrq((h) => busy(h.ack())).unmask()))
        .vm({ vcpus: 2 })
        .guest(1, (guest) => busy(guest)),
    )
    fire(machine, 'nic')
    goTo(machine, 'vcpu0', 'ack:')
    expect(reasonOf(machine, 40, 1)).toBe('active')
  })

  it('not-pending: no edge came, or the line is low', () => {
    const machine = inGuest(one().spi({ intid: 41, trigger: 'level' }))
    expect(detailOf(explained(machine, 40), 'pending')).toBe('no edge is latched')
    expect(detailOf(explained(machine, 41), 'pending')).toBe('the line is low')
    expect(reasonOf(machine, 3)).toBe('not-pending')
  })

  it('distributor-off: GICD_CTLR.EnableGrp1 is 0', () => {
    const machine = inGuest(one((guest) => busy(guest.unmask().writeMmio(GICD, 0))))
    goTo(machine, 'vcpu0', 'enters the guest')
    fire(machine, 'nic')
    expect(reasonOf(machine, 40)).toBe('distributor-off')
  })

  it('routed-elsewhere: an SPI is explained to the vCPU that it is routed to unless another is named', () => {
    const s = one()
      .vm({ vcpus: 2 })
      .spi({ intid: 40, vcpu: 1 })
      .guest(1, (guest) => busy(guest.unmask()))
    const machine = inGuest(s)
    goTo(machine, 'vcpu1', 'unmask')
    fire(machine, 'nic')
    expect(explained(machine, 40)).toMatchObject({ vcpu: 1, reason: 'at-next-entry' })
    const here = explained(machine, 40, 0)
    expect(here).toMatchObject({ vcpu: 0, reason: 'routed-elsewhere' })
    expect(detailOf(here, 'target')).toBe('GICD_IROUTER40 names vcpu1')
  })

  it('routed-elsewhere: its GICD_IROUTER names an affinity that nobody has', () => {
    const machine = inGuest(
      one((guest) => busy(guest.unmask().writeMmio(GICD + IROUTER + 8 * 40, 0x1234, 8))),
    )
    goTo(machine, 'vcpu0', 'enters the guest')
    fire(machine, 'nic')
    const explanation = explained(machine, 40)
    expect(explanation).toMatchObject({ vcpu: 0, reason: 'routed-elsewhere' })
    expect(detailOf(explanation, 'target')).toBe('GICD_IROUTER40 names no vCPU')
  })

  it('not-queued: it became pending while the distributor was off, and nobody queued it since (W10)', () => {
    const machine = inGuest(
      one((guest) => busy(guest.unmask().writeMmio(GICD, 0).hvc().writeMmio(GICD, 2))).design(
        kvm61(designs.wfiHandler),
      ),
    )
    goTo(machine, 'vcpu0', 'hvc')
    fire(machine, 'nic')
    goTo(machine, 'vcpu0', 'emulateMmioAsLinux61')
    goTo(machine, 'vcpu0', 'enters the guest')
    expect(reasonOf(machine, 40)).toBe('not-queued')
    fire(machine, 'nic')
    expect(reasonOf(machine, 40)).toBe('at-next-entry')
  })

  it('not-told: the device has queued it, and neither the request nor the kick has followed', () => {
    const machine = inGuest(one())
    go(machine, 'nic', undefined, 1)
    expect(reasonOf(machine, 40)).toBe('not-told')
    go(machine, 'nic', undefined, 1)
    expect(reasonOf(machine, 40)).toBe('not-told')
    go(machine, 'nic', undefined, 1)
    expect(reasonOf(machine, 40)).toBe('at-next-entry')
  })

  it('not-told: the list registers are filled, the guest is not entered yet', () => {
    const machine = one().machine()
    goTo(machine, 'vcpu0', 'publishInGuest')
    go(machine, 'nic', undefined, 1)
    expect(reasonOf(machine, 40)).toBe('not-told')
    go(machine, 'nic', undefined, 1)
    expect(reasonOf(machine, 40)).toBe('pstate-masked')
  })

  it('no-list-register: four active ones have them all (L3)', () => {
    const s = scenario('nested').design(kvm61(designs.wfiHandler))
    for (let intid = 0; intid < 5; intid++) s.sgi({ intid, priority: 0xa0 - 0x10 * intid })
    s.guest(0, (guest) => {
      for (let intid = 0; intid < 5; intid++) guest.sgi(self(intid)).ack()
      busy(guest)
    })
    const machine = s.machine()
    goTo(machine, 'vcpu0', 'ack: ICC_IAR1_EL1 = special 1023')
    const explanation = explained(machine, 4)
    expect(explanation.reason).toBe('no-list-register')
    expect(detailOf(explanation, 'list register')).toBe(
      'valid are: SGI 0 at 0xa0, SGI 1 at 0x90, SGI 2 at 0x80, SGI 3 at 0x70',
    )
  })

  it('group-off: the guest has the group disabled at its CPU interface', () => {
    const machine = inGuest(
      one((guest) => busy(guest.unmask().enableGroup(1, false))),
      2,
    )
    fire(machine, 'nic')
    const explanation = explained(machine, 40)
    expect(explanation.reason).toBe('group-off')
    expect(detailOf(explanation, 'group')).toBe('group 1; ICC_IGRPEN1_EL1 is 0')
  })

  it('priority-masked: by ICC_PMR_EL1 as the guest has it, not as its shadow has', () => {
    const machine = inGuest(
      one((guest) => busy(guest.unmask().priorityMask(0x80).priorityMask(0x88))),
      2,
    )
    fire(machine, 'nic')
    const explanation = explained(machine, 40)
    expect(explanation.reason).toBe('priority-masked')
    expect(detailOf(explanation, 'priority mask')).toBe('priority 0x80; ICC_PMR_EL1 is 0x80')
    goTo(machine, 'vcpu0', 'ICC_PMR_EL1 := 0x88')
    expect(explained(machine, 40).delivered).toBe(true)
  })

  it('priority-masked: a sleeping vCPU that would not take it sleeps on', () => {
    const machine = one((guest) => guest.unmask().priorityMask(0x80).wfi()).machine()
    go(machine, 'vcpu0')
    fire(machine, 'nic')
    expect(reasonOf(machine, 40)).toBe('priority-masked')
  })

  it('running-priority: in the handler of an equally urgent one', () => {
    const machine = inGuest(
      one((guest) =>
        busy(
          guest
            .onIrq((h) => busy(h.ack().unmask()))
            .unmask()
            .sgi(self(1)),
        ),
      ).sgi({
        intid: 1,
        priority: 0x80,
      }),
    )
    goTo(machine, 'vcpu0', 'ack:')
    go(machine, 'vcpu0', undefined, 2)
    fire(machine, 'nic')
    const explanation = explained(machine, 40)
    expect(explanation.reason).toBe('running-priority')
    expect(detailOf(explanation, 'running priority')).toBe('ICC_RPR_EL1 is 0x80')
  })

  it('outranked: another is first, of two equally urgent ones that in the lower list register', () => {
    const machine = inGuest(
      one()
        .spi({ intid: 41, priority: 0x20 })
        .spi({ intid: 42, priority: 0x80 })
        .device('uart', (device) => device.pulse(42).pulse(41)),
    )
    fire(machine, 'uart')
    fire(machine, 'nic')
    expect(explained(machine, 42).delivered).toBe(true)
    expect(detailOf(explained(machine, 40), 'first')).toBe('SPI 42 is, with 0x80')
    fire(machine, 'uart')
    expect(reasonOf(machine, 40)).toBe('outranked')
    expect(detailOf(explained(machine, 40), 'first')).toBe('SPI 41 is, with 0x20')
    expect(explained(machine, 41).delivered).toBe(true)
  })

  it('vcpu-off: its guest has ended', () => {
    const run = one((guest) => guest.unmask().hvc()).run()
    expect(run.end).toBe('done')
    expect(reasonOf(run.machine, 40)).toBe('vcpu-off')
  })

  it('asleep: the wake-up was lost, because runnable() saw a stale priority mask', () => {
    const forgetful = edit(designs.wfiHandler).omit('wfi/saveVmcr').design('forgetful')
    const s = scenario('the guest unmasks and sleeps')
      .vm({ vcpus: 1, spis: 1 })
      .design(forgetful)
      .spi({ intid: 32 })
      .guest(0, (guest) => guest.onIrq(handle).priorityMask(0).priorityMask(0xf0).unmask().wfi())
      .device('nic', (device) => device.pulse(32))
    const lost = explore(s, { preemptions: 1, ticks: 1, invariants: ['L1'] }).violation
    expect(lost?.invariant).toBe('L1')
    const { machine } = replay(s, lost?.schedule ?? '')
    const explanation = explained(machine, 32)
    expect(explanation.reason).toBe('asleep')
    expect(detailOf(explanation, 'awake')).toBe(
      'its thread sleeps; runnable() says yes, by priority mask 0xf0',
    )
  })

  it('pstate-masked: PSTATE.I for group 1, PSTATE.F for group 0', () => {
    const s = one((guest) => busy(guest.unmask('irq').hvc().mask('irq').unmask('fiq').hvc()))
      .spi({ intid: 41, group: 0, priority: 0x40 })
      .device('uart', (device) => device.pulse(41))
    const machine = s.machine()
    fire(machine, 'nic')
    fire(machine, 'uart')
    goTo(machine, 'vcpu0', 'hvc')
    expect(detailOf(explained(machine, 41), 'PSTATE')).toBe('PSTATE.F is 1')
    expect(reasonOf(machine, 41)).toBe('pstate-masked')
    goTo(machine, 'vcpu0', 'hvc')
    expect(explained(machine, 41).delivered).toBe(true)
  })
})

describe('of a VM that is driven access by access', () => {
  const machine = () => {
    const vm = boot(vmOf())
    for (const intid of [40, 41, 42]) enable(vm, intid)
    return vm
  }
  const condition = (vm: VirtualMachine, intid: number, name: string, vcpu?: number) => {
    const { holds, detail } = vm.explain(intid, vcpu).conditions.find((one) => one.name === name) ?? {}
    return [holds, detail]
  }

  it('the distributor is on or off', () => {
    const vm = machine()
    expect(condition(vm, 40, 'distributor')).toEqual([true, 'GICD_CTLR.EnableGrp1 is 1'])
    vm.writeMmio(0, GICD, 4, 0)
    expect(condition(vm, 40, 'distributor')).toEqual([false, 'GICD_CTLR.EnableGrp1 is 0'])
  })

  it('the ap_list is that of one vCPU, or none', () => {
    const vm = machine()
    expect(condition(vm, 40, 'ap_list')).toEqual([false, 'on no ap_list'])
    vm.setLine(40, 1)
    expect(condition(vm, 40, 'ap_list')).toEqual([true, 'on the ap_list of vcpu0'])
    expect(condition(vm, 40, 'ap_list', 1)).toEqual([false, 'on the ap_list of vcpu0'])
  })

  it('the running priority counts for what is in no list register', () => {
    const vm = machine()
    for (const [intid, priority] of [
      [40, 0x80],
      [41, 0x78],
      [42, 0x80],
    ])
      vm.writeMmio(0, GICD + IPRIORITYR + intid, 1, priority)
    expect(condition(vm, 42, 'running priority')).toEqual([true, 'ICC_RPR_EL1 is 0xff'])
    vm.setLine(40, 1)
    expect(acknowledge(vm, 0)).toBe(40)
    expect([40, 41, 42].map((intid) => condition(vm, intid, 'running priority')[0])).toEqual([
      false,
      true,
      false,
    ])
  })

  it('a vCPU sleeps, and one that does not is awake', () => {
    const vm = machine()
    expect(vm.wfi(1)).toBe(false)
    expect(condition(vm, 40, 'awake', 0)).toEqual([true, 'its thread does not sleep'])
    expect(condition(vm, 40, 'awake', 1)).toEqual([
      false,
      'its thread sleeps; runnable() says no, by priority mask 0xf0',
    ])
  })

  it('the first and the last INTID are there, and the next are not', () => {
    const vm = machine()
    expect([0, 31, 32, 95].map((intid) => condition(vm, intid, 'exists'))).toEqual([
      [true, 'SGI 0'],
      [true, 'PPI 31'],
      [true, 'SPI 32'],
      [true, 'SPI 95'],
    ])
    for (const intid of [96, 8191, 8192])
      expect(condition(vm, intid, 'exists')).toEqual([false, 'the VM has INTIDs 0 to 95'])
  })

  it('a private interrupt is that of the vCPU that is named', () => {
    const vm = machine()
    vm.writeSysreg(0, ICC_SGI1R_EL1, 0x0300_0002)
    expect(vm.explain(3, 1).conditions.find(({ name }) => name === 'pending')?.holds).toBe(true)
    expect(vm.explain(3).vcpu).toBe(0)
    expect(vm.explain(3).reason).toBe('not-pending')
  })
})

describe('what an explanation is', () => {
  it('prints its verdict, what it means, and the chain, with the first condition that does not hold in capitals', () => {
    const machine = inGuest(one((guest) => busy(guest.priorityMask(0x80))))
    fire(machine, 'nic')
    const text = `${machine.explain(40)}`
    expect(inspect(machine.explain(40))).toBe(text)
    expect(text.split('\n')).toEqual([
      'SPI 40 is not delivered to vcpu0: priority-masked. Its priority is not higher than ICC_PMR_EL1.',
      '  exists            yes  SPI 40',
      '  enabled           yes  GICD_ISENABLER1 bit 8 is 1',
      '  inactive          yes  GICD_ISACTIVER1 bit 8 is 0',
      '  pending           yes  an edge is latched',
      '  distributor       yes  GICD_CTLR.EnableGrp1 is 1',
      '  target            yes  GICD_IROUTER40 names vcpu0',
      '  ap_list           yes  on the ap_list of vcpu0',
      '  told              yes  no list register was filled without it',
      '  list register     yes  in list register 0',
      '  group             yes  group 1; ICC_IGRPEN1_EL1 is 1',
      '  priority mask     NO   priority 0x80; ICC_PMR_EL1 is 0x80',
      '  running priority  yes  ICC_RPR_EL1 is 0xff',
      '  first             yes  no other is before it',
      '  on                yes  its thread goes on',
      '  awake             yes  its thread does not sleep',
      '  PSTATE            no   PSTATE.I is 1',
    ])
  })

  it('is of a run too, and plain data', () => {
    const run = one((guest) => guest.unmask().priorityMask(0).wfi()).run()
    expect(run.end).toBe('asleep')
    const { intid, vcpu, delivered, reason } = JSON.parse(JSON.stringify(run.explain(40)))
    expect({ intid, vcpu, delivered, reason }).toEqual({
      intid: 40,
      vcpu: 0,
      delivered: false,
      reason: 'priority-masked',
    })
  })

  it('has one of the listed reasons, each of which a test above has seen', () => {
    expect([...seen].sort()).toEqual(Object.keys(deliveryReasons).sort())
  })

  it.each([
    [-1, 0],
    [1.5, 0],
    [Number.NaN, 0],
    [0x100_0000, 0],
    [40, 1],
    [40, -1],
  ])('INTID %d and vCPU %d are refused', (intid, vcpu) => {
    expect(() => one().machine().explain(intid, vcpu)).toThrow(VgicError)
  })
})
