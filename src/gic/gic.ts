/**
 * The GIC as a device in an emulator. Its state is one buffer: a fresh GIC opens its reset image, and so does
 * every other GIC an image of its own.
 */

import { halves, joined } from '../arch/doubleword.ts'
import { FIRST_PPI, FIRST_SPI } from '../arch/intid.ts'
import { RegisterValue, registerByEncoding } from '../arch/register-value.ts'
import { ESR_EC } from '../arch/syndrome.ts'
import {
  argumentBigint,
  argumentEncoding,
  argumentInteger,
  argumentLevel,
  argumentNumber,
  argumentOneOf,
  argumentString,
  argumentWord,
  shown,
} from '../errors/arguments.ts'
import { counted, listed } from '../errors/printed.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { blankImage, checkLength, HEADER, type ImageBytes, openImage } from '../state/image.ts'
import { Layout, recordType } from '../state/layout.ts'
import { type Difference, MachineState } from '../state/machine-state.ts'
import type { MemoryPool } from '../state/memory-pool.ts'
import {
  type CheckedGicConfig,
  checkGicConfig,
  configRecords,
  type GicConfig,
  loadGicConfig,
  storeGicConfig,
} from './config/config.ts'
import type { BarrierRule } from './config/missing-barriers.ts'
import type { UnpredictableRule } from './config/unpredictable.ts'
import { argumentMasks, daifOf, type InterruptMasks } from './cpu-interface/interrupt-masks.ts'
import { PE_LINES } from './cpu-interface/lines.ts'
import {
  checkHost,
  type GicHost,
  MAINTENANCE_PPI,
  type OutputLine,
  outputLines,
} from './cpu-interface/output-lines.ts'
import { PCPU_TRAP } from './cpu-interface/pcpu.ts'
import { CpuState } from './cpu-state.ts'
import { completeEffect, pendingEffects } from './effects.ts'
import { explainMsi, type MsiExplanation } from './explain-msi.ts'
import { type ItsContents, inspectTables } from './its/inspect-tables.ts'
import type { Its } from './its/its.ts'
import type { Pe } from './records/pe.ts'
import { Silicon, type SiliconRecords, siliconRecords } from './silicon.ts'

/** What a WFI or WFE did: it completed at once, the PE waits, or it trapped to EL2 (see {@link Gic.lastTrap}). */
export type WfxResult = 'completes' | 'waits' | 'traps'
/** By WFX_ value. */
const wfxResults: readonly WfxResult[] = ['completes', 'waits', 'traps']

/** A GIC in a few words: what {@link Gic.toJSON} gives. */
export interface GicSummary {
  /** Of the configuration. */
  readonly version: '3' | '4.0' | '4.1'
  /** See `version`. */
  readonly cpus: number
  /** See `version`. */
  readonly spis: number
  /** See `version`. */
  readonly listRegisters: number
  /** The CPUs whose redistributors sleep and forward nothing to them (GICR_WAKER). */
  readonly asleep: readonly number[]
  /** By output, the CPUs at which it is high. */
  readonly high: Readonly<Partial<Record<OutputLine, readonly number[]>>>
}

/** What {@link Gic.line} takes: the outputs by bit, then what is none. */
const lineNames = [...outputLines, 'maintenance'] as const

/** What the device interface itself keeps: the CPU of the last access, for `lastTrap`. */
const DEVICE = recordType('device', [{ name: 'lastCpu', at: 0, class: 'observational' }])

/** Where the silicon lies in a buffer. */
function layoutOf(config: CheckedGicConfig): { layout: Layout; records: SiliconRecords; fixed: number } {
  const records = siliconRecords(config)
  const layout = new Layout([[HEADER, 1], ...configRecords(config), ...records.list, [DEVICE, 1]])
  return { layout, records, fixed: layout.baseOf(records.pe) }
}

/**
 * A GIC and the PEs it serves. Accesses never throw, whatever a guest does: addresses and encodings that
 * nothing answers give the architecture's answer. Numbers are unsigned. docs/embedding.md says who calls what, and when.
 *
 * @example A CPU that takes an interrupt.
 * ```js
 * import { Gic, ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1 } from 'vgic'
 *
 * const cpu = { irq: 0 } // its IRQ input
 * const gic = new Gic(
 *   { cpus: 1, spis: 32, gicd: 0x0800_0000, gicr: [{ base: 0x080a_0000, count: 1 }] },
 *   { setLine: (_cpu, line, level) => line === 'irq' && (cpu.irq = level) },
 * )
 *
 * // The guest's driver, at EL1.
 * gic.writeMmio(0x080a_0014, 4, 0) // GICR_WAKER: the CPU is awake
 * gic.writeMmio(0x0800_0000, 4, 2) // GICD_CTLR.EnableGrp1
 * gic.writeMmio(0x0800_0084, 4, 1 << 8) // GICD_IGROUPR1: SPI 40 is in group 1
 * gic.writeMmio(0x0800_0104, 4, 1 << 8) // GICD_ISENABLER1
 * gic.writeSysreg(0, ICC_PMR_EL1, 0xf0, 1)
 * gic.writeSysreg(0, ICC_IGRPEN1_EL1, 1, 1)
 *
 * gic.setSpi(40, 1) // a device raises its line
 * const raised = cpu.irq // the CPU takes an IRQ exception; its handler acknowledges
 * const intid = gic.readSysreg(0, ICC_IAR1_EL1, 1)
 * gic.setSpi(40, 0) // the device is served
 * gic.writeSysreg(0, ICC_EOIR1_EL1, intid, 1)
 * console.log(raised, intid, cpu.irq) // 1 40 0
 * ```
 */
export class Gic {
  /** The checked configuration. */
  readonly config: CheckedGicConfig
  private readonly state: MachineState
  private readonly silicon: Silicon
  private readonly lastCpu: number

  /**
   * A GIC in its reset state; `host` is what its outputs go to. Throws a `VgicError` with code `config` that names a
   * field out of its bounds, or `argument` for a host that is none.
   */
  constructor(config: GicConfig, host?: GicHost)
  /** @internal */
  constructor(config: GicConfig, host?: GicHost, image?: ArrayBuffer)
  constructor(config: GicConfig, host: GicHost = {}, image?: ArrayBuffer) {
    this.config = checkGicConfig(config)
    checkHost(host, this.config)
    const { layout, records, fixed } = layoutOf(this.config)
    const buffer = image ?? blankImage('device', layout)
    checkLength(buffer, layout)
    this.state = new MachineState('device', layout, buffer, fixed)
    this.silicon = new Silicon(this.state.words, this.config, records, layout, host)
    this.lastCpu = layout.baseOf(DEVICE)
    if (!image) {
      storeGicConfig(this.state.words, HEADER.size, this.config)
      this.silicon.reset()
    }
    this.derive(new Int32Array(this.config.cpus))
  }

  /**
   * A GIC from an image: what {@link snapshot} returned. The GIC works in the buffer that is passed, or in a copy if it
   * is passed as bytes (a `Uint8Array`), and tells the host of the outputs that are high.
   * Throws a `VgicError` whose code begins with `image-` if it is foreign, truncated or of another version.
   */
  static from(image: ImageBytes, host?: GicHost): Gic {
    return gicFrom(image, host)
  }

  /** A copy of the whole state. */
  snapshot(): ArrayBuffer {
    return this.state.snapshot()
  }

  /**
   * Goes back to a snapshot of this GIC or of one with the same configuration, and tells the host of the outputs that
   * differ from those before. Throws as {@link from} does.
   */
  restore(image: ImageBytes): void {
    const known = this.levels()
    this.state.restore(image)
    this.derive(known)
  }

  /** The levels of all outputs, by CPU. */
  private levels(): Int32Array {
    return Int32Array.from({ length: this.config.cpus }, (_, cpu) => this.outputs(cpu))
  }

  /** Recomputes what is derived; `known` are the levels of the outputs as the host knows them. */
  private derive(known: Int32Array): void {
    const { silicon, state } = this
    for (const [cpu, levels] of known.entries()) state.words[silicon.peOf(cpu) + PE_LINES] = levels
    silicon.derive()
  }

  /** A 53-bit hash of the state without counters and caches: equal states have equal hashes. */
  hash(): number {
    return this.state.hash()
  }

  /** What changed since a snapshot, a register field at a time. */
  diff(image: ImageBytes): Difference[] {
    return this.state.diff(image)
  }

  /** Whether an address lies in a frame of this GIC. */
  claims(address: number): boolean {
    return this.silicon.mmio.claims(argumentNumber('address', address))
  }

  /**
   * A read of 1, 2, 4 or 8 bytes at a physical address; 0 where nothing answers or the size does not exist. Of 8 bytes a
   * number holds what is below 2^53: use {@link readMmio64} for those.
   */
  readMmio(address: number, size: number): number {
    argumentNumber('address', address)
    argumentNumber('size', size)
    const { mmio } = this.silicon
    const low = mmio.read(address, size) >>> 0
    return size === 8 ? low + (mmio.readHigh(address) >>> 0) * 0x1_0000_0000 : low
  }

  /** A read of 8 bytes. */
  readMmio64(address: number): bigint {
    argumentNumber('address', address)
    const { mmio } = this.silicon
    const high = mmio.readHigh(address)
    return joined(mmio.read(address, 8), high)
  }

  /** A write of 1, 2, 4 or 8 bytes at a physical address; ignored where nothing answers. */
  writeMmio(address: number, size: number, value: number): void {
    argumentNumber('address', address)
    argumentNumber('size', size)
    argumentNumber('value', value)
    const high = size === 8 ? Math.floor(value / 0x1_0000_0000) : 0
    this.silicon.mmio.write(address, size, value, high)
    this.silicon.settle()
  }

  /** A write of 8 bytes. */
  writeMmio64(address: number, value: bigint): void {
    argumentNumber('address', address)
    argumentBigint('value', value)
    this.silicon.mmio.write(address, 8, ...halves(value))
    this.silicon.settle()
  }

  /** The name of the register at an address, such as `GICD_ISENABLER1`; undefined where there is none. */
  registerAt(address: number): string | undefined {
    return this.silicon.mmio.nameOf(argumentNumber('address', address))
  }

  /**
   * A device drives the input line of an SPI, 32 and up; 1 and true are high, 0 and false are low. Moving it to the level
   * that it has does nothing.
   */
  setSpi(intid: number, level: number | boolean): void {
    const { spis } = this.config
    if (spis === 0) throw new VgicError('argument', 'This GIC has no SPIs: raise spis in its configuration.')
    argumentInteger('intid', intid, FIRST_SPI, FIRST_SPI + spis - 1)
    this.silicon.driveSpi(intid, argumentLevel('level', level))
  }

  /** A timer or the like drives the input line of a PPI of a CPU, 16 to 31; not 25, which the GIC itself drives. */
  setPpi(cpu: number, intid: number, level: number | boolean): void {
    const pe = this.peOf(cpu)
    argumentInteger('intid', intid, FIRST_PPI, FIRST_SPI - 1)
    if (intid === MAINTENANCE_PPI) {
      throw new VgicError(
        'argument',
        'intid must not be 25: that is the maintenance interrupt, which the virtual CPU interface drives.',
      )
    }
    this.silicon.drivePpi(pe, intid, argumentLevel('level', level))
  }

  /**
   * A device sends a message-signalled interrupt: it writes `eventId` to GITS_TRANSLATER of an ITS, by its place in the
   * configuration. Both numbers have 32 bits. What becomes of it is software's doing: {@link explainMsi} says what.
   */
  sendMsi(deviceId: number, eventId: number, its = 0): void {
    const { silicon } = this
    argumentInteger('deviceId', deviceId, 0, 0xffff_ffff)
    argumentInteger('eventId', eventId, 0, 0xffff_ffff)
    this.itsOf(its).receive(deviceId | 0, eventId | 0)
    silicon.settle()
  }

  /**
   * Why a message does, or does not, raise the IRQ line of a CPU: the first condition that does not hold, from a closed
   * list, and all of them. Changes nothing. It reads the tables in memory as the ITS does.
   */
  explainMsi(deviceId: number, eventId: number, its = 0): MsiExplanation {
    argumentInteger('deviceId', deviceId, 0, 0xffff_ffff)
    argumentInteger('eventId', eventId, 0, 0xffff_ffff)
    return explainMsi(this.itsOf(its), this.silicon, deviceId, eventId)
  }

  /**
   * What software has put into the tables of every ITS, as plain data: devices with their events, and collections. At
   * most 2^20 entries of an ITS are looked at.
   */
  inspectTables(): ItsContents[] {
    return this.silicon.its.map(inspectTables)
  }

  private itsOf(its: number): Its {
    const { length } = this.silicon.its
    if (length > 0) return this.silicon.its[argumentInteger('its', its, 0, length - 1)]
    throw new VgicError('argument', 'This GIC has no ITS: give it one in its configuration, its: [{ base }].')
  }

  /**
   * A word of the memory that the GIC itself keeps, at a multiple of 4 below 2^52; unsigned. Throws an `argument` error
   * where `memoryLines` has given it none.
   */
  readMemory(address: number): number {
    return this.ownMemory(address).read32(address) >>> 0
  }

  /** Writes one. Throws a `memory` error if all lines are in use. */
  writeMemory(address: number, value: number): void {
    argumentWord('value', value, 'a word of memory has 32 bits.')
    if (this.ownMemory(address).write32(address, value | 0)) return
    throw new VgicError(
      'memory',
      `All ${this.config.memoryLines} lines of the GIC's memory are in use: give it more with memoryLines.`,
    )
  }

  private ownMemory(address: number): MemoryPool {
    const { pool } = this.silicon
    if (pool && Number.isInteger(address) && address % 4 === 0 && address >= 0 && address < 2 ** 52)
      return pool
    throw new VgicError(
      'argument',
      pool
        ? `address must be a multiple of 4 from 0 to 2^52, but is ${shown(address)}.`
        : 'This GIC has no memory of its own: access the memory that you gave it, or set memoryLines.',
    )
  }

  /**
   * The level of a line of a CPU: of an output as the host was told it, or of `maintenance`, the maintenance interrupt
   * of its virtual CPU interface, which is no output but the input of PPI 25.
   */
  line(cpu: number, line: OutputLine | 'maintenance'): 0 | 1 {
    const pe = this.peOf(cpu)
    if (argumentOneOf('line', line, lineNames) === 'maintenance') {
      return this.silicon.virtualInterface.maintenanceLine(pe) ? 1 : 0
    }
    return ((this.outputs(cpu) >> lineNames.indexOf(line)) & 1) as 0 | 1
  }

  private outputs(cpu: number): number {
    return this.state.words[this.silicon.peOf(cpu) + PE_LINES]
  }

  /** Whether an effect is still under way, with `writeEffects: 'lagging'`. */
  get writesPending(): boolean {
    return this.silicon.isWritePending
  }

  /**
   * Completes all effects that are under way: RWP falls, redistributors are asleep or awake as asked, messages are
   * translated, commands are carried out.
   */
  completeWrites(): void {
    this.silicon.completeWrites()
    this.silicon.settle()
  }

  /**
   * The effects that are under way and could be complete next, in any order, with `writeEffects: 'lagging'`:
   * - `GICD_CTLR.RWP`, `GICR_CTLR[cpu].RWP`, `GICR_WAKER[cpu]`: what was disabled is out of force; the handshake.
   * - `GICR_CTLR[cpu].EnableLPIs`: LPIs are enabled or disabled, and the pending table is read or written.
   * - `ITS[n] command`: the next command of a queue. It is not there while a SYNC waits for messages.
   * - `ITS[n] MSI device event`: a message that was accepted is translated.
   */
  effects(): string[] {
    return pendingEffects(this.silicon)
  }

  /** Completes one of the {@link effects}, by its name. Throws an `argument` error for one that is not under way. */
  complete(effect: string): void {
    if (!completeEffect(this.silicon, argumentString('effect', effect))) {
      throw new VgicError(
        'argument',
        `effect must be one of effects(), ${this.effects().join(', ') || 'of which there are none'}, but is ${shown(effect)}.`,
      )
    }
    this.silicon.settle()
  }

  /**
   * Which UNPREDICTABLE uses of GICv4 there were since reset, by the policy `unpredictable` but for `'ignore'`, with which
   * none is noted. It is of the state: {@link snapshot} has it, and states that differ in it have other hashes.
   */
  get unpredictable(): readonly UnpredictableRule[] {
    return this.silicon.vpes?.unpredictable.seen ?? []
  }

  /** Which rules of docs/gicv4-barriers.md a driver has broken since reset, with `barriers: 'report'`. It is of the state. */
  get missingBarriers(): readonly BarrierRule[] {
    return this.silicon.barriers?.seen ?? []
  }

  /**
   * MRS: bits 31:0 of a system register, read by a CPU at its current exception level or at `el`. 0 if the
   * access traps or is UNDEFINED: then {@link lastTrap} is not 0.
   */
  readSysreg(cpu: number, encoding: number, el?: number): number {
    argumentEncoding(encoding)
    const pe = this.accessing(cpu, el)
    const value = this.silicon.systemRegisters.read(pe, encoding, el) >>> 0
    this.settleAccess(cpu, pe)
    return value
  }

  /** MRS of all 64 bits. */
  readSysreg64(cpu: number, encoding: number, el?: number): bigint {
    argumentEncoding(encoding)
    const pe = this.accessing(cpu, el)
    const low = this.silicon.systemRegisters.read(pe, encoding, el)
    const high = this.silicon.systemRegisters.readHigh(pe, encoding)
    this.settleAccess(cpu, pe)
    return joined(low, high)
  }

  /** MSR of a value below 2^32, zero-extended; a wider one is refused, since its upper half would be lost. */
  writeSysreg(cpu: number, encoding: number, value: number, el?: number): void {
    argumentEncoding(encoding)
    argumentWord('value', value, 'writeSysreg64 writes all 64 bits, of a bigint')
    const pe = this.accessing(cpu, el)
    this.silicon.systemRegisters.write(pe, encoding, value | 0, 0, el)
    this.settleAccess(cpu, pe)
  }

  /** MSR of all 64 bits. */
  writeSysreg64(cpu: number, encoding: number, value: bigint, el?: number): void {
    argumentEncoding(encoding)
    argumentBigint('value', value)
    const pe = this.accessing(cpu, el)
    this.silicon.systemRegisters.write(pe, encoding, ...halves(value), el)
    this.settleAccess(cpu, pe)
  }

  /** Settles the outputs after a system register access, whose syndrome outlives what the host does in answer. */
  private settleAccess(cpu: number, pe: Pe): void {
    const { words } = this.state
    const trap = words[pe + PCPU_TRAP]
    this.silicon.lines.settlePe(pe)
    this.silicon.vpes?.unpredictable.deliver()
    words[pe + PCPU_TRAP] = trap
    words[this.lastCpu] = cpu
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
  inspectSysreg(cpu: number, encoding: number): RegisterValue {
    const register = registerByEncoding(encoding)
    const before = this.snapshot()
    const pe = this.peOf(cpu)
    const el = register.name.endsWith('_EL2') ? 2 : 1
    const low = this.silicon.systemRegisters.read(pe, encoding, el)
    const high = this.silicon.systemRegisters.readHigh(pe, encoding)
    const trap = this.state.words[pe + PCPU_TRAP]
    this.state.restore(before)
    if (trap !== 0) {
      throw new VgicError(
        'argument',
        `${register.name} cannot be read now: the access would trap or is UNDEFINED.`,
      )
    }
    return new RegisterValue(register, low, high)
  }

  /**
   * What a CPU is doing, and whether its redistributor sleeps and keeps all interrupts from it:
   * `console.log(gic.inspectCpu(0))`.
   */
  inspectCpu(cpu: number): CpuState {
    this.peOf(cpu)
    return new CpuState(this.silicon, cpu)
  }

  /**
   * The exception level a CPU is at, 0 to 2; it is 2 after reset. A lower level than before is an exception
   * return, which sets the event register.
   */
  setExceptionLevel(cpu: number, el: 0 | 1 | 2): void {
    const { pcpu, barriers } = this.silicon
    pcpu.setExceptionLevel(this.peOf(cpu), argumentInteger('el', el, 0, 2))
    if (!barriers || el === 2) return
    barriers.enterGuest(cpu)
    barriers.deliver()
  }

  /** Sets or clears PSTATE.I and F of a CPU, which are both set after reset: `setMasks(0, { irq: false })`. */
  setMasks(cpu: number, masks: InterruptMasks): void {
    const { pcpu } = this.silicon
    const pe = this.peOf(cpu)
    pcpu.setMasks(pe, daifOf(argumentMasks(masks), pcpu.masks(pe)))
  }

  /** WFI by a CPU. */
  wfi(cpu: number): WfxResult {
    return this.wfx(this.silicon.pcpu.wfi(this.accessing(cpu)))
  }

  /** WFE by a CPU. */
  wfe(cpu: number): WfxResult {
    return this.wfx(this.silicon.pcpu.wfe(this.accessing(cpu)))
  }

  /**
   * Whether a CPU that waits in WFI or WFE goes on, and does: an interrupt is there, for a WFE one that PSTATE does not
   * mask, or an event. Ask when an output of the CPU rises, and after {@link sev}. True for a CPU that does not wait.
   */
  wake(cpu: number): boolean {
    return this.silicon.pcpu.wake(this.peOf(cpu))
  }

  /** SEV: sets the event register of every CPU. */
  sev(): void {
    for (let cpu = 0; cpu < this.config.cpus; cpu++) this.silicon.pcpu.sendEvent(this.silicon.peOf(cpu))
  }

  /** What it is and which of its CPUs sleep or have an output high, as plain data; {@link snapshot} has the state. */
  toJSON(): GicSummary {
    const { version, cpus, spis, listRegisters } = this.config
    const states = Array.from({ length: cpus }, (_, cpu) => this.inspectCpu(cpu))
    const cpusThat = (holds: (state: CpuState) => boolean) => states.filter(holds).map(({ cpu }) => cpu)
    const high = outputLines.map((line) => [line, cpusThat(({ outputs }) => outputs.includes(line))] as const)
    return {
      version,
      cpus,
      spis,
      listRegisters,
      asleep: cpusThat(({ asleep }) => asleep),
      high: Object.fromEntries(high.filter(([, cpus]) => cpus.length > 0)),
    }
  }

  /** `Gic (version 3, 2 CPUs, 32 SPIs): asleep: cpu0; irq: cpu1`. */
  toString(): string {
    const { version, cpus, spis, asleep, high } = this.toJSON()
    const parts = Object.entries({ asleep, ...high }).flatMap(([what, numbers]) =>
      numbers.length === 0 ? [] : [`${what}: ${listed(numbers, (cpu) => `cpu${cpu}`)}`],
    )
    const what = `Gic (version ${version}, ${counted(cpus, 'CPU')}, ${counted(spis, 'SPI')})`
    return parts.length === 0 ? what : `${what}: ${parts.join('; ')}`
  }

  /** So that failed expectations print the line and no keys. */
  get [Symbol.toStringTag](): string {
    return 'Gic'
  }

  /** What Node's util.inspect prints. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }

  private wfx(result: number): WfxResult {
    return wfxResults[result]
  }

  /** The record of a CPU that makes an access, whose syndrome {@link lastTrap} then is. */
  private accessing(cpu: number, el?: number): Pe {
    const pe = this.peOf(cpu)
    if (el !== undefined) argumentInteger('el', el, 0, 2)
    this.state.words[this.lastCpu] = cpu
    return pe
  }

  private peOf(cpu: number): Pe {
    return this.silicon.peOf(argumentInteger('cpu', cpu, 0, this.config.cpus - 1))
  }
}

/**
 * {@link Gic.from}. A class whose body names the class gets another name from the bundler, which every error message and
 * every print of an instance would show.
 */
function gicFrom(image: ImageBytes, host?: GicHost): Gic {
  const words = openImage('device', image)
  return new Gic(loadGicConfig(words, HEADER.size), host, words.buffer)
}
