/** The page's worker: explores and films, so that the page does not freeze. Each request is answered once. */
import type { Answer, Request } from './messages.ts'
import { museumFacts, Session } from './session.ts'
import { type Bundle, exportsOf, messageOf, resolved, type UserModule } from './user-module.ts'

const bundle: Bundle = Object.fromEntries(
  [
    ['vgic', 'index'],
    ['vgic/scenario', 'scenario'],
    ['vgic/explore', 'explore'],
  ].map(([specifier, file]) => [specifier, new URL(`./vgic/${file}.js`, import.meta.url).href]),
)

const answer = (message: Answer): void => self.postMessage(message)

/** A turn of the event loop, without the delay that timers have. */
function breathe(): Promise<void> {
  return new Promise((done) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      done()
    }
    port2.postMessage(0)
  })
}

async function load(text: string): Promise<UserModule> {
  const blob = new Blob([resolved(text, bundle)], { type: 'text/javascript' })
  const address = URL.createObjectURL(blob)
  try {
    return exportsOf((await import(address)) as Record<string, unknown>)
  } finally {
    URL.revokeObjectURL(address)
  }
}

const session = new Session({
  load,
  breathe,
  now: () => performance.now(),
  onProgress: (progress) => answer({ type: 'progress', progress }),
})

async function handle(request: Request): Promise<void> {
  if (request.type === 'stop') return session.stop()
  try {
    const { subject } = request
    const shown =
      request.type === 'explore'
        ? await session.explore(subject, request.overrides)
        : await session.replay(subject, request.token)
    answer({ type: 'shown', ...shown })
  } catch (error) {
    answer({ type: 'failed', message: messageOf(error) })
  }
}

self.addEventListener('message', ({ data }: MessageEvent<Request>) => handle(data))
answer({ type: 'museum', entries: museumFacts() })
