/** Whatever a driver does to an ITS, to LPIs and to the memory that they are in. */
import fc from 'fast-check'
import { Gic, type GicErrorEvent, type OutputLine } from 'vgic'
import { describe, expect, it } from 'vitest'
import {
  boot,
  configuration,
  GITS,
  gicOn,
  HostMemory,
  program,
  regions,
  run,
  type Step,
} from './its-programs.ts'

const outputs: readonly OutputLine[] = ['irq', 'fiq', 'wakeRequest']

const levels = (gic: Gic): string[] =>
  Array.from({ length: gic.config.cpus }, (_, cpu) =>
    outputs.filter((line) => gic.line(cpu, line) === 1).map((line) => `${cpu} ${line}`),
  )
    .flat()
    .sort()

/** Everything that a history has to do with: what was read, the lines, the state, the memory. */
const history = (gic: Gic, memory: HostMemory, steps: readonly Step[]): unknown[] => [
  ...steps.map((s) => [run(gic, memory, s), ...levels(gic)]),
  gic.hash(),
  contents(memory),
]

const contents = ({ words }: HostMemory) =>
  [...words].filter(([, value]) => value !== 0).sort(([a], [b]) => a - b)

describe('a hostile driver of an ITS', () => {
  it('makes nothing throw; all that is derived equals what is recomputed, and the host hears every level', () => {
    fc.assert(
      fc.property(configuration, fc.boolean(), program(60), (config, booted, steps) => {
        const heard = new Set<string>()
        const memory = new HostMemory()
        const gic = gicOn(memory, config, {
          setLine(cpu, line, level) {
            if (heard.has(`${cpu} ${line}`) === (level === 1))
              throw new Error(`${cpu} ${line} is ${level} already`)
            if (level === 1) heard.add(`${cpu} ${line}`)
            else heard.delete(`${cpu} ${line}`)
          },
        })
        if (booted) boot(gic, memory)
        for (const s of steps) {
          run(gic, memory, s)
          const image = gic.snapshot()
          const { accesses } = memory
          const recomputed = Gic.from(image.slice(0), { memory }).snapshot()
          expect(memory.accesses).toBe(accesses)
          if (!Buffer.from(recomputed).equals(Buffer.from(image))) expect(gic.diff(recomputed)).toBe('equal')
          expect([...heard].sort()).toEqual(levels(gic))
        }
        gic.inspectTables()
        gic.explainMsi(1, 0)
      }),
      { numRuns: 120 },
    )
  })

  it('has one write of GITS_CWRITER carry out at most what fits into the queue, whatever is in it', () => {
    // Where commands lie under the tables that they write, they are written while they are carried out.
    const command = fc.tuple(
      fc.constantFrom(0x01, 0x03, 0x04, 0x08, 0x08, 0x09, 0x09, 0x0a, 0x0a, 0x0d, 0x0e, 0x0f, 0x2a),
      fc.nat(7),
      fc.nat(0xffff_ffff),
      fc.nat(3),
    )
    fc.assert(
      fc.property(fc.array(command, { minLength: 1, maxLength: 128 }), fc.nat(127), (commands, end) => {
        const memory = new HostMemory()
        const errors: GicErrorEvent[] = []
        const gic = gicOn(
          memory,
          { cpus: 2, its: [{ base: GITS }], lpis: 2048 },
          { onError: (event) => errors.push(event) },
        )
        boot(gic, memory)
        gic.writeMmio(GITS, 4, 0)
        gic.writeMmio(GITS + 0x88, 4, 0)
        gic.writeMmio64(GITS + 0x100, (1n << 63n) | BigInt(regions.queue))
        gic.writeMmio64(GITS + 0x80, (1n << 63n) | BigInt(regions.queue))
        gic.writeMmio(GITS, 4, 1)
        errors.length = 0
        for (const [i, [opcode, device, event, icid]] of commands.entries()) {
          const at = regions.queue + 32 * i
          memory.write(at, opcode)
          memory.write(at + 4, device)
          memory.write(at + 8, event)
          memory.write(at + 16, icid)
          memory.write(at + 20, 0x8000_0000 + (event & 0xffff))
        }
        memory.accesses = 0
        gic.writeMmio(GITS + 0x88, 4, 32 * end)
        expect(gic.readMmio(GITS + 0x90, 4)).toBe(32 * end)
        // Of a command: 8 words of itself, and fewer than 16 of tables; INVALL reads again what is pending.
        expect(memory.accesses).toBeLessThanOrEqual(end * 32)
        expect(errors.length).toBeLessThanOrEqual(end)
      }),
      { numRuns: 150 },
    )
  })

  it('that sees memory refused at random has stalls and events, and nothing worse', () => {
    const refusals = fc.array(fc.boolean(), { minLength: 1, maxLength: 97 })
    fc.assert(
      fc.property(configuration, program(50), refusals, (config, steps, refused) => {
        const memory = new HostMemory()
        let armed = false
        let asked = 0
        const gic = new Gic(config, {
          memory: {
            read32: (address) =>
              armed && refused[asked++ % refused.length] ? undefined : memory.read32(address),
            write32: (address, value) =>
              armed && refused[asked++ % refused.length] ? false : memory.write32(address, value),
          },
        })
        boot(gic, memory)
        armed = true
        for (const s of steps) {
          run(gic, memory, s)
          const image = gic.snapshot()
          const recomputed = Gic.from(image.slice(0)).snapshot()
          if (!Buffer.from(recomputed).equals(Buffer.from(image))) expect(gic.diff(recomputed)).toBe('equal')
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('a machine with an ITS', () => {
  it('that goes back to a snapshot, amid effects that lag, goes on identically with the memory of then', () => {
    fc.assert(
      fc.property(configuration, program(40), program(40), program(40), (config, before, other, after) => {
        const memory = new HostMemory()
        const gic = gicOn(memory, config)
        boot(gic, memory)
        history(gic, memory, before)
        const image = gic.snapshot()
        const words = new Map(memory.words)
        const once = history(gic, memory, after)
        history(gic, memory, other)
        memory.words = new Map(words)
        gic.restore(image)
        expect(gic.diff(image)).toEqual([])
        expect(history(gic, memory, after)).toEqual(once)
        const again = new HostMemory()
        again.words = words
        expect(history(Gic.from(image, { memory: again }), again, after)).toEqual(once)
      }),
      { numRuns: 50 },
    )
  })

  it('whose effects lag, and are complete after every step, is the one whose effects are at once', () => {
    const withoutEffects = program(60).map((steps) => steps.filter(({ k }) => k !== 'complete'))
    fc.assert(
      fc.property(configuration, withoutEffects, (config, steps) => {
        const machines = (['at-once', 'lagging'] as const).map((writeEffects) => {
          const memory = new HostMemory()
          const gic = gicOn(memory, { ...config, writeEffects })
          boot(gic, memory)
          return { gic, memory }
        })
        const [direct, late] = machines
        for (const s of steps) {
          for (const { gic, memory } of machines) run(gic, memory, s)
          late.gic.completeWrites()
          expect(late.gic.effects()).toEqual([])
          expect(levels(late.gic)).toEqual(levels(direct.gic))
          expect(contents(late.memory)).toEqual(contents(direct.memory))
          expect(late.gic.inspectTables()).toEqual(direct.gic.inspectTables())
        }
      }),
      { numRuns: 50 },
    )
  })
})
