/**
 * An interrupt as the hypervisor keeps it (KVM's struct vgic_irq), one packed word: its configuration, its
 * pending latch and input line, whether it is active, where it goes and on whose ap_list it is. The handle of
 * an interrupt is the offset of its word. While an interrupt sits in a list register of a running guest, its
 * pending and active state is there and the word is stale; fold brings it back.
 */
import { field, view } from '../../arch/field.ts'
import { VMCR_VENG0, VMCR_VENG1 } from '../../arch/ich-registers.ts'

/**
 * The bits of an interrupt's word. Its flags are where the uppermost byte of a list register has State, HW and
 * Group.
 */
export const VGIC_IRQ_VIEW = view('vgic_irq', 32, [
  field('apListOf', 31, 24),
  field('target', 23, 16),
  field('priority', 15, 8),
  field('active', 7),
  field('latch', 6),
  field('hw', 5),
  field('group1', 4),
  field('enabled', 3),
  field('line', 2),
  field('edge', 1),
  field('deactivated', 0),
])

/** Another vCPU deactivated it while it was in a list register of its own. */
export const IRQ_DEACTIVATED = 0x1
/** Edge-triggered; level-sensitive if clear. */
export const IRQ_EDGE = 0x2
/** The level of the input line of a level-sensitive interrupt. */
export const IRQ_LINE = 0x4
export const IRQ_ENABLED = 0x8
export const IRQ_GROUP1 = 0x10
/** Mapped to a physical interrupt, which the guest's deactivation deactivates. */
export const IRQ_HW = 0x20
/** Pending because of an edge, or because software said so. */
export const IRQ_LATCH = 0x40
export const IRQ_ACTIVE = 0x80
export const IRQ_PRIORITY_SHIFT = 8
export const irqPriority = (irq: number): number => (irq >>> 8) & 0xff
/** The index of the vCPU that the interrupt is routed to. */
export const irqTarget = (irq: number): number => (irq >>> 16) & 0xff
export const IRQ_TARGET_SHIFT = 16
/** One more than the index of the vCPU on whose ap_list the interrupt is; 0 if it is on none. */
export const irqApListOf = (irq: number): number => irq >>> 24
export const IRQ_AP_LIST_SHIFT = 24
export const IRQ_AP_LIST_MASK = 0xff000000 | 0

/** The upper word of a list register with an interrupt, but for its pending state. */
export const irqListRegister = (irq: number): number => ((irq & 0xb0) << 24) | ((irq & 0xff00) << 8)
/** The upper word's State as IRQ_ACTIVE and IRQ_LATCH. */
export const irqStateOf = (high: number): number => (high >>> 24) & 0xc0

/** An edge is pending by its latch, a level by its latch or its line; an edge has no line. */
export const irqIsPending = (irq: number): boolean => (irq & 0x44) !== 0

/** Enabled, pending and not active: it asks for the guest's attention. */
export const irqIsDeliverable = (irq: number): boolean => (irq & 0x88) === IRQ_ENABLED && (irq & 0x44) > 0

/** Whether its group is among those that are disabled at the guest's CPU interface: `off` has their VENG bits. */
export const irqGroupIsOff = (irq: number, off: number): boolean =>
  (off & (irq & IRQ_GROUP1 ? VMCR_VENG1 : VMCR_VENG0)) !== 0

/** As pending as the line of its physical interrupt, which is sampled. */
export const irqIsMappedLevel = (irq: number): boolean => (irq & (IRQ_HW | IRQ_EDGE)) === IRQ_HW

/** Whether a level that an input takes is news: a rise for an edge, a change of a line. */
export const irqInputMoves = (irq: number, level: number): boolean =>
  irq & IRQ_EDGE ? level !== 0 : (irq & IRQ_LINE) !== level << 2
/** The word after that: the edge is latched, or the line has changed. */
export const irqWithInput = (irq: number): number => (irq & IRQ_EDGE ? irq | IRQ_LATCH : irq ^ IRQ_LINE)

/**
 * Whether an interrupt on the ap_list of a vCPU, given by its index, belongs there: an active one does, and one that
 * is deliverable and routed to it.
 */
export const irqStaysOn = (irq: number, index: number): boolean =>
  (irq & IRQ_ACTIVE) !== 0 || (irqIsDeliverable(irq) && irqTarget(irq) === index)

/** The target of an SPI whose GICD_IROUTER names no vCPU. */
export const TARGET_NONE = 0xff
/** The most vCPUs that the word can name. */
export const MAX_VCPUS = 255
