/**
 * A vCPU's record: its host thread (program counters, task state, sections), its part of the vGIC (shadow registers,
 * ap_list, private interrupts), its timers, its guest, and its counters. The handle of a vCPU is the word offset of
 * its record.
 */

import type { Brand } from '../../arch/brand.ts'
import { ICH_HCR_VIEW, ICH_VMCR_VIEW } from '../../arch/ich-registers.ts'
import { FIRST_SPI, type Intid, intidName } from '../../arch/intid.ts'
import { asPe, type Pe } from '../../gic/records/pe.ts'
import { SPSR_VIEW } from '../../gic/records/pstate.ts'
import { type RecordType, recordType, type Writer } from '../../state/layout.ts'
import { type BitRows, bitView, offsetOf, type Rows, wordsOf } from '../../state/rows.ts'
import { exitNames } from './exits.ts'
import type { GuestProgram } from './guest-program.ts'
import { guestRows } from './guest-record.ts'
import {
  TASK_SLEEPING,
  THREAD_MODE,
  THREAD_PREEMPT_OFF_SHIFT,
  THREAD_TASK,
  VCPU_IRQ,
  VCPU_PE,
} from './vcpu-offsets.ts'
import { asIrq, IRQ_SHIFT, type Irq, irqRows } from './vgic-irq.ts'

/** The offset of its guest's words. */
export { GUEST_PC as VCPU_GUEST } from './guest-offsets.ts'
export * from './vcpu-offsets.ts'

/** The handle of a vCPU: the word offset of its record, not its index in the VM. */
export type Vcpu = Brand<'Vcpu'>
export function asVcpu(offset: number): Vcpu {
  return offset as Vcpu
}

/**
 * The PE that the thread of a vCPU runs on, which must be on one. Hot code reads the word itself, since V8 limits how
 * much it inlines into one function.
 */
export const peOf = (words: Int32Array, v: Vcpu): Pe => asPe(words[v + VCPU_PE])

/** An SGI or PPI of a vCPU. */
export const privateIrq = (v: Vcpu, intid: Intid): Irq => asIrq(v + VCPU_IRQ + (intid << IRQ_SHIFT))
/** The INTID of an SGI or PPI of a vCPU. */
export const privateIntid = (v: Vcpu, irq: Irq): Intid => (irq - v - VCPU_IRQ) >> IRQ_SHIFT

/** A program counter of a thread: a row of the design's step table. */
export type Pc = Brand<'Pc'>
export function asPc(row: number): Pc {
  return row as Pc
}

/** The fields of {@link VCPU_THREAD}. */
export const threadBits = {
  THREAD_PREEMPT_OFF: { name: 'preemptOff', bits: [31, 24], says: 'Depth of preemption-off sections.' },
  THREAD_COMMIT_VPE: {
    name: 'commitVpe',
    bits: 13,
    says: 'Its vPE was loaded, and Dirty was not seen to be 0 since: the next entry waits for that. its_vpe has it as `ready`.',
  },
  THREAD_RELOAD_VPE: {
    name: 'reloadVpe',
    bits: 12,
    says: 'Its vPE is to be put and loaded before it enters: KVM_REQ_RELOAD_GICv4.',
  },
  THREAD_TIMERS_LOADED: {
    name: 'timersLoaded',
    bits: 11,
    says: "Its timers are its PE's: from `timerLoad` to `timerPut`, or until its thread loses the PE.",
  },
  THREAD_TASK: {
    name: 'task',
    bits: [10, 9],
    says: "Its thread's task state.",
    values: {
      TASK_RUNNING: ['running'],
      TASK_SLEEPING: [
        'sleeping',
        'Set before the last check of the wake condition; only then may the thread sleep.',
      ],
      TASK_OFF: ['off', 'The vCPU is off.'],
      TASK_BLOCKED: [
        'blocked',
        'In schedule() to sleep: off the run queue until it is woken. A thread that is preempted while it is only on the way there, TASK_SLEEPING, stays on it.',
      ],
    },
  },
  THREAD_REQUESTS: {
    name: 'requests',
    bits: [8, 4],
    says: 'Pending requests.',
    flags: {
      REQ_IRQ_PENDING: 'An interrupt was queued: KVM_REQ_IRQ_PENDING.',
      REQ_UNHALT: 'The halt ended because the vCPU is runnable: KVM_REQ_UNHALT.',
      REQ_SIGNAL: 'A signal for the thread is pending: it returns to userspace.',
      REQ_SLEEP: 'Another vCPU has stopped the VM: it does not enter until that resumes it. KVM_REQ_SLEEP.',
      REQ_PRUNE:
        'Another vCPU has deactivated an interrupt on its ap_list, which it prunes before it enters: KVM_REQ_VGIC_PROCESS_UPDATE.',
    },
  },
  THREAD_MODE: {
    name: 'mode',
    bits: [3, 2],
    says: 'The mode that a kick reads.',
    values: { MODE_OUTSIDE: ['outside'], MODE_IN_GUEST: ['in guest'], MODE_EXITING: ['exiting'] },
  },
  THREAD_WAITING: {
    name: 'waiting',
    bits: 1,
    says: 'Set while its WFI is being handled: it waits for an interrupt.',
  },
  THREAD_IRQS_OFF: { name: 'irqsOff', bits: 0, says: 'Set inside an interrupts-off section.' },
} as const satisfies BitRows
export const THREAD_VIEW = bitView('thread', threadBits)

export const taskOf = (thread: number): number => thread & THREAD_TASK
/** Asleep, or on the way to it: a kick wakes it. TASK_SLEEPING and TASK_BLOCKED share their low bit. */
export const isAsleep = (thread: number): boolean => (thread & TASK_SLEEPING) !== 0
export const withTask = (thread: number, task: number): number => (thread & ~THREAD_TASK) | task
export const withMode = (thread: number, mode: number): number => (thread & ~THREAD_MODE) | mode
export const withPreemptOff = (thread: number): number => (thread + (1 << THREAD_PREEMPT_OFF_SHIFT)) | 0
export const withPreemptOn = (thread: number): number => (thread - (1 << THREAD_PREEMPT_OFF_SHIFT)) | 0

/** PPI of each timer. */
export const timerIntids = [27, 30] as const

export const WFIT_WAITS = 1
export const WFIT_EXPIRED = 2
const wfitNames = ['none', 'waits', 'expired']

/** The programs that the program counters of vCPUs point into. */
export interface VcpuPrograms {
  /** The design's steps, by program counter, as paths. */
  readonly steps: readonly string[]
  /** The guests' programs by vCPU; fewer if guests run elsewhere. */
  readonly guests: readonly GuestProgram[]
}

/** What the size of a vCPU's record depends on. */
export interface VcpuSize {
  readonly listRegisters: number
  /** A design's own words, by name. */
  readonly ownWords: readonly string[]
}

/** One more than the index of a vCPU, or 0. */
export const vcpuBefore = (value: number): string => (value === 0 ? 'none' : `vcpu[${value - 1}]`)

/** What every step of a thread may write. */
const THREAD: readonly Writer[] = ['thread', 'vcpu', 'pe', 'load', 'put', 'sched', 'lists', 'guest']
/** What else its own steps write that leave the CPU interface and the PE alone. */
const HALT: readonly Writer[] = ['thread', 'vcpu', 'pe']
/** Where it is, and what it leaves on the PE or takes from there. */
const PLACE: readonly Writer[] = ['pe', 'sched']
/** The shadow of the CPU interface. */
const SHADOW: readonly Writer[] = ['vcpu', 'pe', 'put']
const LISTS: readonly Writer[] = ['vcpu', 'pe', 'lists']
/** Of a guest, what its thread's steps write too, which skip instructions and end accesses. */
const GUEST: readonly Writer[] = ['vcpu', 'guest']

export const vcpuRows = {
  VCPU_PC: {
    name: 'pc',
    class: 'authoritative',
    by: THREAD,
    says: "The program counter of its thread in the design's step table; 0 when the vCPU is off.",
    means: (pc, _, { steps }) => steps[pc],
  },
  VCPU_NOTIFIER: {
    name: 'notifier',
    class: 'authoritative',
    by: THREAD,
    says: "The program counter of the scheduler's notifier that runs instead of the thread; 0 if none. Notifiers do not nest.",
    means: (pc, _, { steps }) => (pc === 0 ? 'none' : steps[pc]),
  },
  VCPU_THREAD: {
    name: 'thread',
    class: 'authoritative',
    by: [...THREAD, 'notify'],
    says: 'State, mode and requests of its thread in one word, as the scheduler, a kick and a request read it: see {@link THREAD_VIEW}.',
    view: THREAD_VIEW,
  },
  VCPU_EXIT: {
    name: 'exit',
    class: 'normalised',
    by: THREAD,
    says: 'Reason of its exit, an EXIT_ value; kept until the exit is handled.',
    means: (exit) => (exit === 0 ? 'none, or irq' : exitNames[exit]),
  },
  VCPU_SPIN: {
    name: 'spin',
    class: 'normalised',
    by: HALT,
    says: "In a directed yield's scan: one more than the index of the candidate; 0 outside of a scan.",
    means: vcpuBefore,
  },
  VCPU_POLL_WINDOW: {
    name: 'pollWindow',
    class: 'authoritative',
    by: HALT,
    says: 'halt_poll_ns in polls: how often a halt checks before it sleeps.',
  },
  VCPU_POLL_LEFT: {
    name: 'pollLeft',
    class: 'normalised',
    by: HALT,
    says: 'Checks that are left to the polling of this halt.',
  },
  VCPU_BACKGROUND_TIMER: {
    name: 'backgroundTimer',
    class: 'authoritative',
    by: [...HALT, 'sched'],
    says: '1 while a host timer will wake the blocked vCPU when the first of its timers expires; 2 while one will inject that timer’s interrupt.',
  },
  VCPU_LOADED: {
    name: 'loaded',
    class: 'authoritative',
    by: ['vcpu', 'pe', 'load', 'put', 'sched'],
    says: '1 while its CPU interface state is in the hardware: from load to put.',
  },
  VCPU_PE: {
    name: 'pe',
    class: 'normalised',
    by: PLACE,
    says: 'The record of the PE that its thread runs on; 0 while it does not run.',
    means: 'record',
  },
  VCPU_LAST_CPU: {
    name: 'lastCpu',
    class: 'authoritative',
    by: PLACE,
    says: 'The CPU that its thread runs on, or ran on last.',
  },
  VCPU_SPSR: {
    name: 'spsr',
    class: 'normalised',
    by: PLACE,
    says: "SPSR_EL2, which holds the guest's PSTATE, while its thread is on no PE.",
    view: SPSR_VIEW,
  },
  VCPU_VMCR: {
    name: 'vmcr',
    class: 'authoritative',
    by: SHADOW,
    says: 'Shadow of ICH_VMCR_EL2: stale while loaded.',
    view: ICH_VMCR_VIEW,
  },
  VCPU_HCR: {
    name: 'hcr',
    class: 'normalised',
    by: LISTS,
    says: 'ICH_HCR_EL2 of the last flush.',
    view: ICH_HCR_VIEW,
  },
  VCPU_USED_LRS: {
    name: 'usedLrs',
    class: 'authoritative',
    by: LISTS,
    says: 'List registers that the last flush filled and no fold has read.',
  },
  VCPU_AP_COUNT: {
    name: 'apCount',
    class: 'authoritative',
    by: [...LISTS, 'queue'],
    says: 'How many interrupts are on its ap_list.',
  },
  VCPU_AP_FIRST: {
    name: 'apFirst',
    class: 'normalised',
    by: ['queue', 'lists'],
    says: 'The first interrupt on its ap_list; 0 if that is empty. Each has the next one in its {@link IRQ_LINK}.',
    means: 'word',
  },
  VCPU_AP_LAST: {
    name: 'apLast',
    class: 'normalised',
    by: ['queue', 'lists'],
    says: 'The last interrupt on its ap_list.',
    means: 'word',
  },
  VCPU_INDEX: { name: 'index', class: 'authoritative', by: [], says: 'Its index in the VM.' },
  VCPU_CACHED: {
    name: 'cached',
    class: 'normalised',
    by: [],
    says: 'In an invalidation of the translation cache that is not one step: the LPI of the translation that was seen.',
    means: 'word',
  },
  VCPU_AP0R: {
    name: 'ap0r',
    count: 4,
    class: 'authoritative',
    by: SHADOW,
    says: 'Shadow of `ICH_AP0R<n>_EL2`: stale while loaded.',
  },
  VCPU_AP1R: {
    name: 'ap1r',
    count: 4,
    class: 'authoritative',
    by: SHADOW,
    says: 'Shadow of `ICH_AP1R<n>_EL2`: stale while loaded.',
  },
  VCPU_TIMER_CTL: {
    name: '<n>_CTL_EL0',
    n: (timer) => (timer === 0 ? 'CNTV' : 'CNTP'),
    count: 2,
    class: 'authoritative',
    by: GUEST,
    says: 'Timers: TIMER_ bits of CNTV_CTL_EL0 and CNTP_CTL_EL0.',
  },
  VCPU_WFIT: {
    name: 'wfit',
    class: 'authoritative',
    by: GUEST,
    says: 'A WFIT that waits: WFIT_ values.',
    means: (wfit) => wfitNames[wfit],
  },
  VCPU_ESR: { name: 'esr', class: 'normalised', by: GUEST, says: 'Syndrome of the exit.' },
  ...guestRows,
  VCPU_LPIS_ENABLED: {
    name: 'GICR_CTLR.EnableLPIs',
    class: 'authoritative',
    by: [],
    says: 'GICR_CTLR.EnableLPIs.',
  },
  VCPU_FAULT_IPA: {
    name: 'faultIpa',
    wide: true,
    class: 'normalised',
    by: GUEST,
    says: 'The intermediate physical address of an MMIO access that exited: bits 31:0 and 51:32.',
  },
  VCPU_DATA: {
    name: 'data',
    count: 2,
    class: 'normalised',
    by: GUEST,
    says: 'The guest register of a trapped MSR or of an MMIO access: bits 31:0 and 63:32.',
  },
  VCPU_PENDBASER: {
    name: 'GICR_PENDBASER',
    wide: true,
    class: 'authoritative',
    by: [],
    says: 'GICR_PENDBASER, with PTZ, which a guest cannot read: two words.',
  },
  VCPU_CTLR_LESS: {
    name: 'ctlrLess',
    class: 'authoritative',
    by: [],
    says: "How much less the priority bits and the INTID bits of its ICC_CTLR_EL1 are than the host's, in their places: userspace lowers them for a VM that comes from another host.",
  },
  VCPU_MIGRANT: {
    name: 'migrant',
    class: 'normalised',
    by: [],
    says: 'In a prune that is not one step: the interrupt that is to go to another ap_list.',
    means: 'word',
  },
  VCPU_MIGRANT_TO: {
    name: 'migrantTo',
    class: 'normalised',
    by: [],
    says: 'The vCPU to whose ap_list it is to go.',
    means: 'record',
  },
  VCPU_MIGRANT_HELD: {
    name: 'migrantHeld',
    class: 'normalised',
    by: [],
    says: '1 if the prune has a reference to it.',
  },
  VCPU_IRQ: { rows: irqRows(intidName), count: FIRST_SPI, says: 'Its SGIs and PPIs, two words each.' },
  VCPU_TIMER_CVAL: {
    name: 'timerCval',
    count: 2,
    wide: true,
    class: 'observational',
    by: [],
    says: 'When its timers expire, in virtual time: two words each.',
  },
  VCPU_WFIT_DEADLINE: {
    name: 'wfitDeadline',
    wide: true,
    class: 'observational',
    by: [],
    says: 'When its WFIT times out, in virtual time: two words.',
  },
  VCPU_HALT_START: {
    name: 'haltStart',
    wide: true,
    class: 'observational',
    by: [],
    says: 'When its halt began, in virtual time: two words.',
  },
  VCPU_SLEEPS: { name: 'sleeps', class: 'observational', by: [], says: 'Sleeps of its thread.' },
  VCPU_POLLS_ATTEMPTED: {
    name: 'pollsAttempted',
    class: 'observational',
    by: [],
    says: 'Halts that polled.',
  },
  VCPU_POLLS_SUCCESSFUL: {
    name: 'pollsSuccessful',
    class: 'observational',
    by: [],
    says: 'Halts that polled and did not have to sleep.',
  },
  VCPU_YIELDS: {
    name: 'yields',
    class: 'observational',
    by: [],
    says: 'Directed yields to another vCPU.',
  },
  VCPU_PREEMPTIONS: {
    name: 'preemptions',
    class: 'observational',
    by: [],
    says: 'Preemptions of its thread.',
  },
  VCPU_COST: {
    name: 'cost',
    class: 'observational',
    by: [],
    says: 'The row of the cost table that its accesses count in.',
  },
  VCPU_LR_IRQ: {
    name: 'lrIrq[<n>]',
    count: ({ listRegisters }) => listRegisters,
    class: 'normalised',
    by: ['lists'],
    says: 'The interrupt that the last flush put into each list register.',
    means: 'word',
  },
  VCPU_OWN: {
    name: 'own.<n>',
    n: (element, _, { ownWords }) => ownWords[element],
    count: ({ ownWords }) => ownWords.length,
    class: 'authoritative',
    by: ['thread', 'vcpu', 'pe'],
    says: "The design's own words.",
  },
} as const satisfies Rows<VcpuSize & VcpuPrograms>

/** The record of a vCPU. */
export const vcpuRecord = (size: VcpuSize, programs: VcpuPrograms): RecordType =>
  recordType('vcpu[<n>]', wordsOf(vcpuRows, { ...size, ...programs }))

/** The offset of the design's own words, which depends on the configuration. */
export const ownWordsOffset = (size: VcpuSize): number =>
  offsetOf(vcpuRows, 'VCPU_OWN', { ...size, steps: [], guests: [] })
