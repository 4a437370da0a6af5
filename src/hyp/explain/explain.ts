/**
 * Why an interrupt is, or is not, delivered to a vCPU: a chain of conditions from the interrupt's own state through
 * the distributor, the ap_list and the list registers to the guest's CPU interface and PSTATE. All must hold; the
 * first that does not is the reason.
 *
 * Delivered means: if no other actor does anything, the interrupt is the next that the guest takes. If the guest runs
 * and nothing makes it exit, its list registers decide, whatever the hypervisor has in memory by now; otherwise the
 * state that the next entry will begin with.
 */

import { FIRST_LPI, FIRST_SPI, type Intid, intidName } from '../../arch/intid.ts'
import { argumentInteger } from '../../errors/arguments.ts'
import { conditionTable } from '../../gic/condition-table.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { VCPU_INDEX } from '../records/vcpu.ts'
import { type Irq, irqTarget } from '../records/vgic-irq.ts'
import { deliveryConditions, deliveryFacts } from './delivery-conditions.ts'
import { chain, type DeliveryCondition, type DeliveryReason, deliveryReasons } from './delivery-reasons.ts'

/** Why an interrupt is, or is not, delivered to a vCPU. It prints as a table. */
export class Explanation {
  /** Whether all conditions hold. */
  readonly delivered: boolean
  /** The reason of the first condition that does not hold; `taken` or `at-next-entry` if all do. */
  readonly reason: DeliveryReason

  /** @internal */
  constructor(
    /** The INTID. */
    readonly intid: number,
    /** The index of the vCPU. */
    readonly vcpu: number,
    reason: 'taken' | 'at-next-entry',
    /** The conditions in order; only the first for an interrupt that does not exist. */
    readonly conditions: readonly DeliveryCondition[],
  ) {
    const broken = conditions.find(({ holds }) => !holds)
    this.delivered = broken === undefined
    this.reason = broken ? chain[broken.name] : reason
  }

  /** `SPI 40 is not delivered to vcpu0: priority-masked`, what that means, and the conditions, one a line. */
  toString(): string {
    const { intid, vcpu, delivered, reason, conditions } = this
    const verdict = delivered ? 'is delivered' : 'is not delivered'
    const says = `${intidName(intid)} ${verdict} to vcpu${vcpu}: ${reason}. ${deliveryReasons[reason]}`
    return conditionTable(says, conditions)
  }

  /** The table, for Node's util.inspect. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/**
 * Explains the delivery of an interrupt to a vCPU, by its index; by default to the one that an SPI or an LPI is routed
 * to, and to vCPU 0 for others. The state does not change.
 */
export function explain(hypervisor: Hypervisor, intid: number, vcpu?: number): Explanation {
  const { layout, words, apLists } = hypervisor
  argumentInteger('intid', intid, 0, 0xff_ffff)
  if (vcpu !== undefined) argumentInteger('vcpu', vcpu, 0, layout.vcpuCount - 1)
  const found = handleOf(hypervisor, intid)
  if (found === 0) {
    const detail =
      intid >= FIRST_LPI && layout.itsCount > 0
        ? `no event is mapped to ${intidName(intid)}`
        : `the VM has INTIDs 0 to ${FIRST_SPI + layout.spiCount - 1}`
    return new Explanation(intid, vcpu ?? 0, 'taken', [{ name: 'exists', holds: false, detail }])
  }
  const target = intid < FIRST_SPI ? 0 : irqTarget(words[found])
  const v = hypervisor.vcpu(vcpu ?? (target < layout.vcpuCount ? target : 0))
  const facts = deliveryFacts(hypervisor, v, intid, intid < FIRST_SPI ? apLists.irqOf(v, intid) : found)
  return new Explanation(
    intid,
    words[v + VCPU_INDEX],
    facts.isInGuest ? 'taken' : 'at-next-entry',
    deliveryConditions(facts),
  )
}

/** The handle of an interrupt, a private one's of vCPU 0; 0 if there is none with this INTID. */
function handleOf({ apLists, layout }: Hypervisor, intid: Intid): Irq | 0 {
  if (intid >= FIRST_LPI) return apLists.lpis.find(intid)
  return intid < FIRST_SPI + layout.spiCount ? apLists.irqOf(apLists.vcpuOf(0), intid) : 0
}
