/**
 * The state of 32 interrupts: bit x of a word is interrupt x of the block. A redistributor keeps one for its PE's SGIs
 * and PPIs, the distributor one for each 32 SPIs, with their routes (IHI 0069, "Interrupt grouping", "Enabling
 * individual interrupts", "Interrupt lifecycle").
 *
 * An interrupt's pending state is two things, kept apart: the latch, which an edge, a write of ISPENDR or an SGI sets
 * and an acknowledge clears, and the level of its input line. An edge-triggered interrupt is pending by its latch,
 * a level-sensitive one by either.
 */
import { AFFINITY_VIEW } from '../arch/gicd.ts'
import { recordType, type WordDeclaration } from '../state/layout.ts'

/** What software configures, and then, from {@link LATCH} to {@link CANDIDATES}, what becomes of interrupts. */
export const GROUP = 0
export const ENABLE = 1
/** Edge-triggered interrupts; SGIs always are. */
export const EDGE = 2
/** Interrupts that were disabled while the effect of that still lags: they are forwarded as if enabled (RWP). */
export const DISABLING = 3
export const LATCH = 4
export const LINE = 5
export const ACTIVE = 6
/** Derived: what may be forwarded to a CPU interface, {@link candidatesOf}. */
export const CANDIDATES = 7
/** Eight words, a byte an interrupt, as `IPRIORITYR<n>` has them. */
export const PRIORITY = 8
/** SPIs only, behind the block: a word an interrupt, its affinity Aff3.Aff2.Aff1.Aff0. */
export const ROUTE = 16

/** The words of a block at word `at` of a record; register names begin with `prefix` and end with `suffix`. */
export const blockWords = (at: number, prefix: string, suffix: string): readonly WordDeclaration[] => [
  { name: `${prefix}_IGROUPR${suffix}`, at: at + GROUP, class: 'authoritative' },
  { name: `${prefix}_ISENABLER${suffix}`, at: at + ENABLE, class: 'authoritative' },
  { name: `${prefix}_ICFGR (edge)`, at: at + EDGE, class: 'authoritative' },
  { name: `${prefix}_ICENABLER${suffix} (lagging)`, at: at + DISABLING, class: 'authoritative' },
  { name: `${prefix}_ISPENDR${suffix} (latch)`, at: at + LATCH, class: 'authoritative' },
  { name: `${prefix} input lines`, at: at + LINE, class: 'authoritative' },
  { name: `${prefix}_ISACTIVER${suffix}`, at: at + ACTIVE, class: 'authoritative' },
  { name: `${prefix} candidates`, at: at + CANDIDATES, class: 'derived' },
  { name: `${prefix}_IPRIORITYR`, at: at + PRIORITY, count: 8, class: 'authoritative' },
]

/** The distributor's record for 32 SPIs. */
export const SPI_BLOCK = recordType('spiBlock', blockWords(0, 'GICD', ''), [
  { name: 'GICD_IROUTER', at: ROUTE, count: 32, class: 'authoritative', view: AFFINITY_VIEW },
])
/** Its size. */
export const SPI_BLOCK_WORDS = 48

/** Pending interrupts of a block. */
export const pendingOf = (words: Int32Array, block: number): number =>
  words[block + LATCH] | (words[block + LINE] & ~words[block + EDGE])

/** Interrupts that may be forwarded to a CPU interface: pending, enabled, not active, in one of `groups`. */
export function candidatesOf(words: Int32Array, block: number, groups: number): number {
  const pending = pendingOf(words, block) & ~words[block + ACTIVE]
  if (pending === 0) return 0
  return (
    pending & (words[block + ENABLE] | words[block + DISABLING]) & groupBits(words[block + GROUP], groups)
  )
}

/** The interrupts of a block in one of `groups`: bit 0 group 0, bit 1 group 1. */
export const groupBits = (group1: number, groups: number): number =>
  (groups & 1 ? ~group1 : 0) | (groups & 2 ? group1 : 0)

/** The priority of interrupt `n` of a block. */
export const priorityOf = (words: Int32Array, block: number, n: number): number =>
  (words[block + PRIORITY + (n >> 2)] >>> ((n & 3) << 3)) & 0xff
