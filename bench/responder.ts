/** A process that measures: it answers a line with a line, as worker.ts says. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { keepOn } from './processors.ts'

/** What one side measured in a round: nanoseconds an iteration by the clock, and of the processor. */
export interface Times {
  readonly ns: number
  readonly cpuNs: number
}

export interface Answer extends Times {
  readonly checksum: string
  readonly bytes: number
  readonly scavenges: number
  readonly pageFaults: number
}

/** Who waits for a line. */
interface Waiter {
  answered(line: string): void
  failed(why: Error): void
}

/** A child process that answers a line with a line. */
export class Responder {
  private readonly child: ChildProcessByStdio<Writable, Readable, null>
  /** In the order of the lines that they have sent. */
  private readonly waiters: Waiter[] = []
  /** Why there is no answer any more. */
  private failure: Error | undefined

  constructor(...command: readonly string[]) {
    const [file, ...args] = command
    this.child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface({ input: this.child.stdout }).on('line', (line) => this.waiters.shift()?.answered(line))
    const fail = (why: string): void => this.fail(new Error(`${command.join(' ')}: ${why}.`))
    this.child.on('error', ({ message }) => fail(`it does not run: ${message}`))
    this.child.on('close', (code, signal) => fail(`it has ended with ${signal ?? code}`))
    this.child.stdin.on('error', ({ message }) => fail(`it reads no more: ${message}`))
  }

  /** What the process answers; rejects if it says something else, or ends before. */
  async ask(line: string): Promise<Answer> {
    if (this.failure) throw this.failure
    const answer = new Promise<string>((answered, failed) => this.waiters.push({ answered, failed }))
    this.child.stdin.write(`${line}\n`)
    return read(await answer)
  }

  /** From now on it stays on a processor, one of `processors()`. */
  stayOn(processor: number): void {
    if (this.child.pid !== undefined) keepOn(processor, this.child.pid)
  }

  end(): void {
    this.child.stdin.end()
  }

  /** The first reason is the one that is told. */
  private fail(why: Error): void {
    this.failure ??= why
    for (const { failed } of this.waiters.splice(0)) failed(this.failure)
  }
}

/** An answer by its line; the yardstick's ends with its checksum. */
function read(line: string): Answer {
  const [ns, cpuNs, checksum = '', bytes = '0', scavenges = '0', pageFaults = '0'] = line.trim().split(/\s+/)
  const numbers = {
    ns: Number(ns),
    cpuNs: Number(cpuNs),
    bytes: Number(bytes),
    scavenges: Number(scavenges),
    pageFaults: Number(pageFaults),
  }
  if (checksum === '' || !Object.values(numbers).every(Number.isFinite)) {
    throw new Error(`This is no answer of a process that measures: ${line}`)
  }
  return { ...numbers, checksum }
}

/** The file of worker.ts, which the build puts beside whatever measures. */
export const workerFile = fileURLToPath(new URL('./worker.js', import.meta.url))

/** A process of worker.ts, with more options of Node. */
export const worker = (...options: readonly string[]): Responder =>
  new Responder(process.execPath, '--expose-gc', ...options, workerFile)
