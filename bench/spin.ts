/**
 * The explorer beside Spin, on the same protocol in Promela (wfi-protocol.pml): states, transitions and CPU time of a
 * search of everything, and to the first counterexample of the design with a bug.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/** What a search has done, of Spin or of the explorer. */
export interface SearchCost {
  readonly by: string
  readonly states: number
  readonly transitions: number
  /** Of the processor's time. */
  readonly seconds: number
  /** Steps of the first counterexample; undefined if there is none. */
  readonly steps?: number | undefined
}

/** Whether Spin is installed. */
export const hasSpin = (): boolean => spawnSync('spin', ['-V']).status === 0

/**
 * Searches the model with Spin's verifier, compiled with cc -O2. All variables count (-o2), as in the explorer's
 * states.
 */
export function searchWithSpin(
  model: string,
  preemptions: number,
  { reduced, stale }: { readonly reduced: boolean; readonly stale: boolean },
): SearchCost {
  const cwd = mkdtempSync(join(tmpdir(), 'vgic-spin-'))
  const defines = [`-DPREEMPTIONS=${preemptions}`, ...(stale ? ['-DSTALE'] : [])]
  execFileSync('spin', ['-o2', ...defines, '-a', resolve(model)], { cwd, stdio: 'ignore' })
  const options = ['-O2', '-DSAFETY', ...(reduced ? [] : ['-DNOREDUCE'])]
  execFileSync('cc', [...options, '-w', '-o', 'pan', 'pan.c'], { cwd })
  // An end in which the vCPU sleeps for good reason is none that Spin would know to be valid: -E.
  const said = execFileSync('sh', ['-c', './pan -E -m1000000 -w22; times'], { cwd, encoding: 'utf8' })
  const depth = /assertion violated .*\(at depth (\d+)\)/.exec(said)?.[1]
  return {
    by: reduced ? 'Spin, reduced' : 'Spin',
    states: counted(said, /(\d+) states, stored/),
    transitions: counted(said, /(\d+) transitions/),
    seconds: childrensSeconds(said),
    steps: depth === undefined ? undefined : Number(depth) + 1,
  }
}

function counted(said: string, what: RegExp): number {
  const number = what.exec(said)?.[1]
  if (number === undefined) throw new Error(`Spin's verifier has counted nothing:\n${said}`)
  return Number(number)
}

/** The last line of the shell's times: user and system time of its children, as 0m1.250s. */
function childrensSeconds(said: string): number {
  const [user = '', system = ''] = said.trimEnd().split('\n').at(-1)?.split(' ') ?? []
  return seconds(user) + seconds(system)
}

function seconds(time: string): number {
  const [, minutes = '0', rest = '0'] = /(\d+)m([\d.]+)s/.exec(time) ?? []
  return 60 * Number(minutes) + Number(rest)
}
