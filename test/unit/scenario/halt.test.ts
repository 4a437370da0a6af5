/**
 * What a vCPU's thread does around the halt of a WFI with design wfi-full-put, step by step and access by
 * access, as the recordings of Linux 6.1 have it (KVM-WFI.md, vcpu_load and vcpu_put). The good choices add the
 * trap of ICC_DIR_EL1 to each load.
 */
import { ICH_AP0R0_EL2, ICH_AP1R0_EL2, ICH_VMCR_EL2, ICH_VTR_EL2 } from 'vgic'
import { type Design, designs, kvm61, type Run, type Scenario, type StepEvent, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { handle } from '../../kit/guest-lists.ts'

const named = (name: string, design: Design = designs.wfiFullPut): Scenario => scenario(name).design(design)
/** One vCPU that waits, and a device that fires SPI 40 when nothing else can go on. */
const waiting = (name: string, design?: Design): Scenario =>
  named(name, design)
    .spi({ intid: 40 })
    .guest(0, (guest) => guest.onIrq(handle).unmask().wfi())
const fired = (s: Scenario): Run => s.device('uart', (device) => device.pulse(40)).run()

/** `write ICH_VMCR_EL2`: the accesses to the silicon in these events, in order. */
const accesses = (events: readonly StepEvent[]): string[] =>
  events.flatMap(({ accesses }) => accesses.map(({ direction, name }) => `${direction} ${name}`))
/** The events between two, both included. */
function between(run: Run, first: string, last: string): readonly StepEvent[] {
  const begin = run.events.findIndex(({ what }) => what.endsWith(first))
  const end = run.events.findIndex(({ what }, i) => i > begin && what === last)
  expect(begin).toBeGreaterThanOrEqual(0)
  expect(end).toBeGreaterThan(begin)
  return run.events.slice(begin, end + 1)
}

describe('the thread around a halt', () => {
  const put = ['read ICH_VMCR_EL2', 'read ICH_VTR_EL2', 'read ICH_AP0R0_EL2', 'read ICH_AP1R0_EL2']
  const load = ['write ICH_VMCR_EL2', 'read ICH_VTR_EL2', 'write ICH_AP0R0_EL2', 'write ICH_AP1R0_EL2']
  const trapDir = 'write ICH_HCR_EL2'

  it('puts, sleeps between two looks at runnable, and loads', () => {
    const run = fired(waiting('steps'))
    const steps = between(run, 'setWaiting', 'skipInstruction').map(({ actor, place, what }) =>
      actor.kind === 'device' ? what : `${place}: ${what}`,
    )
    expect(steps).toEqual([
      'wfi: setWaiting',
      'wfi: put',
      'wfi: preemptOn',
      'wfi/halt: pollBegin',
      'wfi/halt: pollAgain? no',
      'wfi/halt/sleep: setSleeping',
      'wfi/halt/sleep: runnable? no',
      'wfi/halt/sleep: sleep',
      'schedOut: put',
      'schedOut: giveUpCpu',
      'pulses SPI 40',
      'postRequest',
      'kick',
      ': gets cpu0',
      'schedIn: loadUnlessWaiting',
      'schedIn: notLoaded? yes',
      'schedIn: timerLoad',
      'schedIn: resume',
      'wfi/halt/sleep: sleep',
      'wfi/halt/sleep: setSleeping',
      'wfi/halt/sleep: runnable? yes',
      'wfi/halt/sleep: setRunning',
      'wfi/halt: pollEnd',
      'wfi: clearUnhalt',
      'wfi: preemptOff',
      'wfi: clearWaiting',
      'wfi: load',
      'wfi: trapDir',
      'wfi: preemptOn',
      'wfi: skipInstruction',
    ])
  })

  it('accesses the registers in the order of the recordings', () => {
    const run = fired(waiting('accesses', kvm61(designs.wfiFullPut)))
    expect(accesses(between(run, 'exit (wfi)', 'skipInstruction'))).toEqual([...put, ...load])
  })

  it('with design wfi-handler reads ICH_VMCR_EL2 before, as Linux 6.1 does', () => {
    const run = fired(waiting('accesses', kvm61(designs.wfiHandler)))
    const halt = accesses(between(run, 'exit (wfi)', 'skipInstruction'))
    expect(halt).toEqual(['read ICH_VMCR_EL2', ...put, ...load])
  })

  it('traps ICC_DIR_EL1 after each load', () => {
    const run = fired(waiting('accesses'))
    expect(accesses(between(run, 'exit (wfi)', 'skipInstruction'))).toEqual([...put, ...load, trapDir])
  })

  it('loads before the first entry and puts after the last exit, and nothing else when nothing is pending', () => {
    const run = named('no interrupt')
      .guest(0, (guest) => guest.hvc().hvc())
      .run()
    expect(accesses(run.events)).toEqual([...load, trapDir, ...put])
  })

  it('puts and loads once each while it sleeps again and again', () => {
    const run = waiting('wake-ups that are none')
      .spi({ intid: 41, priority: 0xf0 })
      .device('uart', (device) => device.pulse(41).pulse(41).pulse(40))
      .run()
    expect(run.counts(0).sleeps).toBe(3)
    expect(accesses(between(run, 'exit (wfi)', 'skipInstruction'))).toEqual([...put, ...load, trapDir])
  })

  it.each([
    { preemptionBits: 5, registers: 1 },
    { preemptionBits: 6, registers: 2 },
    { preemptionBits: 7, registers: 4 },
  ])('saves $registers active priorities registers a group with $preemptionBits preemption bits', (row) => {
    const run = fired(
      waiting('active priorities').gic({ priorityBits: 7, preemptionBits: row.preemptionBits }),
    )
    const halt = between(run, 'exit (wfi)', 'skipInstruction').flatMap(({ accesses }) => accesses)
    for (const first of [ICH_AP0R0_EL2, ICH_AP1R0_EL2]) {
      for (const way of ['read', 'write']) {
        const touched = halt.filter(
          ({ direction, register }) => direction === way && register >= first && register < first + 4,
        )
        expect(touched.map(({ register }) => register - first).sort()).toEqual(
          Array.from({ length: row.registers }, (_, n) => n),
        )
      }
    }
    expect(halt.filter(({ register }) => register === ICH_VMCR_EL2)).toHaveLength(2)
    expect(halt.filter(({ register }) => register === ICH_VTR_EL2)).toHaveLength(2)
  })

  it('brings the guest’s mask and group enables back as they were', () => {
    const run = waiting('VMCR through the halt')
      .guest(0, (guest) => guest.priorityMask(0xb0).enableGroup(0, false).wfi())
      .device('uart', (device) => device.pulse(40))
      .run()
    const values = between(run, 'exit (wfi)', 'skipInstruction')
      .flatMap(({ accesses }) => accesses)
      .filter(({ register }) => register === ICH_VMCR_EL2)
    expect(values.map(({ direction }) => direction)).toEqual(['read', 'write'])
    expect(values[1].low).toBe(values[0].low)
    expect(values[0].low >>> 24).toBe(0xb0)
    expect(values[0].low & 3).toBe(2)
  })
})
