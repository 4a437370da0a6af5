/** A process that measures: it answers a line with a line, as worker.ts says. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
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

/** A child process that answers a line with a line. */
export class Responder {
  private readonly child: ChildProcessByStdio<Writable, Readable, null>
  private buffer = ''
  private waiting: ((line: string) => void) | undefined

  constructor(command: string, args: readonly string[]) {
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
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

/** A process of worker.ts. */
export const worker = (): Responder => new Responder(process.execPath, ['--expose-gc', workerFile])
