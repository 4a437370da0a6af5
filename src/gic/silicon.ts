/**
 * The silicon of a machine: its blocks, which share one state buffer. It knows of no hypervisor. The record of a PE
 * has all state of one CPU, from PSTATE to list registers, so that one word offset is the handle of all of it.
 */
import { VMCR_VENG0, VMCR_VENG1 } from '../arch/ich-registers.ts'
import type { Intid } from '../arch/intid.ts'
import type { Layout, RecordType } from '../state/layout.ts'
import { MEMORY_LINE, MEMORY_POOL, MemoryPool, memoryPoolRecords } from '../state/memory-pool.ts'
import { BARRIERS, BARRIERS_CPU } from './barriers/barrier-records.ts'
import { Barriers } from './barriers/barriers.ts'
import { Affinities } from './config/affinities.ts'
import { type CheckedGicConfig, framesOf, lpiGroups } from './config/config.ts'
import { HostEvents } from './config/host-events.ts'
import { MEMORY, Memory } from './config/memory.ts'
import { Unpredictable } from './config/unpredictable.ts'
import { DirectVirtualInterface } from './cpu-interface/direct-interrupts.ts'
import { Icc, PhysicalInterface } from './cpu-interface/icc.ts'
import { Ich } from './cpu-interface/ich.ts'
import { Icv } from './cpu-interface/icv.ts'
import { type GicHost, OutputLines } from './cpu-interface/output-lines.ts'
import { Pcpu } from './cpu-interface/pcpu.ts'
import { SystemRegisters } from './cpu-interface/system-registers.ts'
import { ICH_VMCR, VirtualInterface } from './cpu-interface/virtual-interface.ts'
import { Distributor } from './distributor/distributor.ts'
import { HighestPending } from './distributor/highest-pending.ts'
import { Redistributor } from './distributor/redistributor.ts'
import { Sgis } from './distributor/sgi.ts'
import { DISTRIBUTOR, PhysicalInterrupts, spiBlockRecords } from './interrupts/physical-interrupts.ts'
import { Its } from './its/its.ts'
import { ITS } from './its/its-records.ts'
import { VpeMoves } from './its/vpe-moves.ts'
import { existingLpis, LPI_COMMON, lpiCacheRecord, lpiRecord } from './lpi/lpi-records.ts'
import { Lpis } from './lpi/lpis.ts'
import { Mmio } from './mmio.ts'
import { distributorRecord, pendingSummaryRecord, SPI_BLOCK } from './records/interrupts.ts'
import { type Pe, peRecord } from './records/pe.ts'
import { Doorbells } from './vpe/doorbells.ts'
import { Residency } from './vpe/residency.ts'
import { ResidentVpes } from './vpe/resident-vpe.ts'
import { VPE_COMMON, VPES_UNPREDICTABLE, vpeRecord } from './vpe/vpe-records.ts'
import { Vpes } from './vpe/vpes.ts'

/** The record types of a configuration's silicon, with the number of each. */
export interface SiliconRecords {
  readonly pe: RecordType
  readonly distributor: RecordType
  readonly pendingSummary: RecordType
  /** Undefined without LPIs. */
  readonly lpis: LpiRecords | undefined
  readonly list: readonly (readonly [RecordType, number])[]
}

interface LpiRecords {
  readonly record: RecordType
  readonly cache: RecordType
  /** On GICv4: of the vPEs. */
  readonly vpe: RecordType | undefined
  readonly vpeCache: RecordType
  readonly list: readonly (readonly [RecordType, number])[]
}

function lpiRecords(config: CheckedGicConfig): LpiRecords | undefined {
  if (config.lpis === 0) return undefined
  const existing = existingLpis(config.lpis)
  const record = lpiRecord(existing)
  const cache = lpiCacheRecord(existing)
  const vpe = config.version === '3' ? undefined : vpeRecord(existing, config.version)
  const vpeCache = lpiCacheRecord(existing, 'vlpiConfiguration')
  const vpeRecords: [RecordType, number][] =
    vpe === undefined
      ? []
      : [
          [VPE_COMMON, 1],
          [vpe, config.cpus],
          [vpeCache, config.cpus],
        ]
  const caches = Math.max(...lpiGroups(config)) + 1
  return {
    record,
    cache,
    vpe,
    vpeCache,
    list: [
      [MEMORY, 1],
      [LPI_COMMON, 1],
      [record, config.cpus],
      [cache, caches],
      [ITS, config.its.length],
      ...vpeRecords,
    ],
  }
}

/** What the detector of missing barriers remembers, where it is on. */
const barrierRecords = ({ barriers, cpus }: CheckedGicConfig): [RecordType, number][] =>
  barriers === 'off'
    ? []
    : [
        [BARRIERS, 1],
        [BARRIERS_CPU, cpus],
      ]

export function siliconRecords(config: CheckedGicConfig): SiliconRecords {
  const pe = peRecord(config.listRegisters)
  const distributor = distributorRecord(config.cpus)
  const pendingSummary = pendingSummaryRecord(config.spis)
  const lpis = lpiRecords(config)
  return {
    pe,
    distributor,
    pendingSummary,
    lpis,
    list: [
      [pe, config.cpus],
      [distributor, 1],
      spiBlockRecords(config.spis),
      [pendingSummary, config.cpus],
      ...(lpis?.list ?? []),
      ...barrierRecords(config),
      ...memoryPoolRecords(config.memoryLines),
    ],
  }
}

/** The GIC's own memory, if it is configured. */
function poolOf(
  words: Int32Array,
  { memoryLines }: CheckedGicConfig,
  layout: Layout,
): MemoryPool | undefined {
  if (memoryLines === 0) return undefined
  return new MemoryPool(words, layout.baseOf(MEMORY_POOL), layout.baseOf(MEMORY_LINE), memoryLines)
}

export class Silicon {
  readonly virtualInterface: VirtualInterface
  readonly physicalInterface: PhysicalInterface
  readonly physical: PhysicalInterrupts
  readonly distributor: Distributor
  readonly redistributor: Redistributor
  readonly ich: Ich
  readonly icv: Icv
  readonly icc: Icc
  readonly sgis: Sgis
  readonly pcpu: Pcpu
  readonly systemRegisters: SystemRegisters
  readonly mmio: Mmio
  readonly lines: OutputLines
  readonly events: HostEvents
  /** The GIC's own memory; undefined if it has none. */
  readonly pool: MemoryPool | undefined
  /** Undefined without LPIs. */
  readonly lpis: Lpis | undefined
  readonly its: readonly Its[]
  /** On GICv4 with LPIs: vPEs. */
  readonly vpes: Vpes | undefined
  readonly residency: Residency | undefined
  /** Where missing barriers are reported. */
  readonly barriers: Barriers | undefined
  /** The record of CPU 0, and the distance to the next CPU's. */
  readonly peBase: number
  readonly peSize: number

  constructor(
    readonly words: Int32Array,
    readonly config: CheckedGicConfig,
    records: SiliconRecords,
    layout: Layout,
    host: GicHost = {},
    drivesVirtual = true,
  ) {
    this.peBase = layout.baseOf(records.pe)
    this.peSize = records.pe.size
    const affinities = new Affinities(config.affinities)
    this.physical = new PhysicalInterrupts(words, config, affinities, {
      distributor: layout.baseOf(records.distributor),
      spiBlocks: layout.baseOf(SPI_BLOCK),
      peBase: this.peBase,
      peSize: this.peSize,
      summaries: layout.baseOf(records.pendingSummary),
      summarySize: records.pendingSummary.size,
    })
    this.events = new HostEvents(host)
    this.pool = poolOf(words, config, layout)
    const memory = this.memoryOf(records, layout, host)
    this.lpis = this.lpisOf(records, layout, memory)
    this.vpes = this.vpesOf(records, layout, memory, host)
    this.residency = this.vpes && new Residency(this.vpes, this.events, this, config)
    this.barriers = this.barriersOf(layout, host)
    this.its = this.itsOf(layout, memory)
    this.virtualInterface = this.vpes
      ? new DirectVirtualInterface(words, config, this.physical, this.vpes)
      : new VirtualInterface(words, config)
    this.physicalInterface = new PhysicalInterface(words, config)
    this.distributor = new Distributor(words, this.physical)
    this.redistributor = new Redistributor(words, this.physical, this.lpis, this.residency)
    this.ich = new Ich(words, this.virtualInterface)
    this.icv = new Icv(words, this.virtualInterface, this.physical)
    this.icc = new Icc(words, this.physicalInterface, this.physical, this.lpis)
    this.sgis = new Sgis(this.physical)
    this.pcpu = new Pcpu(words, this.virtualInterface)
    this.systemRegisters = new SystemRegisters(words, this)
    this.mmio = new Mmio(this.distributor, this.redistributor, this.its, () => this.settle(), this.barriers)
    const search = new HighestPending(this.physical, this.physicalInterface, this.redistributor, this.lpis)
    this.lines = new OutputLines(
      this.physical,
      this.physicalInterface,
      this.pcpu,
      search,
      host,
      drivesVirtual,
      this.config.maintenanceInterrupt === 'lagging',
    )
  }

  private memoryOf({ lpis }: SiliconRecords, layout: Layout, { memory }: GicHost): Memory | undefined {
    return lpis && new Memory(this.words, layout.baseOf(MEMORY), this.pool ?? memory, framesOf(this.config))
  }

  private lpisOf({ lpis }: SiliconRecords, layout: Layout, memory: Memory | undefined): Lpis | undefined {
    if (!lpis || !memory) return undefined
    return new Lpis(this.physical, memory, this.events, {
      records: layout.baseOf(lpis.record),
      recordSize: lpis.record.size,
      caches: layout.baseOf(lpis.cache),
      cacheSize: lpis.cache.size,
      common: layout.baseOf(LPI_COMMON),
    })
  }

  private vpesOf(
    { lpis }: SiliconRecords,
    layout: Layout,
    memory: Memory | undefined,
    host: GicHost,
  ): Vpes | undefined {
    const { config, words } = this
    if (!this.lpis || !lpis?.vpe || !memory) return undefined
    const common = layout.baseOf(VPE_COMMON)
    const resident = new ResidentVpes(
      this.physical,
      memory,
      this.events,
      {
        records: layout.baseOf(lpis.vpe),
        recordSize: lpis.vpe.size,
        caches: layout.baseOf(lpis.vpeCache),
        cacheSize: lpis.vpeCache.size,
        common,
      },
      config,
    )
    const doorbells = new Doorbells(this.lpis, common, config.writeEffects === 'lagging')
    const unpredictable = new Unpredictable(words, common + VPES_UNPREDICTABLE, config.unpredictable, host)
    return new Vpes(resident, this.lpis, memory, doorbells, unpredictable, config)
  }

  private barriersOf(layout: Layout, host: GicHost): Barriers | undefined {
    const { config, words, lpis, vpes } = this
    if (config.barriers === 'off') return undefined
    const registers = { peek: (address: number, size: number) => this.mmio.peek(address, size) }
    const place = {
      common: layout.baseOf(BARRIERS),
      cpus: layout.baseOf(BARRIERS_CPU),
      cpuSize: BARRIERS_CPU.size,
    }
    return new Barriers({ words, config, lpis, vpes, registers }, place, host)
  }

  private itsOf(layout: Layout, memory: Memory | undefined): readonly Its[] {
    const { config, lpis, events, vpes, barriers } = this
    if (!lpis || !memory) return []
    const first = layout.baseOf(ITS)
    const moves = new VpeMoves(config)
    const all = config.its.map(
      (_, n) => new Its(n, first + n * ITS.size, config, lpis, memory, events, vpes, moves, barriers),
    )
    moves.its.push(...all)
    barriers?.its.push(...all)
    return all
  }

  /** The groups that the guest of a CPU has enabled in ICH_VMCR_EL2: bit 0 group 0, bit 1 group 1. */
  enabledVirtualGroups(cpu: number): number {
    return this.words[this.peOf(cpu) + ICH_VMCR] & (VMCR_VENG0 | VMCR_VENG1)
  }

  /** Initialises a zeroed image to the reset state. */
  reset(): void {
    for (const its of this.its) its.reset()
    for (let cpu = 0; cpu < this.config.cpus; cpu++) {
      const pe = this.peOf(cpu)
      this.pcpu.reset(pe)
      this.virtualInterface.reset(pe)
      this.physicalInterface.reset(pe)
      this.physical.reset(pe)
      this.redistributor.reset(pe)
      this.residency?.reset(cpu)
    }
    // Nothing is pending, which zeroes do not say.
    this.lpis?.derive()
    for (let cpu = 0; cpu < this.config.cpus; cpu++) this.vpes?.resident.derive(cpu)
  }

  /**
   * Recomputes everything that is derived, after an image was loaded, and calls the host with the outputs that
   * change.
   */
  derive(): void {
    this.physical.derive()
    this.lpis?.derive()
    for (let cpu = 0; cpu < this.config.cpus; cpu++) {
      this.virtualInterface.derive(this.peOf(cpu))
      this.vpes?.resident.derive(cpu)
    }
    this.lines.settle()
  }

  /** Settles the outputs after an access or an input, and reports errors to the host. */
  settle(): void {
    if (this.lpis?.settle()) this.vpes?.resident.settle()
    this.lines.settle()
    this.events.deliver()
    this.vpes?.unpredictable.deliver()
    this.barriers?.deliver()
  }

  /** Whether a lagging effect is pending. */
  get isWritePending(): boolean {
    for (let cpu = 0; cpu < this.config.cpus; cpu++) {
      if (this.redistributor.isWritePending(this.peOf(cpu)) || this.lpis?.isLagging(cpu)) return true
      if (this.residency?.isLagging(cpu) || this.vpes?.isQueryPending(cpu)) return true
      if (this.lines.isMaintenanceLagging(this.peOf(cpu))) return true
    }
    if (this.vpes && this.vpes.doorbells.count > 0) return true
    return this.distributor.isWritePending || this.its.some((its) => its.isPending)
  }

  /** Completes the lagging effects of writes; the outputs are not settled yet. */
  completeWrites(): void {
    this.distributor.completeWrites()
    for (let cpu = 0; cpu < this.config.cpus; cpu++) {
      this.redistributor.completeWrites(this.peOf(cpu))
      this.lpis?.complete(cpu)
      this.residency?.complete(cpu)
      if (this.vpes?.isQueryPending(cpu)) this.vpes.completeQuery(cpu)
      this.lines.completeMaintenance(this.peOf(cpu))
    }
    for (const its of this.its) its.completeMessages()
    for (const its of this.its) its.completeCommands()
    this.vpes?.doorbells.deliverAll()
  }

  /** Sets the input line of a PE's PPI. */
  drivePpi(pe: Pe, intid: Intid, level: boolean): void {
    this.physical.setLine(pe, intid, level)
    this.lines.settle()
  }

  /** Sets the input line of an SPI. */
  driveSpi(intid: Intid, level: boolean): void {
    this.physical.setLine(DISTRIBUTOR, intid, level)
    this.lines.settle()
  }

  /** The CPU of a record. */
  cpuOf(pe: Pe): number {
    return this.physical.cpuOf(pe)
  }

  /** The record of a CPU. */
  peOf(cpu: number): Pe {
    return this.physical.peOf(cpu)
  }
}
