import { ICC_PMR_EL1, ISR_EL1 } from 'vgic'
import { type Design, designs, edit, ownStep, scenario, steps, until } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { leaveLoop, when } from '../../../../src/hyp/run/design.ts'
import { compile } from '../../../../src/hyp/run/program.ts'
import { allDesigns } from '../../../kit/designs.ts'
import { fire, go, goTo } from '../../../kit/driving.ts'
import { busy, handle, ISR_I } from '../../../kit/guest-lists.ts'
import { vmOf } from '../../../kit/vm.ts'

describe('a signal at every step', () => {
  it.each(allDesigns)('is not lost: $name', ({ design }) => {
    const s = scenario('signal')
      .design(design)
      .guest(0, (guest) => busy(guest.hvc().hvc(), 50))
      .device('vmm', (device) => device.signal(0))
    for (let moment = 0; moment < 60; moment++) {
      const machine = s.machine()
      go(machine, 'vcpu0', undefined, moment)
      go(machine, 'vmm')
      const told = go(machine, 'vcpu0').map(({ what }) => what)
      expect(told, `signalled after ${moment} steps`).toContain('userspace')
    }
  })

  it.each(allDesigns)('is not lost around a WFI: $name', ({ design }) => {
    const s = scenario('signal')
      .design(design)
      .guest(0, (guest) => guest.wfi().hvc())
      .device('vmm', (device) => device.signal(0))
    const total = go(s.machine(), 'vcpu0').length
    for (let moment = 0; moment <= total; moment++) {
      const machine = s.machine()
      go(machine, 'vcpu0', undefined, moment)
      go(machine, 'vmm')
      const told = go(machine, 'vcpu0').map(({ what }) => what)
      expect(told, `signalled after ${moment} steps`).toContain('userspace')
    }
  })
})

describe('vCPUs that share a CPU in a plain run', () => {
  it('a guest that spins does not starve the one that it waits for', () => {
    const run = scenario('spin')
      .gic({ cpus: 1 })
      .vm({ vcpus: 2 })
      .guest(0, (guest) => guest.poll(ISR_EL1, ISR_I, ISR_I))
      .guest(1, (guest) => guest.sgi({ intid: 1, vcpus: [0] }))
      .run({ steps: 20_000 })
    expect(run.end).toBe('done')
  })

  it.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])(
    'whatever a round of the busy one takes: %i reads',
    (reads) => {
      const run = scenario('busy')
        .gic({ cpus: 1 })
        .vm({ vcpus: 2 })
        .guest(0, (guest) =>
          guest.loop(1000, (list) => {
            list.hvc()
            for (let i = 0; i < reads; i++) list.read(ICC_PMR_EL1)
          }),
        )
        .guest(1, (guest) => guest.hvc())
        .run({ steps: 5000 })
      expect(run.machine.stateOf(run.machine.actors[1])).toBe('done')
    },
  )

  it('take turns: one whose time slice is over loses the CPU to the one that waits', () => {
    const s = scenario('time slices').gic({ cpus: 1 }).vm({ vcpus: 2 })
    for (const vcpu of [0, 1]) {
      s.guest(vcpu, (guest) => guest.loop(40, (list) => list.hvc().read(ICC_PMR_EL1)))
    }
    const run = s.run({ steps: 10_000 })
    expect(run.end).toBe('done')
    const owners = run.events
      .filter(({ what }) => what.startsWith('gets cpu'))
      .map(({ actor: who }) => who.name)
    expect(owners.length).toBeGreaterThan(2)
    for (const [i, name] of owners.entries()) expect(name).not.toBe(owners[i - 1])
    expect(run.counts(0).preemptions).toBeGreaterThan(0)
  })
})

describe('leave outside of an endless loop', () => {
  it('is refused as restart is', () => {
    const design = {
      name: 'small',
      thread: [steps.load, when(steps.runnable, leaveLoop)],
      schedOut: [],
      schedIn: [],
      inject: [],
      msi: [],
    }
    expect(() => compile(design)).toThrow('restart and leave belong into a forever.')
  })
})

describe('halt polling', () => {
  it('a poll that succeeds at its last look counts, and the window stays', () => {
    const machine = scenario('last look')
      .vm({ vcpus: 1, haltPolling: { limit: 200, growStart: 10, grow: 3, shrink: 2 } })
      .spi({ intid: 40 })
      .guest(0, (guest) => guest.onIrq(handle).unmask().wfi().wfi())
      .device('uart', (device) => device.pulse(40).pulse(40))
      .machine()
    go(machine, 'vcpu0')
    fire(machine, 'uart')
    goTo(machine, 'vcpu0', 'pollEnd')
    goTo(machine, 'vcpu0', 'pollBegin')
    for (let i = 0; i < 10; i++) goTo(machine, 'vcpu0', 'pollAgain? yes')
    fire(machine, 'uart')
    goTo(machine, 'vcpu0', 'pollEnd')
    expect(machine.counts(0)).toMatchObject({ sleeps: 1, pollsAttempted: 1, pollsSuccessful: 1 })
  })
})

describe('the largest VM', () => {
  it('of 255 vCPUs takes 255 times the steps of one', () => {
    const one = scenario('1').vm({ vcpus: 1 }).run()
    const all = scenario('255').vm({ vcpus: 255 }).run()
    expect([one.end, all.end]).toEqual(['done', 'done'])
    expect(all.events).toHaveLength(255 * one.events.length)
  })
})

describe('an edit error', () => {
  it('an unknown address lists only steps that can be edited', () => {
    let message = ''
    try {
      edit(designs.wfiFlag).omit('no such')
    } catch (error) {
      message = String(error)
    }
    expect(message).not.toContain('giveUpCpu')
  })
})

describe('a directed yield', () => {
  it('lets the vCPU that waits for the PE run before the time slice of the spinning one is over', () => {
    const run = scenario('yield')
      .gic({ cpus: 1 })
      .vm({ vcpus: 2 })
      .guest(0, (guest) => guest.loop(400, (list) => list.wfe()))
      .guest(1, (guest) => guest.hvc())
      .run({ steps: 20_000 })
    const at = run.events.findIndex(({ what, actor: who }) => who.name === 'vcpu1' && what === 'gets cpu0')
    expect(run.events.findIndex(({ what }) => what === 'yieldTo')).toBeLessThan(at)
    expect(at).toBeLessThan(60)
  })
})

describe('a notifier that does not end', () => {
  const never = ownStep('never?', () => 0, ['no', 'yes'])
  const { put, saveVmcr } = steps
  const design: Design = {
    ...designs.wfiHandler,
    name: 'endless',
    schedOut: [put, until(never, saveVmcr)],
  }

  it('is refused by a virtual machine when a vCPU falls asleep, and bounds a run', () => {
    expect(() => vmOf({ design }).wfi(0)).toThrow(
      expect.objectContaining({
        code: 'scenario',
        message: 'A notifier of design endless does not end: its loops must.',
      }),
    )
    const run = scenario('endless')
      .design(design)
      .guest(0, (guest) => guest.wfi())
      .run()
    expect(run.end).toBe('bound')
  })
})
