/**
 * A superinstruction brings a machine to the words to which its rows bring it, counters too: from every state of random
 * schedules in which a thread, or its notifier, stands at its beginning. And so do `enter`, `leave` and `run` of the run loop, which
 * have ways of their own to superinstructions.
 */
import fc from 'fast-check'
import {
  baselines,
  type Design,
  designs,
  edit,
  kvm61,
  kvm72,
  ownStep,
  type Scenario,
  type ScenarioMachine,
  steps,
  when,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { EXIT_HVC, EXIT_IRQ, EXIT_WFI } from '../../../src/hyp/records/exits.ts'
import {
  asPc,
  privateIrq,
  VCPU_NOTIFIER,
  VCPU_PC,
  VCPU_PE,
  type Vcpu,
} from '../../../src/hyp/records/vcpu.ts'
import { performFused } from '../../../src/hyp/run/fused-dispatch.ts'
import { TABLE_FUSED, TABLE_SHIFT } from '../../../src/hyp/run/program.ts'
import { fusedAt, type Superinstruction, superinstructions } from '../../../src/hyp/run/superinstructions.ts'
import { THREAD_POLLS, THREAD_STEPS } from '../../../src/hyp/run/thread-states.ts'
import { commanding } from '../../kit/commanding.ts'
import { cook, type Recipe, recipesWith } from '../scenario/recipe.ts'

/** Of one of a machine's vCPUs: the superinstruction at which its thread, or its notifier, stands. */
function beginning({ hypervisor }: ScenarioMachine, v: Vcpu) {
  const { words, runLoop } = hypervisor
  if (words[v + VCPU_PE] === 0 || runLoop.threadState(v) !== THREAD_STEPS) return undefined
  return fusedAt(runLoop.table, asPc(words[v + VCPU_NOTIFIER] || words[v + VCPU_PC]))
}

/** The most rows that it takes: no design here has more than five in a gap. */
const stepsOf = ({ rows }: Superinstruction): number =>
  rows.reduce((sum, row) => sum + (row === 'gap' ? 5 : 1), 0)

/** Does something, and puts the machine back; returns the words that it left. */
function wordsAfter({ hypervisor }: ScenarioMachine, act: () => void): Int32Array {
  const { words } = hypervisor
  const before = words.slice()
  act()
  const after = words.slice()
  words.set(before)
  return after
}

/** Does the superinstruction at which a thread, or its notifier, stands. */
function doAtOnce({ hypervisor }: ScenarioMachine, v: Vcpu): void {
  const { words, runLoop } = hypervisor
  const notifier = words[v + VCPU_NOTIFIER]
  const at = (notifier || words[v + VCPU_PC]) << TABLE_SHIFT
  const next = performFused(runLoop, runLoop.table[at + TABLE_FUSED], v, at)
  if (next >= 0) words[v + (notifier === 0 ? VCPU_PC : VCPU_NOTIFIER)] = next
}

/**
 * Takes the steps one by one, as many as the sequence has at most, until the words are those; then puts the machine back.
 * A thread that is about to sleep rests where it is, before a step is taken.
 */
function isDoneStepByStep({ hypervisor }: ScenarioMachine, v: Vcpu, rows: number, wanted: Int32Array) {
  const { words, runLoop } = hypervisor
  const before = words.slice()
  const isThere = () => words.every((word, i) => word === wanted[i])
  let found = isThere()
  for (let i = 0; i < rows && !found; i++) {
    runLoop.step(v)
    found = isThere()
  }
  words.set(before)
  return found
}

/** With GICv4.1, where devices have no vLPIs, but vCPUs have vPEs. */
const withVpes = (recipe: Recipe): Scenario =>
  cook(recipe).gic({ listRegisters: recipe.listRegisters, cpus: recipe.cpus, version: '4.1' })

function drive(recipe: Scenario, schedule: readonly number[], met: Set<string>): void {
  const machine = recipe.machine()
  const { hypervisor } = machine
  hypervisor.halt.openWindows()
  for (const choice of schedule) {
    const ready = (actors: typeof machine.actors) =>
      actors.filter((actor) => machine.stateOf(actor) === 'ready')
    const happens = choice % 8 === 0 ? ready(machine.environment) : []
    const actors = happens.length > 0 ? happens : ready(machine.actors)
    if (actors.length === 0) return
    const actor = actors[choice % actors.length]
    const v = hypervisor.vcpu(actor.kind === 'vcpu' ? actor.index : 0)
    const fused = actor.kind === 'vcpu' ? beginning(machine, v) : undefined
    if (fused) {
      met.add(fused.name)
      const wanted = wordsAfter(machine, () => doAtOnce(machine, v))
      expect([fused.name, isDoneStepByStep(machine, v, stepsOf(fused), wanted)]).toEqual([fused.name, true])
    }
    machine.step(actor)
  }
}

/** Of which each is taken modulo the actors that are ready. */
const schedules = fc.array(fc.nat(4095), { minLength: 200, maxLength: 400, size: 'max' })
/** Counts in a word of the design's own. */
const count = ownStep('count', (context, vcpu) => {
  context.set(vcpu, 'passed', context.get(vcpu, 'passed') + 1)
  return 0
})

/** More steps than lead from one rest of a thread to the next: into the guest, or out of it and through a halt to sleep. */
const TO_REST = 200
const reasons = { EXIT_HVC, EXIT_IRQ, EXIT_WFI }

/** Does something that takes a thread to its next rest, and returns its state, at once; expects the steps to lead there. */
function expectSteps(machine: ScenarioMachine, v: Vcpu, name: string, act: () => number, begin = () => {}) {
  const { words, runLoop } = machine.hypervisor
  const before = words.slice()
  const wanted = wordsAfter(machine, () => {
    const state = act()
    expect([name, state === THREAD_POLLS ? THREAD_STEPS : state]).toEqual([name, runLoop.threadState(v)])
  })
  begin()
  expect([name, isDoneStepByStep(machine, v, TO_REST, wanted)]).toEqual([name, true])
  words.set(before)
  return wanted
}

/** From every state of a schedule lets threads enter their guests, and guests exit. */
function driveToRest(recipe: Scenario, schedule: readonly number[], met: Set<string>): void {
  const machine = recipe.machine()
  const { hypervisor } = machine
  const { words, runLoop } = hypervisor
  hypervisor.halt.openWindows()
  const goOn = (v: Vcpu): void => {
    if (runLoop.threadState(v) === THREAD_STEPS) expectSteps(machine, v, 'enter', () => runLoop.enter(v))
  }
  for (const choice of schedule) {
    const actors = [...machine.actors, ...machine.environment].filter(
      (actor) => machine.stateOf(actor) === 'ready',
    )
    if (actors.length === 0) return
    const actor = actors[choice % actors.length]
    const v = hypervisor.vcpu(actor.kind === 'vcpu' ? actor.index : 0)
    goOn(v)
    for (const [name, reason] of runLoop.isInGuest(v) ? Object.entries(reasons) : []) {
      const before = words.slice()
      const leave = (): number => {
        const state = runLoop.leave(v, reason)
        met.add(state === THREAD_POLLS ? 'polls' : name)
        return state
      }
      words.set(expectSteps(machine, v, name, leave, () => runLoop.exit(v, reason)))
      // A halt ends for an interrupt that comes meanwhile.
      hypervisor.inject(privateIrq(v, 5), 1)
      goOn(v)
      words.set(before)
    }
    machine.step(actor)
  }
}

describe('a thread that enters its guest, or whose guest exits, comes to where its steps lead', () => {
  const met = new Set<string>()
  const counting = (design: Design): Design =>
    edit({ ...design, words: ['passed'] })
      .insertAfter('entry/irqOff', count)
      .insertAfter('exit/publishOutside', count)
      .design(`${design.name}, counting`)

  it.each(
    Object.values(designs)
      .flatMap((design) => [design, kvm61(design), kvm72(design)])
      .concat([designs.wfiFullPut, kvm72(designs.wfiFullPut)].map(counting))
      .map((design) => [design.name, design] as const),
  )('in %s', (_name, design) => {
    const recipes = fc.oneof(recipesWith({}), recipesWith({ timers: true }))
    fc.assert(
      fc.property(recipes, schedules, (recipe, schedule) =>
        driveToRest(cook({ ...recipe, design }), schedule, met),
      ),
      { numRuns: 15 },
    )
  })

  it('and halts have polled', () => {
    expect([...met].sort()).toEqual(['EXIT_HVC', 'EXIT_IRQ', 'EXIT_WFI', 'polls'])
  })
})

describe('a superinstruction does what its rows do', () => {
  const met = new Set<string>()

  it.each(
    Object.entries(designs).flatMap(([name, design]) => [
      { name, design: baselines.fixed(design) },
      { name: `${name} (kvm61)`, design: kvm61(design) },
      { name: `${name} (kvm72)`, design: kvm72(design) },
    ]),
  )('in $name', ({ design }) => {
    // With timers the host injects.
    const recipes = fc.oneof(recipesWith({}), recipesWith({ timers: true }))
    fc.assert(
      fc.property(recipes, schedules, (recipe, schedule) =>
        drive(cook({ ...recipe, design }), schedule, met),
      ),
      { numRuns: 25 },
    )
  })

  it('with steps of a design’s own in every gap', () => {
    const whether = ownStep('whether?', (context, vcpu) => context.get(vcpu, 'passed') & 1, ['no', 'yes'])
    const design = edit({ ...designs.wfiHandler, words: ['passed'] })
      .insertAfter('entry/handleRequests', count)
      .insertAfter('entry/preemptOff', when(whether, count, steps.saveVmcr))
      .insertAfter('entry/flush', count)
      .insertAfter('entry/publishInGuest', count)
      .insertBefore('exit/publishOutside', count)
      .insertBefore('exit/fold', count)
      .insertAfter('exit/preemptOn', when(whether, count))
      .insertAfter('wfi/preemptOff', when(whether, count))
      .insertBefore('wfi/halt/pollBegin', count)
      .insertAfter('wfi/halt/pollBegin', count)
      .insertAfter('wfi/halt/pollEnd', count)
      .insertAfter('wfi/clearUnhalt', when(whether, count, count))
      .design('counting')
    const own = new Set<string>()
    fc.assert(
      fc.property(recipesWith({ timers: true }), schedules, (recipe, schedule) =>
        drive(cook({ ...recipe, design }), schedule, own),
      ),
      { numRuns: 25 },
    )
    for (const name of own) met.add(name)
    expect([...own]).toEqual(expect.arrayContaining(['entryAround', 'exitAround', 'halt', 'afterHaltAround']))
  })

  it.each(
    [
      { base: designs.wfiFullPut, handling: 'handleRequests' },
      { base: kvm72(designs.wfiFullPut), handling: 'handleRequestsPruning' },
    ].flatMap(({ base, handling }) =>
      [handling, 'preemptOff', 'irqOff'].map((step) => ({ name: base.name, base, step })),
    ),
  )('with one step of a design’s own, in $name after entry/$step', ({ base, step }) => {
    // Every other time it makes a request, with which the entry is given up.
    const check = ownStep('check', (context, vcpu) => {
      const passed = context.get(vcpu, 'passed') + 1
      context.set(vcpu, 'passed', passed)
      if (passed % 2 === 0) context.checkBlock(vcpu)
      return 0
    })
    const design = edit({ ...base, words: ['passed'] })
      .insertAfter(`entry/${step}`, check)
      .design('checking')
    const own = new Set<string>()
    fc.assert(
      fc.property(recipesWith({}), schedules, (recipe, schedule) =>
        drive(cook({ ...recipe, design }), schedule, own),
      ),
      { numRuns: 25 },
    )
    expect([...own]).toContain('entryAround')
  })

  it.each(
    [designs.wfiFlag, designs.wfiFullPut, kvm61(designs.wfiFlag), kvm72(designs.wfiFullPut)].map(
      (design) => [design.name, design] as const,
    ),
  )('in %s, with GICv4.1', (_name, design) => {
    fc.assert(
      fc.property(recipesWith({}), schedules, (recipe, schedule) =>
        drive(withVpes({ ...recipe, design }), schedule, met),
      ),
      { numRuns: 25 },
    )
  })

  it.each([designs.wfiFlag, kvm61(designs.wfiFlag)].map((design) => [design.name, design] as const))(
    'in %s, in a VM with an ITS',
    (_name, design) => {
      const schedules = fc.array(fc.nat(4095), { minLength: 2500, maxLength: 3000, size: 'max' })
      fc.assert(
        fc.property(schedules, (schedule) => drive(commanding().design(design), schedule, met)),
        { numRuns: 5 },
      )
    },
  )

  it('and each was met', () => {
    expect([...met].sort()).toEqual(superinstructions.map(({ name }) => name).sort())
  })
})
