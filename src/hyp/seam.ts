/**
 * The seam between the hypervisor and the silicon: the only way by which hypervisor code reaches it, the
 * system registers of the PE that it runs on and the MMIO registers of the GIC. Every crossing is counted in
 * the cost row of the vCPU it is made for, and told to an observer if there is one.
 */
import {
  ICH_AP0R0_EL2,
  ICH_AP1R0_EL2,
  ICH_ELRSR_EL2,
  ICH_HCR_EL2,
  ICH_VMCR_EL2,
  ICH_VTR_EL2,
  ichLr,
  LR_STATE,
  VTR_PREbits,
} from '../arch/ich.ts'
import { FIRST_SPI } from '../arch/intid.ts'
import type { Ich } from '../gic/ich.ts'
import type { Silicon } from '../gic/silicon.ts'
import type { VirtualInterface } from '../gic/virtual-interface.ts'
import { COST_MMIO_READS, COST_MMIO_WRITES, COST_SYSREG_READS, COST_SYSREG_WRITES } from './cost.ts'
import { VCPU_COST } from './vcpu.ts'

/** What a crossing touched. */
export type CrossingKind = 'sysreg' | 'mmio'

/** Told of each crossing: a register's encoding or address, and the value's halves. */
export type SeamObserver = (
  kind: CrossingKind,
  isRead: boolean,
  register: number,
  low: number,
  high: number,
) => void

/**
 * Registers that software reads or writes in a row are a row here too: the loops over list registers and active
 * priorities, and their counting, are the seam's.
 */
export class Seam {
  /** Null when nobody looks. */
  observer: SeamObserver | null = null
  readonly ich: Ich
  readonly virtualInterface: VirtualInterface

  constructor(
    readonly words: Int32Array,
    readonly silicon: Silicon,
  ) {
    this.ich = silicon.ich
    this.virtualInterface = silicon.virtualInterface
  }

  /** HCR_EL2, which is the PE's and not counted as an access to the GIC. */
  writeHcrEl2(pe: number, value: number): void {
    this.silicon.pcpu.writeHcrEl2(pe, value)
  }

  readHcr(v: number, pe: number): number {
    const value = this.ich.readHcr(pe)
    this.count(v, COST_SYSREG_READS, 1)
    if (this.observer !== null) this.observer('sysreg', true, ICH_HCR_EL2, value, 0)
    return value
  }

  writeHcr(v: number, pe: number, value: number): void {
    this.ich.writeHcr(pe, value)
    this.count(v, COST_SYSREG_WRITES, 1)
    if (this.observer !== null) this.observer('sysreg', false, ICH_HCR_EL2, value, 0)
  }

  readVmcr(v: number, pe: number): number {
    const value = this.ich.readVmcr(pe)
    this.count(v, COST_SYSREG_READS, 1)
    if (this.observer !== null) this.observer('sysreg', true, ICH_VMCR_EL2, value, 0)
    return value
  }

  writeVmcr(v: number, pe: number, value: number): void {
    this.ich.writeVmcr(pe, value)
    this.count(v, COST_SYSREG_WRITES, 1)
    if (this.observer !== null) this.observer('sysreg', false, ICH_VMCR_EL2, value, 0)
  }

  readElrsr(v: number, pe: number): number {
    const value = this.virtualInterface.elrsr(pe)
    this.count(v, COST_SYSREG_READS, 1)
    if (this.observer !== null) this.observer('sysreg', true, ICH_ELRSR_EL2, value, 0)
    return value
  }

  /** Reads ICH_VTR_EL2 for how many active priorities registers a group has, then these into the words at `ap0r` and `ap1r`. */
  readActivePriorities(v: number, pe: number, ap0r: number, ap1r: number): void {
    const { words, ich } = this
    const registers = this.activePriorityRegisters
    for (let n = 0; n < registers; n++) {
      words[ap0r + n] = ich.readAp0r(pe, n)
      words[ap1r + n] = ich.readAp1r(pe, n)
    }
    this.count(v, COST_SYSREG_READS, 1 + 2 * registers)
    if (this.observer !== null) this.tellActivePriorities(this.observer, true, ap0r, ap1r)
  }

  /** Reads ICH_VTR_EL2, then writes the active priorities registers from the words at `ap0r` and `ap1r`. */
  writeActivePriorities(v: number, pe: number, ap0r: number, ap1r: number): void {
    const { words, ich } = this
    const registers = this.activePriorityRegisters
    for (let n = 0; n < registers; n++) {
      ich.writeAp0r(pe, n, words[ap0r + n])
      ich.writeAp1r(pe, n, words[ap1r + n])
    }
    this.count(v, COST_SYSREG_READS, 1)
    this.count(v, COST_SYSREG_WRITES, 2 * registers)
    if (this.observer !== null) this.tellActivePriorities(this.observer, false, ap0r, ap1r)
  }

  /** Writes ICH_HCR_EL2, then the first `used` list registers from the pairs of words at `from`. */
  fillListRegisters(v: number, pe: number, hcr: number, used: number, from: number): void {
    const { words, ich } = this
    ich.writeHcr(pe, hcr)
    for (let n = 0; n < used; n++) ich.writeLr(pe, n, words[from + 2 * n], words[from + 2 * n + 1])
    this.count(v, COST_SYSREG_WRITES, 1 + used)
    if (this.observer !== null) this.tellFilled(this.observer, hcr, used, from)
  }

  /**
   * Writes ICH_HCR_EL2, then reads each of the first `used` list registers that is not in `empty` into its pair of
   * words at `to`, the others' words become invalid, and writes it zero.
   */
  drainListRegisters(v: number, pe: number, hcr: number, used: number, empty: number, to: number): void {
    const { words, ich } = this
    ich.writeHcr(pe, hcr)
    let read = 0
    for (let n = 0, at = to; n < used; n++, at += 2) {
      if ((empty >> n) & 1) {
        words[at + 1] &= ~LR_STATE
      } else {
        words[at] = ich.readLrLow(pe, n)
        words[at + 1] = ich.readLrHigh(pe, n)
        read++
      }
      ich.writeLr(pe, n, 0, 0)
    }
    this.count(v, COST_SYSREG_READS, read)
    this.count(v, COST_SYSREG_WRITES, 1 + used)
    if (this.observer !== null) this.tellDrained(this.observer, hcr, used, empty, to)
  }

  /**
   * Sets or clears the active state of a physical interrupt: GICR_ISACTIVER0 or GICR_ICACTIVER0 of the PE for a
   * PPI, GICD_ISACTIVER<n> or GICD_ICACTIVER<n> for an SPI. A write that sets it is read back, so that it has
   * arrived before the guest can deactivate the interrupt.
   */
  writePhysicalActive(v: number, pe: number, intid: number, active: boolean): void {
    const { physical, mmio } = this.silicon
    const bit = 1 << (intid & 31)
    if (intid < FIRST_SPI) physical.setPrivateActive(pe, intid, active)
    else if (active) physical.writeIsactiver(intid >> 5, bit)
    else physical.writeIcactiver(intid >> 5, bit)
    this.count(v, COST_MMIO_WRITES, 1)
    if (active) this.count(v, COST_MMIO_READS, 1)
    if (this.observer === null) return
    const address = mmio.addressOfActive(pe, intid, active)
    this.observer('mmio', false, address, bit, 0)
    if (active) this.observer('mmio', true, address, bit, 0)
  }

  private get activePriorityRegisters(): number {
    return 1 << (VTR_PREbits(this.ich.vtr) - 4)
  }

  private count(v: number, kind: number, crossings: number): void {
    this.words[this.words[v + VCPU_COST] + kind] += crossings
  }

  private tellActivePriorities(tell: SeamObserver, isRead: boolean, ap0r: number, ap1r: number): void {
    tell('sysreg', true, ICH_VTR_EL2, this.ich.vtr, 0)
    for (let n = 0; n < this.activePriorityRegisters; n++) {
      tell('sysreg', isRead, ICH_AP0R0_EL2 + n, this.words[ap0r + n], 0)
      tell('sysreg', isRead, ICH_AP1R0_EL2 + n, this.words[ap1r + n], 0)
    }
  }

  private tellListRegister(tell: SeamObserver, isRead: boolean, n: number, pair: number): void {
    tell('sysreg', isRead, ichLr(n), this.words[pair + 2 * n], this.words[pair + 2 * n + 1])
  }

  private tellFilled(tell: SeamObserver, hcr: number, used: number, pair: number): void {
    tell('sysreg', false, ICH_HCR_EL2, hcr, 0)
    for (let n = 0; n < used; n++) this.tellListRegister(tell, false, n, pair)
  }

  private tellDrained(tell: SeamObserver, hcr: number, used: number, empty: number, pair: number): void {
    tell('sysreg', false, ICH_HCR_EL2, hcr, 0)
    for (let n = 0; n < used; n++) {
      if (((empty >> n) & 1) === 0) this.tellListRegister(tell, true, n, pair)
      tell('sysreg', false, ichLr(n), 0, 0)
    }
  }
}
