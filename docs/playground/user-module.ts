/**
 * A module's text from the editor. It runs in the worker, imported by a blob: URL; the specifiers of the library that it
 * has become addresses of the page's own bundle, since import maps do not reach workers.
 */
import type { Bounds } from 'vgic/explore'
import { Scenario } from 'vgic/scenario'

/** Where the page has the library, by specifier. */
export type Bundle = Readonly<Record<string, string>>

/** What a text exports. */
export interface UserModule {
  readonly scenario: Scenario
  readonly bounds: Bounds
}

const SPECIFIER = /((?:\bfrom|\bimport)\s*\(?\s*)(["'])(vgic(?:\/[\w-]+)?)\2/g

/** The text with the addresses of the bundle. Throws for an entry of the library that the page does not have. */
export function resolved(text: string, bundle: Bundle): string {
  return text.replaceAll(SPECIFIER, (_, before: string, quote: string, specifier: string) => {
    const address = bundle[specifier]
    if (address !== undefined) return `${before}${quote}${address}${quote}`
    throw new Error(`The page has ${Object.keys(bundle).join(', ')}, and not ${specifier}.`)
  })
}

/** The scenario that a module exports, as `scenario` or by default, itself or by a function; and its `bounds`. */
export function exportsOf(module: Readonly<Record<string, unknown>>): UserModule {
  const exported = module['scenario'] ?? module['default']
  const scenario: unknown = typeof exported === 'function' ? (exported as () => unknown)() : exported
  if (scenario instanceof Scenario) return { scenario, bounds: (module['bounds'] ?? {}) as Bounds }
  throw new Error(
    "The text must export a scenario: export default scenario('name').vm({ vcpus: 1 })..., or a function that makes one.",
  )
}

/** What went wrong, with the line of the text in which it did, as far as the host says. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const line = /\bblob:\S*?:(\d+):\d+/.exec(error.stack ?? '')?.[1]
  const name = error.name === 'Error' ? '' : `${error.name}: `
  return `${line === undefined ? '' : `Line ${line}: `}${name}${error.message}`
}
