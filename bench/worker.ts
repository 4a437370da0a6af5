/**
 * A process that runs scenarios on demand: reads lines `SCENARIO ITERATIONS MACHINES`, answers each with
 * `NS_PER_ITERATION CHECKSUM BYTES_PER_ITERATION SCAVENGES`. With several machines alive the first is measured,
 * after all have been warmed up.
 */

import { PerformanceObserver } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { designs } from 'vgic/scenario'
import { HotPath, LPI, machineOf, machineWithIts, SPI, WFI_ASLEEP } from './hot-path.ts'

const WARM_UP = 200_000

/** Machines with other list registers and designs than the measured one. */
const others = [
  (polls: boolean) => machineOf(2, designs.wfiHandler, polls),
  (polls: boolean) => machineOf(16, designs.vmcrOnExit, polls),
]

export function serve(): void {
  let scavenges = 0
  new PerformanceObserver((list) => {
    scavenges += list.getEntries().length
  }).observe({ entryTypes: ['gc'] })
  const machines = new Map<string, HotPath[]>()
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    const [scenario, iterations, count] = line.split(' ').map(Number)
    const polls = scenario !== WFI_ASLEEP
    const hasIts = scenario === LPI
    const key = `${count} ${polls} ${hasIts}`
    let paths = machines.get(key)
    if (!paths) {
      const first = hasIts ? machineWithIts : () => machineOf(4, designs.wfiFullPut, polls)
      paths = [first, ...others].slice(0, count).map((make) => new HotPath(make(polls)))
      if (hasIts) paths[0].bootIts()
      machines.set(key, paths)
    }
    // The others have no ITS: they take SPIs meanwhile.
    for (const [i, path] of paths.entries()) path.run(hasIts && i > 0 ? SPI : scenario, WARM_UP)
    const [measured] = paths
    measure(measured, scenario, 0)
    const empty = measure(measured, scenario, 0)
    const before = scavenges
    const { ns, sum, bytes } = measure(measured, scenario, iterations)
    const perIteration = (bytes - empty.bytes) / iterations
    setImmediate(() => {
      console.log(`${(ns / iterations).toFixed(3)} ${sum} ${perIteration.toFixed(4)} ${scavenges - before}`)
    })
  })
}

/** What a round takes. Its bytes are also those of measuring itself, which a round without iterations shows. */
function measure(path: HotPath, scenario: number, iterations: number) {
  globalThis.gc?.()
  const heap = process.memoryUsage().heapUsed
  const start = performance.now()
  const sum = path.run(scenario, iterations)
  const ns = (performance.now() - start) * 1e6
  return { ns, sum, bytes: process.memoryUsage().heapUsed - heap }
}
