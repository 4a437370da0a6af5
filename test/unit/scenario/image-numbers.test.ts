/** What a saved VM has in JSON, as numbers in words of an image. */
import { describe, expect, it } from 'vitest'
import { NumbersReader, numbersOf } from '../../../src/scenario/image-numbers.ts'

const device = {
  id: 7,
  bits: 16,
  itt: '0xf0000fff00',
  events: [
    { id: 0, intid: 8192, icid: 0 },
    { id: 0xffff, intid: 0xffff },
  ],
}

describe('mappings and pending LPIs as numbers', () => {
  it.each([
    ['nothing', { mappings: [], pending: [[]] }],
    ['what is in the guest’s memory', { mappings: [null], pending: [null, null] }],
    [
      'a disabled ITS between enabled ones, and pending LPIs of one vCPU',
      {
        mappings: [null, { devices: [device], collections: [{ icid: 0, vcpu: 1 }, { icid: 77 }] }, null],
        pending: [null, [8192, 8200]],
      },
    ],
    ['an ITS with nothing mapped', { mappings: [{ devices: [], collections: [] }], pending: [[]] }],
  ])('are read back: %s', (_what, saved) => {
    const words = Int32Array.from([-1, ...numbersOf(saved)])
    expect(new NumbersReader(words, 1).read(saved.mappings.length, saved.pending.length)).toEqual(saved)
  })
})
