/**
 * What users get: the work of the benchmark's cases by the public API. `vm` are the cases of vgic/bench, which are calls of
 * VirtualMachine, without and with timers; `run` is a run of a scenario that nobody asks for its events, an iteration is a
 * round of its guest; `events` is one that is asked, an iteration is a step, which is taken once to run it and once to tell
 * of it.
 */
import { type BenchRun, exitCases } from 'vgic/bench'
import { designs, type GuestBuilder, type Run, type Scenario, scenario } from 'vgic/scenario'
import type { BenchCase } from './cases.ts'

const GICD_ISENABLER1 = 0x0800_0104
/** The most steps of a run. */
const MOST = 0x7fff_ffff

/** Something that can be measured: runs iterations, `timed` is what runs them, and returns a checksum. */
export interface Measurable {
  /** It makes machines, and events; after a collection that is asked for, V8 would have little room for new objects. */
  readonly makesObjects?: true
  run(number: number, iterations: number, timed: (iterate: () => number) => number): number
}

const kinds = ['hypercall', 'spi', 'ipi', 'wfi', 'mmio_read_vgic'] as const
type Kind = (typeof kinds)[number]

/** A case of vgic/bench. */
function exits(kind: Kind, timers: boolean): Measurable {
  const found = exitCases.find(({ name }) => name === kind)
  if (!found) throw new Error(`vgic/bench has no case ${kind}.`)
  const run = found.setup({ timers })
  return {
    run: (_, iterations, timed) =>
      timed(() => {
        repeat(run, iterations)
        return run.checksum() >>> 0
      }),
  }
}

/** A function of its own, and no closure, which V8 would compile in every round anew. */
function repeat(run: BenchRun, iterations: number): void {
  for (let i = 0; i < iterations; i++) run.iterate()
}

const handling = (guest: GuestBuilder): GuestBuilder => guest.onIrq((list) => list.ack().eoi()).unmask()

/** Guests whose rounds do as much. There is one vCPU: it sends an IPI to itself. */
const guests = {
  hypercall: (guest, rounds) => guest.loop(rounds, (body) => body.hvc()),
  ipi: (guest, rounds) => handling(guest).loop(rounds, (body) => body.sgi({ intid: 2, vcpus: [0] })),
  wfi: (guest, rounds) =>
    guest
      .onIrq((list) => list.ack().stopTimer().eoi())
      .unmask()
      .loop(rounds, (body) => body.timer(100).wfi()),
  mmio_read_vgic: (guest, rounds) => guest.loop(rounds, (body) => body.readMmio(GICD_ISENABLER1)),
} as const satisfies Partial<Record<Kind, (guest: GuestBuilder, rounds: number) => GuestBuilder>>
type RunKind = keyof typeof guests
const runKinds = Object.keys(guests) as RunKind[]

function recipeOf(kind: RunKind, rounds: number): Scenario {
  return scenario(kind)
    .gic({ listRegisters: 4 })
    .vm({ vcpus: 1, spis: 32, timers: kind === 'wfi' })
    .design(designs.wfiFullPut)
    .guest(0, (guest) => guests[kind](guest, rounds))
}

const checksumOf = (run: Run): number => run.machine.hash() % 0x8000_0000

/**
 * A run of as many rounds, with the making of its machine. That of no rounds, by which the worker knows what measuring itself
 * takes, has one, and little but the making.
 */
const runs = (kind: RunKind): Measurable => ({
  makesObjects: true,
  run: (_, rounds, timed) =>
    timed(() => checksumOf(recipeOf(kind, Math.max(rounds, 1)).run({ steps: MOST }))),
})

/** The events of as many steps. */
const events = (kind: RunKind): Measurable => ({
  makesObjects: true,
  run: (_, steps, timed) =>
    timed(() => (steps === 0 ? 0 : recipeOf(kind, steps).run({ steps }).events.length)),
})

interface PublicCase extends Omit<BenchCase, 'number'> {
  make(): Measurable
}

const iterationsOf: Readonly<Record<Kind, number>> = {
  hypercall: 1_000_000,
  spi: 150_000,
  ipi: 200_000,
  wfi: 60_000,
  mmio_read_vgic: 400_000,
}
/**
 * A round takes an eighth to a quarter of a second, of which making its machine, and V8's compiling what makes it, is to be a
 * small part: that is 5 to 20 ms of the processor.
 */
const runsOf: Readonly<Record<RunKind, number>> = {
  hypercall: 5_000_000,
  ipi: 1_200_000,
  wfi: 320_000,
  mmio_read_vgic: 1_300_000,
}
/** A run tells of 100,000 steps at most. */
const EVENTS = 100_000

/**
 * The internal case that a public one is compared with: guests of VirtualMachine and of a run access their PE. VirtualMachine
 * has no halt polling: a WFI sleeps, and its thread takes a PE again.
 */
function internalOf(kind: Kind, timers = false): string {
  const inside = kind === 'wfi' ? 'wfi-asleep' : kind
  if (timers) return `${inside}-timers`
  return kind === 'mmio_read_vgic' ? kind : `${inside}-pe`
}
/** The same of a run, whose guest waits for a timer of its own. */
const internalOfRun = (kind: RunKind): string => (kind === 'wfi' ? 'wfi-timer-pe' : internalOf(kind))

const all: readonly PublicCase[] = [
  ...[false, true].flatMap((timers) =>
    kinds.map((kind) => ({
      name: `${timers ? 'vm-timers' : 'vm'}/${kind}`,
      iterations: iterationsOf[kind],
      internal: internalOf(kind, timers),
      make: () => exits(kind, timers),
    })),
  ),
  ...runKinds.map(
    (kind): PublicCase => ({
      name: `run/${kind}`,
      iterations: runsOf[kind],
      internal: internalOfRun(kind),
      makesObjects: true,
      make: () => runs(kind),
    }),
  ),
  ...runKinds.map(
    (kind): PublicCase => ({
      name: `events/${kind}`,
      iterations: EVENTS,
      makesObjects: true,
      make: () => events(kind),
    }),
  ),
]

/** Numbers from here on are public cases. */
const FIRST = 100

export const publicCases: readonly BenchCase[] = all.map((each, i) => ({ ...each, number: FIRST + i }))

/** The machine of a public case; undefined for the number of an internal one. */
export const publicPath = (number: number): Measurable | undefined => all[number - FIRST]?.make()
