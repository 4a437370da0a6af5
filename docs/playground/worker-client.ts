/** The page's side of the worker: one request at a time; one that takes its place ends the one before. */
import type { Answer, EntryFacts, Request } from './messages.ts'

type Question = Exclude<Request, { type: 'stop' }>

/** What the page does with answers. */
export interface Listener {
  onMuseum(entries: readonly EntryFacts[]): void
  onAnswer(answer: Exclude<Answer, { type: 'museum' }>): void
}

/** Milliseconds in which a worker that is asked to stop may answer: a text may have a loop without end. */
const PATIENCE = 3000

export class WorkerClient {
  private worker: Worker
  private isBusy = false

  constructor(private readonly listener: Listener) {
    this.worker = this.begin()
  }

  ask(question: Question): void {
    if (this.isBusy) this.restart()
    this.isBusy = true
    this.send(question)
  }

  /** Asks the worker to answer with what it has; ends it if it does not. */
  stop(): void {
    const { worker } = this
    this.send({ type: 'stop' })
    setTimeout(() => {
      if (!this.isBusy || this.worker !== worker) return
      this.restart()
      this.isBusy = false
      this.listener.onAnswer({ type: 'failed', message: 'Stopped: it did not give way, and knows nothing.' })
    }, PATIENCE)
  }

  private send(request: Request): void {
    this.worker.postMessage(request)
  }

  private restart(): void {
    this.worker.terminate()
    this.worker = this.begin()
  }

  private begin(): Worker {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })
    worker.addEventListener('message', ({ data }: MessageEvent<Answer>) => this.hear(worker, data))
    worker.addEventListener('error', ({ message }) => {
      this.hear(worker, {
        type: 'failed',
        message: message || 'The worker does not load: serve the page by HTTP.',
      })
    })
    return worker
  }

  private hear(worker: Worker, answer: Answer): void {
    if (worker !== this.worker) return
    if (answer.type === 'museum') {
      this.listener.onMuseum(answer.entries)
      return
    }
    if (answer.type !== 'progress') this.isBusy = false
    this.listener.onAnswer(answer)
  }
}
