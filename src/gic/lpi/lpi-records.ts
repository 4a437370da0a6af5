/**
 * Where the state of physical LPIs is (IHI 0069, "LPIs"). A redistributor has a record of its own: the tables in force
 * and which LPIs are pending. Redistributors that share a configuration table, those with the same Aff3 as
 * GICR_TYPER.CommonLPIAff says, share a cache of it: one byte an LPI.
 *
 * LPIs are counted from 0: LPI n has INTID 8192 + n.
 */
import { GICR_PENDBASER_VIEW, GICR_PROPBASER_VIEW } from '../../arch/gicr-registers.ts'
import { FIRST_LPI } from '../../arch/intid.ts'
import { type RecordType, recordType, type WordDeclaration } from '../../state/layout.ts'

/** Whether LPIs are forwarded: GICR_CTLR.EnableLPIs, whose effect may lag. */
export const LPI_IN_FORCE = 0
/** LPIs that the redistributor takes, from the first on: as many as both tables are for. 0 while it takes none. */
export const LPI_COUNT = 1
/** GICR_PROPBASER and GICR_PENDBASER as they were when EnableLPIs was set; 0 while it is clear. */
export const LPI_PROPBASER = 2
export const LPI_PENDBASER = 4
/** GICR_PENDBASER.PTZ was written and no pending table was read since: 1. */
export const LPI_PTZ = 6
/** The pending bitmap: bit n of word m is LPI 32 m + n. Behind it is what is derived from it: pending-tree.ts. */
export const LPI_PENDING = 7

/** No rank: nothing that is enabled is pending. Above every rank. */
export const NO_RANK = 0x7fffffff

/** Bits of an INTID: 16, or as many as there are LPIs for. */
export const intidBitsOf = (lpis: number): number => Math.max(16, Math.log2(Math.max(lpis, 1)))

/**
 * LPIs that exist where `lpis` are asked for: those of an INTID space of 2^16 INTIDs, or of `lpis` where these are more,
 * are 8192 fewer.
 */
export const existingLpis = (lpis: number): number => Math.min(lpis, 2 ** intidBitsOf(lpis) - FIRST_LPI)

/** A level of the tree over the pending bitmap: how many nodes it has, and words of bitmaps of their children. */
export interface TreeLevel {
  readonly nodes: number
  readonly words: number
}

/** Children of a node; the one at the top has up to twice as many. */
export const FAN_OUT = 32

/** The levels, from a node for each word of the pending bitmap to one node. */
export function levelsOf(lpis: number): TreeLevel[] {
  const bitmaps = Math.ceil(lpis / FAN_OUT)
  const levels = [{ nodes: bitmaps, words: bitmaps }]
  let children = bitmaps
  for (; children > 2 * FAN_OUT; children = Math.ceil(children / FAN_OUT)) {
    const nodes = Math.ceil(children / FAN_OUT)
    levels.push({ nodes, words: nodes })
  }
  return [...levels, { nodes: 1, words: Math.ceil(children / FAN_OUT) }]
}

/** The record of a redistributor with `lpis` LPIs. */
export function lpiRecord(lpis: number): RecordType {
  const words: WordDeclaration[] = [
    { name: 'inForce', at: LPI_IN_FORCE, class: 'authoritative' },
    { name: 'count', at: LPI_COUNT, class: 'authoritative' },
    {
      name: 'GICR_PROPBASER (in force)',
      at: LPI_PROPBASER,
      wide: true,
      class: 'authoritative',
      view: GICR_PROPBASER_VIEW,
    },
    {
      name: 'GICR_PENDBASER (in force)',
      at: LPI_PENDBASER,
      wide: true,
      class: 'authoritative',
      view: GICR_PENDBASER_VIEW,
    },
    { name: 'GICR_PENDBASER.PTZ', at: LPI_PTZ, class: 'authoritative' },
    ...pendingTreeWords(lpis, LPI_PENDING),
  ]
  return recordType('lpis', words)
}

/** The words of a pending tree, from the bitmap of what is pending on. */
export function pendingTreeWords(lpis: number, from: number): WordDeclaration[] {
  const levels = levelsOf(lpis)
  const words: WordDeclaration[] = [
    { name: 'pending', at: from, count: levels[0].words, class: 'authoritative' },
  ]
  let at = from + levels[0].words
  for (const [level, { nodes, words: bitmaps }] of levels.entries()) {
    words.push({ name: `best${level}`, at, count: nodes, class: 'derived' })
    at += nodes
    if (level === 0) continue
    words.push({ name: `children${level}`, at, count: bitmaps, class: 'derived' })
    at += bitmaps
  }
  return words
}

/** The cache of a configuration table: four LPIs a word, and how many bytes of each 1024 are in use. */
export const CACHED = 0
export const LPIS_PER_CHUNK = 1024
export const chunksOf = (lpis: number): number => Math.ceil(lpis / LPIS_PER_CHUNK)
export const cacheWords = (lpis: number): number => Math.ceil(lpis / 4)

export const lpiCacheRecord = (lpis: number, name = 'lpiConfiguration'): RecordType =>
  recordType(name, [
    { name: 'cached', at: CACHED, count: cacheWords(lpis), class: 'authoritative' },
    { name: 'cachedOfChunk', at: cacheWords(lpis), count: chunksOf(lpis), class: 'derived' },
    { name: 'invalidated', at: cacheWords(lpis) + chunksOf(lpis), class: 'derived' },
  ])

/** What is one for all redistributors: one past the last INTID that the largest of their GICR_PROPBASERs has room for. */
export const LPI_INTID_END = 0
/** Whether anything was invalidated whose pending LPIs have to be looked at again. Not between accesses. */
export const LPI_INVALIDATED = 1
export const LPI_COMMON = recordType('lpiCommon', [
  { name: 'intidEnd', at: LPI_INTID_END, class: 'derived' },
  { name: 'invalidated', at: LPI_INVALIDATED, class: 'derived' },
])
