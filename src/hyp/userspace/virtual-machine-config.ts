/** The configuration of a VM whose guests run elsewhere, and the hypervisor that it makes. */
import { configBoolean, configInteger, configOptions, type Fields } from '../../errors/arguments.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { checkGicConfig, type GicConfig, gicFields } from '../../gic/config/config.ts'
import { argumentMemory, type GicMemory } from '../../gic/config/memory.ts'
import { Hypervisor } from '../hypervisor.ts'
import { digestOf } from '../recipe.ts'
import { MAX_VCPUS } from '../records/vgic-irq.ts'
import { checkDesign } from '../run/check-design.ts'
import type { Design } from '../run/design.ts'
import { NO_POLLING } from '../run/halt.ts'
import { checkGuestFrames, type GuestFramesConfig } from '../vgic/guest-frames.ts'
import { checkLpiSizes, type LpiSizesConfig } from '../vgic/lpi-sizes.ts'

/** The configuration of a VM and its host. */
export interface VirtualMachineConfig extends LpiSizesConfig {
  /** 1 to 255. vCPU n has affinity 0.0.(n / 16).(n % 16). */
  readonly vcpus: number
  /** SPIs, 0 to 988; default 32. */
  readonly spis?: number
  /** Whether the guests have the virtual and the physical timer, PPIs 27 and 30; default true. */
  readonly timers?: boolean
  /** The addresses of the guests' GIC; see {@link GuestFramesConfig} for the defaults. */
  readonly frames?: GuestFramesConfig
  /**
   * The silicon; `cpus`, the number of the host's CPUs, defaults to the number of vCPUs. Of `version` the vCPUs get nothing:
   * they have no vPEs, and all interrupts go through list registers. A scenario injects directly.
   */
  readonly silicon?: Partial<GicConfig>
  /**
   * The guests' memory, in which they put the tables and the command queues of their ITSs. Default: the silicon's own, if
   * it has any (`memoryLines`). Without memory an ITS carries out no command.
   */
  readonly memory?: GicMemory
  /** The hypervisor's design. */
  readonly design: Design
}

const fields: Fields<VirtualMachineConfig> = {
  vcpus: true,
  spis: true,
  timers: true,
  frames: true,
  silicon: true,
  lpis: true,
  itsDevices: true,
  itsCollections: true,
  translations: true,
  memory: true,
  design: true,
}

/** The LPIs of a VM unless it is told otherwise. */
const LPI_DEFAULTS = { lpis: 1024, itsDevices: 64, itsCollections: 64 }

/** The hypervisor of a configuration. Throws a `config` error that names a field that is out of range. */
export function hypervisorFor(config: VirtualMachineConfig): Hypervisor {
  configOptions('The configuration of a virtual machine', config, fields)
  const vcpus = configInteger('vcpus', config.vcpus, 1, MAX_VCPUS)
  const { cpus = vcpus, ...silicon } = configOptions<Partial<GicConfig>>(
    'silicon',
    config.silicon ?? {},
    gicFields,
  )
  const checked = checkGicConfig({ ...silicon, cpus })
  if (checked.maintenanceInterrupt === 'lagging') {
    throw new VgicError(
      'config',
      "silicon.maintenanceInterrupt must be 'at-once': a virtual machine has nobody who completes what lags. Use a scenario.",
    )
  }
  const design = checkDesign(config.design)
  const setup = {
    vcpus,
    spis: configInteger('spis', config.spis ?? 32, 0, 988),
    timers: configBoolean('timers', config.timers ?? true),
    haltPolling: NO_POLLING,
    interrupts: [],
    vmcr: Array.from({ length: vcpus }, () => 0),
    guests: [],
    enabled: false,
    frames: checkGuestFrames(vcpus, config.frames),
    lpis: checkLpiSizes(vcpus, config, LPI_DEFAULTS),
  }
  const memory = config.memory === undefined ? undefined : argumentMemory('memory', config.memory)
  return new Hypervisor(checked, { ...setup, memory }, design, [], digestOf(setup, design))
}
