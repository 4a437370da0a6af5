/** Files that are there for as long as something measures with them. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Gives work a directory of its own, and removes that at the end, however it ends. */
export async function inDirectory<T>(name: string, work: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), `vgic-${name}-`))
  try {
    return await work(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Gives work the yardstick, compiled from its source; undefined if there is none. */
export function besideTwin<T>(
  source: string | undefined,
  work: (twin: string | undefined) => Promise<T>,
): Promise<T> {
  if (source === undefined) return work(undefined)
  return inDirectory('twin', (directory) => {
    const twin = join(directory, 'native-twin')
    execFileSync('cc', ['-O2', '-o', twin, source])
    return work(twin)
  })
}
