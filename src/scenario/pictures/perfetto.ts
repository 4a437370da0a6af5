/**
 * A run as Chrome's trace-event JSON, which ui.perfetto.dev and chrome://tracing open ("Trace Event Format"): threads,
 * devices and the environment as tracks of steps with the hypervisor's accesses inside, PEs as tracks of what runs on
 * them.
 *
 * Perfetto's trace_processor converts times to whole nanoseconds, rounding them down, and drops a slice that then ends
 * after the one that it begins in. So all times are whole microseconds, and a step is many of them. It also names
 * threads by their number alone, whatever their process: so no two tracks share one.
 */

import type { Run } from '../run.ts'
import { describeAccess } from '../timeline.ts'
import {
  type PeSample,
  type PictureOptions,
  type PictureViolation,
  record,
  residencyTexts,
  type Sample,
  stretches,
  titleOf,
} from './samples.ts'

/** An event of a {@link PerfettoTrace}. */
export interface TraceEvent {
  /** Metadata, a slice, or an instant. */
  readonly ph: 'M' | 'X' | 'i'
  /** What the slice is called. */
  readonly name: string
  /** The group of tracks. */
  readonly pid: number
  /** The track; no two groups have one of the same number. */
  readonly tid: number
  /** The beginning, in microseconds, 1,000 a step; 0 for metadata. */
  readonly ts: number
  /** Of a slice: how long it is, in microseconds. */
  readonly dur?: number
  /** The category: `step`, `access`, `pe`, `vpe` or `violation`. */
  readonly cat?: string
  /** Of an instant: all tracks. */
  readonly s?: 'g'
  /** What is shown when it is selected. */
  readonly args?: Readonly<Record<string, string | number>>
}

/** A trace in the format. */
export interface PerfettoTrace {
  /** The events in order of time within each track. */
  readonly traceEvents: readonly TraceEvent[]
  /** The unit that viewers show. */
  readonly displayTimeUnit: 'ns'
}

/** Of a step, in microseconds. */
const STEP = 1000

/** Tracks that viewers show together. */
interface Group {
  readonly pid: number
  readonly name: string
  /** The number of its first track. */
  readonly base: number
  readonly tracks: readonly string[]
}

/** A run as trace-event JSON: write `JSON.stringify(toPerfetto(run))` to a file and open it in ui.perfetto.dev. */
export function toPerfetto(run: Run, options: PictureOptions = {}): PerfettoTrace {
  const { samples, actors, violation } = record(run, options)
  const cpus = samples[0]?.after.pes.map((_, cpu) => `cpu${cpu}`) ?? []
  const hasVpes = samples[0]?.after.pes[0]?.vpe !== undefined
  const threads = { pid: 1, name: 'steps', base: 1, tracks: actors }
  const pes = { pid: 2, name: 'PEs', base: 1 + actors.length, tracks: cpus }
  const vpes = { pid: 3, name: 'resident vPEs', base: pes.base + cpus.length, tracks: hasVpes ? cpus : [] }
  const last = samples.at(-1)
  return {
    displayTimeUnit: 'ns',
    traceEvents: [
      ...[threads, pes, ...(hasVpes ? [vpes] : [])].flatMap(metadata),
      ...samples.flatMap((sample) => stepSlices(sample, threads)),
      ...slices(pes, 'pe', samples, running),
      ...slices(vpes, 'vpe', samples, resident),
      ...(violation && last ? [mark(violation, last, threads)] : []),
    ],
  }
}

/** What viewers call a group and its tracks, and in which order they show them. */
function metadata({ pid, name, base, tracks }: Group): TraceEvent[] {
  const event = (what: string, tid: number, args: Record<string, string | number>): TraceEvent => ({
    ph: 'M',
    name: what,
    pid,
    tid,
    ts: 0,
    args,
  })
  return [
    event('process_name', base, { name }),
    event('process_sort_index', base, { sort_index: pid }),
    ...tracks.flatMap((track, i) => [
      event('thread_name', base + i, { name: track }),
      event('thread_sort_index', base + i, { sort_index: i }),
    ]),
  ]
}

const trackOf = ({ event }: Sample, { pid, base, tracks }: Group) => ({
  pid,
  tid: base + tracks.indexOf(event.actor.name),
})

/** A step, and the accesses in it one after the other. */
function stepSlices(sample: Sample, threads: Group): TraceEvent[] {
  const { time, place, what, accesses } = sample.event
  const slice = { ph: 'X' as const, ...trackOf(sample, threads) }
  const ts = time * STEP
  const begin = (i: number): number => ts + Math.floor((i * STEP) / accesses.length)
  return [
    { ...slice, name: what, cat: 'step', ts, dur: STEP, args: { place } },
    ...accesses.map((access, i) => ({
      ...slice,
      name: `${access.direction} ${access.name}`,
      cat: 'access',
      ts: begin(i),
      dur: begin(i + 1) - begin(i),
      args: { value: describeAccess(access) },
    })),
  ]
}

const running = ({ vcpu, inGuest }: PeSample): string | undefined =>
  vcpu < 0 ? undefined : `vcpu${vcpu}${inGuest ? ' in its guest' : ''}`

/** What is resident on the redistributor. */
const resident = ({ vpe }: PeSample): string | undefined =>
  vpe === undefined || vpe.residency === 0 ? undefined : `${vpe.name} ${residencyTexts[vpe.residency]}`

/** Of each PE: for how long a value stays. */
function slices(
  { pid, base, tracks }: Group,
  cat: string,
  samples: readonly Sample[],
  value: (pe: PeSample) => string | undefined,
): TraceEvent[] {
  return tracks.flatMap((_, cpu) =>
    stretches(samples, ({ pes }) => value(pes[cpu])).map(({ value: name, from, to }) => ({
      ph: 'X' as const,
      name,
      cat,
      pid,
      tid: base + cpu,
      ts: from * STEP,
      dur: (to - from) * STEP,
    })),
  )
}

const mark = (violation: PictureViolation, last: Sample, threads: Group): TraceEvent => ({
  ph: 'i',
  name: `violated: ${titleOf(violation)}`,
  cat: 'violation',
  ...trackOf(last, threads),
  ts: (last.event.time + 1) * STEP,
  s: 'g',
  args: { what: violation.what },
})
