/** What of the page is in its address: the hash, so that a static server does. */
import type { Overrides, Side } from './messages.ts'

/** A view of the page that can be shared. */
export interface Address {
  /** The museum entry; undefined for a text. */
  readonly entry: string | undefined
  readonly side: Side
  /** The editor's text, packed. */
  readonly text: string | undefined
  /** The schedule; undefined if none is shown. */
  readonly token: string | undefined
  /** The step that is shown. */
  readonly step: number | undefined
  readonly overrides: Overrides
}

const LIMITS = ['preemptions', 'ticks', 'migrations'] as const

/** Reads a hash; what makes no sense is left out. */
export function readAddress(hash: string): Address {
  const parts = new URLSearchParams(hash.replace(/^#/, ''))
  const count = (name: string): number | undefined => {
    const text = parts.get(name) ?? ''
    return /^\d{1,6}$/.test(text) ? Number(text) : undefined
  }
  const limits = LIMITS.flatMap((name) => {
    const value = count(name)
    return value === undefined ? [] : [[name, value] as const]
  })
  return {
    entry: parts.get('scenario') ?? undefined,
    side: parts.get('side') === 'good' ? 'good' : 'bug',
    text: parts.get('text') ?? undefined,
    token: parts.get('token') ?? undefined,
    step: count('step'),
    overrides: { ...Object.fromEntries(limits), ...(parts.get('shortest') === '1' && { shortest: true }) },
  }
}

/** The hash of a view, `#scenario=04&token=...&step=50`; empty for the page as it opens. */
export function writeAddress({ entry, side, text, token, step, overrides }: Address): string {
  const parts: [string, string | number | undefined][] = [
    ['scenario', entry],
    ['side', side === 'good' ? side : undefined],
    ['text', text],
    ...LIMITS.map((name): [string, number | undefined] => [name, overrides[name]]),
    ['shortest', overrides.shortest ? 1 : undefined],
    ['token', token],
    ['step', step],
  ]
  const given = parts.flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, String(value)]],
  )
  return given.length === 0 ? '' : `#${new URLSearchParams(given)}`
}
