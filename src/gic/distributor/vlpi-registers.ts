/**
 * The registers of GICv4 in a redistributor's frames (IHI 0069, "GICR_VPROPBASER", "GICR_VPENDBASER"): the VLPI frame
 * 128 KiB above RD_base and, on GICv4.1, GICR_INVLPIR and GICR_INVALLR, which are about a vPE with V = 1. Those and
 * GICR_VSGIR act when they are written. A write of 32 bits to GICR_INVLPIR is zero-extended; to GICR_INVALLR, where the
 * architecture leaves it open, it is too.
 */
import { FIRST_LPI } from '../../arch/intid.ts'
import {
  DOUBLEWORD,
  type RegisterRow,
  readOnly,
  register64,
  WORD,
  ZERO_EXTENDED,
} from '../frames/register-map.ts'
import type { PhysicalInterrupts } from '../interrupts/physical-interrupts.ts'
import type { Lpis } from '../lpi/lpis.ts'
import type { Pe } from '../records/pe.ts'
import type { Residency } from '../vpe/residency.ts'

/** From RD_base. */
const VLPI_BASE = 0x2_0000

/** Whose registers they are. */
interface VirtualRedistributor {
  readonly physical: PhysicalInterrupts
  readonly lpis: Lpis | undefined
  readonly residency?: Residency | undefined
}

const V = 0x80000000 | 0
const VPEID = 0xffff

const baseRows: readonly RegisterRow<VirtualRedistributor, Pe>[] = [
  register64<VirtualRedistributor, Pe>(
    'GICR_VPROPBASER',
    VLPI_BASE + 0x70,
    8,
    ({ physical, residency }, pe, half) => residency?.readVpropbaser(physical.cpuOf(pe), half) ?? 0,
    ({ physical, residency }, pe, half, value) => residency?.writeVpropbaser(physical.cpuOf(pe), half, value),
  ),
  register64<VirtualRedistributor, Pe>(
    'GICR_VPENDBASER',
    VLPI_BASE + 0x78,
    8,
    ({ physical, residency }, pe, half) => residency?.readVpendbaser(physical.cpuOf(pe), half) ?? 0,
    ({ physical, residency }, pe, half, value) => residency?.writeVpendbaser(physical.cpuOf(pe), half, value),
  ),
]

/** A register that is written as a whole: its lower half is held until the upper one comes. */
const invalidate = (
  name: string,
  offset: number,
  act: (redistributor: VirtualRedistributor, cpu: number, lpi: number, vpe: number) => void,
): RegisterRow<VirtualRedistributor, Pe> => ({
  name,
  offset,
  length: 8,
  bits: 64,
  sizes: DOUBLEWORD | ZERO_EXTENDED,
  read: () => 0,
  write: (redistributor, pe, _n, half, value) => {
    const { residency, physical } = redistributor
    const cpu = physical.cpuOf(pe)
    if (half === 1) residency?.hold(cpu, value)
    else act(redistributor, cpu, (residency?.held(cpu) ?? 0) - FIRST_LPI, value & V ? value & VPEID : -1)
  },
})

const v41Rows: readonly RegisterRow<VirtualRedistributor, Pe>[] = [
  invalidate('GICR_INVLPIR', 0xa0, ({ lpis, residency }, cpu, lpi, vpe) => {
    if (vpe >= 0) residency?.invalidate(cpu, vpe, lpi)
    else lpis?.invalidate(cpu, lpi)
  }),
  invalidate('GICR_INVALLR', 0xb0, ({ lpis, residency }, cpu, _lpi, vpe) => {
    if (vpe >= 0) residency?.invalidateAll(cpu, vpe)
    else lpis?.invalidateAll(cpu)
  }),
  {
    name: 'GICR_VSGIR',
    offset: VLPI_BASE + 0x80,
    length: 4,
    bits: 0,
    sizes: WORD,
    read: () => 0,
    write: ({ physical, residency }, pe, _n, _count, value) =>
      residency?.querySgis(physical.cpuOf(pe), value & VPEID),
  },
  readOnly(
    'GICR_VSGIPENDR',
    VLPI_BASE + 0x88,
    ({ physical, residency }, pe) => residency?.readVsgipendr(physical.cpuOf(pe)) ?? 0,
  ),
]

/** By version. */
export const vlpiRows = { '4.0': baseRows, '4.1': [...baseRows, ...v41Rows] } as const
