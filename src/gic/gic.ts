/**
 * The GIC as a device in an emulator. Its state is one buffer: a fresh GIC opens its reset image, and so does
 * every other GIC an image of its own.
 */
import { ESR_EC } from '../arch/syndrome.ts'
import { blankImage, checkLength, HEADER, openImage } from '../state/image.ts'
import { Layout, recordType } from '../state/layout.ts'
import { type Difference, MachineState } from '../state/machine-state.ts'
import { argumentInteger, VgicError } from '../state/vgic-error.ts'
import {
  type CheckedGicConfig,
  checkGicConfig,
  GIC_CONFIG,
  type GicConfig,
  loadGicConfig,
  REGION,
  storeGicConfig,
} from './config.ts'
import { DAIF_F, DAIF_I, PCPU_DATA_HIGH, PCPU_TRAP } from './pcpu.ts'
import { RegisterValue, registerByEncoding } from './register-value.ts'
import { Silicon, type SiliconRecords, siliconRecords } from './silicon.ts'

/** What a WFI or WFE did: it completed at once, the PE waits, or it trapped to EL2 (see {@link Gic.lastTrap}). */
export type WfxResult = 'completes' | 'waits' | 'traps'
/** By WFX_ value. */
const wfxResults: readonly WfxResult[] = ['completes', 'waits', 'traps']

/** What the device interface itself keeps: the CPU of the last access, for `lastTrap`. */
const DEVICE = recordType('device', [{ name: 'lastCpu', at: 0, class: 'observational' }])

/** Where the silicon lies in a buffer. */
function layoutOf(config: CheckedGicConfig): { layout: Layout; records: SiliconRecords; fixed: number } {
  const records = siliconRecords(config)
  const layout = new Layout([
    [HEADER, 1],
    [GIC_CONFIG, 1],
    [REGION, config.gicr.length],
    ...records.list,
    [DEVICE, 1],
  ])
  return { layout, records, fixed: layout.baseOf(records.pe) }
}

/**
 * A GIC and the PEs it serves. Accesses never throw, whatever a guest does: addresses and encodings that
 * nothing answers give the architecture's answer. Numbers are unsigned.
 */
export class Gic {
  /** The checked configuration. */
  readonly config: CheckedGicConfig
  private readonly state: MachineState
  private readonly silicon: Silicon
  private readonly lastCpu: number

  /** A GIC in its reset state. Throws a `VgicError` with code `config` that names a field out of its bounds. */
  constructor(config: GicConfig)
  /** @internal */
  constructor(config: GicConfig, image?: ArrayBuffer)
  constructor(config: GicConfig, image?: ArrayBuffer) {
    this.config = checkGicConfig(config)
    const { layout, records, fixed } = layoutOf(this.config)
    const buffer = image ?? blankImage('device', layout)
    checkLength(buffer, layout)
    this.state = new MachineState('device', layout, buffer, fixed)
    this.silicon = new Silicon(this.state.words, this.config, records, layout)
    this.lastCpu = layout.baseOf(DEVICE)
    if (!image) {
      storeGicConfig(this.state.words, HEADER.size, this.config)
      this.silicon.reset()
    }
  }

  /**
   * A GIC from an image: what {@link snapshot} returned. The GIC works in the buffer that is passed.
   * Throws a `VgicError` whose code begins with `image-` if it is foreign, truncated or of another version.
   */
  static from(image: ArrayBuffer): Gic {
    return new Gic(loadGicConfig(openImage('device', image), HEADER.size), image)
  }

  /** A copy of the whole state. */
  snapshot(): ArrayBuffer {
    return this.state.snapshot()
  }

  /** Goes back to a snapshot of this GIC or of one with the same configuration. Throws as {@link from} does. */
  restore(image: ArrayBuffer): void {
    this.state.restore(image)
  }

  /** A 53-bit hash of the state without counters and caches: equal states have equal hashes. */
  hash(): number {
    return this.state.hash()
  }

  /** What changed since a snapshot, a register field at a time. */
  diff(image: ArrayBuffer): Difference[] {
    return this.state.diff(image)
  }

  /** Whether an address lies in a frame of this GIC. */
  claims(address: number): boolean {
    return this.silicon.mmio.claims(address)
  }

  /** A read of 1, 2, 4 or 8 bytes at a physical address; 0 where nothing answers or the size does not exist. */
  readMmio(address: number, size: number): number {
    return this.silicon.mmio.read(address, size)
  }

  /** A write of 1, 2, 4 or 8 bytes at a physical address; ignored where nothing answers. */
  writeMmio(address: number, size: number, value: number): void {
    this.silicon.mmio.write(address, size, value)
  }

  /**
   * MRS: bits 31:0 of a system register, read by a CPU at its current exception level or at `el`. 0 if the
   * access traps or is UNDEFINED: then {@link lastTrap} is not 0.
   */
  readSysreg(cpu: number, encoding: number, el?: number): number {
    return this.silicon.systemRegisters.read(this.accessing(cpu, el), encoding, el) >>> 0
  }

  /** MRS of all 64 bits. */
  readSysreg64(cpu: number, encoding: number, el?: number): bigint {
    const low = this.readSysreg(cpu, encoding, el)
    const high = this.state.words[this.peOf(cpu) + PCPU_DATA_HIGH] >>> 0
    return (BigInt(high) << 32n) | BigInt(low)
  }

  /** MSR of a value below 2^32, zero-extended. */
  writeSysreg(cpu: number, encoding: number, value: number, el?: number): void {
    this.silicon.systemRegisters.write(this.accessing(cpu, el), encoding, value | 0, 0, el)
  }

  /** MSR of all 64 bits. */
  writeSysreg64(cpu: number, encoding: number, value: bigint, el?: number): void {
    const [low, high] = [Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n))]
    this.silicon.systemRegisters.write(this.accessing(cpu, el), encoding, low, high, el)
  }

  /**
   * The syndrome (ESR_ELx value) of the last system register access, WFI or WFE: 0 if it went through. With EC
   * 0 it is UNDEFINED and taken by the level that made it, otherwise it traps to EL2. Rt is 0: OR `rt << 5` in.
   */
  get lastTrap(): number {
    return this.state.words[this.silicon.peOf(this.state.words[this.lastCpu]) + PCPU_TRAP] >>> 0
  }

  /** Whether the last access was UNDEFINED rather than trapped or done. */
  get lastWasUndefined(): boolean {
    return this.lastTrap !== 0 && ESR_EC(this.lastTrap) === 0
  }

  /**
   * A system register as a value that prints its fields, read without side effects: at EL2 for ICH_*, at EL1 for
   * the others. Throws an `argument` error for one that this library does not know or that cannot be read now.
   */
  inspect(cpu: number, encoding: number): RegisterValue {
    const register = registerByEncoding(encoding)
    const before = this.snapshot()
    const value = this.readSysreg64(cpu, encoding, register.name.endsWith('_EL2') ? 2 : 1)
    const trap = this.lastTrap
    this.restore(before)
    if (trap !== 0) {
      throw new VgicError(
        'argument',
        `${register.name} cannot be read now: the access would trap or is UNDEFINED.`,
      )
    }
    return new RegisterValue(register, Number(value & 0xffffffffn), Number(value >> 32n))
  }

  /**
   * The exception level a CPU is at, 0 to 2; it is 2 after reset. A lower level than before is an exception
   * return, which sets the event register.
   */
  setExceptionLevel(cpu: number, el: 0 | 1 | 2): void {
    this.silicon.pcpu.setExceptionLevel(this.peOf(cpu), argumentInteger('el', el, 0, 2))
  }

  /** PSTATE.I and PSTATE.F of a CPU: true masks IRQ or FIQ. Both are true after reset. */
  setMasks(cpu: number, irq: boolean, fiq: boolean): void {
    this.silicon.pcpu.setMasks(this.peOf(cpu), (irq ? DAIF_I : 0) | (fiq ? DAIF_F : 0))
  }

  /** WFI by a CPU. */
  wfi(cpu: number): WfxResult {
    return this.wfx(this.silicon.pcpu.wfi(this.accessing(cpu)))
  }

  /** WFE by a CPU. */
  wfe(cpu: number): WfxResult {
    return this.wfx(this.silicon.pcpu.wfe(this.accessing(cpu)))
  }

  /** SEV: sets the event register of every CPU. */
  sev(): void {
    for (let cpu = 0; cpu < this.config.cpus; cpu++) this.silicon.pcpu.sendEvent(this.silicon.peOf(cpu))
  }

  /** The virtual IRQ line of a CPU's virtual CPU interface. */
  virq(cpu: number): boolean {
    return this.silicon.virtualInterface.lines(this.peOf(cpu)) === 1
  }

  /** The virtual FIQ line of a CPU's virtual CPU interface. */
  vfiq(cpu: number): boolean {
    return this.silicon.virtualInterface.lines(this.peOf(cpu)) === 2
  }

  /** The maintenance interrupt of a CPU's virtual CPU interface: a level, by convention PPI 25. */
  maintenance(cpu: number): boolean {
    return this.silicon.virtualInterface.maintenanceLine(this.peOf(cpu))
  }

  private wfx(result: number): WfxResult {
    return wfxResults[result]
  }

  /** The record of a CPU that makes an access, whose syndrome {@link lastTrap} then is. */
  private accessing(cpu: number, el?: number): number {
    const pe = this.peOf(cpu)
    if (el !== undefined) argumentInteger('el', el, 0, 2)
    this.state.words[this.lastCpu] = cpu
    return pe
  }

  private peOf(cpu: number): number {
    return this.silicon.peOf(argumentInteger('cpu', cpu, 0, this.config.cpus - 1))
  }
}
