/**
 * A host with one VM, over one state buffer: the silicon, the host's scheduler, the VM's vGIC and vCPUs with their
 * threads, and the guests. The caller drives it step by step.
 */
import { FIRST_LPI, FIRST_PPI, FIRST_SPI, INTID_NONE, type Intid } from '../arch/intid.ts'
import { VgicError } from '../errors/vgic-error.ts'
import type { CheckedGicConfig } from '../gic/config/config.ts'
import { type GicMemory, Memory, memoryRecord } from '../gic/config/memory.ts'
import { configRecords, storeGicConfig } from '../gic/config/stored-config.ts'
import type { GicHost } from '../gic/cpu-interface/output-lines.ts'
import { DAIF_F, DAIF_I, PSTATE_EL1 } from '../gic/cpu-interface/pcpu.ts'
import { Silicon, siliconRecords } from '../gic/silicon.ts'
import { blankImage, HEADER } from '../state/image.ts'
import { Layout, type RecordType, recordType } from '../state/layout.ts'
import { MachineState } from '../state/machine-state.ts'
import { type Rows, wordsByName, wordsOf } from '../state/rows.ts'
import { Guest, type OutsideWorld } from './guest/guest.ts'
import { bootHostGic, type PhysicalSpi } from './host/host-gic.ts'
import { HOST_MEMORY } from './host/host-memory.ts'
import { Kicks } from './host/kick.ts'
import { Scheduler } from './host/scheduler.ts'
import { Seam } from './host/seam.ts'
import { affinityOf } from './records/affinity.ts'
import { COST_FIRST_ENTRY, COST_STRIDE } from './records/cost-row.ts'
import type { GuestProgram } from './records/guest-program.ts'
import { GUEST_ACK, MAX_DEPTH } from './records/guest-record.ts'
import { hostRecord } from './records/host-record.ts'
import { ITS_ENABLED } from './records/its-record.ts'
import { FORWARD_DEVICE, FORWARD_EVENT, FORWARD_STRIDE } from './records/its-vpe.ts'
import type { LpiSizes } from './records/lpi-record.ts'
import {
  asVcpu,
  timerIntids,
  VCPU_COST,
  VCPU_INDEX,
  VCPU_LAST_CPU,
  VCPU_LPIS_ENABLED,
  VCPU_PC,
  VCPU_PENDBASER,
  VCPU_SPSR,
  VCPU_VMCR,
  type Vcpu,
} from './records/vcpu.ts'
import {
  asIrq,
  IRQ_EDGE,
  IRQ_ENABLED,
  IRQ_GROUP1,
  IRQ_HW,
  IRQ_PRIORITY_SHIFT,
  IRQ_TARGET_SHIFT,
  type Irq,
  irqAfter,
} from './records/vgic-irq.ts'
import {
  layoutOf,
  MAPPED_IRQ,
  MAPPED_PINTID,
  MAPPED_STRIDE,
  VM_ENABLED,
  VM_PROPBASER,
  VM_TIME,
  type VmLayout,
  vmRecords,
} from './records/vm.ts'
import type { Design } from './run/design.ts'
import { Halt, type HaltPolling } from './run/halt.ts'
import { HostInterrupts } from './run/host-interrupts.ts'
import { Injection } from './run/injection.ts'
import { itsWays } from './run/its-ways.ts'
import { Messages } from './run/message.ts'
import { OnSpin } from './run/on-spin.ts'
import { OwnSteps } from './run/own-steps.ts'
import { compile, FIRST_PC, type Program, stepNames } from './run/program.ts'
import { RunLoop } from './run/run-loop.ts'
import { flushWritingHcr } from './run/steps.ts'
import { StopVm } from './run/stop-vm.ts'
import { ApLists } from './vgic/ap-list.ts'
import { ArchTimers } from './vgic/arch-timer.ts'
import { FORWARDED_EVENT_BITS } from './vgic/forwarding.ts'
import { framesOfGuest } from './vgic/guest-frames.ts'
import { IrqDirectory } from './vgic/irq-directory.ts'
import { MappedInterrupts } from './vgic/mapped-interrupts.ts'
import type { GuestFrames } from './vgic/vgic-dist.ts'
import { PPI_RESET, SGI_RESET, SPI_RESET, VgicMmio } from './vgic/vgic-mmio.ts'
import { VgicV3 } from './vgic/vgic-v3.ts'
import { VgicV4 } from './vgic/vgic-v4.ts'

/** How an interrupt of the VM is configured when the run begins. */
export interface InterruptSetup {
  readonly intid: Intid
  /** The vCPU whose private interrupt it is, or to which an SPI is routed. */
  readonly vcpu: number
  readonly edge: boolean
  readonly enabled: boolean
  readonly group: 0 | 1
  readonly priority: number
  /** The physical SPI that it is mapped to, if any. */
  readonly physical?: number | undefined
}

/** The configuration of a VM when the run begins. */
export interface VmSetup {
  readonly vcpus: number
  readonly spis: number
  /** Whether its timers exist. */
  readonly timers: boolean
  readonly haltPolling: HaltPolling
  readonly interrupts: readonly InterruptSetup[]
  /** The guest's ICH_VMCR_EL2, by vCPU. */
  readonly vmcr: readonly number[]
  readonly guests: readonly GuestProgram[]
  /** Whether GICD_CTLR.EnableGrp1 is set when the run begins. */
  readonly enabled: boolean
  /** The addresses of the guest's GIC. */
  readonly frames: GuestFrames
  /** How many LPIs, mapped devices and collections there can be. */
  readonly lpis: LpiSizes
  /** The guest's memory; by default the silicon's own, if it has any. */
  readonly memory?: GicMemory | undefined
  /** With GICv4: what is injected directly. Without it nothing is, and vCPUs have no vPEs. */
  readonly direct?: DirectSetup | undefined
}

/** An interrupt of an assigned device, and the LPI that its message means to the guest when the run begins. */
export interface ForwardSetup {
  readonly deviceId: number
  readonly eventId: number
  /** The LPI that its message means to the guest, and its vCPU; left out if the guest's ITS driver says so later. */
  readonly lpi?: { readonly intid: Intid; readonly vcpu: number; readonly priority: number } | undefined
}

/** How a host with GICv4 injects directly. */
export interface DirectSetup {
  /** The interrupts of assigned devices. One with an LPI is forwarded when the run begins. */
  readonly forwards: readonly ForwardSetup[]
  /** Whether every WFI exits, or not that of a vCPU with vLPIs: KVM's, while one thread is runnable on the PE. */
  readonly wfiExits: 'always' | 'shared'
  /** Whether the guest can have vSGIs, on GICv4.1. */
  readonly vsgis: boolean
  /**
   * Whether it is recorded that a vPE is loaded while it is resident, or put while it is not, where that is not known to do
   * no harm: the flag that makes them do nothing would hide a wrong caller (catalogue 13).
   */
  readonly strictNesting: boolean
}

/** The size of the VM, as an image stores it. */
const vmConfigRows = {
  VM_VCPUS: { name: 'vcpus', class: 'authoritative', by: [], says: 'vCPUs.' },
  VM_SPIS: { name: 'spis', class: 'authoritative', by: [], says: 'SPIs.' },
  VM_MAPPED: { name: 'mapped', class: 'authoritative', by: [], says: 'Mapped interrupts.' },
  VM_OWN_WORDS: { name: 'ownWords', class: 'authoritative', by: [], says: "Words of a design's own." },
  VM_RECIPE: {
    name: 'digest of design, guests and devices',
    class: 'authoritative',
    by: [],
    says: "The digest of the machine's setup.",
  },
} as const satisfies Rows
const VM_CONFIG = recordType('vmConfig', wordsOf(vmConfigRows, undefined))

/** GICR_PENDBASER and GICR_PROPBASER of a guest whose LPIs are set up when the run begins: see {@link Hypervisor}. */
const GUEST_CONFIGURATION = 0x4000_0000
const GUEST_PENDING = 0x4010_0000
const GUEST_PAGE = 0x1_0000
const GUEST_IDBITS = 15

/** The words of the cost table. */
const COST_ROWS_END = COST_FIRST_ENTRY + COST_STRIDE

/** Without an ITS. */
const NO_LPIS: LpiSizes = { lpis: 0, itsDevices: 0, itsCollections: 0, translations: 0 }
/** What is remembered of an access to the guest's memory that was refused. */
const GUEST_MEMORY = memoryRecord('guestMemory')

export class Hypervisor {
  readonly state: MachineState
  readonly words: Int32Array
  readonly silicon: Silicon
  readonly seam: Seam
  readonly kicks: Kicks
  readonly apLists: ApLists
  readonly interrupts: IrqDirectory
  readonly timers: ArchTimers
  readonly mapped: MappedInterrupts
  readonly mmio: VgicMmio
  readonly scheduler: Scheduler
  readonly hostInterrupts: HostInterrupts
  readonly injection: Injection
  readonly messages: Messages
  readonly halt: Halt
  readonly runLoop: RunLoop
  readonly guest: Guest
  readonly layout: VmLayout
  /** Undefined without GICv4. */
  readonly v4: VgicV4 | undefined

  /** `more` are records of the machine around the hypervisor: devices, ghosts. */
  constructor(
    readonly config: CheckedGicConfig,
    readonly setup: VmSetup,
    readonly design: Design,
    more: readonly (readonly [RecordType, number])[],
    /** A digest of the machine's configuration, so that an image of another scenario is refused. */
    recipe: number,
  ) {
    const { vcpus, spis } = setup
    const { listRegisters } = config
    const mapped = setup.interrupts.filter(({ physical }) => physical !== undefined).length
    const ownWords = design.words ?? []
    const its = setup.frames.its ?? []
    const lpiSizes = its.length === 0 ? NO_LPIS : setup.lpis
    const { direct } = setup
    const size = {
      vcpus,
      spis,
      listRegisters,
      mapped,
      ownWords,
      its: its.length,
      lpis: lpiSizes,
      direct: direct !== undefined,
      forwards: direct?.forwards.length ?? 0,
    }
    const silicon = siliconRecords(config)
    const program = compile(design, size.direct)
    const vm = vmRecords(size, { steps: stepNames(program), guests: setup.guests })
    const host = hostRecord(config.cpus)
    const layout = new Layout([
      [HEADER, 1],
      ...configRecords(config),
      [VM_CONFIG, 1],
      ...silicon.list,
      [host, 1],
      ...vm.list,
      [GUEST_MEMORY, 1],
      ...more,
    ])
    this.state = new MachineState(
      'scenario',
      layout,
      blankImage('scenario', layout),
      layout.baseOf(silicon.pe),
    )
    this.words = this.state.words
    const outputs: GicHost = { setLine: (cpu, line, level) => this.hostInterrupts.setLine(cpu, line, level) }
    this.silicon = new Silicon(this.words, config, silicon, layout, outputs, false)
    this.layout = layoutOf(vm, layout, size)
    this.seam = new Seam(this.words, this.silicon)
    this.kicks = new Kicks(this.seam)
    this.apLists = new ApLists(this.words, this.layout, this.kicks, countsSpis(program))
    this.interrupts = new IrqDirectory(this.layout)
    this.timers = new ArchTimers(this.seam, this.apLists, setup.timers)
    this.mapped = new MappedInterrupts(this.seam, this.apLists, this.timers)
    const memory = new Memory(this.words, layout.baseOf(GUEST_MEMORY), setup.memory ?? this.silicon.pool, [
      ...framesOfGuest(setup.frames),
      ...(direct ? [HOST_MEMORY] : []),
    ])
    this.mmio = new VgicMmio(this.apLists, this.mapped, setup.frames, memory, itsWays(program))
    const { its: guestIts } = this.mmio.dist
    this.v4 = direct && new VgicV4(this.seam, this.apLists, guestIts, direct.vsgis)
    if (this.v4) this.mmio.dist.inject(this.v4)
    this.halt = new Halt(this.seam, this.apLists, this.timers, setup.haltPolling, this.v4)
    this.scheduler = new Scheduler(this.silicon, program, layout.baseOf(host))
    this.hostInterrupts = new HostInterrupts(
      this.seam,
      this.scheduler,
      this.apLists,
      this.timers,
      this.mapped,
      this.v4,
    )
    this.injection = new Injection(program, this.apLists)
    this.messages = new Messages(program, this.injection, this.mmio.dist.its)
    const vgic = new VgicV3(this.seam, this.apLists, this.mapped)
    const onSpin = new OnSpin(this.apLists, this.scheduler)
    this.runLoop = new RunLoop(program, {
      seam: this.seam,
      apLists: this.apLists,
      vgic,
      v4: this.v4,
      wfiExits: direct?.wfiExits ?? 'always',
      nesting: direct?.strictNesting ? program.paths.map((path) => /^(wfi|suspend)\//.test(path)) : undefined,
      timers: this.timers,
      scheduler: this.scheduler,
      halt: this.halt,
      onSpin,
      mmio: this.mmio,
      stopVm: new StopVm(this.apLists),
      hostInterrupts: this.hostInterrupts,
      ownSteps: new OwnSteps(program, this.seam, vgic, this.halt, onSpin),
    })
    const outside: OutsideWorld = {
      sendEvents: () => this.sendEvents(),
      lower: (v, intid) => this.lower(v, intid),
      store: (low, high, value) => {
        memory.write(low, high, 0, value)
        memory.takeRefusal()
      },
    }
    this.guest = new Guest(this.words, this.silicon, this.timers, outside, this.layout.vm + VM_TIME)
    storeGicConfig(this.words, HEADER.size, config)
    const sizes = { VM_VCPUS: vcpus, VM_SPIS: spis, VM_MAPPED: mapped, VM_OWN_WORDS: ownWords.length }
    this.words.set(wordsByName(vmConfigRows, { ...sizes, VM_RECIPE: recipe }), layout.baseOf(VM_CONFIG))
    this.reset()
  }

  /** The record of a vCPU. */
  vcpu(index: number): Vcpu {
    return asVcpu(this.layout.vcpus + index * this.layout.vcpuSize)
  }

  /**
   * Sets the line of an interrupt, as a device does, and notifies its vCPU, in one step. A mapped interrupt
   * interrupts the host, which injects it.
   */
  inject(irq: Irq, level: number): void {
    const word = this.words[irq]
    if (word & IRQ_HW && this.mapped.isMappedSpi(irq)) this.mapped.setInput(irq, level)
    else this.apLists.inject(irq, level, word)
  }

  private lower(v: Vcpu, intid: Intid): void {
    if (intid < FIRST_SPI + this.layout.spiCount) this.inject(this.apLists.irqOf(v, intid), 0)
  }

  private sendEvents(): void {
    for (let cpu = 0; cpu < this.config.cpus; cpu++) this.silicon.pcpu.sendEvent(this.silicon.peOf(cpu))
  }

  private reset(): void {
    const { words, silicon, layout, setup, apLists } = this
    silicon.reset()
    bootHostGic(
      silicon,
      setup.interrupts.flatMap((interrupt) => physicalSpi(interrupt, this.config.cpus)),
    )
    this.mmio.reset()
    words[layout.vm + VM_ENABLED] = setup.enabled ? 1 : 0
    for (let i = 0; i < setup.vcpus; i++) {
      const v = this.vcpu(i)
      words[v + VCPU_PC] = FIRST_PC
      words[v + VCPU_INDEX] = i
      words[v + VCPU_COST] = layout.costTable + COST_FIRST_ENTRY
      words[v + VCPU_VMCR] = setup.vmcr[i]
      words[v + VCPU_SPSR] = PSTATE_EL1 | DAIF_I | DAIF_F
      words.fill(INTID_NONE, v + GUEST_ACK, v + GUEST_ACK + MAX_DEPTH + 1)
      words[v + VCPU_LAST_CPU] = i % this.config.cpus
      if (i < this.config.cpus) this.scheduler.place(v, i)
      for (let intid = 0; intid < FIRST_SPI; intid++)
        words[apLists.irqOf(v, intid)] =
          (intid < FIRST_PPI ? SGI_RESET : PPI_RESET) | (i << IRQ_TARGET_SHIFT) | this.timerBit(intid)
    }
    for (let spi = 0; spi < setup.spis; spi++) words[irqAfter(asIrq(layout.spis), spi)] = SPI_RESET
    let row = layout.mapped
    for (const { physical, ...interrupt } of setup.interrupts) {
      const irq = apLists.irqOf(this.vcpu(interrupt.vcpu), interrupt.intid)
      words[irq] = irqWord(interrupt) | this.timerBit(interrupt.intid)
      if (interrupt.intid >= FIRST_SPI)
        words[layout.irouters + interrupt.intid - FIRST_SPI] = affinityOf(interrupt.vcpu)
      if (physical === undefined) continue
      words[irq] |= IRQ_HW
      words[row + MAPPED_IRQ] = irq
      words[row + MAPPED_PINTID] = physical
      row += MAPPED_STRIDE
    }
    if (setup.direct) this.resetDirect(setup.direct)
  }

  /** The host's ITS, the vPEs, and what is forwarded when the run begins, as if the guest had driven its ITS before. */
  private resetDirect({ forwards }: DirectSetup): void {
    const { v4, words, layout, silicon } = this
    const v = this.vcpu(0)
    v4?.init()
    for (const [n, { deviceId, eventId, lpi }] of forwards.entries()) {
      const at = layout.direct.forwards + n * FORWARD_STRIDE
      words[at + FORWARD_DEVICE] = deviceId
      words[at + FORWARD_EVENT] = eventId
      if (lpi === undefined) continue
      this.mapForGuest(deviceId, eventId, lpi)
      v4?.forwarding.bind(v, n)
      v4?.forwarding.forward(v, n)
    }
    silicon.completeWrites()
    silicon.settle()
    words.fill(0, layout.costTable, layout.costTable + COST_ROWS_END)
  }

  /** What MAPD, MAPC and MAPTI of the guest leave, its tables, and GICR_CTLR.EnableLPIs of every vCPU. */
  private mapForGuest(deviceId: number, eventId: number, lpi: NonNullable<ForwardSetup['lpi']>): void {
    const { words, layout, mmio, silicon } = this
    const { its } = mmio.dist
    const { intid, vcpu, priority } = lpi
    words[its.recordOf(0) + ITS_ENABLED] = 1
    words[layout.vm + VM_PROPBASER] |= GUEST_CONFIGURATION | GUEST_IDBITS
    for (let i = 0; i < layout.vcpuCount; i++) {
      const v = this.vcpu(i)
      words[v + VCPU_LPIS_ENABLED] = 1
      words[v + VCPU_PENDBASER] |= GUEST_PENDING + i * GUEST_PAGE
    }
    const offset = intid - FIRST_LPI
    const address = GUEST_CONFIGURATION + (offset & ~3)
    const byte = (priority & 0xfc) | 1
    silicon.pool?.write32(address, (silicon.pool.read32(address) | (byte << ((offset & 3) << 3))) >>> 0)
    const known = its.findCollection(0, vcpu)
    const collection = known === 0 ? its.addCollection(0, vcpu) : known
    its.setTarget(collection, vcpu)
    if (its.findDevice(0, deviceId) === 0) its.addDevice(0, deviceId, FORWARDED_EVENT_BITS, 0, 0)
    const irq = its.lpiFor(intid, vcpu)
    if (irq !== 0 && its.addEvent(its.findDevice(0, deviceId), eventId, irq, collection)) return
    throw new VgicError(
      'config',
      `The VM has no room for LPI ${intid}: raise lpis, itsDevices or itsCollections.`,
    )
  }

  /** IRQ_HW for the timers' PPIs, which are mapped to their physical ones. */
  private timerBit(intid: Intid): number {
    return this.setup.timers && timerIntids.some((timer) => timer === intid) ? IRQ_HW : 0
  }
}

/** Whether a design has a flush that traps ICC_DIR_EL1 by the count of SPIs in flight. */
const countsSpis = ({ steps }: Program): boolean => steps.includes(flushWritingHcr)

/** The physical SPI of a mapped interrupt; it is routed to the CPU on which its vCPU begins. */
const physicalSpi = ({ physical, edge, vcpu }: InterruptSetup, cpus: number): PhysicalSpi[] =>
  physical === undefined ? [] : [{ intid: physical, edge, cpu: vcpu % cpus }]

function irqWord({ vcpu, edge, enabled, group, priority }: InterruptSetup): number {
  return (
    (vcpu << IRQ_TARGET_SHIFT) |
    (priority << IRQ_PRIORITY_SHIFT) |
    (edge ? IRQ_EDGE : 0) |
    (enabled ? IRQ_ENABLED : 0) |
    (group === 1 ? IRQ_GROUP1 : 0)
  )
}
