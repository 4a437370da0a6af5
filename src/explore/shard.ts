/** A part of an exploration, for a machine of its own: `'i/n'`, the i-th of n, counted from 0. */
import { argumentString } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'

export interface Shard {
  readonly name: string
  readonly index: number
  readonly count: number
}

/** The most parts of an exploration. */
const MOST_SHARDS = 1_000_000

/** Reads a shard; throws an `argument` error for a text that is none. */
export function shardOf(shard: string | undefined): Shard | undefined {
  if (shard === undefined) return undefined
  const [, index, count] = (/^(\d{1,7})\/(\d{1,7})$/.exec(argumentString('shard', shard)) ?? []).map(Number)
  if (!(index < count) || count > MOST_SHARDS)
    throw new VgicError('argument', `shard must be 'i/n' with i from 0 to n - 1, but is ${shard}.`)
  return { name: `${index}/${count}`, index, count }
}

/** Whether a piece of work, by its number, is of a shard. */
export const isOfShard = (shard: Shard | undefined, number: number): boolean =>
  shard === undefined || number % shard.count === shard.index
