/** What a function of the user's own throws in an exploration: a step of a design, or an invariant. */
import { VgicError } from '../errors/vgic-error.ts'
import type { Search } from './search.ts'

/** Does something of a search; what it throws says by which schedule it was come to. */
export function whereItThrows<T>(search: Search, act: () => T): T {
  try {
    return act()
  } catch (error) {
    throw withSchedule(search, error)
  }
}

function withSchedule(search: Search, error: unknown): VgicError {
  const taken = search.stack.actors()
  const said = error instanceof Error ? `${error.message}` : String(error)
  const sentence = /[.!?]$/.test(said) ? said : `${said}.`
  const kind = error instanceof VgicError || !(error instanceof Error) ? '' : `${error.name}: `
  return new VgicError(
    error instanceof VgicError ? error.code : 'scenario',
    `${kind}${sentence} It is thrown in or after the last of the ${taken.length} steps of the schedule ${search.scheduleOf(taken)}`,
    { cause: error },
  )
}
