/**
 * What an ITS knows of vPEs: the table that GITS_BASER2 gives it (IHI 0069, "The ITS vPE table"). On GICv4.0 each ITS has
 * one of its own, with entries of 8 bytes:
 *
 * | word 0 | word 1 |
 * |---|---|
 * | VPT address 31:16, CPU 15:0 | valid 30, VPT_size 24:20, VPT address 51:32 in 19:0 |
 *
 * On GICv4.1 it is the vPE configuration table, which an ITS shares with the redistributors that have the affinity of
 * GITS_MPIDR as far as GITS_TYPER.SVPET says. Of its entries of 32 bytes the first word is the ITSs': the CPU in bits
 * 15:0, and which ITSs have the vPE mapped, bit 16 + n for ITS n; vpe/vpe-entry.ts has the others. The redistributors
 * that do not share it have theirs in the table of their GICR_VPROPBASER.
 */
import { COMMON_AFFINITY } from '../config/affinities.ts'
import type { CheckedGicConfig } from '../config/config.ts'
import { MEMORY_REFUSED, TRANSLATED, VPE_UNMAPPED } from '../config/translation-faults.ts'
import { NO_ENTRY } from '../vpe/table-lookup.ts'
import type { Vpes } from '../vpe/vpes.ts'
import { ITS_ENTRY, ITS_FOUND_CPU } from './its-records.ts'
import type { ItsTables } from './its-tables.ts'

const ENTRY_VALID = 0x40000000
const CPU = 0xffff
const VPT_LOW = ~0xffff
const VPT_HIGH = 0xfffff
const VPT_SIZE_SHIFT = 20
const VPT_SIZE = 0x1f
const MAPPED_SHIFT = 16

export class VpeEntries {
  readonly words: Int32Array
  private readonly its: number
  /** GICv4.1: this ITS, as a bit of an entry's first word. */
  private readonly mapped: number
  /** GICv4.1, by CPU: whether the ITS shares its table with the redistributor. */
  private readonly shares: readonly boolean[]
  private readonly cpus: number

  constructor(
    readonly tables: ItsTables,
    readonly vpes: Vpes,
    number: number,
    { its, affinities, cpus }: CheckedGicConfig,
  ) {
    const { svpet, affinity } = its[number]
    const mask = COMMON_AFFINITY[svpet]
    this.words = tables.words
    this.its = tables.its
    this.mapped = 1 << (MAPPED_SHIFT + number)
    this.shares = affinities.map((each) => svpet !== 0 && ((each ^ affinity) & mask) === 0)
    this.cpus = cpus
  }

  private read(offset: number): number {
    const { words, its, tables } = this
    return tables.memory.read(words[its + ITS_ENTRY], words[its + ITS_ENTRY + 1], offset)
  }

  private write(offset: number, value: number): void {
    const { words, its, tables } = this
    tables.memory.write(words[its + ITS_ENTRY], words[its + ITS_ENTRY + 1], offset, value)
  }

  /** Whether the table has an entry for a vPE, in use or not: its offset, or {@link NO_ENTRY}. */
  entryOf(vpe: number): number {
    return this.tables.findVpeEntry(vpe)
  }

  /** Looks for a vPE that this ITS has mapped: the CPU that it goes to, and the vPE is named. */
  find(vpe: number): number {
    const offset = this.entryOf(vpe)
    const found =
      offset !== NO_ENTRY && (this.vpes.byVpeid ? this.findShared(vpe, offset) : this.findOwn(offset))
    if (this.tables.memory.takeRefusal()) return MEMORY_REFUSED
    return found ? TRANSLATED : VPE_UNMAPPED
  }

  private findOwn(offset: number): boolean {
    const low = this.read(offset)
    const high = this.read(offset + 4)
    this.words[this.its + ITS_FOUND_CPU] = low & CPU
    this.vpes.nameByTable(low & VPT_LOW, high & VPT_HIGH, (high >>> VPT_SIZE_SHIFT) & VPT_SIZE)
    return (high & ENTRY_VALID) !== 0 && (low & CPU) < this.cpus
  }

  private findShared(vpe: number, offset: number): boolean {
    const known = this.read(offset)
    const cpu = known & CPU
    this.words[this.its + ITS_FOUND_CPU] = cpu
    return (known & this.mapped) !== 0 && cpu < this.cpus && this.name(vpe, cpu, offset)
  }

  /** GICv4.1: names the vPE by the table of the CPU's redistributor; false if that has no entry for it. */
  name(vpe: number, cpu: number, offset: number): boolean {
    if (!this.shares[cpu]) return this.vpes.nameAt(cpu, vpe)
    this.vpes.nameByEntry(vpe, this.words[this.its + ITS_ENTRY], this.words[this.its + ITS_ENTRY + 1], offset)
    return true
  }

  /** GICv4.0: VMAPP with V = 1. */
  mapOwn(offset: number, cpu: number, vptLow: number, vptHigh: number, size: number): void {
    this.write(offset, (vptLow & VPT_LOW) | cpu)
    this.write(offset + 4, ENTRY_VALID | (size << VPT_SIZE_SHIFT) | (vptHigh & VPT_HIGH))
  }

  /** GICv4.0: VMAPP with V = 0. */
  unmapOwn(offset: number): void {
    this.write(offset + 4, 0)
    this.write(offset, 0)
  }

  /** GICv4.1: this ITS maps a vPE to a CPU, or unmaps it; other ITSs that share the table keep what they know. */
  mapShared(offset: number, cpu: number): void {
    this.write(offset, (this.read(offset) & ~CPU) | this.mapped | cpu)
  }

  unmapShared(offset: number): void {
    const known = this.read(offset) & ~this.mapped
    this.write(offset, known >>> MAPPED_SHIFT === 0 ? 0 : known)
  }

  /** VMOVP: a vPE that this ITS has mapped goes to another CPU. */
  move(vpe: number, cpu: number): void {
    const offset = this.entryOf(vpe)
    if (offset === NO_ENTRY) return
    const low = this.read(offset)
    const isMapped = this.vpes.byVpeid
      ? (low & this.mapped) !== 0
      : (this.read(offset + 4) & ENTRY_VALID) !== 0
    if (isMapped) this.write(offset, (low & ~CPU) | cpu)
  }
}
