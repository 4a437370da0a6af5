/**
 * Schedule tokens: which actor took each step of a run, as text to copy and paste. `12ab~0x7.3.0x2` is the scenario's
 * digest, then actors by number, with a count where one takes several steps in a row.
 */
import { shown } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'

/** Writes a schedule. */
export function writeSchedule(digest: number, actors: readonly number[]): string {
  const runs: string[] = []
  for (let i = 0; i < actors.length; ) {
    let end = i
    while (end < actors.length && actors[end] === actors[i]) end++
    const actor = actors[i].toString(36)
    runs.push(end - i === 1 ? actor : `${actor}x${end - i}`)
    i = end
  }
  return `${(digest >>> 0).toString(16)}~${runs.join('.')}`
}

/** Reads a schedule. Throws an `argument` error for text that is not a schedule, or that is of another scenario. */
export function readSchedule(digest: number, actorCount: number, schedule: string): number[] {
  const refuse = (why: string) =>
    new VgicError('argument', `The schedule ${why}: paste it whole, as the report printed it.`)
  if (typeof schedule !== 'string')
    throw new VgicError(
      'argument',
      `schedule must be a string, such as violation.schedule, but is ${shown(schedule)}.`,
    )
  const [owner, runs, ...rest] = schedule.split('~')
  if (runs === undefined || rest.length > 0) throw refuse('has no single ~')
  if (owner !== (digest >>> 0).toString(16)) throw refuse('is of another scenario, design or bounds')
  if (runs === '') return []
  return runs.split('.').flatMap((run) => {
    const match = /^([0-9a-w]+)(?:x(\d{1,7}))?$/.exec(run)
    const actor = match ? Number.parseInt(match[1], 36) : Number.NaN
    if (!(actor < actorCount)) throw refuse(`has no actor ${run}`)
    return Array.from({ length: Number(match?.[2] ?? 1) }, () => actor)
  })
}
