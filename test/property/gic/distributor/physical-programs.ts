/**
 * Random programs for the physical side: what kernels, devices and badly written software do to a distributor, its
 * redistributors and CPU interfaces. Interrupts are few, so that programs meet.
 */
import fc from 'fast-check'
import {
  Gic,
  type GicConfig,
  type GicHost,
  ICC_BPR0_EL1,
  ICC_BPR1_EL1,
  ICC_CTLR_EL1,
  ICC_DIR_EL1,
  ICC_EOIR0_EL1,
  ICC_EOIR1_EL1,
  ICC_IAR0_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_SGI0R_EL1,
  ICC_SGI1R_EL1,
  ICH_HCR_EL2,
} from 'vgic'
import {
  type Bitmap,
  bitmaps,
  GICD,
  ICFGR,
  IPRIORITYR,
  IROUTER,
  ONES,
  redistributor,
  sgiBase,
  WAKER,
  wordOf,
} from '../../../kit/frames.ts'

/** Interrupts that programs use: SGIs, PPIs and SPIs of the first, a middle and the last word. */
export const intids = [0, 3, 15, 16, 27, 30, 31, 32, 40, 63, 64, 100, 127, 128, 140] as const
const SPIS = 109

const affinities = [0, 1, 0x100, 0x101, 0x1_0000, 0x100_0000, 0xff01_0203 | 0, 0x0f].map((a) => a >>> 0)

export const configuration: fc.Arbitrary<GicConfig> = fc.record({
  cpus: fc.integer({ min: 1, max: 8 }),
  spis: fc.constant(SPIS),
  priorityBits: fc.constantFrom(5, 8),
  preemptionBits: fc.constant(5),
  profile: fc.constantFrom('arch', 'arch', 'qemu-7.2'),
  writeEffects: fc.constantFrom('at-once', 'at-once', 'lagging'),
})

export function gicOf(config: GicConfig, host?: GicHost): Gic {
  return new Gic({ ...config, affinities: affinities.slice(0, config.cpus) }, host)
}

/** Everything forwarded: groups, PEs awake, interrupts enabled and level-sensitive, priority 0x80, masks open. */
export function boot(gic: Gic): void {
  gic.writeMmio(GICD, 4, 3)
  for (let cpu = 0; cpu < gic.config.cpus; cpu++) {
    gic.writeMmio(redistributor(cpu) + WAKER, 4, 0)
    gic.writeSysreg(cpu, ICC_PMR_EL1, 0xff, 1)
    gic.writeSysreg(cpu, ICC_IGRPEN0_EL1, 1, 1)
    gic.writeSysreg(cpu, ICC_IGRPEN1_EL1, 1, 1)
    writeBits(gic, 'ISENABLER', 0, ONES, cpu)
    writeBits(gic, 'IGROUPR', 0, ONES, cpu)
    for (const intid of intids) writePriority(gic, intid, 0x80, cpu)
  }
  for (const intid of [32, 64, 96, 128]) {
    writeBits(gic, 'ISENABLER', intid, ONES)
    writeBits(gic, 'IGROUPR', intid, ONES)
  }
  if (gic.writesPending) gic.completeWrites()
}

const registerOf = (register: Bitmap, intid: number, cpu: number): number =>
  intid < 32 ? sgiBase(cpu) + bitmaps[register] : wordOf(bitmaps[register], intid)

export function writeBits(gic: Gic, register: Bitmap, intid: number, value: number, cpu = 0): void {
  gic.writeMmio(registerOf(register, intid, cpu), 4, value)
}

/** Whether the bit of an interrupt is set in a register. */
export const bitOf = (gic: Gic, register: Bitmap, intid: number, cpu = 0): boolean =>
  Math.floor(gic.readMmio(registerOf(register, intid, cpu), 4) / 2 ** (intid & 31)) % 2 === 1

export function writePriority(gic: Gic, intid: number, value: number, cpu = 0): void {
  gic.writeMmio((intid < 32 ? sgiBase(cpu) : GICD) + IPRIORITYR + intid, 1, value)
}

export const priorityOf = (gic: Gic, intid: number, cpu = 0): number =>
  gic.readMmio((intid < 32 ? sgiBase(cpu) : GICD) + IPRIORITYR + intid, 1)

export const affinityOf = (gic: Gic, cpu: number): number =>
  Number(gic.readMmio64(redistributor(cpu) + 8) >> 32n)

export const routeOf = (gic: Gic, intid: number): number => {
  const route = gic.readMmio64(GICD + IROUTER + 8 * intid)
  return Number(((route >> 8n) & 0xff00_0000n) | (route & 0xff_ffffn))
}

export function route(gic: Gic, intid: number, cpu: number): void {
  const affinity = BigInt(affinities[cpu % gic.config.cpus])
  gic.writeMmio64(GICD + IROUTER + 8 * intid, ((affinity & 0xff00_0000n) << 8n) | (affinity & 0xff_ffffn))
}

const cpu = fc.nat(7)
const intid = fc.constantFrom(...intids)
const priority = fc.constantFrom(0, 0x20, 0x80, 0x84, 0xa0, 0xf8, 0xff)
const word = fc.oneof(fc.nat(ONES), fc.constantFrom(0, ONES))

export const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ k: fc.constant('line' as const), cpu, intid, level: fc.constantFrom(0, 1) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      k: fc.constant('bit' as const),
      register: fc.constantFrom(...(Object.keys(bitmaps) as Bitmap[])),
      cpu,
      intid,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      k: fc.constant('word' as const),
      register: fc.constantFrom(...(Object.keys(bitmaps) as Bitmap[])),
      cpu,
      intid,
      value: word,
    }),
  },
  { weight: 3, arbitrary: fc.record({ k: fc.constant('priority' as const), cpu, intid, priority }) },
  { weight: 1, arbitrary: fc.record({ k: fc.constant('configuration' as const), cpu, intid, value: word }) },
  { weight: 3, arbitrary: fc.record({ k: fc.constant('route' as const), cpu, intid, whole: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ k: fc.constant('gicd' as const), value: fc.nat(3) }) },
  {
    weight: 1,
    arbitrary: fc.record({ k: fc.constant('waker' as const), cpu, value: fc.constantFrom(0, 0, 2) }),
  },
  { weight: 6, arbitrary: fc.record({ k: fc.constant('ack' as const), cpu, group: fc.constantFrom(0, 1) }) },
  { weight: 6, arbitrary: fc.record({ k: fc.constant('eoi' as const), cpu, group: fc.constantFrom(0, 1) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      k: fc.constant('msr' as const),
      cpu,
      register: fc.constantFrom(ICC_EOIR0_EL1, ICC_EOIR1_EL1, ICC_DIR_EL1),
      value: intid,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      k: fc.constant('msr' as const),
      cpu,
      register: fc.constantFrom(
        ICC_PMR_EL1,
        ICC_BPR0_EL1,
        ICC_BPR1_EL1,
        ICC_CTLR_EL1,
        ICC_IGRPEN0_EL1,
        ICC_IGRPEN1_EL1,
      ),
      value: fc.oneof(priority, fc.nat(7)),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      k: fc.constant('sgi' as const),
      cpu,
      register: fc.constantFrom(ICC_SGI1R_EL1, ICC_SGI0R_EL1),
      value: fc.tuple(fc.constantFrom(0, 3, 15), fc.nat(0xffff), fc.boolean()),
    }),
  },
  { weight: 1, arbitrary: fc.record({ k: fc.constant('maintenance' as const), cpu, level: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ k: fc.constant('complete' as const) }) },
)
export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never
export const program = (length: number): fc.Arbitrary<Step[]> =>
  fc.array(step, { maxLength: length, size: 'max' })

/** What the software of each CPU remembers: the interrupts that it acknowledged and did not end, by group. */
export class Kernel {
  readonly stack: { readonly intid: number; readonly group: number }[][] = Array.from({ length: 8 }, () => [])
}

/** Does a step; returns what it reads. */
export function run(gic: Gic, kernel: Kernel, s: Step): number {
  const on = 'cpu' in s ? s.cpu % gic.config.cpus : 0
  switch (s.k) {
    case 'line':
      if (s.intid >= 32) gic.setSpi(s.intid, s.level)
      else if (s.intid >= 16) gic.setPpi(on, s.intid, s.level)
      return 0
    case 'bit':
      writeBits(gic, s.register, s.intid, 2 ** (s.intid & 31), on)
      return 0
    case 'word':
      writeBits(gic, s.register, s.intid, s.value, on)
      return 0
    case 'priority':
      writePriority(gic, s.intid, s.priority, on)
      return 0
    case 'configuration':
      gic.writeMmio((s.intid < 32 ? sgiBase(on) : GICD) + ICFGR + 4 * (s.intid >> 4), 4, s.value)
      return 0
    case 'route':
      if (s.intid < 32) return 0
      if (s.whole) route(gic, s.intid, s.cpu)
      else gic.writeMmio(GICD + IROUTER + 8 * s.intid, 4, affinities[on])
      return 0
    case 'gicd':
      gic.writeMmio(GICD, 4, s.value)
      return gic.readMmio(GICD, 4)
    case 'waker':
      gic.writeMmio(redistributor(on) + WAKER, 4, s.value)
      return gic.readMmio(redistributor(on) + WAKER, 4)
    case 'ack': {
      const got = gic.readSysreg(on, s.group === 0 ? ICC_IAR0_EL1 : ICC_IAR1_EL1, 1)
      if (got < 1020) kernel.stack[on].push({ intid: got, group: s.group })
      return got
    }
    case 'eoi': {
      const last = kernel.stack[on].pop()
      if (last) gic.writeSysreg(on, last.group === 0 ? ICC_EOIR0_EL1 : ICC_EOIR1_EL1, last.intid, 1)
      return last?.intid ?? -1
    }
    case 'msr':
      gic.writeSysreg(on, s.register, s.value, 1)
      return 0
    case 'sgi': {
      const [number, targets, irm] = s.value
      gic.writeSysreg64(on, s.register, (BigInt(number) << 24n) | BigInt(targets) | (irm ? 1n << 40n : 0n), 1)
      return 0
    }
    case 'maintenance':
      gic.writeSysreg(on, ICH_HCR_EL2, s.level ? 3 : 0, 2)
      return 0
    case 'complete':
      gic.completeWrites()
      return 0
  }
}
