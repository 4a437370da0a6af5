/**
 * The conformance program as its user runs it: a program of its own, fed with files. It is bundled from the
 * sources for each test file, so that no test sees what an earlier build has left in build/.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { build } from 'tsup'

export const FIXTURE = 'test/fixtures/ich.jsonl.gz'

export interface Run {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export class ConformanceProgram {
  private constructor(private readonly directory: string) {}

  static async bundle(): Promise<ConformanceProgram> {
    const program = new ConformanceProgram(mkdtempSync(join(tmpdir(), 'vgic-conformance-')))
    await build({
      config: false,
      entry: { main: 'test/conformance/main.ts' },
      outDir: program.directory,
      outExtension: () => ({ js: '.mjs' }),
      tsconfig: 'tsconfig.tools.json',
      format: ['esm'],
      target: 'node20',
      platform: 'node',
      noExternal: [/^vgic/],
      silent: true,
    })
    return program
  }

  run(...args: readonly string[]): Run {
    const main = join(this.directory, 'main.mjs')
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })
    return { status, stdout, stderr }
  }

  /** Writes a file for the program to read and returns its path. */
  file(name: string, content: string | Uint8Array): string {
    const path = join(this.directory, name)
    writeFileSync(path, content)
    return path
  }

  /** Writes a gzip'd recording of one trace a line. */
  recording(name: string, traces: readonly unknown[]): string {
    return this.file(name, gzipSync(traces.map((trace) => `${JSON.stringify(trace)}\n`).join('')))
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** A trace as it stands in a recording. */
export interface RecordedTrace {
  suite: string
  seed: number | null
  config: Record<string, unknown> & { trusted: number }
  ops: Record<string, unknown>[]
  results: (Record<string, unknown> & { st: string[] })[]
}

/** The traces of the fixture. */
export const fixtureTraces = (): RecordedTrace[] =>
  gunzipSync(readFileSync(FIXTURE))
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as RecordedTrace)
