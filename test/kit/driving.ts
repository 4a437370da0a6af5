/** Helpers that step a scenario's machine and inspect the hypervisor's state. */

import { ICH_HCR_EL2, ICH_LR0_EL2 } from 'vgic'
import type { Actor, Run, Scenario, ScenarioMachine, StepEvent } from 'vgic/scenario'
import { HCR_EOIcount, HCR_vSGIEOICount, LR_Priority, LR_State } from '../../src/arch/ich-registers.ts'
import { IRQ_ACTIVE } from '../../src/hyp/records/vgic-irq.ts'

export const HCR_En = 0x1
export const HCR_UIE = 0x2
export const HCR_LRENPIE = 0x4
export const HCR_NPIE = 0x8
export const HCR_TDIR = 0x4000
export { HCR_EOIcount, HCR_vSGIEOICount }

/** States of a list register. */
export const PENDING = 1
export const ACTIVE = 2
export const PENDING_AND_ACTIVE = 3

/** An actor of a machine or of its environment, by name. */
export function actor(machine: ScenarioMachine, name: string): Actor {
  const found = [...machine.actors, ...machine.environment].find((one) => one.name === name)
  if (!found) throw new Error(`no actor ${name}`)
  return found
}

/** Takes steps of an actor until one is `last`, until it cannot go on, or `count` of them. */
export function go(
  machine: ScenarioMachine,
  name: string,
  last: (event: StepEvent) => boolean = () => false,
  count = 3000,
): StepEvent[] {
  const who = actor(machine, name)
  const events: StepEvent[] = []
  while (events.length < count && machine.stateOf(who) === 'ready') {
    const event = machine.trace(who)
    events.push(event)
    if (last(event)) break
  }
  return events
}

/** Steps an actor until it has done `what`; fails if it does not come to that. */
export function goTo(machine: ScenarioMachine, name: string, what: string): StepEvent[] {
  const events = go(machine, name, (event) => event.what === what || event.what.startsWith(`${what} `))
  const last = events.at(-1)?.what ?? '(nothing)'
  if (last !== what && !last.startsWith(`${what} `))
    throw new Error(`${name} does not come to ${what}: ${last}`)
  return events
}

/** A scenario's machine with vCPU 0 in its guest. */
export function inGuest(scenario: Scenario): ScenarioMachine {
  const machine = scenario.machine()
  goTo(machine, 'vcpu0', 'enters the guest')
  return machine
}

/** One injection of a device: it queues the interrupt and, if a vCPU is to be notified, posts and kicks. */
export function fire(machine: ScenarioMachine, device: string): StepEvent[] {
  const events = go(machine, device, undefined, 1)
  while (machine.internals.deviceSteps.injectionOf(actor(machine, device).index) !== 0)
    events.push(...go(machine, device, undefined, 1))
  return events
}

/** Takes a step of the environment, which must be ready. */
export function happen(machine: ScenarioMachine, what: string): void {
  machine.trace(actor(machine, what))
}

export const isReady = (machine: ScenarioMachine, name: string): boolean =>
  machine.stateOf(actor(machine, name)) === 'ready'

export const acknowledged = (events: readonly StepEvent[]): number[] =>
  events.flatMap((event) => (event.acknowledged === undefined ? [] : [event.acknowledged]))

/** A list register as the hypervisor wrote or read it. */
export interface Listed {
  readonly intid: number
  readonly priority: number
  readonly state: number
  readonly hw: boolean
}

const isListRegister = (register: number): boolean => register >= ICH_LR0_EL2 && register < ICH_LR0_EL2 + 16

/** The registers that each flush wrote: ICH_HCR_EL2 and the list registers. */
export interface Flush {
  readonly event: StepEvent
  readonly hcr: number
  readonly lrs: readonly Listed[]
}

export function flushes(events: readonly StepEvent[]): Flush[] {
  return events
    .filter((event) => event.what.startsWith('flush') && event.accesses.length > 0)
    .map((event) => ({
      event,
      hcr: event.accesses.find(({ register }) => register === ICH_HCR_EL2)?.low ?? 0,
      lrs: event.accesses
        .filter(({ register }) => isListRegister(register))
        .map(({ low, high }) => ({
          intid: low,
          priority: LR_Priority(high),
          state: LR_State(high),
          hw: (high & 0x2000_0000) !== 0,
        })),
    }))
}

/** Every value of ICH_HCR_EL2 that the hypervisor wrote or read. */
export const hcrValues = (events: readonly StepEvent[]): number[] =>
  events.flatMap(({ accesses }) =>
    accesses.filter(({ register }) => register === ICH_HCR_EL2).map(({ low }) => low),
  )

/** Whether a physical interrupt is active, at a CPU if it is a PPI. */
export const physicalActive = (
  { hypervisor }: Pick<ScenarioMachine, 'hypervisor'>,
  intid: number,
  cpu = 0,
): boolean => hypervisor.silicon.physical.isActive(hypervisor.silicon.peOf(cpu), intid)

/** The hypervisor's word of an interrupt. */
export function irqWord({ hypervisor }: ScenarioMachine, intid: number, vcpu = 0): number {
  return hypervisor.words[hypervisor.apLists.irqOf(hypervisor.vcpu(vcpu), intid)]
}

export const isActive = (machine: ScenarioMachine, intid: number): boolean =>
  (irqWord(machine, intid) & IRQ_ACTIVE) !== 0

/** Causes of exits of a vCPU in order: `hvc`, `irq: its timer`. */
export const exits = (run: Pick<Run, 'events'>, vcpu = 0): string[] =>
  run.events
    .filter(({ actor: who }) => who.name === `vcpu${vcpu}`)
    .flatMap(({ what }) => {
      const interrupted = /^interrupted by (.*) -> exit \(irq\)/.exec(what)
      if (interrupted) return [`irq: ${interrupted[1]}`]
      return /exit \((\w+)\)/.exec(what)?.[1] ?? []
    })
