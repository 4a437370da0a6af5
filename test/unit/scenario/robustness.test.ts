/** Nothing that a guest does throws or hangs: runs end, at their bound if need be. */
import { ICC_IAR1_EL1, ICC_PMR_EL1, ICC_SGI1R_EL1, ICC_SRE_EL2, ISR_EL1 } from 'vgic'
import { type Scenario, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'

const one = (): Scenario => scenario('one vCPU')

describe('a guest can do what it likes', () => {
  it('a run ends at its bound with a guest that never ends', () => {
    const run = one()
      .guest(0, (guest) => guest.poll(ICC_PMR_EL1, 0xff, 0x01))
      .run({ steps: 500 })
    expect(run.end).toBe('bound')
    expect(run.events).toHaveLength(500)
    expect(run.machine.time).toBe(500)
  })

  it('a vCPU without a guest is off at once', () => {
    const run = one().vm({ vcpus: 3 }).run()
    expect(run.end).toBe('done')
    expect(run.cost().map(({ exit, exits }) => `${exit} ${exits}`)).toEqual(['off 3', 'first-entry 0'])
    const left = run.events.filter(({ what }) => what === '(the guest is done) -> exit (off)')
    expect(left.map(({ actor }) => actor.name)).toEqual(['vcpu0', 'vcpu1', 'vcpu2'])
  })

  it('a guest of no operations is as good as none', () => {
    expect(
      one()
        .guest(0, (guest) => guest)
        .run().events,
    ).toEqual(one().run().events)
  })

  it('without a handler it goes on with an IRQ signalled, and its WFI does not wait', () => {
    const run = one()
      .spi({ intid: 40 })
      .guest(0, (guest) => guest.unmask().wfi().poll(ISR_EL1, 0x80, 0x80).wfi().hvc().wfi())
      .device('uart', (device) => device.pulse(40))
      .run({ steps: 1000 })
    expect(run.end).toBe('done')
    expect(run.counts(0).sleeps).toBe(1)
  })

  it('with a handler for FIQ alone it goes on with an IRQ signalled', () => {
    const run = one()
      .guest(0, (guest) =>
        guest
          .onFiq((handler) => handler.ack())
          .unmask()
          .sgi({ intid: 1, vcpus: [0] }),
      )
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([])
    expect(run.end).toBe('done')
  })

  it('writes to read-only, hypervisor and unknown registers are skipped', () => {
    const run = one()
      .guest(0, (guest) =>
        guest
          .write(ICC_IAR1_EL1, 1)
          .read(ICC_SGI1R_EL1)
          .write(ICC_SRE_EL2, 0)
          .read(0)
          .poll(0x1_2345, 1, 1)
          .write(ICC_SGI1R_EL1, 0xffff_ffff_ffff_ffffn),
      )
      .run({ steps: 1000 })
    expect(run.end).toBe('done')
  })

  it('completing what was never acknowledged changes nothing', () => {
    const run = one()
      .guest(0, (guest) =>
        guest
          .eoi()
          .dir()
          .sgi({ intid: 1, vcpus: [0] })
          .ack()
          .eoi()
          .eoi()
          .ack(),
      )
      .run()
    expect(run.acknowledged(0)).toEqual([1, 1023])
  })
})
