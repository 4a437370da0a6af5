/**
 * Where the state of physical LPIs is (IHI 0069, "LPIs"). A redistributor has a record of its own: the tables in force
 * and which LPIs are pending. Redistributors that share a configuration table, those with the same Aff3 as
 * GICR_TYPER.CommonLPIAff says, share a cache of it: one byte an LPI.
 *
 * LPIs are counted from 0: LPI n has INTID 8192 + n.
 */
import { GICR_PENDBASER_VIEW, GICR_PROPBASER_VIEW } from '../../arch/gicr-registers.ts'
import { FIRST_LPI } from '../../arch/intid.ts'
import { type RecordType, recordType, type WordDeclaration, type Writer } from '../../state/layout.ts'
import { offsetOf, type Rows, wordsOf } from '../../state/rows.ts'

export * from './physical-lpi-offsets.ts'

/** No rank: nothing that is enabled is pending. Above every rank. */
export const NO_RANK = 0x7fffffff

/** Bits of an INTID: 16, or as many as there are LPIs for. */
export const intidBitsOf = (lpis: number): number => Math.max(16, Math.log2(Math.max(lpis, 1)))

/**
 * LPIs that exist where `lpis` are asked for: those of an INTID space of 2^16 INTIDs, or of `lpis` where these are more,
 * are 8192 fewer.
 */
export const existingLpis = (lpis: number): number => Math.min(lpis, 2 ** intidBitsOf(lpis) - FIRST_LPI)

/**
 * A level of the tree over the pending bitmap: how many nodes it has, and words of bitmaps of their children; and where
 * from the pending bitmap on it has the best ranks of its nodes and those bitmaps. The children of level 0 are LPIs: its
 * bitmaps are the pending bitmap.
 */
export interface TreeLevel {
  readonly nodes: number
  readonly words: number
  readonly best: number
  readonly children: number
}

/** Children of a node; the one at the top has up to twice as many. */
const FAN_OUT = 32

/** The levels, from a node for each word of the pending bitmap to one node. */
export function levelsOf(lpis: number): TreeLevel[] {
  const bitmaps = Math.ceil(lpis / FAN_OUT)
  const levels: TreeLevel[] = [{ nodes: bitmaps, words: bitmaps, best: bitmaps, children: 0 }]
  let at = 2 * bitmaps
  const add = (nodes: number, words: number): void => {
    levels.push({ nodes, words, best: at, children: at + nodes })
    at += nodes + words
  }
  let children = bitmaps
  for (; children > 2 * FAN_OUT; children = Math.ceil(children / FAN_OUT)) {
    const nodes = Math.ceil(children / FAN_OUT)
    add(nodes, nodes)
  }
  add(1, Math.ceil(children / FAN_OUT))
  return levels
}

/** The words of a redistributor, up to its pending bitmap. */
export const lpiRedistributorRows = {
  LPI_IN_FORCE: {
    name: 'inForce',
    class: 'authoritative',
    by: [],
    says: 'Whether LPIs are forwarded: GICR_CTLR.EnableLPIs, whose effect may lag.',
  },
  LPI_COUNT: {
    name: 'count',
    class: 'authoritative',
    by: [],
    says: 'LPIs that the redistributor takes, from the first on: as many as both tables are for. 0 while it takes none.',
  },
  LPI_PROPBASER: {
    name: 'GICR_PROPBASER (in force)',
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'GICR_PROPBASER as it was when EnableLPIs was set; 0 while it is clear.',
    view: GICR_PROPBASER_VIEW,
  },
  LPI_PENDBASER: {
    name: 'GICR_PENDBASER (in force)',
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'GICR_PENDBASER as it was when EnableLPIs was set; 0 while it is clear.',
    view: GICR_PENDBASER_VIEW,
  },
  LPI_PTZ: {
    name: 'GICR_PENDBASER.PTZ',
    class: 'authoritative',
    by: [],
    says: 'GICR_PENDBASER.PTZ was written and no pending table was read since: 1.',
  },
  LPI_PENDING: {
    name: 'pending',
    count: (lpis) => levelsOf(lpis)[0].words,
    class: 'authoritative',
    by: [],
    says: 'The pending bitmap: bit n of word m is LPI 32 m + n. Behind it is what is derived from it: pending-tree.ts.',
  },
} as const satisfies Rows<number>

/** The record of a redistributor with `lpis` LPIs. */
export const lpiRecord = (lpis: number): RecordType =>
  recordType(
    'lpis',
    wordsOf(lpiRedistributorRows, lpis),
    pendingTreeWords(lpis, offsetOf(lpiRedistributorRows, 'LPI_PENDING', lpis)),
  )

/** The words of a pending tree behind the bitmap of what is pending, which is at `pending`. */
export const pendingTreeWords = (
  lpis: number,
  pending: number,
  by: readonly Writer[] = [],
): WordDeclaration[] =>
  levelsOf(lpis).flatMap(({ nodes, words, best, children }, level) => {
    const ranks = { name: `best${level}`, at: pending + best, count: nodes, class: 'derived', by } as const
    const bitmaps = {
      name: `children${level}`,
      at: pending + children,
      count: words,
      class: 'derived',
      by,
    } as const
    return level === 0 ? [ranks] : [ranks, bitmaps]
  })

/** Bytes of a configuration that are counted together. */
export const LPIS_PER_CHUNK = 1024

/** The cache of a configuration table. */
export const lpiCacheRows = {
  CACHED: {
    name: 'cached',
    count: (lpis) => Math.ceil(lpis / 4),
    class: 'authoritative',
    by: [],
    says: 'The bytes of the configuration as they are known, those of four LPIs a word.',
  },
  CACHED_OF_CHUNK: {
    name: 'cachedOfChunk',
    count: (lpis) => Math.ceil(lpis / LPIS_PER_CHUNK),
    class: 'derived',
    by: [],
    says: 'How many bytes of each 1024 are in use.',
  },
  CACHE_INVALIDATED: {
    name: 'invalidated',
    class: 'derived',
    by: [],
    says: 'Whether what is pending has to be looked at again: all was forgotten, or MOVALL has brought it.',
  },
} as const satisfies Rows<number>

export const lpiCacheRecord = (lpis: number, name = 'lpiConfiguration'): RecordType =>
  recordType(name, wordsOf(lpiCacheRows, lpis))

/** What is one for all redistributors. */
export const lpiCommonRows = {
  LPI_INVALIDATED: {
    name: 'invalidated',
    class: 'derived',
    by: [],
    says: 'Whether anything was invalidated whose pending LPIs, or vLPIs, have to be looked at again. Not between accesses.',
  },
} as const satisfies Rows

export const LPI_COMMON = recordType('lpiCommon', wordsOf(lpiCommonRows, undefined))
