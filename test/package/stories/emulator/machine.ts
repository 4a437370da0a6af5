/** The interrupt side of an emulated machine: RAM, two CPUs that run nothing but their drivers, and the GIC between them. */
import {
  type Encoding,
  encodeCommand,
  Gic,
  type GicConfig,
  type GicHost,
  type GuestErrorEvent,
  ICC_EOIR1_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  type ImageBytes,
} from 'vgic'

export const GICD = 0x0800_0000
export const GITS = 0x0808_0000
export const GICR = 0x080a_0000
const STRIDE = 0x2_0000
const RAM = 0x4000_0000
const PAGE = 0x1_0000
/** Where the guest has put its tables. */
const CONFIG = RAM
const PENDING = RAM + PAGE
const DEVICES = RAM + 2 * PAGE
const COLLECTIONS = RAM + 3 * PAGE
const QUEUE = RAM + 4 * PAGE
const ITT = RAM + 5 * PAGE
const VALID = 1n << 63n

const CONFIGURATION: GicConfig = {
  cpus: 2,
  spis: 32,
  gicd: GICD,
  gicr: [{ base: GICR, count: 2 }],
  its: [{ base: GITS }],
  lpis: 64,
}

export class Machine {
  readonly ram = new DataView(new ArrayBuffer(16 * PAGE))
  /** The IRQ inputs of the CPUs. */
  readonly irq = [false, false]
  readonly guestErrors: GuestErrorEvent[] = []
  readonly gic: Gic

  constructor(image?: ImageBytes) {
    const host: GicHost = {
      memory: {
        read32: (address) => (this.isRam(address) ? this.ram.getUint32(address - RAM, true) : undefined),
        write32: (address, value) => {
          if (!this.isRam(address)) return false
          this.ram.setUint32(address - RAM, value, true)
          return true
        },
      },
      setLine: (cpu, line, level) => {
        if (line === 'irq') this.irq[cpu] = level === 1
      },
      onGuestError: (event) => this.guestErrors.push(event),
    }
    this.gic = image === undefined ? new Gic(CONFIGURATION, host) : Gic.from(image, host)
  }

  msr(cpu: number, register: Encoding, value: bigint): void {
    this.gic.writeSysreg64(cpu, register, value, 1)
  }

  /** What firmware and the kernel of each CPU do; a bare guest may forget the first. */
  boot({ wakes = true } = {}): void {
    this.gic.writeMmio(GICD, 4, 0x12) // GICD_CTLR: ARE, group 1
    for (const cpu of [0, 1]) {
      const rd = GICR + cpu * STRIDE
      if (wakes) this.gic.writeMmio(rd + 0x14, 4, 0) // GICR_WAKER
      this.gic.writeMmio(rd + 0x1_0080, 4, 0xffff_ffff) // GICR_IGROUPR0
      this.gic.writeMmio(rd + 0x1_0100, 4, 0xffff) // GICR_ISENABLER0: the SGIs
      this.msr(cpu, ICC_PMR_EL1, 0xf0n)
      this.msr(cpu, ICC_IGRPEN1_EL1, 1n)
    }
  }

  /** The driver of the ITS: LPI 8192 is event 3 of device 01:00.0, for CPU 1. */
  bootIts(): void {
    const { gic, ram } = this
    ram.setUint8(CONFIG - RAM, 0xa1) // LPI 8192: priority 0xa0, enabled
    for (const rd of [GICR, GICR + STRIDE]) {
      gic.writeMmio64(rd + 0x70, BigInt(CONFIG) | 15n) // GICR_PROPBASER
      gic.writeMmio64(rd + 0x78, BigInt(rd === GICR ? PENDING : PENDING + PAGE / 2) | (1n << 62n)) // GICR_PENDBASER
      gic.writeMmio(rd, 4, 1) // GICR_CTLR.EnableLPIs
    }
    gic.writeMmio64(GITS + 0x100, VALID | BigInt(DEVICES) | 0x200n)
    gic.writeMmio64(GITS + 0x108, VALID | BigInt(COLLECTIONS) | 0x200n)
    gic.writeMmio64(GITS + 0x80, VALID | BigInt(QUEUE))
    gic.writeMmio(GITS, 4, 1)
    this.command('MAPC', { ICID: 0, RDbase: 1, V: 1 })
    this.command('MAPD', { DeviceID: 0x100, Size: 4, ITT_addr: ITT / 256, V: 1 }) // bits 51:8
    this.command('MAPTI', { DeviceID: 0x100, EventID: 3, pINTID: 8192, ICID: 0 })
  }

  /** The CPU's handler: what it acknowledges, and ends. */
  serve(cpu: number): number {
    const intid = this.gic.readSysreg(cpu, ICC_IAR1_EL1, 1)
    this.msr(cpu, ICC_EOIR1_EL1, BigInt(intid))
    return intid
  }

  command(name: string, fields: Readonly<Record<string, number | bigint>>): void {
    const at = Number(this.gic.readMmio64(GITS + 0x88)) // GITS_CWRITER
    encodeCommand(name, fields).forEach((doubleword, n) => {
      this.ram.setBigUint64(QUEUE - RAM + at + 8 * n, doubleword, true)
    })
    this.gic.writeMmio(GITS + 0x88, 4, at + 32)
  }

  private isRam(address: number): boolean {
    return address >= RAM && address < RAM + this.ram.byteLength
  }
}
