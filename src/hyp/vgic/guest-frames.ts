/** The addresses of a guest's GIC: intermediate physical addresses, which are independent of those of the silicon. */

import { configList, configOptions } from '../../errors/arguments.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { checkFrames, checkRegions, type RedistributorRegion } from '../../gic/config/config.ts'
import { type GuestFrames, VGIC_GICD_SIZE, VGIC_GICR_SIZE } from './vgic-dist.ts'
import { VGIC_GITS_SIZE } from './vgic-its-registers.ts'

const MOST_ITSS = 8
const ITSS = `up to ${MOST_ITSS} addresses`

/** The configurable addresses of a guest's GIC. */
export interface GuestFramesConfig {
  /** The distributor; default 0x0800_0000. */
  readonly gicd?: number
  /** Redistributor regions, in the order of the vCPUs; default one at 0x080a_0000 with room for all of them. */
  readonly gicr?: readonly RedistributorRegion[]
  /** The ITS. Without one, which is the default, the VM has no LPIs. */
  readonly its?: number | readonly number[]
}

/**
 * Fills in the defaults. Throws a `config` error for frames that overlap, are not 64 KiB aligned, or have no room for
 * the redistributors of all vCPUs.
 */
export function checkGuestFrames(vcpus: number, config: GuestFramesConfig = {}): GuestFrames {
  configOptions('frames', config, { gicd: true, gicr: true, its: true })
  const { gicd = 0x0800_0000, gicr = [{ base: 0x080a_0000, count: vcpus }], its } = config
  const bases =
    its === undefined ? [] : typeof its === 'number' ? [its] : [...configList('frames.its', its, ITSS)]
  if (bases.length > MOST_ITSS) {
    throw new VgicError('config', `frames.its must be an address or ${ITSS}, but has ${bases.length}.`)
  }
  const others = bases.map((base, i) => ({
    name: typeof its === 'number' ? 'its' : `its[${i}]`,
    base,
    size: VGIC_GITS_SIZE,
  }))
  const regions = checkRegions(gicr)
  checkFrames({ version: '3', cpus: vcpus, gicd, gicr: regions }, 'vcpus', others)
  return { gicd, gicr: regions, its: bases }
}

/** What of a guest's addresses is no memory. */
export const framesOfGuest = ({ gicd, gicr, its = [] }: GuestFrames): { base: number; size: number }[] => [
  { base: gicd, size: VGIC_GICD_SIZE },
  ...gicr.map(({ base, count }) => ({ base, size: count * VGIC_GICR_SIZE })),
  ...its.map((base) => ({ base, size: VGIC_GITS_SIZE })),
]
