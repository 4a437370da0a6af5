/**
 * The distributor's frame, GICD_* (IHI 0069, "The GIC Distributor register descriptions"). There is one Security
 * state, and affinity routing is always on, so GICD_CTLR.DS and ARE read as one. RAZ/WI are the registers of GICv2
 * (ITARGETSR, SGIR), those of two Security states (IGRPMODR, NSACR), those of SGIs and PPIs, and those of features
 * that are not implemented: message-based SPIs, extended SPIs, 1 of N routing, non-maskable interrupts, STATUSR.
 */
import {
  GICD_CTLR_ARE,
  GICD_CTLR_DS,
  GICD_CTLR_nASSGIreq,
  GICD_CTLR_RWP,
  GICD_TYPER_A3V,
  GICD_TYPER_DVIS,
  GICD_TYPER_LPIS,
  GICD_TYPER_No1N,
  GICD_TYPER_RSS,
  GICD_TYPER2_nASSGIcap,
  GICD_TYPER2_VIL,
} from '../../arch/gicd-registers.ts'
import { FIRST_LPI, FIRST_SPECIAL } from '../../arch/intid.ts'
import type { CheckedGicConfig } from '../config/config.ts'
import { IIDR, identificationRows } from '../frames/identification.ts'
import { DOUBLEWORD, RegisterMap, type RegisterRow, razWi, readOnly, WORD } from '../frames/register-map.ts'
import {
  DISTRIBUTOR,
  GICD_CTLR,
  GICD_DISABLING_GROUPS,
  GROUPS,
  type Owner,
  type PhysicalInterrupts,
} from '../interrupts/physical-interrupts.ts'
import { existingLpis, intidBitsOf } from '../lpi/lpi-records.ts'
import { interruptRows } from './interrupt-registers.ts'

/**
 * GICD_TYPER.LPIS, IDbits, and num_LPIs, which says that there are fewer LPIs than INTIDs have bits for; the least
 * number that it can say is 4.
 */
function lpiTyper({ lpis, lpiRegisters }: CheckedGicConfig): number {
  const bits = intidBitsOf(lpis)
  const isFull = lpis === 0 || existingLpis(lpis) === 2 ** bits - FIRST_LPI
  const number = isFull ? 0 : Math.max(Math.log2(lpis) - 1, 1)
  return ((bits - 1) << 19) | (number << 11) | (lpiRegisters ? GICD_TYPER_LPIS : 0)
}

/** GICD_TYPER.ITLinesNumber counts blocks of 32 interrupts, the private one included, less one, and rounds up. */
function itLinesNumber(end: number, { choices, spis }: CheckedGicConfig): number {
  const last = ((end + 31) >> 5) - 1
  return choices.itLinesNumber === 'all' || spis === 0 ? last : last - 1
}

export class Distributor {
  readonly isGicv4: boolean
  /** GICD_TYPER. */
  readonly typer: number
  /** GICD_TYPER2: on GICv4.1 the bits of a vPEID, and that SGIs need not have an active state. */
  readonly typer2: number
  private readonly lagging: boolean
  private readonly keepsNassgireq: boolean

  constructor(
    readonly words: Int32Array,
    readonly physical: PhysicalInterrupts,
  ) {
    const { config, affinities, end } = physical
    this.isGicv4 = config.version !== '3'
    this.lagging = config.writeEffects === 'lagging'
    this.typer =
      itLinesNumber(end, config) |
      lpiTyper(config) |
      (this.isGicv4 ? GICD_TYPER_DVIS : 0) |
      GICD_TYPER_A3V |
      GICD_TYPER_No1N |
      (affinities.rangeSelector ? GICD_TYPER_RSS : 0)
    const hasVsgis = config.version === '4.1'
    this.typer2 = hasVsgis ? GICD_TYPER2_nASSGIcap | GICD_TYPER2_VIL | (config.vpeBits - 1) : 0
    this.keepsNassgireq = config.choices.nassgireqOnDisable === 'kept'
  }

  readCtlr(): number {
    return this.words[this.physical.distributor + GICD_CTLR] | GICD_CTLR_DS | GICD_CTLR_ARE
  }

  /**
   * Writes GICD_CTLR, and searches for every PE again. With lagging effects, a group that is disabled stays in force
   * for a while.
   */
  writeCtlr(value: number): void {
    const { words, physical } = this
    const at = physical.distributor + GICD_CTLR
    const before = words[at]
    const disabled = before & ~value & GROUPS
    words[at] =
      (before & ~(GROUPS | GICD_CTLR_nASSGIreq)) | (value & GROUPS) | this.nassgireqAfter(before, value)
    if (words[at] & ~before & GICD_CTLR_nASSGIreq) physical.deactivateSgis()
    const lagging = physical.distributor + GICD_DISABLING_GROUPS
    words[lagging] &= ~value
    if (this.lagging && disabled !== 0) {
      words[lagging] |= disabled
      this.beginDisabling(DISTRIBUTOR)
    }
    physical.updateAll()
  }

  /**
   * GICD_CTLR.nASSGIreq after a write: it changes while both groups are disabled, also in the write that enables one, and
   * in one that disables them by the choice `nassgireqOnDisable` (rules 3 to 6).
   */
  private nassgireqAfter(before: number, value: number): number {
    if ((this.typer2 & GICD_TYPER2_nASSGIcap) === 0) return 0
    const wasEnabled = (before & GROUPS) !== 0
    const isKept = wasEnabled && ((value & GROUPS) !== 0 || this.keepsNassgireq)
    return (isKept ? before : value) & GICD_CTLR_nASSGIreq
  }

  /** The effect of a write lags: RWP reads as one until it is there. */
  beginDisabling(_owner: Owner): void {
    this.words[this.physical.distributor + GICD_CTLR] |= GICD_CTLR_RWP
  }

  /** Whether a write's effect is still under way. */
  get isWritePending(): boolean {
    return (this.words[this.physical.distributor + GICD_CTLR] & GICD_CTLR_RWP) !== 0
  }

  /** Completes the disabling of interrupts and groups on every PE; RWP reads as zero. */
  completeWrites(): void {
    const { words, physical } = this
    words[physical.distributor + GICD_DISABLING_GROUPS] = 0
    words[physical.distributor + GICD_CTLR] &= ~GICD_CTLR_RWP
    physical.endDisabling(DISTRIBUTOR)
    physical.updateAll()
  }
}

/** Offset of GICD_IROUTER0; `GICD_IROUTER<n>` exist from n = 32 on. */
export const IROUTER = 0x6000
/**
 * `GICD_IROUTER<n>`. In the register Aff3 is in bits 39:32, apart from the others. IRM is RES0, without 1 of N
 * routing.
 */
const irouter: RegisterRow<Distributor> = {
  name: 'GICD_IROUTER',
  offset: IROUTER,
  length: 8 * FIRST_SPECIAL,
  bits: 64,
  sizes: WORD | DOUBLEWORD,
  read: ({ physical }, _owner, intid, half) => {
    const affinity = physical.readRoute(intid)
    return half === 2 ? affinity >>> 24 : affinity & 0xffffff
  },
  write: ({ physical }, _owner, intid, half, value) => {
    const affinity = physical.readRoute(intid)
    physical.writeRoute(
      intid,
      half === 2 ? (affinity & 0xffffff) | (value << 24) : (affinity & ~0xffffff) | (value & 0xffffff),
    )
  },
}

export const distributorMap = new RegisterMap<Distributor, Owner>(
  [
    {
      name: 'GICD_CTLR',
      offset: 0,
      length: 4,
      bits: 0,
      sizes: WORD,
      read: (distributor) => distributor.readCtlr(),
      write: (distributor, _owner, _n, _count, value) => distributor.writeCtlr(value),
    },
    readOnly('GICD_TYPER', 0x4, ({ typer }) => typer),
    readOnly('GICD_IIDR', 0x8, () => IIDR),
    readOnly('GICD_TYPER2', 0xc, ({ typer2 }) => typer2),
    razWi('GICD_STATUSR', 0x10, 4),
    ...interruptRows<Distributor>('GICD', 0, 1024),
    razWi('GICD_ITARGETSR', 0x800, 1020),
    razWi('GICD_IGRPMODR', 0xd00, 0x80),
    razWi('GICD_NSACR', 0xe00, 0x100),
    razWi('GICD_SGIR', 0xf00, 4),
    razWi('GICD_CPENDSGIR', 0xf10, 16),
    razWi('GICD_SPENDSGIR', 0xf20, 16),
    irouter,
    ...identificationRows<Distributor>('GICD', 0x92),
  ],
  0x1_0000,
)
