/** What the benchmarks report of their rounds. */

/** The value that a part of the values are below, from 0 to 1; between two of them if need be. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const place = part * (sorted.length - 1)
  const below = sorted[Math.floor(place)]
  return below + (sorted[Math.ceil(place)] - below) * (place % 1)
}

/** The middle value; of an even number, what is midway between the two. */
export const median = (values: readonly number[]): number => quantile(values, 0.5)

export const geomean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
