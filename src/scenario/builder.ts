/**
 * Builds scenarios: a GIC, a VM, a design, guests and devices. A scenario is a recipe; every run starts a new machine
 * from it.
 */
import { VMCR_VENG0, VMCR_VENG1 } from '../arch/ich-registers.ts'
import { FIRST_LPI, FIRST_SPECIAL, FIRST_SPI, intidName } from '../arch/intid.ts'
import {
  argumentFunction,
  argumentNumber,
  argumentString,
  argumentWith,
  argumentWrites,
  configBoolean,
  configInteger,
  configList,
  configOneOf,
  configOptions,
} from '../errors/arguments.ts'
import { counted, hex } from '../errors/printed.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { type CheckedGicConfig, checkGicConfig, type GicConfig, gicFields } from '../gic/config/config.ts'
import { ITT_COUNT } from '../hyp/host/host-memory.ts'
import type { DirectSetup, ForwardSetup, InterruptSetup, VmSetup } from '../hyp/hypervisor.ts'
import {
  type GuestProgram,
  hasOperation,
  OP_QUIESCE,
  OP_STORE,
  OP_WORDS,
} from '../hyp/records/guest-program.ts'
import { timerIntids } from '../hyp/records/vcpu.ts'
import { checkDesign } from '../hyp/run/check-design.ts'
import type { Design } from '../hyp/run/design.ts'
import { designs } from '../hyp/run/designs.ts'
import { NO_POLLING } from '../hyp/run/halt.ts'
import { checkGuestFrames } from '../hyp/vgic/guest-frames.ts'
import { checkLpiSizes } from '../hyp/vgic/lpi-sizes.ts'
import type { GuestFrames } from '../hyp/vgic/vgic-dist.ts'
import { DeviceBuilder, type DeviceProgram } from './device-builder.ts'
import { GuestBuilder } from './guest-builder.ts'
import { checkLineOwners } from './line-owners.ts'
import { Machine } from './machine.ts'
import { type Run, type RunOptions, runMachine } from './run.ts'
import {
  type CheckedVmConfig,
  type CpuInterfaceConfig,
  checkVmConfig,
  type InterruptConfig,
  interfaceFields,
  interruptFields,
  LPI_DEFAULTS,
  type VlpiConfig,
  type VmConfig,
  vlpiFields,
} from './scenario-config.ts'
import { ScenarioMachine } from './scenario-machine.ts'
import { checkSymmetricPart, type SymmetricPart, symmetricGroups } from './symmetric.ts'

/**
 * With GICv4, the silicon of a scenario unless it is told otherwise: an ITS below the redistributors, LPIs for doorbells
 * and devices, and memory for the queue and the tables. UNPREDICTABLE uses are recorded, for the invariants S4 and S5.
 */
const gicv4Defaults = (vcpus: number, vlpis: number) => ({
  its: [{ base: 0x0804_0000 }],
  lpis: 2 ** Math.ceil(Math.log2(Math.max(64, vcpus + vlpis))),
  memoryLines: 128 + 4 * vcpus,
  unpredictable: 'report' as const,
})
/** The guest's ITS, if it has vLPIs and no other address was given: between its distributor and its redistributors. */
const GUEST_ITS = 0x0808_0000

/** KVM keeps five bits of an interrupt's priority. */
const PRIORITY_MASK = 0xf8

/**
 * A recipe for machines. The methods that set something up return the scenario itself, and throw a `VgicError` for
 * arguments that are out of range.
 */
export class Scenario {
  private gicConfig: Omit<GicConfig, 'cpus'> & { cpus?: number } = {}
  private vmConfig: CheckedVmConfig = {
    vcpus: 1,
    spis: 32,
    timers: false,
    haltPolling: NO_POLLING,
    distributor: 'enabled',
    wfiExits: 'always',
    vsgis: true,
    strictNesting: false,
    frames: checkGuestFrames(1),
    lpis: checkLpiSizes(1, {}, LPI_DEFAULTS),
  }
  private chosen: Design = designs.wfiFullPut
  private readonly interrupts = new Map<string, InterruptSetup>()
  private readonly interfaces = new Map<number, CpuInterfaceConfig>()
  private readonly guests = new Map<number, GuestProgram>()
  /** What wrote those, by vCPU. */
  private readonly guestBuilders = new Map<number, GuestBuilder>()
  private readonly devices: DeviceBuilder[] = []
  private readonly vlpis: ForwardSetup[] = []
  private readonly alike: (readonly SymmetricPart[])[] = []

  /** @internal */
  constructor(
    /** Says what the scenario shows. */
    readonly name: string,
  ) {}

  /**
   * Sets the silicon up; `cpus` defaults to the number of vCPUs. `barriers: 'report'` has no effect here: the GIC's host is the
   * hypervisor, which does not listen. `writeEffects: 'lagging'` makes a difference with GICv4 only.
   */
  gic(config: Partial<GicConfig>): this {
    this.gicConfig = configOptions<Partial<GicConfig>>('gic', config, gicFields)
    return this
  }

  /** Sets the VM up; without this call it has one vCPU and 32 SPIs. */
  vm(config: VmConfig): this {
    this.vmConfig = checkVmConfig(config)
    return this
  }

  /** Sets the hypervisor's design; `designs.wfiFullPut` without this call. */
  design(design: Design): this {
    this.chosen = checkDesign(design)
    return this
  }

  /**
   * Sets an SPI up. One that is not set up is as after reset: edge-triggered, disabled, group 1, priority 0, routed
   * to vCPU 0.
   */
  spi(config: InterruptConfig): this {
    return this.interrupt('spi', config, FIRST_SPI, 1019, 'edge')
  }

  /** Sets a vCPU's PPI up. */
  ppi(config: InterruptConfig): this {
    return this.interrupt('ppi', config, 16, FIRST_SPI - 1, 'level')
  }

  /** Sets a vCPU's SGI up. One that is not set up is enabled, in group 1, with priority 0xa0. */
  sgi(config: InterruptConfig): this {
    return this.interrupt('sgi', config, 0, 15, 'edge')
  }

  /**
   * Assigns an interrupt of a device to the VM: its message goes to the host's ITS, and with `intid` it is forwarded as a
   * vLPI when the run begins. It needs `gic({ version: '4.0' })` or `'4.1'`.
   */
  vlpi(config: VlpiConfig): this {
    const { device, event, intid, vcpu = 0, priority = 0xa0 } = configOptions('vlpi', config, vlpiFields)
    const deviceId = configInteger('device', device, 0, 0xfffe)
    const eventId = configInteger('event', event, 0, 4095)
    if (this.vlpis.some((other) => other.deviceId === deviceId && other.eventId === eventId))
      throw new VgicError('config', `Device ${deviceId} event ${eventId} is assigned already: name another.`)
    if (intid === undefined) {
      this.vlpis.push({ deviceId, eventId })
      return this
    }
    configInteger('intid', intid, FIRST_LPI, 0xffff)
    configInteger('priority', priority, 0, 0xff)
    this.vlpis.push({ deviceId, eventId, lpi: { intid, vcpu: argumentNumber('vcpu', vcpu), priority } })
    return this
  }

  /** Sets the CPU interface of a vCPU's guest up, as it is before its first instruction. */
  cpuInterface(vcpu: number, config: CpuInterfaceConfig): this {
    argumentNumber('vcpu', vcpu)
    const { priorityMask = 0xf0, groups = [0, 1] } = configOptions('cpuInterface', config, interfaceFields)
    configInteger('priorityMask', priorityMask, 0, 0xff)
    const enabled = configList('groups', groups, 'groups, 0 and 1')
    for (const [i, group] of enabled.entries()) configInteger(`groups[${i}]`, group, 0, 1)
    this.interfaces.set(vcpu, { priorityMask, groups: enabled })
    return this
  }

  /** Writes the guest of a vCPU. A vCPU without a guest is done at once. */
  guest(vcpu: number, write: (guest: GuestBuilder) => unknown): this {
    argumentNumber('vcpu', vcpu)
    argumentFunction('write', write, '(guest) => ..., which writes what the guest does')
    const builder = new GuestBuilder()
    argumentWrites('write', write, builder)
    this.guests.set(vcpu, builder.build())
    this.guestBuilders.set(vcpu, builder)
    return this
  }

  /** Adds a device; `write` gives it its steps. */
  device(name: string, write: (device: DeviceBuilder) => unknown): this {
    argumentString('name', name)
    argumentFunction('write', write, '(device) => ..., which writes what the device does')
    const builder = new DeviceBuilder(name)
    argumentWrites('write', write, builder)
    this.devices.push(builder)
    return this
  }

  /**
   * Declares parts to be symmetric (a scalarset of Murphi's, a symmetry set of TLC's): if they change places, nothing
   * changes but their names. A part is a vCPU by its index, a device by its name, or a list of those that change places
   * together, such as `[0, 'nic0']`; an SPI goes with the device that drives it. `explore` with `symmetry` makes use of it,
   * and refuses what is not symmetric.
   */
  symmetric(...parts: SymmetricPart[]): this {
    if (parts.length < 2)
      throw new VgicError(
        'scenario',
        'symmetric() has fewer than two parts: name those that can change places.',
      )
    for (const [i, part] of parts.entries()) checkSymmetricPart(`parts[${i}]`, part)
    this.alike.push(parts)
    return this
  }

  /**
   * Makes a new machine, before its first step. Throws a `VgicError` with code `config` or `scenario` if the parts do
   * not fit together.
   */
  machine(): ScenarioMachine {
    const { vcpus, spis } = this.vmConfig
    const isGicv4 = (this.gicConfig.version ?? '3') !== '3'
    const config = checkGicConfig({
      spis: this.physicalSpis(),
      ...(isGicv4 && gicv4Defaults(vcpus, this.vlpis.length)),
      ...this.gicConfig,
      cpus: this.gicConfig.cpus ?? vcpus,
    })
    const frames = this.framesOfVm()
    const devices = this.devices.map((device) => device.build())
    const setup: VmSetup = {
      vcpus,
      spis,
      timers: this.vmConfig.timers,
      haltPolling: this.vmConfig.haltPolling,
      interrupts: [...this.defaults(), ...this.interrupts.values()],
      vmcr: Array.from({ length: vcpus }, (_, vcpu) => vmcrOf(this.interfaces.get(vcpu) ?? {}, config)),
      guests: Array.from({ length: vcpus }, (_, vcpu) => this.guests.get(vcpu) ?? new GuestBuilder().build()),
      enabled: this.vmConfig.distributor === 'enabled',
      frames,
      lpis: this.vmConfig.lpis,
      direct: this.directSetup(config, frames),
    }
    for (const vcpu of this.guests.keys()) this.checkVcpu('A guest', vcpu)
    for (const vcpu of this.interfaces.keys()) this.checkVcpu('A CPU interface', vcpu)
    for (const [vcpu, { itsFrames, sgiTarget }] of this.guestBuilders) {
      for (const address of itsFrames) this.checkItsFrame(vcpu, address, frames)
      if (sgiTarget >= 0) this.checkVcpu("A guest's SGI", sgiTarget)
    }
    for (const [vcpu, { ops }] of this.guests) {
      for (let at = 0; at < ops.length; at += OP_WORDS) {
        if (ops[at] === OP_QUIESCE) this.checkInterrupt('A guest', ops[at + 1], vcpu)
      }
    }
    for (const { intid, vcpu } of setup.interrupts) this.checkInterrupt('An interrupt', intid, vcpu)
    for (const { name, steps } of devices) {
      for (const { intid, vcpu, signal, msi } of steps) {
        if (signal) this.checkVcpu(`Device ${name}`, vcpu)
        else if (msi) this.checkIts(`Device ${name}`, msi.its, frames)
        else this.checkInterrupt(`Device ${name}`, intid, vcpu)
      }
    }
    checkLineOwners(setup, devices)
    if (this.vlpis.length > 0) checkNotRestored(devices)
    checkMemory(setup, config)
    const symmetric = symmetricGroups(
      this.alike,
      vcpus,
      devices.map(({ name }) => name),
    )
    return new ScenarioMachine(new Machine(config, setup, this.chosen, devices, symmetric))
  }

  /**
   * Makes a machine and runs it to its end. The vCPUs take turns of one step; a device or a timer steps when it is
   * due, or when no vCPU can go on; a thread that waits for a PE gets one when another's time slice is over.
   */
  run(options: RunOptions = {}): Run {
    return runMachine(this.machine(), options)
  }

  /** The addresses of the guest's GIC, which has an ITS if it has vLPIs. */
  private framesOfVm(): GuestFrames {
    const { frames, vcpus } = this.vmConfig
    if (this.vlpis.length === 0 || (frames.its ?? []).length > 0) return frames
    return checkGuestFrames(vcpus, { ...frames, its: GUEST_ITS })
  }

  /**
   * What is injected directly. vCPUs have vPEs if anything can be: vLPIs need an ITS of the guest's, and vSGIs GICv4.1.
   */
  private directSetup(config: CheckedGicConfig, frames: GuestFrames): DirectSetup | undefined {
    const { vlpis } = this
    const hasIts = (frames.its ?? []).length > 0
    if (config.version === '3' || config.its.length === 0 || config.memoryLines === 0) {
      if (vlpis.length === 0) return undefined
      throw new VgicError(
        'scenario',
        'A vLPI needs GICv4 with an ITS and memory: gic({ version: "4.1" }) has all of them.',
      )
    }
    if (config.version === '4.0' && !hasIts) return undefined
    const needed = this.vmConfig.vcpus + vlpis.length
    if (config.lpis < needed) {
      throw new VgicError(
        'scenario',
        `The host needs ${needed} LPIs, for doorbells and devices, but gic() has ${config.lpis}: raise lpis.`,
      )
    }
    // A device's ITT has the number of its first interrupt.
    const beyond = vlpis.find(
      ({ deviceId }, n) => n >= ITT_COUNT && vlpis.findIndex((other) => other.deviceId === deviceId) === n,
    )
    if (beyond) {
      throw new VgicError(
        'scenario',
        `The host has ITTs for devices of the first ${ITT_COUNT} vLPIs: assign one of device ${beyond.deviceId} among them.`,
      )
    }
    const past = FIRST_LPI + config.lpis
    for (const { lpi } of vlpis) {
      if (lpi === undefined) continue
      this.checkVcpu('A vLPI', lpi.vcpu)
      if (lpi.intid < past) continue
      throw new VgicError(
        'scenario',
        `vLPI ${lpi.intid} is too large for ${config.lpis} lpis: raise lpis of gic().`,
      )
    }
    const { wfiExits, vsgis, strictNesting } = this.vmConfig
    return { forwards: vlpis, wfiExits, vsgis, strictNesting }
  }

  private interrupt(
    kind: 'spi' | 'ppi' | 'sgi',
    config: InterruptConfig,
    first: number,
    last: number,
    usual: 'edge' | 'level',
  ): this {
    configOptions(kind, config, interruptFields)
    const intid = configInteger('intid', config.intid, first, last)
    const trigger = configOneOf('trigger', config.trigger ?? usual, ['edge', 'level'] as const)
    const setup: InterruptSetup = {
      intid,
      vcpu: argumentNumber('vcpu', config.vcpu ?? 0),
      edge: trigger === 'edge' || kind === 'sgi',
      enabled: configBoolean('enabled', config.enabled ?? true),
      group: configInteger('group', config.group ?? 1, 0, 1) as 0 | 1,
      priority: configInteger('priority', config.priority ?? 0xa0, 0, 0xff) & PRIORITY_MASK,
      physical: config.physical,
    }
    const key = intid < FIRST_SPI ? `${setup.vcpu}:${intid}` : `${intid}`
    if (config.physical !== undefined) this.checkPhysical(config.physical, key, intid)
    this.interrupts.set(key, setup)
    return this
  }

  private checkPhysical(physical: number, key: string, intid: number): void {
    configInteger('physical', physical, FIRST_SPI, FIRST_SPECIAL - 1)
    if (intid < FIRST_SPI) {
      throw new VgicError('config', `${intidName(intid)} cannot be mapped to a physical SPI: map an SPI.`)
    }
    for (const [other, interrupt] of this.interrupts) {
      if (other === key || interrupt.physical !== physical) continue
      throw new VgicError(
        'config',
        `The physical SPI ${physical} is given to SPI ${interrupt.intid} already: choose another.`,
      )
    }
  }

  /** The SGIs and the timers' PPIs, set up as Linux does. */
  private defaults(): InterruptSetup[] {
    const { vcpus, timers } = this.vmConfig
    const common = { enabled: true, group: 1 as const, priority: 0xa0 }
    return Array.from({ length: vcpus }, (_, vcpu) => [
      ...Array.from({ length: 16 }, (_sgi, intid) => ({ intid, vcpu, edge: true, ...common })),
      ...(timers ? timerIntids.map((intid) => ({ intid, vcpu, edge: false, ...common })) : []),
    ]).flat()
  }

  /** The number of physical SPIs: just enough for the mapped ones, since unused state slows exploration down. */
  private physicalSpis(): number {
    const physical = Array.from(this.interrupts.values(), (interrupt) => interrupt.physical ?? 0)
    return Math.max(FIRST_SPI - 1, ...physical) - FIRST_SPI + 1
  }

  private checkIts(who: string, its: number, frames: GuestFrames): void {
    const { length } = frames.its ?? []
    if (its < length) return
    throw new VgicError(
      'scenario',
      `${who} sends a message to ITS ${its}, but the VM has ${length === 0 ? 'none' : counted(length, 'ITS')}: give it one with vm({ frames: { its } }).`,
    )
  }

  private checkItsFrame(vcpu: number, address: number, { its = [] }: GuestFrames): void {
    if (its.includes(address)) return
    const those =
      its.length === 0
        ? 'the VM has none: give it one with vm({ frames: { its } }).'
        : `that of the VM is at ${its.map(hex).join(' or ')}: say so by its({ frame }).`
    throw new VgicError(
      'scenario',
      `The guest of vCPU ${vcpu} drives an ITS at ${hex(address)}, but ${those}`,
    )
  }

  private checkVcpu(who: string, vcpu: number): void {
    if (Number.isInteger(vcpu) && vcpu >= 0 && vcpu < this.vmConfig.vcpus) return
    throw new VgicError(
      'scenario',
      `${who} names vCPU ${vcpu}, but the VM has ${this.vmConfig.vcpus}: raise vcpus.`,
    )
  }

  private checkInterrupt(who: string, intid: number, vcpu: number): void {
    this.checkVcpu(who, vcpu)
    const { spis } = this.vmConfig
    const end = FIRST_SPI + spis
    if (intid < end) return
    const has = spis === 0 ? 'no SPIs' : `SPIs up to ${end - 1}`
    throw new VgicError('scenario', `${who} names SPI ${intid}, but the VM has ${has}: raise spis.`)
  }
}

/** Throws an `argument` error for a value that is not a scenario. */
export function checkScenario(scenario: Scenario): Scenario {
  return argumentWith('scenario', scenario, 'machine', 'what scenario() returns')
}

/**
 * ICH_VMCR_EL2 from the priority mask and the group enables, with the least binary points; the silicon fills in the
 * rest at the load.
 */
function vmcrOf(
  { priorityMask = 0xf0, groups = [0, 1] }: CpuInterfaceConfig,
  config: CheckedGicConfig,
): number {
  const minimum = 7 - config.preemptionBits
  const enables = (groups.includes(0) ? VMCR_VENG0 : 0) | (groups.includes(1) ? VMCR_VENG1 : 0)
  return (priorityMask << 24) | (minimum << 21) | ((minimum + 1) << 18) | enables
}

/** Begins a scenario; the name says what it shows. */
export function scenario(name: string): Scenario {
  return new Scenario(argumentString('name', name))
}

/** Throws a `scenario` error for a guest that stores to memory that there is not. */
function checkMemory({ guests }: VmSetup, { memoryLines }: CheckedGicConfig): void {
  if (memoryLines > 0 || !guests.some((guest) => hasOperation(guest, OP_STORE))) return
  throw new VgicError(
    'scenario',
    'A guest stores to its memory, but the scenario has none: give it lines of 64 bytes with gic({ memoryLines }).',
  )
}

/** Throws a `scenario` error for a device that restores a VM whose devices are assigned. */
function checkNotRestored(devices: readonly DeviceProgram[]): void {
  const restorer = devices.find(({ steps }) => steps.some(({ restore }) => restore))
  if (restorer === undefined) return
  throw new VgicError(
    'scenario',
    `Device ${restorer.name} restores a VM with vLPIs, which are the host's to set up: leave out vlpi(), or restore().`,
  )
}
