/**
 * A run as a sequence diagram of Mermaid: devices, the vCPUs' threads, their guests, and the silicon. Steps without
 * accesses share a note; an access is an arrow to the silicon, an answer one back.
 */

import type { Run } from '../run.ts'
import type { StepEvent } from '../step-events.ts'
import { describeAccess } from '../timeline.ts'
import { type PictureOptions, record, type Sample, titleOf } from './samples.ts'

const SILICON = 'silicon'

/** A run as a sequence diagram, for a fenced block `mermaid` in Markdown. */
export function toMermaid(run: Run, options: PictureOptions = {}): string {
  const { samples, actors, violation } = record(run, options)
  const lines = samples.flatMap((sample, i) => stepLines(sample, samples[i - 1]))
  const last = samples.at(-1)
  if (violation && last) {
    const whom = participantOf(last.event)
    lines.push(`Note over ${whom}: violated ${escaped(`${titleOf(violation)}: ${violation.what}`)}`)
  }
  const ids = participants(samples)
  return [
    'sequenceDiagram',
    ...ids.map((id) => `participant ${id} as ${aliasOf(id, actors)}`),
    ...joined(lines),
  ]
    .map((line, i) => (i === 0 ? line : `  ${line}`))
    .join('\n')
}

/** In the order from devices to silicon. */
function participants(samples: readonly Sample[]): string[] {
  const events = samples.map(({ event }) => event)
  const devices = events.filter(({ actor }) => actor.kind === 'device').map(participantOf)
  const vcpus = [...new Set(events.filter(({ actor }) => actor.kind !== 'device').map(threadOf))].sort()
  return [...new Set([...devices, ...vcpus.flatMap((vcpu) => [vcpu, guestOf(vcpu)]), SILICON])]
}

const aliasOf = (id: string, actors: readonly string[]): string => {
  if (id === SILICON) return 'GIC'
  if (id.startsWith('guest')) return `guest of vcpu${id.slice('guest'.length)}`
  return escaped(actors.find((name) => `dev_${idOf(name)}` === id) ?? id)
}

const idOf = (name: string): string => name.replaceAll(/\W/g, '_')

/** A vCPU's thread, which an event of the environment is about too. */
const threadOf = ({ actor }: StepEvent): string => `vcpu${actor.index}`
const guestOf = (vcpu: string): string => vcpu.replace('vcpu', 'guest')

function participantOf(event: StepEvent): string {
  if (event.actor.kind === 'device') return `dev_${idOf(event.actor.name)}`
  return event.actor.kind === 'vcpu' && event.place === 'guest' ? guestOf(threadOf(event)) : threadOf(event)
}

function stepLines({ event }: Sample, before: Sample | undefined): string[] {
  const { actor, what, accesses } = event
  const whom = participantOf(event)
  const says = escaped(what)
  if (actor.kind !== 'device' && actor.kind !== 'vcpu') return [`Note over ${whom}: ${says}`]
  const [action, exit] = says.split(' -#62; ')
  const accessLines = accesses.map((access) => {
    const text = `${access.name} ${escaped(describeAccess(access))}`
    return access.direction === 'write' ? `${whom}->>${SILICON}: ${text}` : `${SILICON}-->>${whom}: ${text}`
  })
  if (what === 'enters the guest') return [`${whom}->>${guestOf(whom)}: enters the guest`]
  if (exit !== undefined) return [`Note over ${whom}: ${action}`, `${whom}->>${threadOf(event)}: ${exit}`]
  const isSame = before && participantOf(before.event) === whom && before.event.place === event.place
  const place = event.place === '' || event.place === 'guest' || isSame ? '' : `${event.place}: `
  return [`Note over ${whom}: ${place}${says}`, ...accessLines]
}

/** Notes over the same participant, one after the other, become one. */
function joined(lines: readonly string[]): string[] {
  const all: string[] = []
  for (const line of lines) {
    const [, head, text] = /^(Note over \w+): (.*)$/.exec(line) ?? []
    const last = all.at(-1)
    const isViolation = text?.startsWith('violated ')
    if (head !== undefined && last?.startsWith(`${head}: `) && !isViolation)
      all[all.length - 1] = `${last}<br/>${text}`
    else all.push(line)
  }
  return all
}

/** Characters that Mermaid would interpret. */
const escaped = (text: string): string =>
  text.replaceAll(/[#;<>{}]/g, (char) => `#${char.charCodeAt(0)};`).replaceAll('\n', ' ')
