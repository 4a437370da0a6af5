/** What the list registers of a vCPU have while it is in its guest. */
import { joined } from '../../arch/doubleword.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { peOf, VCPU_HCR, VCPU_USED_LRS, type Vcpu } from '../records/vcpu.ts'

/**
 * The list registers of a vCPU in its guest: those that its last entry wrote, as its guest has changed them since.
 */
export interface ListRegisters {
  /**
   * ICH_HCR_EL2 as the last entry wrote it, with the EOIcount that has come since; 0 if it wrote nothing, because the
   * ap_list was empty.
   */
  readonly hcr: number
  /** `ICH_LR<n>_EL2`, all of them; 0 for one that ICH_ELRSR_EL2 reports as empty, which a hypervisor does not read. */
  readonly lr: readonly bigint[]
}

/** The list registers of a vCPU; all zero if it is not in its guest, or if its last entry wrote none. */
export function listRegistersOf(hypervisor: Hypervisor, v: Vcpu): ListRegisters {
  const { words, silicon, config, runLoop } = hypervisor
  const pe = peOf(words, v)
  const isInGuest = runLoop.isInGuest(v)
  const written = isInGuest && words[v + VCPU_USED_LRS] !== 0
  return {
    hcr: isInGuest ? hcrOf(words[v + VCPU_HCR], silicon.ich.readHcr(pe)) : 0,
    lr: Array.from({ length: config.listRegisters }, (_, n) =>
      written && ((silicon.virtualInterface.elrsr(pe) >> n) & 1) === 0
        ? joined(silicon.ich.readLrLow(pe, n), silicon.ich.readLrHigh(pe, n))
        : 0n,
    ),
  }
}

/** EOIcount, the topmost field of ICH_HCR_EL2. */
const EOICOUNT = 0xf8000000 | 0

/** ICH_HCR_EL2 as software wrote it, with the silicon's EOIcount; 0 if software wrote nothing. */
const hcrOf = (written: number, hcr: number): number =>
  written === 0 ? 0 : ((written & ~EOICOUNT) | (hcr & EOICOUNT)) >>> 0
