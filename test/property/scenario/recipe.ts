/** Random scenarios: interrupts of every kind, guests that do anything in any order, devices and schedules. */
import fc from 'fast-check'
import {
  type Actor,
  type Design,
  designs,
  type GuestBuilder,
  type HaltPolling,
  kvm61,
  type OpList,
  type Scenario,
  type ScenarioMachine,
  type StepEvent,
  scenario,
} from 'vgic/scenario'
import { GICD, ISACTIVER, ISENABLER, ISPENDR, sgiBase, wordOf } from '../../kit/frames.ts'

/** One operation of a guest's main list. */
export type Op =
  | { readonly op: 'hvc' | 'wfi' | 'wfe' | 'sev' | 'wfet' | 'suspend' | 'userspace' }
  | { readonly op: 'wfit'; readonly ticks: number }
  | { readonly op: 'timer'; readonly which: 'virtual' | 'physical'; readonly ticks: number }
  | { readonly op: 'mask' | 'unmask'; readonly masks: readonly ('irq' | 'fiq')[] }
  | { readonly op: 'take'; readonly group: 0 | 1 }
  | { readonly op: 'readMmio'; readonly address: number }
  | { readonly op: 'reevaluate' }
  | { readonly op: 'priorityMask'; readonly priority: number }
  | { readonly op: 'enableGroup'; readonly group: 0 | 1; readonly enabled: boolean }
  | {
      readonly op: 'sgi'
      readonly intid: number
      readonly to: readonly number[] | 'others'
      readonly group: 0 | 1 | 'other'
    }

export interface RecipeInterrupt {
  readonly intid: number
  readonly vcpu: number
  readonly trigger: 'edge' | 'level'
  readonly group: 0 | 1
  readonly priority: number
  readonly enabled: boolean
}

export interface RecipeGuest {
  readonly ops: readonly Op[]
  /** Whether its handlers unmask while they run. */
  readonly nests: boolean
  /** Whether it opens all masks in the end and waits for what may come, or just ends. */
  readonly drains: boolean
}

export interface Recipe {
  readonly design: Design
  readonly listRegisters: number
  /** There may be fewer CPUs than vCPUs. */
  readonly cpus: number
  /** Whether there are timers; then PPI 27 is the virtual one's. */
  readonly timers: boolean
  readonly haltPolling: Partial<HaltPolling>
  readonly interrupts: readonly RecipeInterrupt[]
  readonly guests: readonly RecipeGuest[]
  /** For each device the interrupts that it fires: edges are pulsed, levels raised. */
  readonly devices: readonly (readonly RecipeInterrupt[])[]
  /** vCPUs that another device signals. */
  readonly signals: readonly number[]
}

/** What recipes are made of. */
export interface Taste {
  /** Timers of the VM instead of PPIs that devices drive, signals, and accesses to the emulated GIC. */
  readonly timers?: boolean
}

const EDGE_SPIS = [40, 41, 42]
const LEVEL_SPIS = [44, 45]
export const SGIS = [1, 2]
const TIMER = 27
/** The mask of a guest that opens all masks admits every priority that occurs. */
const OPEN = 0xf0

/** Of all SPIs of a recipe: enabled, pending, active; a vCPU's own; and what is userspace's. */
const registers = fc.constantFrom(
  wordOf(ISENABLER, 32),
  wordOf(ISPENDR, 32),
  wordOf(ISACTIVER, 32),
  sgiBase(0) + ISPENDR,
  sgiBase(0) + ISACTIVER,
  0x0900_0000,
)
const GICD_CTLR = GICD

const group = fc.constantFrom<0 | 1>(1, 1, 1, 0)
const priority = fc.constantFrom(0x20, 0x40, 0x80, 0x80, 0xa0, 0xe0)

const op = (vcpus: number, timers: boolean): fc.Arbitrary<Op> => {
  const vcpu = fc.nat(vcpus - 1)
  const timer = fc.record({
    op: fc.constant('timer' as const),
    which: fc.constantFrom('virtual' as const, 'physical' as const),
    ticks: fc.nat(200),
  })
  const accesses = [
    fc.record({ op: fc.constant('readMmio' as const), address: registers }),
    fc.record({ op: fc.constant('reevaluate' as const) }),
  ]
  return fc.oneof(
    ...(timers ? [timer, ...accesses] : []),
    fc.record({ op: fc.constantFrom('hvc' as const, 'wfi' as const, 'wfe' as const, 'sev' as const) }),
    fc.record({ op: fc.constantFrom('wfet' as const, 'suspend' as const, 'userspace' as const) }),
    fc.record({ op: fc.constant('wfit' as const), ticks: fc.nat(200) }),
    fc.record({
      op: fc.constantFrom('mask' as const, 'unmask' as const),
      masks: fc.subarray(['irq' as const, 'fiq' as const]),
    }),
    fc.record({ op: fc.constant('take' as const), group }),
    fc.record({ op: fc.constant('priorityMask' as const), priority: fc.constantFrom(0x40, 0x80, OPEN) }),
    fc.record({ op: fc.constant('enableGroup' as const), group, enabled: fc.boolean() }),
    fc.record({
      op: fc.constant('sgi' as const),
      intid: fc.constantFrom(...SGIS),
      to: fc.oneof(fc.constant('others' as const), fc.uniqueArray(vcpu, { minLength: 1, maxLength: vcpus })),
      group: fc.constantFrom<0 | 1 | 'other'>(1, 1, 0, 'other'),
    }),
  )
}

const interrupts = (vcpus: number, timers: boolean): fc.Arbitrary<RecipeInterrupt[]> => {
  const set = (intid: number, vcpu: fc.Arbitrary<number>, trigger: 'edge' | 'level') =>
    fc.record({
      intid: fc.constant(intid),
      vcpu,
      trigger: fc.constant(trigger),
      group,
      priority,
      enabled: fc.constantFrom(true, true, true, false),
    })
  const anywhere = fc.nat(vcpus - 1)
  const each = Array.from({ length: vcpus }, (_, vcpu) => fc.constant(vcpu))
  return fc.tuple(
    ...EDGE_SPIS.map((intid) => set(intid, anywhere, 'edge')),
    ...LEVEL_SPIS.map((intid) => set(intid, anywhere, 'level')),
    ...(timers ? [] : each.map((vcpu) => set(TIMER, vcpu, 'edge'))),
    ...each.flatMap((vcpu) => SGIS.map((intid) => set(intid, vcpu, 'edge'))),
  )
}

/**
 * Designs in both baselines. vmcr-on-demand is left out: its directed yield overwrites another vCPU's shadow of
 * ICH_VMCR_EL2. With one list register kvm61's underflow interrupt would never cease.
 */
const designOf = (listRegisters: number): fc.Arbitrary<Design> => {
  const all = Object.values(designs).filter((design) => design !== designs.vmcrOnDemand)
  return fc.constantFrom(...all, ...(listRegisters > 1 ? all.map(kvm61) : []))
}

const haltPolling = fc.constantFrom<Partial<HaltPolling>>(
  {},
  { limit: 3 },
  { limit: 200, growStart: 2, grow: 3 },
)

export const recipesWith = ({ timers = false }: Taste): fc.Arbitrary<Recipe> =>
  fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 5 })).chain(([vcpus, listRegisters]) =>
    interrupts(vcpus, timers).chain((chosen) => {
      const driven = chosen.filter(({ intid }) => intid >= 16)
      const guest = fc.record({
        ops: fc.array(op(vcpus, timers), { maxLength: 12, size: 'max' }),
        nests: fc.boolean(),
        drains: fc.constantFrom(true, true, false),
      })
      return fc.record({
        design: designOf(listRegisters),
        listRegisters: fc.constant(listRegisters),
        cpus: fc.integer({ min: 1, max: vcpus + 1 }),
        timers: fc.constant(timers),
        haltPolling,
        interrupts: fc.constant(chosen),
        guests: fc.array(guest, { minLength: vcpus, maxLength: vcpus }),
        devices: fc.array(fc.array(fc.constantFrom(...driven), { maxLength: 6 }), { maxLength: 3 }),
        signals: timers ? fc.array(fc.nat(vcpus - 1), { maxLength: 4 }) : fc.constant([]),
      })
    }),
  )

export const recipes = recipesWith({})

/** Which of the actors that can go on does: cyclic. */
export const schedules: fc.Arbitrary<number[]> = fc.array(fc.nat(255), {
  minLength: 1,
  maxLength: 60,
  size: 'max',
})

function write(list: GuestBuilder, step: Op): void {
  switch (step.op) {
    case 'mask':
    case 'unmask':
      list[step.op](...step.masks)
      break
    case 'take':
      list.ack(step.group).eoi(step.group)
      break
    case 'readMmio':
      list.readMmio(step.address)
      break
    case 'reevaluate':
      list.writeMmio(GICD_CTLR, 2)
      break
    case 'priorityMask':
      list.priorityMask(step.priority)
      break
    case 'enableGroup':
      list.enableGroup(step.group, step.enabled)
      break
    case 'sgi':
      list.sgi({ intid: step.intid, vcpus: step.to, group: step.group })
      break
    case 'wfit':
      list.wfit(step.ticks)
      break
    case 'timer':
      list.timer(step.ticks, step.which)
      break
    default:
      list[step.op]()
  }
}

/** The scenario of a recipe. */
export function cook(recipe: Recipe): Scenario {
  const { design, listRegisters, cpus, timers, interrupts: chosen, guests, devices, signals } = recipe
  const s = scenario('random')
    .design(design)
    .gic({ listRegisters, cpus })
    .vm({ vcpus: guests.length, timers, haltPolling: recipe.haltPolling })
  for (const interrupt of chosen) {
    if (interrupt.intid < 16) s.sgi(interrupt)
    else if (interrupt.intid < 32) s.ppi(interrupt)
    else s.spi(interrupt)
  }
  for (const [vcpu, { ops, nests, drains }] of guests.entries()) {
    const driven = new Set(devices.flat().map(({ intid }) => intid))
    const levels = chosen.filter(
      (interrupt) => interrupt.trigger === 'level' && interrupt.vcpu === vcpu && driven.has(interrupt.intid),
    )
    const handler = (list: OpList): void => {
      list.ack()
      for (const { intid } of levels) list.quiesce(intid)
      if (timers) list.stopTimer('virtual').stopTimer('physical')
      if (nests) list.unmask().hvc().mask()
      list.eoi()
    }
    s.guest(vcpu, (guest) => {
      guest.onIrq(handler).onFiq(handler)
      for (const step of ops) write(guest, step)
      if (drains)
        guest
          .priorityMask(OPEN)
          .enableGroup(0)
          .enableGroup(1)
          .unmask()
          .loop(200, (list) => list.wfi())
    })
  }
  for (const [i, fires] of devices.entries()) {
    s.device(`device${i}`, (device) => {
      for (const { intid, vcpu, trigger } of fires) {
        if (trigger === 'edge') device.pulse(intid, vcpu)
        else device.raise(intid)
      }
    })
  }
  if (signals.length > 0) {
    s.device('vmm', (device) => {
      for (const vcpu of signals) device.signal(vcpu)
    })
  }
  return s
}

/** A schedule's numbers from here on stand for the environment, while it has its say. */
const ENVIRONMENT = 208
const ENVIRONMENT_STEPS = 400

/** What a schedule lets happen after `taken` steps: an actor's step, or the environment's; undefined if nothing can. */
export function scheduled(machine: ScenarioMachine, schedule: readonly number[], taken: number) {
  const ready = (actors: readonly Actor[]) => actors.filter((actor) => machine.stateOf(actor) === 'ready')
  const pick = schedule[taken % schedule.length]
  if (pick >= ENVIRONMENT && taken < ENVIRONMENT_STEPS) {
    const happens = ready(machine.environment)
    if (happens.length > 0) return happens[pick % happens.length]
  }
  const actors = ready(machine.actors)
  return actors.length === 0 ? undefined : actors[pick % actors.length]
}

const ENOUGH = 30_000

/** Drives a machine by a schedule from where it is, after `taken` steps, until nobody can go on. */
export function drive(machine: ScenarioMachine, schedule: readonly number[], taken = 0): StepEvent[] {
  const events: StepEvent[] = []
  for (let actor: Actor | undefined; ; ) {
    actor = scheduled(machine, schedule, taken + events.length)
    if (!actor) return events
    if (events.length === ENOUGH) throw new Error(`still going on after ${ENOUGH} steps`)
    events.push(machine.trace(actor))
  }
}
