/** The identification registers that every frame ends with (IHI 0069, "Identification registers"). */
import { type RegisterRow, readOnly } from './register-map.ts'

/** GICD_IIDR, GICR_IIDR and GITS_IIDR: JEP106 code of Arm, no product. */
export const IIDR = 0x43b
/** PIDR4 to PIDR7, then PIDR0 to PIDR3 without the fields that differ between frames, then CIDR0 to CIDR3. */
const PIDR4 = 0x44
const PIDR1 = 0xb4
/** PIDR2, with the architecture revision in ArchRev. */
const PIDR2_GICV3 = 0x3b
const PIDR2_GICV4 = 0x4b
const CIDR = [0x0d, 0xf0, 0x05, 0xb1]

/** The rows of the identification registers; `part` is the value of PIDR0. */
export function identificationRows<M extends { readonly isGicv4: boolean }>(
  frame: string,
  part: number,
): RegisterRow<M>[] {
  return [
    ...[PIDR4, 0, 0, 0].map((value, i) => readOnly<M>(`${frame}_PIDR${4 + i}`, 0xffd0 + 4 * i, () => value)),
    readOnly<M>(`${frame}_PIDR0`, 0xffe0, () => part),
    readOnly<M>(`${frame}_PIDR1`, 0xffe4, () => PIDR1),
    readOnly<M>(`${frame}_PIDR2`, 0xffe8, ({ isGicv4 }) => (isGicv4 ? PIDR2_GICV4 : PIDR2_GICV3)),
    readOnly<M>(`${frame}_PIDR3`, 0xffec, () => 0),
    ...CIDR.map((value, i) => readOnly<M>(`${frame}_CIDR${i}`, 0xfff0 + 4 * i, () => value)),
  ]
}
