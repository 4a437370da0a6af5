/**
 * What pictures of a run are made of: each step, and what is to be seen of the machine after it. A run keeps no record
 * of its steps; they are taken again for a picture.
 */
import { joined } from '../../arch/doubleword.ts'
import {
  argumentInteger,
  argumentObject,
  argumentOptions,
  argumentString,
  argumentWith,
  type Fields,
} from '../../errors/arguments.ts'
import { hex } from '../../errors/printed.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { LINE_FIQ, LINE_IRQ, LINE_VFIQ, LINE_VIRQ, PE_LINES } from '../../gic/cpu-interface/lines.ts'
import type { Silicon } from '../../gic/silicon.ts'
import { VPE_ID, VPE_RESIDENCY, VPE_VPT } from '../../gic/vpe/vpe-offsets.ts'
import { VCPU_INDEX } from '../../hyp/records/vcpu.ts'
import { IRQ_ACTIVE, IRQ_LINE, irqIsPending } from '../../hyp/records/vgic-irq.ts'
import {
  THREAD_ENDED,
  THREAD_IN_GUEST,
  THREAD_SLEEPS,
  THREAD_WAITS_FOR_CPU,
} from '../../hyp/run/thread-states.ts'
import type { Machine } from '../machine.ts'
import type { Run, RunPart } from '../run.ts'
import type { StepEvent } from '../step-events.ts'

/** What a picture shows of a run. */
export interface PictureOptions extends RunPart {
  /** A violation that the last step shows, which is marked: that of a report. */
  readonly violation?: PictureViolation
}

/** A violation as a picture marks it; the one of a report of explore() is one. */
export interface PictureViolation {
  /** The invariant: `L1`. */
  readonly invariant: string
  /** Its plain name, which stands first: `lost-wake-up`. */
  readonly name?: string
  /** What is wrong after the last step. */
  readonly what: string
}

/** `lost-wake-up (L1)`. */
export const titleOf = ({ invariant, name }: PictureViolation): string =>
  name === undefined ? invariant : `${name} (${invariant})`

/** A PE. */
export interface PeSample {
  /** The vCPU on it; -1 if it is free. */
  readonly vcpu: number
  readonly inGuest: boolean
  readonly irq: boolean
  readonly fiq: boolean
  readonly virq: boolean
  readonly vfiq: boolean
  readonly listRegisters: readonly (readonly [low: number, high: number])[]
  /** On GICv4: what is resident on its redistributor. */
  readonly vpe: VpeSample | undefined
}

/** The vPE of a redistributor. */
export interface VpeSample {
  /** 0 for none, or RESIDENT and the like. */
  readonly residency: number
  /** `vPE 3`; on GICv4.0, where it has no number, by its table: `vPE at 0x4000`. */
  readonly name: string
  /** The vPEID; 0 on GICv4.0. */
  readonly vpeid: number
}

/** A vCPU's thread: in the guest, at a step of the hypervisor, asleep, without a PE, or at its end. */
export type VcpuSample = 'guest' | 'host' | 'asleep' | 'no cpu' | 'ended'

/** An interrupt as the hypervisor has it in memory. */
export interface InterruptSample {
  readonly line: boolean
  readonly pending: boolean
  readonly active: boolean
}

/** The machine. */
export interface MachineSample {
  readonly pes: readonly PeSample[]
  readonly vcpus: readonly VcpuSample[]
  /** In the order of {@link Recorded.interrupts}. */
  readonly interrupts: readonly InterruptSample[]
}

/** A step, and the machine after it. */
export interface Sample {
  readonly event: StepEvent
  readonly after: MachineSample
}

/** A run, or a part of it. */
export interface Recorded {
  readonly samples: readonly Sample[]
  /** Names of the actors that took steps: vCPUs, then the others in the order in which they came. */
  readonly actors: readonly string[]
  /** Names of the interrupts: `SPI 40`, and of private ones with their vCPU. */
  readonly interrupts: readonly string[]
  readonly violation: PictureViolation | undefined
}

/** A picture of more steps helps nobody, and takes all memory. */
const MOST_STEPS = 100_000

const optionFields: Fields<PictureOptions> = { from: true, to: true, violation: true }

/** Takes the steps of a run again. Throws an `argument` error for what is no run, and for a part of too many steps. */
export function record(run: Run, options: PictureOptions): Recorded {
  argumentWith('run', run, 'eventsIn', 'a Run, as scenario.run() and replay() return it')
  const {
    from = 0,
    to = Number.MAX_SAFE_INTEGER,
    violation = run.violation,
  } = argumentOptions('options', options, optionFields)
  argumentInteger('from', from, 0, Number.MAX_SAFE_INTEGER)
  argumentInteger('to', to, 0, Number.MAX_SAFE_INTEGER)
  if (violation !== undefined) {
    argumentObject('violation', violation, 'a violation, as a report has it')
    argumentString('violation.invariant', violation.invariant)
    if (violation.name !== undefined) argumentString('violation.name', violation.name)
    argumentString('violation.what', violation.what)
  }
  const samples: Sample[] = []
  let interrupts: readonly Interrupt[] | undefined
  run.retake(from, to, (event, machine) => {
    interrupts ??= interruptsOf(machine)
    if (samples.push({ event, after: sampleOf(machine, interrupts) }) > MOST_STEPS) {
      throw new VgicError('argument', `A picture has at most ${MOST_STEPS} steps: give a part, { from, to }.`)
    }
  })
  const names = samples.map(({ event }) => event.actor)
  const vcpus = [...new Set(names.filter(({ kind }) => kind === 'vcpu').map(({ name }) => name))].sort()
  const others = new Set(names.filter(({ kind }) => kind !== 'vcpu').map(({ name }) => name))
  return {
    samples,
    actors: [...vcpus, ...others],
    interrupts: (interrupts ?? []).map(({ name }) => name),
    violation,
  }
}

interface Interrupt {
  readonly name: string
  readonly intid: number
  readonly vcpu: number
}

function interruptsOf({ hypervisor }: Machine): Interrupt[] {
  const { interrupts, vcpus } = hypervisor.setup
  return interrupts.map(({ intid, vcpu }) => {
    const name = `${intid < 16 ? 'SGI' : intid < 32 ? 'PPI' : 'SPI'} ${intid}`
    return { name: intid < 32 && vcpus > 1 ? `${name} of vcpu${vcpu}` : name, intid, vcpu }
  })
}

function sampleOf({ hypervisor }: Machine, interrupts: readonly Interrupt[]): MachineSample {
  const { silicon, scheduler, words, setup, runLoop, apLists } = hypervisor
  const { config, pcpu, ich } = silicon
  const pes = Array.from({ length: config.cpus }, (_, cpu): PeSample => {
    const pe = silicon.peOf(cpu)
    const vcpu = scheduler.current(cpu)
    const physical = words[pe + PE_LINES]
    const virtual = pcpu.virtualPending(pe)
    return {
      vcpu: vcpu === 0 ? -1 : words[vcpu + VCPU_INDEX],
      inGuest: pcpu.isInGuest(pe),
      irq: (physical & LINE_IRQ) !== 0,
      fiq: (physical & LINE_FIQ) !== 0,
      virq: (virtual & LINE_VIRQ) !== 0,
      vfiq: (virtual & LINE_VFIQ) !== 0,
      listRegisters: Array.from(
        { length: config.listRegisters },
        (_, n) => [ich.readLrLow(pe, n), ich.readLrHigh(pe, n)] as const,
      ),
      vpe: vpeSample(silicon, cpu),
    }
  })
  const vcpus = Array.from({ length: setup.vcpus }, (_, index) =>
    vcpuSample(runLoop.threadState(hypervisor.vcpu(index))),
  )
  return {
    pes,
    vcpus,
    interrupts: interrupts.map(({ intid, vcpu }) => {
      const word = words[apLists.irqOf(hypervisor.vcpu(vcpu), intid)]
      return {
        line: (word & IRQ_LINE) !== 0,
        pending: irqIsPending(word),
        active: (word & IRQ_ACTIVE) !== 0,
      }
    }),
  }
}

function vpeSample({ vpes, words }: Silicon, cpu: number): VpeSample | undefined {
  if (!vpes) return undefined
  const record = vpes.resident.recordOf(cpu)
  const vpeid = vpes.byVpeid ? words[record + VPE_ID] : 0
  const table = joined(words[record + VPE_VPT], words[record + VPE_VPT + 1])
  const name = vpes.byVpeid ? `vPE ${vpeid}` : `vPE at ${hex(table)}`
  return { residency: words[record + VPE_RESIDENCY], name, vpeid }
}

/** How far a vPE is resident, in words. */
export const residencyTexts = ['', 'becomes resident', 'resident', 'leaves'] as const

function vcpuSample(state: number): VcpuSample {
  switch (state) {
    case THREAD_IN_GUEST:
      return 'guest'
    case THREAD_SLEEPS:
      return 'asleep'
    case THREAD_WAITS_FOR_CPU:
      return 'no cpu'
    case THREAD_ENDED:
      return 'ended'
    default:
      return 'host'
  }
}

/** A stretch of samples with the same value: from the time of its first step to that after its last. */
export interface Stretch<T> {
  readonly value: T
  readonly from: number
  readonly to: number
}

/** The stretches of a value over a run. `value` gives undefined where there is none. */
export function stretches<T>(
  samples: readonly Sample[],
  value: (after: MachineSample) => T | undefined,
): Stretch<T>[] {
  const found: { value: T; from: number; to: number }[] = []
  let last: (typeof found)[number] | undefined
  for (const { event, after } of samples) {
    const is = value(after)
    const time = event.time + 1
    if (last) last.to = time
    if (last?.value === is) continue
    last = is === undefined ? undefined : { value: is, from: time, to: time }
    if (last) found.push(last)
  }
  return found.filter(({ from, to }) => to > from)
}
