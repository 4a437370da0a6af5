/**
 * The registers that are the same in both CPU interfaces, ICC_* of the physical and ICV_* of the virtual one:
 * priority mask, binary points, control, group enables, running priority (IHI 0069, "AArch64 System register
 * descriptions"). Acknowledge, end of interrupt and deactivation differ: icc.ts, icv.ts.
 */
import { CTLR_CBPR, CTLR_EOImode } from '../../arch/icc-registers.ts'
import {
  VMCR_VBPR0,
  VMCR_VBPR1,
  VMCR_VCBPR,
  VMCR_VENG0,
  VMCR_VENG1,
  VMCR_VEOIM,
  VMCR_VPMR,
} from '../../arch/ich-registers.ts'
import type { Intid } from '../../arch/intid.ts'
import { ACTIVE_PRIORITIES_0, ACTIVE_PRIORITIES_1, CONTROLS, type CpuInterface } from './cpu-interface.ts'

const CTLR_A3V = 0x8000
const CTLR_RSS = 0x40000

/** ICC_BPR1_EL1 by a control word: with CBPR group 1 follows BPR0, and BPR1 reads as BPR0 plus one, saturated. */
export const bpr1Of = (controls: number): number =>
  controls & VMCR_VCBPR ? Math.min(VMCR_VBPR0(controls) + 1, 7) : VMCR_VBPR1(controls)

/** Converts the writable fields of ICC_CTLR_EL1, EOImode and CBPR, from a control word, and to one. */
export const ctlrOf = (controls: number): number =>
  (controls & VMCR_VEOIM ? CTLR_EOImode : 0) | (controls & VMCR_VCBPR ? CTLR_CBPR : 0)
export const controlsOfCtlr = (value: number): number =>
  (value & CTLR_EOImode ? VMCR_VEOIM : 0) | (value & CTLR_CBPR ? VMCR_VCBPR : 0)
export const CTLR_CONTROLS = VMCR_VEOIM | VMCR_VCBPR

/** `at` is the handle of a CPU interface in every method. */
export abstract class InterfaceRegisters {
  /** The read-only bits of ICC_CTLR_EL1. */
  private readonly ctlrFixed: number

  constructor(
    readonly words: Int32Array,
    readonly cpuInterface: CpuInterface,
    /** ICC_CTLR_EL1.RSS: whether SGIs can target an Aff0 above 15. */
    rangeSelector: boolean,
  ) {
    const { priorityBits, intidBits } = cpuInterface.config
    this.ctlrFixed =
      CTLR_A3V |
      (rangeSelector ? CTLR_RSS : 0) |
      ((intidBits === 24 ? 1 : 0) << 11) |
      ((priorityBits - 1) << 8)
  }

  abstract readIar0(at: number): Intid
  abstract readIar1(at: number): Intid
  abstract readHppir0(at: number): Intid
  abstract readHppir1(at: number): Intid
  abstract writeEoir0(at: number, value: number): void
  abstract writeEoir1(at: number, value: number): void
  abstract writeDir(at: number, value: number): void

  readRpr(at: number): number {
    return this.cpuInterface.runningPriority(this.words, at)
  }

  readPmr(at: number): number {
    return VMCR_VPMR(this.words[at + CONTROLS])
  }

  /** Writes ICC_PMR_EL1. Unimplemented low bits, and bits above 7, are RES0. */
  writePmr(at: number, value: number): void {
    const words = this.words
    words[at + CONTROLS] =
      (words[at + CONTROLS] & 0xffffff) | ((value & this.cpuInterface.priorityMask) << 24)
  }

  readBpr0(at: number): number {
    return VMCR_VBPR0(this.words[at + CONTROLS])
  }

  /** Writes ICC_BPR0_EL1. A value below the minimum becomes the minimum. */
  writeBpr0(at: number, value: number): void {
    const point = Math.max(value & 7, this.cpuInterface.minimumBpr0)
    this.words[at + CONTROLS] = (this.words[at + CONTROLS] & ~(7 << 21)) | (point << 21)
  }

  readBpr1(at: number): number {
    return bpr1Of(this.words[at + CONTROLS])
  }

  /** Writes ICC_BPR1_EL1. With CBPR set the write is ignored. */
  writeBpr1(at: number, value: number): void {
    const controls = this.words[at + CONTROLS]
    if (controls & VMCR_VCBPR) return
    const point = Math.max(value & 7, this.cpuInterface.minimumBpr1)
    this.words[at + CONTROLS] = (controls & ~(7 << 18)) | (point << 18)
  }

  readCtlr(at: number): number {
    return this.ctlrFixed | ctlrOf(this.words[at + CONTROLS])
  }

  writeCtlr(at: number, value: number): void {
    this.words[at + CONTROLS] = (this.words[at + CONTROLS] & ~CTLR_CONTROLS) | controlsOfCtlr(value)
  }

  readIgrpen0(at: number): number {
    return this.words[at + CONTROLS] & VMCR_VENG0 ? 1 : 0
  }

  writeIgrpen0(at: number, value: number): void {
    this.words[at + CONTROLS] = (this.words[at + CONTROLS] & ~VMCR_VENG0) | (value & 1 ? VMCR_VENG0 : 0)
  }

  readIgrpen1(at: number): number {
    return this.words[at + CONTROLS] & VMCR_VENG1 ? 1 : 0
  }

  writeIgrpen1(at: number, value: number): void {
    this.words[at + CONTROLS] = (this.words[at + CONTROLS] & ~VMCR_VENG1) | (value & 1 ? VMCR_VENG1 : 0)
  }

  readApr(at: number, group: 0 | 1, n: number): number {
    return this.words[at + (group === 0 ? ACTIVE_PRIORITIES_0 : ACTIVE_PRIORITIES_1) + n]
  }

  writeApr(at: number, group: 0 | 1, n: number, value: number): void {
    this.words[at + (group === 0 ? ACTIVE_PRIORITIES_0 : ACTIVE_PRIORITIES_1) + n] = value
  }
}
