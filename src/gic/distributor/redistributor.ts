/**
 * A redistributor's frames, GICR_* (IHI 0069, "The GIC Redistributor register descriptions"): RD_base, and SGI_base
 * 64 KiB above it. `pe` is the record of its PE. RAZ/WI are STATUSR, the registers of two Security states (IGRPMODR,
 * NSACR), and those of features that are not implemented: LPIs and direct LPIs depending on the configuration,
 * extended PPIs, non-maskable interrupts, memory partitioning.
 *
 * RES0 bits of GICR_PROPBASER and GICR_PENDBASER read as written.
 */

import {
  GICR_CTLR_CES,
  GICR_CTLR_EnableLPIs,
  GICR_CTLR_IR,
  GICR_CTLR_RWP,
  GICR_TYPER_DirectLPI,
  GICR_TYPER_Dirty,
  GICR_TYPER_Last,
  GICR_TYPER_PLPIS,
  GICR_TYPER_RVPEID,
  GICR_TYPER_VLPIS,
  GICR_TYPER_VSGI,
  GICR_WAKER_ChildrenAsleep,
  GICR_WAKER_ProcessorSleep,
} from '../../arch/gicr-registers.ts'
import { FIRST_LPI } from '../../arch/intid.ts'
import { type CheckedGicConfig, redistributorSize } from '../config/config.ts'
import { IIDR, identificationRows } from '../frames/identification.ts'
import { RegisterMap, type RegisterRow, razWi, readOnly, register64, WORD } from '../frames/register-map.ts'
import type { PhysicalInterrupts } from '../interrupts/physical-interrupts.ts'
import type { Lpis } from '../lpi/lpis.ts'
import type { Pe } from '../records/pe.ts'
import { GICR_CTLR, GICR_PENDBASER, GICR_PROPBASER, GICR_WAKER } from '../records/pe-offsets.ts'
import type { Residency } from '../vpe/residency.ts'
import { interruptRows } from './interrupt-registers.ts'
import { vlpiRows } from './vlpi-registers.ts'

/** Offset of GICR_WAKER. */
export const WAKER = 0x14

const COMMON_LPI_AFF_SHIFT = 24

export class Redistributor {
  readonly isGicv4: boolean
  /** GICR_TYPER's low word, by CPU. */
  private readonly typers: Int32Array
  private readonly lagging: boolean
  /** Whether nothing is forwarded to a sleeping PE: the choice `waker` is `holds`. */
  private readonly holds: boolean

  /** GICv4.1. */
  private readonly hasVsgis: boolean
  /** The registers that there are. */
  readonly map: RegisterMap<Redistributor, Pe>
  /** Whether the LPI registers exist. Without {@link lpis} they read as written, and no LPI can become pending. */
  private readonly hasLpiRegisters: boolean

  constructor(
    readonly words: Int32Array,
    readonly physical: PhysicalInterrupts,
    readonly lpis: Lpis | undefined,
    /** On GICv4 with LPIs. */
    readonly residency?: Residency,
  ) {
    const { config } = physical
    this.map = redistributorMapOf(config)
    this.hasVsgis = config.version === '4.1'
    this.hasLpiRegisters = config.lpiRegisters
    this.isGicv4 = config.version !== '3'
    this.lagging = config.writeEffects === 'lagging'
    this.holds = config.choices.waker === 'holds'
    this.typers = new Int32Array(config.cpus)
    const common =
      (config.lpiRegisters ? GICR_TYPER_PLPIS : 0) |
      (config.directLpis ? GICR_TYPER_DirectLPI : 0) |
      (this.isGicv4 ? GICR_TYPER_VLPIS : 0) |
      (this.hasVsgis ? GICR_TYPER_Dirty | GICR_TYPER_RVPEID | GICR_TYPER_VSGI : 0) |
      (config.commonLpiAff << COMMON_LPI_AFF_SHIFT)
    const last = lastOfSeries(config)
    for (let cpu = 0; cpu < config.cpus; cpu++)
      this.typers[cpu] = common | (cpu << 8) | (last.has(cpu) ? GICR_TYPER_Last : 0)
  }

  /** Resets a redistributor: it sleeps then. */
  reset(pe: Pe): void {
    this.words[pe + GICR_WAKER] = GICR_WAKER_ProcessorSleep | GICR_WAKER_ChildrenAsleep
  }

  readTyper(pe: Pe, half: number): number {
    const cpu = this.physical.cpuOf(pe)
    return half === 0 ? this.typers[cpu] : this.physical.affinities.values[cpu]
  }

  readCtlr(pe: Pe): number {
    const isDisabling = this.lpis?.isDisabling(this.physical.cpuOf(pe)) ?? false
    return (
      this.words[pe + GICR_CTLR] |
      (this.hasLpiRegisters ? GICR_CTLR_CES : 0) |
      (this.hasVsgis ? GICR_CTLR_IR : 0) |
      (isDisabling ? GICR_CTLR_RWP : 0)
    )
  }

  writeCtlr(pe: Pe, value: number): void {
    const { words, lpis } = this
    if (lpis) lpis.writeEnable(this.physical.cpuOf(pe), (value & GICR_CTLR_EnableLPIs) !== 0)
    else if (this.hasLpiRegisters)
      words[pe + GICR_CTLR] = (words[pe + GICR_CTLR] & ~GICR_CTLR_EnableLPIs) | (value & GICR_CTLR_EnableLPIs)
  }

  readPropbaser(pe: Pe, half: number): number {
    return this.words[pe + GICR_PROPBASER + half]
  }

  writePropbaser(pe: Pe, half: number, value: number): void {
    if (this.lpis) this.lpis.writePropbaser(pe, half, value)
    else if (this.hasLpiRegisters) this.words[pe + GICR_PROPBASER + half] = value
  }

  readPendbaser(pe: Pe, half: number): number {
    return this.lpis ? this.lpis.readPendbaser(pe, half) : this.words[pe + GICR_PENDBASER + half]
  }

  writePendbaser(pe: Pe, half: number, value: number): void {
    if (this.lpis) this.lpis.writePendbaser(pe, half, value)
    else if (this.hasLpiRegisters) this.words[pe + GICR_PENDBASER + half] = value
  }

  readWaker(pe: Pe): number {
    return this.words[pe + GICR_WAKER]
  }

  /** Writes GICR_WAKER. ChildrenAsleep follows ProcessorSleep, at once or later; software polls it. */
  writeWaker(pe: Pe, value: number): void {
    this.words[pe + GICR_WAKER] =
      (this.words[pe + GICR_WAKER] & ~GICR_WAKER_ProcessorSleep) | (value & GICR_WAKER_ProcessorSleep)
    if (this.lagging) this.physical.noticePe(pe)
    else this.completeHandshake(pe)
  }

  /** Whether an interrupt that is held back raises the PE's wake request: not while the PE is waking up. */
  mayRequestWake(pe: Pe): boolean {
    return (this.words[pe + GICR_WAKER] & GICR_WAKER_ProcessorSleep) !== 0
  }

  /** Whether nothing is forwarded to the PE's CPU interface. */
  isAsleep(pe: Pe): boolean {
    return this.holds && (this.words[pe + GICR_WAKER] & GICR_WAKER_ChildrenAsleep) !== 0
  }

  /** Begins a disabling of interrupts whose effect lags: RWP reads as one until it is complete. */
  beginDisabling(pe: Pe): void {
    this.words[pe + GICR_CTLR] |= GICR_CTLR_RWP
  }

  /** Whether the effect of disabling interrupts is still under way. */
  isDisablingPending(pe: Pe): boolean {
    return (this.words[pe + GICR_CTLR] & GICR_CTLR_RWP) !== 0
  }

  /** Completes the disabling of interrupts; RWP reads as zero. */
  completeDisabling(pe: Pe): void {
    this.words[pe + GICR_CTLR] &= ~GICR_CTLR_RWP
    this.physical.endDisabling(pe)
  }

  /** Whether ChildrenAsleep is still to follow ProcessorSleep. */
  isHandshakePending(pe: Pe): boolean {
    const waker = this.words[pe + GICR_WAKER]
    return ((waker & GICR_WAKER_ProcessorSleep) === 0) !== ((waker & GICR_WAKER_ChildrenAsleep) === 0)
  }

  /** Completes the handshake of GICR_WAKER: ChildrenAsleep becomes ProcessorSleep. */
  completeHandshake(pe: Pe): void {
    const waker = this.words[pe + GICR_WAKER]
    this.words[pe + GICR_WAKER] =
      waker & GICR_WAKER_ProcessorSleep
        ? waker | GICR_WAKER_ChildrenAsleep
        : waker & ~GICR_WAKER_ChildrenAsleep
    this.physical.noticePe(pe)
  }

  /** Whether a write's effect is still under way. */
  isWritePending(pe: Pe): boolean {
    return this.isHandshakePending(pe) || this.isDisablingPending(pe)
  }

  completeWrites(pe: Pe): void {
    this.completeDisabling(pe)
    this.completeHandshake(pe)
  }
}

/** A row of a direct LPI register: a write of its lower half, an INTID, acts on that LPI of the PE. */
const directLpi = (
  name: string,
  offset: number,
  act: (lpis: Lpis, cpu: number, lpi: number) => void,
): RegisterRow<Redistributor, Pe> =>
  register64<Redistributor, Pe>(
    name,
    offset,
    8,
    () => 0,
    ({ lpis, physical }, pe, half, value) => {
      if (half === 0 && lpis) act(lpis, physical.cpuOf(pe), value - FIRST_LPI)
    },
  )

const word = (
  name: string,
  offset: number,
  read: (redistributor: Redistributor, pe: Pe) => number,
  write: (redistributor: Redistributor, pe: Pe, value: number) => void,
): RegisterRow<Redistributor, Pe> => ({
  name,
  offset,
  length: 4,
  bits: 0,
  sizes: WORD,
  read,
  write: (redistributor, pe, _n, _count, value) => write(redistributor, pe, value),
})

/** Offset of SGI_base from RD_base. */
export const SGI_BASE = 0x1_0000

export const redistributorMap = new RegisterMap<Redistributor, Pe>(
  [
    word(
      'GICR_CTLR',
      0,
      (redistributor, pe) => redistributor.readCtlr(pe),
      (redistributor, pe, value) => redistributor.writeCtlr(pe, value),
    ),
    readOnly('GICR_IIDR', 0x4, () => IIDR),
    register64<Redistributor, Pe>('GICR_TYPER', 0x8, 8, (redistributor, pe, half) =>
      redistributor.readTyper(pe, half),
    ),
    razWi('GICR_STATUSR', 0x10, 4),
    word(
      'GICR_WAKER',
      WAKER,
      (redistributor, pe) => redistributor.readWaker(pe),
      (redistributor, pe, value) => redistributor.writeWaker(pe, value),
    ),
    register64<Redistributor, Pe>(
      'GICR_PROPBASER',
      0x70,
      8,
      (redistributor, pe, half) => redistributor.readPropbaser(pe, half),
      (redistributor, pe, half, value) => redistributor.writePropbaser(pe, half, value),
    ),
    register64<Redistributor, Pe>(
      'GICR_PENDBASER',
      0x78,
      8,
      (redistributor, pe, half) => redistributor.readPendbaser(pe, half),
      (redistributor, pe, half, value) => redistributor.writePendbaser(pe, half, value),
    ),
    ...identificationRows<Redistributor>('GICR', 0x93),
    ...interruptRows<Redistributor>('GICR', SGI_BASE, 32),
    razWi('GICR_IGRPMODR0', SGI_BASE + 0xd00, 4),
    razWi('GICR_NSACR', SGI_BASE + 0xe00, 4),
  ],
  0x4_0000,
)

/** What sets and clears LPIs directly. */
const directLpiRows: readonly RegisterRow<Redistributor, Pe>[] = [
  directLpi('GICR_SETLPIR', 0x40, (lpis, cpu, lpi) => lpis.set(cpu, lpi)),
  directLpi('GICR_CLRLPIR', 0x48, (lpis, cpu, lpi) => lpis.clear(cpu, lpi)),
]

/** Every effect is there when the write is complete: GICR_SYNCR.Busy is never seen. */
const syncr = readOnly<Redistributor, Pe>('GICR_SYNCR', 0xc0, () => 0)
const invalidateRows: readonly RegisterRow<Redistributor, Pe>[] = [
  directLpi('GICR_INVLPIR', 0xa0, (lpis, cpu, lpi) => lpis.invalidate(cpu, lpi)),
  directLpi('GICR_INVALLR', 0xb0, (lpis, cpu) => lpis.invalidateAll(cpu)),
  syncr,
]

const mapWith = (...rows: readonly RegisterRow<Redistributor, Pe>[]): RegisterMap<Redistributor, Pe> =>
  new RegisterMap<Redistributor, Pe>([...redistributorMap.rows, ...rows], redistributorMap.size)

/** The CPUs whose redistributors no other one follows at the next address: regions may be adjacent. */
function lastOfSeries({ gicr, cpus, version }: CheckedGicConfig): ReadonlySet<number> {
  const last = new Set<number>()
  let cpu = 0
  for (const { base, count } of gicr) {
    const here = Math.min(count, cpus - cpu)
    cpu += here
    const end = base + here * redistributorSize(version)
    if (here > 0 && !gicr.some((other) => other.base === end)) last.add(cpu - 1)
  }
  return last
}

/** By version and GICR_TYPER.DirectLPI. */
const maps = {
  '3': [redistributorMap, mapWith(...directLpiRows, ...invalidateRows)],
  '4.0': [mapWith(...vlpiRows['4.0']), mapWith(...vlpiRows['4.0'], ...directLpiRows, ...invalidateRows)],
  '4.1': [mapWith(...vlpiRows['4.1'], syncr), mapWith(...vlpiRows['4.1'], ...directLpiRows, syncr)],
} as const

/** The frames of a redistributor. GICv4.1 has registers that invalidate whether or not there are direct LPIs. */
const redistributorMapOf = ({ version, directLpis }: CheckedGicConfig): RegisterMap<Redistributor, Pe> =>
  maps[version][directLpis ? 1 : 0]
