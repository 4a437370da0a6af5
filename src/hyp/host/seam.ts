/**
 * The seam is the interface through which the hypervisor's software accesses the silicon while its VM runs: system
 * registers of the PE that it runs on, and MMIO registers of the GIC. Every access is counted in the cost row of the
 * vCPU that it is made for, and reported to an observer if there is one.
 *
 * Not through the seam go wires (the lines of devices and timers, a PE's IRQ and FIQ), the PE's own state (exception
 * level, PSTATE, HCR_EL2, WFI), a guest's own accesses, and the host's at boot (host-gic.ts), when there is no vCPU
 * to count for.
 */
import { ICC_DIR_EL1, ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_SGI1R_EL1 } from '../../arch/icc-registers.ts'
import {
  ICH_AP0R0_EL2,
  ICH_AP1R0_EL2,
  ICH_ELRSR_EL2,
  ICH_HCR_EL2,
  ICH_MISR_EL2,
  ICH_VMCR_EL2,
  ICH_VTR_EL2,
  ichLr,
  VTR_PREbits,
} from '../../arch/ich-registers.ts'
import type { Intid } from '../../arch/intid.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { clearHcr, type Ich, lrAt, lrHigh, lrLow, setLrStatus, vmcrOf } from '../../gic/cpu-interface/ich.ts'
import { LINE_IRQ, PE_LINES } from '../../gic/cpu-interface/lines.ts'
import type { VirtualInterface } from '../../gic/cpu-interface/virtual-interface.ts'
import { HPPI_INTID } from '../../gic/distributor/hppi.ts'
import { sgiHigh, sgiLow } from '../../gic/distributor/sgi.ts'
import { HIGHEST_PENDING, type Pe, PHYSICAL_INTERFACE } from '../../gic/records/pe.ts'
import type { Silicon } from '../../gic/silicon.ts'
import {
  COST_DIRTY_POLLS,
  COST_ITS_COMMANDS,
  COST_MMIO_READS,
  COST_MMIO_WRITES,
  COST_SYSREG_READS,
  COST_SYSREG_WRITES,
  COST_TABLE_ACCESSES,
} from '../records/cost-row.ts'
import { VCPU_AP0R, VCPU_AP1R, VCPU_COST, VCPU_VMCR, type Vcpu } from '../records/vcpu.ts'

/**
 * What an access is to: a system register, a frame's register by MMIO, or a word of a table in the host's memory. `its` is
 * a command that the host's ITS gets by its queue.
 */
export type AccessKind = 'sysreg' | 'mmio' | 'table' | 'its'

/**
 * Called with each access: the register's encoding or address, and the value's halves. Of a command the register is the
 * opcode, and `low` the word at which its eight words are.
 */
export type SeamObserver = (
  kind: AccessKind,
  isRead: boolean,
  register: number,
  low: number,
  high: number,
) => void

/** The distance in bytes from ISPENDR to ISACTIVER, and from ICPENDR to ICACTIVER. */
const PENDR_BEFORE_ACTIVER = 0x100

/**
 * Registers that software accesses one after another, list registers and active priorities, have one method here,
 * which loops and counts.
 */
export class Seam {
  /** Called with every access; null for none. */
  observer: SeamObserver | null = null
  readonly ich: Ich
  readonly virtualInterface: VirtualInterface
  /** Active priorities registers of both groups together, by ICH_VTR_EL2. */
  private readonly activePriorities: number

  constructor(
    readonly words: Int32Array,
    readonly silicon: Silicon,
  ) {
    this.ich = silicon.ich
    this.virtualInterface = silicon.virtualInterface
    this.activePriorities = 2 << (VTR_PREbits(silicon.ich.vtr) - 4)
  }

  readHcr(v: Vcpu, pe: Pe): number {
    const value = this.ich.readHcr(pe)
    this.count(v, COST_SYSREG_READS, 1)
    if (this.observer !== null) this.observer('sysreg', true, ICH_HCR_EL2, value, 0)
    return value
  }

  writeHcr(words: Int32Array, v: Vcpu, pe: Pe, value: number): void {
    this.ich.writeHcr(words, pe, value)
    const row = words[v + VCPU_COST]
    words[row + COST_SYSREG_WRITES]++
    if (this.observer !== null) this.observer('sysreg', false, ICH_HCR_EL2, value, 0)
  }

  readVmcr(words: Int32Array, v: Vcpu, pe: Pe): number {
    const value = vmcrOf(words, pe)
    const row = words[v + VCPU_COST]
    words[row + COST_SYSREG_READS]++
    if (this.observer !== null) this.tellVmcr(this.observer, value)
    return value
  }

  /** Reads ICH_MISR_EL2, for nothing but its cost. */
  readMisr(v: Vcpu, pe: Pe): void {
    this.count(v, COST_SYSREG_READS, 1)
    if (this.observer !== null) this.observer('sysreg', true, ICH_MISR_EL2, this.virtualInterface.misr(pe), 0)
  }

  /** `readVmcr` `again` + 1 times, `writeHcr` with 0 and `readMisr`; returns what the first does. */
  disable(words: Int32Array, v: Vcpu, pe: Pe, again: number): number {
    const vmcr = vmcrOf(words, pe)
    clearHcr(words, pe)
    const row = words[v + VCPU_COST]
    words[row + COST_SYSREG_READS] += again + 2
    words[row + COST_SYSREG_WRITES]++
    if (this.observer !== null) this.tellDisabled(this.observer, pe, again)
    return vmcr
  }

  writeVmcr(v: Vcpu, pe: Pe, value: number): void {
    this.ich.writeVmcr(this.words, pe, value)
    this.count(v, COST_SYSREG_WRITES, 1)
    if (this.observer !== null) this.observer('sysreg', false, ICH_VMCR_EL2, value, 0)
  }

  readElrsr(v: Vcpu, pe: Pe): number {
    const value = this.virtualInterface.elrsr(pe)
    this.count(v, COST_SYSREG_READS, 1)
    if (this.observer !== null) this.observer('sysreg', true, ICH_ELRSR_EL2, value, 0)
    return value
  }

  /**
   * Reads ICH_VMCR_EL2, ICH_VTR_EL2 for how many active priorities registers a group has, and these, into the vCPU's shadow
   * registers.
   */
  readInterface(words: Int32Array, v: Vcpu, pe: Pe): void {
    const { ich } = this
    words[v + VCPU_VMCR] = vmcrOf(words, pe)
    ich.readAprs(words, pe, v + VCPU_AP0R, v + VCPU_AP1R)
    const row = words[v + VCPU_COST]
    words[row + COST_SYSREG_READS] += 2 + this.activePriorities
    if (this.observer !== null) this.tellInterface(this.observer, true, v)
  }

  /**
   * Reads ICH_VTR_EL2 for how many active priorities registers a group has, and these into the words at `ap0r` and
   * `ap1r`.
   */
  readActivePriorities(v: Vcpu, pe: Pe, ap0r: number, ap1r: number): void {
    this.ich.readAprs(this.words, pe, ap0r, ap1r)
    this.count(v, COST_SYSREG_READS, 1 + this.activePriorities)
    if (this.observer !== null) this.tellActivePriorities(this.observer, true, ap0r, ap1r)
  }

  /** Writes ICH_VMCR_EL2, reads ICH_VTR_EL2, and writes the active priorities registers, from the same words. */
  writeInterface(words: Int32Array, v: Vcpu, pe: Pe): void {
    const { ich } = this
    ich.writeVmcr(words, pe, words[v + VCPU_VMCR])
    ich.writeAprs(words, pe, v + VCPU_AP0R, v + VCPU_AP1R)
    const row = words[v + VCPU_COST]
    words[row + COST_SYSREG_READS]++
    words[row + COST_SYSREG_WRITES] += 1 + this.activePriorities
    if (this.observer !== null) this.tellInterface(this.observer, false, v)
  }

  /** `writeInterface` and `writeHcr`. */
  writeInterfaceAndHcr(words: Int32Array, v: Vcpu, pe: Pe, hcr: number): void {
    const { ich } = this
    ich.writeVmcr(words, pe, words[v + VCPU_VMCR])
    ich.writeAprs(words, pe, v + VCPU_AP0R, v + VCPU_AP1R)
    ich.writeHcr(words, pe, hcr)
    const row = words[v + VCPU_COST]
    words[row + COST_SYSREG_READS]++
    words[row + COST_SYSREG_WRITES] += 2 + this.activePriorities
    if (this.observer !== null) this.tellInterfaceAndHcr(this.observer, v, hcr)
  }

  /** Writes ICH_HCR_EL2 and list register 0. */
  fillOnly(words: Int32Array, v: Vcpu, pe: Pe, hcr: number, low: number, high: number): void {
    this.ich.fillOnly(words, pe, hcr, low, high)
    const row = words[v + VCPU_COST]
    words[row + COST_SYSREG_WRITES] += 2
    if (this.observer !== null) this.tellFilled(this.observer, pe, hcr, 1)
  }

  /**
   * Reads ICH_ELRSR_EL2, writes ICH_HCR_EL2, reads list register 0 unless it is empty, and clears it. Returns its
   * upper word, of which an empty one has no state.
   */
  foldOnly(words: Int32Array, v: Vcpu, pe: Pe, hcr: number): number {
    if (this.observer !== null) this.tellFoldOnly(this.observer, pe, hcr)
    const high = lrHigh(words, pe)
    const inUse = this.ich.clearOnly(words, pe, hcr)
    const row = words[v + VCPU_COST]
    words[row + COST_SYSREG_READS] += 1 + inUse
    words[row + COST_SYSREG_WRITES] += 2
    return high
  }

  /**
   * `readElrsr`, `takeLrs` for list register 0, and `disable`, whose result becomes the word at `vmcr`. Returns what
   * `foldOnly` does.
   */
  takeOnly(words: Int32Array, v: Vcpu, pe: Pe, vmcr: number): number {
    if (this.observer !== null) this.tellTakenLrs(this.observer, pe, 1, this.elrsr(pe))
    const high = lrHigh(words, pe)
    const inUse = this.ich.clearOnly(words, pe, 0)
    words[vmcr] = vmcrOf(words, pe)
    const row = words[v + VCPU_COST]
    words[row + COST_SYSREG_READS] += 3 + inUse
    words[row + COST_SYSREG_WRITES] += 2
    if (this.observer !== null) this.tellDisabled(this.observer, pe, 0)
    return high
  }

  /** Writes one of several list registers. Afterwards {@link filled} must be called, with the results ORed. */
  fillLr(words: Int32Array, pe: Pe, n: number, low: number, high: number): number {
    return this.ich.fillLr(words, pe, n, low, high)
  }

  /** The first `used` list registers were written, and ICH_HCR_EL2 before them. */
  filled(words: Int32Array, v: Vcpu, pe: Pe, hcr: number, used: number, status: number): void {
    this.ich.writeHcr(words, pe, hcr)
    setLrStatus(words, pe, used, status)
    const row = words[v + VCPU_COST]
    words[row + COST_SYSREG_WRITES] += 1 + used
    if (this.observer !== null) this.tellFilled(this.observer, pe, hcr, used)
  }

  /** Reads ICH_ELRSR_EL2; {@link folded} counts it. */
  elrsr(pe: Pe): number {
    const empty = this.virtualInterface.elrsr(pe)
    if (this.observer !== null) this.observer('sysreg', true, ICH_ELRSR_EL2, empty, 0)
    return empty
  }

  /**
   * Writes ICH_HCR_EL2. Of the first `used` list registers those that are not in `empty` are to be read, and all are
   * to be cleared; then {@link folded}.
   */
  beginFold(words: Int32Array, pe: Pe, hcr: number, used: number, empty: number): void {
    this.ich.writeHcr(words, pe, hcr)
    setLrStatus(words, pe, used, 0)
    if (this.observer !== null) this.tellFold(this.observer, pe, hcr, used, empty)
  }

  /**
   * The list registers' part of a fold: of the first `used` those that are not in `empty` are to be read, and all are
   * to be cleared. Counts these accesses.
   */
  takeLrs(words: Int32Array, v: Vcpu, pe: Pe, used: number, empty: number): void {
    setLrStatus(words, pe, used, 0)
    let read = used
    for (let n = 0; n < used; n++) read -= (empty >> n) & 1
    const row = words[v + VCPU_COST]
    words[row + COST_SYSREG_READS] += read
    words[row + COST_SYSREG_WRITES] += used
    if (this.observer !== null) this.tellTakenLrs(this.observer, pe, used, empty)
  }

  /** Counts the registers that a fold has read, and its writes: ICH_HCR_EL2 and `used` list registers. */
  folded(words: Int32Array, v: Vcpu, read: number, used: number): void {
    const row = words[v + VCPU_COST]
    words[row + COST_SYSREG_READS] += read
    words[row + COST_SYSREG_WRITES] += 1 + used
  }

  /**
   * Sets or clears the active state of a physical interrupt: GICR_ISACTIVER0 or GICR_ICACTIVER0 of the PE for a
   * PPI, `GICD_ISACTIVER<n>` or `GICD_ICACTIVER<n>` for an SPI. A write that sets it is read back, so that it has
   * arrived before the guest can deactivate the interrupt.
   */
  writePhysicalActive(v: Vcpu, pe: Pe, intid: Intid, active: boolean): void {
    const { physical, mmio } = this.silicon
    const bit = 1 << (intid & 31)
    physical.setActive(pe, intid, active)
    this.silicon.lines.settle()
    this.count(v, COST_MMIO_WRITES, 1)
    if (active) this.count(v, COST_MMIO_READS, 1)
    if (this.observer === null) return
    const address = mmio.addressOfActive(pe, intid, active)
    this.observer('mmio', false, address, bit, 0)
    if (active) this.observer('mmio', true, address, bit, 0)
  }

  /**
   * Sets or clears the pending state of a physical interrupt: GICR_ISPENDR0 or GICR_ICPENDR0, `GICD_ISPENDR<n>` or
   * `GICD_ICPENDR<n>`.
   */
  writePhysicalPending(v: Vcpu, pe: Pe, intid: Intid, pending: boolean): void {
    const { mmio } = this.silicon
    const bit = 1 << (intid & 31)
    const address = this.addressOfPending(pe, intid, pending)
    mmio.write(address, 4, bit, 0)
    this.silicon.lines.settle()
    this.count(v, COST_MMIO_WRITES, 1)
    if (this.observer !== null) this.observer('mmio', false, address, bit, 0)
  }

  /** Whether a physical interrupt is pending: GICR_ISPENDR0 of the PE for a PPI, `GICD_ISPENDR<n>` for an SPI. */
  readPhysicalPending(v: Vcpu, pe: Pe, intid: Intid): boolean {
    const { mmio } = this.silicon
    const address = this.addressOfPending(pe, intid, true)
    const pending = mmio.read(address, 4)
    this.count(v, COST_MMIO_READS, 1)
    if (this.observer !== null) this.observer('mmio', true, address, pending, 0)
    return ((pending >>> (intid & 31)) & 1) === 1
  }

  /** Reads bits 63:32 of an MMIO register of 64 bits. */
  readHigh(v: Vcpu, address: number): number {
    const { mmio } = this.silicon
    const high = mmio.readHigh(address)
    this.count(v, COST_MMIO_READS, 1)
    if (this.observer !== null) this.observer('mmio', true, address, mmio.peek(address, 8), high)
    return high
  }

  /** Reads an MMIO register of 32 bits. */
  readWord(v: Vcpu, address: number): number {
    const value = this.silicon.mmio.read(address, 4)
    this.count(v, COST_MMIO_READS, 1)
    if (this.observer !== null) this.observer('mmio', true, address, value, 0)
    return value
  }

  /** Writes an MMIO register of 32 or 64 bits. */
  writeRegister(v: Vcpu, address: number, size: 4 | 8, low: number, high: number): void {
    const { silicon } = this
    if (this.observer !== null) this.observer('mmio', false, address, low, high)
    this.count(v, COST_MMIO_WRITES, 1)
    silicon.mmio.write(address, size, low, high)
    silicon.settle()
  }

  /** Reads GICR_VPENDBASER to see whether Dirty is 0; returns bits 63:32. */
  pollDirty(v: Vcpu, address: number): number {
    this.count(v, COST_DIRTY_POLLS, 1)
    return this.readHigh(v, address)
  }

  /** Counts an access to a table in the host's memory, and writes a word of it. */
  writeTable(v: Vcpu, address: number, value: number): void {
    this.count(v, COST_TABLE_ACCESSES, 1)
    if (this.observer !== null) this.observer('table', false, address, value, 0)
    this.store(address, value)
  }

  /** Puts the command of eight words at `at` into a queue, at an address in the host's memory. */
  writeCommand(v: Vcpu, address: number, at: number): void {
    const { words } = this
    this.count(v, COST_ITS_COMMANDS, 1)
    if (this.observer !== null) this.observer('its', false, words[at] & 0xff, at, 0)
    for (let n = 0; n < 8; n++) this.store(address + 4 * n, words[at + n])
  }

  private store(address: number, value: number): void {
    if (this.silicon.pool?.write32(address, value)) return
    throw new VgicError(
      'memory',
      "The host has no memory left for its ITS's tables: raise memoryLines of gic().",
    )
  }

  private addressOfPending(pe: Pe, intid: Intid, pending: boolean): number {
    return this.silicon.mmio.addressOfActive(pe, intid, pending) - PENDR_BEFORE_ACTIVER
  }

  /** Writes ICC_SGI1R_EL1, for a vCPU, with a CPU as its only target. */
  sendSgi(v: Vcpu, cpu: number, intid: Intid): void {
    const { silicon } = this
    const affinity = silicon.physical.affinities.values[cpu]
    const low = sgiLow(affinity, intid)
    const high = sgiHigh(affinity)
    silicon.sgis.writeSgi1r(silicon.peOf(cpu), low, high)
    this.count(v, COST_SYSREG_WRITES, 1)
    if (this.observer !== null) this.observer('sysreg', false, ICC_SGI1R_EL1, low, high)
    silicon.lines.settle()
  }

  /**
   * Whether an interrupt other than INTID `last` is signalled to a PE. Software sees only the IRQ exception, and
   * learns the INTID by an acknowledge; this question is the model's own, and not counted.
   */
  isSignalledAnother(pe: Pe, last: number): boolean {
    const { words } = this
    if ((words[pe + PE_LINES] & LINE_IRQ) === 0) return false
    return HPPI_INTID(words[pe + PHYSICAL_INTERFACE + HIGHEST_PENDING]) !== last
  }

  /**
   * Reads ICC_IAR1_EL1 and writes ICC_EOIR1_EL1: the host takes the interrupt that is signalled to a PE, and drops
   * the priority. EOImode is 1, so the interrupt stays active until software deactivates it, or a guest deactivates
   * the virtual interrupt that is mapped to it. Returns its INTID.
   */
  takePhysical(v: Vcpu, pe: Pe): Intid {
    const { icc, lines } = this.silicon
    const intid = icc.readIar1(pe + PHYSICAL_INTERFACE)
    icc.writeEoir1(pe + PHYSICAL_INTERFACE, intid)
    lines.settlePe(pe)
    this.count(v, COST_SYSREG_READS, 1)
    this.count(v, COST_SYSREG_WRITES, 1)
    if (this.observer !== null) {
      this.observer('sysreg', true, ICC_IAR1_EL1, intid, 0)
      this.observer('sysreg', false, ICC_EOIR1_EL1, intid, 0)
    }
    return intid
  }

  /** Writes ICC_DIR_EL1. */
  deactivatePhysical(v: Vcpu, pe: Pe, intid: Intid): void {
    const { icc, lines } = this.silicon
    icc.writeDir(pe + PHYSICAL_INTERFACE, intid)
    this.count(v, COST_SYSREG_WRITES, 1)
    if (this.observer !== null) this.observer('sysreg', false, ICC_DIR_EL1, intid, 0)
    // The host may take it again at once.
    lines.settlePe(pe)
  }

  /** Evaluates the maintenance interrupt after writes of ICH_HCR_EL2 or list registers. */
  settleMaintenance(words: Int32Array, pe: Pe): void {
    if (this.virtualInterface.mayNeedMaintenance(words, pe) || (words[pe + PE_LINES] & LINE_IRQ) !== 0)
      this.silicon.lines.settleVirtual(pe)
  }

  /**
   * The same after a write of ICH_HCR_EL2 that has enabled it for the switch of each group from how it is in `vmcr`, if
   * nothing but that may assert it.
   */
  settleSwitches(words: Int32Array, pe: Pe, vmcr: number): void {
    if (this.virtualInterface.mayBeSwitched(words, pe, vmcr) !== 0) this.silicon.lines.settleVirtual(pe)
  }

  private count(v: Vcpu, kind: number, accesses: number): void {
    const row = this.words[v + VCPU_COST]
    this.words[row + kind] += accesses
  }

  private tellInterface(tell: SeamObserver, isRead: boolean, v: Vcpu): void {
    tell('sysreg', isRead, ICH_VMCR_EL2, this.words[v + VCPU_VMCR], 0)
    this.tellActivePriorities(tell, isRead, v + VCPU_AP0R, v + VCPU_AP1R)
  }

  private tellInterfaceAndHcr(tell: SeamObserver, v: Vcpu, hcr: number): void {
    this.tellInterface(tell, false, v)
    tell('sysreg', false, ICH_HCR_EL2, hcr, 0)
  }

  private tellActivePriorities(tell: SeamObserver, isRead: boolean, ap0r: number, ap1r: number): void {
    tell('sysreg', true, ICH_VTR_EL2, this.ich.vtr, 0)
    for (let n = 0; 2 * n < this.activePriorities; n++) {
      tell('sysreg', isRead, ICH_AP0R0_EL2 + n, this.words[ap0r + n], 0)
      tell('sysreg', isRead, ICH_AP1R0_EL2 + n, this.words[ap1r + n], 0)
    }
  }

  private tellFilled(tell: SeamObserver, pe: Pe, hcr: number, used: number): void {
    tell('sysreg', false, ICH_HCR_EL2, hcr, 0)
    for (let n = 0; n < used; n++) this.tellListRegister(tell, false, pe, n)
  }

  private tellVmcr(tell: SeamObserver, vmcr: number): void {
    tell('sysreg', true, ICH_VMCR_EL2, vmcr, 0)
  }

  private tellDisabled(tell: SeamObserver, pe: Pe, again: number): void {
    for (let n = 0; n <= again; n++) this.tellVmcr(tell, vmcrOf(this.words, pe))
    tell('sysreg', false, ICH_HCR_EL2, 0, 0)
    tell('sysreg', true, ICH_MISR_EL2, this.virtualInterface.misr(pe), 0)
  }

  private tellFold(tell: SeamObserver, pe: Pe, hcr: number, used: number, empty: number): void {
    tell('sysreg', false, ICH_HCR_EL2, hcr, 0)
    this.tellTakenLrs(tell, pe, used, empty)
  }

  private tellTakenLrs(tell: SeamObserver, pe: Pe, used: number, empty: number): void {
    for (let n = 0; n < used; n++) {
      if (((empty >> n) & 1) === 0) this.tellListRegister(tell, true, pe, n)
      tell('sysreg', false, ichLr(n), 0, 0)
    }
  }

  private tellFoldOnly(tell: SeamObserver, pe: Pe, hcr: number): void {
    const empty = this.elrsr(pe)
    this.tellFold(tell, pe, hcr, 1, empty)
  }

  private tellListRegister(tell: SeamObserver, isRead: boolean, pe: Pe, n: number): void {
    const at = lrAt(pe, n)
    tell('sysreg', isRead, ichLr(n), lrLow(this.words, at), lrHigh(this.words, at))
  }
}
