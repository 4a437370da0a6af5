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
  const lanes = lanesOf(machine, events)
  // Not public: a machine says what its design is called only.
  const { design } = machine.hypervisor
  const listing = listingOf(design)
  const lines: number[] = lanes.map(() => -1)
  const states: StateCard[][] = []
  const cpus: CpuFacts[][] = []
  const look = (): void => {
    const inspection = machine.inspect()
    states.push(cardsOf(inspection, machine.cost()))
    cpus.push(inspection.cpus.map(({ vcpu, inGuest }) => ({ vcpu, inGuest })))
  }
  look()
  const steps: (StepFacts | undefined)[] = [undefined]
  for (const { actor, time } of events.slice(leftOut)) {
    machine.passTime(time)
    const event = machine.trace(ownOf(machine, actor.name))
    const lane = lanes.indexOf(laneOf(actor))
    const line = lineOf(listing, pathOf(event), lines[lane])
    if (line !== undefined) lines[lane] = line
    const own = line === undefined ? undefined : listing[line].own?.perform.toString()
    steps.push({
      ...stepFacts(event, lane),
      ...(line !== undefined && { line }),
      ...(own !== undefined && { own }),
    })
    look()
  }
  const { cards, values } = aligned(states)
  const frames = steps.map((step, i) => ({ ...(step && { step }), cpus: cpus[i], values: values[i] }))
  const lined = listing.map(({ depth, text, step }) => ({ depth, text, ...(step !== undefined && { step }) }))
  return { design: design.name, listing: lined, lanes, cpus: cpus[0].length, cards, frames, leftOut }
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

/** Its path in the design. */
function pathOf(event: StepEvent): string {
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
