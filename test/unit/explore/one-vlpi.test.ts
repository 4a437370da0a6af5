/**
 * Every interleaving of one vLPI and a guest that waits for it: the designs with residency and doorbells, and catalogue
 * entries as edits of the design that has none of them.
 */
import type { GicConfig } from 'vgic'
import { type Design, designs, edit, type Scenario, scenario, steps } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { explore } from './checked.ts'

const versions = ['4.0', '4.1'] as const
const LOST = 'vcpu0 sleeps, and LPI 8192 is pending for it'
/** What becomes of the guest; the rules that keep it from happening are in verdicts.test.ts. */
const OUTCOMES = { invariants: ['L1', 'L3', 'L4', 'L6'] } as const

/** A device sends one message; `more` is of the silicon. */
const waits = (version: '4.0' | '4.1', design: Design, more: Partial<GicConfig> = {}): Scenario =>
  scenario('a vLPI ends a WFI')
    .gic({ version, cpus: 1, memoryLines: 48, ...more })
    .vm({ vcpus: 1, spis: 0, lpis: 1, itsDevices: 1, itsCollections: 1 })
    .design(design)
    .vlpi({ device: 7, event: 0, intid: 8192, vcpu: 0 })
    .guest(0, (guest) => {
      guest.onIrq((handler) => handler.ack().eoi())
      guest.unmask('irq').wfi()
    })
    .device('nic', (device) => device.msi(7, 0))

describe.each(versions)('one vLPI and one WFI on GICv%s', (version) => {
  it.each(Object.values(designs).map((design) => [design.name, design] as const))(
    'is lost in no interleaving without a preemption: %s',
    (_name, design) => {
      expect(explore(waits(version, design), OUTCOMES)).toMatchObject({ complete: true })
    },
  )

  it.each(
    [designs.hooks, designs.hooksAfterPoll, designs.wfiHandler].map(({ name }, i) => [name, i] as const),
  )('is lost with a preemption: %s (catalogue 04)', (name) => {
    const design = Object.values(designs).find((one) => one.name === name)
    if (!design) throw new Error(name)
    expect(explore(waits(version, design), { ...OUTCOMES, preemptions: 1 }).violation).toMatchObject({
      invariant: 'L1',
      what: LOST,
    })
  })

  it.each(
    [
      designs.wfiFlag,
      designs.wfiFullPut,
      designs.vmcrOnExit,
      designs.vmcrOnDemand,
      designs.vmcrOnDemandFlag,
    ].map((design) => [design.name, design] as const),
  )('is not lost with a preemption: %s', (_name, design) => {
    expect(explore(waits(version, design), { preemptions: 1 })).toMatchObject({ complete: true })
  })

  it('is not lost where doorbells, Dirty and messages lag', () => {
    const lagging = waits(version, designs.wfiFlag, { writeEffects: 'lagging' })
    expect(explore(lagging, { preemptions: 1 })).toMatchObject({ complete: true })
  })
})

it('run-loop-load loses it with a preemption before its WFI is handled, on GICv4.0', () => {
  // The put that the preemption makes asks for no doorbell, and the one of the WFI finds the vPE not resident.
  const preempted = { ...OUTCOMES, preemptions: 1 }
  expect(explore(waits('4.0', designs.runLoopLoad), preempted).violation?.what).toBe(LOST)
  // On GICv4.1 a put without a doorbell takes an interrupt to be pending.
  expect(explore(waits('4.1', designs.runLoopLoad), preempted)).toMatchObject({ complete: true })
})

describe('an edit of wfi-flag loses it', () => {
  const flag = designs.wfiFlag

  it.each(versions)(
    '05: PendingLast is stored after the doorbell’s handler has stored, on GICv%s',
    (version) => {
      const design = edit(flag)
        .replace('wfi/vpePutByFlag', steps.vpePutUnlocked)
        .insertAfter('wfi/vpePutUnlocked', steps.storePendingLast)
        .design('unlocked')
      expect(explore(waits(version, design), OUTCOMES).violation).toMatchObject({
        invariant: 'L1',
        what: LOST,
      })
    },
  )

  it('06: Valid is cleared while the pending table is read, of which the rest is lost at the worst', () => {
    const design = edit(flag).replaceAll('vpePutByFlag', steps.vpePutAtOnce).design('at once')
    const worst = { writeEffects: 'lagging', unpredictable: 'pessimistic' } as const
    expect(explore(waits('4.1', design, worst), { ...OUTCOMES, preemptions: 1 }).violation?.what).toBe(
      'the edge of LPI 8192 is lost',
    )
    expect(explore(waits('4.1', flag, worst), { preemptions: 1 })).toMatchObject({ complete: true })
  })

  it('13: a second put reads PendingLast of a vPE that is not resident', () => {
    const design = edit(flag).replaceAll('vpePutByFlag', steps.vpePutAnyway).design('nested')
    expect(explore(waits('4.1', design), { ...OUTCOMES, preemptions: 1 }).violation?.what).toBe(LOST)
  })

  it('without a doorbell, on GICv4.0', () => {
    const design = edit(flag).replace('wfi/vpePutByFlag', steps.vpePut).design('no doorbell')
    expect(explore(waits('4.0', design), OUTCOMES).violation?.what).toBe(LOST)
  })

  it('08: with the virtual CPU interface disabled while no list register is in use', () => {
    const run = waits('4.1', edit(flag).insertAfter('entry/flush', steps.vpeDisable).design('disabled'))
      .guest(0, (guest) => {
        guest.onIrq((handler) => handler.ack().eoi())
        guest.unmask('irq').untilInterrupts(1)
      })
      .run({ steps: 2000 })
    expect(run.end).toBe('bound')
    expect(run.acknowledged(0)).toEqual([])
  })
})

describe('strict nesting', () => {
  const misnested = (design: Design) =>
    waits('4.1', design)
      .vm({ vcpus: 1, spis: 0, lpis: 1, itsDevices: 1, itsCollections: 1, strictNesting: true })
      .run().machine.misnested

  it.each(
    [designs.wfiFlag, designs.wfiFullPut, designs.vmcrOnExit].map((design) => [design.name, design] as const),
  )('has nothing to tell of %s', (_name, design) => expect(misnested(design)).toBeUndefined())

  it.each([designs.hooks, designs.wfiHandler].map((design) => [design.name, design] as const))(
    'tells of %s, whose thread puts a vPE that is put when it goes to sleep',
    (_name, design) => expect(misnested(design)).toBe(0),
  )
})

it('a machine without GICv4 does not have the steps about vPEs', () => {
  const { paths } = scenario('none').machine().hypervisor.runLoop.program
  expect(paths.filter((path) => /vpe|unblock/.test(path))).toEqual([])
  const direct = waits('4.1', designs.wfiHandler).machine().hypervisor.runLoop.program
  expect(direct.paths).toContain('wfi/unblock/vpeLoad')
})
