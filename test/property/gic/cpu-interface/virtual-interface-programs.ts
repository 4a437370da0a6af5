/** Random programs of a hypervisor and its guest for the virtual CPU interface, and a way to run them. */
import fc from 'fast-check'
import { encodeSysreg, Gic, ichApr, ichLr } from 'vgic'
import type { ModelConfig } from './virtual-interface-model.ts'

const ALL_ONES = 0xffff_ffff_ffff_ffffn

/** Encodings by the names of the model, op0 to op2 as the architecture gives them. */
export const encodings: Readonly<Record<string, number>> = {
  HCR_EL2: encodeSysreg(3, 4, 1, 1, 0),
  ISR: encodeSysreg(3, 0, 12, 1, 0),
  SRE: encodeSysreg(3, 0, 12, 12, 5),
  PMR: encodeSysreg(3, 0, 4, 6, 0),
  IAR0: encodeSysreg(3, 0, 12, 8, 0),
  EOIR0: encodeSysreg(3, 0, 12, 8, 1),
  HPPIR0: encodeSysreg(3, 0, 12, 8, 2),
  BPR0: encodeSysreg(3, 0, 12, 8, 3),
  DIR: encodeSysreg(3, 0, 12, 11, 1),
  RPR: encodeSysreg(3, 0, 12, 11, 3),
  SGI1R: encodeSysreg(3, 0, 12, 11, 5),
  ASGI1R: encodeSysreg(3, 0, 12, 11, 6),
  SGI0R: encodeSysreg(3, 0, 12, 11, 7),
  IAR1: encodeSysreg(3, 0, 12, 12, 0),
  EOIR1: encodeSysreg(3, 0, 12, 12, 1),
  HPPIR1: encodeSysreg(3, 0, 12, 12, 2),
  BPR1: encodeSysreg(3, 0, 12, 12, 3),
  CTLR: encodeSysreg(3, 0, 12, 12, 4),
  IGRPEN0: encodeSysreg(3, 0, 12, 12, 6),
  IGRPEN1: encodeSysreg(3, 0, 12, 12, 7),
  ICH_HCR: encodeSysreg(3, 4, 12, 11, 0),
  ICH_VTR: encodeSysreg(3, 4, 12, 11, 1),
  ICH_MISR: encodeSysreg(3, 4, 12, 11, 2),
  ICH_EISR: encodeSysreg(3, 4, 12, 11, 3),
  ICH_ELRSR: encodeSysreg(3, 4, 12, 11, 5),
  ICH_VMCR: encodeSysreg(3, 4, 12, 11, 7),
  ...Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`ICH_LR${n}`, ichLr(n)])),
  ...Object.fromEntries(
    ([0, 1] as const).flatMap((group) =>
      [0, 1, 2, 3].flatMap((n) => [
        [`ICH_AP${group}R${n}`, ichApr(group, n)],
        [`ICC_AP${group}R${n}`, encodeSysreg(3, 0, 12, 8 + group, n + (group === 0 ? 4 : 0))],
      ]),
    ),
  ),
}
const names = Object.keys(encodings)

/** One access. `reg` is a name of {@link encodings}, or an encoding that has none. */
export type Access =
  | { readonly k: 'read'; readonly el: number; readonly reg: string | number }
  | { readonly k: 'write'; readonly el: number; readonly reg: string | number; readonly value: bigint }
  /** The hypervisor or a device makes physical interrupts active. */
  | { readonly k: 'activate'; readonly word: 0 | 1; readonly bits: number }

/** One step of a program: an access, or what a well-behaved guest does, which depends on what it has seen. */
export type Step =
  | Access
  | { readonly k: 'acknowledge' }
  | { readonly k: 'end' }
  | { readonly k: 'deactivate' }

/** INTIDs where something begins or ends, few enough to meet again. */
const intid = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(0, 15, 16, 31, 32, 40, 41, 42, 63) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(1019, 1020, 1023, 1024, 8191, 8192, 8193, 65535, 65536, 0xff_ffff),
  },
)
const priority = fc.oneof(fc.constantFrom(0, 8, 0x40, 0x44, 0x80, 0x81, 0xa0, 0xf0), fc.nat(0xff))
const word64 = fc.oneof(fc.bigInt({ min: 0n, max: ALL_ONES }), fc.constantFrom(0n, ALL_ONES))

const listRegisterValue = fc
  .record({
    state: fc.constantFrom(0n, 1n, 1n, 1n, 2n, 3n),
    hw: fc.boolean(),
    group: fc.constantFrom(0n, 1n),
    priority,
    pintid: intid,
    eoi: fc.boolean(),
    vintid: intid,
  })
  .map(({ state, hw, group, priority, pintid, eoi, vintid }) => {
    const middle = hw ? BigInt(pintid & 0x1fff) << 32n : BigInt(eoi) << 41n
    return (
      (state << 62n) |
      (BigInt(hw) << 61n) |
      (group << 60n) |
      (BigInt(priority) << 48n) |
      middle |
      BigInt(vintid)
    )
  })

/** En mostly set and traps mostly not, or nothing much would happen. */
const hcrValue = fc
  .record({
    any: fc.nat(0xffff),
    traps: fc.constantFrom(0, 0, 0, 0, 0x400, 0x800, 0x1000, 0x4000),
    count: fc.nat(31),
    en: fc.constantFrom(1, 1, 1, 1, 0),
  })
  .map(({ any, traps, count, en }) => BigInt((any & ~0x5c01) | traps | en) | (BigInt(count) << 27n))

const write = (
  el: number,
  reg: fc.Arbitrary<string>,
  value: fc.Arbitrary<bigint | number>,
): fc.Arbitrary<Access> =>
  fc.record({ reg, value }).map(({ reg, value }) => ({ k: 'write', el, reg, value: BigInt(value) }))
const read = (el: number, reg: fc.Arbitrary<string>): fc.Arbitrary<Access> =>
  reg.map((name) => ({ k: 'read', el, reg: name }))

const anyRegister = fc.oneof<fc.Arbitrary<string | number>[]>(fc.constantFrom(...names), unknownEncoding())

const steps: readonly fc.WeightedArbitrary<Step>[] = [
  {
    weight: 4,
    arbitrary: write(
      2,
      fc.nat(15).map((n) => `ICH_LR${n}`),
      listRegisterValue,
    ),
  },
  { weight: 14, arbitrary: write(2, fc.constantFrom('ICH_LR0', 'ICH_LR1', 'ICH_LR2'), listRegisterValue) },
  { weight: 24, arbitrary: fc.constant({ k: 'acknowledge' }) },
  { weight: 16, arbitrary: fc.constant({ k: 'end' }) },
  { weight: 6, arbitrary: fc.constant({ k: 'deactivate' }) },
  { weight: 2, arbitrary: read(1, fc.constantFrom('IAR0', 'IAR1')) },
  { weight: 3, arbitrary: write(1, fc.constantFrom('EOIR0', 'EOIR1', 'DIR'), intid) },
  { weight: 2, arbitrary: write(2, fc.constant('ICH_HCR'), hcrValue) },
  // Levels that meet: the two groups may even have the same one.
  {
    weight: 3,
    arbitrary: write(2, fc.constantFrom('ICH_AP0R0', 'ICH_AP1R0'), fc.constantFrom(0, 1, 0x1_0000, 0x1_0001)),
  },
  { weight: 1, arbitrary: write(1, fc.constant('PMR'), fc.oneof(fc.constant(0xff), fc.nat(0xfff))) },
  { weight: 3, arbitrary: write(1, fc.constantFrom('BPR0', 'BPR1'), fc.nat(15)) },
  { weight: 3, arbitrary: write(1, fc.constant('CTLR'), fc.nat(3)) },
  { weight: 3, arbitrary: write(1, fc.constantFrom('IGRPEN0', 'IGRPEN1'), fc.constantFrom(0, 1, 1, 1)) },
  {
    weight: 1,
    arbitrary: write(
      2,
      fc.constant('HCR_EL2'),
      fc.constantFrom(0x18, 0x18, 0x18, 0x18, 0x10, 0x08, 0, 0xd8, 0x98, 0x58, 0x800_0018),
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({ word: fc.constantFrom(0, 1), bits: fc.constantFrom(0xffff_ffff, 0x8001_8001) })
      .map(({ word, bits }): Access => ({ k: 'activate', word: word === 0 ? 0 : 1, bits })),
  },
  {
    weight: 3,
    arbitrary: fc.record({ k: fc.constant('write'), el: fc.nat(2), reg: anyRegister, value: word64 }),
  },
  { weight: 2, arbitrary: fc.record({ k: fc.constant('read'), el: fc.nat(2), reg: anyRegister }) },
]

/** Encodings that the GIC does not have; SRE_EL2, which the model leaves out, is none of them. */
function unknownEncoding(): fc.Arbitrary<number> {
  const known = new Set([...Object.values(encodings), encodeSysreg(3, 4, 12, 9, 5)])
  const near = fc
    .record({ op1: fc.nat(7), crn: fc.constantFrom(4, 12), crm: fc.nat(15), op2: fc.nat(7) })
    .map(({ op1, crn, crm, op2 }) => encodeSysreg(3, op1, crn, crm, op2))
  return fc.oneof(near, fc.nat(0xffff), fc.integer()).filter((encoding) => !known.has(encoding))
}

/** Programs that begin as hypervisors do: the interface on, the guest's groups enabled and nothing masked. */
export const program = (maxLength: number): fc.Arbitrary<Step[]> =>
  fc.array(fc.oneof(...steps), { maxLength, size: 'max' }).map((body) => [...preamble, ...body])
const preamble: readonly Step[] = [
  { k: 'write', el: 2, reg: 'HCR_EL2', value: 0x18n },
  { k: 'write', el: 2, reg: 'ICH_HCR', value: 1n },
  { k: 'write', el: 2, reg: 'ICH_VMCR', value: 0xff00_0003n },
]

/** Every configuration of the virtual CPU interface. */
export const configuration: fc.Arbitrary<ModelConfig> = fc
  .record({
    version: fc.constantFrom('3', '4.0', '4.1'),
    spis: fc.constantFrom(0, 5, 32, 988),
    listRegisters: fc.oneof(fc.integer({ min: 1, max: 16 }), fc.constantFrom(1, 4, 16)),
    priorityBits: fc.integer({ min: 5, max: 8 }),
    preemptionBits: fc.integer({ min: 5, max: 7 }),
    intidBits: fc.constantFrom(16, 24),
    dvim: fc.boolean(),
    lpiActive: fc.constantFrom('invalid', 'active'),
    preemptMask: fc.constantFrom('running', 'running-masked'),
  })
  .map((config) => ({
    ...config,
    preemptionBits: Math.min(config.preemptionBits, config.priorityBits),
    dvim: config.dvim && config.version !== '3',
  }))

export const encodingOf = (reg: string | number): number => (typeof reg === 'number' ? reg : encodings[reg])

/** Where interrupts 0 to 31 of CPU 0 and the first SPIs are made active. */
export const ACTIVE = [0x080b_0300, 0x0800_0304] as const

/** What a guest remembers: the interrupts that it runs, outermost first, and those whose priority it has dropped. */
export class Guest {
  readonly running: { readonly intid: number; readonly group: 0 | 1 }[] = []
  readonly dropped: number[] = []

  /** The access that a step is, made by this guest now. */
  accessOf(gic: Gic, step: Step): Access {
    if (step.k === 'acknowledge') return { k: 'read', el: 1, reg: gic.line(0, 'vfiq') ? 'IAR0' : 'IAR1' }
    if (step.k === 'end') {
      const { intid, group } = this.running.pop() ?? { intid: 40, group: 1 }
      this.dropped.push(intid)
      return { k: 'write', el: 1, reg: group === 0 ? 'EOIR0' : 'EOIR1', value: BigInt(intid) }
    }
    if (step.k === 'deactivate')
      return { k: 'write', el: 1, reg: 'DIR', value: BigInt(this.dropped.pop() ?? 41) }
    return step
  }

  /** The guest sees what an access gave. */
  sees(access: Access, value: bigint, trap: number): void {
    if (access.k !== 'read' || trap !== 0 || (value >= 1020n && value <= 1023n)) return
    if (access.reg === 'IAR0') this.running.push({ intid: Number(value), group: 0 })
    if (access.reg === 'IAR1') this.running.push({ intid: Number(value), group: 1 })
  }
}

/** Makes an access and returns what it gave: the value read, and the syndrome. */
export function perform(gic: Gic, access: Access): readonly [value: bigint, trap: number] {
  if (access.k === 'activate') {
    gic.writeMmio(ACTIVE[access.word], 4, access.bits)
    return [0n, 0]
  }
  if (access.k === 'write') {
    gic.writeSysreg64(0, encodingOf(access.reg), access.value, access.el)
    return [0n, gic.lastTrap]
  }
  const value = gic.readSysreg64(0, encodingOf(access.reg), access.el)
  return [value, gic.lastTrap]
}

/** Runs one step of a guest's program. */
export function run(gic: Gic, guest: Guest, step: Step): readonly [value: bigint, trap: number] {
  const access = guest.accessOf(gic, step)
  const [value, trap] = perform(gic, access)
  guest.sees(access, value, trap)
  return [value, trap]
}

/** A GIC of a model's configuration. */
export function gicOf({ lpiActive, preemptMask, ...config }: ModelConfig): Gic {
  return new Gic({ cpus: 1, ...config, choices: { lpiActive, preemptMask } })
}
