/** The constants that code has of the records: their modules are generated, and have what the rows say. */
import { describe, expect, it } from 'vitest'
import { distributorRows, pendingSummaryRows, spiBlockRows } from '../../../src/gic/records/interrupts.ts'
import * as interrupts from '../../../src/gic/records/interrupts-offsets.ts'
import { interfaceConstants, peRows } from '../../../src/gic/records/pe.ts'
import * as pe from '../../../src/gic/records/pe-offsets.ts'
import { pstateConstants } from '../../../src/gic/records/pstate.ts'
import * as pstate from '../../../src/gic/records/pstate-bits.ts'
import { type Constant, offsetConstants, sizeConstant } from '../../../src/state/rows.ts'

const values = (constants: readonly Constant[]): Record<string, number> =>
  Object.fromEntries(constants.map(({ name, value }) => [name, value]))

describe('the constants', () => {
  it('of a PE: its words, and what its two CPU interfaces have at the same distance from their handles', () => {
    expect({ ...pe }).toEqual(values([...offsetConstants(peRows), ...interfaceConstants()]))
    for (const { says } of interfaceConstants()) expect(says).toMatch(/^[A-Z].*\.$/)
  })

  it('of PSTATE', () => {
    expect({ ...pstate }).toEqual(values(pstateConstants()))
  })

  it('of the interrupts that the distributor keeps', () => {
    expect({ ...interrupts }).toEqual(
      values([
        ...offsetConstants(spiBlockRows),
        sizeConstant('SPI_BLOCK_WORDS', spiBlockRows),
        ...offsetConstants(distributorRows),
        ...offsetConstants(pendingSummaryRows),
      ]),
    )
  })
})
