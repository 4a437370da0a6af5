/**
 * When a WFI leaves the guest, when the vCPU sleeps, and what wakes it. The cases W5 to W11 are those of the
 * recordings of Linux 6.1 (KVM-WFI.md).
 */
import { ICC_PMR_EL1, ISR_EL1 } from 'vgic'
import { designs, type Run, type Scenario, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { handle, ISR_I } from '../../kit/guest-lists.ts'

const named = (name: string): Scenario => scenario(name).design(designs.wfiFullPut)
/** One vCPU that waits, and a device that fires SPI 40 when nothing else can go on. */
const waiting = (name: string): Scenario =>
  named(name)
    .spi({ intid: 40 })
    .guest(0, (guest) => guest.onIrq(handle).unmask().wfi())
const fired = (s: Scenario): Run => s.device('uart', (device) => device.pulse(40)).run()

const wfiExits = (run: Run): number => run.events.filter(({ what }) => what === 'wfi -> exit (wfi)').length

describe('a WFI wakes', () => {
  it('for an edge', () => {
    const run = fired(waiting('edge'))
    expect(run.acknowledged(0)).toEqual([40])
    expect(run.counts(0).sleeps).toBe(1)
    expect(run.end).toBe('done')
  })

  it('for a level', () => {
    const run = named('level')
      .spi({ intid: 40, trigger: 'level' })
      .guest(0, (guest) =>
        guest
          .onIrq((list) => list.ack().quiesce(40).eoi())
          .unmask()
          .wfi(),
      )
      .device('uart', (device) => device.raise(40))
      .run()
    expect(run.acknowledged(0)).toEqual([40])
    expect(run.end).toBe('done')
  })

  it('for a PPI', () => {
    const run = named('PPI')
      .ppi({ intid: 27 })
      .guest(0, (guest) =>
        guest
          .onIrq((list) => list.ack().quiesce(27).eoi())
          .unmask()
          .wfi(),
      )
      .device('timer', (device) => device.raise(27))
      .run()
    expect(run.acknowledged(0)).toEqual([27])
    expect(run.counts(0).sleeps).toBe(1)
  })

  it('for an SGI from another vCPU (case W2)', () => {
    const run = named('SGI')
      .vm({ vcpus: 2 })
      .guest(0, (guest) => guest.onIrq(handle).unmask().wfi())
      .guest(1, (guest) => guest.loop(30, (list) => list.hvc()).sgi({ intid: 6, vcpus: [0] }))
      .run()
    expect(run.acknowledged(0)).toEqual([6])
    expect(run.counts(0).sleeps).toBe(1)
    expect(run.end).toBe('done')
  })

  it('for a group 0 interrupt', () => {
    const run = waiting('FIQ')
      .spi({ intid: 40, group: 0 })
      .guest(0, (guest) => guest.onFiq(handle).unmask().wfi())
      .device('uart', (device) => device.pulse(40))
      .run()
    expect(run.acknowledged(0)).toEqual([40])
  })

  it('with PSTATE.I set: it goes on and takes nothing (case W7)', () => {
    const run = waiting('masked by PSTATE')
      .guest(0, (guest) => guest.onIrq(handle).wfi().poll(ISR_EL1, ISR_I, ISR_I))
      .device('uart', (device) => device.pulse(40))
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([])
    expect(run.counts(0).sleeps).toBe(1)
    expect(run.end).toBe('done')
  })
})

describe('a WFI sleeps on', () => {
  it.each([
    { why: 'masked by the guest’s PMR (case W5)', config: { intid: 41, priority: 0x90 } },
    { why: 'disabled (case W11)', config: { intid: 41, enabled: false } },
    { why: 'routed to another vCPU', config: { intid: 41, vcpu: 1 } },
  ])('for an interrupt that is $why', ({ config }) => {
    const run = waiting('not for me')
      .vm({ vcpus: 2 })
      .cpuInterface(0, { priorityMask: 0x90 })
      .spi(config)
      .device('uart', (device) => device.pulse(41))
      .run()
    expect(run.end).toBe('asleep')
    expect(run.acknowledged(0)).toEqual([])
    expect(run.events.map(({ what }) => what)).not.toContain('skipInstruction')
  })

  it('until one comes that the mask admits; then the guest has both (case W5)', () => {
    const run = waiting('PMR')
      .spi({ intid: 40, priority: 0x40 })
      .spi({ intid: 41, priority: 0xa0 })
      .guest(0, (guest) => guest.onIrq(handle).priorityMask(0x80).unmask().wfi().priorityMask(0xf0))
      .device('uart', (device) => device.pulse(41).pulse(40))
      .run()
    expect(run.acknowledged(0)).toEqual([40, 41])
    expect(run.end).toBe('done')
  })

  it('for a level that was lowered again', () => {
    const run = waiting('gone')
      .spi({ intid: 41, trigger: 'level' })
      .device('uart', (device) => device.pulse(41))
      .run()
    expect(run.end).toBe('asleep')
  })

  it('for ever if nobody wakes it', () => {
    const run = waiting('nobody').run()
    expect(run.end).toBe('asleep')
    expect(run.events.slice(-4).map(({ what }) => what)).toEqual([
      'runnable? no',
      'sleep',
      'put',
      'giveUpCpu',
    ])
    expect(run.counts(0).sleeps).toBe(1)
  })
})

describe('a WFI does not sleep', () => {
  it('nor leave the guest, with an interrupt pending that PSTATE masks (case W6)', () => {
    const run = named('completes in hardware')
      .guest(0, (guest) =>
        guest
          .sgi({ intid: 6, vcpus: [0] })
          .wfi()
          .poll(ISR_EL1, ISR_I, ISR_I),
      )
      .run({ steps: 1000 })
    expect(wfiExits(run)).toBe(0)
    expect(run.acknowledged(0)).toEqual([])
    expect(run.end).toBe('done')
  })

  it('but leaves the guest, with an interrupt pending of a group that is disabled (case W8)', () => {
    const run = named('group disabled')
      .guest(0, (guest) =>
        guest
          .enableGroup(1, false)
          .sgi({ intid: 6, vcpus: [0] })
          .wfi(),
      )
      .run()
    expect(wfiExits(run)).toBe(1)
    expect(run.counts(0).sleeps).toBe(0)
    expect(run.end).toBe('done')
  })

  it('but leaves the guest, in a handler with an equally urgent interrupt pending (case W9)', () => {
    const run = named('in a handler')
      .guest(0, (guest) =>
        guest
          .sgi({ intid: 6, vcpus: [0] })
          .ack()
          .sgi({ intid: 7, vcpus: [0] })
          .wfi(),
      )
      .run()
    expect(wfiExits(run)).toBe(1)
    expect(run.counts(0).sleeps).toBe(0)
    expect(run.end).toBe('done')
  })

  it('when the interrupt came while it was being handled', () => {
    const busy = waiting('before the halt').run().events
    const put = busy.find(({ place, what }) => place === 'wfi' && what === 'put')
    const run = waiting('before the halt')
      .device('uart', (device) => device.at(put?.time ?? 0).pulse(40))
      .run()
    expect(wfiExits(run)).toBe(1)
    expect(run.counts(0).sleeps).toBe(0)
    expect(run.acknowledged(0)).toEqual([40])
  })

  it('any more once it was woken: each of two WFIs waits for an interrupt of its own', () => {
    const run = waiting('twice')
      .guest(0, (guest) => guest.onIrq(handle).unmask().wfi().read(ICC_PMR_EL1).wfi())
      .device('uart', (device) => device.pulse(40).pulse(40))
      .run()
    expect(run.acknowledged(0)).toEqual([40, 40])
    expect(run.counts(0).sleeps).toBe(2)
    expect(run.end).toBe('done')
  })
})
