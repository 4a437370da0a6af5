/** What the benchmarks report of their rounds. */
import { describe, expect, it } from 'vitest'
import { geomean, median, quantile } from '../../../bench/statistics.ts'

describe('of the rounds of a benchmark', () => {
  it('the median is the middle one, or midway between the two in the middle', () => {
    expect(median([7])).toBe(7)
    expect(median([10, 9, 1])).toBe(9)
    expect(median([10, 1, 4, 2])).toBe(3)
  })

  it('a quantile is between its neighbours', () => {
    const values = [5, 3, 1, 2, 4]
    expect([0, 0.25, 0.6, 1].map((part) => quantile(values, part))).toEqual([1, 2, 3.4, 5])
    expect(values).toEqual([5, 3, 1, 2, 4])
  })

  it('the geometric mean is the root of their product', () => {
    expect(geomean([2, 8])).toBeCloseTo(4, 12)
  })
})
