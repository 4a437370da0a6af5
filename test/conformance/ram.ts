/** The memory of a recorded machine: it reads as zero until it is written, and answers at every address. */
import type { GicMemory } from 'vgic'
import { isHex, type Op } from './recording.ts'

const PAGE = 0x1_0000

export class Ram implements GicMemory {
  private readonly pages = new Map<number, DataView>()

  read32(address: number): number {
    return this.pages.get(Math.floor(address / PAGE))?.getUint32(address % PAGE, true) ?? 0
  }

  write32(address: number, value: number): void {
    this.page(address).setUint32(address % PAGE, value, true)
  }

  private page(address: number): DataView {
    const number = Math.floor(address / PAGE)
    const page = this.pages.get(number) ?? new DataView(new ArrayBuffer(PAGE))
    this.pages.set(number, page)
    return page
  }

  /** Does a `ram` or a `fill`: values of `s` bytes, one after the other. */
  do(op: Op): void {
    const { s = 4 } = op
    for (const [i, value] of valuesOf(op).entries()) {
      for (let byte = 0; byte < s; byte++) {
        const address = Number(op.a) + i * s + byte
        this.page(address).setUint8(address % PAGE, Number((value >> BigInt(8 * byte)) & 0xffn))
      }
    }
  }
}

/** A `ram` has a list of values, other ops have one. */
const listOf = ({ v }: Op): readonly unknown[] => (Array.isArray(v) ? v : [])

const valuesOf = (op: Op): bigint[] =>
  op.k === 'fill'
    ? Array.from({ length: op.n ?? 0 }, () => BigInt(String(op.v)))
    : listOf(op).map((value) => BigInt(String(value)))

/** Whether an op writes memory as {@link Ram.do} does. */
export function isRamOp(op: Op): boolean {
  const { k, a, s, v, n } = op
  if (!isHex(a) || ![1, 2, 4, 8].includes(s ?? 0)) return false
  if (k === 'fill') return isHex(v) && Number.isInteger(n) && Number(n) >= 0
  return k === 'ram' && Array.isArray(v) && listOf(op).every(isHex)
}
