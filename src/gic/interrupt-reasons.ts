/** The closed list of reasons why a CPU does, or does not, get a physical interrupt. */

/** Why a CPU does, or does not, get an interrupt: see {@link interruptReasons}. */
export type InterruptReason =
  | 'taken'
  | 'no-such-interrupt'
  | 'lpis-disabled'
  | 'intid-out-of-range'
  | 'disabled'
  | 'configuration-stale'
  | 'active'
  | 'not-pending'
  | 'distributor-off'
  | 'routed-elsewhere'
  | 'asleep'
  | 'group-off'
  | 'outranked'
  | 'priority-masked'
  | 'running-priority'
  | 'pstate-masked'

/** Each reason as a sentence: the first says why a CPU gets an interrupt, the others why it does not. */
export const interruptReasons: Readonly<Record<InterruptReason, string>> = {
  taken: 'Its output, IRQ or FIQ, is high for it, and the CPU takes it at its next instruction.',
  'no-such-interrupt': 'The GIC has no interrupt of this INTID.',
  'lpis-disabled': 'The redistributor takes no LPIs: GICR_CTLR.EnableLPIs is 0, or its effect is under way.',
  'intid-out-of-range': 'GICR_PROPBASER.IDbits is too small for the INTID.',
  disabled: 'It is disabled: in ISENABLER, or an LPI in its configuration table.',
  'configuration-stale':
    'The LPI is enabled in memory, but the redistributor knows it as disabled: no INV or INVALL was carried out since.',
  active: 'It is active: a CPU has acknowledged it, or written ISACTIVER, and has not deactivated it.',
  'not-pending': 'It is not pending: no edge is latched and its line is low, or no message came.',
  'distributor-off':
    'The distributor forwards nothing of its group: GICD_CTLR.EnableGrp0 or EnableGrp1 is 0.',
  'routed-elsewhere': 'Its GICD_IROUTER names another CPU, or none.',
  asleep: 'The redistributor forwards nothing to the CPU: GICR_WAKER.ChildrenAsleep is 1, as after a reset.',
  'group-off': 'Its group is disabled at the CPU interface: ICC_IGRPEN0_EL1 or ICC_IGRPEN1_EL1.',
  outranked: 'Another pending interrupt comes first.',
  'priority-masked': 'Its priority is not higher than ICC_PMR_EL1, which is 0 after a reset.',
  'running-priority': 'Its group priority is not higher than the running priority, ICC_RPR_EL1.',
  'pstate-masked':
    'The output is high for it, and PSTATE masks it as far as the GIC knows: setMasks() and setExceptionLevel() tell it.',
}

/** A condition for a CPU to get an interrupt. */
export interface InterruptCondition {
  /** What is asked. */
  readonly name: string
  /** Whether it is so. */
  readonly holds: boolean
  /** By which register or state. */
  readonly detail: string
}
