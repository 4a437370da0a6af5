/**
 * What the silicon of this version lacks for recordings of drivers on a GICv4: its vPEs, with their vLPIs and the LPIs
 * that are their doorbells. An op that needs them is not done. One that is done may differ where the recording itself
 * shows that one of these was behind it, and is skipped only then: never before anything could have raised one, and
 * never again once as many were acknowledged as can have been pending. When vPEs are built, this file goes.
 */
import { type Device, EL1 } from './device.ts'
import type { FieldDifference } from './judge.ts'
import { isHex, type Op, type Result } from './recording.ts'
import { encodingOf } from './registers.ts'

const FIRST_LPI = 8192n

/** GITS_TYPER's frame and that of GITS_TRANSLATER. */
const GITS = { base: 0x0808_0000, size: 0x2_0000 }
const GITS_TRANSLATER = 0x0809_0040
const GICR = 0x080a_0000
const VLPI_BASE = 0x2_0000
const GICR_VPENDBASER = 0x2_0078
const GICR_VPENDBASER_Valid = 1n << 63n
const GICR_CTLR_EnableLPIs = 1

/** Commands that make an LPI pending, and one that may ring a doorbell. */
const RAISES = /^INT\b/
const MAY_RING = /^VMOVI\b/

/** Bits that say whether there are vPEs, and of which version. */
const FEATURES: Readonly<Record<string, bigint>> = {
  GICD_TYPER2: 0xffff_ffffn,
  GICD_PIDR2: 0xf0n,
  GICR_CTLR: 0x4n,
  GICR_TYPER: 0x0700_0086n,
  GICR_PIDR2: 0xf0n,
  GITS_TYPER: 0xfa0_0000_0002n,
  GITS_BASER2: 0xffff_ffff_ffff_ffffn,
  GITS_PIDR2: 0xf0n,
  ICH_VTR: 0x0014_0000n,
}

const LPIS = 'differs for want of the doorbells of GICv4'
const VLPIS = 'differs for want of the vLPIs of GICv4'

const isLpi = (intid: unknown): boolean => isHex(intid) && BigInt(intid) >= FIRST_LPI

/** LPIs as the recording shows them: those of the redistributors, or those of resident vPEs. */
class Lpis {
  /** How many can be pending at most. */
  pending = 0
  /** By CPU, those that were acknowledged and are to be ended. */
  readonly active: string[][]

  constructor(cpus: number) {
    this.active = Array.from({ length: cpus }, () => [])
  }

  acknowledge(cpu: number, intid: string): void {
    this.pending = Math.max(0, this.pending - 1)
    this.active[cpu].push(intid)
  }

  /** False if it is not one of them. */
  end(cpu: number, intid: string): boolean {
    const at = this.active[cpu].lastIndexOf(intid)
    if (at >= 0) this.active[cpu].splice(at, 1)
    return at >= 0
  }

  /** Whether a line may be as it was recorded: an LPI is signalled, or the priority of an active one masks others. */
  excuses(cpu: number, { expected, actual }: FieldDifference, isForwarded: boolean): boolean {
    const isSignalled = expected[0] === '1' && actual === '0'
    return isSignalled ? isForwarded && this.pending > 0 : this.active[cpu].length > 0
  }
}

export class Unbuilt {
  private readonly physical: Lpis
  private readonly virtual: Lpis
  /** By CPU, whether a vPE is resident. */
  private readonly resident: boolean[]
  private readonly stride: number
  private readonly hasVpes: boolean

  constructor(private readonly device: Device) {
    const { cpus, version } = device.gic.config
    this.physical = new Lpis(cpus)
    this.virtual = new Lpis(cpus)
    this.resident = new Array<boolean>(cpus).fill(false)
    this.hasVpes = version !== '3'
    this.stride = version === '3' ? VLPI_BASE : 2 * VLPI_BASE
  }

  /** Why an op is not to be done, or undefined. To be asked once an op, in order. */
  whyNot(op: Op, result: Result): string | undefined {
    const { k } = op
    if (!this.hasVpes) return undefined
    if (k === 'msi') this.raise()
    if (k === 'r' || k === 'w') return this.whyNotAccess(op)
    if (k === 'sr' || k === 'gr') return this.whyNotRead(op, result)
    if (k === 'sw' || k === 'gw') return this.whyNotWrite(op)
    return undefined
  }

  /** Why the answer to an op may differ as it does, or undefined if that is a fault. */
  excuse(op: Op, differences: readonly FieldDifference[]): string | undefined {
    if (!this.hasVpes) return undefined
    const reasons = differences.map((difference) => this.excuseField(op, difference))
    return reasons.includes(undefined) ? undefined : reasons[0]
  }

  private raise(): void {
    this.physical.pending++
    this.virtual.pending++
  }

  private whyNotAccess({ k, a, v, cmds = [] }: Op): string | undefined {
    const address = Number(a)
    if (address >= GITS.base && address < GITS.base + GITS.size) {
      const raised = cmds.filter((command) => RAISES.test(command)).length
      for (let i = 0; i < raised + Number(k === 'w' && address === GITS_TRANSLATER); i++) this.raise()
      this.physical.pending += cmds.filter((command) => MAY_RING.test(command)).length
      return undefined
    }
    const cpu = Math.floor((address - GICR) / this.stride)
    const offset = address - GICR - cpu * this.stride
    if (cpu < 0 || cpu >= this.resident.length || offset < VLPI_BASE) return undefined
    const high = offset === GICR_VPENDBASER + 4
    if (k === 'w' && (high || offset === GICR_VPENDBASER)) {
      const value = BigInt(String(v)) << (high ? 32n : 0n)
      this.resident[cpu] = (value & GICR_VPENDBASER_Valid) !== 0n
    }
    return "an access to a redistributor's VLPI frames: this version has no vPEs"
  }

  /** An acknowledge that would take something else than the recorded one did must not be done. */
  private whyNotRead({ k, c = 0, reg = '' }: Op, { v = '0x3ff' }: Result): string | undefined {
    const lpis = this.lpisOf(k)
    if (!/^IAR[01]$/.test(reg) || !(this.isPending(lpis, c, v) || lpis.active[c].length > 0)) return undefined
    if (this.highestPending(k, c, reg) === Number(v)) return undefined
    if (isLpi(v)) lpis.acknowledge(c, v)
    return this.reason(lpis)
  }

  private whyNotWrite({ k, c = 0, reg = '', v = '0x0' }: Op): string | undefined {
    const lpis = this.lpisOf(k)
    // The active priorities of another vCPU: from here on they are as recorded.
    if (reg === 'ICH_AP1R0') this.virtual.active[c].length = 0
    return /^EOIR1$/.test(reg) && lpis.end(c, v) ? this.reason(lpis) : undefined
  }

  private lpisOf(k: string): Lpis {
    return k.startsWith('g') ? this.virtual : this.physical
  }

  private reason(lpis: Lpis): string {
    return lpis === this.virtual ? VLPIS : LPIS
  }

  /** What an acknowledge would give if the running priority allows it. */
  private highestPending(k: string, cpu: number, iar: string): number {
    const { gic, level } = this.device
    const el = k.startsWith('g') ? EL1 : level
    return gic.readSysreg(cpu, encodingOf(iar.replace('IAR', 'HPPIR')), el)
  }

  private excuseField(op: Op, difference: FieldDifference): string | undefined {
    if (difference.field === 'v') return this.excuseValue(op, difference)
    const line = /^(v?)(irq|fiq) of CPU (\d+)$/.exec(difference.field)
    return line ? this.excuseLine(difference, line[1] === 'v', line[2] === 'irq', Number(line[3])) : undefined
  }

  /** LPIs are in group 1: none makes an FIQ line rise. */
  private excuseLine(
    difference: FieldDifference,
    isVirtual: boolean,
    isIrq: boolean,
    cpu: number,
  ): string | undefined {
    const lpis = isVirtual ? this.virtual : this.physical
    const isForwarded = isIrq && this.forwards(lpis, cpu)
    return lpis.excuses(cpu, difference, isForwarded) ? this.reason(lpis) : undefined
  }

  /** Whether a CPU is given LPIs: its redistributor's, or those of the vPE that is resident there. */
  private forwards(lpis: Lpis, cpu: number): boolean {
    if (lpis === this.virtual) return this.resident[cpu]
    return (this.device.gic.readMmio(GICR + cpu * this.stride, 4) & GICR_CTLR_EnableLPIs) !== 0
  }

  /** Whether an INTID is that of an LPI that can be pending for a CPU. */
  private isPending(lpis: Lpis, cpu: number, intid: string): boolean {
    return isLpi(intid) && lpis.pending > 0 && this.forwards(lpis, cpu)
  }

  private excuseValue(op: Op, { expected: [recorded], actual }: FieldDifference): string | undefined {
    const { k, c = 0, reg = '' } = op
    if (!isHex(recorded) || !isHex(actual)) return undefined
    const features = this.featuresOf(op)
    if (features !== 0n) {
      const others = (BigInt(recorded) ^ BigInt(actual)) & ~features
      return others === 0n ? 'says which vPEs there are' : undefined
    }
    const lpis = reg === 'ICH_AP1R0' ? this.virtual : this.lpisOf(k)
    const isPending = reg === 'HPPIR1' && this.isPending(lpis, c, recorded)
    const isActive = /^(RPR|HPPIR[01]|AP1R0|ICH_AP1R0)$/.test(reg) && lpis.active[c].length > 0
    return isPending || isActive ? this.reason(lpis) : undefined
  }

  /** The bits of what an op reads that say what there is. */
  private featuresOf({ a, s, reg }: Op): bigint {
    const { gic } = this.device
    const name = reg ?? gic.registerAt(Number(a)) ?? ''
    if (!Object.hasOwn(FEATURES, name)) return 0n
    const isHigh = reg === undefined && s !== 8 && gic.registerAt(Number(a) - 4) === name
    return FEATURES[name] >> (isHigh ? 32n : 0n)
  }
}
