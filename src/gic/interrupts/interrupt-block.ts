/**
 * The state of 32 interrupts: bit x of a word is interrupt x of the block. A redistributor keeps one for its PE's SGIs
 * and PPIs, the distributor one for each 32 SPIs, with their routes (IHI 0069, "Interrupt grouping", "Enabling
 * individual interrupts", "Interrupt lifecycle").
 *
 * An interrupt's pending state is two things, kept apart: the latch, which an edge, a write of ISPENDR or an SGI sets
 * and an acknowledge clears, and the level of its input line. An edge-triggered interrupt is pending by its latch,
 * a level-sensitive one by either.
 */
import { AFFINITY_VIEW } from '../../arch/gicd-registers.ts'
import { recordType, type WordDeclaration } from '../../state/layout.ts'

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

/**
 * The words of a block at word `at` of a record; register names begin with `prefix`. `blockOf` says which 32
 * interrupts a record has, as the number of their `IGROUPR<n>`.
 */
export function blockWords(
  at: number,
  prefix: string,
  blockOf: (index: number) => number,
): readonly WordDeclaration[] {
  const bitmap = (_: number, index: number): number => blockOf(index)
  const twoBits = (_: number, index: number): string => `${2 * blockOf(index)}, ${2 * blockOf(index) + 1}`
  const bytes = (element: number, index: number): number => 8 * blockOf(index) + element
  const intids = (_: number, index: number): string => `${32 * blockOf(index)} to ${32 * blockOf(index) + 31}`
  return [
    { name: `${prefix}_IGROUPR<n>`, n: bitmap, at: at + GROUP, class: 'authoritative' },
    { name: `${prefix}_ISENABLER<n>`, n: bitmap, at: at + ENABLE, class: 'authoritative' },
    { name: `${prefix}_ICFGR<n> (edge)`, n: twoBits, at: at + EDGE, class: 'authoritative' },
    { name: `${prefix}_ICENABLER<n> (lagging)`, n: bitmap, at: at + DISABLING, class: 'authoritative' },
    { name: `${prefix}_ISPENDR<n> (latch)`, n: bitmap, at: at + LATCH, class: 'authoritative' },
    { name: `${prefix} input lines <n>`, n: intids, at: at + LINE, class: 'authoritative' },
    { name: `${prefix}_ISACTIVER<n>`, n: bitmap, at: at + ACTIVE, class: 'authoritative' },
    { name: `${prefix} candidates <n>`, n: intids, at: at + CANDIDATES, class: 'derived' },
    { name: `${prefix}_IPRIORITYR<n>`, n: bytes, at: at + PRIORITY, count: 8, class: 'authoritative' },
  ]
}

/** SPIs begin at INTID 32, in block 1. */
const spiBlockOf = (index: number): number => index + 1

/** The distributor's record for 32 SPIs. */
export const SPI_BLOCK = recordType(
  { name: 'spiBlock[<n>]', prefix: '' },
  blockWords(0, 'GICD', spiBlockOf),
  [
    {
      name: 'GICD_IROUTER<n>',
      n: (element, index) => 32 * spiBlockOf(index) + element,
      at: ROUTE,
      count: 32,
      class: 'authoritative',
      view: AFFINITY_VIEW,
    },
  ],
)
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
