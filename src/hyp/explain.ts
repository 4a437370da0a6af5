/**
 * Why an interrupt is, or is not, delivered to a vCPU: a chain of conditions from the interrupt's own state through
 * the distributor, the ap_list and the list registers to the guest's CPU interface and PSTATE. All must hold; the
 * first that does not is the reason.
 *
 * Delivered means: if nobody else does anything, the interrupt is the next that the guest takes. If the guest runs
 * and nothing makes it leave, what counts is what its list registers hold, whatever the hypervisor has in memory by
 * now. Else what counts is the state that the next entry will begin with.
 */
import { FIRST_SPI, intidName } from '../arch/intid.ts'
import { argumentInteger } from '../state/arguments.ts'
import { deliveryConditions, deliveryFacts } from './delivery-conditions.ts'
import type { Hypervisor } from './hypervisor.ts'
import { VCPU_INDEX } from './vcpu.ts'
import { irqTarget } from './vgic-irq.ts'

/** Why an interrupt is, or is not, delivered: see {@link deliveryReasons}. */
export type DeliveryReason =
  | 'taken'
  | 'at-next-entry'
  | 'no-such-interrupt'
  | 'disabled'
  | 'active'
  | 'not-pending'
  | 'distributor-off'
  | 'routed-elsewhere'
  | 'not-queued'
  | 'not-told'
  | 'no-list-register'
  | 'group-off'
  | 'priority-masked'
  | 'running-priority'
  | 'outranked'
  | 'vcpu-off'
  | 'asleep'
  | 'pstate-masked'

/** What each reason means: the first two are why an interrupt is delivered, the others why not. */
export const deliveryReasons: Readonly<Record<DeliveryReason, string>> = {
  taken: 'The guest takes it at its next instruction.',
  'at-next-entry': 'The guest takes it when the vCPU enters it next.',
  'no-such-interrupt': 'The VM has no interrupt of this INTID.',
  disabled: 'It is disabled at the distributor or the redistributor.',
  active: 'It is active: a guest has acknowledged it, or said so, and has not deactivated it.',
  'not-pending': 'It is not pending: no edge was latched, and its line is low.',
  'distributor-off': 'The distributor forwards nothing: GICD_CTLR.EnableGrp1 is 0.',
  'routed-elsewhere': 'It is an SPI that is routed to another vCPU, or to none.',
  'not-queued':
    'It is not on the ap_list of the vCPU: nobody has queued it there since it could be delivered.',
  'not-told': 'The vCPU runs its guest, entered before the interrupt was queued, and nothing makes it leave.',
  'no-list-register': 'There are more interrupts than list registers, and others have them.',
  'group-off': 'Its group is disabled at the CPU interface: ICC_IGRPEN0_EL1 or ICC_IGRPEN1_EL1.',
  'priority-masked': 'Its priority is not higher than ICC_PMR_EL1.',
  'running-priority': 'Its group priority is not higher than the running priority, ICC_RPR_EL1.',
  outranked: 'Another pending interrupt comes first.',
  'vcpu-off': 'The vCPU is off.',
  asleep: 'The vCPU sleeps in its WFI and was not woken: unless somebody is about to, its wake-up was lost.',
  'pstate-masked': 'PSTATE.I, or PSTATE.F for group 0, masks it.',
}

/** The conditions in their order, and the reason that each is when it is the first that does not hold. */
const chain = {
  exists: 'no-such-interrupt',
  enabled: 'disabled',
  inactive: 'active',
  pending: 'not-pending',
  distributor: 'distributor-off',
  target: 'routed-elsewhere',
  ap_list: 'not-queued',
  told: 'not-told',
  'list register': 'no-list-register',
  group: 'group-off',
  'priority mask': 'priority-masked',
  'running priority': 'running-priority',
  first: 'outranked',
  on: 'vcpu-off',
  awake: 'asleep',
  PSTATE: 'pstate-masked',
} as const satisfies Record<string, DeliveryReason>

/** One link of the chain. */
export interface DeliveryCondition {
  /** What is asked. */
  readonly name: keyof typeof chain
  /** Whether it is so. */
  readonly holds: boolean
  /** By which state, in the words of the guest's registers where it has one. */
  readonly detail: string
}

/** Why an interrupt is, or is not, delivered to a vCPU. It prints as a table. */
export class Explanation {
  /** Whether all conditions hold. */
  readonly delivered: boolean
  /** The first condition that does not hold, or when the interrupt comes. */
  readonly reason: DeliveryReason

  /** @internal */
  constructor(
    /** The interrupt. */
    readonly intid: number,
    /** The vCPU. */
    readonly vcpu: number,
    reason: 'taken' | 'at-next-entry',
    /** The chain in order; of an interrupt that does not exist only the first link. */
    readonly conditions: readonly DeliveryCondition[],
  ) {
    const broken = conditions.find(({ holds }) => !holds)
    this.delivered = broken === undefined
    this.reason = broken ? chain[broken.name] : reason
  }

  /** `SPI 40 is not delivered to vcpu0: priority-masked`, what that means, and the conditions, one a line. */
  toString(): string {
    const { intid, vcpu, delivered, reason, conditions } = this
    const width = Math.max(...conditions.map(({ name }) => name.length))
    const broken = conditions.findIndex(({ holds }) => !holds)
    const rows = conditions.map(({ name, holds, detail }, i) => {
      const mark = holds ? 'yes' : i === broken ? 'NO ' : 'no '
      return `  ${name.padEnd(width)}  ${mark}  ${detail}`
    })
    const verdict = delivered ? 'is delivered' : 'is not delivered'
    return [
      `${intidName(intid)} ${verdict} to vcpu${vcpu}: ${reason}. ${deliveryReasons[reason]}`,
      ...rows,
    ].join('\n')
  }

  /** What Node's util.inspect prints. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/**
 * Explains an interrupt to a vCPU, by its index; an SPI without one to the vCPU that it is routed to, others to vCPU 0.
 * Changes nothing.
 */
export function explain(hypervisor: Hypervisor, intid: number, vcpu?: number): Explanation {
  const { place, words, apLists } = hypervisor
  argumentInteger('intid', intid, 0, 0xff_ffff)
  if (vcpu !== undefined) argumentInteger('vcpu', vcpu, 0, place.vcpuCount - 1)
  if (intid >= FIRST_SPI + place.spiCount) {
    const detail = `the VM has INTIDs 0 to ${FIRST_SPI + place.spiCount - 1}`
    return new Explanation(intid, vcpu ?? 0, 'taken', [{ name: 'exists', holds: false, detail }])
  }
  const target = intid < FIRST_SPI ? 0 : irqTarget(words[apLists.irqOf(0, intid)])
  const v = hypervisor.vcpu(vcpu ?? (target < place.vcpuCount ? target : 0))
  const facts = deliveryFacts(hypervisor, v, intid)
  return new Explanation(
    intid,
    words[v + VCPU_INDEX],
    facts.isInGuest ? 'taken' : 'at-next-entry',
    deliveryConditions(facts),
  )
}
