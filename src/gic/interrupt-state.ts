/** The state of one physical interrupt as plain data, and of all that are not as a reset leaves them. */

import { FIRST_LPI, FIRST_PPI, FIRST_SPI, type Intid, intidName } from '../arch/intid.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { affinityText, explainInterrupt, targetOf } from './explain-interrupt.ts'
import type { InterruptReason } from './interrupt-reasons.ts'
import { pendingOf, priorityOf } from './interrupts/interrupt-block.ts'
import { DISTRIBUTOR } from './interrupts/physical-interrupts.ts'
import { LPI_ENABLE } from './lpi/lpi-configuration.ts'
import { ACTIVE, EDGE, ENABLE, GROUP, LATCH, LINE } from './records/interrupts.ts'
import type { Silicon } from './silicon.ts'

/** The state of an interrupt. */
export interface InterruptState {
  /** The INTID. */
  readonly intid: number
  /** `SPI 40`. */
  readonly name: string
  /**
   * The CPU: whose SGI or PPI it is, which one an SPI's route names, where an LPI is pending or would be taken. Null if
   * there is none.
   */
  readonly cpu: number | null
  /** Whether it is enabled: in ISENABLER; an LPI in its configuration, as far as the redistributor has read that. */
  readonly enabled: boolean
  /** Whether it is pending, as ISPENDR reads. */
  readonly pending: boolean
  /** Whether it is active. LPIs never are. */
  readonly active: boolean
  /** The level of its input line; 0 for SGIs and LPIs, which have none. */
  readonly line: 0 | 1
  /** `edge` or `level`. SGIs and LPIs are edges. */
  readonly trigger: 'edge' | 'level'
  /** 0 is the highest. */
  readonly priority: number
  /** 0 is signalled as FIQ, 1 as IRQ. */
  readonly group: 0 | 1
  /** Of an SPI: the affinity that its GICD_IROUTER has, `0.0.0.1`. */
  readonly route?: string
  /** Whether the CPU's output is high for it. */
  readonly signalled: boolean
  /** Why the CPU gets it, or why not: see {@link interruptReasons}. */
  readonly reason: InterruptReason
}

/** The state of an interrupt at a CPU, or at the one that it goes to. Throws an `argument` error if it does not exist. */
export function interruptState(silicon: Silicon, intid: Intid, cpu?: number): InterruptState {
  const { signalled, reason, conditions } = explainInterrupt(silicon, intid, cpu)
  if (reason === 'no-such-interrupt')
    throw new VgicError('argument', `There is no interrupt ${intid}: ${conditions[0].detail}.`)
  const target = intid < FIRST_SPI ? (cpu ?? 0) : targetOf(silicon, intid)
  const own = intid < FIRST_LPI ? wired(silicon, intid, cpu ?? 0) : lpi(silicon, intid, cpu ?? target ?? 0)
  const at = intid < FIRST_LPI ? target : (cpu ?? target)
  return { intid, name: intidName(intid), cpu: at ?? null, ...own, signalled, reason }
}

type Own = Omit<InterruptState, 'intid' | 'name' | 'cpu' | 'signalled' | 'reason'>

function wired({ physical, words }: Silicon, intid: Intid, cpu: number): Own {
  const block = physical.blockFor(physical.peOf(cpu), intid)
  const n = intid & 31
  const bit = (word: number): boolean => ((word >>> n) & 1) !== 0
  return {
    enabled: bit(words[block + ENABLE]),
    pending: bit(pendingOf(words, block)),
    active: bit(words[block + ACTIVE]),
    line: bit(words[block + LINE]) ? 1 : 0,
    trigger: bit(words[block + EDGE]) ? 'edge' : 'level',
    priority: priorityOf(words, block, n),
    group: bit(words[block + GROUP]) ? 1 : 0,
    ...(intid < FIRST_SPI ? {} : { route: affinityText(physical.readRoute(intid)) }),
  }
}

function lpi({ lpis }: Silicon, intid: Intid, cpu: number): Own {
  const known = lpis?.byteKnown(cpu, intid - FIRST_LPI) ?? 0
  return {
    enabled: (known & LPI_ENABLE) !== 0,
    pending: lpis?.isPending(cpu, intid - FIRST_LPI) ?? false,
    active: false,
    line: 0,
    trigger: 'edge',
    priority: lpis?.configuration.priorityOf(known) ?? 0,
    group: 1,
  }
}

/** The SGIs and PPIs of a CPU that are enabled, pending or active, or have their line high. */
export function privateInterrupts(silicon: Silicon, cpu: number): InterruptState[] {
  const { physical, words } = silicon
  const noted = notedIn(words, physical.blockFor(physical.peOf(cpu), FIRST_PPI))
  return intidsIn(noted, 0).map((intid) => interruptState(silicon, intid, cpu))
}

/** The SPIs of which the same is true. */
export function noticedSpis(silicon: Silicon): InterruptState[] {
  const { physical, words } = silicon
  return Array.from({ length: physical.spiBlockCount }, (_, n) => FIRST_SPI + 32 * n).flatMap((first) => {
    const noted = notedIn(words, physical.blockOf(DISTRIBUTOR, first))
    return intidsIn(noted, first).map((intid) => interruptState(silicon, intid))
  })
}

/** The LPIs that are pending at a CPU. */
export function pendingLpis(silicon: Silicon, cpu: number): InterruptState[] {
  const { lpis } = silicon
  if (!lpis) return []
  return lpis.pendingAt(cpu).map((n) => interruptState(silicon, FIRST_LPI + n, cpu))
}

const notedIn = (words: Int32Array, block: number): number =>
  words[block + ENABLE] | words[block + LATCH] | words[block + LINE] | words[block + ACTIVE]

const intidsIn = (bits: number, first: Intid): Intid[] =>
  Array.from({ length: 32 }, (_, n) => n)
    .filter((n) => ((bits >>> n) & 1) !== 0)
    .map((n) => first + n)
