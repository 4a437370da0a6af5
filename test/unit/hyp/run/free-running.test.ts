/**
 * The run loop's fast path, with its superinstructions, brings a machine to the words to which single steps bring it:
 * some schedules of three scenarios, where test/property has random ones.
 */
import {
  baselines,
  designs,
  kvm61,
  kvm72,
  type Scenario,
  type ScenarioMachine,
  scenario,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { VCPU_PE } from '../../../../src/hyp/records/vcpu.ts'
import { THREAD_IN_GUEST, THREAD_STEPS } from '../../../../src/hyp/run/thread-states.ts'
import { commanding } from '../../../kit/commanding.ts'
import { GICD, ISENABLER } from '../../../kit/frames.ts'
import { handle } from '../../../kit/guest-lists.ts'
import { runToPark, stepToPark } from '../../../kit/parking.ts'

const all = Object.entries(designs).flatMap(([name, design]) => [
  { name, design: baselines.fixed(design) },
  { name: `${name} (kvm61)`, design: kvm61(design) },
  { name: `${name} (kvm72)`, design: kvm72(design) },
])

/** Two vCPUs that sleep, wake each other, trap and are preempted. */
const lively = (timers: boolean): Scenario =>
  scenario('lively')
    .gic({ cpus: timers ? 2 : 1, listRegisters: 2 })
    .vm({ vcpus: 2, timers, haltPolling: { limit: 10 } })
    .spi({ intid: 40 })
    .spi({ intid: 41, vcpu: 1, trigger: 'level' })
    .guest(0, (guest) =>
      guest
        .onIrq(handle)
        .unmask()
        .loop(20, (body) =>
          (timers ? body.timer(30) : body)
            .wfi()
            .hvc()
            .sgi({ intid: 3, vcpus: [1] })
            .readMmio(GICD + ISENABLER + 4),
        ),
    )
    .guest(1, (guest) =>
      guest
        .onIrq((list) => list.ack().quiesce(41).eoi())
        .unmask()
        .loop(20, (body) =>
          body
            .wfi()
            .sgi({ intid: 4, vcpus: [0] })
            .suspend(),
        ),
    )
    .device('uart', (device) => device.pulse(40).raise(41).pulse(40).raise(41))

/** Numbers that look random and are the same every time. */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    yield state >> 8
  }
}

/** Drives two machines alike, one that runs free and one that is stepped; returns how often threads parked. */
function drive(machines: readonly [ScenarioMachine, ScenarioMachine], seed: number, moves = 250): number {
  const [free, stepped] = machines
  const { words, runLoop } = free.hypervisor
  const next = numbers(seed)
  for (const { hypervisor } of machines) hypervisor.halt.openWindows()
  let parks = 0
  for (let i = 0; i < moves; i++) {
    const all = next.next().value % 8 === 0 ? free.environment : free.actors
    const actors = all.filter((actor) => free.stateOf(actor) === 'ready')
    if (actors.length === 0) continue
    const actor = actors[next.next().value % actors.length]
    const v = free.hypervisor.vcpu(actor.kind === 'vcpu' ? actor.index : 0)
    const isThread = actor.kind === 'vcpu' && words[v + VCPU_PE] !== 0
    if (!isThread || runLoop.threadState(v) === THREAD_IN_GUEST) {
      for (const machine of machines) machine.step(actor)
      continue
    }
    const single = Math.max(0, (next.next().value % 16) - 10)
    for (let step = 0; step < single && runLoop.threadState(v) === THREAD_STEPS; step++)
      for (const machine of machines) machine.hypervisor.runLoop.step(v)
    if (runLoop.threadState(v) !== THREAD_STEPS) continue
    expect([runToPark(free, v), free.hash()]).toEqual([stepToPark(stepped, v), stepped.hash()])
    parks++
  }
  expect(new Int32Array(free.snapshot())).toEqual(new Int32Array(stepped.snapshot()))
  return parks
}

describe.each(all)('$name', ({ design }) => {
  it.each([1, 2, 3])('with timers parks where single steps lead: schedule %i', (seed) => {
    const one = lively(true).design(design)
    expect(drive([one.machine(), one.machine()], seed)).toBeGreaterThan(20)
  })

  it.each([1, 2, 3])('on one PE parks where single steps lead: schedule %i', (seed) => {
    const one = lively(false).design(design)
    expect(drive([one.machine(), one.machine()], seed)).toBeGreaterThan(20)
  })

  it.each([1, 2, 3])('with an ITS parks where single steps lead: schedule %i', (seed) => {
    const one = commanding().design(design)
    expect(drive([one.machine(), one.machine()], seed, 1500)).toBeGreaterThan(20)
  })
})
