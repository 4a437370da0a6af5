/** How many LPIs a VM can have, and devices and collections that its ITSs have mapped: what can be configured. */
import { configInteger } from '../../errors/arguments.ts'
import type { LpiSizes } from '../records/lpi-record.ts'

/** What of it can be configured. It means nothing in a VM without an ITS. */
export interface LpiSizesConfig {
  /** LPIs that exist at a time, and events that are mapped to them, 1 to 65536. */
  readonly lpis?: number
  /** Devices that are mapped at a time, 1 to 65536. */
  readonly itsDevices?: number
  /** Collections that are mapped, or have events, at a time, 1 to 65536. */
  readonly itsCollections?: number
  /** Translations that are cached, 0 to 4096; default 16 a vCPU. With 0 there is no translation cache. */
  readonly translations?: number
}

const MOST = 0x1_0000

/** Checks what is given and fills in the defaults; throws a `config` error. */
export function checkLpiSizes(
  vcpus: number,
  { lpis, itsDevices, itsCollections, translations }: LpiSizesConfig,
  defaults: Omit<LpiSizes, 'translations'>,
): LpiSizes {
  return {
    lpis: configInteger('lpis', lpis ?? defaults.lpis, 1, MOST),
    itsDevices: configInteger('itsDevices', itsDevices ?? defaults.itsDevices, 1, MOST),
    itsCollections: configInteger('itsCollections', itsCollections ?? defaults.itsCollections, 1, MOST),
    translations: configInteger('translations', translations ?? 16 * vcpus, 0, 4096),
  }
}
