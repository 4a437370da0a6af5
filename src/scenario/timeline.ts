/** Prints a run: virtual time, actor, steps, register accesses, and list registers decoded. */
import { describeRegister } from '../arch/field.ts'
import { describeListRegister, registerByEncoding } from '../arch/register-value.ts'
import type { Access, ListRegisterChange, StepEvent } from './step-events.ts'

const TIME_WIDTH = 5

/**
 * The events as a table. Steps of the same actor at the same place that have no accesses to show share a line.
 * `leftOut` is the number of steps before these.
 */
export function timeline(events: readonly StepEvent[], leftOut = 0): string {
  const actorWidth = events.reduce((width, { actor }) => Math.max(width, actor.name.length), 5)
  const placeWidth = events.reduce((width, { place }) => Math.max(width, place.length), 5)
  const indent = ' '.repeat(TIME_WIDTH + actorWidth + placeWidth + 6)
  const lines = [row('time', 'actor', 'place', 'step')]
  if (leftOut > 0) lines.push(`  ...  ${leftOut} steps are left out: timeline({ from, to }) shows any part`)
  for (const group of grouped(events)) {
    const { time, actor, place } = group[0]
    lines.push(row(String(time), actor.name, place, group.map(({ what }) => what).join(' · ')))
    for (const event of group) {
      for (const access of event.accesses) lines.push(`${indent}${accessLine(access)}`)
      for (const change of event.listRegisters) lines.push(`${indent}${changeLine(change)}`)
    }
  }
  return lines.map((line) => line.trimEnd()).join('\n')

  function row(time: string, actor: string, place: string, what: string): string {
    return `${time.padStart(TIME_WIDTH)}  ${actor.padEnd(actorWidth)}  ${place.padEnd(placeWidth)}  ${what}`
  }
}

function grouped(events: readonly StepEvent[]): StepEvent[][] {
  const groups: StepEvent[][] = []
  for (const event of events) {
    const group = groups.at(-1)
    const last = group?.at(-1)
    const joins =
      last &&
      last.actor === event.actor &&
      last.place === event.place &&
      isPlain(last) &&
      event.place !== 'guest'
    if (group && joins) group.push(event)
    else groups.push([event])
  }
  return groups
}

const isPlain = ({ accesses, listRegisters }: StepEvent): boolean =>
  accesses.length === 0 && listRegisters.length === 0

/** `<- ICH_VMCR_EL2  VPMR=0xf0 ...` for a read by the hypervisor, `->` for a write. */
function accessLine(access: Access): string {
  const arrow = access.direction === 'read' && access.kind !== 'its' ? '<-' : '->'
  return `${arrow} ${access.name.padEnd(15)} ${describeAccess(access)}`
}

/** The value of an access in words: the fields of a command or a system register, or a number. */
export function describeAccess(access: Access): string {
  const { kind, register, name, low, high, text } = access
  if (kind === 'its') return fieldsText(access.fields)
  return text ?? valueText(kind, register, name, low, high)
}

const fieldsText = (fields: Readonly<Record<string, number>>): string =>
  Object.entries(fields)
    .map(([field, value]) => `${field}=${value < 10 ? value : `0x${value.toString(16)}`}`)
    .join(' ')

function valueText(kind: Access['kind'], register: number, name: string, low: number, high: number): string {
  if (kind === 'mmio' || kind === 'table') return halvesText(low, high)
  if (name.startsWith('ICH_LR')) return describeListRegister(low, high)
  return describeRegister(registerByEncoding(register).views[0], low, high)
}

const halvesText = (low: number, high: number): string =>
  high === 0
    ? `0x${(low >>> 0).toString(16)}`
    : `0x${(high >>> 0).toString(16)}${(low >>> 0).toString(16).padStart(8, '0')}`

/** `LR0  pending => active  (SPI 40 ...)`, or both contents in full if it is not the same interrupt any more. */
function changeLine({ number, before, after }: ListRegisterChange): string {
  const name = `   LR${number}`.padEnd(19)
  const [was, is] = [describeListRegister(...before), describeListRegister(...after)]
  const [oldState, oldRest] = stateAndRest(was)
  const [newState, newRest] = stateAndRest(is)
  return oldRest === newRest ? `${name}${oldState} => ${newState}  (${newRest})` : `${name}${was} => ${is}`
}

function stateAndRest(text: string): [state: string, rest: string] {
  const space = text.indexOf(' ')
  return space < 0 ? [text, ''] : [text.slice(0, space), text.slice(space + 1)]
}
