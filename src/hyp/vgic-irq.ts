/**
 * An interrupt as the hypervisor keeps it (KVM's struct vgic_irq), one packed word: its configuration, its
 * pending latch and input line, whether it is active, where it goes and on whose ap_list it is. The handle of
 * an interrupt is the offset of its word. While an interrupt sits in a list register of a running guest, its
 * pending and active state is there and the word is stale; fold brings it back.
 */
import { field, view } from '../arch/field.ts'

/**
 * The bits of an interrupt's word. The upper byte and the priority are where the upper word of a list register has
 * State, HW, Group and Priority.
 */
export const VGIC_IRQ_VIEW = view('vgic_irq', 32, [
  field('active', 31),
  field('latch', 30),
  field('hw', 29),
  field('group1', 28),
  field('enabled', 27),
  field('line', 26),
  field('edge', 25),
  field('deactivated', 24),
  field('priority', 23, 16),
  field('target', 15, 8),
  field('apListOf', 7, 0),
])

export const IRQ_ACTIVE = 0x80000000 | 0
/** Pending because of an edge, or because software said so. */
export const IRQ_LATCH = 0x40000000
/** Mapped to a physical interrupt, which the guest's deactivation deactivates. */
export const IRQ_HW = 0x20000000
export const IRQ_GROUP1 = 0x10000000
export const IRQ_ENABLED = 0x8000000
/** The level of the input line of a level-sensitive interrupt. */
export const IRQ_LINE = 0x4000000
/** Edge-triggered; level-sensitive if clear. */
export const IRQ_EDGE = 0x2000000
/** Another vCPU deactivated it while it was in a list register of its own. */
export const IRQ_DEACTIVATED = 0x1000000
export const IRQ_PRIORITY_SHIFT = 16
export const irqPriority = (irq: number): number => (irq >>> 16) & 0xff
/** The index of the vCPU that the interrupt is routed to. */
export const irqTarget = (irq: number): number => (irq >>> 8) & 0xff
export const IRQ_TARGET_SHIFT = 8
/** One more than the index of the vCPU on whose ap_list the interrupt is; 0 if it is on none. */
export const irqApListOf = (irq: number): number => irq & 0xff
export const IRQ_AP_LIST_MASK = 0xff
/** What an interrupt's word and the upper word of its list register have in common, but for the state. */
export const IRQ_IN_LR = 0x30ff0000

/** An edge is pending by its latch, a level by its latch or its line; an edge has no line. */
export const irqIsPending = (irq: number): boolean => (irq & (IRQ_LATCH | IRQ_LINE)) !== 0

/** Enabled, pending and not active: it asks for the guest's attention. */
export const irqIsDeliverable = (irq: number): boolean =>
  (irq & (IRQ_ENABLED | IRQ_ACTIVE)) === IRQ_ENABLED && (irq & (IRQ_LATCH | IRQ_LINE)) !== 0

/** The most vCPUs that the word can name. */
export const MAX_VCPUS = 255
