/** The question that a hypervisor's model asks before it evaluates the maintenance interrupt. */
import fc from 'fast-check'
import { scenario } from 'vgic/scenario'
import { expect, it } from 'vitest'

const PENDING = 0x4000_0000
const STATES = [0, PENDING, 0x8000_0000 | 0, 0xc000_0000 | 0]
/** HW, Group and EOI. */
const FLAGS = [0, 0x200, 0x2000_0000, 0x1000_0200]
const highs = (states: readonly number[], flags: readonly number[]) => {
  const high = fc.tuple(fc.constantFrom(...states), fc.constantFrom(...flags)).map(([a, b]) => a | b)
  return fc.tuple(high, high, high, high)
}
/** List registers in any state, and those of which none can have had its EOI: empty and pending ones. */
const listRegisters = fc.oneof(highs(STATES, FLAGS), highs([0, PENDING], [0]))

it('the maintenance interrupt is not asserted where it is said that it need not be looked at', () => {
  const { silicon, words } = scenario('maintenance').vm({ vcpus: 1 }).machine().hypervisor
  const { ich, virtualInterface } = silicon
  const pe = silicon.peOf(0)
  // UIE, LRENPIE, NPIE and those of the groups; EOIcount of 0 to 3.
  const hcr = fc.tuple(fc.integer({ min: 0, max: 0xff }), fc.integer({ min: 0, max: 3 }))
  fc.assert(
    fc.property(listRegisters, hcr, fc.integer({ min: 0, max: 3 }), (lrs, [enables, count], vmcr) => {
      for (const [n, each] of lrs.entries()) ich.writeLr(pe, n, 40 + n, each)
      ich.writeHcr(words, pe, enables | (count << 27))
      ich.writeVmcr(ich.words, pe, vmcr)
      const isMissed = virtualInterface.maintenanceLine(pe) && !virtualInterface.mayNeedMaintenance(words, pe)
      expect(isMissed).toBe(false)
    }),
    { numRuns: 1000 },
  )
})
