/**
 * The GIC as a device of an emulator. Its state is one buffer; a new GIC opens its reset image as any other GIC opens
 * a snapshot.
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
import { VgicError } from '../errors/vgic-error.ts'
import { blankImage, checkLength, HEADER, type ImageBytes, openImage } from '../state/image.ts'
import { Layout, recordType } from '../state/layout.ts'
import { type Difference, MachineState } from '../state/machine-state.ts'
import type { MemoryPool } from '../state/memory-pool.ts'
import { type Rows, wordsOf } from '../state/rows.ts'
import { type AccessWatch, accessWatch } from './access-watch.ts'
import { type CheckedGicConfig, checkGicConfig, type GicConfig } from './config/config.ts'
import type { BarrierRule } from './config/missing-barriers.ts'
import { configRecords, loadGicConfig, storeGicConfig } from './config/stored-config.ts'
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
import { dump, type GicDump } from './dump.ts'
import { completeEffect, pendingEffects } from './effects.ts'
import { explainInterrupt, type InterruptExplanation } from './explain-interrupt.ts'
import { explainMsi, type MsiExplanation } from './explain-msi.ts'
import { type GicSummary, printedSummary, summaryOf } from './gic-summary.ts'
import { type InterruptState, interruptState } from './interrupt-state.ts'
import { type ItsContents, inspectTables } from './its/inspect-tables.ts'
import type { Its } from './its/its.ts'
import type { Pe } from './records/pe.ts'
import { Silicon, type SiliconRecords, siliconRecords } from './silicon.ts'

/**
 * The result of a WFI or WFE: it completed at once, the PE waits, or it trapped to EL2 (see {@link Gic.lastTrap}).
 */
export type WfxResult = 'completes' | 'waits' | 'traps'
/** The results by WFX_ value. */
const wfxResults: readonly WfxResult[] = ['completes', 'waits', 'traps']

/** The lines that {@link Gic.line} takes: the outputs by bit, then one that is not an output. */
const lineNames = [...outputLines, 'maintenance'] as const

/** The record of the device interface: the CPU of the last access, for `lastTrap`. */
const deviceRows = {
  LAST_CPU: { name: 'lastCpu', class: 'observational', by: [], says: 'The CPU that was accessed last.' },
} as const satisfies Rows
const DEVICE = recordType('device', wordsOf(deviceRows, undefined))

/** The layout of a GIC's buffer. */
function layoutOf(config: CheckedGicConfig): { layout: Layout; records: SiliconRecords; fixed: number } {
  const records = siliconRecords(config)
  const layout = new Layout([[HEADER, 1], ...configRecords(config), ...records.list, [DEVICE, 1]])
  return { layout, records, fixed: layout.baseOf(records.pe) }
}

/**
 * A GIC and the PEs it serves. Accesses never throw, whatever a guest does: an access to an address or encoding
 * without a register does what the architecture says. Numbers are unsigned. docs/embedding.md says who calls what,
 * and when.
 *
 * @example A CPU that takes an interrupt.
 * ```js
 * import { Gic, ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1 } from 'vgic'
 * const cpu = { irq: 0 } // its IRQ input
 * const gic = new Gic(
 *   { cpus: 1, spis: 32, gicd: 0x0800_0000, gicr: [{ base: 0x080a_0000, count: 1 }] },
 *   { setLine: (_cpu, line, level) => line === 'irq' && (cpu.irq = level) },
 * )
 * // The guest's driver, at EL1.
 * gic.writeMmio(0x080a_0014, 4, 0) // GICR_WAKER: the CPU is awake
 * gic.writeMmio(0x0800_0000, 4, 2) // GICD_CTLR.EnableGrp1
 * gic.writeMmio(0x0800_0084, 4, 1 << 8) // GICD_IGROUPR1: SPI 40 is in group 1
 * gic.writeMmio(0x0800_0104, 4, 1 << 8) // GICD_ISENABLER1
 * gic.writeSysreg(0, ICC_PMR_EL1, 0xf0, 1)
 * gic.writeSysreg(0, ICC_IGRPEN1_EL1, 1, 1)
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
  private readonly watch: AccessWatch | null

  /**
   * A GIC in its reset state; `host` receives its outputs. Throws a `VgicError` with code `config` that names a field
   * that is out of range, or `argument` for a value that is not a host.
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
    this.watch = accessWatch(this.silicon.mmio, host)
    if (!image) {
      storeGicConfig(this.state.words, HEADER.size, this.config)
      this.silicon.reset()
    }
    this.derive(new Int32Array(this.config.cpus))
  }

  /**
   * A GIC from an image that {@link snapshot} returned. The GIC uses the buffer that is passed as its state, or a
   * copy if a view (a `Uint8Array`) is passed, and calls the host with the outputs that are high. Throws a
   * `VgicError` with an `image-` code if the image is foreign, truncated or of another version.
   */
  static from(image: ImageBytes, host?: GicHost): Gic {
    return gicFrom(image, host)
  }

  /** A copy of the whole state; {@link restore} and {@link from} take it. */
  snapshot(): ArrayBuffer {
    return this.state.snapshot()
  }

  /**
   * Restores a snapshot of this GIC, or of one with the same configuration, and calls the host with the outputs that
   * change by that. Throws as {@link from} does.
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

  /** Recomputes derived words; `known` has the output levels that the host was last told. */
  private derive(known: Int32Array): void {
    const { silicon, state } = this
    state.clearDerived()
    for (const [cpu, levels] of known.entries()) state.words[silicon.peOf(cpu) + PE_LINES] = levels
    silicon.derive()
  }

  /** A 53-bit hash of the state without counters and caches: equal states have equal hashes. */
  hash(): number {
    return this.state.hash()
  }

  /** What has changed since a snapshot, an entry for each register field. */
  diff(image: ImageBytes): Difference[] {
    return this.state.diff(image)
  }

  /** Whether an address lies in a frame of this GIC. */
  claims(address: number): boolean {
    return this.silicon.mmio.claims(argumentNumber('address', address))
  }

  /**
   * A read of 1, 2, 4 or 8 bytes at a physical address; 0 if there is no register, or the size is not allowed. A
   * number is exact only below 2^53: use {@link readMmio64} for 8 bytes.
   */
  readMmio(address: number, size: number): number {
    argumentNumber('address', address)
    argumentNumber('size', size)
    const { mmio } = this.silicon
    const low = mmio.read(address, size) >>> 0
    if (this.watch !== null) this.watch.mmioAccess('read', address, size, low, mmio.readHigh(address))
    return size === 8 ? low + (mmio.readHigh(address) >>> 0) * 0x1_0000_0000 : low
  }

  /** A read of 8 bytes at a physical address, as {@link readMmio}. */
  readMmio64(address: number): bigint {
    argumentNumber('address', address)
    const { mmio } = this.silicon
    const high = mmio.readHigh(address)
    const low = mmio.read(address, 8)
    if (this.watch !== null) this.watch.mmioAccess('read', address, 8, low, high)
    return joined(low, high)
  }

  /**
   * A write of 1, 2, 4 or 8 bytes at a physical address; ignored if there is no register, or the size is not allowed.
   */
  writeMmio(address: number, size: number, value: number): void {
    argumentNumber('address', address)
    argumentNumber('size', size)
    argumentNumber('value', value)
    const high = size === 8 ? Math.floor(value / 0x1_0000_0000) : 0
    this.silicon.mmio.write(address, size, value, high)
    this.silicon.settle()
    if (this.watch !== null) this.watch.mmioAccess('write', address, size, value | 0, high | 0)
  }

  /** A write of 8 bytes at a physical address, as {@link writeMmio}. */
  writeMmio64(address: number, value: bigint): void {
    argumentNumber('address', address)
    argumentBigint('value', value)
    this.silicon.mmio.write(address, 8, ...halves(value))
    this.silicon.settle()
    if (this.watch !== null) this.watch.mmioAccess('write', address, 8, ...halves(value))
  }

  /** The name of the register at an address, such as `GICD_ISENABLER1`; undefined if there is none. */
  registerAt(address: number): string | undefined {
    return this.silicon.mmio.nameOf(argumentNumber('address', address))
  }

  /**
   * Sets the input line of an SPI, INTID 32 and up, as a device does; 1 and true are high, 0 and false are low.
   * Setting it to the level that it has does nothing. Throws an `argument` error for an SPI that does not exist.
   */
  setSpi(intid: number, level: number | boolean): void {
    const { spis } = this.config
    if (spis === 0) throw new VgicError('argument', 'This GIC has no SPIs: raise spis in its configuration.')
    argumentInteger('intid', intid, FIRST_SPI, FIRST_SPI + spis - 1)
    this.silicon.driveSpi(intid, argumentLevel('level', level))
  }

  /** Sets the input line of a CPU's PPI, INTID 16 to 31, as a timer does; not 25, which the GIC drives itself. */
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
   * Sends a message-signalled interrupt, as a device does: writes `eventId` to GITS_TRANSLATER of an ITS, which is
   * given by its index in the configuration. Both IDs have 32 bits. {@link explainMsi} says what becomes of a
   * message.
   */
  sendMsi(deviceId: number, eventId: number, its = 0): void {
    const { silicon } = this
    argumentInteger('deviceId', deviceId, 0, 0xffff_ffff)
    argumentInteger('eventId', eventId, 0, 0xffff_ffff)
    this.itsOf(its).receive(deviceId | 0, eventId | 0)
    silicon.settle()
  }

  /**
   * Explains why a message does, or does not, raise the IRQ line of a CPU: all conditions, and the first that does
   * not hold as the reason, from a closed list. The state does not change. The tables are read from memory as the ITS
   * reads them.
   */
  explainMsi(deviceId: number, eventId: number, its = 0): MsiExplanation {
    argumentInteger('deviceId', deviceId, 0, 0xffff_ffff)
    argumentInteger('eventId', eventId, 0, 0xffff_ffff)
    return explainMsi(this.itsOf(its), this.silicon, deviceId, eventId)
  }

  /**
   * The contents of every ITS's tables as plain data: devices with their events, collections, and vPEs. At most 2^20
   * entries of an ITS are read.
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
   * Reads a word of the GIC's own memory, at a multiple of 4 below 2^52; unsigned. Throws an `argument` error if the
   * configuration's `memoryLines` is 0.
   */
  readMemory(address: number): number {
    return this.ownMemory(address).read32(address) >>> 0
  }

  /**
   * Writes a word of the GIC's own memory, as {@link readMemory} reads it. Throws a `memory` error if all lines are
   * in use.
   */
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
   * The level of a line of a CPU: an output, as the host was last told, or `maintenance`, the maintenance interrupt
   * of its virtual CPU interface, which is not an output but the input of PPI 25.
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

  /** Whether there are any {@link effects}, with `writeEffects` or `maintenanceInterrupt: 'lagging'`. */
  get writesPending(): boolean {
    return this.silicon.isWritePending
  }

  /**
   * Completes all pending effects: RWP reads as zero, GICR_WAKER.ChildrenAsleep follows, messages are translated,
   * commands are executed.
   */
  completeWrites(): void {
    this.silicon.completeWrites()
    this.silicon.settle()
  }

  /**
   * The pending effects that may complete next, in any order, with `maintenanceInterrupt: 'lagging'`:
   * - `maintenance interrupt[cpu]`: it is asserted, and rises.
   *
   * And with `writeEffects: 'lagging'`:
   * - `GICD_CTLR.RWP`, `GICR_CTLR[cpu].RWP`: the disabling of groups or interrupts. `GICR_WAKER[cpu]`: the handshake.
   * - `GICR_CTLR[cpu].EnableLPIs`: LPIs are enabled or disabled, and the pending table is read or written.
   * - `ITS[n] command`: the next command of a queue. It is not there while a SYNC waits for messages.
   * - `ITS[n] MSI device event`: a message that was accepted is translated.
   * - `GICR_VPENDBASER[cpu].Dirty`: a vPE becomes resident, or leaves.
   * - `GICR_VSGIPENDR[cpu].Busy`: a query of GICR_VSGIR is answered.
   * - `doorbell intid at cpu`: a doorbell that has rung becomes pending.
   */
  effects(): string[] {
    return pendingEffects(this.silicon)
  }

  /**
   * Completes one of the {@link effects}, by its name. Throws an `argument` error for a name that is not among them.
   */
  complete(effect: string): void {
    if (!completeEffect(this.silicon, argumentString('effect', effect))) {
      throw new VgicError(
        'argument',
        `effect must be one of effects(), ${this.effects().join(', ') || 'an empty list'}, but is ${shown(effect)}.`,
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
    if (this.watch !== null) this.tell(this.watch, 'read', cpu, encoding, BigInt(value))
    return value
  }

  /** MRS of all 64 bits. */
  readSysreg64(cpu: number, encoding: number, el?: number): bigint {
    argumentEncoding(encoding)
    const pe = this.accessing(cpu, el)
    const low = this.silicon.systemRegisters.read(pe, encoding, el)
    const high = this.silicon.systemRegisters.readHigh(pe, encoding)
    this.settleAccess(cpu, pe)
    if (this.watch !== null) this.tell(this.watch, 'read', cpu, encoding, joined(low, high))
    return joined(low, high)
  }

  /** MSR of a value below 2^32, zero-extended; a wider one is refused, since its upper half would be lost. */
  writeSysreg(cpu: number, encoding: number, value: number, el?: number): void {
    argumentEncoding(encoding)
    argumentWord('value', value, 'writeSysreg64 writes all 64 bits, of a bigint')
    const pe = this.accessing(cpu, el)
    this.silicon.systemRegisters.write(pe, encoding, value | 0, 0, el)
    this.settleAccess(cpu, pe)
    if (this.watch !== null) this.tell(this.watch, 'write', cpu, encoding, joined(value, 0))
  }

  /** MSR of all 64 bits. */
  writeSysreg64(cpu: number, encoding: number, value: bigint, el?: number): void {
    argumentEncoding(encoding)
    argumentBigint('value', value)
    const pe = this.accessing(cpu, el)
    this.silicon.systemRegisters.write(pe, encoding, ...halves(value), el)
    this.settleAccess(cpu, pe)
    if (this.watch !== null) this.tell(this.watch, 'write', cpu, encoding, value)
  }

  /** Tells the host of an access to a system register. What it traps to is kept, should the host make others. */
  private tell(
    watch: AccessWatch,
    access: 'read' | 'write',
    cpu: number,
    encoding: number,
    value: bigint,
  ): void {
    const { words } = this.state
    const at = this.silicon.peOf(cpu) + PCPU_TRAP
    const trap = words[at]
    watch.sysregAccess(access, cpu, encoding, value, trap >>> 0)
    words[at] = trap
    words[this.lastCpu] = cpu
  }

  /**
   * Settles the outputs after a system register access. Its syndrome is kept across accesses that the host makes when
   * it is called.
   */
  private settleAccess(cpu: number, pe: Pe): void {
    const { words } = this.state
    const trap = words[pe + PCPU_TRAP]
    this.silicon.lines.settlePe(pe)
    this.silicon.vpes?.unpredictable.deliver()
    words[pe + PCPU_TRAP] = trap
    words[this.lastCpu] = cpu
  }

  /**
   * The syndrome (ESR_ELx value) of the last system register access, WFI or WFE; 0 if it succeeded. With EC 0 the
   * instruction is UNDEFINED, and the exception is taken at the level that executed it; otherwise it traps to EL2. Rt
   * is 0: OR `rt << 5` in.
   */
  get lastTrap(): number {
    return this.state.words[this.silicon.peOf(this.state.words[this.lastCpu]) + PCPU_TRAP] >>> 0
  }

  /** Whether the last access was UNDEFINED, rather than trapped or completed. */
  get lastWasUndefined(): boolean {
    return this.lastTrap !== 0 && ESR_EC(this.lastTrap) === 0
  }

  /**
   * A system register's value, which prints its fields, read without side effects: at EL2 for ICH_*, at EL1 for the
   * others. Throws an `argument` error for a register that this library does not know, or that cannot be read now.
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
   * The state of a CPU, and whether its redistributor sleeps, so that no interrupt is forwarded to it:
   * `console.log(gic.inspectCpu(0))`.
   */
  inspectCpu(cpu: number): CpuState {
    this.peOf(cpu)
    return new CpuState(this.silicon, cpu)
  }

  /**
   * The state of an SGI, PPI, SPI or LPI as plain data: `gic.interrupt(40).pending`. `cpu` defaults to the one that it goes
   * to, and to CPU 0 for an SGI or a PPI. Throws an `argument` error for an INTID that this GIC does not have.
   */
  interrupt(intid: number, cpu?: number): InterruptState {
    if (cpu !== undefined) this.peOf(cpu)
    return interruptState(this.silicon, argumentInteger('intid', intid, 0, 0xff_ffff), cpu)
  }

  /**
   * Explains why a CPU does, or does not, get an interrupt: all conditions from its enable bit to PSTATE, and the first
   * that does not hold as the reason, from a closed list. `cpu` defaults as for {@link interrupt}; an INTID that this GIC
   * does not have is explained too. The state does not change. {@link explainMsi} begins at the ITS. It prints as a
   * table: `console.log(gic.explain(40))`.
   */
  explain(intid: number, cpu?: number): InterruptExplanation {
    if (cpu !== undefined) this.peOf(cpu)
    return explainInterrupt(this.silicon, argumentInteger('intid', intid, 0, 0xff_ffff), cpu)
  }

  /**
   * The whole device as plain data: registers in hexadecimal by name, interrupts that are enabled, pending, active or have
   * their line high, tables of ITSs, effects under way. It is for people; {@link snapshot} is for programs.
   */
  dump(): GicDump {
    return dump(this.silicon)
  }

  /**
   * Sets the exception level of a CPU, 0 to 2; it is 2 after reset. A change to a lower level is an exception return,
   * which sets the event register.
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

  /** Executes WFI on a CPU. */
  wfi(cpu: number): WfxResult {
    return this.wfx(this.silicon.pcpu.wfi(this.accessing(cpu)))
  }

  /** Executes WFE on a CPU. */
  wfe(cpu: number): WfxResult {
    return this.wfx(this.silicon.pcpu.wfe(this.accessing(cpu)))
  }

  /**
   * Ends the wait of a CPU in WFI or WFE if it has a wake-up event: an interrupt, which for WFE must not be masked by
   * PSTATE, or an event for WFE. Returns whether the CPU runs; true for one that did not wait. Call it when an output
   * of the CPU rises, and after {@link sev}.
   */
  wake(cpu: number): boolean {
    return this.silicon.pcpu.wake(this.peOf(cpu))
  }

  /** SEV: sets the event register of every CPU. */
  sev(): void {
    for (let cpu = 0; cpu < this.config.cpus; cpu++) this.silicon.pcpu.sendEvent(this.silicon.peOf(cpu))
  }

  /**
   * A summary as plain data: the configuration, and the CPUs that sleep or have an output high. {@link snapshot} has
   * the whole state.
   */
  toJSON(): GicSummary {
    return summaryOf(this.silicon)
  }

  /** `Gic (version 3, 2 CPUs, 32 SPIs): asleep: cpu0; irq: cpu1`. */
  toString(): string {
    return printedSummary(this.toJSON())
  }

  /** Makes failed expectations of test runners print the line instead of the object's keys. */
  get [Symbol.toStringTag](): string {
    return 'Gic'
  }

  /** The line, for Node's util.inspect. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }

  private wfx(result: number): WfxResult {
    return wfxResults[result]
  }

  /** The record of a CPU that makes an access; {@link lastTrap} is then of this CPU. */
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
 * Implements {@link Gic.from}. esbuild renames a class that refers to itself in its body, and error messages and
 * prints would show the new name.
 */
function gicFrom(image: ImageBytes, host?: GicHost): Gic {
  const words = openImage('device', image)
  return new Gic(loadGicConfig(words, HEADER.size), host, words.buffer)
}
