/**
 * What a guest's ITS driver does, as operations of a guest: it puts tables and a command queue into its memory, boots the
 * ITS and the redistributors, and sends commands. Each command is stored in the queue and told to the ITS by a write of
 * GITS_CWRITER, which leaves the guest.
 */
import { FIRST_LPI } from '../arch/intid.ts'
import {
  COMMAND_SIZE,
  ITS_CLEAR,
  ITS_DISCARD,
  ITS_INT,
  ITS_INV,
  ITS_INVALL,
  ITS_MAPC,
  ITS_MAPD,
  ITS_MAPTI,
  ITS_MOVALL,
  ITS_MOVI,
  ITS_SYNC,
} from '../arch/its-commands.ts'
import { argumentBoolean, argumentInteger, argumentOptions, type Fields } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'

/** Where a guest's ITS driver finds its hardware and puts its tables. */
export interface GuestItsOptions {
  /** The frames of the ITS, as `frames.its` of the VM; default 0x0808_0000. */
  readonly frame?: number
  /** The redistributor of vCPU 0, and those of the others behind it, as `frames.gicr`; default 0x080a_0000. */
  readonly redistributors?: number
  /** 1 MiB of the guest's memory and 64 KiB for each vCPU, 64 KiB aligned; default 0x4000_0000. */
  readonly memory?: number
}

const fields: Fields<GuestItsOptions> = { frame: true, redistributors: true, memory: true }

/** The configuration of an LPI in a guest's memory. */
export interface GuestLpiOptions {
  /** Default true. */
  readonly enabled?: boolean
  /** 0 to 255, of which an LPI has bits 7:2; default 0xa0. */
  readonly priority?: number
}

const lpiFields: Fields<GuestLpiOptions> = { enabled: true, priority: true }

const GITS_CTLR = 0
const GITS_CBASER = 0x80
const GITS_CWRITER = 0x88
const GITS_BASER = 0x100
const GICR_CTLR = 0
const GICR_PROPBASER = 0x70
const GICR_PENDBASER = 0x78
const REDISTRIBUTOR = 0x2_0000
const PAGE = 0x1_0000
const HIGH = 0x1_0000_0000
/** Valid, or V, in the upper word. */
const VALID = 0x8000_0000
/** INTIDs of 16 bits, less one. */
const IDBITS = 15
/** Bytes of the queue. */
const QUEUE = 0x1000

/** Where a table begins in the driver's memory; pending tables are behind, one a vCPU. */
const CONFIGURATION = 0
const COMMANDS = PAGE
const DEVICES = 2 * PAGE
const COLLECTIONS = 3 * PAGE
const ITTS = 4 * PAGE
const PENDING = 16 * PAGE
/** Bytes of an ITT: 128 events. */
const ITT = 0x400

/** The fields of a command as a driver may get them wrong: any that the command has room for. */
const MOST = 0xffff_ffff
const device = (deviceId: number): number => argumentInteger('deviceId', deviceId, 0, MOST)
const event = (eventId: number): number => argumentInteger('eventId', eventId, 0, MOST)
const collection = (icid: number): number => argumentInteger('icid', icid, 0, 0xffff)
/** A vCPU by its index, which is the target of a command in bits 31:16. */
const rdbase = (vcpu: number, name = 'vcpu'): number => argumentInteger(name, vcpu, 0, 0xffff) * PAGE

/** The list of operations that a driver adds to. */
interface Operations {
  writeMmio(address: number, value: number | bigint, size?: 4 | 8): unknown
  store(address: number, value: number): unknown
}

/** An ITS driver of a guest, see {@link OpList.its}. Each call but the constructor adds operations; all return the driver. */
export class GuestIts {
  /** @internal */
  readonly frame: number
  private readonly redistributors: number
  private readonly memory: number
  private written = 0
  private itts = 0

  /** @internal */
  constructor(
    private readonly list: Operations,
    options: GuestItsOptions = {},
  ) {
    const { frame, redistributors, memory } = argumentOptions('its', options, fields)
    this.frame = argumentInteger('frame', frame ?? 0x0808_0000, 0, 2 ** 40)
    this.redistributors = argumentInteger('redistributors', redistributors ?? 0x080a_0000, 0, 2 ** 40)
    this.memory = argumentInteger('memory', memory ?? 0x4000_0000, 0, 2 ** 40)
  }

  /** Boots the ITS and enables the LPIs of vCPUs 0 to `vcpus` - 1, whose pending tables are zero. */
  boot(vcpus: number): this {
    argumentInteger('vcpus', vcpus, 1, 255)
    const { frame, memory } = this
    for (let n = 0; n < vcpus; n++) {
      const base = this.redistributors + n * REDISTRIBUTOR
      this.write64(base + GICR_PROPBASER, memory + CONFIGURATION + IDBITS, 0)
      this.write64(base + GICR_PENDBASER, memory + PENDING + n * PAGE, 0x4000_0000)
      this.list.writeMmio(base + GICR_CTLR, 1)
    }
    this.write64(frame + GITS_BASER, memory + DEVICES, VALID)
    this.write64(frame + GITS_BASER + 8, memory + COLLECTIONS, VALID)
    this.write64(frame + GITS_CBASER, memory + COMMANDS, VALID)
    this.list.writeMmio(frame + GITS_CTLR, 1)
    return this
  }

  /** The configuration byte of an LPI in memory, without an invalidation. */
  configure(intid: number, options: GuestLpiOptions = {}): this {
    const { enabled = true, priority = 0xa0 } = argumentOptions('lpi', options, lpiFields)
    argumentInteger('intid', intid, FIRST_LPI, 0xffff)
    argumentInteger('priority', priority, 0, 0xff)
    argumentBoolean('enabled', enabled)
    // A word of four: its neighbours become disabled.
    const byte = (priority & 0xfc) | (enabled ? 1 : 0)
    const offset = intid - FIRST_LPI
    this.list.store(this.memory + CONFIGURATION + (offset & ~3), (byte << ((offset & 3) << 3)) >>> 0)
    return this
  }

  /** MAPD: a device gets an ITT for events 0 to 127. */
  mapDevice(deviceId: number): this {
    const itt = this.memory + ITTS + ITT * this.itts++
    if (this.itts > (PENDING - ITTS) / ITT) {
      throw new VgicError('scenario', 'The ITS driver of a guest has memory for 768 devices: map fewer.')
    }
    return this.command(ITS_MAPD, device(deviceId), 6, 0, itt >>> 0, Math.floor(itt / HIGH) + VALID)
  }

  /** MAPD with V = 0. */
  unmapDevice(deviceId: number): this {
    return this.command(ITS_MAPD, device(deviceId))
  }

  /** MAPC: a collection goes to a vCPU. */
  mapCollection(icid: number, vcpu: number): this {
    return this.command(ITS_MAPC, 0, 0, 0, collection(icid) + rdbase(vcpu), VALID)
  }

  /** MAPC with V = 0. */
  unmapCollection(icid: number): this {
    return this.command(ITS_MAPC, 0, 0, 0, collection(icid))
  }

  /** MAPTI: an event of a device means an LPI. */
  mapEvent(deviceId: number, eventId: number, intid: number, icid: number): this {
    argumentInteger('intid', intid, 0, MOST)
    return this.command(ITS_MAPTI, device(deviceId), event(eventId), intid, collection(icid))
  }

  /** MOVI: an event goes to another collection. */
  moveEvent(deviceId: number, eventId: number, icid: number): this {
    return this.command(ITS_MOVI, device(deviceId), event(eventId), 0, collection(icid))
  }

  /** MOVALL: all LPIs of one vCPU go to another. */
  moveAll(from: number, to: number): this {
    return this.command(ITS_MOVALL, 0, 0, 0, rdbase(from, 'from'), 0, rdbase(to, 'to'))
  }

  /** DISCARD: an event means nothing any more. */
  discard(deviceId: number, eventId: number): this {
    return this.command(ITS_DISCARD, device(deviceId), event(eventId))
  }

  /** INT: as if the device had sent the message. */
  int(deviceId: number, eventId: number): this {
    return this.command(ITS_INT, device(deviceId), event(eventId))
  }

  /** CLEAR: the LPI of an event is not pending. */
  clear(deviceId: number, eventId: number): this {
    return this.command(ITS_CLEAR, device(deviceId), event(eventId))
  }

  /** INV: the configuration of an event's LPI is read again. */
  invalidate(deviceId: number, eventId: number): this {
    return this.command(ITS_INV, device(deviceId), event(eventId))
  }

  /** INVALL: that of all LPIs of a collection. */
  invalidateAll(icid: number): this {
    return this.command(ITS_INVALL, 0, 0, 0, collection(icid))
  }

  /** SYNC for a vCPU. */
  sync(vcpu: number): this {
    return this.command(ITS_SYNC, 0, 0, 0, rdbase(vcpu))
  }

  /** GICR_CTLR.EnableLPIs of a vCPU. */
  enableLpis(vcpu: number, enabled = true): this {
    argumentInteger('vcpu', vcpu, 0, 254)
    argumentBoolean('enabled', enabled)
    this.list.writeMmio(this.redistributors + vcpu * REDISTRIBUTOR + GICR_CTLR, enabled ? 1 : 0)
    return this
  }

  private command(
    opcode: number,
    deviceId: number,
    eventId = 0,
    intid = 0,
    low = 0,
    high = 0,
    low2 = 0,
  ): this {
    const at = this.memory + COMMANDS + this.written
    const words = [opcode, deviceId, eventId, intid, low, high, low2, 0]
    for (const [n, value] of words.entries()) this.list.store(at + 4 * n, value >>> 0)
    this.written = (this.written + COMMAND_SIZE) % QUEUE
    this.write64(this.frame + GITS_CWRITER, this.written, 0)
    return this
  }

  private write64(address: number, low: number, high: number): void {
    this.list.writeMmio(address, (BigInt(high) << 32n) | BigInt(low), 8)
  }
}
