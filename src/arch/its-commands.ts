/**
 * The commands of an ITS (IHI 0069, "ITS commands"): 32 bytes, four doublewords in little-endian order, the opcode in
 * bits 7:0 of the first. Each field is declared once, by its doubleword and the bit numbers that Arm prints, for
 * traces and tests. Code that executes commands has them as eight words, and uses the accessors beside the
 * declarations.
 */

/** A field `hi:lo` of doubleword `dw` of a command. */
export interface CommandField {
  /** The name that the architecture prints. */
  readonly name: string
  /** The doubleword, 0 to 3. */
  readonly dw: number
  /** Most significant bit. */
  readonly hi: number
  /** Least significant bit. */
  readonly lo: number
  /** It is there on GICv4.1 only. */
  readonly since?: '4.1'
}

/** A command of an ITS. */
export interface ItsCommand {
  /** `MAPD`, `INT`. */
  readonly name: string
  /** Bits 7:0 of the first doubleword. */
  readonly opcode: number
  /** The version of the architecture that it came with. */
  readonly since: '3' | '4.0' | '4.1'
  /** Its fields besides the opcode. */
  readonly fields: readonly CommandField[]
}

const field = (name: string, dw: number, hi: number, lo = hi): CommandField => ({ name, dw, hi, lo })
const field41 = (name: string, dw: number, hi: number, lo = hi): CommandField => ({
  ...field(name, dw, hi, lo),
  since: '4.1',
})

const DEVICE_ID_FIELD = field('DeviceID', 0, 63, 32)
const EVENT_ID_FIELD = field('EventID', 1, 31, 0)
const PINTID = field('pINTID', 1, 63, 32)
const ICID = field('ICID', 2, 15, 0)
const RD_BASE = field('RDbase', 2, 51, 16)
const VALID = field('V', 2, 63)
const VPEID = field('vPEID', 1, 47, 32)
const DBELL = field('Dbell_pINTID', 2, 63, 32)

const commandSince =
  (since: ItsCommand['since']) =>
  (name: string, opcode: number, ...fields: CommandField[]): ItsCommand => ({ name, opcode, since, fields })
const command = commandSince('3')
const command40 = commandSince('4.0')
const command41 = commandSince('4.1')

/** All commands, by opcode. */
export const itsCommands: readonly ItsCommand[] = [
  command('MOVI', 0x01, DEVICE_ID_FIELD, EVENT_ID_FIELD, ICID),
  command('INT', 0x03, DEVICE_ID_FIELD, EVENT_ID_FIELD),
  command('CLEAR', 0x04, DEVICE_ID_FIELD, EVENT_ID_FIELD),
  command('SYNC', 0x05, RD_BASE),
  command('MAPD', 0x08, DEVICE_ID_FIELD, field('Size', 1, 4, 0), field('ITT_addr', 2, 51, 8), VALID),
  command('MAPC', 0x09, ICID, RD_BASE, VALID),
  command('MAPTI', 0x0a, DEVICE_ID_FIELD, EVENT_ID_FIELD, PINTID, ICID),
  command('MAPI', 0x0b, DEVICE_ID_FIELD, EVENT_ID_FIELD, ICID),
  command('INV', 0x0c, DEVICE_ID_FIELD, EVENT_ID_FIELD),
  command('INVALL', 0x0d, ICID),
  command('MOVALL', 0x0e, field('RDbase1', 2, 51, 16), field('RDbase2', 3, 51, 16)),
  command('DISCARD', 0x0f, DEVICE_ID_FIELD, EVENT_ID_FIELD),
  command40('VMOVI', 0x21, DEVICE_ID_FIELD, EVENT_ID_FIELD, VPEID, field('D', 2, 0), DBELL),
  command40(
    'VMOVP',
    0x22,
    field('Sequence_Number', 0, 47, 32),
    field('ITSList', 1, 15, 0),
    VPEID,
    RD_BASE,
    field41('DB', 2, 63),
    field41('Default_Doorbell_pINTID', 3, 31, 0),
  ),
  command41(
    'VSGI',
    0x23,
    field('Enable', 0, 8),
    field('Clear', 0, 9),
    field('Group', 0, 10),
    field('Priority', 0, 23, 20),
    field('vINTID', 0, 35, 32),
    VPEID,
  ),
  command40('VSYNC', 0x25, VPEID),
  command40(
    'VMAPP',
    0x29,
    field41('Alloc', 0, 8),
    field41('PTZ', 0, 9),
    field41('VCONF_addr', 0, 51, 16),
    field41('Default_Doorbell_pINTID', 1, 31, 0),
    VPEID,
    RD_BASE,
    VALID,
    field('VPT_size', 3, 4, 0),
    field('VPT_addr', 3, 51, 16),
  ),
  command40('VMAPTI', 0x2a, DEVICE_ID_FIELD, EVENT_ID_FIELD, VPEID, field('vINTID', 2, 31, 0), DBELL),
  command40('VMAPI', 0x2b, DEVICE_ID_FIELD, EVENT_ID_FIELD, VPEID, DBELL),
  command40('VINVALL', 0x2d, VPEID),
  command41('INVDB', 0x2e, VPEID),
]

export const ITS_MOVI = 0x01
export const ITS_INT = 0x03
export const ITS_CLEAR = 0x04
export const ITS_SYNC = 0x05
export const ITS_MAPD = 0x08
export const ITS_MAPC = 0x09
export const ITS_MAPTI = 0x0a
export const ITS_MAPI = 0x0b
export const ITS_INV = 0x0c
export const ITS_INVALL = 0x0d
export const ITS_MOVALL = 0x0e
export const ITS_DISCARD = 0x0f
export const ITS_VMOVI = 0x21
export const ITS_VMOVP = 0x22
export const ITS_VSGI = 0x23
export const ITS_VSYNC = 0x25
export const ITS_VMAPP = 0x29
export const ITS_VMAPTI = 0x2a
export const ITS_VMAPI = 0x2b
export const ITS_VINVALL = 0x2d
export const ITS_INVDB = 0x2e

/** Bytes of a command. */
export const COMMAND_SIZE = 32
/** Word offsets in a command of fields that are whole words. */
export const COMMAND_DEVICE_ID = 1
export const COMMAND_EVENT_ID = 2
export const COMMAND_PINTID = 3
/** Bits 31:0 and 63:32 of the doublewords with addresses: ITT_addr, and RDbase, of which MOVALL has two. */
export const COMMAND_ADDRESS = 4
export const COMMAND_ADDRESS_2 = 6
export const COMMAND_opcode = (word0: number): number => word0 & 0xff
export const COMMAND_Size = (word2: number): number => word2 & 0x1f
export const COMMAND_ICID = (word4: number): number => word4 & 0xffff
export const COMMAND_HIGH_V = 0x80000000 | 0
/** The commands about vPEs. Their addresses are bits 51:16: of VMAPP in doublewords 0 and 3. */
export const COMMAND_VPEID = (word3: number): number => word3 & 0xffff
export const COMMAND_Sequence_Number = (word1: number): number => word1 & 0xffff
export const COMMAND_ITSList = (word2: number): number => word2 & 0xffff
export const COMMAND_VMAPP_Alloc = 0x100
export const COMMAND_VMAPP_PTZ = 0x200
export const COMMAND_VMAPP_DOORBELL = 2
export const COMMAND_VMAPP_VPT = 6
export const COMMAND_VPT_size = (word6: number): number => word6 & 0x1f
export const COMMAND_VINTID = 4
export const COMMAND_DBELL = 5
export const COMMAND_VMOVI_D = 0x1
export const COMMAND_VMOVP_DOORBELL = 6
export const COMMAND_VSGI_Enable = 0x100
export const COMMAND_VSGI_Clear = 0x200
export const COMMAND_VSGI_Group = 0x400
export const COMMAND_VSGI_Priority = (word0: number): number => (word0 >>> 20) & 0xf
export const COMMAND_VSGI_vINTID = (word1: number): number => word1 & 0xf

/** The kinds of command errors. */
type CommandErrorName =
  | 'INVALID_COMMAND'
  | 'DEVICE_OOR'
  | 'PROCNUM_OOR'
  | 'ITTSIZE_OOR'
  | 'COLLECTION_OOR'
  | 'UNMAPPED_DEVICE'
  | 'ID_OOR'
  | 'PHYSICALID_OOR'
  | 'UNMAPPED_INTERRUPT'
  | 'UNMAPPED_COLLECTION'
  | 'VCPU_OOR'
  | 'VPTSIZE_OOR'
  | 'VIRTUALID_OOR'
  | 'VCPU_INVALID'
  | 'ID_IS_PHYSICAL'
  | 'ITEVCPU_INVALID'
  | 'CMDVCPU_INVALID'
  | 'ITE_INVALID'

/** A command error: `MAPD_DEVICE_OOR`, and the code with which an ITS with SEIs would report it. */
interface CommandError {
  /** The command, an underscore, and the kind of error. */
  readonly name: string
  /** 0x01 in bits 23:16, the command in bits 15:8, the error in bits 7:0. */
  readonly code: number
}

export const DEVICE_OOR = 0x01
/** Of an opcode that the ITS does not have. Its byte is that of DEVICE_OOR: the bit above tells them apart here. */
export const INVALID_COMMAND = 0x101
export const PROCNUM_OOR = 0x02
export const ITTSIZE_OOR = 0x02
export const COLLECTION_OOR = 0x03
export const UNMAPPED_DEVICE = 0x04
export const ID_OOR = 0x05
export const PHYSICALID_OOR = 0x06
export const UNMAPPED_INTERRUPT = 0x07
export const UNMAPPED_COLLECTION = 0x09
export const ITE_INVALID = 0x10
export const VCPU_OOR = 0x11
export const VPTSIZE_OOR = 0x12
export const VIRTUALID_OOR = 0x13
export const VCPU_INVALID = 0x14
export const ID_IS_PHYSICAL = 0x15
export const ITEVCPU_INVALID = 0x16
export const CMDVCPU_INVALID = 0x17

/** By the error; {@link PROCNUM_OOR} is left out, which MAPD has for {@link ITTSIZE_OOR}. */
const errorNames: Readonly<Record<number, CommandErrorName>> = {
  [DEVICE_OOR]: 'DEVICE_OOR',
  [INVALID_COMMAND]: 'INVALID_COMMAND',
  [COLLECTION_OOR]: 'COLLECTION_OOR',
  [UNMAPPED_DEVICE]: 'UNMAPPED_DEVICE',
  [ID_OOR]: 'ID_OOR',
  [PHYSICALID_OOR]: 'PHYSICALID_OOR',
  [UNMAPPED_INTERRUPT]: 'UNMAPPED_INTERRUPT',
  [UNMAPPED_COLLECTION]: 'UNMAPPED_COLLECTION',
  [ITE_INVALID]: 'ITE_INVALID',
  [VCPU_OOR]: 'VCPU_OOR',
  [VPTSIZE_OOR]: 'VPTSIZE_OOR',
  [VIRTUALID_OOR]: 'VIRTUALID_OOR',
  [VCPU_INVALID]: 'VCPU_INVALID',
  [ID_IS_PHYSICAL]: 'ID_IS_PHYSICAL',
  [ITEVCPU_INVALID]: 'ITEVCPU_INVALID',
  [CMDVCPU_INVALID]: 'CMDVCPU_INVALID',
}

/** The names of commands by opcode. */
const commandNames: ReadonlyMap<number, string> = new Map(
  itsCommands.map(({ name, opcode }) => [opcode, name]),
)

/** The name of a command by its opcode; undefined for one that there is not. */
export const commandName = (opcode: number): string | undefined => commandNames.get(opcode)

/** An error of a command. In the codes of CLEAR the command's byte is that of another command, as Arm prints them. */
export function commandError(opcode: number, error: number): CommandError {
  const base = 0x1_0000 | (error & 0xff)
  const command = commandName(opcode) ?? `0x${opcode.toString(16).padStart(2, '0')}`
  const ofSize = opcode === ITS_MAPD ? 'ITTSIZE_OOR' : 'PROCNUM_OOR'
  // PROCNUM_OOR of MOVALL has the code byte that DEVICE_OOR has in other commands.
  const code = opcode === ITS_MOVALL && error === PROCNUM_OOR ? 0x1_0001 : base
  return {
    name: `${command}_${errorNames[error] ?? ofSize}`,
    code: code | ((opcode === ITS_CLEAR ? ITS_SYNC : opcode) << 8),
  }
}
