/**
 * A run as Chrome's trace-event JSON, which ui.perfetto.dev and chrome://tracing open ("Trace Event Format"): threads,
 * devices and the environment as tracks of steps with the hypervisor's accesses inside, PEs as tracks of what runs on
 * them. A step is a microsecond.
 */

import type { Run } from '../run.ts'
import { describeAccess } from '../timeline.ts'
import {
  type PeSample,
  type PictureOptions,
  record,
  residencyTexts,
  type Sample,
  stretches,
} from './samples.ts'

/** An event of a {@link PerfettoTrace}. */
export interface TraceEvent {
  /** Metadata, a slice, or an instant. */
  readonly ph: 'M' | 'X' | 'i'
  /** What the slice is called. */
  readonly name: string
  /** The group of tracks. */
  readonly pid: number
  /** The track. */
  readonly tid: number
  /** The beginning, in microseconds of virtual time; 0 for metadata. */
  readonly ts: number
  /** Of a slice: how long it is. */
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

const THREADS = 1
const PES = 2
const VPES = 3

/** A run as trace-event JSON: write `JSON.stringify(toPerfetto(run))` to a file and open it in ui.perfetto.dev. */
export function toPerfetto(run: Run, options: PictureOptions = {}): PerfettoTrace {
  const { samples, actors, violation } = record(run, options)
  const cpus = samples[0]?.after.pes.map((_, cpu) => cpu) ?? []
  const last = samples.at(-1)
  return {
    displayTimeUnit: 'ns',
    traceEvents: [
      ...tracks(THREADS, 'steps', actors),
      ...tracks(
        PES,
        'PEs',
        cpus.map((cpu) => `cpu${cpu}`),
      ),
      ...samples.flatMap((sample) => stepSlices(sample, actors)),
      ...cpus.flatMap((cpu) => peSlices(samples, cpu)),
      ...(samples[0]?.after.pes[0]?.vpe === undefined ? [] : vpeTracks(samples, cpus)),
      ...(violation && last
        ? [
            {
              ph: 'i' as const,
              name: `violated: ${violation.invariant}`,
              cat: 'violation',
              pid: THREADS,
              tid: actors.indexOf(last.event.actor.name) + 1,
              ts: last.event.time + 1,
              s: 'g' as const,
              args: { what: violation.what },
            },
          ]
        : []),
    ],
  }
}

function tracks(pid: number, name: string, names: readonly string[]): TraceEvent[] {
  const metadata = (what: string, tid: number, args: Record<string, string | number>): TraceEvent => ({
    ph: 'M',
    name: what,
    pid,
    tid,
    ts: 0,
    args,
  })
  return [
    metadata('process_name', 0, { name }),
    metadata('process_sort_index', 0, { sort_index: pid }),
    ...names.flatMap((each, i) => [
      metadata('thread_name', i + 1, { name: each }),
      metadata('thread_sort_index', i + 1, { sort_index: i }),
    ]),
  ]
}

/** A step, and the accesses in it one after the other. */
function stepSlices({ event }: Sample, actors: readonly string[]): TraceEvent[] {
  const { time, actor, place, what, accesses } = event
  const track = { ph: 'X' as const, pid: THREADS, tid: actors.indexOf(actor.name) + 1 }
  const dur = 1 / accesses.length
  return [
    { ...track, name: what, cat: 'step', ts: time, dur: 1, args: { place } },
    ...accesses.map((access, i) => ({
      ...track,
      name: `${access.direction} ${access.name}`,
      cat: 'access',
      ts: time + i * dur,
      dur,
      args: { value: describeAccess(access) },
    })),
  ]
}

function peSlices(samples: readonly Sample[], cpu: number): TraceEvent[] {
  return slicesOf(PES, 'pe', cpu, samples, ({ vcpu, inGuest }) =>
    vcpu < 0 ? undefined : `vcpu${vcpu}${inGuest ? ' in its guest' : ''}`,
  )
}

/** What is resident on the redistributors. */
function vpeTracks(samples: readonly Sample[], cpus: readonly number[]): TraceEvent[] {
  return [
    ...tracks(
      VPES,
      'resident vPEs',
      cpus.map((cpu) => `cpu${cpu}`),
    ),
    ...cpus.flatMap((cpu) =>
      slicesOf(VPES, 'vpe', cpu, samples, ({ vpe }) =>
        vpe === undefined || vpe.residency === 0 ? undefined : `${vpe.name} ${residencyTexts[vpe.residency]}`,
      ),
    ),
  ]
}

function slicesOf(
  pid: number,
  cat: string,
  cpu: number,
  samples: readonly Sample[],
  value: (pe: PeSample) => string | undefined,
): TraceEvent[] {
  return stretches(samples, ({ pes }) => value(pes[cpu])).map(({ value: name, from, to }) => ({
    ph: 'X',
    name,
    cat,
    pid,
    tid: cpu + 1,
    ts: from,
    dur: to - from,
  }))
}
