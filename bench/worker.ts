/**
 * A process that measures cases on demand: reads lines `CASE ITERATIONS MACHINES DESIGN`, answers each with
 * `NS_PER_ITERATION CPU_NS_PER_ITERATION CHECKSUM BYTES_PER_ITERATION SCAVENGES PAGE_FAULTS`. DESIGN, which may be left out,
 * is the position of a design among those of designs.ts. With several machines alive the first is measured. Machines are warmed up
 * when they are made; the time of the processor is that of all threads, V8's compiler and collector included.
 */

import { createInterface } from 'node:readline'
import { type Design, designs, type ScenarioMachine } from 'vgic/scenario'
import { measuredDesigns } from './designs.ts'
import {
  ASLEEP,
  HotPath,
  HYPERCALL_V4,
  IPI_HW,
  LPI,
  machineOf,
  machineOfV41,
  machineWithIts,
  machineWithTimers,
  VLPI,
  WFI_V4,
  WITH_TIMERS,
} from './hot-path.ts'
import { type Measurable, publicPath } from './public.ts'
import { watchScavenges } from './scavenges.ts'

const WARM_UP = 50_000
const WARM_UP_ROUNDS = 3
/** Of what makes objects: V8 compiles anew, for some time, what it has compiled for those of the round before. */
const MORE_WARM_UP_ROUNDS = 4

/** Machines with other list registers and designs than the measured one. */
const others = [
  (polls: boolean) => machineOf(2, designs.wfiHandler, polls),
  (polls: boolean) => machineOf(16, designs.vmcrOnExit, polls),
]

async function serve(): Promise<void> {
  const scavenges = watchScavenges()
  const measured = new Map<string, Measurable>()
  const emptyBytes = new Map<string, number>()
  for await (const line of createInterface({ input: process.stdin })) {
    const [number, iterations, count, position] = line.split(' ').map(Number)
    const key = `${number} ${count} ${position}`
    const path = measured.get(key) ?? prepared(number, count, position)
    measured.set(key, path)
    measure(path, number, 0)
    // A collection that comes in between makes it less: it is the most of all rounds.
    const empty = Math.max(emptyBytes.get(key) ?? 0, measure(path, number, 0).bytes)
    emptyBytes.set(key, empty)
    const { start, end, cpu, checksum, bytes, faults } = measure(path, number, iterations)
    const wall = (end - start) * 1e6
    const came = await scavenges(start, end)
    const each = (value: number, digits: number): string => (value / iterations).toFixed(digits)
    console.log(`${each(wall, 3)} ${each(cpu, 3)} ${checksum} ${each(bytes - empty, 4)} ${came} ${faults}`)
  }
}

/**
 * What a case runs, warmed up. What is left of that is collected once, and not before each round, in which V8's threads would
 * sweep then.
 */
function prepared(number: number, count: number, position: number): Measurable {
  const path: Measurable =
    publiclyWarmedUp(number) ?? warmedUp(number, count, measuredDesigns[position]?.make())
  if (!path.makesObjects) globalThis.gc?.()
  return path
}

/** Of a case by the public API, warmed up; undefined for an internal one. */
function publiclyWarmedUp(number: number): Measurable | undefined {
  const path = publicPath(number)
  const rounds = path?.makesObjects ? MORE_WARM_UP_ROUNDS : WARM_UP_ROUNDS
  for (let round = 0; path && round < rounds; round++) path.run(number, WARM_UP, (iterate) => iterate())
  return path
}

/** The machine that a case is measured on, after it and others have run it. */
function warmedUp(number: number, count: number, design: Design = designs.wfiFullPut): HotPath {
  const polls = !ASLEEP.includes(number)
  const makers = [(waits: boolean) => measuredMachine(number, waits, design), ...others]
  const paths = makers.slice(0, count).map((make) => new HotPath(make(polls)))
  if (number === LPI) paths[0].bootIts()
  if (number === IPI_HW) paths[0].enableVsgis()
  for (let round = 0; round < WARM_UP_ROUNDS; round++) {
    for (const path of paths) path.run(number, WARM_UP)
  }
  return paths[0]
}

function measuredMachine(number: number, polls: boolean, design: Design): ScenarioMachine {
  if (number === LPI) return machineWithIts()
  if (WITH_TIMERS.includes(number)) return machineWithTimers(design)
  if ([HYPERCALL_V4, IPI_HW, VLPI, WFI_V4].includes(number)) return machineOfV41(polls)
  return machineOf(4, design, polls)
}

/** What a round takes. Its bytes are also those of measuring itself, which a round without iterations shows. */
function measure(path: Measurable, number: number, iterations: number) {
  let bytes = 0
  let start = 0
  let end = 0
  let cpu = 0
  let faults = 0
  const checksum = path.run(number, iterations, (iterate) => {
    const heap = process.memoryUsage().heapUsed
    const before = process.resourceUsage()
    start = performance.now()
    const sum = iterate()
    end = performance.now()
    const after = process.resourceUsage()
    cpu = (cpuTime(after) - cpuTime(before)) * 1e3
    faults = after.minorPageFault - before.minorPageFault
    bytes = process.memoryUsage().heapUsed - heap
    return sum
  })
  return { start, end, cpu, checksum, bytes, faults }
}

/** Microseconds of the processor, of all threads. */
const cpuTime = ({ userCPUTime, systemCPUTime }: NodeJS.ResourceUsage): number => userCPUTime + systemCPUTime

await serve()
