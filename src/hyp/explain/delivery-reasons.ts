/** The conditions of a delivery, and the reason that each gives when it does not hold. */

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

/** Each reason as a sentence: the first two say why an interrupt is delivered, the others why it is not. */
export const deliveryReasons: Readonly<Record<DeliveryReason, string>> = {
  taken: 'The guest takes it at its next instruction.',
  'at-next-entry': 'The guest takes it when the vCPU enters it next.',
  'no-such-interrupt': 'The VM has no interrupt of this INTID.',
  disabled: 'It is disabled at the distributor or the redistributor.',
  active: 'It is active: a guest has acknowledged it, or written ISACTIVER, and has not deactivated it.',
  'not-pending': 'It is not pending: no edge was latched, and its line is low.',
  'distributor-off': 'The distributor forwards nothing: GICD_CTLR.EnableGrp1 is 0.',
  'routed-elsewhere': 'It is an SPI that is routed to another vCPU, or to none.',
  'not-queued': 'It is not on the ap_list of the vCPU: it has not been queued since it became deliverable.',
  'not-told': 'The vCPU runs its guest, entered before the interrupt was queued, and nothing makes it leave.',
  'no-list-register': 'There are more interrupts than list registers, and others have them.',
  'group-off': 'Its group is disabled at the CPU interface: ICC_IGRPEN0_EL1 or ICC_IGRPEN1_EL1.',
  'priority-masked': 'Its priority is not higher than ICC_PMR_EL1.',
  'running-priority': 'Its group priority is not higher than the running priority, ICC_RPR_EL1.',
  outranked: 'Another pending interrupt comes first.',
  'vcpu-off': 'The vCPU is off.',
  asleep: 'The vCPU sleeps in its WFI and was not woken: its wake-up is under way, or lost.',
  'pstate-masked': 'PSTATE.I, or PSTATE.F for group 0, masks it.',
}

/** The conditions in their order, each with the reason that it gives when it is the first that does not hold. */
export const chain = {
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

/** A condition of the chain. */
export interface DeliveryCondition {
  /** The name of the condition. */
  readonly name: keyof typeof chain
  /** Whether it holds. */
  readonly holds: boolean
  /** The state that decides it, as the guest's register if there is one. */
  readonly detail: string
}
