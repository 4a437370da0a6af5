/** A machine that goes back to a snapshot, or comes out of one, goes on as the one that it was taken of. */
import fc from 'fast-check'
import { Gic } from 'vgic'
import { describe, expect, it } from 'vitest'
import {
  configuration,
  Guest,
  gicOf,
  program,
  run,
  type Step,
} from './cpu-interface/virtual-interface-programs.ts'

/** Everything that a guest and the lines say while a program runs, and the state at its end. */
function history(gic: Gic, steps: readonly Step[]): unknown[] {
  const guest = new Guest()
  const answers = steps.map((step) => [
    run(gic, guest, step),
    gic.line(0, 'virq'),
    gic.line(0, 'vfiq'),
    gic.line(0, 'maintenance'),
  ])
  return [...answers, gic.wfi(0), gic.lastTrap, gic.hash()]
}

describe('a snapshot', () => {
  it('restored after another history goes on identically', () => {
    fc.assert(
      fc.property(configuration, program(40), program(40), program(40), (config, before, other, after) => {
        const gic = gicOf(config)
        history(gic, before)
        const image = gic.snapshot()
        const hash = gic.hash()
        const once = history(gic, after)
        history(gic, other)
        gic.restore(image)
        expect(gic.hash()).toBe(hash)
        expect(gic.diff(image)).toEqual([])
        expect(history(gic, after)).toEqual(once)
      }),
    )
  })

  it('opened with from() goes on identically, with the same configuration, and apart from the first', () => {
    fc.assert(
      fc.property(configuration, program(40), program(40), (config, before, after) => {
        const gic = gicOf(config)
        history(gic, before)
        const image = gic.snapshot()
        const twin = Gic.from(image.slice(0))
        expect(twin.config).toEqual(gic.config)
        expect(twin.hash()).toBe(gic.hash())
        const once = history(twin, after)
        expect(gic.diff(image)).toEqual([])
        expect(history(gic, after)).toEqual(once)
        expect(new Uint8Array(twin.snapshot())).toEqual(new Uint8Array(gic.snapshot()))
      }),
    )
  })

  it('is a copy: what the machine does afterwards does not change it', () => {
    fc.assert(
      fc.property(configuration, program(20), (config, steps) => {
        const gic = gicOf(config)
        const image = gic.snapshot()
        const bytes = new Uint8Array(image.slice(0))
        history(gic, steps)
        expect(new Uint8Array(image)).toEqual(bytes)
      }),
    )
  })

  it('equal histories give equal images and hashes', () => {
    fc.assert(
      fc.property(configuration, program(60), (config, steps) => {
        const [one, two] = [gicOf(config), gicOf(config)]
        expect(history(one, steps)).toEqual(history(two, steps))
        expect(new Uint8Array(one.snapshot())).toEqual(new Uint8Array(two.snapshot()))
      }),
    )
  })
})
