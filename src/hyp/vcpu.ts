/**
 * A vCPU's record: its host thread (program counter, task state, sections), its half of the vGIC (shadow
 * registers, ap_list, private interrupts), its guest, and what it cost. The handle of a vCPU is the word
 * offset of its record.
 */
import { ICH_HCR_VIEW, ICH_VMCR_VIEW, listRegisterView } from '../arch/ich.ts'
import { DAIF_VIEW } from '../gic/pcpu.ts'
import { type RecordType, recordType } from '../state/layout.ts'
import { guestWords } from './guest.ts'
import { VGIC_IRQ_VIEW } from './vgic-irq.ts'

/** Where its thread is in the design's step table; 0 when the vCPU is off. */
export const VCPU_PC = 0
/** Its index in the VM. */
export const VCPU_INDEX = 1
/** The record of the PE that its thread runs on; 0 if none. */
export const VCPU_PE = 2
/** Its thread's task state, TASK_ values. */
export const VCPU_TASK = 3
/** MODE_ values, as a kick reads them. */
export const VCPU_MODE = 4
/** Pending requests, REQ_ bits. */
export const VCPU_REQUESTS = 5
/** Depth of preemption-off sections. */
export const VCPU_PREEMPT_OFF = 6
/** 1 inside an interrupts-off section. */
export const VCPU_IRQS_OFF = 7
/** Why it left the guest, EXIT_ values, and the syndrome and data of a trapped access. */
export const VCPU_EXIT = 8
export const VCPU_ESR = 9
/** 1 while its CPU interface state is in the hardware: from load to put. */
export const VCPU_LOADED = 10
/** 1 while its WFI is being handled: it waits for an interrupt. */
export const VCPU_WAITING = 11
/** 1 once the interrupt that a kick sends to its PE is on the way. */
export const VCPU_KICKED = 12
/** Shadow of ICH_VMCR_EL2: stale while loaded. */
export const VCPU_VMCR = 13
export const VCPU_HCR = 14
/** How many list registers the last flush filled and no fold has read. */
export const VCPU_USED_LRS = 15
export const VCPU_AP0R = 16
export const VCPU_AP1R = 20
/** How many interrupts are on its ap_list. */
export const VCPU_AP_COUNT = 24
/** Accesses to system registers that the hypervisor made for it. */
export const VCPU_SYSREG_READS = 25
export const VCPU_SYSREG_WRITES = 26
/** How often it left the guest. */
export const VCPU_EXITS = 27
/** How often it slept. */
export const VCPU_SLEEPS = 28
/** The guest register of a trapped MSR, bits 31:0 and 63:32. */
export const VCPU_DATA = 29
/** The guest's PSTATE.I and F while the vCPU is not in the guest, as SPSR_EL2 has them. */
export const VCPU_DAIF = 31
/** Its SGIs and PPIs, one word each; the guest's words, see guest.ts, are before them. */
export const VCPU_IRQ = 52
/** The list registers as they were written to or read from the hardware, pairs of words. */
export const VCPU_LR = 84

export const TASK_RUNNING = 0
/** Set before the last look at the wake condition; only then may the thread sleep. */
export const TASK_SLEEPING = 1
/** The vCPU is off. */
export const TASK_OFF = 2

export const MODE_OUTSIDE = 0
export const MODE_IN_GUEST = 1
export const MODE_EXITING = 2

/** An interrupt was queued: KVM_REQ_IRQ_PENDING. */
export const REQ_IRQ_PENDING = 0x1

/** Why a vCPU left the guest. */
export const EXIT_IRQ = 0
export const EXIT_WFI = 1
export const EXIT_WFE = 2
export const EXIT_SYSREG = 3
export const EXIT_HVC = 4
export const EXIT_OFF = 5
/** Their names, by value. */
export const exitNames = ['irq', 'wfi', 'wfe', 'sysreg', 'hvc', 'off'] as const

/** The record of a vCPU for a number of list registers and of interrupts that can be on an ap_list. */
export function vcpuRecord(listRegisters: number, interrupts: number): RecordType {
  return recordType(
    'vcpu',
    [
      { name: 'pc', at: VCPU_PC, class: 'authoritative' },
      { name: 'index', at: VCPU_INDEX, class: 'authoritative' },
      { name: 'pe', at: VCPU_PE, class: 'normalised' },
      { name: 'task', at: VCPU_TASK, class: 'authoritative' },
      { name: 'mode', at: VCPU_MODE, class: 'authoritative' },
      { name: 'requests', at: VCPU_REQUESTS, class: 'authoritative' },
      { name: 'preemptOff', at: VCPU_PREEMPT_OFF, class: 'authoritative' },
      { name: 'irqsOff', at: VCPU_IRQS_OFF, class: 'authoritative' },
      { name: 'exit', at: VCPU_EXIT, class: 'normalised' },
      { name: 'esr', at: VCPU_ESR, class: 'normalised' },
      { name: 'loaded', at: VCPU_LOADED, class: 'authoritative' },
      { name: 'waiting', at: VCPU_WAITING, class: 'authoritative' },
      { name: 'kicked', at: VCPU_KICKED, class: 'authoritative' },
      { name: 'vmcr', at: VCPU_VMCR, class: 'authoritative', view: ICH_VMCR_VIEW },
      { name: 'hcr', at: VCPU_HCR, class: 'authoritative', view: ICH_HCR_VIEW },
      { name: 'usedLrs', at: VCPU_USED_LRS, class: 'authoritative' },
      { name: 'ap0r', at: VCPU_AP0R, count: 4, class: 'authoritative' },
      { name: 'ap1r', at: VCPU_AP1R, count: 4, class: 'authoritative' },
      { name: 'apCount', at: VCPU_AP_COUNT, class: 'authoritative' },
      { name: 'sysregReads', at: VCPU_SYSREG_READS, class: 'observational' },
      { name: 'sysregWrites', at: VCPU_SYSREG_WRITES, class: 'observational' },
      { name: 'exits', at: VCPU_EXITS, class: 'observational' },
      { name: 'sleeps', at: VCPU_SLEEPS, class: 'observational' },
      { name: 'data', at: VCPU_DATA, count: 2, class: 'normalised' },
      { name: 'daif', at: VCPU_DAIF, class: 'normalised', view: DAIF_VIEW },
      { name: 'irq', at: VCPU_IRQ, count: 32, class: 'authoritative', view: VGIC_IRQ_VIEW },
      {
        name: 'lr',
        at: VCPU_LR,
        count: listRegisters,
        wide: true,
        class: 'normalised',
        view: listRegisterView,
      },
      { name: 'apList', at: apListOffset(listRegisters), count: interrupts, class: 'normalised' },
    ],
    guestWords,
  )
}

/** Where the ap_list begins in a vCPU's record. Its entries are handles of interrupts, its free slots 0. */
export const apListOffset = (listRegisters: number): number => VCPU_LR + 2 * listRegisters
