/** What a scenario is told of its VM, its interrupts and its guests' CPU interfaces, and what of it is refused. */

import { FIRST_SPECIAL, FIRST_SPI } from '../arch/intid.ts'
import { configBoolean, configInteger, configOneOf, configOptions, type Fields } from '../errors/arguments.ts'
import type { LpiSizes } from '../hyp/records/lpi-record.ts'
import { MAX_VCPUS } from '../hyp/records/vgic-irq.ts'
import { type HaltPolling, NO_POLLING } from '../hyp/run/halt.ts'
import { checkGuestFrames, type GuestFramesConfig } from '../hyp/vgic/guest-frames.ts'
import { checkLpiSizes, type LpiSizesConfig } from '../hyp/vgic/lpi-sizes.ts'
import type { GuestFrames } from '../hyp/vgic/vgic-dist.ts'

/** The VM of a scenario. */
export interface VmConfig extends LpiSizesConfig {
  /** 1 to 255. vCPU n runs on CPU n modulo the number of CPUs, unless it is migrated. */
  readonly vcpus: number
  /** SPIs that the VM has, 0 to 988; default 32. */
  readonly spis?: number
  /** Whether vCPUs have the virtual and the physical timer, PPIs 27 and 30; default false. */
  readonly timers?: boolean
  /** Halt polling windows, in checks of whether the vCPU is runnable; default off. */
  readonly haltPolling?: Partial<HaltPolling>
  /** GICD_CTLR.EnableGrp1 before the guest begins: `'enabled'`, which is the default, or as after `'reset'`. */
  readonly distributor?: 'enabled' | 'reset'
  /** The addresses of the guest's GIC; see {@link GuestFramesConfig} for the defaults. */
  readonly frames?: GuestFramesConfig
  /**
   * With GICv4, which WFIs exit: `'always'`, the default, or `'shared'`: not those of a vCPU with vLPIs or vSGIs, as with
   * KVM while the vCPU's thread is the only one that is runnable on its PE.
   */
  readonly wfiExits?: 'always' | 'shared'
  /**
   * With GICv4.1, whether the guest can have vSGIs; default true. A PE whose CPU interface is GICv3's does not have them,
   * while its redistributor has vLPIs.
   */
  readonly vsgis?: boolean
  /**
   * With GICv4, whether a design is watched for a vPE that is loaded while it is resident, or put while it is not, other
   * than where that is known to do no harm: `machine.misnested` tells. Default false.
   */
  readonly strictNesting?: boolean
}

/** How an interrupt is set up before the guest begins. */
export interface InterruptConfig {
  /** 0 to 15 for `sgi`, 16 to 31 for `ppi`, from 32 on for `spi`. */
  readonly intid: number
  /** The vCPU that an SPI is routed to, or whose SGI or PPI it is; default 0. */
  readonly vcpu?: number
  /** Default `'edge'` for SGIs and SPIs, `'level'` for PPIs. SGIs are always edge. */
  readonly trigger?: 'edge' | 'level'
  /** Default 1. */
  readonly group?: 0 | 1
  /** 0 to 0xff, of which KVM keeps the upper five bits; default 0xa0. */
  readonly priority?: number
  /** Default true. */
  readonly enabled?: boolean
  /**
   * The physical SPI that an SPI is mapped to (`ICH_LR<n>_EL2.HW`): the guest's deactivation deactivates both.
   * Default none.
   */
  readonly physical?: number
}

/** An interrupt of an assigned device, which is injected directly: a vLPI. */
export interface VlpiConfig {
  /** The DeviceID of the device's messages, to the host's ITS and to the guest's. */
  readonly device: number
  /** The EventID of the message, 0 to 4095. */
  readonly event: number
  /**
   * The LPI that the message means to the guest, 8192 and up, as if its ITS driver had said so before the run; default
   * none: the guest drives its ITS, and the interrupt goes to the host until it is forwarded.
   */
  readonly intid?: number
  /** The vCPU that the LPI goes to; default 0. */
  readonly vcpu?: number
  /** 0 to 0xff, of which the upper six bits count; default 0xa0. */
  readonly priority?: number
}

/** The guest's CPU interface before its first instruction. */
export interface CpuInterfaceConfig {
  /** ICC_PMR_EL1; default 0xf0, as Linux sets it. */
  readonly priorityMask?: number
  /** The groups enabled by `ICC_IGRPEN<n>_EL1`; default both. */
  readonly groups?: readonly (0 | 1)[]
}

/** A VM's configuration with its defaults. */
export type CheckedVmConfig = Required<Omit<VmConfig, 'frames' | keyof LpiSizesConfig>> & {
  haltPolling: HaltPolling
  frames: GuestFrames
  lpis: LpiSizes
}

const vmFields: Fields<VmConfig> = {
  vcpus: true,
  spis: true,
  timers: true,
  haltPolling: true,
  distributor: true,
  frames: true,
  wfiExits: true,
  vsgis: true,
  strictNesting: true,
  lpis: true,
  itsDevices: true,
  itsCollections: true,
  translations: true,
}

/** The LPIs of a scenario's VM unless it is told otherwise: few, since a state has them all. */
export const LPI_DEFAULTS = { lpis: 8, itsDevices: 2, itsCollections: 4 }

const pollingFields: Fields<HaltPolling> = { limit: true, growStart: true, grow: true, shrink: true }
export const interruptFields: Fields<InterruptConfig> = {
  intid: true,
  vcpu: true,
  trigger: true,
  group: true,
  priority: true,
  enabled: true,
  physical: true,
}
export const vlpiFields: Fields<VlpiConfig> = {
  device: true,
  event: true,
  intid: true,
  vcpu: true,
  priority: true,
}
export const interfaceFields: Fields<CpuInterfaceConfig> = { priorityMask: true, groups: true }

/** Throws a `config` error for a field that is unknown or out of range. */
export function checkVmConfig(config: VmConfig): CheckedVmConfig {
  const {
    vcpus,
    spis = 32,
    timers = false,
    haltPolling = {},
    distributor = 'enabled',
    wfiExits = 'always',
    vsgis = true,
    strictNesting = false,
    frames = {},
    ...sizes
  } = configOptions('vm', config, vmFields)
  configOptions('haltPolling', haltPolling, pollingFields)
  const given = Object.entries(haltPolling).filter(([, value]) => value !== undefined)
  for (const [name, value] of given) configInteger(`haltPolling.${name}`, value, 0, 1_000_000)
  return {
    vcpus: configInteger('vcpus', vcpus, 1, MAX_VCPUS),
    spis: configInteger('spis', spis, 0, FIRST_SPECIAL - FIRST_SPI),
    timers: configBoolean('timers', timers),
    haltPolling: { ...NO_POLLING, ...Object.fromEntries(given) },
    distributor: configOneOf('distributor', distributor, ['enabled', 'reset'] as const),
    wfiExits: configOneOf('wfiExits', wfiExits, ['always', 'shared'] as const),
    vsgis: configBoolean('vsgis', vsgis),
    strictNesting: configBoolean('strictNesting', strictNesting),
    frames: checkGuestFrames(vcpus, frames),
    lpis: checkLpiSizes(vcpus, { translations: 4, ...sizes }, LPI_DEFAULTS),
  }
}
