/**
 * The commands about vPEs (IHI 0069, "ITS commands"; rules 80 to 108 and 120, 121 of docs/gicv4.md): as those of
 * commands.ts, each a function that ends in DONE, in a command error or in a stall. GICv4.1 has some more, and its VMAPP
 * and VMOVP have more fields.
 *
 * Where the architecture leaves the outcome open:
 * - VMAPP of a vPE that is mapped already takes the new values; the ITS reports it as UNPREDICTABLE.
 * - MOVI of an event with a vLPI, and VMOVI of one with an LPI, are errors.
 * - VMAPP with V = 0 of a vPE that is not mapped does nothing.
 * - A vPE with a VPT_size of fewer than 14 bits has no vLPIs.
 * - VMAPTI and VMAPI do not ask whether the vPE is mapped, nor for a vINTID within its VPT_size; DISCARD of a vINTID that
 *   is not is an error, and so is VMOVI to or from such a vPE.
 */
import { FIRST_LPI, INTID_NONE } from '../../arch/intid.ts'
import {
  CMDVCPU_INVALID,
  COMMAND_ADDRESS,
  COMMAND_DBELL,
  COMMAND_DEVICE_ID,
  COMMAND_HIGH_V,
  COMMAND_ITSList,
  COMMAND_Sequence_Number,
  COMMAND_VINTID,
  COMMAND_VMAPP_Alloc,
  COMMAND_VMAPP_DOORBELL,
  COMMAND_VMAPP_PTZ,
  COMMAND_VMAPP_VPT,
  COMMAND_VMOVI_D,
  COMMAND_VMOVP_DOORBELL,
  COMMAND_VPEID,
  COMMAND_VSGI_Clear,
  COMMAND_VSGI_Enable,
  COMMAND_VSGI_Group,
  COMMAND_VSGI_Priority,
  COMMAND_VSGI_vINTID,
  commandName,
  ID_IS_PHYSICAL,
  ITS_INVDB,
  ITS_VINVALL,
  ITS_VMAPI,
  ITS_VMAPP,
  ITS_VMAPTI,
  ITS_VMOVI,
  ITS_VMOVP,
  ITS_VSGI,
  ITS_VSYNC,
  PHYSICALID_OOR,
  PROCNUM_OOR,
  VCPU_INVALID,
  VCPU_OOR,
  VIRTUALID_OOR,
  VPTSIZE_OOR,
} from '../../arch/its-commands.ts'
import type { CheckedGicConfig } from '../config/config.ts'
import { MEMORY_REFUSED, TRANSLATED } from '../config/translation-faults.ts'
import { NO_ENTRY } from '../vpe/table-lookup.ts'
import type { Vpes } from '../vpe/vpes.ts'
import {
  type Commands,
  DONE,
  findDevice,
  finished,
  missed,
  STALL,
  translate,
  type VirtualCommand,
  WAIT,
} from './commands.ts'
import type { VpeEntries } from './vpe-entries.ts'
import type { VpeMoves } from './vpe-moves.ts'

/** VPT_size, with the RES0 bits above it: where they are set, it asks for more bits than there are. */
const VPT_SIZE = 0xff

export class VirtualCommands {
  /** By opcode: an array without holes. */
  readonly byOpcode: readonly (VirtualCommand | undefined)[]
  private readonly isV41: boolean
  /** GITS_TYPER.nID: whether the message of a vLPI has no doorbell of its own. */
  private readonly hasNoDoorbells: boolean

  constructor(
    readonly vpes: Vpes,
    readonly entries: VpeEntries,
    readonly moves: VpeMoves,
    /** Which ITS. */
    readonly number: number,
    readonly config: CheckedGicConfig,
  ) {
    this.isV41 = vpes.byVpeid
    this.hasNoDoorbells = this.isV41
    const commands: Readonly<Record<number, VirtualCommand>> = {
      [ITS_VMAPP]: (command) => this.vmapp(command),
      [ITS_VMAPTI]: (command) => this.vmapti(command, command.word(COMMAND_VINTID)),
      [ITS_VMAPI]: (command) => this.vmapti(command, command.eventId),
      [ITS_VMOVI]: (command) => this.vmovi(command),
      [ITS_VMOVP]: (command) => this.vmovp(command),
      [ITS_VINVALL]: (command) => this.vinvall(command),
      [ITS_VSYNC]: (command) => this.find(command, vpeOf(command), VCPU_INVALID),
      ...(this.isV41 && {
        [ITS_VSGI]: (command) => this.vsgi(command),
        [ITS_INVDB]: (command) => this.invdb(command),
      }),
    }
    this.byOpcode = Array.from({ length: 0x100 }, (_, opcode) => commands[opcode])
  }

  /** Looks for a vPE that the ITS has mapped; `error` if it has not. VCPU_INVALID is of a vPE that the table has room for. */
  private find(command: Commands, vpe: number, error: number): number {
    const fault = this.entries.find(vpe)
    if (fault === TRANSLATED) return DONE
    if (fault === MEMORY_REFUSED) return STALL
    this.vpes.unpredictable.use('command-unmapped', nameOf(command), undefined)
    const hasRoom = error !== VCPU_INVALID || this.entries.entryOf(vpe) !== NO_ENTRY
    return missed(command, hasRoom ? error : VCPU_OOR)
  }

  private vmapp(command: Commands): number {
    const vpe = vpeOf(command)
    const offset = this.entries.entryOf(vpe)
    if (offset === NO_ENTRY) return missed(command, VCPU_OOR)
    if (!command.valid) return this.unmap(command, vpe, offset)
    const cpu = command.target(COMMAND_ADDRESS)
    if (cpu < 0) return PROCNUM_OOR
    const size = command.word(COMMAND_VMAPP_VPT) & VPT_SIZE
    if (!this.vpes.hasSize(size)) return VPTSIZE_OOR
    return this.isV41
      ? this.mapShared(command, vpe, offset, cpu, size)
      : this.mapOwn(command, vpe, offset, cpu, size)
  }

  private mapOwn(command: Commands, vpe: number, offset: number, cpu: number, size: number): number {
    const isMapped = this.entries.find(vpe) === TRANSLATED
    if (isMapped && this.vpes.unpredictable.use('map-mapped', 'VMAPP', cpu)) this.vpes.lose(cpu)
    this.entries.mapOwn(
      offset,
      cpu,
      command.word(COMMAND_VMAPP_VPT),
      command.word(COMMAND_VMAPP_VPT + 1),
      size,
    )
    return finished(command, DONE)
  }

  private mapShared(command: Commands, vpe: number, offset: number, cpu: number, size: number): number {
    const { entries, vpes } = this
    const { table, unpredictable } = vpes
    const word0 = command.word(0)
    if (!entries.name(vpe, cpu, offset)) return missed(command, VCPU_OOR)
    const isAllocated = table.readFlags()
    if (word0 & COMMAND_VMAPP_Alloc) {
      if (isAllocated && unpredictable.use('map-mapped', 'VMAPP', cpu)) vpes.lose(cpu)
      const [low, high] = [command.word(COMMAND_VMAPP_VPT), command.word(COMMAND_VMAPP_VPT + 1)]
      vpes.allocate(cpu, size, low, high, (word0 & COMMAND_VMAPP_PTZ) !== 0)
      table.writeTables(low, high, word0, command.word(1))
    } else if (!isAllocated && unpredictable.use('map-without-allocation', 'VMAPP', cpu)) {
      return finished(command, DONE)
    }
    entries.mapShared(offset, cpu)
    if (word0 & COMMAND_VMAPP_Alloc || isAllocated) table.doorbell = command.word(COMMAND_VMAPP_DOORBELL)
    return finished(command, DONE)
  }

  private unmap(command: Commands, vpe: number, offset: number): number {
    const { entries, vpes } = this
    const isMapped = entries.find(vpe) === TRANSLATED
    const { cpu } = command.found
    const at = isMapped ? vpes.residentAt(cpu) : -1
    if (at >= 0 && vpes.unpredictable.use('unmap-resident', 'VMAPP', at)) vpes.lose(at)
    if (!this.isV41) entries.unmapOwn(offset)
    else {
      if (isMapped && command.word(0) & COMMAND_VMAPP_Alloc) vpes.free(at >= 0 ? at : cpu)
      if (entries.entryOf(vpe) !== NO_ENTRY) entries.unmapShared(offset)
    }
    return finished(command, DONE)
  }

  private vmapti(command: Commands, vintid: number): number {
    const { tables, eventId } = command
    const end = findDevice(command)
    if (end !== DONE) return end
    const doorbell = this.hasNoDoorbells ? INTID_NONE : command.word(COMMAND_DBELL)
    if (!this.isDoorbell(doorbell)) return PHYSICALID_OOR
    if ((vintid - FIRST_LPI) >>> 0 >= this.vpes.resident.existing) return VIRTUALID_OOR
    const vpe = vpeOf(command)
    if (!tables.hasVpe(vpe)) return VCPU_OOR
    return tables.mapVirtualEvent(eventId, vintid, vpe, doorbell) === TRANSLATED ? DONE : STALL
  }

  private isDoorbell(intid: number): boolean {
    return intid === INTID_NONE || (intid >= FIRST_LPI && intid < this.vpes.lpis.intidEnd)
  }

  private vmovi(command: Commands): number {
    const { tables, found, deviceId, eventId } = command
    const end = translate(command)
    if (end !== DONE) return end
    if (!tables.isVirtual) return ID_IS_PHYSICAL
    const replaces = !this.hasNoDoorbells && (command.word(COMMAND_ADDRESS) & COMMAND_VMOVI_D) !== 0
    if (replaces && !this.isDoorbell(command.word(COMMAND_DBELL))) return PHYSICALID_OOR
    if (!found.isInRange) return missed(command, VIRTUALID_OOR)
    const { intid } = found
    const vpe = vpeOf(command)
    const missing = this.find(command, vpe, CMDVCPU_INVALID)
    if (missing !== DONE) return missing
    if (!this.vpes.hasVlpi(found.cpu, intid - FIRST_LPI)) return missed(command, VIRTUALID_OOR)
    // Back to where it comes from: the pending state goes along, unless it stays with the same vPE.
    translate(command)
    const doorbell = replaces ? command.word(COMMAND_DBELL) : found.doorbell
    if (tables.mapVirtualEvent(eventId, intid, vpe, doorbell) !== TRANSLATED) return STALL
    const wasPending = found.vpe !== vpe && this.vpes.clear(found.cpu, intid - FIRST_LPI)
    if (found.find(deviceId, eventId) === TRANSLATED && wasPending) {
      this.vpes.moveHere(found.cpu, intid - FIRST_LPI, doorbell)
    }
    return finished(command, DONE)
  }

  /** Moves a vPE on all ITSs: with GITS_TYPER.VMOVP = 0 once all in the list have the command at their head. */
  private vmovp(command: Commands): number {
    const vpe = vpeOf(command)
    const missing = this.find(command, vpe, VCPU_INVALID)
    if (missing !== DONE) return missing
    const from = command.found.cpu
    const to = command.target(COMMAND_ADDRESS)
    if (to < 0) return PROCNUM_OOR
    const list = COMMAND_ITSList(command.word(2))
    const sequence = COMMAND_Sequence_Number(command.word(COMMAND_DEVICE_ID))
    if (!this.moves.isReady(this.number, list, sequence)) return WAIT
    const at = this.vpes.residentAt(from)
    if (at >= 0 && this.vpes.unpredictable.use('move-resident', 'VMOVP', at)) this.vpes.lose(at)
    if (this.isV41) {
      const hasDoorbell = (command.word(COMMAND_ADDRESS + 1) & COMMAND_HIGH_V) !== 0
      this.vpes.move(from, to, vpe, command.word(COMMAND_VMOVP_DOORBELL), hasDoorbell)
    }
    this.moves.move(this.number, list, vpe, to)
    const end = finished(command, DONE)
    if (end === DONE) this.moves.release(this.number, list)
    return end
  }

  private vinvall(command: Commands): number {
    const end = this.find(command, vpeOf(command), VCPU_INVALID)
    if (end === DONE) this.vpes.invalidateAll(command.found.cpu)
    return finished(command, end)
  }

  private vsgi(command: Commands): number {
    const end = this.find(command, vpeOf(command), VCPU_INVALID)
    if (end !== DONE) return end
    const word0 = command.word(0)
    this.vpes.configureSgi(
      command.found.cpu,
      COMMAND_VSGI_vINTID(command.word(COMMAND_DEVICE_ID)),
      (word0 & COMMAND_VSGI_Enable) !== 0,
      (word0 & COMMAND_VSGI_Group) !== 0,
      COMMAND_VSGI_Priority(word0),
      (word0 & COMMAND_VSGI_Clear) !== 0,
    )
    return finished(command, DONE)
  }

  private invdb(command: Commands): number {
    const end = this.find(command, vpeOf(command), VCPU_INVALID)
    if (end === DONE) this.vpes.invalidateDoorbell(command.found.cpu)
    return finished(command, end)
  }
}

const vpeOf = (command: Commands): number => COMMAND_VPEID(command.word(3))
const nameOf = (command: Commands): string => commandName(command.opcode) ?? ''
