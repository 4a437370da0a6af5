/**
 * The record of a PE: all state of one CPU, from PSTATE to list registers, so that one word offset is the handle of
 * all of it.
 */
import type { Brand } from '../../arch/brand.ts'
import { field, res0, res1, view } from '../../arch/field.ts'
import {
  GICR_CTLR_VIEW,
  GICR_PENDBASER_VIEW,
  GICR_PROPBASER_VIEW,
  GICR_WAKER_VIEW,
} from '../../arch/gicr-registers.ts'
import { HCR_EL2_VIEW } from '../../arch/hcr-el2.ts'
import { ICH_HCR_VIEW, ICH_VMCR_VIEW, listRegisterView } from '../../arch/ich-registers.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { type RecordType, recordType, type Writer } from '../../state/layout.ts'
import { type Constant, offsetConstants, type Rows, wordsOf } from '../../state/rows.ts'
import { blockRows } from './interrupts.ts'
import { PSTATE_VIEW } from './pstate.ts'

export * from './pe-offsets.ts'

/** The handle of a PE: the word offset of its record. */
export type Pe = Brand<'Pe'>
export function asPe(offset: number): Pe {
  return offset as Pe
}

/**
 * The steps of a thread or of its guest on the PE, and the IPI of a kick that is sent there. Of the physical side they
 * change the highest priority pending interrupt, and which SGIs and PPIs are pending, active and candidates: the host's
 * registers stay as they were set up, and the host acknowledges and drops the priority in one step. A guest that
 * accesses the physical CPU interface, because HCR_EL2 does not route it to the virtual one, may change every word.
 */
const PE: readonly Writer[] = ['pe', 'lists', 'guest', 'notify']
/** An IPI leaves what the hypervisor and the guest see of the virtual side as it is. */
const VIRTUAL: readonly Writer[] = ['pe', 'lists', 'guest']
/** What a load writes, of which a flush and a fold leave the active priorities alone. */
const LOADED: readonly Writer[] = [...VIRTUAL, 'load']
const INTERFACE: readonly Writer[] = ['pe', 'guest', 'load']

/**
 * The control word of a CPU interface: the fields of ICC_PMR, ICC_BPR0, ICC_BPR1, ICC_CTLR and `ICC_IGRPEN<n>`, with
 * the bit numbers that they have in ICH_VMCR_EL2.
 */
const ICC_CONTROLS_VIEW = view('ICC', 32, [
  field('ICC_PMR_EL1', 31, 24),
  field('ICC_BPR0_EL1', 23, 21),
  field('ICC_BPR1_EL1', 20, 18),
  res0(17, 10),
  field('ICC_CTLR_EL1.EOImode', 9),
  res0(8, 5),
  field('ICC_CTLR_EL1.CBPR', 4),
  res1(3),
  res0(2),
  field('ICC_IGRPEN1_EL1', 1),
  field('ICC_IGRPEN0_EL1', 0),
])

export const peRows = {
  PCPU_PSTATE: {
    name: 'PSTATE',
    class: 'authoritative',
    by: [...PE, 'sched'],
    says: 'PSTATE with the event register and what the PE waits in, bits 7:0, and SPSR_EL2, bits 15:8: see {@link PSTATE_VIEW}. Exceptions to EL2 and returns from it move the one half to the other.',
    view: PSTATE_VIEW,
  },
  ICH_HCR: {
    name: 'ICH_HCR_EL2',
    class: 'authoritative',
    by: LOADED,
    says: 'ICH_HCR_EL2.',
    view: ICH_HCR_VIEW,
  },
  PCPU_HCR_EL2: {
    name: 'HCR_EL2',
    wide: true,
    class: 'authoritative',
    by: LOADED,
    says: 'HCR_EL2, two words; all that has an effect here is in the lower.',
    view: HCR_EL2_VIEW,
  },
  ICH_VMCR: {
    name: 'ICH_VMCR_EL2',
    class: 'authoritative',
    by: LOADED,
    says: 'The virtual interface: {@link CONTROLS}.',
    view: ICH_VMCR_VIEW,
  },
  PE_LINES: {
    name: 'lines',
    class: 'derived',
    by: PE,
    says: "Derived: the levels of a PE's outputs as the host knows them, LINE_ bits.",
  },
  ICH_LR_STATUS: {
    name: 'lrStatus',
    class: 'derived',
    by: VIRTUAL,
    says: "Derived from the list registers: bit n is set if list register n is pending, bit 16 + n if it is valid or waits for its EOI to be seen, that is if ICH_ELRSR_EL2's bit n is clear. Whoever changes a list register's upper word does it by {@link setListRegister}, which keeps this.",
  },
  ICC_HPPIR: {
    name: 'ICC_HPPIR',
    class: 'derived',
    by: PE,
    says: 'The physical interface: {@link HIGHEST_PENDING}.',
  },
  ICH_AP0R: {
    name: 'ICH_AP0R<n>_EL2',
    count: 4,
    class: 'authoritative',
    by: INTERFACE,
    says: 'The virtual interface: {@link ACTIVE_PRIORITIES_0}.',
  },
  ICH_AP1R: {
    name: 'ICH_AP1R<n>_EL2',
    count: 4,
    class: 'authoritative',
    by: INTERFACE,
    says: 'The virtual interface: {@link ACTIVE_PRIORITIES_1}.',
  },
  ICC_CONTROLS: {
    name: 'ICC',
    class: 'authoritative',
    by: [],
    says: 'The physical interface: {@link CONTROLS}.',
    view: ICC_CONTROLS_VIEW,
    packed: true,
  },
  PCPU_TRAP: {
    name: 'trap',
    class: 'observational',
    by: [],
    says: 'Syndrome of the last access or instruction that trapped or was UNDEFINED; 0 if it did not.',
  },
  GICR_CTLR: {
    name: 'GICR_CTLR',
    class: 'authoritative',
    by: [],
    says: 'GICR_CTLR.',
    view: GICR_CTLR_VIEW,
  },
  GICR_WAKER: {
    name: 'GICR_WAKER',
    class: 'authoritative',
    by: [],
    says: 'GICR_WAKER.',
    view: GICR_WAKER_VIEW,
  },
  ICC_AP0R: {
    name: 'ICC_AP0R<n>_EL1',
    count: 4,
    class: 'authoritative',
    by: [],
    says: 'The physical interface: {@link ACTIVE_PRIORITIES_0}.',
  },
  ICC_AP1R: {
    name: 'ICC_AP1R<n>_EL1',
    count: 4,
    class: 'authoritative',
    by: [],
    says: 'The physical interface: {@link ACTIVE_PRIORITIES_1}.',
  },
  GICR_PROPBASER: {
    name: 'GICR_PROPBASER',
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'GICR_PROPBASER.',
    view: GICR_PROPBASER_VIEW,
  },
  GICR_PENDBASER: {
    name: 'GICR_PENDBASER',
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'GICR_PENDBASER.',
    view: GICR_PENDBASER_VIEW,
  },
  GICR_BLOCK: { rows: blockRows('GICR', () => 0), says: 'The block of its SGIs and PPIs: interrupts.ts.' },
  ICH_LR: {
    name: 'ICH_LR<n>_EL2',
    count: (listRegisters) => listRegisters,
    wide: true,
    class: 'authoritative',
    by: VIRTUAL,
    says: 'Pairs of words, the last of the record.',
    view: listRegisterView,
  },
} as const satisfies Rows<number>

export const peRecord = (listRegisters: number): RecordType =>
  recordType('pe[<n>]', wordsOf(peRows, listRegisters))

/** Words that both CPU interfaces have, by their names in each. */
const twins = [
  ['ICH_VMCR', 'ICC_CONTROLS'],
  ['ICH_AP0R', 'ICC_AP0R'],
  ['ICH_AP1R', 'ICC_AP1R'],
] as const

/**
 * The offsets of a CPU interface's words from its handle. The handle of the virtual interface is the PE's record;
 * that of the physical one is at a distance at which both have the same words at the same offsets.
 */
export function interfaceConstants(): Constant[] {
  const offsets = new Map(offsetConstants(peRows).map(({ name, value }) => [name, value]))
  const at = (name: keyof typeof peRows): number => offsets.get(name) ?? 0
  const distance = at('ICC_CONTROLS') - at('ICH_VMCR')
  for (const [inVirtual, inPhysical] of twins) {
    if (at(inPhysical) - at(inVirtual) === distance) continue
    throw new VgicError('argument', `${inPhysical} must lie ${distance} words behind ${inVirtual}.`)
  }
  return [
    {
      name: 'PHYSICAL_INTERFACE',
      value: distance,
      says: "The handle of a PE's physical interface, from the PE's record.",
    },
    {
      name: 'HIGHEST_PENDING',
      value: at('ICC_HPPIR') - distance,
      says: 'From the handle of the physical interface only. Derived: the highest priority pending interrupt that is forwarded to it, as the upper word of a list register with the INTID in bits 15:0, which for an LPI is 8192, whichever it is; 0 if there is none. Negative if it is held back because the PE sleeps, which is its wake request.',
    },
    { name: 'CONTROLS', value: at('ICH_VMCR'), says: 'The control word, with the fields of ICH_VMCR_EL2.' },
    {
      name: 'ACTIVE_PRIORITIES_0',
      value: at('ICH_AP0R'),
      says: 'Four words; how many exist follows from the preemption bits.',
    },
    {
      name: 'ACTIVE_PRIORITIES_1',
      value: at('ICH_AP1R'),
      says: 'Four words; how many exist follows from the preemption bits.',
    },
  ]
}
