/**
 * vgic/workers: an exploration on several cores, in Node. The pool of threads is piscina's, which is an optional
 * dependency: install it beside vgic.
 *
 * @module vgic/workers
 */
import { argumentInteger, argumentList, argumentOptions, argumentString, shown } from './errors/arguments.ts'
import { VgicError } from './errors/vgic-error.ts'
import { type Bounds, checkBounds, type Report } from './explore/bounds.ts'
import { ClosedStates, closedStatesBytes } from './explore/closed-states.ts'
import { isEnded, withCovered } from './explore/exploration.ts'
import {
  type Answer,
  type PoolPart,
  type PoolSearch,
  reportOfParts,
  rounds,
  type ScenarioSource,
  type Task,
} from './explore/part-of-pool.ts'

export type { ScenarioSource } from './explore/part-of-pool.ts'

/** The bounds of an exploration on several cores. */
export interface WorkerBounds
  extends Pick<
    Bounds,
    | 'preemptions'
    | 'ticks'
    | 'migrations'
    | 'states'
    | 'depth'
    | 'invariants'
    | 'checkWrites'
    | 'raise'
    | 'reduce'
    | 'symmetry'
  > {
  /** Threads, 1 to 256. */
  readonly workers: number
}

/**
 * Explores every interleaving of a scenario as `explore` does, by several explorers that try the actors in different
 * orders, and share the states that they have done with. Its verdict is that of `explore`; of several violations, and
 * of their schedules, any may be found. Throws a `VgicError` for arguments that are out of range, and if piscina is
 * not installed.
 */
export async function exploreInWorkers(source: ScenarioSource, bounds: WorkerBounds): Promise<Report> {
  const {
    module,
    export: name,
    args,
  } = argumentOptions('source', source, {
    module: true,
    export: true,
    args: true,
  })
  checkAddress(argumentString('module', module))
  argumentString('export', name ?? 'default')
  argumentList('args', args ?? [], 'arguments')
  const { workers, ...others } = argumentOptions('bounds', bounds, {
    workers: true,
    preemptions: true,
    ticks: true,
    migrations: true,
    states: true,
    depth: true,
    invariants: true,
    checkWrites: true,
    raise: true,
    reduce: true,
    symmetry: true,
  })
  const count = argumentInteger('workers', workers, 1, 256)
  const checked = checkBounds(others)
  const pool = await newPool(count)
  try {
    let wasCut = false
    for (const interventions of rounds(checked)) {
      const buffer = new SharedArrayBuffer(closedStatesBytes(checked.states))
      const search: PoolSearch = { bounds: others, interventions, buffer }
      const tasks = Array.from({ length: count }, (_, index): Task => ({ source, search, index }))
      const parts = (await Promise.all(tasks.map((task) => pool.run(task) as Promise<Answer>))).map(partOf)
      const report = reportOfParts(parts, new ClosedStates(buffer).size)
      const isLast = !parts.some(({ withheld }) => withheld)
      wasCut ||= report.bound === 'depth'
      if (report.violation || isEnded(report) || isLast)
        return withCovered(report, checked, interventions, wasCut)
    }
    throw new Error('The last search withholds nothing.')
  } finally {
    await pool.destroy()
  }
}

/** A thread resolves a relative path beside this library. */
function checkAddress(module: string): void {
  if (!module.startsWith('.')) return
  throw new VgicError(
    'argument',
    `module must be an address, but is ${shown(module)}: new URL(${shown(module)}, import.meta.url).href is one.`,
  )
}

/** The part that a thread has done; throws the error that it has met instead. */
function partOf(answer: Answer): PoolPart {
  if ('report' in answer) return answer
  throw new VgicError(answer.code, answer.message)
}

async function newPool(threads: number) {
  const { Piscina } = await import('piscina').catch(() => {
    throw new VgicError('argument', 'workers need the package piscina: npm install piscina.')
  })
  // Beside this file, in the built library.
  const { url } = import.meta as unknown as { readonly url: string }
  const filename = url.replace(/[^/]*$/, 'worker.js')
  return new Piscina({ filename, minThreads: threads, maxThreads: threads })
}
