/** What a guest sees of SPIs and PPIs: which reach it, as IRQ or FIQ, and which masks hold them back. */
import { ICC_PMR_EL1, ISR_EL1 } from 'vgic'
import { type GuestBuilder, type OpList, type Run, type Scenario, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { handle, ISR_F, ISR_I } from '../../kit/guest-lists.ts'

const handleLevel = (handler: OpList): OpList => handler.ack().quiesce(40).eoi()
/** A guest that computes for a while without leaving. */
const busy = (guest: GuestBuilder): GuestBuilder => guest.loop(40, (list) => list.read(ICC_PMR_EL1))
/** What the guest of vCPU 0 took, in order. */
const taken = (run: Run): string[] =>
  run.events.map(({ what }) => what).filter((what) => what.startsWith('takes'))
/** A device that pulses SPI 40 in the middle of a busy guest's work. */
const pulse40 = (s: Scenario): Scenario => s.device('uart', (device) => device.at(40).pulse(40))

describe('an SPI', () => {
  it('interrupts a running guest once for an edge', () => {
    const run = pulse40(scenario('edge').spi({ intid: 40 }))
      .guest(0, (guest) => busy(guest.onIrq(handle).unmask()))
      .run()
    expect(run.acknowledged(0)).toEqual([40])
    expect(taken(run)).toEqual(['takes a virtual IRQ'])
    expect(run.end).toBe('done')
  })

  it('interrupts a running guest once for a level that its handler lowers', () => {
    const run = scenario('level')
      .spi({ intid: 40, trigger: 'level' })
      .guest(0, (guest) => busy(guest.onIrq(handleLevel).unmask()))
      .device('uart', (device) => device.at(40).raise(40))
      .run()
    expect(run.acknowledged(0)).toEqual([40])
    expect(run.end).toBe('done')
  })

  it('goes to the vCPU that it is routed to and to no other', () => {
    const run = pulse40(scenario('routing').vm({ vcpus: 3 }).spi({ intid: 40, vcpu: 1 }))
      .guest(0, (guest) => busy(guest.onIrq(handle).unmask()))
      .guest(1, (guest) => busy(guest.onIrq(handle).unmask()))
      .guest(2, (guest) => busy(guest.onIrq(handle).unmask()))
      .run()
    expect([0, 1, 2].map((vcpu) => run.acknowledged(vcpu))).toEqual([[], [40], []])
  })

  it('that fires twice before it is acknowledged is delivered once', () => {
    const run = scenario('coalesced edges')
      .spi({ intid: 40 })
      .guest(0, (guest) => busy(guest.onIrq(handle)).unmask())
      .device('uart', (device) => device.at(30).pulse(40).at(50).pulse(40))
      .run()
    expect(run.acknowledged(0)).toEqual([40])
  })

  it.each([
    { why: 'is disabled', config: { intid: 40, enabled: false } },
    { why: 'has exactly the priority of the mask', config: { intid: 40, priority: 0xf0 } },
    { why: 'has a lower priority than the mask', config: { intid: 40, priority: 0xf8 } },
  ])('that $why is not seen by the guest', ({ config }) => {
    const run = pulse40(scenario('held back').spi(config))
      .guest(0, (guest) => busy(guest.onIrq(handle).unmask()).ack().poll(ISR_EL1, 0xc0, 0))
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([1023])
    expect(run.end).toBe('done')
  })

  it('that was never set up is disabled', () => {
    const run = pulse40(scenario('no setup'))
      .guest(0, (guest) => busy(guest.onIrq(handle).onFiq(handle).unmask()))
      .run()
    expect(run.acknowledged(0)).toEqual([])
  })

  it('has five bits of priority: 0xa7 is as urgent as 0xa0', () => {
    const run = pulse40(scenario('priority bits').spi({ intid: 40, priority: 0xa7 }))
      .guest(0, (guest) => busy(guest.onIrq(handle).priorityMask(0xa8).unmask()))
      .run()
    expect(run.acknowledged(0)).toEqual([40])
  })
})

describe('a PPI', () => {
  it('is its vCPU’s own: the same number on another vCPU is another interrupt', () => {
    const run = scenario('PPI')
      .vm({ vcpus: 2 })
      .ppi({ intid: 27, vcpu: 0, trigger: 'edge' })
      .ppi({ intid: 27, vcpu: 1, trigger: 'edge' })
      .guest(0, (guest) => busy(guest.onIrq(handle).unmask()))
      .guest(1, (guest) => busy(guest.onIrq(handle).unmask()))
      .device('timer', (device) => device.at(60).pulse(27, 1))
      .run()
    expect([run.acknowledged(0), run.acknowledged(1)]).toEqual([[], [27]])
  })

  it('is level-sensitive unless told otherwise', () => {
    const run = scenario('PPI level')
      .ppi({ intid: 27 })
      .guest(0, (guest) =>
        guest
          .onIrq((handler) => handler.ack().quiesce(27).eoi())
          .unmask()
          .wfi(),
      )
      .device('timer', (device) => device.pulse(27).raise(27))
      .run()
    expect(run.acknowledged(0)).toEqual([27])
    expect(run.end).toBe('done')
  })
})

describe('the groups', () => {
  it('group 1 is an IRQ, acknowledged by ICC_IAR1_EL1', () => {
    const run = pulse40(scenario('group 1').spi({ intid: 40, group: 1 }))
      .guest(0, (guest) => busy(guest.onIrq(handle).onFiq(handle).unmask()))
      .run()
    expect(taken(run)).toEqual(['takes a virtual IRQ'])
    expect(run.acknowledged(0)).toEqual([40])
  })

  it('group 0 is an FIQ, acknowledged by ICC_IAR0_EL1', () => {
    const run = pulse40(scenario('group 0').spi({ intid: 40, group: 0 }))
      .guest(0, (guest) => busy(guest.onIrq(handle).onFiq(handle).unmask()))
      .run()
    expect(taken(run)).toEqual(['takes a virtual FIQ'])
    expect(run.acknowledged(0)).toEqual([40])
  })

  it('IAR1 has nothing to say of a group 0 interrupt, nor IAR0 of a group 1 one', () => {
    const run = scenario('wrong acknowledge register')
      .spi({ intid: 40, group: 0 })
      .guest(0, (guest) => guest.wfi().poll(ISR_EL1, 0xc0, ISR_F).ack(1).ack(0).eoi(0).ack(0))
      .device('uart', (device) => device.pulse(40))
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([1023, 40, 1023])
    expect(run.end).toBe('done')
  })

  it.each([0, 1] as const)('an interrupt of group %i waits until the guest enables the group', (group) => {
    const run = pulse40(scenario('group enable').spi({ intid: 40, group }))
      .cpuInterface(0, { groups: group === 0 ? [1] : [0] })
      .guest(0, (guest) =>
        busy(guest.onIrq(handle).onFiq(handle).unmask()).poll(ISR_EL1, 0xc0, 0).enableGroup(group),
      )
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([40])
    const enabled = run.events.findIndex(({ what }) => what === `ICC_IGRPEN${group}_EL1 := 0x1`)
    expect(run.events.findIndex(({ what }) => what.startsWith('takes'))).toBe(enabled + 1)
  })

  it('PSTATE.F masks group 0 and leaves group 1 alone', () => {
    const run = scenario('PSTATE.F')
      .spi({ intid: 40, group: 0, priority: 0x80 })
      .spi({ intid: 41, group: 1, priority: 0x40 })
      .guest(0, (guest) => busy(guest.onIrq(handle).onFiq(handle).unmask('irq')).poll(ISR_EL1, 0xc0, ISR_F))
      .device('uart', (device) => device.at(40).pulse(40).at(40).pulse(41))
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([41])
    expect(run.end).toBe('done')
  })
})

describe('what the guest masks', () => {
  it('a guest begins with IRQ and FIQ masked', () => {
    const run = pulse40(scenario('reset masks').spi({ intid: 40 }))
      .guest(0, (guest) => busy(guest.onIrq(handle)).poll(ISR_EL1, 0xc0, ISR_I))
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([])
    expect(run.end).toBe('done')
  })

  it('an interrupt that PSTATE.I held back is taken when the guest unmasks', () => {
    const run = pulse40(scenario('unmask').spi({ intid: 40 }))
      .guest(0, (guest) => busy(guest.onIrq(handle)).unmask().mask())
      .run()
    const events = run.events.filter(({ place }) => place === 'guest').map(({ what }) => what)
    expect(events[events.indexOf('unmask irq fiq') + 1]).toBe('takes a virtual IRQ')
    expect(run.acknowledged(0)).toEqual([40])
  })

  it('an interrupt that ICC_PMR_EL1 held back is taken when the guest lowers the mask', () => {
    const run = pulse40(scenario('PMR').spi({ intid: 40, priority: 0x80 }))
      .cpuInterface(0, { priorityMask: 0x80 })
      .guest(0, (guest) => busy(guest.onIrq(handle).unmask()).poll(ISR_EL1, 0xc0, 0).priorityMask(0x88))
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([40])
  })

  it('a handler that acknowledges once more gets 1023', () => {
    const run = pulse40(scenario('spurious').spi({ intid: 40 }))
      .guest(0, (guest) => busy(guest.onIrq((handler) => handler.ack().eoi().ack().eoi()).unmask()))
      .run()
    expect(run.acknowledged(0)).toEqual([40, 1023])
  })

  it('a guest without handlers acknowledges by polling', () => {
    const run = scenario('polling')
      .spi({ intid: 40 })
      .spi({ intid: 41, group: 0 })
      .guest(0, (guest) =>
        guest.wfi().poll(ISR_EL1, 0xc0, ISR_I).ack().eoi().wfi().poll(ISR_EL1, 0xc0, ISR_F).ack(0).eoi(0),
      )
      .device('uart', (device) => device.pulse(40).pulse(41))
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([40, 41])
    expect(run.end).toBe('done')
  })
})
