/**
 * Readers of trace events. Perfetto's own, trace_processor, is in neither npm nor Debian (docs/pictures.md). So there are
 * Chrome's other reader, the trace engine of DevTools, and the rule by which trace_processor drops slices.
 */
import type { TraceEvent } from 'vgic/scenario'

/** A thread, as DevTools reads it. */
export interface DevToolsThread {
  readonly pid: number
  readonly tid: number
  readonly name: string | null
  /** Its slices, in order of their beginnings. */
  readonly entries: readonly { readonly name: string; readonly ts: number; readonly dur: number }[]
  /** How many slices are in each other, at most. */
  readonly depth: number
}

/** As much of the trace engine as is used. */
interface Engine {
  readonly TraceModel: {
    readonly Model: {
      createWithAllHandlers(): {
        parse(events: readonly TraceEvent[]): Promise<void>
        parsedTrace(): { readonly data: { readonly Renderer: Renderer } } | null
      }
    }
  }
}

interface Renderer {
  readonly processes: ReadonlyMap<number, { readonly threads: ReadonlyMap<number, RendererThread> }>
}

interface RendererThread extends Pick<DevToolsThread, 'name' | 'entries'> {
  readonly tree?: { readonly maxDepth: number }
}

const ENGINE = '@paulirish/trace_engine/models/trace/trace.js'

/** What the Performance panel of Chrome DevTools makes of a trace. */
export async function readByDevTools(events: readonly TraceEvent[]): Promise<DevToolsThread[]> {
  // It has types, which need those of a browser.
  const { TraceModel } = (await import(/* @vite-ignore */ ENGINE)) as Engine
  const model = TraceModel.Model.createWithAllHandlers()
  await model.parse(events)
  const trace = model.parsedTrace()
  if (!trace) throw new Error('DevTools reads no trace')
  return [...trace.data.Renderer.processes].flatMap(([pid, { threads }]) =>
    [...threads].map(([tid, { name, entries, tree }]) => ({
      pid,
      tid,
      name,
      entries,
      depth: tree?.maxDepth ?? 0,
    })),
  )
}

/** A time in nanoseconds as trace_processor has it: of a fraction of microseconds, rounded down. */
const nanoseconds = (time: number): number => Math.trunc(time * 1000)

/**
 * The slices that trace_processor drops ("slice_drop_overlapping_complete_event"): those that begin in another one of
 * their track and end after it.
 */
export function droppedByPerfetto(events: readonly TraceEvent[]): TraceEvent[] {
  const stacks = new Map<string, number[]>()
  const slices = events.filter(({ ph }) => ph === 'X').sort((a, b) => nanoseconds(a.ts) - nanoseconds(b.ts))
  return slices.filter(({ pid, tid, ts, dur = 0 }) => {
    const track = `${pid}.${tid}`
    const begin = nanoseconds(ts)
    const end = begin + nanoseconds(dur)
    const open = (stacks.get(track) ?? []).filter((other) => other > begin)
    if (open.some((other) => end > other)) return true
    stacks.set(track, [...open, end])
    return false
  })
}
