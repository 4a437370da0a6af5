/**
 * An interrupt as the hypervisor keeps it (KVM's struct vgic_irq), one packed word: its configuration, its
 * pending latch and input line, whether it is active, where it goes and on whose ap_list it is. The handle of
 * an interrupt is the offset of its word. While an interrupt sits in a list register of a running guest, its
 * pending and active state is there and the word is stale; fold brings it back.
 */
import { field, view } from '../arch/field.ts'

/** The bits of an interrupt's word. */
export const VGIC_IRQ_VIEW = view('vgic_irq', 32, [
  field('apListOf', 31, 24),
  field('target', 23, 16),
  field('priority', 15, 8),
  field('deactivated', 7),
  field('hw', 6),
  field('group1', 5),
  field('edge', 4),
  field('active', 3),
  field('line', 2),
  field('latch', 1),
  field('enabled', 0),
])

export const IRQ_ENABLED = 0x1
/** Pending because of an edge, or because software said so. */
export const IRQ_LATCH = 0x2
/** The level of the input line. */
export const IRQ_LINE = 0x4
export const IRQ_ACTIVE = 0x8
/** Edge-triggered; level-sensitive if clear. */
export const IRQ_EDGE = 0x10
export const IRQ_GROUP1 = 0x20
/** Mapped to a physical interrupt, which the guest's deactivation deactivates. */
export const IRQ_HW = 0x40
/** Another vCPU deactivated it while it was in a list register of its own. */
export const IRQ_DEACTIVATED = 0x80
export const IRQ_PRIORITY_SHIFT = 8
export const irqPriority = (irq: number): number => (irq >>> 8) & 0xff
/** The index of the vCPU that the interrupt is routed to. */
export const irqTarget = (irq: number): number => (irq >>> 16) & 0xff
export const IRQ_TARGET_SHIFT = 16
/** One more than the index of the vCPU on whose ap_list the interrupt is; 0 if it is on none. */
export const irqApListOf = (irq: number): number => irq >>> 24
export const IRQ_AP_LIST_SHIFT = 24
export const IRQ_AP_LIST_MASK = 0xff000000 | 0

/** An edge is pending by its latch, a level by its latch or its line. */
export const irqIsPending = (irq: number): boolean =>
  (irq & (irq & IRQ_EDGE ? IRQ_LATCH : IRQ_LATCH | IRQ_LINE)) !== 0

/** Enabled, pending and not active: it asks for the guest's attention. */
export const irqIsDeliverable = (irq: number): boolean =>
  (irq & (IRQ_ENABLED | IRQ_ACTIVE)) === IRQ_ENABLED && irqIsPending(irq)

/** The most vCPUs that the word can name. */
export const MAX_VCPUS = 255
