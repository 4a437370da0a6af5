import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  FIRST_LPI,
  FIRST_PPI,
  FIRST_SPECIAL,
  FIRST_SPI,
  INTID_NONE,
  intidName,
  intidRanges,
  isSpecial,
  rangeOf,
} from '../../../src/arch/intid.ts'

const inventory = JSON.parse(
  readFileSync(new URL('../../fixtures/registers.json', import.meta.url), 'utf8'),
) as { intid: { ranges: [string, number, number | null][]; special: Record<string, string> } }

describe('INTIDs', () => {
  it('fall into the ranges of the inventory', () => {
    expect(intidRanges.map(({ name, first, last }) => [name, first, last])).toEqual(inventory.intid.ranges)
  })

  it('at both ends of every range belong to it, and those just outside do not', () => {
    for (const { name, first, last } of intidRanges) {
      expect(rangeOf(first)).toBe(name)
      expect(rangeOf(first - 1)).not.toBe(name)
      expect(rangeOf(last ?? 2 ** 24 - 1)).toBe(name)
      if (last !== null) expect(rangeOf(last + 1)).not.toBe(name)
    }
  })

  it('between the ranges are reserved', () => {
    for (const intid of [1024, 1055, 1120, 4095, 5120, 8191]) expect(rangeOf(intid)).toBe('reserved')
  })

  it('are named by range and number', () => {
    expect([3, 27, 40, 1023, 1024, 1056, 4096, 8192].map(intidName)).toEqual([
      'SGI 3',
      'PPI 27',
      'SPI 40',
      'special 1023',
      'reserved 1024',
      'EPPI 1056',
      'ESPI 4096',
      'LPI 8192',
    ])
  })

  it('are special from 1020 to 1023 only', () => {
    const special = Array.from({ length: 9000 }, (_, intid) => intid).filter(isSpecial)
    expect(special).toEqual(Object.keys(inventory.intid.special).map(Number))
  })

  it('have boundaries that hot code compares with', () => {
    const firstOf = (name: string) => intidRanges.find((range) => range.name === name)?.first
    expect([FIRST_PPI, FIRST_SPI, FIRST_SPECIAL, FIRST_LPI]).toEqual(
      ['PPI', 'SPI', 'special', 'LPI'].map(firstOf),
    )
    expect(INTID_NONE).toBe(intidRanges.find(({ name }) => name === 'special')?.last)
  })
})
