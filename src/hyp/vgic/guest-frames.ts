/** The addresses of a guest's GIC: intermediate physical addresses, which are independent of those of the silicon. */

import { configOptions } from '../../errors/arguments.ts'
import { checkFrames, checkRegions, type RedistributorRegion } from '../../gic/config/config.ts'
import type { GuestFrames } from './vgic-dist.ts'

/** The configurable addresses of a guest's GIC. */
export interface GuestFramesConfig {
  /** The distributor; default 0x0800_0000. */
  readonly gicd?: number
  /** Redistributor regions, in the order of the vCPUs; default one at 0x080a_0000 with room for all of them. */
  readonly gicr?: readonly RedistributorRegion[]
  /** The ITS. Without one, which is the default, the VM has no LPIs. */
  readonly its?: number
}

/**
 * Fills in the defaults. Throws a `config` error for frames that overlap, are not 64 KiB aligned, or have no room for
 * the redistributors of all vCPUs.
 */
export function checkGuestFrames(vcpus: number, config: GuestFramesConfig = {}): GuestFrames {
  configOptions('frames', config, { gicd: true, gicr: true, its: true })
  const { gicd = 0x0800_0000, gicr = [{ base: 0x080a_0000, count: vcpus }], its } = config
  const others = its === undefined ? [] : [{ name: 'its', base: its, size: 0x2_0000 }]
  const regions = checkRegions(gicr)
  checkFrames({ version: '3', cpus: vcpus, gicd, gicr: regions }, 'vCPUs', others)
  return { gicd, gicr: regions, its }
}
