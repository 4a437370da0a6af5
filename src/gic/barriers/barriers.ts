/**
 * Tells a driver that relies on an effect without the SYNC, VSYNC, invalidation, RWP or Dirty poll that the architecture
 * asks for: the detector, where `barriers` is `'report'`. It watches accesses to registers, the commands of ITSs and
 * messages, and changes nothing. docs/gicv4-barriers.md has the rules, and what it cannot see.
 */
import { GICR_CTLR_EnableLPIs } from '../../arch/gicr-registers.ts'
import { FIRST_LPI } from '../../arch/intid.ts'
import type { CheckedGicConfig } from '../config/config.ts'
import type { BarrierListener, BarrierRule } from '../config/missing-barriers.ts'
import type { DriverWatch } from '../its/driver-watch.ts'
import type { Its } from '../its/its.ts'
import type { Lpis } from '../lpi/lpis.ts'
import type { Vpes } from '../vpe/vpes.ts'
import { type Access, type Registers, upperHalf } from './access.ts'
import { NOTE_INVALLR, NOTE_INVLPIR } from './barrier-records.ts'
import { CommandBarriers } from './command-barriers.ts'
import { BLANK, CommandNotes } from './command-notes.ts'
import { ConfigurationBytes } from './configuration-bytes.ts'
import { ConfigurationTables } from './configuration-tables.ts'
import { RegisterWrites } from './register-writes.ts'
import { Reports } from './reports.ts'
import { ResidencyBarriers } from './residency-barriers.ts'

const V = 0x80000000 | 0
const VPEID = 0xffff

/** Where the records are: BARRIERS, and of BARRIERS_CPU the first and the distance to the next. */
export interface BarrierPlace {
  readonly common: number
  readonly cpus: number
  readonly cpuSize: number
}

/** The blocks that it looks at. */
export interface Watched {
  readonly words: Int32Array
  readonly config: CheckedGicConfig
  readonly lpis: Lpis | undefined
  readonly vpes: Vpes | undefined
  readonly registers: Registers
}

export class Barriers implements DriverWatch {
  /** Filled when all ITSs are there. */
  readonly its: Its[] = []
  private readonly reports: Reports
  private readonly notes: CommandNotes
  private readonly writes: RegisterWrites
  /** Where there are LPIs. */
  private readonly tables: ConfigurationTables | undefined
  private readonly commands: CommandBarriers | undefined
  /** On GICv4. */
  private readonly residency: ResidencyBarriers | undefined

  constructor(
    readonly watched: Watched,
    { common, cpus, cpuSize }: BarrierPlace,
    host: BarrierListener,
  ) {
    const { words, lpis, vpes, registers, config } = watched
    const recordOf = (cpu: number): number => cpus + cpu * cpuSize
    this.reports = new Reports(words, common, host)
    this.notes = new CommandNotes(words, common)
    this.writes = new RegisterWrites(this.reports, common, recordOf, registers)
    this.tables =
      lpis && new ConfigurationTables(new ConfigurationBytes(words, common, lpis.memory), lpis, vpes)
    this.commands = this.tables && new CommandBarriers(this.reports, this.notes, this.tables)
    this.residency = vpes && new ResidencyBarriers(this.reports, this.notes, recordOf, vpes, config.cpus)
  }

  execute(its: number): number {
    const unit = this.its[its]
    this.residency?.beforeCommand(unit)
    return this.commands?.execute(unit) ?? unit.commands.execute()
  }

  message(its: number, deviceId: number, eventId: number): void {
    this.commands?.message(this.its[its], deviceId, eventId)
  }

  beforeWrite(access: Access): void {
    const { name, cpu } = access
    this.writes.beforeWrite(access)
    if (name === 'GITS_SGIR') this.residency?.sendSgi(access)
    else if (cpu === undefined) return
    else if (name === 'GICR_VPENDBASER') this.residency?.beforeWrite(access, cpu)
    else if (name === 'GICR_INVLPIR' || name === 'GICR_INVALLR') this.invalidate(access, cpu)
    else if (name === 'GICR_CTLR') this.enableLpis(access, cpu)
  }

  afterRead(access: Access): void {
    const { name, cpu, value } = access
    this.writes.afterRead(access)
    if (cpu === undefined) return
    if (name === 'GICR_VPENDBASER') this.residency?.afterRead(access, cpu)
    else if (name === 'GICR_SYNCR' && (value & 1) === 0) {
      this.notes.drop(({ kind, owner }) => kind >= NOTE_INVLPIR && owner === cpu)
    }
  }

  /** Whoever enables LPIs takes the tables as they are then. */
  private enableLpis({ value }: Access, cpu: number): void {
    const { lpis } = this.watched
    if (lpis && !lpis.isEnabled(cpu) && value & GICR_CTLR_EnableLPIs)
      this.tables?.bytes.invalidate(0, 2 ** 52)
  }

  /** GICR_INVLPIR and GICR_INVALLR: of a vPE with V = 1, which GICv4.1 has. */
  private invalidate(access: Access, cpu: number): void {
    const high = this.watched.config.version === '4.1' ? (upperHalf(access) ?? 0) : 0
    const target = high & V ? high & VPEID : -1
    const isOne = access.name === 'GICR_INVLPIR'
    const kind = isOne ? NOTE_INVLPIR : NOTE_INVALLR
    this.notes.add({ ...BLANK, kind, owner: cpu, device: isOne ? access.value : 0, target })
    const { tables } = this
    if (target < 0) {
      if (isOne) tables?.invalidateLpi(cpu, access.value)
      else tables?.invalidateAll(cpu)
    } else if (isOne) tables?.invalidateOfVpe(cpu, target, access.value - FIRST_LPI, 1)
    else tables?.invalidateOfVpe(cpu, target, 0, tables.lpis.existing)
  }

  enterGuest(cpu: number): void {
    this.residency?.enterGuest(cpu)
  }

  /** Which rules were broken. */
  get seen(): readonly BarrierRule[] {
    return this.reports.seen
  }

  /** Tells the host. */
  deliver(): void {
    this.reports.deliver()
  }
}
