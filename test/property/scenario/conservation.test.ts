/**
 * No interrupt is lost, invented or delivered twice, whatever guests and devices do in whatever order. The
 * oracle is a model of one bit an interrupt, moved by what the timeline tells: who fired, who acknowledged.
 */
import fc from 'fast-check'
import { ICH_LR0_EL2 } from 'vgic'
import { baselines, designs, type StepEvent } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { LR_ACTIVE, LR_PENDING } from '../../../src/arch/ich-registers.ts'
import { InvariantChecker } from '../../../src/explore/invariants.ts'
import { VCPU_AP_COUNT } from '../../../src/hyp/records/vcpu.ts'
import { cook, drive, type Recipe, type RecipeInterrupt, recipes, scheduled, schedules } from './recipe.ts'

const NOTHING = 1023
const OPEN_AT_START = 0xf0

interface Watched extends RecipeInterrupt {
  /** An edge that waits to be acknowledged, or a line that is high. */
  pending: boolean
  /** The same edge, but it waits in a list register: the hypervisor does not see it being acknowledged. */
  inListRegister: boolean
  /** Another edge came meanwhile. It is delivered too if the guest acknowledges the first before the fold. */
  again: boolean
}

/** What should be pending, as a reader of the events works it out. */
class Oracle {
  readonly watched: Watched[]
  readonly masks: number[]
  acknowledged = 0
  coalesced = 0
  private readonly fired: number[]
  private readonly sending: string[] = []

  constructor(private readonly recipe: Recipe) {
    this.watched = recipe.interrupts.map((interrupt) => ({
      ...interrupt,
      pending: false,
      inListRegister: false,
      again: false,
    }))
    this.masks = recipe.guests.map(() => OPEN_AT_START)
    this.fired = recipe.devices.map(() => 0)
  }

  observe(event: StepEvent): void {
    const { actor, what, acknowledged } = event
    if (/^(flush|fold)/.test(what)) this.list(actor.index, listed(event, LR_PENDING))
    if (actor.kind === 'device') {
      // Of an injection's steps the first moves the line; the request and the kick follow.
      if (!/^(pulses|raises) /.test(what)) return
      const { intid, vcpu } = this.recipe.devices[actor.index][this.fired[actor.index]++]
      this.fire(this.find(intid, vcpu))
      return
    }
    if (actor.kind !== 'vcpu') return
    const vcpu = actor.index
    const mask = /^ICC_PMR_EL1 := 0x(\w+)/.exec(what)
    if (mask) this.masks[vcpu] = Number.parseInt(mask[1], 16)
    const lowered = /^quiesce SPI (\d+)/.exec(what)
    if (lowered) this.find(Number(lowered[1]), vcpu).pending = false
    if (what.endsWith('exit (sysreg)')) this.sending[vcpu] = what
    if (what === 'emulateSysreg') this.send(vcpu)
    if (acknowledged !== undefined && acknowledged !== NOTHING) this.acknowledge(acknowledged, vcpu)
  }

  private find(intid: number, vcpu: number): Watched {
    const found = this.watched.find((one) => one.intid === intid && (intid >= 32 || one.vcpu === vcpu))
    if (!found) throw new Error(`nobody set INTID ${intid} up`)
    return found
  }

  /** A vCPU's list registers hold these pending interrupts, and nothing else that is pending. */
  private list(vcpu: number, intids: readonly number[]): void {
    for (const one of this.watched.filter((watched) => watched.vcpu === vcpu)) {
      one.inListRegister = intids.includes(one.intid)
      one.again = false
    }
  }

  private fire(interrupt: Watched): void {
    if (interrupt.pending) {
      this.coalesced++
      interrupt.again = interrupt.inListRegister
    }
    interrupt.pending = true
  }

  private send(sender: number): void {
    const sent = /^(\w+): SGI (\d+) to (.*) -> exit/.exec(this.sending[sender])
    if (!sent) throw new Error(`not an SGI: ${this.sending[sender]}`)
    const [, register, intid, to] = sent
    const all = this.recipe.guests.map((_, vcpu) => vcpu)
    const targets =
      to === 'all others'
        ? all.filter((vcpu) => vcpu !== sender)
        : to.slice('vCPU '.length).split(',').map(Number)
    for (const vcpu of targets) {
      const sgi = this.find(Number(intid), vcpu)
      if (register === 'ICC_SGI1R_EL1' || sgi.group === 0) this.fire(sgi)
    }
  }

  private acknowledge(intid: number, vcpu: number): void {
    const interrupt = this.find(intid, vcpu)
    this.acknowledged++
    expect(interrupt.vcpu, `who acknowledges ${intid}`).toBe(vcpu)
    expect(interrupt.enabled, `${intid} is enabled`).toBe(true)
    if (interrupt.trigger === 'level') return
    expect(interrupt.pending, `${intid} waited to be acknowledged`).toBe(true)
    interrupt.pending = interrupt.again
    interrupt.again = false
    interrupt.inListRegister = false
  }

  /** What a vCPU should be woken for. */
  deliverable(vcpu: number): Watched[] {
    return this.watched.filter(
      (one) => one.vcpu === vcpu && one.enabled && one.pending && one.priority < this.masks[vcpu],
    )
  }
}

/** The INTIDs that a step wrote into list registers, in a state with any of these bits. */
const listed = ({ accesses }: StepEvent, state = LR_PENDING | LR_ACTIVE): number[] =>
  accesses
    .filter(
      ({ direction, register, high }) =>
        direction === 'write' &&
        register >= ICH_LR0_EL2 &&
        register < ICH_LR0_EL2 + 16 &&
        (high & state) !== 0,
    )
    .map(({ low }) => low)

describe('whatever guests and devices do', () => {
  it('every interrupt is acknowledged once, merged with one that still waits, or waits at the end', () => {
    const seen = { runs: 0, acknowledged: 0, coalesced: 0, asleep: 0, waits: 0 }
    fc.assert(
      fc.property(recipes, schedules, (recipe, schedule) => {
        const machine = cook(recipe).machine()
        const oracle = new Oracle(recipe)
        for (const event of drive(machine, schedule)) oracle.observe(event)
        for (const actor of machine.actors) {
          expect(machine.stateOf(actor)).not.toBe('ready')
          if (actor.kind === 'device' || machine.stateOf(actor) === 'done') continue
          expect(oracle.deliverable(actor.index), `${actor.name} sleeps`).toEqual([])
          seen.asleep++
        }
        seen.runs++
        seen.acknowledged += oracle.acknowledged
        seen.coalesced += oracle.coalesced
        seen.waits += oracle.watched.filter(({ pending }) => pending).length
      }),
      { numRuns: 300 },
    )
    // The property is not empty: all of these happen, many times.
    expect(seen.acknowledged).toBeGreaterThan(seen.runs)
    expect(seen.coalesced).toBeGreaterThan(20)
    expect(seen.asleep).toBeGreaterThan(seen.runs / 2)
    expect(seen.waits).toBeGreaterThan(20)
  })

  it('an interrupt is in one list register at most, and list registers fit', () => {
    let entries = 0
    fc.assert(
      fc.property(recipes, schedules, (recipe, schedule) => {
        for (const event of drive(cook(recipe).machine(), schedule)) {
          const intids = listed(event)
          if (intids.length === 0) continue
          expect(new Set(intids).size).toBe(intids.length)
          expect(intids.length).toBeLessThanOrEqual(recipe.listRegisters)
          entries++
        }
      }),
      { numRuns: 100 },
    )
    expect(entries).toBeGreaterThan(100)
  })

  it('a guest has what it would take next, or something will make it leave: L3, with every good choice', () => {
    const good = fc.constantFrom(...Object.values(designs).filter((one) => one !== designs.vmcrOnDemand))
    const seen = { checked: 0, overflowed: 0 }
    fc.assert(
      fc.property(recipes, good, schedules, (recipe, design, schedule) => {
        const machine = cook({ ...recipe, design: baselines.fixed(design) }).machine()
        const { words } = machine.hypervisor
        const checker = new InvariantChecker(machine.internals)
        for (let step = 0; step < 2000; step++) {
          const actor = scheduled(machine, schedule, step)
          if (!actor) break
          const { what } = machine.trace(actor)
          const v = machine.hypervisor.vcpu(actor.kind === 'vcpu' ? actor.index : 0)
          const entered = what === 'enters the guest' ? v : 0
          expect(checker.missing(entered), `after step ${step}, ${actor.name}: ${what}`).toBeUndefined()
          seen.checked++
          if (entered !== 0 && words[v + VCPU_AP_COUNT] > recipe.listRegisters) seen.overflowed++
        }
      }),
      { numRuns: 100 },
    )
    expect(seen.checked).toBeGreaterThan(1000)
    expect(seen.overflowed).toBeGreaterThan(0)
  })

  it('a plain run gets to the same kind of end', () => {
    fc.assert(
      fc.property(recipes, (recipe) => {
        const run = cook(recipe).run({ steps: 30_000 })
        const oracle = new Oracle(recipe)
        for (const event of run.events) oracle.observe(event)
        expect(run.end).not.toBe('bound')
        for (const actor of run.machine.actors) {
          if (actor.kind !== 'vcpu') continue
          expect(run.acknowledged(actor.index)).toEqual(
            run.events.flatMap((event) =>
              event.actor.index === actor.index ? (event.acknowledged ?? []) : [],
            ),
          )
          if (run.machine.stateOf(actor) === 'asleep') expect(oracle.deliverable(actor.index)).toEqual([])
        }
      }),
      { numRuns: 100 },
    )
  })
})
