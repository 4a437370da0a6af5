/**
 * The hypervisor's state of an interrupt (KVM's struct vgic_irq): a packed word, and its link beside it. The word has its
 * configuration, its pending latch and input line, its active state, its target and the ap_list that it is on. The handle
 * of an interrupt is the offset of its word. While an interrupt is in a list register of a running guest, its pending and
 * active state is there and the word is stale, until the fold.
 */
import type { Brand } from '../../arch/brand.ts'
import { LR_PRIORITY_SHIFT, VMCR_VENG0, VMCR_VENG1 } from '../../arch/ich-registers.ts'
import { type BitRows, bitView, type Rows } from '../../state/rows.ts'
import {
  IRQ_ACTIVE,
  IRQ_AP_LIST_SHIFT,
  IRQ_EDGE,
  IRQ_ENABLED,
  IRQ_GROUP1,
  IRQ_HW,
  IRQ_LATCH,
  IRQ_LINE,
  IRQ_PRIORITY,
  IRQ_PRIORITY_SHIFT,
  IRQ_TARGET,
  IRQ_TARGET_SHIFT,
} from './vgic-irq-bits.ts'

export * from './vgic-irq-bits.ts'

/** The handle of an interrupt of a VM: the offset of its word. Not the word itself, and not its INTID. */
export type Irq = Brand<'Irq'>
export function asIrq(offset: number): Irq {
  return offset as Irq
}

/** Beside the word of an interrupt: the interrupt after it on its ap_list; 0 of the last, and of one that is on none. */
export const IRQ_LINK = 1
/** A private interrupt, or an SPI, has 1 << IRQ_SHIFT words: its own and its link. An LPI has a record (lpi-record.ts). */
export const IRQ_SHIFT = 1
/** The interrupt whose INTID is `n` more, of a private one of the same vCPU, or of an SPI. */
export const irqAfter = (irq: Irq, n: number): Irq => asIrq(irq + (n << IRQ_SHIFT))

/**
 * The fields of an interrupt's word. Its flags have the order that State, HW and Group have in the uppermost byte of
 * a list register, above them is the enable ({@link irqIsDeliverable}), and the trigger is where GICD_ICFGR has it.
 */
export const vgicIrqBits = {
  IRQ_AP_LIST: {
    name: 'apListOf',
    bits: [31, 24],
    says: 'One more than the index of the vCPU on whose ap_list the interrupt is; 0 if it is on none.',
  },
  IRQ_TARGET: {
    name: 'target',
    bits: [23, 16],
    says: 'The index of the vCPU that the interrupt is routed to.',
  },
  IRQ_DEACTIVATED: {
    name: 'deactivated',
    bits: 15,
    says: 'Another vCPU deactivated it while it was in a list register of its own.',
  },
  IRQ_PRIORITY: { name: 'priority', bits: [14, 7] },
  IRQ_ENABLED: { name: 'enabled', bits: 6, shift: true },
  IRQ_ACTIVE: { name: 'active', bits: 5, shift: true },
  IRQ_LATCH: {
    name: 'latch',
    bits: 4,
    says: 'Pending because of an edge, or because software said so.',
  },
  IRQ_HW: {
    name: 'hw',
    bits: 3,
    says: "Mapped to a physical interrupt, which the guest's deactivation deactivates.",
  },
  IRQ_GROUP1: { name: 'group1', bits: 2, shift: true },
  IRQ_EDGE: { name: 'edge', bits: 1, says: 'Edge-triggered; level-sensitive if clear.' },
  IRQ_LINE: {
    name: 'line',
    bits: 0,
    says: 'The level of the input line of a level-sensitive interrupt.',
  },
} as const satisfies BitRows
export const VGIC_IRQ_VIEW = bitView('vgic_irq', vgicIrqBits)

/** The two words of an interrupt, whose name `n` says. */
export const irqRows = (n: (element: number, index: number) => string) =>
  ({
    IRQ_WORD: {
      name: '<n>',
      n,
      class: 'authoritative',
      by: ['queue', 'lists'],
      says: 'Its packed word.',
      view: VGIC_IRQ_VIEW,
    },
    IRQ_LINK: {
      name: '<n> apNext',
      n,
      class: 'normalised',
      by: ['queue', 'lists'],
      says: 'The interrupt after it on its ap_list; 0 of the last, and of one that is on none.',
      means: 'word',
    },
  }) as const satisfies Rows

export const irqPriority = (word: number): number => (word & IRQ_PRIORITY) >>> IRQ_PRIORITY_SHIFT
/** The index of the vCPU that the interrupt is routed to. */
export const irqTarget = (word: number): number => (word & IRQ_TARGET) >>> IRQ_TARGET_SHIFT
/** One more than the index of the vCPU on whose ap_list the interrupt is; 0 if it is on none. */
export const irqApListOf = (word: number): number => word >>> IRQ_AP_LIST_SHIFT

/** The shift from an interrupt's flags to those of a list register's upper word. */
const LR_FLAGS_SHIFT = 26

/** The upper word of a list register for an interrupt, without the pending state. */
export const irqListRegister = (word: number): number =>
  ((word & (IRQ_ACTIVE | IRQ_HW | IRQ_GROUP1)) << LR_FLAGS_SHIFT) |
  ((word & IRQ_PRIORITY) << (LR_PRIORITY_SHIFT - IRQ_PRIORITY_SHIFT))
/** State of a list register's upper word, as IRQ_ACTIVE and IRQ_LATCH. */
export const irqStateOf = (high: number): number => (high >>> LR_FLAGS_SHIFT) & (IRQ_ACTIVE | IRQ_LATCH)

/** An edge is pending by its latch, a level by its latch or its line; an edge has no line. */
export const irqIsPending = (word: number): boolean => (word & (IRQ_LATCH | IRQ_LINE)) !== 0

const DELIVERY_BITS = IRQ_ENABLED | IRQ_ACTIVE | IRQ_LATCH | IRQ_LINE
/**
 * Whether an interrupt can be delivered: enabled, pending and not active. In a word the enable is above the active state, and
 * this above what is pending. So these bits are more than those of an interrupt that is enabled and nothing else, and less
 * than those of one that is enabled and active, which is one comparison.
 */
export const irqIsDeliverable = (word: number): boolean =>
  ((word & DELIVERY_BITS) - (IRQ_ENABLED + 1)) >>> 0 < IRQ_ACTIVE - 1

/** Whether its group is among those that are disabled at the guest's CPU interface: `off` has their VENG bits. */
export const irqGroupIsOff = (word: number, off: number): boolean =>
  (off & (word & IRQ_GROUP1 ? VMCR_VENG1 : VMCR_VENG0)) !== 0

/**
 * Whether an interrupt is mapped and level-sensitive: its pending state is that of the physical line, which is
 * sampled.
 */
export const irqIsMappedLevel = (word: number): boolean => (word & (IRQ_HW | IRQ_EDGE)) === IRQ_HW

/** Whether setting an input to `level`, 0 or 1, changes anything: a rise for an edge, which has no line; a change for a level. */
export const irqInputMoves = (word: number, level: number): boolean => (word & IRQ_LINE) !== level
/** The word after such a change: the edge is latched, or the line has the new level. */
export const irqWithInput = (word: number): number => (word & IRQ_EDGE ? word | IRQ_LATCH : word ^ IRQ_LINE)

/**
 * Whether an interrupt belongs on the ap_list of the vCPU with this index, which it is on: it is active, or it is
 * deliverable and routed to that vCPU.
 */
export const irqStaysOn = (word: number, index: number): boolean =>
  (word & IRQ_ACTIVE) !== 0 || (irqIsDeliverable(word) && irqTarget(word) === index)

/** The target field of an SPI whose GICD_IROUTER names no vCPU. */
export const TARGET_NONE = 0xff
/** The most vCPUs that the target field can name. */
export const MAX_VCPUS = 255
