/**
 * The processors that processes are kept on, by Linux's taskset. What is compared is kept on one: of those of a shared
 * machine one may be slower than another for minutes.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

export const ANY_PROCESSOR = -1

/** Empty until somebody asks. */
const found: number[] = []

/** The processors that there are for this process; {@link ANY_PROCESSOR} where a process cannot be kept on one. */
export function processors(): readonly number[] {
  if (found.length === 0) found.push(...findProcessors())
  return found
}

function findProcessors(): number[] {
  if (process.platform !== 'linux' || spawnSync('taskset', ['--version']).status !== 0) return [ANY_PROCESSOR]
  const [, list] = /^Cpus_allowed_list:\s*(\S+)/m.exec(ownStatus()) ?? []
  return list === undefined ? [ANY_PROCESSOR] : listed(list)
}

/** What Linux says of this process, unless there is no /proc. */
function ownStatus(): string {
  try {
    return readFileSync('/proc/self/status', 'utf8')
  } catch {
    return ''
  }
}

/** The numbers of a list such as `0-3,8`. */
export const listed = (list: string): number[] =>
  list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })

/** Keeps a process on a processor, with the threads that it has and will start. */
export function keepOn(processor: number, pid: number): void {
  if (processor !== ANY_PROCESSOR)
    spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', `${processor}`, `${pid}`])
}
