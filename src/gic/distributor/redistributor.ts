/**
 * A redistributor's frames, GICR_* (IHI 0069, "The GIC Redistributor register descriptions"): RD_base, and SGI_base
 * 64 KiB above it. `pe` is the record of its PE. LPIs are not there yet: GICR_PROPBASER, GICR_PENDBASER and
 * GICR_CTLR.EnableLPIs keep what is written, and nothing follows from it. RAZ/WI are STATUSR, the registers of two
 * Security states (IGRPMODR, NSACR), and those of what is not implemented: direct LPIs, extended PPIs, non-maskable
 * interrupts, memory partitioning.
 */
import {
  GICR_CTLR_CES,
  GICR_CTLR_EnableLPIs,
  GICR_CTLR_RWP,
  GICR_TYPER_Last,
  GICR_TYPER_PLPIS,
  GICR_TYPER_VLPIS,
  GICR_WAKER_ChildrenAsleep,
  GICR_WAKER_ProcessorSleep,
} from '../../arch/gicr-registers.ts'
import { IIDR, identificationRows } from '../frames/identification.ts'
import { DOUBLEWORD, RegisterMap, type RegisterRow, razWi, readOnly, WORD } from '../frames/register-map.ts'
import { GICR_CTLR, GICR_PENDBASER, GICR_PROPBASER, GICR_WAKER } from '../records/pe.ts'
import { interruptRows } from './interrupt-registers.ts'
import type { PhysicalInterrupts } from './physical-interrupts.ts'

export { GICR_CTLR, GICR_PENDBASER, GICR_PROPBASER, GICR_WAKER } from '../records/pe-offsets.ts'

/** Offset of GICR_WAKER. */
export const WAKER = 0x14

/** CommonLPIAff: redistributors with the same Aff3 share the configuration of LPIs. */
const COMMON_LPI_AFF3 = 1 << 24

export class Redistributor {
  readonly isGicv4: boolean
  /** GICR_TYPER's low word, by CPU. */
  private readonly typers: Int32Array
  private readonly lagging: boolean
  /** Whether a sleeping PE is forwarded nothing: the choice `waker`. */
  private readonly holds: boolean

  constructor(
    readonly words: Int32Array,
    readonly physical: PhysicalInterrupts,
  ) {
    const { config } = physical
    this.isGicv4 = config.version !== '3'
    this.lagging = config.writeEffects === 'lagging'
    this.holds = config.choices.waker === 'holds'
    this.typers = new Int32Array(config.cpus)
    const common = GICR_TYPER_PLPIS | (this.isGicv4 ? GICR_TYPER_VLPIS : 0) | COMMON_LPI_AFF3
    let cpu = 0
    for (const { count } of config.gicr) {
      const end = Math.min(cpu + count, config.cpus)
      for (; cpu < end; cpu++) {
        this.typers[cpu] = common | (cpu << 8) | (cpu === end - 1 ? GICR_TYPER_Last : 0)
      }
    }
  }

  /** A redistributor comes out of reset asleep. */
  reset(pe: number): void {
    this.words[pe + GICR_WAKER] = GICR_WAKER_ProcessorSleep | GICR_WAKER_ChildrenAsleep
  }

  readTyper(pe: number, half: number): number {
    const cpu = this.physical.cpuOf(pe)
    return half === 0 ? this.typers[cpu] : this.physical.affinities.values[cpu]
  }

  readCtlr(pe: number): number {
    return this.words[pe + GICR_CTLR] | GICR_CTLR_CES
  }

  writeCtlr(pe: number, value: number): void {
    this.words[pe + GICR_CTLR] =
      (this.words[pe + GICR_CTLR] & ~GICR_CTLR_EnableLPIs) | (value & GICR_CTLR_EnableLPIs)
  }

  readWaker(pe: number): number {
    return this.words[pe + GICR_WAKER]
  }

  /** ProcessorSleep asks, ChildrenAsleep follows: software polls it. */
  writeWaker(pe: number, value: number): void {
    this.words[pe + GICR_WAKER] =
      (this.words[pe + GICR_WAKER] & ~GICR_WAKER_ProcessorSleep) | (value & GICR_WAKER_ProcessorSleep)
    if (!this.lagging) this.completeWaker(pe)
  }

  private completeWaker(pe: number): void {
    const waker = this.words[pe + GICR_WAKER]
    this.words[pe + GICR_WAKER] =
      waker & GICR_WAKER_ProcessorSleep
        ? waker | GICR_WAKER_ChildrenAsleep
        : waker & ~GICR_WAKER_ChildrenAsleep
    this.physical.noticePe(pe)
  }

  /** Whether nothing is forwarded to the PE's CPU interface. */
  isAsleep(pe: number): boolean {
    return this.holds && (this.words[pe + GICR_WAKER] & GICR_WAKER_ChildrenAsleep) !== 0
  }

  /** The effect of disabling interrupts lags: RWP reads as one until it is there. */
  beginDisabling(pe: number): void {
    this.words[pe + GICR_CTLR] |= GICR_CTLR_RWP
  }

  /** Whether a write's effect is still under way. */
  isWritePending(pe: number): boolean {
    const waker = this.words[pe + GICR_WAKER]
    const isHandshake =
      ((waker & GICR_WAKER_ProcessorSleep) === 0) !== ((waker & GICR_WAKER_ChildrenAsleep) === 0)
    return isHandshake || (this.words[pe + GICR_CTLR] & GICR_CTLR_RWP) !== 0
  }

  /** What was disabled is out of force and RWP falls; the PE is asleep or awake as it was asked to be. */
  completeWrites(pe: number): void {
    this.words[pe + GICR_CTLR] &= ~GICR_CTLR_RWP
    this.physical.endDisabling(pe)
    this.completeWaker(pe)
  }
}

/** 64 bits that are kept as they are written, RES0 ones too. */
const doubleword = (name: string, offset: number, at: number): RegisterRow<Redistributor> => ({
  name,
  offset,
  length: 8,
  bits: 0,
  sizes: WORD | DOUBLEWORD,
  read: ({ words }, pe, half) => words[pe + at + half],
  write: ({ words }, pe, half, _count, value) => {
    words[pe + at + half] = value
  },
})

const word = (
  name: string,
  offset: number,
  read: (redistributor: Redistributor, pe: number) => number,
  write: (redistributor: Redistributor, pe: number, value: number) => void,
): RegisterRow<Redistributor> => ({
  name,
  offset,
  length: 4,
  bits: 0,
  sizes: WORD,
  read,
  write: (redistributor, pe, _n, _count, value) => write(redistributor, pe, value),
})

/** SGI_base, from RD_base. */
export const SGI_BASE = 0x1_0000

export const redistributorMap = new RegisterMap<Redistributor>(
  [
    word(
      'GICR_CTLR',
      0,
      (redistributor, pe) => redistributor.readCtlr(pe),
      (redistributor, pe, value) => redistributor.writeCtlr(pe, value),
    ),
    readOnly('GICR_IIDR', 0x4, () => IIDR),
    {
      name: 'GICR_TYPER',
      offset: 0x8,
      length: 8,
      bits: 0,
      sizes: WORD | DOUBLEWORD,
      read: (redistributor, pe, half) => redistributor.readTyper(pe, half),
      write: () => {},
    },
    razWi('GICR_STATUSR', 0x10, 4),
    word(
      'GICR_WAKER',
      WAKER,
      (redistributor, pe) => redistributor.readWaker(pe),
      (redistributor, pe, value) => redistributor.writeWaker(pe, value),
    ),
    doubleword('GICR_PROPBASER', 0x70, GICR_PROPBASER),
    doubleword('GICR_PENDBASER', 0x78, GICR_PENDBASER),
    ...identificationRows<Redistributor>('GICR', 0x93),
    ...interruptRows<Redistributor>('GICR', SGI_BASE, 32),
    razWi('GICR_IGRPMODR0', SGI_BASE + 0xd00, 4),
    razWi('GICR_NSACR', SGI_BASE + 0xe00, 4),
  ],
  0x4_0000,
)
