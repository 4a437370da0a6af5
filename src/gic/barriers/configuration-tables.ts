/** Where the configuration bytes are of what an ITS has found or a redistributor is told of, and virtual pending tables. */
import { FIRST_LPI } from '../../arch/intid.ts'
import { TRANSLATED } from '../config/translation-faults.ts'
import type { Its } from '../its/its.ts'
import { LPI_PROPBASER } from '../lpi/lpi-records.ts'
import type { Lpis } from '../lpi/lpis.ts'
import { VPE_VCONF } from '../vpe/vpe-offsets.ts'
import type { Vpes } from '../vpe/vpes.ts'
import type { ConfigurationBytes } from './configuration-bytes.ts'

const HIGH = 0x1_0000_0000
const ADDRESS_HIGH = 0xfffff
const NOWHERE = -1

export class ConfigurationTables {
  constructor(
    readonly bytes: ConfigurationBytes,
    readonly lpis: Lpis,
    readonly vpes: Vpes | undefined,
  ) {}

  /** The interrupt that an ITS has found is used. Returns whether its byte has changed and was not invalidated. */
  use(its: Its): boolean {
    const address = this.addressOf(its)
    return address !== NOWHERE && this.bytes.use(address)
  }

  /** An event was mapped. */
  know(its: Its, deviceId: number, eventId: number): void {
    const fault = its.found.find(deviceId, eventId)
    its.memory.takeRefusal()
    const address = fault === TRANSLATED ? this.addressOf(its) : NOWHERE
    if (address !== NOWHERE) this.bytes.know(address)
  }

  /** INV of the event that an ITS has found. */
  invalidate(its: Its): void {
    const address = this.addressOf(its)
    if (address !== NOWHERE) this.bytes.invalidate(address, 1)
  }

  /** INVALL, GICR_INVALLR. */
  invalidateAll(cpu: number): void {
    this.bytes.invalidate(this.tableOf(cpu), this.lpis.existing)
  }

  /** GICR_INVLPIR. */
  invalidateLpi(cpu: number, intid: number): void {
    this.bytes.invalidate(this.tableOf(cpu) + intid - FIRST_LPI, 1)
  }

  /** VINVALL. */
  invalidateVpe(its: Its, vpe: number): void {
    const fault = its.vpeEntries?.find(vpe)
    its.memory.takeRefusal()
    if (fault === TRANSLATED) this.invalidateVlpis(its.found.cpu, 0, this.lpis.existing)
  }

  /** GICR_INVLPIR and GICR_INVALLR with V = 1. */
  invalidateOfVpe(cpu: number, vpe: number, vlpi: number, count: number): void {
    if (this.vpes?.nameAt(cpu, vpe)) this.invalidateVlpis(cpu, vlpi, count)
    this.vpes?.memory.takeRefusal()
  }

  private invalidateVlpis(cpu: number, vlpi: number, count: number): void {
    const table = this.virtualTableAt(cpu)
    if (table !== NOWHERE) this.bytes.invalidate(table + vlpi, count)
  }

  /** The virtual pending table of a vPE that an ITS has mapped, on GICv4.0; no bytes on GICv4.1 or if it has not. */
  pendingTableOf({ vpeEntries, memory }: Its, vpe: number): { address: number; bytes: number } {
    const { vpes } = this
    const fault = vpes && !vpes.byVpeid ? vpeEntries?.find(vpe) : undefined
    memory.takeRefusal()
    if (!vpes || fault !== TRANSLATED) return { address: 0, bytes: 0 }
    return { address: (vpes.vptLow >>> 0) + vpes.vptHigh * HIGH, bytes: (FIRST_LPI + vpes.count) / 8 }
  }

  /** The byte of the interrupt that an ITS has found. Its INTID is what is in the ITT, which software may have written. */
  private addressOf({ tables, found }: Its): number {
    const lpi = found.intid - FIRST_LPI
    const { lpis } = this
    if (!tables.isVirtual) return lpis.takes(found.cpu, lpi) ? this.tableOf(found.cpu) + lpi : NOWHERE
    const table = lpi >>> 0 < lpis.existing ? this.virtualTableAt(found.cpu) : NOWHERE
    return table === NOWHERE ? NOWHERE : table + lpi
  }

  private tableOf(cpu: number): number {
    const { words } = this.lpis
    const at = this.lpis.recordOf(cpu) + LPI_PROPBASER
    return ((words[at] & ~0xfff) >>> 0) + (words[at + 1] & ADDRESS_HIGH) * HIGH
  }

  /** The table of the named vPE, which on GICv4.0 only the redistributor knows on which it is resident. */
  private virtualTableAt(cpu: number): number {
    const { vpes } = this
    if (!vpes) return NOWHERE
    if (vpes.byVpeid) {
      const [low, high] = [vpes.table.vconfLow, vpes.table.vconfHigh]
      vpes.memory.takeRefusal()
      return (low >>> 0) + high * HIGH
    }
    const at = vpes.resident.recordOf(cpu) + VPE_VCONF
    return vpes.isAt(cpu) ? (vpes.words[at] >>> 0) + vpes.words[at + 1] * HIGH : NOWHERE
  }
}
