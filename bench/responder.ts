/** A process that measures: it answers a line with a line, as worker.ts says. */
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

/** What one side measured in a round: nanoseconds an iteration by the clock, and of the processor. */
export interface Times {
  readonly ns: number
  readonly cpuNs: number
}

export interface Answer extends Times {
  readonly checksum: string
  readonly bytes: number
  readonly scavenges: number
}

export const ANY_PROCESSOR = -1
/**
 * The processors that processes can be kept on, by Linux's taskset; {@link ANY_PROCESSOR} where there is none. What is compared is kept on
 * one processor: of those of a shared machine one may be slower than another for minutes.
 */
export const processors: readonly number[] = (() => {
  if (process.platform !== 'linux' || spawnSync('taskset', ['--version']).status !== 0) return [ANY_PROCESSOR]
  const [, list = ''] = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
})()

/** A child process that answers a line with a line. It stays on a processor, one of {@link processors}. */
export class Responder {
  private readonly child: ChildProcessByStdio<Writable, Readable, null>
  private buffer = ''
  private waiting: ((line: string) => void) | undefined

  constructor(processor: number, ...command: readonly string[]) {
    const kept = processor === ANY_PROCESSOR ? command : ['taskset', '-c', `${processor}`, ...command]
    this.child = spawn(kept[0], kept.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] })
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.buffer += text
      const end = this.buffer.indexOf('\n')
      if (end < 0) return
      const line = this.buffer.slice(0, end)
      this.buffer = this.buffer.slice(end + 1)
      this.waiting?.(line)
    })
  }

  async ask(line: string): Promise<Answer> {
    const answer = new Promise<string>((resolve) => {
      this.waiting = resolve
    })
    this.child.stdin.write(`${line}\n`)
    const [ns, cpuNs, checksum, bytes = 0, scavenges = 0] = (await answer).split(' ')
    return {
      ns: Number(ns),
      cpuNs: Number(cpuNs),
      checksum,
      bytes: Number(bytes),
      scavenges: Number(scavenges),
    }
  }

  end(): void {
    this.child.stdin.end()
  }
}

/** The file of worker.ts, which the build puts beside whatever measures. */
export const workerFile = fileURLToPath(new URL('./worker.js', import.meta.url))

/** A process of worker.ts on a processor. */
export const worker = (processor = processors[0]): Responder =>
  new Responder(processor, process.execPath, '--expose-gc', workerFile)
