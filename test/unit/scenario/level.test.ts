/** What becomes of an interrupt whose line or source moves while it is pending, active or just completed. */
import { ICC_PMR_EL1, ICC_RPR_EL1, ICH_LR0_EL2, ISR_EL1 } from 'vgic'
import { type GuestBuilder, type Run, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { ACTIVE, PENDING, PENDING_AND_ACTIVE } from '../../kit/driving.ts'
import { ISR_I } from '../../kit/guest-lists.ts'

/** The states of an interrupt in the list registers that the hypervisor wrote, in order: bits 63:62. */
const statesWritten = (run: Run): number[] =>
  run.events
    .flatMap(({ accesses }) => accesses)
    .filter(({ direction, register, low }) => direction === 'write' && register === ICH_LR0_EL2 && low === 40)
    .map(({ high }) => high >>> 30)

describe('a level-sensitive interrupt', () => {
  const level = (name: string) => scenario(name).spi({ intid: 40, trigger: 'level' })

  it('whose line is still high after the end of interrupt is delivered again (case L5)', () => {
    const run = level('high through EOI')
      .guest(0, (guest) =>
        guest
          .onIrq((handler) => handler.ack().eoi().poll(ISR_EL1, ISR_I, ISR_I).ack().quiesce(40).eoi())
          .unmask()
          .wfi(),
      )
      .device('uart', (device) => device.raise(40))
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([40, 40])
    expect(run.end).toBe('done')
  })

  it('comes again as long as its handler does not quiesce the device', () => {
    const run = level('storm')
      .guest(0, (guest) => guest.loop(5, (list) => list.poll(ISR_EL1, ISR_I, ISR_I).ack().eoi()).quiesce(40))
      .device('uart', (device) => device.at(0).raise(40))
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([40, 40, 40, 40, 40])
    expect(run.end).toBe('done')
  })

  it('whose line the device lowers between two interrupts is delivered once for each rise', () => {
    const run = level('two rises')
      .guest(0, (guest) =>
        guest
          .onIrq((handler) => handler.ack().quiesce(40).eoi())
          .unmask()
          .wfi()
          .wfi(),
      )
      .device('uart', (device) => device.raise(40).raise(40))
      .run()
    expect(run.acknowledged(0)).toEqual([40, 40])
    expect(run.end).toBe('done')
  })

  it('whose line falls before it is acknowledged is withdrawn at the next entry (cases L6, L8)', () => {
    const run = level('withdrawn')
      .guest(0, (guest) => guest.poll(ISR_EL1, ISR_I, ISR_I).quiesce(40).hvc().poll(ISR_EL1, ISR_I, 0).ack())
      .device('uart', (device) => device.at(0).raise(40))
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([1023])
    expect(run.end).toBe('done')
  })

  it('whose line falls before the vCPU enters the guest is not presented', () => {
    const run = level('fell before entry')
      .guest(0, (guest) => guest.poll(ISR_EL1, ISR_I, 0).ack().hvc().ack())
      .device('uart', (device) => device.at(0).raise(40).at(0).lower(40))
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([1023, 1023])
    expect(statesWritten(run)).toEqual([])
    expect(run.cost().map(({ exit, exits }) => `${exit} ${exits}`)).toEqual([
      'hvc 1',
      'off 1',
      'first-entry 0',
    ])
    expect(run.end).toBe('done')
  })

  it('whose line falls and rises while it is active is delivered again', () => {
    const run = level('new rise while active')
      .guest(0, (guest) =>
        guest
          .poll(ISR_EL1, ISR_I, ISR_I)
          .ack()
          .quiesce(40)
          .loop(40, (list) => list.read(ICC_PMR_EL1))
          .eoi()
          .poll(ISR_EL1, ISR_I, ISR_I)
          .ack(),
      )
      .device('uart', (device) => device.at(0).raise(40).at(50).raise(40))
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([40, 40])
    expect(run.end).toBe('done')
  })

  it('is never pending and active at once in a list register', () => {
    const run = level('active through an exit')
      .guest(0, (guest) => guest.poll(ISR_EL1, ISR_I, ISR_I).ack().hvc().hvc())
      .device('uart', (device) => device.at(0).raise(40))
      .run({ steps: 1000 })
    expect(statesWritten(run)).toEqual([PENDING, ACTIVE, ACTIVE])
  })

  it('stays active across exits, and its priority with it', () => {
    const run = level('running priority')
      .guest(0, (guest) =>
        guest
          .poll(ISR_EL1, ISR_I, ISR_I)
          .ack()
          .quiesce(40)
          .hvc()
          .poll(ICC_RPR_EL1, 0xff, 0xa0)
          .eoi()
          .poll(ICC_RPR_EL1, 0xff, 0xff),
      )
      .device('uart', (device) => device.at(0).raise(40))
      .run({ steps: 1000 })
    expect(run.end).toBe('done')
  })
})

describe('an edge-triggered interrupt', () => {
  /** It fires at time 0, and so often again while the guest has it active; `after` is what the guest does then. */
  const firesAgain = (edges: number, after: (guest: GuestBuilder) => unknown): Run =>
    scenario('edges while active')
      .spi({ intid: 40 })
      .guest(0, (guest) =>
        after(
          guest
            .poll(ISR_EL1, ISR_I, ISR_I)
            .ack()
            .loop(60, (list) => list.read(ICC_PMR_EL1)),
        ),
      )
      .device('uart', (device) => {
        device.at(0).pulse(40)
        for (let i = 0; i < edges; i++) device.at(50 + 20 * i).pulse(40)
      })
      .run({ steps: 1000 })

  it('that fires while it is active is pending and active in its list register (case L7)', () => {
    const run = firesAgain(1, (guest) => guest)
    expect(statesWritten(run)).toEqual([PENDING, PENDING_AND_ACTIVE])
  })

  it('that fires while it is active is not acknowledged again before the end of interrupt', () => {
    const run = firesAgain(1, (guest) => guest.ack())
    expect(run.acknowledged(0)).toEqual([40, 1023])
  })

  it.each([1, 2])('that fires %i times while it is active is delivered once more', (edges) => {
    const run = firesAgain(edges, (guest) => guest.loop(3, (list) => list.eoi().ack()))
    expect(run.acknowledged(0)).toEqual([40, 40, 1023, 1023])
    expect(run.end).toBe('done')
  })

  it('that nobody completes stays active for good', () => {
    const run = scenario('no EOI')
      .spi({ intid: 40 })
      .guest(0, (guest) =>
        guest
          .onIrq((handler) => handler.ack())
          .unmask()
          .wfi()
          .wfi(),
      )
      .device('uart', (device) => device.pulse(40).pulse(40))
      .run()
    expect(run.acknowledged(0)).toEqual([40])
    expect(run.end).toBe('asleep')
  })
})
