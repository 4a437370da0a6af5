/** The conditions for a message to raise an IRQ, and the closed list of reasons why it does, or does not. */
import { link } from './condition-table.ts'
import { TRANSLATED, type TranslationFault, translationFaults } from './config/translation-faults.ts'

/** Why a message does, or does not, raise an IRQ: see {@link msiReasons}. */
export type MsiReason =
  | 'signalled'
  | TranslationFault
  | 'not-translated'
  | 'disabled'
  | 'configuration-stale'
  | 'not-pending'
  | 'not-resident'
  | 'distributor-off'
  | 'asleep'
  | 'virtual-group-off'
  | 'interface-off'
  | 'injection-off'
  | 'group-off'
  | 'outranked'
  | 'priority-masked'
  | 'running-priority'

/**
 * What each reason means: the first is why the IRQ line is high for it, the others why it is not. For an event that has a
 * vLPI, the line and the CPU interface are the virtual ones of the CPU that its vPE is mapped to.
 */
export const msiReasons: Readonly<Record<MsiReason, string>> = {
  signalled: 'The IRQ line of the CPU is high for it.',
  'its-disabled': 'The ITS takes no messages: GITS_CTLR.Enabled is 0.',
  'memory-refused': 'The memory that the tables are in refused an access.',
  'device-out-of-range':
    'The device table has no entry for the DeviceID, or it has more bits than GITS_TYPER allows.',
  'device-unmapped': 'The device has no ITT: no MAPD was carried out.',
  'event-out-of-range': 'The EventID has more bits than the MAPD of its device gave it.',
  'event-unmapped':
    'The event has no LPI or vLPI: no MAPTI, MAPI, VMAPTI or VMAPI was carried out, or a DISCARD.',
  'collection-unmapped': 'The collection of the event goes to no redistributor: no MAPC was carried out.',
  'vpe-unmapped': 'The vPE of the event goes to no redistributor: no VMAPP was carried out.',
  'lpis-disabled': 'The redistributor takes no LPIs: GICR_CTLR.EnableLPIs is 0, or its effect is under way.',
  'intid-out-of-range': 'GICR_PROPBASER.IDbits, or for a vLPI VPT_size of VMAPP, is too small for the INTID.',
  'not-translated': 'The message was accepted, and its translation is still under way.',
  disabled: 'The LPI is disabled in its configuration.',
  'configuration-stale':
    'The LPI is enabled in memory, but the redistributor knows it as disabled: no INV, INVALL or VINVALL was carried out since.',
  'not-pending': 'The LPI is not pending: no message came, or it was acknowledged, cleared or moved.',
  'not-resident':
    'The vPE is not resident: the vLPI waits in its virtual pending table, and a doorbell may tell.',
  'distributor-off': 'The distributor forwards nothing of group 1: GICD_CTLR.EnableGrp1 is 0.',
  asleep: 'The redistributor forwards nothing: GICR_WAKER.ChildrenAsleep is 1.',
  'virtual-group-off': 'The redistributor presents nothing of group 1: GICR_VPENDBASER.VGrp1En is 0.',
  'interface-off': 'The virtual CPU interface signals nothing: ICH_HCR_EL2.En is 0.',
  'injection-off': 'Direct interrupts are not signalled: ICH_HCR_EL2.DVIM is 1.',
  'group-off': 'Group 1 is disabled at the CPU interface: ICC_IGRPEN1_EL1.',
  outranked: 'Another pending interrupt comes first.',
  'priority-masked': 'Its priority is not higher than ICC_PMR_EL1.',
  'running-priority': 'Its group priority is not higher than the running priority, ICC_RPR_EL1.',
}

/** One link of the chain. */
export interface MsiCondition {
  /** What is asked. */
  readonly name: string
  /** Whether it is so. */
  readonly holds: boolean
  /** By which state. */
  readonly detail: string
}

export interface Link extends MsiCondition {
  /** The reason, if it is the first that does not hold. */
  readonly reason: MsiReason
}

/** One by what a look into the tables has found. */
export function translationLink(name: string, what: string, fault: number): Link {
  if (fault === TRANSLATED) return link(name, true, `${what} is mapped`, 'signalled')
  return link(name, false, what, translationFaults[fault])
}
