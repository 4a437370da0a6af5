/**
 * After a step only those invariants are asked that it may have violated: of the others it is known that they hold
 * (src/explore/step-checks.ts). Here all are asked after every step of random walks through the museum's scenarios: where the
 * checks have found nothing, they find nothing either.
 */
import { museum } from 'vgic/explore'
import { describe, expect, it } from 'vitest'
import { checkBounds } from '../../../src/explore/bounds.ts'
import { InvariantChecker } from '../../../src/explore/invariants.ts'
import { LpiInvariants } from '../../../src/explore/lpi-invariants.ts'
import type { MuseumEntry } from '../../../src/explore/museum/entry.ts'
import { RandomNumbers } from '../../../src/explore/random-numbers.ts'
import { ResidencyInvariants } from '../../../src/explore/residency-invariants.ts'
import { Search } from '../../../src/explore/search.ts'
import type { Design } from '../../../src/scenario.ts'

const STEPS = 6000
const SEED = 1

/** Walks, and returns what is wrong after a step whose checks have found nothing. */
function missed({ scenario, bounds }: MuseumEntry, design: Design): string[] {
  const machine = scenario(design).machine().internals
  const { invariants: _, own: __, ...budget } = bounds
  const search = new Search(machine, checkBounds(budget))
  const { stack } = search
  const checker = new InvariantChecker(machine)
  const lpis = new LpiInvariants(machine)
  const residency = new ResidencyInvariants(machine)
  const numbers = new RandomNumbers(SEED)
  const found: string[] = []
  search.begin()
  search.push(0)
  for (let step = 0; step < STEPS; step++) {
    const ready = [...search.actors.keys()].filter((actor) => search.canStep(actor))
    if (ready.length > 0) {
      search.step(ready[numbers.below(ready.length)])
      if (search.check() === undefined) {
        const all = [checker.requestSeen(), checker.lostEdge(), checker.missing(0), checker.listed()]
        if (lpis.present)
          all.push(lpis.freed(), lpis.miscounted(), lpis.misdirected(stack.top), lpis.staleTranslation())
        if (residency.present) all.push(...ofResidency(residency, stack.top))
        for (const what of all) if (what !== undefined) found.push(what)
        search.push(0)
        continue
      }
      stack.undo(search.changes)
    }
    while (stack.depth > 0) stack.pop()
  }
  return found
}

const ofResidency = (residency: ResidencyInvariants, before: Int32Array): (string | undefined)[] => [
  residency.residencyRegisters(),
  residency.mappedVpes(),
  residency.onePlace(),
  residency.residentInGuest(),
  residency.awayWhileWaiting(),
  residency.notOverwritten(before),
  residency.announcedAsleep(),
  residency.noDoorbellInGuest(),
  residency.oneWay(),
  residency.oneOwner(),
  residency.doorbellOnItsWay(),
  residency.presented(),
  residency.groupsToldToVpe(),
]

/** A VM that is being restored is checked at the end of that, and not by what it is before. */
const restores = ({ scenario, good }: MuseumEntry): boolean =>
  scenario(good)
    .machine()
    .internals.devices.some(({ steps }) => steps.some(({ restore }) => restore))

describe('invariants that are not asked after a step', () => {
  const entries = museum.filter((entry) => !restores(entry))

  it.each(entries.map((entry) => [entry.id, entry] as const))('hold, in %s', (_id, entry) => {
    expect(missed(entry, entry.good)).toEqual([])
    expect(missed(entry, entry.bug)).toEqual([])
  })
})
