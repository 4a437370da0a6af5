/**
 * The seam between the hypervisor and the silicon: the only way by which hypervisor code reaches it, the
 * system registers of the PE that it runs on. Every crossing is counted for the vCPU it is made for, and told
 * to an observer if there is one.
 */
import {
  ICH_AP0R0_EL2,
  ICH_AP1R0_EL2,
  ICH_ELRSR_EL2,
  ICH_HCR_EL2,
  ICH_LR0_EL2,
  ICH_VMCR_EL2,
  ICH_VTR_EL2,
  VTR_PREbits,
} from '../arch/ich.ts'
import type { Silicon } from '../gic/silicon.ts'
import { VCPU_SYSREG_READS, VCPU_SYSREG_WRITES } from './vcpu.ts'

/** Told of each crossing: the register's encoding and the value's halves. */
export type SeamObserver = (
  vcpu: number,
  isRead: boolean,
  encoding: number,
  low: number,
  high: number,
) => void

export class Seam {
  /** Null when nobody looks. */
  observer: SeamObserver | null = null

  constructor(
    readonly words: Int32Array,
    readonly silicon: Silicon,
  ) {}

  /** HCR_EL2, which is the PE's and not counted as an access to the GIC. */
  writeHcrEl2(pe: number, value: number): void {
    this.silicon.pcpu.writeHcrEl2(pe, value)
  }

  writeHcr(v: number, pe: number, value: number): void {
    this.silicon.ich.writeHcr(pe, value)
    this.wrote(v, ICH_HCR_EL2, value, 0)
  }

  readVmcr(v: number, pe: number): number {
    return this.read(v, ICH_VMCR_EL2, this.silicon.ich.readVmcr(pe))
  }

  writeVmcr(v: number, pe: number, value: number): void {
    this.silicon.ich.writeVmcr(pe, value)
    this.wrote(v, ICH_VMCR_EL2, value, 0)
  }

  /** Reads ICH_VTR_EL2 for how many active priorities registers a group has. */
  readActivePriorityRegisters(v: number): number {
    return 1 << (VTR_PREbits(this.read(v, ICH_VTR_EL2, this.silicon.ich.vtr)) - 4)
  }

  readAp0r(v: number, pe: number, n: number): number {
    return this.read(v, ICH_AP0R0_EL2 + n, this.silicon.ich.readAp0r(pe, n))
  }

  writeAp0r(v: number, pe: number, n: number, value: number): void {
    this.silicon.ich.writeAp0r(pe, n, value)
    this.wrote(v, ICH_AP0R0_EL2 + n, value, 0)
  }

  readAp1r(v: number, pe: number, n: number): number {
    return this.read(v, ICH_AP1R0_EL2 + n, this.silicon.ich.readAp1r(pe, n))
  }

  writeAp1r(v: number, pe: number, n: number, value: number): void {
    this.silicon.ich.writeAp1r(pe, n, value)
    this.wrote(v, ICH_AP1R0_EL2 + n, value, 0)
  }

  readElrsr(v: number, pe: number): number {
    return this.read(v, ICH_ELRSR_EL2, this.silicon.virtualInterface.elrsr(pe))
  }

  /** Reads a list register into the two words at `to`. */
  readLr(v: number, pe: number, n: number, to: number): void {
    const { words, silicon } = this
    const low = silicon.ich.readLrLow(pe, n)
    const high = silicon.ich.readLrHigh(pe, n)
    words[to] = low
    words[to + 1] = high
    words[v + VCPU_SYSREG_READS]++
    if (this.observer !== null) this.observer(v, true, ICH_LR0_EL2 + n, low, high)
  }

  writeLr(v: number, pe: number, n: number, low: number, high: number): void {
    this.silicon.ich.writeLr(pe, n, low, high)
    this.wrote(v, ICH_LR0_EL2 + n, low, high)
  }

  private read(v: number, encoding: number, value: number): number {
    this.words[v + VCPU_SYSREG_READS]++
    if (this.observer !== null) this.observer(v, true, encoding, value, 0)
    return value
  }

  private wrote(v: number, encoding: number, low: number, high: number): void {
    this.words[v + VCPU_SYSREG_WRITES]++
    if (this.observer !== null) this.observer(v, false, encoding, low, high)
  }
}
