/** The configuration of an ITS, which is checked, completed, and stored in every image. */

import { configInteger, configList, configOptions, type Fields } from '../../errors/arguments.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { recordType } from '../../state/layout.ts'

/** The configuration of an ITS. Every field but `base` has a default. */
export interface ItsConfig {
  /** Physical address of its two frames, 64 KiB aligned: the control frame, then the one with GITS_TRANSLATER. */
  readonly base: number
  /** Bits of a DeviceID, 1 to 32; default 16. */
  readonly deviceBits?: number
  /** Bits of an EventID, 1 to 32; default 16. */
  readonly eventBits?: number
  /** Bits of a collection's ID, 1 to 16; default 16. */
  readonly collectionBits?: number
  /**
   * GITS_TYPER.PTA: whether RDbase in commands is a redistributor's Processor_Number (0) or its address (1); default
   * 0.
   */
  readonly pta?: 0 | 1
}

/** Size in bytes of the frames of an ITS. */
export const ITS_FRAMES = 0x2_0000
const MOST = 8
const HIGH = 0x1_0000_0000

/**
 * Checks a list of ITSs and fills in the defaults. The addresses of their frames are checked elsewhere, by
 * checkFrames.
 */
export function checkIts(its: readonly ItsConfig[] | undefined): Required<ItsConfig>[] {
  if (its === undefined) return []
  const list = configList('its', its, `up to ${MOST} ITSs { base }`)
  if (list.length > MOST) {
    throw new VgicError(
      'config',
      `its must be an array of up to ${MOST} ITSs { base }, but has ${list.length}.`,
    )
  }
  return list.map((each, i) => {
    const { base, deviceBits, eventBits, collectionBits, pta } = configOptions(`its[${i}]`, each, itsFields)
    return {
      base,
      deviceBits: configInteger(`its[${i}].deviceBits`, deviceBits ?? 16, 1, 32),
      eventBits: configInteger(`its[${i}].eventBits`, eventBits ?? 16, 1, 32),
      collectionBits: configInteger(`its[${i}].collectionBits`, collectionBits ?? 16, 1, 16),
      pta: configInteger(`its[${i}].pta`, pta ?? 0, 0, 1) === 1 ? 1 : 0,
    }
  })
}

const itsFields: Fields<ItsConfig> = {
  base: true,
  deviceBits: true,
  eventBits: true,
  collectionBits: true,
  pta: true,
}

/** One ITS of a configuration. */
export const ITS_CONFIG = recordType(
  'itsConfig',
  ['base', 'baseHigh', 'deviceBits', 'eventBits', 'collectionBits', 'pta'].map((name, at) => ({
    name,
    at,
    class: 'authoritative' as const,
  })),
)

/** Stores an ITS's configuration at word `at`. */
export function storeIts(
  words: Int32Array,
  at: number,
  { base, deviceBits, eventBits, collectionBits, pta }: Required<ItsConfig>,
): void {
  words.set([(base % HIGH) | 0, Math.floor(base / HIGH), deviceBits, eventBits, collectionBits, pta], at)
}

/** Reads an ITS's configuration back, unchecked. */
export function loadIts(words: Int32Array, at: number): ItsConfig {
  const [low, high, deviceBits, eventBits, collectionBits, pta] = words.subarray(at, at + ITS_CONFIG.size)
  return { base: (low >>> 0) + high * HIGH, deviceBits, eventBits, collectionBits, pta: pta as 0 | 1 }
}
