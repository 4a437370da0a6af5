/** The vPEs that an ITS has mapped, as plain data. */
import { FIRST_LPI, INTID_NONE } from '../../arch/intid.ts'
import { hex } from '../../errors/printed.ts'
import { lowestBit } from '../../state/bits.ts'
import type { VpeDoorbellState, Vpes } from '../vpe/vpes.ts'

/** The default doorbell of a vPE: on GICv4.1. On GICv4.0 each event has its own. */
export interface VpeDoorbell {
  /** The physical LPI. */
  readonly intid: number
  /** How far it is. */
  readonly state: VpeDoorbellState
}

/** A vPE that is mapped. */
export interface VpeContents {
  /** Its vPEID. */
  readonly vpe: number
  /** The CPU that it is mapped to. */
  readonly cpu: number
  /** The address of its virtual pending table, such as `0x50700000`; undefined for one that was mapped without any. */
  readonly pendingTable: string | undefined
  /** The CPU on whose redistributor it is resident, or about to be or to leave; undefined if on none. */
  readonly residentOn: number | undefined
  /** Its default doorbell; undefined if it has none. */
  readonly doorbell: VpeDoorbell | undefined
  /** The vINTIDs of its pending vLPIs, wherever it is. */
  readonly vlpis: readonly number[]
  /** Its pending vSGIs: on GICv4.1. */
  readonly vsgis: readonly number[]
}

/** The vPE that is named, and mapped to a CPU. `look` says whether one more word may be looked at. */
export function inspectVpe(vpes: Vpes, vpe: number, cpu: number, look: () => boolean): VpeContents {
  const count = vpes.vlpisAt(cpu)
  const pendingTable = count === 0 ? undefined : hex(vpes.vptHigh * 0x1_0000_0000 + (vpes.vptLow >>> 0))
  const residentOn = vpes.otherThan(-1)
  return {
    vpe,
    cpu,
    pendingTable,
    residentOn: residentOn < 0 ? undefined : residentOn,
    doorbell: doorbellOf(vpes, cpu, count),
    vlpis: pendingVlpis(vpes, cpu, count, look),
    vsgis: vpes.byVpeid && count > 0 ? bitsOf(vpes.pendingSgis(cpu)) : [],
  }
}

function doorbellOf(vpes: Vpes, cpu: number, count: number): VpeDoorbell | undefined {
  if (!vpes.byVpeid || count === 0) return undefined
  const intid = vpes.table.doorbell
  return intid === INTID_NONE ? undefined : { intid, state: vpes.doorbellState(cpu, intid) }
}

function pendingVlpis(vpes: Vpes, cpu: number, count: number, look: () => boolean): number[] {
  const pending: number[] = []
  for (let first = 0; first < count && look(); first += 32) {
    for (const bit of bitsOf(vpes.pendingWord(cpu, first >> 5))) {
      if (first + bit < count) pending.push(FIRST_LPI + first + bit)
    }
  }
  return pending
}

/** The numbers of the bits that are set. */
function bitsOf(word: number): number[] {
  const bits: number[] = []
  for (let left = word; left !== 0; left &= left - 1) bits.push(lowestBit(left))
  return bits
}
