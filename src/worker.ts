/** A thread of the pool of src/workers.ts. */
import { VgicError } from './errors/vgic-error.ts'
import { type Answer, explorePart, type Task } from './explore/part-of-pool.ts'
import type { Scenario } from './scenario/builder.ts'

/** Loads the scenario, and does the part of a search that the task asks for. */
export default async function work({ source, search, index }: Task): Promise<Answer> {
  const { module, export: name = 'default', args = [] } = source
  try {
    const make = (await load(module))[name]
    if (typeof make === 'function') return explorePart(make(...args) as Scenario, search, index)
    throw new VgicError('argument', `${module} has no function ${name}: export one that returns a scenario.`)
  } catch (error) {
    if (error instanceof VgicError) return { code: error.code, message: error.message }
    throw error
  }
}

async function load(module: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(module)) as Readonly<Record<string, unknown>>
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error)
    throw new VgicError('argument', `${module} cannot be loaded: ${said.replace(/\.?$/, '.')}`)
  }
}
