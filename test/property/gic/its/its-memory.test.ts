/** The two sides of the memory seam: a host's memory, and the pool of lines that a GIC keeps itself. */
import fc from 'fast-check'
import { Gic, type GicErrorEvent } from 'vgic'
import { describe, expect, it } from 'vitest'
import { boot, configuration, GITS, HostMemory, program, run, type Store } from './its-programs.ts'

const LINES = 4096

describe('a GIC on a host’s memory and one on its own', () => {
  it('are the same machine: registers, lines, tables, errors, and every word of memory', () => {
    fc.assert(
      fc.property(configuration, program(60), (config, steps) => {
        const memory = new HostMemory()
        const heard: [GicErrorEvent[], GicErrorEvent[]] = [[], []]
        const hosted = new Gic(config, { memory, onError: (event) => heard[0].push(event) })
        const own = new Gic({ ...config, memoryLines: LINES }, { onError: (event) => heard[1].push(event) })
        const pool: Store = {
          read: (address) => own.readMemory(address),
          write: (address, value) => own.writeMemory(address, value),
        }
        boot(hosted, memory)
        boot(own, pool)
        for (const s of steps) {
          expect(run(own, pool, s)).toEqual(run(hosted, memory, s))
          const lines = (gic: Gic) =>
            Array.from({ length: gic.config.cpus }, (_, cpu) => gic.line(cpu, 'irq'))
          expect(lines(own)).toEqual(lines(hosted))
        }
        expect(own.inspectTables()).toEqual(hosted.inspectTables())
        expect(heard[1]).toEqual(heard[0])
        for (const [address, value] of memory.words) expect(own.readMemory(address)).toBe(value)
        // The image has the memory, too.
        const copy = Gic.from(own.snapshot())
        for (const [address, value] of memory.words) expect(copy.readMemory(address)).toBe(value)
      }),
      { numRuns: 60 },
    )
  })
})

describe('the pool', () => {
  const address = fc
    .oneof(fc.nat(400), fc.constantFrom(0x1000_0000, 0x7fff_fff0, 0x8000_0000, 2 ** 40, 2 ** 50))
    .chain((base) => fc.nat(20).map((n) => 4 * (Math.floor(base / 4) + n)))
  const write = fc.record({ address, value: fc.oneof(fc.constant(0), fc.nat(0xffff_ffff)) })
  const gicOf = (memoryLines: number) => new Gic({ cpus: 1, lpis: 4, its: [{ base: GITS }], memoryLines })

  it('is the same words whatever the order in which the same contents were written', () => {
    fc.assert(
      fc.property(
        fc.array(write, { maxLength: 60 }),
        fc.array(write, { maxLength: 20 }),
        (writes, others) => {
          const contents = new Map(writes.map(({ address: at, value }) => [at, value]))
          const one = gicOf(128)
          for (const { address: at, value } of writes) one.writeMemory(at, value)
          const two = gicOf(128)
          for (const { address: at, value } of others) two.writeMemory(at, value)
          for (const { address: at } of others) two.writeMemory(at, 0)
          for (const [at, value] of [...contents].sort(([a], [b]) => b - a)) two.writeMemory(at, value)
          for (const [at, value] of contents) expect([at, one.readMemory(at)]).toEqual([at, value])
          expect(Buffer.from(two.snapshot()).equals(Buffer.from(one.snapshot()))).toBe(true)
        },
      ),
    )
  })

  it('holds as many lines as it has: a write that needs one more is refused and changes nothing', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.array(write, { maxLength: 60 }), (lines, writes) => {
        const gic = gicOf(lines)
        const contents = new Map<number, number>()
        const used = () =>
          new Set([...contents].flatMap(([at, value]) => (value === 0 ? [] : [Math.floor(at / 64)])))
        for (const { address: at, value } of writes) {
          const before = gic.hash()
          const fits = value === 0 || used().has(Math.floor(at / 64)) || used().size < lines
          if (fits) {
            gic.writeMemory(at, value)
            contents.set(at, value)
          } else {
            expect(() => gic.writeMemory(at, value)).toThrow('lines of the GIC')
            expect(gic.hash()).toBe(before)
          }
          for (const [each, held] of contents) expect(gic.readMemory(each)).toBe(held)
        }
      }),
    )
  })
})
