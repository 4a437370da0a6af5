/** Snapshots of a GIC that hypervisors and guests use at random: they hold the whole state. */
import fc from 'fast-check'
import { Gic, type GicConfig, HCR_EL2, ICH_HCR_EL2, iccRegisters, ichLr, ichRegisters } from 'vgic'
import { describe, expect, it } from 'vitest'

const CPUS = 2
const config: GicConfig = { version: '4.1', cpus: CPUS, listRegisters: 3, priorityBits: 7, preemptionBits: 7 }
const encodings = [...iccRegisters, ...ichRegisters].map(({ encoding }) => encoding).concat(HCR_EL2)

/** One thing that happens on a CPU: an MRS, an MSR, or something without operands. */
interface Step {
  readonly cpu: number
  readonly op: 'read' | 'write' | 'wfi' | 'wfe' | 'enter guest' | 'unmask IRQ' | 'look at lines'
  readonly encoding: number
  readonly el: number
  readonly value: bigint
}

/** Does a step; returns what it shows. */
function perform(gic: Gic, { cpu, op, encoding, el, value }: Step): unknown {
  if (op === 'read') return [gic.readSysreg64(cpu, encoding, el), gic.lastTrap]
  if (op === 'wfi') return gic.wfi(cpu)
  if (op === 'wfe') return gic.wfe(cpu)
  if (op === 'look at lines')
    return [gic.line(cpu, 'virq'), gic.line(cpu, 'vfiq'), gic.line(cpu, 'maintenance')]
  if (op === 'enter guest') return gic.setExceptionLevel(cpu, 1)
  if (op === 'unmask IRQ') return gic.setMasks(cpu, { irq: false, fiq: true })
  gic.writeSysreg64(cpu, encoding, value, el)
  return gic.lastTrap
}

const word = fc.oneof(
  fc.bigInt({ min: 0n, max: 48n }),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(1023n, 8192n, 0xf84c000bn),
)
/** A list register with a state, a group, a priority and an INTID as software writes them. */
const listRegister = fc
  .record({
    flags: fc.bigInt({ min: 0n, max: 15n }),
    priority: fc.bigInt({ min: 0n, max: 31n }),
    vintid: fc.constantFrom(3n, 27n, 40n, 41n, 8192n, 1021n),
    pintid: fc.constantFrom(0n, 40n, 0x200n),
  })
  .map((f) => (f.flags << 60n) | (f.priority << 51n) | (f.pintid << 32n) | f.vintid)

const cpu = fc.nat(CPUS - 1)
const access = (op: Step['op'], encoding: fc.Arbitrary<number>, el: number[], value: fc.Arbitrary<bigint>) =>
  fc.record({ cpu, op: fc.constant(op), encoding, el: fc.constantFrom(...el), value })
const step: fc.Arbitrary<Step> = fc.oneof(
  access('read', fc.constantFrom(...encodings), [1, 1, 2], fc.constant(0n)),
  access('write', fc.constantFrom(...encodings), [1, 1, 2], word),
  access('write', fc.nat(2).map(ichLr), [2], listRegister),
  access('write', fc.constant(HCR_EL2), [2], fc.constantFrom(0x18n, 0x6018n, 0x98n, 0x58n)),
  access('write', fc.constant(ICH_HCR_EL2), [2], fc.constantFrom(1n, 0xffn)),
  ...(['wfi', 'wfe', 'enter guest', 'unmask IRQ', 'look at lines'] as const).map((op) =>
    access(op, fc.constant(0), [1], fc.constant(0n)),
  ),
)
const steps = fc.array(step, { maxLength: 40 })

const run = (gic: Gic, program: readonly Step[]): unknown[] => program.map((s) => perform(gic, s))
const bytes = (gic: Gic) => new Uint8Array(gic.snapshot())

function gicAfter(program: readonly Step[]): Gic {
  const gic = new Gic(config)
  for (let cpu = 0; cpu < CPUS; cpu++) {
    gic.writeSysreg(cpu, HCR_EL2, 0x18, 2)
    gic.writeSysreg(cpu, ICH_HCR_EL2, 1, 2)
    gic.setExceptionLevel(cpu, 1)
  }
  run(gic, program)
  return gic
}

describe('a snapshot', () => {
  it('gives back the same GIC, to the last bit', () => {
    fc.assert(
      fc.property(steps, (program) => {
        const gic = gicAfter(program)
        const copy = Gic.from(gic.snapshot())
        expect(bytes(copy)).toEqual(bytes(gic))
        expect(copy.config).toEqual(gic.config)
        expect(copy.hash()).toBe(gic.hash())
        expect(copy.diff(gic.snapshot())).toEqual([])
      }),
    )
  })

  it('continues identically: what software sees and the state that it leaves are the same', () => {
    fc.assert(
      fc.property(steps, steps, (before, later) => {
        const gic = gicAfter(before)
        const copy = Gic.from(gic.snapshot())
        expect(run(copy, later)).toEqual(run(gic, later))
        expect(copy.hash()).toBe(gic.hash())
        expect(copy.diff(gic.snapshot())).toEqual([])
        expect(bytes(copy)).toEqual(bytes(gic))
      }),
      { numRuns: 300 },
    )
  })

  it('does not change when the GIC that it is of goes on', () => {
    fc.assert(
      fc.property(steps, steps, (before, later) => {
        const gic = gicAfter(before)
        const image = gic.snapshot()
        const kept = new Uint8Array(image.slice(0))
        run(gic, later)
        expect(new Uint8Array(image)).toEqual(kept)
      }),
    )
  })

  it('is restored whatever happened since, and replays identically', () => {
    fc.assert(
      fc.property(steps, steps, (before, later) => {
        const gic = gicAfter(before)
        const image = gic.snapshot()
        const first = run(gic, later)
        const end = bytes(gic)
        gic.restore(image)
        expect(bytes(gic)).toEqual(new Uint8Array(image))
        expect(run(gic, later)).toEqual(first)
        expect(bytes(gic)).toEqual(end)
      }),
    )
  })
})

describe('two states', () => {
  it('have an empty diff exactly if their hashes are equal, and the diff turns round', () => {
    let equal = 0
    fc.assert(
      fc.property(steps, fc.array(step, { maxLength: 2 }), (program, more) => {
        const [a, b] = [gicAfter(program), gicAfter(program)]
        run(b, more)
        const differences = b.diff(a.snapshot())
        expect(differences.length === 0).toBe(a.hash() === b.hash())
        for (const { before, after } of differences) expect(before).not.toBe(after)
        const turned = differences.map(({ before, after, ...name }) => ({
          ...name,
          before: after,
          after: before,
        }))
        expect(a.diff(b.snapshot())).toEqual(turned)
        if (differences.length === 0) equal++
      }),
      { numRuns: 1000 },
    )
    expect(equal).toBeGreaterThan(0)
    expect(equal).toBeLessThan(1000)
  })

  it('are equal if the CPUs did the same work, however it was interleaved', () => {
    fc.assert(
      fc.property(steps, steps, (before, program) => {
        const [mixed, sorted] = [gicAfter(before), gicAfter(before)]
        run(mixed, program)
        for (let cpu = 0; cpu < CPUS; cpu++)
          run(
            sorted,
            program.filter((s) => s.cpu === cpu),
          )
        expect(sorted.diff(mixed.snapshot())).toEqual([])
        expect(sorted.hash()).toBe(mixed.hash())
      }),
    )
  })
})
