/** Partial-order reduction: what it relies on, step by step, and what it says, beside the whole search. */
import fc from 'fast-check'
import { type Bounds, explore, type InvariantId, invariants, museum } from 'vgic/explore'
import { type Design, designs, edit, type Scenario, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { checkBounds } from '../../../src/explore/bounds.ts'
import { Explorer } from '../../../src/explore/explorer.ts'
import { LocalSteps } from '../../../src/explore/local-steps.ts'
import { scenarios } from '../scenario/any-scenario.ts'

/** The states, by their hashes, in which a search finds that no actor can step. */
function ends(recipe: Scenario, bounds: Bounds): { ends: string[]; states: number; transitions: number } {
  const { internals } = recipe.machine()
  const explorer = new Explorer(internals, checkBounds(bounds))
  const found = new Set<string>()
  const { search } = explorer
  search.checks.atEnd = () => {
    found.add(`${search.stack.frame.a} ${search.stack.frame.budget}`)
    return undefined
  }
  const report = explorer.run(510, 20_000)
  expect(report.complete).toBe(true)
  return { ends: [...found].sort(), states: report.states, transitions: report.transitions }
}

/** Without checks, so that a search does not end where a design breaks. */
const unchecked: Bounds = { invariants: [], raise: false, states: 5_000_000 }

/** With vLPIs and vSGIs, and effects of the silicon that lag. */
const direct = fc
  .record({
    design: fc.constantFrom(...Object.values(designs)),
    vcpus: fc.integer({ min: 1, max: 2 }),
    cpus: fc.integer({ min: 1, max: 2 }),
    lagging: fc.boolean(),
    version: fc.constantFrom('4.0' as const, '4.1' as const),
  })
  .map(({ design, vcpus, cpus, lagging, version }) => {
    const writeEffects = lagging ? 'lagging' : 'at-once'
    const recipe = scenario('direct')
      .gic({ cpus, version, writeEffects })
      .vm({ vcpus, spis: 8 })
      .design(design)
    for (let v = 0; v < vcpus; v++) {
      recipe.vlpi({ device: 7, event: v, intid: 8192 + v, vcpu: v })
      recipe.guest(v, (g) =>
        g
          .onIrq((h) => h.ack().eoi())
          .unmask()
          .wfi()
          .sgi({ intid: 1, vcpus: [vcpus - 1] })
          .suspend()
          .wfit(9)
          .userspace(),
      )
    }
    return recipe
      .device('nic', (d) =>
        d
          .msi(7, 0)
          .msi(7, vcpus - 1)
          .msi(7, 0),
      )
      .spi({ intid: 32 })
      .device('disk', (d) => d.pulse(32).pulse(32))
  })

const choices = fc.array(fc.nat(), { minLength: 100, maxLength: 300 })

describe('a local step', () => {
  it('commutes with the steps of all other actors, which it neither enables nor disables', () => {
    let locals = 0
    fc.assert(
      fc.property(
        fc.oneof(scenarios, scenarios, direct),
        choices,
        fc.boolean(),
        (recipe, schedule, preempts) => {
          const machine = recipe.machine()
          const local = new LocalSteps(machine.internals)
          const all = [...machine.actors, ...machine.environment]
          const others = all.filter(({ kind }) => preempts || kind !== 'preempt')
          for (const choice of schedule) {
            const ready = all.filter((actor) => machine.stateOf(actor) === 'ready')
            if (ready.length === 0) return
            for (const actor of ready) {
              if (!local.isLocal(actor, preempts)) continue
              locals++
              const here = machine.snapshot()
              for (const other of others) {
                if (other === actor) continue
                machine.restore(here)
                const before = machine.stateOf(other)
                machine.step(actor)
                // It may let its own thread be preempted: that comes after it in any order.
                if (before !== 'ready') continue
                expect([actor.name, other.name, machine.stateOf(other)]).toEqual([
                  actor.name,
                  other.name,
                  'ready',
                ])
                machine.step(other)
                const one = machine.hash()
                machine.restore(here)
                machine.step(other)
                expect([other.name, actor.name, machine.stateOf(actor)]).toEqual([
                  other.name,
                  actor.name,
                  'ready',
                ])
                expect(local.isLocal(actor, preempts)).toBe(true)
                machine.step(actor)
                expect([actor.name, other.name, machine.hash()]).toEqual([actor.name, other.name, one])
              }
              machine.restore(here)
            }
            machine.step(ready[choice % ready.length])
          }
        },
      ),
      { numRuns: 150 },
    )
    expect(locals).toBeGreaterThan(1000)
  })

  it('is no irqOff where a device interrupts the host at once', () => {
    const isLocal = (recipe: Scenario): boolean => {
      const machine = recipe.machine()
      const local = new LocalSteps(machine.internals)
      const [vcpu] = machine.actors
      while (machine.inspect().vcpus[0].step !== 'entry/irqOff') machine.step(vcpu)
      return local.isLocal(vcpu, false)
    }
    const idle = () => scenario('one SPI').guest(0, (g) => g.wfi())
    expect(isLocal(idle().spi({ intid: 32 }))).toBe(true)
    expect(isLocal(idle().spi({ intid: 32, physical: 40 }))).toBe(false)
  })
})

/** Small scenarios: one or two vCPUs that do a little, one or two devices. */
const small = fc.record({
  design: fc.constantFrom(
    ...Object.values(designs),
    edit(designs.wfiHandler).omit('inject/postRequest').design('no request'),
    edit(designs.wfiHandler).omit('wfi/saveVmcr').design('no sync'),
    edit(designs.wfiHandler).omit('exit/irqOn').design('interrupts stay off'),
    edit(designs.wfiFullPut).omit('schedOut/put').design('no put'),
  ),
  vcpus: fc.constantFrom(1, 1, 2),
  cpus: fc.integer({ min: 1, max: 2 }),
  direct: fc.boolean(),
  ops: fc.array(fc.constantFrom('wfi', 'hvc', 'mask', 'sgi', 'suspend', 'wfe'), {
    minLength: 1,
    maxLength: 2,
  }),
  preemptions: fc.integer({ min: 0, max: 1 }),
  ticks: fc.integer({ min: 0, max: 1 }),
})

interface Small {
  readonly design: Design
  readonly vcpus: number
  readonly cpus: number
  /** With GICv4.1 and a vLPI, and not with an SPI. */
  readonly direct: boolean
  readonly ops: readonly string[]
  readonly preemptions: number
  readonly ticks: number
}

function cook({ design, vcpus, cpus, direct: isDirect, ops }: Small): Scenario {
  const version = isDirect ? '4.1' : '3'
  const recipe = scenario('small')
    .gic({ version, cpus, listRegisters: 1 })
    .vm({ vcpus, spis: 1 })
    .design(design)
  recipe.guest(0, (g) => {
    g.onIrq((h) => h.ack().eoi()).unmask()
    for (const op of ops) {
      if (op === 'mask') g.priorityMask(0x80)
      else if (op === 'sgi') g.sgi({ intid: 1, vcpus: [vcpus - 1] })
      else g[op as 'wfi']()
    }
    return g
  })
  if (vcpus > 1) recipe.guest(1, (g) => g.sgi({ intid: 2, vcpus: [0] }))
  if (isDirect) return recipe.vlpi({ device: 7, event: 0, intid: 8192 }).device('nic', (d) => d.msi(7, 0))
  return recipe.spi({ intid: 32 }).device('nic', (d) => d.pulse(32))
}

const ids = (Object.keys(invariants) as InvariantId[]).filter((id) => id !== 'L4')

describe('a reduced search', () => {
  it('comes to the same ends, and violates the same invariants', () => {
    const saved = { states: 0, transitions: 0 }
    fc.assert(
      fc.property(small, (one) => {
        const { preemptions, ticks } = one
        const bounds = { ...unchecked, preemptions: one.vcpus > 1 ? 0 : preemptions, ticks }
        const whole = ends(cook(one), bounds)
        const reduced = ends(cook(one), { ...bounds, reduce: true })
        expect(reduced.ends).toEqual(whole.ends)
        expect(reduced.states).toBeLessThanOrEqual(whole.states)
        saved.states += whole.states - reduced.states
        saved.transitions += whole.transitions - reduced.transitions
        const all = explore(cook(one), { ...bounds, invariants: ids })
        if (all.complete)
          expect(explore(cook(one), { ...bounds, invariants: ids, reduce: true }).complete).toBe(true)
        const broken = all.violation?.invariant as InvariantId | undefined
        for (const id of broken === undefined ? [] : ([broken, 'L1', 'L3'] as const)) {
          const [a, b] = [false, true].map((reduce) =>
            explore(cook(one), { ...bounds, invariants: [id], reduce }),
          )
          expect([id, b.violation?.invariant]).toEqual([id, a.violation?.invariant])
        }
      }),
      { numRuns: 12 },
    )
    expect(saved.states).toBeGreaterThan(0)
    expect(saved.transitions).toBeGreaterThan(0)
  })

  it.each(museum.filter(({ invariant }) => invariant !== 'L4').map((entry) => [entry.id, entry] as const))(
    'has the verdicts of entry %s',
    (_, { scenario: recipe, bug, good, bounds, invariant }) => {
      const reduce = {
        ...bounds,
        invariants: (bounds.invariants ?? ids).filter((id) => id !== 'L4'),
        reduce: true,
      }
      const broken = explore(recipe(bug), { ...reduce, invariants: [invariant] })
      expect(broken.violation?.invariant).toBe(invariant)
      const held = explore(recipe(good), reduce)
      expect(held.complete).toBe(true)
      expect(held.states).toBeLessThanOrEqual(explore(recipe(good), bounds).states)
    },
  )
})
