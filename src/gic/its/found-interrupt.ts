/**
 * The interrupt that an ITS has found for an event, an LPI of a redistributor or a vLPI of a vPE, and what a message or a
 * command does to it. Which it is, and where it goes, is in the words of the ITS.
 */
import { FIRST_LPI } from '../../arch/intid.ts'
import { TRANSLATED } from '../config/translation-faults.ts'
import type { Lpis } from '../lpi/lpis.ts'
import type { Vpes } from '../vpe/vpes.ts'
import { ITS_FOUND_CPU, ITS_FOUND_DOORBELL, ITS_FOUND_ICID, ITS_FOUND_INTID } from './its-records.ts'
import type { ItsTables } from './its-tables.ts'
import type { VpeEntries } from './vpe-entries.ts'

export class FoundInterrupt {
  readonly words: Int32Array
  private readonly its: number

  constructor(
    readonly tables: ItsTables,
    readonly lpis: Lpis,
    /** On GICv4. */
    readonly vpes: Vpes | undefined,
    readonly entries: VpeEntries | undefined,
  ) {
    this.words = tables.words
    this.its = tables.its
  }

  get cpu(): number {
    return this.words[this.its + ITS_FOUND_CPU]
  }

  get intid(): number {
    return this.words[this.its + ITS_FOUND_INTID]
  }

  /** The vPEID of a virtual interrupt. */
  get vpe(): number {
    return this.words[this.its + ITS_FOUND_ICID]
  }

  /** The doorbell's INTID of a virtual interrupt. */
  get doorbell(): number {
    return this.words[this.its + ITS_FOUND_DOORBELL]
  }

  /** Whether the vPE of a virtual interrupt has it, by its VPT_size; a physical one's redistributor is not asked. */
  get isInRange(): boolean {
    return !this.tables.isVirtual || (this.vpes?.hasVlpi(this.cpu, this.lpi) ?? false)
  }

  private get lpi(): number {
    return this.intid - FIRST_LPI
  }

  /** Looks for the interrupt of an event, and where it goes. */
  find(deviceId: number, eventId: number): number {
    const fault = this.tables.findInterrupt(deviceId, eventId)
    return fault === TRANSLATED ? this.findTarget() : fault
  }

  /** Where the interrupt that was found goes: the CPU of its collection or of its vPE, which is named. */
  private findTarget(): number {
    const target = this.words[this.its + ITS_FOUND_ICID]
    if (!this.tables.isVirtual) return this.tables.findCollection(target)
    return this.entries?.find(target) ?? TRANSLATED
  }

  /** It becomes pending. Returns false if nothing takes it. */
  set(): boolean {
    if (this.tables.isVirtual) return this.vpes?.set(this.cpu, this.lpi, this.doorbell) ?? false
    return this.lpis.set(this.cpu, this.lpi)
  }

  /** It is no longer pending. */
  clear(): void {
    if (this.tables.isVirtual) this.vpes?.clear(this.cpu, this.lpi)
    else this.lpis.clear(this.cpu, this.lpi)
  }

  /** What is known of its configuration is forgotten. */
  invalidate(): void {
    if (this.tables.isVirtual) this.vpes?.invalidate(this.cpu, this.lpi)
    else this.lpis.invalidate(this.cpu, this.lpi)
  }
}
