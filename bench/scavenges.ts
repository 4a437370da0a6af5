/** Scavenges, V8's collections of young objects. The heap's growth says nothing of a round that one comes in. */
import { constants, type NodeGCPerformanceDetail, PerformanceObserver } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'

/** Of Node's loop, one more than it takes until a collection is told of. */
const TURNS = 3

const isScavenge = (entry: object): boolean =>
  (entry as { readonly detail?: NodeGCPerformanceDetail }).detail?.kind ===
  constants.NODE_PERFORMANCE_GC_MINOR

/** Looks for scavenges from now on; returns what says how many began between two times of `performance`. */
export function watchScavenges(): (from: number, to: number) => Promise<number> {
  const begun: number[] = []
  new PerformanceObserver((list) => {
    begun.push(...list.getEntries().flatMap((entry) => (isScavenge(entry) ? [entry.startTime] : [])))
  }).observe({ entryTypes: ['gc'] })
  return async (from, to) => {
    for (let turn = 0; turn < TURNS; turn++) await setImmediate()
    // Others come between two rounds, when V8 has time.
    return begun.splice(0).filter((time) => from <= time && time <= to).length
  }
}
