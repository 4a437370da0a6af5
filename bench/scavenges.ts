/** Scavenges, V8's collections of young objects. The heap's growth says nothing of a round that one comes in. */
import { constants, type NodeGCPerformanceDetail, PerformanceObserver } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'

/** Of Node's loop, one more than it takes until a collection is told of. */
const TURNS = 3

/** Counts scavenges from now on; returns what says how many there have been. */
export function countScavenges(): () => Promise<number> {
  let scavenges = 0
  new PerformanceObserver((list) => {
    const kinds = list
      .getEntries()
      .map((entry) => (entry as { detail?: NodeGCPerformanceDetail }).detail?.kind)
    scavenges += kinds.filter((kind) => kind === constants.NODE_PERFORMANCE_GC_MINOR).length
  }).observe({ entryTypes: ['gc'] })
  return async () => {
    for (let turn = 0; turn < TURNS; turn++) await setImmediate()
    return scavenges
  }
}
