/** A VM with ITSs, whose guest's memory is the test's: what a driver does to map devices, events and collections. */
import { type GicMemory, ICC_IAR1_EL1 } from 'vgic'
import type { VirtualMachine, VirtualMachineConfig } from 'vgic/scenario'
import { GITS, redistributor, VALID } from './frames.ts'
import { boot, vmOf } from './vm.ts'

/** Memory at every address below 4 GiB, zero until it is written. */
export class GuestRam implements GicMemory {
  private readonly words: Map<number, number>

  constructor(words: Iterable<readonly [number, number]> = []) {
    this.words = new Map(words)
  }

  read32(address: number): number | undefined {
    return address < 2 ** 32 ? (this.words.get(address) ?? 0) : undefined
  }

  write32(address: number, value: number): boolean {
    if (address >= 2 ** 32) return false
    if (value === 0) this.words.delete(address)
    else this.words.set(address, value)
    return true
  }

  read64(address: number): bigint {
    return BigInt(this.read32(address) ?? 0) | (BigInt(this.read32(address + 4) ?? 0) << 32n)
  }

  write64(address: number, value: bigint): void {
    this.write32(address, Number(value & 0xffff_ffffn))
    this.write32(address + 4, Number(value >> 32n))
  }

  read8(address: number): number {
    return ((this.read32(address & ~3) ?? 0) >>> (8 * (address & 3))) & 0xff
  }

  write8(address: number, value: number): void {
    const shift = 8 * (address & 3)
    const word = this.read32(address & ~3) ?? 0
    this.write32(address & ~3, ((word & ~(0xff << shift)) | (value << shift)) >>> 0)
  }

  /** What is not zero, by address. */
  contents(): [number, number][] {
    return [...this.words].sort(([a], [b]) => a - b)
  }

  copy(): GuestRam {
    return new GuestRam(this.words)
  }
}

/** Where a driver has its tables. Each ITS has 16 MiB of its own. */
export const CONFIGURATION = 0x4000_0000
export const pendingTable = (vcpu: number): number => 0x4100_0000 + vcpu * 0x1_0000
export const queueOf = (its = 0): number => 0x4200_0000 + its * 0x100_0000
export const deviceTable = (its = 0): number => queueOf(its) + 0x10_0000
export const collectionTable = (its = 0): number => queueOf(its) + 0x20_0000
/** Where a driver has the ITT of a device with up to 256 events. */
export const ittOf = (device: number, its = 0): number => queueOf(its) + 0x30_0000 + (device % 0x400) * 0x800

export const gits = (its: number): number => (its === 0 ? GITS : 0x0c00_0000 + its * 0x2_0000)
export const GITS_CTLR = 0x0
export const GITS_CBASER = 0x80
export const GITS_CWRITER = 0x88
export const GITS_CREADR = 0x90
export const GITS_BASER = 0x100
export const INDIRECT = 1n << 62n

export interface ItsOptions extends Partial<VirtualMachineConfig> {
  readonly itss?: number
  readonly ram?: GuestRam
}

/** The guest of a VM, which makes its accesses on vCPU 0. */
export class ItsGuest {
  constructor(
    readonly vm: VirtualMachine,
    readonly ram: GuestRam,
  ) {}

  register(its: number, offset: number): bigint {
    return this.vm.readMmio64(0, gits(its) + offset)
  }

  setRegister(its: number, offset: number, value: bigint | number): void {
    this.vm.writeMmio(0, gits(its) + offset, offset === GITS_CTLR ? 4 : 8, value)
  }

  /** GITS_BASER0 and GITS_BASER1, a page each, and the queue. */
  setUpIts(its = 0, devices = VALID | BigInt(deviceTable(its))): void {
    this.setRegister(its, GITS_CBASER, VALID | BigInt(queueOf(its)))
    this.setRegister(its, GITS_BASER, devices)
    this.setRegister(its, GITS_BASER + 8, VALID | BigInt(collectionTable(its)))
    this.setRegister(its, GITS_CTLR, 1)
  }

  enableLpis(vcpu: number, on = true): void {
    this.vm.writeMmio(0, redistributor(vcpu), 4, on ? 1 : 0)
  }

  setUpLpis(): void {
    for (let vcpu = 0; vcpu < this.vm.config.vcpus; vcpu++) {
      this.vm.writeMmio(0, redistributor(vcpu) + 0x70, 8, BigInt(CONFIGURATION) | 0xfn)
      this.vm.writeMmio(0, redistributor(vcpu) + 0x78, 8, BigInt(pendingTable(vcpu)))
      this.enableLpis(vcpu)
    }
  }

  /** Configures an LPI in memory. */
  configure(intid: number, priority = 0xa0, enabled = true): void {
    this.ram.write8(CONFIGURATION + intid - 8192, priority | (enabled ? 1 : 0))
  }

  /** Puts a command into the queue. */
  command(its: number, ...doublewords: readonly bigint[]): void {
    const at = Number(this.register(its, GITS_CWRITER))
    for (let i = 0; i < 4; i++) this.ram.write64(queueOf(its) + at + 8 * i, doublewords[i] ?? 0n)
    this.setRegister(its, GITS_CWRITER, (at + 32) % 0x1000)
  }

  mapd(device: number, bits: number, valid = true, its = 0, itt = ittOf(device, its)): void {
    const id = BigInt(device) << 32n
    this.command(its, id | 0x08n, BigInt(bits - 1), (valid ? VALID : 0n) | BigInt(itt))
  }

  mapc(icid: number, rdbase: number, valid = true, its = 0): void {
    this.command(its, 0x09n, 0n, (valid ? VALID : 0n) | (BigInt(rdbase) << 16n) | BigInt(icid))
  }

  mapti(device: number, event: number, intid: number, icid: number, its = 0): void {
    this.command(its, (BigInt(device) << 32n) | 0x0an, (BigInt(intid) << 32n) | BigInt(event), BigInt(icid))
  }

  movi(device: number, event: number, icid: number, its = 0): void {
    this.command(its, (BigInt(device) << 32n) | 0x01n, BigInt(event), BigInt(icid))
  }

  movall(from: number, to: number, its = 0): void {
    this.command(its, 0x0en, 0n, BigInt(from) << 16n, BigInt(to) << 16n)
  }

  /** INT, CLEAR, INV or DISCARD. */
  event(what: 'INT' | 'CLEAR' | 'INV' | 'DISCARD', device: number, event: number, its = 0): void {
    const opcode = { INT: 0x03n, CLEAR: 0x04n, INV: 0x0cn, DISCARD: 0x0fn }[what]
    this.command(its, (BigInt(device) << 32n) | opcode, BigInt(event))
  }

  invall(icid: number, its = 0): void {
    this.command(its, 0x0dn, 0n, BigInt(icid))
  }

  msi(device: number, event: number, its = 0): boolean {
    return this.vm.signalMsi(device, event, its)
  }

  /** The INTID that a vCPU acknowledges; 1023 if it has none. */
  acknowledge(vcpu: number): number {
    return this.vm.readSysreg(vcpu, ICC_IAR1_EL1)
  }
}

/** A VM with ITSs that is in its reset state. */
export function itsVm({ itss = 1, ram = new GuestRam(), ...config }: ItsOptions = {}): ItsGuest {
  const its = Array.from({ length: itss }, (_, n) => gits(n))
  return new ItsGuest(vmOf({ frames: { its }, memory: ram, ...config }), ram)
}

/** One whose guest has set up its GIC, with collection n at vCPU n. */
export function bootedIts(options: ItsOptions = {}): ItsGuest {
  const guest = itsVm(options)
  boot(guest.vm)
  guest.setUpLpis()
  for (let its = 0; its < (options.itss ?? 1); its++) {
    guest.setUpIts(its)
    for (let vcpu = 0; vcpu < guest.vm.config.vcpus; vcpu++) guest.mapc(vcpu, vcpu, true, its)
  }
  return guest
}

/** Restores a saved VM, and its memory, to another one. */
export function restoredTo(guest: ItsGuest, options: ItsOptions = {}): ItsGuest {
  guest.vm.stop()
  const saved = JSON.parse(JSON.stringify(guest.vm.saveVgic()))
  const other = itsVm({ ...options, ram: guest.ram.copy() })
  other.vm.restoreVgic(saved)
  return other
}

/** How many LPIs, devices, events and collections a VM has. */
export function slotsInUse({ vm }: ItsGuest): Record<'lpis' | 'devices' | 'events' | 'collections', number> {
  const { its } = vm.hypervisor.mmio.dist
  const used = (pool: typeof its.devices): number =>
    Array.from({ length: pool.layout.count }, (_, i) => i + 1).filter((slot) => pool.isUsed(slot)).length
  let lpis = 0
  for (let slot = its.lpis.firstSlot; slot !== 0; slot = its.lpis.next(slot)) lpis++
  return { lpis, devices: used(its.devices), events: used(its.events), collections: used(its.collections) }
}
