/**
 * Searches of models in Promela by Spin: states, transitions and CPU time of a search of everything, and to the first
 * counterexample of a design with a bug.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/** What a search has done, of Spin or of the explorer. */
export interface SearchCost {
  readonly by: string
  readonly states: number
  readonly transitions: number
  /** Of the processor's time. */
  readonly seconds: number
  /** The processor's time that it takes before to make Spin's verifier from the model; left out for the explorer. */
  readonly made?: number
  /** Steps of the first counterexample; undefined if there is none. */
  readonly steps?: number | undefined
}

/** A model in Promela. */
export interface Model {
  readonly file: string
  readonly defines: readonly string[]
  /** Whether it has hundreds of thousands of states. */
  readonly isLarge: boolean
}

/** Whether Spin is installed. */
export const hasSpin = (): boolean => spawnSync('spin', ['-V']).status === 0

/**
 * How a verifier is run: the size of its stack and hash table, and how often, for a mean. A large table costs more, in
 * zeroed pages, than the whole search of a small model; and the shell's times count in hundredths of a second.
 */
const LARGE = { sizes: '-m1000000 -w22', rounds: 1 }
const SMALL = { sizes: '-m10000 -w16', rounds: 200 }

/**
 * Searches the model with Spin's verifier, compiled with cc -O2. All variables count (-o2), as in the explorer's
 * states.
 */
export function searchWithSpin(model: Model, reduced: boolean): SearchCost {
  const cwd = mkdtempSync(join(tmpdir(), 'vgic-spin-'))
  try {
    return searchIn(cwd, model, reduced)
  } finally {
    rmSync(cwd, { recursive: true })
  }
}

function searchIn(cwd: string, { file, defines, isLarge }: Model, reduced: boolean): SearchCost {
  const run = (script: string): string =>
    execFileSync('sh', ['-c', `${script}; times`, 'sh', resolve(file)], { cwd, encoding: 'utf8' })
  const given = defines.map((define) => `-D${define}`).join(' ')
  const options = reduced ? '' : '-DNOREDUCE'
  const making = run(
    `spin -o2 ${given} -a "$1" >spin.out && cc -O2 -DSAFETY ${options} -w -o pan pan.c || exit 1`,
  )
  const { sizes, rounds } = isLarge ? LARGE : SMALL
  // An end in which the vCPU sleeps for good reason is none that Spin would know to be valid: -E.
  const pan = `./pan -E ${sizes}`
  const said = run(`${pan}; n=1; while [ $n -lt ${rounds} ]; do ${pan} >pan.out; n=$((n + 1)); done`)
  const depth = /assertion violated .*\(at depth (\d+)\)/.exec(said)?.[1]
  return {
    by: reduced ? 'Spin, reduced' : 'Spin',
    states: counted(said, /(\d+) states, stored/),
    transitions: counted(said, /(\d+) transitions/),
    seconds: childrensSeconds(said) / rounds,
    made: childrensSeconds(making),
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
