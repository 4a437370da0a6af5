/** WFE and SEV: the event register, which every exception return from the hypervisor sets. */
import { ISR_EL1 } from 'vgic'
import { type Actor, type GuestBuilder, type Run, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'

/** The exits of a guest, by reason, the last one apart, which ends it. */
const exits = (run: Run, vcpu = 0): string[] =>
  run.events
    .filter(({ actor }) => actor.name === `vcpu${vcpu}`)
    .flatMap(({ what }) => /exit \((\w+)\)/.exec(what)?.[1] ?? [])
    .slice(0, -1)
const alone = (write: (guest: GuestBuilder) => unknown): Run =>
  scenario('WFE').guest(0, write).run({ steps: 1000 })

describe('a WFE', () => {
  it('completes after the entry, whose exception return has set the event register', () => {
    expect(exits(alone((guest) => guest.wfe()))).toEqual([])
  })

  it('exits when it is the second one: the first has used the event up', () => {
    expect(exits(alone((guest) => guest.wfe().wfe()))).toEqual(['wfe'])
  })

  it.each([0, 1, 2, 3, 4, 5, 6, 7])('of %i in a row every second one exits', (count) => {
    const run = alone((guest) => {
      for (let i = 0; i < count; i++) guest.wfe()
    })
    expect(exits(run)).toHaveLength(Math.floor(count / 2))
  })

  it('that exits goes on at once and does not sleep', () => {
    const run = alone((guest) => guest.loop(10, (list) => list.wfe()))
    expect(run.counts(0).sleeps).toBe(0)
    expect(run.end).toBe('done')
  })

  it('completes after any exit', () => {
    expect(exits(alone((guest) => guest.wfe().hvc().wfe().hvc().wfe()))).toEqual(['hvc', 'hvc'])
  })

  it('leaves the event register alone for a WFI', () => {
    const run = scenario('WFI and the event register')
      .spi({ intid: 40 })
      .guest(0, (guest) => guest.wfi().wfe())
      .device('uart', (device) => device.pulse(40))
      .run()
    expect(exits(run)).toEqual(['wfi'])
    expect(run.counts(0).sleeps).toBe(1)
  })

  it('exits with an interrupt pending that PSTATE masks', () => {
    const run = alone((guest) =>
      guest
        .sgi({ intid: 1, vcpus: [0] })
        .poll(ISR_EL1, 0x80, 0x80)
        .wfe()
        .wfe(),
    )
    expect(exits(run)).toEqual(['sysreg', 'wfe'])
  })
})

describe('SEV', () => {
  it('lets the sender’s own next WFE complete', () => {
    const run = alone((guest) => guest.wfe().loop(5, (list) => list.sev().wfe()))
    expect(exits(run)).toEqual([])
  })

  it('sets one event, not two', () => {
    expect(exits(alone((guest) => guest.wfe().sev().sev().wfe().wfe()))).toEqual(['wfe'])
  })

  it('reaches a vCPU in its guest on another CPU', () => {
    const machine = scenario('SEV')
      .vm({ vcpus: 2 })
      .guest(0, (guest) => guest.wfe().wfe().wfe())
      .guest(1, (guest) => guest.sev())
      .machine()
    const [waiter, sender] = machine.actors
    const upTo = (who: Actor, what: string): void => {
      for (let i = 0; i < 100; i++) if (machine.trace(who).what === what) return
      throw new Error(`${who.name} does not come to ${what}`)
    }
    upTo(waiter, 'wfe')
    upTo(sender, 'sev')
    expect(machine.trace(waiter).what).toBe('wfe')
    expect(machine.trace(waiter).what).toBe('wfe -> exit (wfe)')
  })

  it('does not leave the guest', () => {
    expect(exits(alone((guest) => guest.loop(5, (list) => list.sev())))).toEqual([])
  })
})
