/** What the benchmarks report of their rounds. */

/** The value below which a part of the values are, from 0 to below 1. */
export const quantile = (values: readonly number[], part: number): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * part)]

/** The middle value; of an even number the upper one of the two. */
export const median = (values: readonly number[]): number => quantile(values, 0.5)

export const geomean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
