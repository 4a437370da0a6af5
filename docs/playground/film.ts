/** Takes a schedule's steps once more, one by one, and keeps what the page shows of each and of the machine after it. */
import { describeListRegister, describeRegister, registers } from 'vgic'
import type { Access, ScenarioMachine, StepEvent } from 'vgic/scenario'
import { lineOf, listingOf } from './design-listing.ts'
import type { AccessFacts, CpuFacts, Film, StepFacts, StepKind } from './messages.ts'
import { aligned, cardsOf, type StateCard } from './state-cards.ts'

/** The most steps of which the state is kept. */
const MOST_FRAMES = 2000

/** The film of a schedule: `machine` has taken none of its steps, `events` are those that it will take. */
export function filmOf(machine: ScenarioMachine, events: readonly StepEvent[]): Film {
  const leftOut = Math.max(0, events.length - MOST_FRAMES)
  for (const { actor, time } of events.slice(0, leftOut)) {
    machine.passTime(time)
    machine.step(ownOf(machine, actor.name))
  }
  const camera = new Camera(machine, lanesOf(machine, events))
  for (const event of events.slice(leftOut)) camera.take(event)
  return camera.film(leftOut)
}

/** Takes steps, and keeps what each has done and the state behind it. */
class Camera {
  private readonly listing: ReturnType<typeof listingOf>
  /** By lane, the line of the design that was taken last. */
  private readonly lines: number[]
  private readonly steps: (StepFacts | undefined)[] = [undefined]
  private readonly states: StateCard[][] = []
  private readonly cpus: CpuFacts[][] = []

  constructor(
    private readonly machine: ScenarioMachine,
    private readonly lanes: readonly string[],
  ) {
    // Not public: a machine says what its design is called only.
    this.listing = listingOf(machine.hypervisor.design)
    this.lines = lanes.map(() => -1)
    this.look()
  }

  take({ actor, time }: StepEvent): void {
    const { machine, listing, lines } = this
    machine.passTime(time)
    const event = machine.trace(ownOf(machine, actor.name))
    const lane = this.lanes.indexOf(laneOf(actor))
    const line = lineOf(listing, pathOf(event), lines[lane])
    if (line === undefined) this.steps.push(stepFacts(event, lane))
    else {
      lines[lane] = line
      const own = listing[line].own?.perform.toString()
      this.steps.push({ ...stepFacts(event, lane), line, ...(own !== undefined && { own }) })
    }
    this.look()
  }

  film(leftOut: number): Film {
    const { machine, listing, lanes, cpus } = this
    const { cards, values } = aligned(this.states)
    return {
      design: machine.toJSON().design,
      // Own steps have functions, which cannot be sent.
      listing: listing.map(({ own: _, path: __, ...line }) => line),
      lanes,
      cpus: cpus[0].length,
      vpes: machine.inspect().vpes.length,
      cards,
      frames: this.steps.map((step, i) => ({ ...(step && { step }), cpus: cpus[i], values: values[i] })),
      leftOut,
    }
  }

  private look(): void {
    const inspection = this.machine.inspect()
    this.states.push(cardsOf(inspection, this.machine.cost()))
    this.cpus.push(inspection.cpus.map(({ vcpu, inGuest }) => ({ vcpu, inGuest })))
  }
}

/** The machine's actor of a name. */
function ownOf({ actors, environment }: ScenarioMachine, name: string): StepEvent['actor'] {
  const actor = [...actors, ...environment].find((each) => each.name === name)
  if (!actor) throw new Error(`No actor is called ${name}.`)
  return actor
}

const ENVIRONMENT = 'environment'

const laneOf = ({ kind, name }: StepEvent['actor']): string =>
  kind === 'vcpu' || kind === 'device' ? name : ENVIRONMENT

/** Every vCPU has a lane, others only if they act. */
function lanesOf({ actors }: ScenarioMachine, events: readonly StepEvent[]): string[] {
  const acting = new Set(events.map(({ actor }) => laneOf(actor)))
  const own = actors.filter(({ kind, name }) => kind === 'vcpu' || acting.has(name)).map(({ name }) => name)
  return acting.has(ENVIRONMENT) ? [...own, ENVIRONMENT] : own
}

function stepFacts(event: StepEvent, lane: number): StepFacts {
  const { time, actor, cpu, place, what } = event
  return {
    time,
    lane,
    actor: actor.name,
    cpu,
    kind: kindOf(event),
    place,
    what,
    accesses: [
      ...event.accesses.map(accessFacts),
      ...event.listRegisters.map(({ number, before, after }) => ({
        arrow: '=>' as const,
        name: `LR${number}`,
        value: `${describeListRegister(...before)}, now ${describeListRegister(...after)}`,
      })),
    ],
    source: stepOf(event) ?? `event:${event.type}`,
  }
}

function kindOf({ type, actor }: StepEvent): StepKind {
  if (actor.kind === 'device') return 'device'
  if (actor.kind !== 'vcpu') return 'environment'
  if (type === 'step' || type === 'enter') return 'hypervisor'
  return type === 'schedule' ? 'scheduler' : 'guest'
}

/** The step of the design that an event is. */
function stepOf(event: StepEvent): string | undefined {
  if (event.type === 'enter') return 'guest'
  return event.type === 'step' ? event.step : undefined
}

/** Its path in the design; of a step of the guest, that of the step which has entered it. */
function pathOf(event: StepEvent): string {
  if (event.place === 'guest') return 'guest'
  const step = stepOf(event) ?? ''
  return event.place === '' || event.type === 'enter' ? step : `${event.place}/${step}`
}

function accessFacts(access: Access): AccessFacts {
  const isRead = access.direction === 'read' && access.kind !== 'its'
  return { arrow: isRead ? '<-' : '->', name: access.name, value: valueText(access) }
}

function valueText({ kind, register, name, low, high, value, fields, text }: Access): string {
  if (text !== undefined) return text
  if (name.startsWith('ICH_LR')) return describeListRegister(low, high)
  if (kind === 'sysreg') return describeRegister(registers.byEncoding(register).views[0], low, high)
  const named = Object.entries(fields).map(
    ([field, bits]) => `${field}=${bits < 10 ? bits : `0x${bits.toString(16)}`}`,
  )
  return named.length > 0 ? named.join(' ') : hex(value)
}

const hex = (value: bigint): string => `0x${value.toString(16)}`
