/** The physical side under random programs on 1 to 8 CPUs. */
import fc from 'fast-check'
import {
  type Gic,
  Gic as GicClass,
  ICC_BPR0_EL1,
  ICC_BPR1_EL1,
  ICC_CTLR_EL1,
  ICC_EOIR1_EL1,
  ICC_HPPIR0_EL1,
  ICC_HPPIR1_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_RPR_EL1,
  ICC_SGI1R_EL1,
  type OutputLine,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { GICD, redistributor } from '../../../kit/frames.ts'
import {
  affinityOf,
  bitOf,
  boot,
  configuration,
  gicOf,
  Kernel,
  priorityOf,
  program,
  route,
  routeOf,
  run,
  type Step,
  writeBits,
} from './physical-programs.ts'

const SPURIOUS = 1023
/** Every interrupt of the configuration that a PE can have. */
const all = Array.from({ length: 141 }, (_, intid) => intid)

/** What a PE has, worked out from the registers that software reads, interrupt by interrupt. */
function evaluate(
  gic: Gic,
  cpu: number,
): { hppi0: number; hppi1: number; irq: number; fiq: number; wakeRequest: number } {
  const read = (register: number) => gic.readSysreg(cpu, register, 1)
  const asleep = (gic.readMmio(redistributor(cpu) + 0x14, 4) & 4) !== 0
  const ctlr = gic.readMmio(GICD, 4)
  let best = { intid: SPURIOUS, group: -1, priority: 0x100 }
  for (const intid of all) {
    if (intid >= 32 && routeOf(gic, intid) !== affinityOf(gic, cpu)) continue
    const group = bitOf(gic, 'IGROUPR', intid, cpu) ? 1 : 0
    const isForwarded =
      bitOf(gic, 'ISPENDR', intid, cpu) &&
      bitOf(gic, 'ISENABLER', intid, cpu) &&
      !bitOf(gic, 'ISACTIVER', intid, cpu) &&
      (ctlr & (1 << group)) !== 0 &&
      (asleep || read(group === 0 ? ICC_IGRPEN0_EL1 : ICC_IGRPEN1_EL1) === 1)
    const priority = priorityOf(gic, intid, cpu)
    if (isForwarded && priority < best.priority) best = { intid, group, priority }
  }
  if (asleep || best.group < 0) {
    return { hppi0: SPURIOUS, hppi1: SPURIOUS, irq: 0, fiq: 0, wakeRequest: best.group < 0 ? 0 : 1 }
  }
  const usesBpr1 = best.group === 1 && (read(ICC_CTLR_EL1) & 1) === 0
  // Group 0 splits below its binary point, group 1 at it.
  const mask = usesBpr1 ? 0xff << read(ICC_BPR1_EL1) : 0xff << (read(ICC_BPR0_EL1) + 1)
  const running = read(ICC_RPR_EL1)
  const isSignalled =
    best.priority < read(ICC_PMR_EL1) && (running === 0xff || (best.priority & mask) < running)
  return {
    hppi0: best.group === 0 ? best.intid : SPURIOUS,
    hppi1: best.group === 1 ? best.intid : SPURIOUS,
    irq: isSignalled && best.group === 1 ? 1 : 0,
    fiq: isSignalled && best.group === 0 ? 1 : 0,
    wakeRequest: 0,
  }
}

const outputs: readonly OutputLine[] = ['irq', 'fiq', 'virq', 'vfiq', 'wakeRequest']

/** The outputs that are high, as the host names them. */
const highOutputs = (gic: Gic): string[] =>
  Array.from({ length: gic.config.cpus }, (_, cpu) =>
    outputs.filter((line) => gic.line(cpu, line) === 1).map((line) => `${cpu} ${line}`),
  )
    .flat()
    .sort()

describe('random programs on 1 to 8 CPUs', () => {
  it('do not throw; all that is derived equals what is recomputed, and the host hears every level, after every step', () => {
    fc.assert(
      fc.property(configuration, fc.boolean(), program(80), (config, booted, steps) => {
        const heard = new Map<string, number>()
        const gic = gicOf(config, {
          setLine(cpu, line, level) {
            if ((heard.get(`${cpu} ${line}`) ?? 0) === level)
              throw new Error(`${cpu} ${line} is ${level} already`)
            heard.set(`${cpu} ${line}`, level)
          },
        })
        if (booted) boot(gic)
        const kernel = new Kernel()
        for (const s of steps) {
          run(gic, kernel, s)
          const image = gic.snapshot()
          const recomputed = GicClass.from(image.slice(0)).snapshot()
          if (!Buffer.from(recomputed).equals(Buffer.from(image))) expect(gic.diff(recomputed)).toBe('equal')
          const told = [...heard].filter(([, level]) => level === 1).map(([line]) => line)
          expect(told.sort()).toEqual(highOutputs(gic))
        }
      }),
      { numRuns: 50 },
    )
  })

  it('a host that answers each change with an access of its own hears every level, too', () => {
    fc.assert(
      fc.property(configuration, program(60), program(60), (config, steps, answers) => {
        const heard = new Set<string>()
        const left = [...answers]
        const kernel = new Kernel()
        const gic: Gic = gicOf(config, {
          setLine(cpu, line, level) {
            const output = `${cpu} ${line}`
            if (heard.has(output) === (level === 1)) throw new Error(`${output} is ${level} already`)
            if (level === 1) heard.add(output)
            else heard.delete(output)
            expect(gic.line(cpu, line)).toBe(level)
            const answer = left.pop()
            if (answer) run(gic, kernel, answer)
          },
        })
        boot(gic)
        // Neighbours in different groups, so that one access moves both outputs of a CPU.
        for (const intid of [0, 32, 64, 96, 128]) {
          for (let cpu = 0; cpu < gic.config.cpus; cpu++) writeBits(gic, 'IGROUPR', intid, 0x5555_5555, cpu)
        }
        for (const s of steps) {
          run(gic, kernel, s)
          expect([...heard].sort()).toEqual(highOutputs(gic))
          expect(highOutputs(GicClass.from(gic.snapshot()))).toEqual(highOutputs(gic))
        }
      }),
      { numRuns: 200 },
    )
  })

  it('the highest pending interrupt and the lines are what the registers give, interrupt by interrupt', () => {
    fc.assert(
      fc.property(configuration, program(60), (config, steps) => {
        const gic = gicOf({ ...config, profile: 'arch', writeEffects: 'at-once' })
        boot(gic)
        const kernel = new Kernel()
        for (const [i, s] of steps.entries()) {
          run(gic, kernel, s)
          if (i % 7 !== 0 && i !== steps.length - 1) continue
          for (let cpu = 0; cpu < gic.config.cpus; cpu++) {
            expect({
              hppi0: gic.readSysreg(cpu, ICC_HPPIR0_EL1, 1),
              hppi1: gic.readSysreg(cpu, ICC_HPPIR1_EL1, 1),
              irq: gic.line(cpu, 'irq'),
              fiq: gic.line(cpu, 'fiq'),
              wakeRequest: gic.line(cpu, 'wakeRequest'),
            }).toEqual(evaluate(gic, cpu))
          }
        }
      }),
      { numRuns: 60 },
    )
  })

  it('a machine that goes back to a snapshot goes on identically', () => {
    const history = (gic: Gic, kernel: Kernel, steps: readonly Step[]): unknown[] => {
      const answers = steps.map((s) => [run(gic, kernel, s), ...lines(gic)])
      return [...answers, gic.hash()]
    }
    const lines = (gic: Gic) =>
      Array.from({ length: gic.config.cpus }, (_, cpu) => outputs.map((line) => gic.line(cpu, line)).join(''))
    fc.assert(
      fc.property(configuration, program(50), program(50), program(50), (config, before, other, after) => {
        const gic = gicOf(config)
        boot(gic)
        const kernel = new Kernel()
        history(gic, kernel, before)
        const image = gic.snapshot()
        const once = history(gic, structuredClone(kernel), after)
        history(gic, structuredClone(kernel), other)
        gic.restore(image)
        expect(gic.diff(image)).toEqual([])
        expect(history(gic, structuredClone(kernel), after)).toEqual(once)
        expect(history(GicClass.from(image), structuredClone(kernel), after)).toEqual(once)
      }),
      { numRuns: 60 },
    )
  })
})

describe('edge-triggered interrupts and SGIs', () => {
  const edges = [16, 27, 40, 63, 100, 140]
  const happening = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        k: fc.constant('edge' as const),
        cpu: fc.nat(7),
        intid: fc.constantFrom(...edges),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ k: fc.constant('sgi' as const), cpu: fc.nat(7), targets: fc.nat(0xff) }),
    },
    { weight: 6, arbitrary: fc.record({ k: fc.constant('ack' as const), cpu: fc.nat(7) }) },
    { weight: 4, arbitrary: fc.record({ k: fc.constant('eoi' as const), cpu: fc.nat(7) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        k: fc.constant('change' as const),
        cpu: fc.nat(7),
        intid: fc.constantFrom(...edges),
        what: fc.constantFrom(
          'disable',
          'enable',
          'route',
          'mask',
          'unmask',
          'group off',
          'group on',
          'sleep',
          'wakeRequest',
        ),
      }),
    },
  )

  it('are acknowledged as often as they became pending: none is lost, none comes twice', () => {
    fc.assert(
      fc.property(
        configuration,
        fc.array(happening, { maxLength: 120, size: 'max' }),
        (config, happenings) => {
          const gic = gicOf({ ...config, profile: 'arch' })
          boot(gic)
          const { cpus } = gic.config
          for (let cpu = 0; cpu < cpus; cpu++) gic.writeMmio(redistributor(cpu) + 0x1_0c04, 4, 0xffff_ffff)
          for (const intid of edges.filter((edge) => edge >= 32))
            gic.writeMmio(GICD + 0xc00 + 4 * (intid >> 4), 4, 0xffff_ffff)
          const nameOf = (cpu: number, intid: number) => (intid < 32 ? `cpu ${cpu} ${intid}` : `${intid}`)
          /** How often each became pending and was not acknowledged since. */
          const due = new Map<string, number>()
          const add = (name: string, n: number) => due.set(name, (due.get(name) ?? 0) + n)
          const stacks: number[][] = Array.from({ length: 8 }, () => [])
          const ack = (cpu: number): boolean => {
            const intid = gic.readSysreg(cpu, ICC_IAR1_EL1, 1)
            if (intid === SPURIOUS) return false
            stacks[cpu].push(intid)
            add(nameOf(cpu, intid), -1)
            expect([nameOf(cpu, intid), due.get(nameOf(cpu, intid))]).toEqual([nameOf(cpu, intid), 0])
            return true
          }
          const eoi = (cpu: number): void => {
            const intid = stacks[cpu].pop()
            if (intid !== undefined) gic.writeSysreg(cpu, ICC_EOIR1_EL1, intid, 1)
          }
          for (const h of happenings) {
            const cpu = h.cpu % cpus
            if (h.k === 'edge') {
              if (!bitOf(gic, 'ISPENDR', h.intid, cpu)) add(nameOf(cpu, h.intid), 1)
              for (const level of [1, 0]) {
                if (h.intid < 32) gic.setPpi(cpu, h.intid, level)
                else gic.setSpi(h.intid, level)
              }
            } else if (h.k === 'sgi') {
              // In cluster 0.0.0 are CPUs 0, 1 and 7, whose Aff0 are 0, 1 and 15.
              const targets = [0, 1, 15].filter((_, i) => (h.targets >> i) & 1)
              for (const target of [0, 1, 7]) {
                const isTarget = target < cpus && targets.includes(target === 7 ? 15 : target)
                if (isTarget && !bitOf(gic, 'ISPENDR', 3, target)) add(nameOf(target, 3), 1)
              }
              const list = targets.reduce((bits, aff0) => bits | (1 << aff0), 0)
              gic.writeSysreg(cpu, ICC_SGI1R_EL1, (3 << 24) | list, 1)
            } else if (h.k === 'ack') ack(cpu)
            else if (h.k === 'eoi') eoi(cpu)
            else if (h.what === 'disable') writeBits(gic, 'ICENABLER', h.intid, 2 ** (h.intid & 31), cpu)
            else if (h.what === 'enable') writeBits(gic, 'ISENABLER', h.intid, 2 ** (h.intid & 31), cpu)
            else if (h.what === 'route') route(gic, Math.max(h.intid, 32), cpu)
            else if (h.what === 'mask') gic.writeSysreg(cpu, ICC_PMR_EL1, 0x80, 1)
            else if (h.what === 'unmask') gic.writeSysreg(cpu, ICC_PMR_EL1, 0xff, 1)
            else if (h.what === 'group off') gic.writeSysreg(cpu, ICC_IGRPEN1_EL1, 0, 1)
            else if (h.what === 'group on') gic.writeSysreg(cpu, ICC_IGRPEN1_EL1, 1, 1)
            else gic.writeMmio(redistributor(cpu) + 0x14, 4, h.what === 'sleep' ? 2 : 0)
          }
          // Everything is opened and taken.
          for (let cpu = 0; cpu < cpus; cpu++) {
            gic.writeMmio(redistributor(cpu) + 0x14, 4, 0)
            writeBits(gic, 'ISENABLER', 0, 0xffff_ffff, cpu)
            gic.writeSysreg(cpu, ICC_PMR_EL1, 0xff, 1)
            gic.writeSysreg(cpu, ICC_IGRPEN1_EL1, 1, 1)
          }
          for (const intid of edges) writeBits(gic, 'ISENABLER', intid, 2 ** (intid & 31))
          gic.completeWrites()
          for (let taken = true; taken; ) {
            taken = false
            for (let cpu = 0; cpu < cpus; cpu++) {
              while (stacks[cpu].length > 0) eoi(cpu)
              if (gic.line(cpu, 'irq') === 1) taken = ack(cpu) || taken
            }
          }
          expect([...due].filter(([, times]) => times !== 0)).toEqual([])
        },
      ),
      { numRuns: 150 },
    )
  })
})
