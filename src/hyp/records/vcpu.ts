/**
 * A vCPU's record: its host thread (program counters, task state, sections), its half of the vGIC (shadow
 * registers, ap_list, private interrupts), its timers, its guest, and what it counted. The handle of a vCPU is
 * the word offset of its record.
 */

import { field, res0, view } from '../../arch/field.ts'
import { ICH_HCR_VIEW, ICH_VMCR_VIEW } from '../../arch/ich-registers.ts'
import { intidName } from '../../arch/intid.ts'
import { SPSR_VIEW } from '../../gic/cpu-interface/pcpu.ts'
import { type RecordType, recordType } from '../../state/layout.ts'
import { exitNames } from './exits.ts'
import type { GuestProgram } from './guest-program.ts'
import { guestWords } from './guest-record.ts'
import { VGIC_IRQ_VIEW } from './vgic-irq.ts'

/** Where its thread is in the design's step table; 0 when the vCPU is off. */
export const VCPU_PC = 0
/** Where the scheduler's notifier is that runs in the thread's place; 0 if none. Notifiers do not nest. */
export const VCPU_NOTIFIER = 1
/** Its index in the VM. */
export const VCPU_INDEX = 2
/** The record of the PE that its thread runs on; 0 while it does not run. */
export const VCPU_PE = 3
/** What the scheduler, a kick and a request look at, in one word: see {@link THREAD_VIEW}. */
export const VCPU_THREAD = 4
/** Why it left the guest, an EXIT_ value; kept until the exit is handled. */
export const VCPU_EXIT = 5
/** Syndrome of the exit, and the guest register of a trapped MSR: bits 31:0 and 63:32. */
export const VCPU_ESR = 6
export const VCPU_DATA = 7
/** 1 while its CPU interface state is in the hardware: from load to put. */
export const VCPU_LOADED = 9
/** In a directed yield's scan: one more than the index of the candidate; 0 outside of a scan. */
export const VCPU_SPIN = 10
/** halt_poll_ns in polls: how often a halt looks before it sleeps, and how many looks are left in this halt. */
export const VCPU_POLL_WINDOW = 11
export const VCPU_POLL_LEFT = 12
/** The CPU that its thread runs on, or ran on last. */
export const VCPU_LAST_CPU = 13
/** Shadow of ICH_VMCR_EL2: stale while loaded. */
export const VCPU_VMCR = 14
/** ICH_HCR_EL2 of the last flush. */
export const VCPU_HCR = 15
/** How many list registers the last flush filled and no fold has read. */
export const VCPU_USED_LRS = 16
/** How many interrupts are on its ap_list. */
export const VCPU_AP_COUNT = 17
export const VCPU_AP0R = 18
export const VCPU_AP1R = 22
/** Timers: TIMER_ bits of CNTV_CTL_EL0 and CNTP_CTL_EL0. */
export const VCPU_TIMER_CTL = 26
/** 1 while a host timer will wake the blocked vCPU when the first of its timers expires. */
export const VCPU_BACKGROUND_TIMER = 28
/** A WFIT that waits: WFIT_ values. */
export const VCPU_WFIT = 29
/** SPSR_EL2, which holds the guest's PSTATE, while its thread is on no PE. */
export const VCPU_SPSR = 30
/** The guest's words, see guest.ts. */
export const VCPU_GUEST = 31
/** Of an MMIO access that left the guest, the intermediate physical address: bits 31:0 and 51:32. */
export const VCPU_FAULT_IPA = 52
/** GICR_PENDBASER, without PTZ: two words. */
export const VCPU_PENDBASER = 54
/** GICR_CTLR.EnableLPIs. */
export const VCPU_LPIS_ENABLED = 56
/** Its SGIs and PPIs, one word each. */
export const VCPU_IRQ = 57

/** From here on nothing is compared. The row of the cost table that its accesses count in. */
export const VCPU_COST = 89
/** When its timers expire, and its WFIT, in virtual time: two words each. */
export const VCPU_TIMER_CVAL = 90
export const VCPU_WFIT_DEADLINE = 94
/** When its halt began: two words. */
export const VCPU_HALT_START = 96
/** How often it slept, how many halts polled, and how many of them did not have to sleep. */
export const VCPU_SLEEPS = 98
export const VCPU_POLLS_ATTEMPTED = 99
export const VCPU_POLLS_SUCCESSFUL = 100
/** How often it gave its PE to another vCPU. */
export const VCPU_YIELDS = 101
/** How often its thread was preempted. */
export const VCPU_PREEMPTIONS = 102

/** Compared again. The interrupt that the last flush put into each list register. */
export const VCPU_LR_IRQ = 103

/** The fields of {@link VCPU_THREAD}. */
export const THREAD_VIEW = view('thread', 32, [
  field('preemptOff', 31, 24),
  res0(23, 11),
  field('timersLoaded', 10),
  field('task', 9, 8, { values: ['running', 'sleeping', 'off', 'blocked'] }),
  field('requests', 7, 4),
  field('mode', 3, 2, { values: ['outside', 'in guest', 'exiting'] }),
  field('waiting', 1),
  field('irqsOff', 0),
])

/** Depth of preemption-off sections. */
export const THREAD_PREEMPT_OFF = 0xff000000 | 0
/** Set inside an interrupts-off section. */
export const THREAD_IRQS_OFF = 0x1
/** Set while its WFI is being handled: it waits for an interrupt. */
export const THREAD_WAITING = 0x2

/** As a kick reads it. */
export const THREAD_MODE = 0xc
export const MODE_OUTSIDE = 0
export const MODE_IN_GUEST = 0x4
export const MODE_EXITING = 0x8

/** Pending requests. */
export const THREAD_REQUESTS = 0xf0
/** An interrupt was queued: KVM_REQ_IRQ_PENDING. */
export const REQ_IRQ_PENDING = 0x10
/** The halt ended because the vCPU is runnable: KVM_REQ_UNHALT. */
export const REQ_UNHALT = 0x20
/** A signal for the thread is pending: it returns to userspace. */
export const REQ_SIGNAL = 0x40
/** Another vCPU has stopped the VM: it does not enter until that resumes it. KVM_REQ_SLEEP. */
export const REQ_SLEEP = 0x80

/** Its thread's task state. */
export const THREAD_TASK = 0x300
export const TASK_RUNNING = 0
/** Set before the last look at the wake condition; only then may the thread sleep. */
export const TASK_SLEEPING = 0x100
/** The vCPU is off. */
export const TASK_OFF = 0x200
/**
 * In schedule() to sleep: off the run queue until it is woken. A thread that is preempted while it is only on the
 * way there, TASK_SLEEPING, stays on it.
 */
export const TASK_BLOCKED = 0x300

/** Its timers are its PE's: from `timerLoad` to `timerPut`, or until its thread loses the PE. */
export const THREAD_TIMERS_LOADED = 0x400

export const taskOf = (thread: number): number => thread & THREAD_TASK
/** Asleep, or on the way to it: a kick wakes it. TASK_SLEEPING and TASK_BLOCKED share their low bit. */
export const isAsleep = (thread: number): boolean => (thread & TASK_SLEEPING) !== 0
export const withTask = (thread: number, task: number): number => (thread & ~THREAD_TASK) | task
export const withMode = (thread: number, mode: number): number => (thread & ~THREAD_MODE) | mode
export const withPreemptOff = (thread: number): number => (thread + 0x1000000) | 0
export const withPreemptOn = (thread: number): number => (thread - 0x1000000) | 0

export const WFIT_NONE = 0
export const WFIT_WAITS = 1
export const WFIT_EXPIRED = 2
const wfitNames = ['none', 'waits', 'expired']

/** What the program counters of the vCPUs count in. */
export interface VcpuPrograms {
  /** The design's steps, by program counter, as paths. */
  readonly steps: readonly string[]
  /** By vCPU; fewer if guests run elsewhere. */
  readonly guests: readonly GuestProgram[]
}

/** One more than the index of a vCPU, or 0. */
export const vcpuBefore = (value: number): string => (value === 0 ? 'none' : `vcpu[${value - 1}]`)

/** The record of a vCPU, for a number of list registers, of interrupts that can be on an ap_list, and a design's own words. */
export function vcpuRecord(
  listRegisters: number,
  interrupts: number,
  ownWords: readonly string[],
  { steps, guests }: VcpuPrograms,
): RecordType {
  const apList = apListOffset(listRegisters)
  return recordType(
    'vcpu[<n>]',
    [
      { name: 'pc', at: VCPU_PC, class: 'authoritative', means: (pc) => steps[pc] },
      {
        name: 'notifier',
        at: VCPU_NOTIFIER,
        class: 'authoritative',
        means: (pc) => (pc === 0 ? 'none' : steps[pc]),
      },
      { name: 'index', at: VCPU_INDEX, class: 'authoritative' },
      { name: 'pe', at: VCPU_PE, class: 'normalised', means: 'record' },
      { name: 'thread', at: VCPU_THREAD, class: 'authoritative', view: THREAD_VIEW },
      {
        name: 'exit',
        at: VCPU_EXIT,
        class: 'normalised',
        means: (exit) => (exit === 0 ? 'none, or irq' : exitNames[exit]),
      },
      { name: 'esr', at: VCPU_ESR, class: 'normalised' },
      { name: 'data', at: VCPU_DATA, count: 2, class: 'normalised' },
      { name: 'loaded', at: VCPU_LOADED, class: 'authoritative' },
      { name: 'spin', at: VCPU_SPIN, class: 'normalised', means: vcpuBefore },
      { name: 'pollWindow', at: VCPU_POLL_WINDOW, class: 'authoritative' },
      { name: 'pollLeft', at: VCPU_POLL_LEFT, class: 'normalised' },
      { name: 'lastCpu', at: VCPU_LAST_CPU, class: 'authoritative' },
      { name: 'vmcr', at: VCPU_VMCR, class: 'authoritative', view: ICH_VMCR_VIEW },
      { name: 'hcr', at: VCPU_HCR, class: 'normalised', view: ICH_HCR_VIEW },
      { name: 'usedLrs', at: VCPU_USED_LRS, class: 'authoritative' },
      { name: 'apCount', at: VCPU_AP_COUNT, class: 'authoritative' },
      { name: 'ap0r', at: VCPU_AP0R, count: 4, class: 'authoritative' },
      { name: 'ap1r', at: VCPU_AP1R, count: 4, class: 'authoritative' },
      {
        name: '<n>_CTL_EL0',
        n: (timer) => (timer === 0 ? 'CNTV' : 'CNTP'),
        at: VCPU_TIMER_CTL,
        count: 2,
        class: 'authoritative',
      },
      { name: 'backgroundTimer', at: VCPU_BACKGROUND_TIMER, class: 'authoritative' },
      { name: 'wfit', at: VCPU_WFIT, class: 'authoritative', means: (wfit) => wfitNames[wfit] },
      { name: 'spsr', at: VCPU_SPSR, class: 'normalised', view: SPSR_VIEW },
      { name: 'faultIpa', at: VCPU_FAULT_IPA, wide: true, class: 'normalised' },
      { name: 'GICR_PENDBASER', at: VCPU_PENDBASER, wide: true, class: 'authoritative' },
      { name: 'GICR_CTLR.EnableLPIs', at: VCPU_LPIS_ENABLED, class: 'authoritative' },
      { name: '<n>', n: intidName, at: VCPU_IRQ, count: 32, class: 'authoritative', view: VGIC_IRQ_VIEW },
      { name: 'cost', at: VCPU_COST, class: 'observational' },
      { name: 'timerCval', at: VCPU_TIMER_CVAL, count: 2, wide: true, class: 'observational' },
      { name: 'wfitDeadline', at: VCPU_WFIT_DEADLINE, wide: true, class: 'observational' },
      { name: 'haltStart', at: VCPU_HALT_START, wide: true, class: 'observational' },
      { name: 'sleeps', at: VCPU_SLEEPS, class: 'observational' },
      { name: 'pollsAttempted', at: VCPU_POLLS_ATTEMPTED, class: 'observational' },
      { name: 'pollsSuccessful', at: VCPU_POLLS_SUCCESSFUL, class: 'observational' },
      { name: 'yields', at: VCPU_YIELDS, class: 'observational' },
      { name: 'preemptions', at: VCPU_PREEMPTIONS, class: 'observational' },
      { name: 'lrIrq[<n>]', at: VCPU_LR_IRQ, count: listRegisters, class: 'normalised', means: 'word' },
      { name: 'apList[<n>]', at: apList, count: interrupts, class: 'normalised', means: 'word' },
    ],
    guestWords(guests),
    ownWords.map((name, i) => ({
      name: `own.${name}`,
      at: apList + interrupts + i,
      class: 'authoritative' as const,
    })),
  )
}

/** Where the ap_list begins in a vCPU's record. Its entries are handles of interrupts, its free slots 0. */
export const apListOffset = (listRegisters: number): number => VCPU_LR_IRQ + listRegisters

/** Where the words of the design's own begin in a vCPU's record. */
export const ownWordsOffset = (listRegisters: number, interrupts: number): number =>
  apListOffset(listRegisters) + interrupts
