/** What of the playground needs no browser: addresses, films, sources, texts, sessions. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { explore, museum, replay } from 'vgic/explore'
import { designs, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { readAddress, writeAddress } from '../../docs/playground/address.ts'
import { lineOf, listingOf } from '../../docs/playground/design-listing.ts'
import { filmOf } from '../../docs/playground/film.ts'
import type { Film } from '../../docs/playground/messages.ts'
import { museumFacts, Session, type SessionHost } from '../../docs/playground/session.ts'
import { FIRST_TEXT, textOfEntry } from '../../docs/playground/texts.ts'
import { exportsOf, messageOf, resolved } from '../../docs/playground/user-module.ts'
import { stepSources } from '../../tools/step-sources.ts'

const entryOf = (id: string) => {
  const entry = museum.find((each) => each.id === id)
  if (!entry) throw new Error(`no entry ${id}`)
  return entry
}

interface Filmed {
  readonly film: Film
  readonly timeline: string
}

const known = new Map<string, Filmed>()

/** The counterexample of an entry, and its timeline. With GICv4 each frame goes through the tables of the host's ITS, which takes a while. */
function filmed(id: string): Filmed {
  const made = known.get(id) ?? filmAnew(id)
  known.set(id, made)
  return made
}

function filmAnew(id: string): Filmed {
  const entry = entryOf(id)
  const bug = entry.scenario(entry.bug)
  const { violation } = explore(bug, entry.bounds)
  if (!violation) throw new Error(`${id} holds`)
  const run = replay(bug, violation)
  const film = filmOf(replay(bug, violation, { before: 0 }).machine, run.events)
  return { film, timeline: run.timeline() }
}

const host: SessionHost = {
  load: () => Promise.reject(new Error('no text')),
  breathe: () => Promise.resolve(),
  now: () => 0,
  onProgress: () => undefined,
}

/** The text of a cell of a frame, by the titles of its card and row. */
function cellOf({ cards, frames }: Film, frame: number, title: string, label: string, name: string): string {
  const cells = cards.flatMap((card) =>
    card.rows.flatMap((row) => row.cells.map((cell) => [card.title, row.label, cell.name].join('/'))),
  )
  return frames[frame].values[cells.indexOf([title, label, name].join('/'))]
}

describe('the film of a counterexample', () => {
  it.each(['04', '12', '24', '35'])('of entry %s has the accesses that its timeline has', (id) => {
    const { film, timeline } = filmed(id)
    const accesses = film.frames.flatMap(({ step }) => step?.accesses ?? [])
    const lines = timeline.split('\n').map((line) => line.trim())
    for (const { arrow, name, value } of accesses.filter((access) => access.arrow !== '=>'))
      expect(lines).toContain(`${arrow} ${name.padEnd(15)} ${value}`)
    expect(accesses.length).toBeGreaterThan(3)
  })

  it('has a value for each cell in every frame', () => {
    const { film } = filmed('24')
    const cells = film.cards.flatMap(({ rows }) => rows.flatMap((row) => row.cells)).length
    expect(film.frames.map(({ values }) => values.length)).toEqual(film.frames.map(() => cells))
  })

  it('shows what entry 04 is about: the vPE is resident again while its vCPU sleeps', () => {
    const { film } = filmed('04')
    const last = film.frames.length - 1
    const load = film.frames.map(({ step }) => step?.what).lastIndexOf('vpeLoad')
    expect(film.lanes).toEqual(['vcpu0', 'nic', 'environment'])
    expect(cellOf(film, load - 1, 'vPE 0', 'driver', 'resident')).toBe('0')
    expect(cellOf(film, load, 'vPE 0', 'driver', 'resident')).toBe('1')
    expect(cellOf(film, load, 'vcpu0', 'context', 'waiting')).toBe('1')
    expect(cellOf(film, last, 'vPE 0', 'pending', 'vlpis')).toBe('vLPI 8192')
    expect(cellOf(film, last, 'vcpu0', 'thread', 'state')).toBe('asleep')
    expect(cellOf(film, last, 'cost so far', 'wfi', 'mmio w')).toBe('3')
  })

  it("marks the line of each of a thread's steps, twice the same step on two lines", () => {
    const { film } = filmed('01')
    const steps = film.frames.flatMap(({ step }) => (step?.place === 'wfi' ? [step] : []))
    const lines = steps.map(({ line = -1 }) => film.listing[line].step)
    expect(lines).toEqual(['preemptOff', 'preemptOn'])
    const [off, on] = steps.map(({ line = -1 }) => line)
    expect(on).toBeGreaterThan(off)
  })

  it('of a plain run begins before the first step and ends with the last', () => {
    const plain = scenario('a WFI').guest(0, (guest) => guest.wfi())
    const { events } = plain.run()
    const film = filmOf(plain.machine(), events)
    expect(film.frames).toHaveLength(events.length + 1)
    expect(film.frames[0].step).toBeUndefined()
    expect(film.frames.at(-1)?.step?.what).toBe(events.at(-1)?.what)
  })
})

describe('the listing of a design', () => {
  it('finds each step of a list behind the one before', () => {
    const listing = listingOf(designs.wfiFlag)
    const first = lineOf(listing, 'wfi/preemptOff', -1) ?? -1
    const second = lineOf(listing, 'wfi/preemptOff', first) ?? -1
    expect(second).toBeGreaterThan(first)
    expect(lineOf(listing, 'wfi/preemptOff', second)).toBe(first)
    expect(lineOf(listing, 'wfi/unheardOf', 0)).toBeUndefined()
  })
})

describe('the sources of steps', () => {
  const sources = stepSources()

  it('are those that the files have at their lines', () => {
    for (const { file, line, text } of Object.values(sources)) {
      const lines = readFileSync(file, 'utf8').split('\n')
      expect(lines[line - 1].trim()).toBe(text.split('\n')[0].trim())
    }
  })

  it('are known for every step of every design of the museum', () => {
    const designs = museum.flatMap(({ bug, good }) => [...listingOf(bug), ...listingOf(good)])
    const unknown = designs.filter(({ step, own }) => step !== undefined && !own && !sources[step])
    expect(unknown).toEqual([])
  })
})

describe('the address of a view', () => {
  it('comes back as it was', () => {
    const limit = fc.option(fc.nat(255), { nil: undefined })
    const address = fc.record({
      entry: fc.option(fc.constantFrom('04', '13 of a vPE'), { nil: undefined }),
      side: fc.constantFrom('bug' as const, 'good' as const),
      text: fc.option(fc.base64String({ minLength: 1 }), { nil: undefined }),
      token: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
      step: fc.option(fc.nat(20_000), { nil: undefined }),
      overrides: fc.record({ preemptions: limit, ticks: limit, shortest: fc.constantFrom(true, undefined) }),
    })
    fc.assert(
      fc.property(address, (view) => {
        // Left out is undefined here.
        expect(readAddress(writeAddress(view as Parameters<typeof writeAddress>[0]))).toEqual(view)
      }),
    )
  })

  it('leaves out what makes no sense', () => {
    expect(readAddress('#scenario=04&step=-1&preemptions=many&side=worse')).toEqual({
      entry: '04',
      side: 'bug',
      overrides: {},
    })
  })
})

describe('a text of the editor', () => {
  const bundle = { vgic: 'https://here/index.js', 'vgic/scenario': 'https://here/scenario.js' }

  it('gets the addresses of the library that the page has', () => {
    const text = `import { Gic } from "vgic"\nimport * as s from 'vgic/scenario'\nconst name = 'vgic'\nawait import('vgic')`
    expect(resolved(text, bundle)).toBe(
      `import { Gic } from "https://here/index.js"\nimport * as s from 'https://here/scenario.js'\nconst name = 'vgic'\nawait import('https://here/index.js')`,
    )
    expect(() => resolved("import 'vgic/workers'", bundle)).toThrow('not vgic/workers')
  })

  it('exports a scenario, or a function that makes one', () => {
    const made = scenario('x')
    expect(exportsOf({ default: made })).toEqual({ scenario: made, bounds: {} })
    expect(exportsOf({ scenario: () => made, bounds: { ticks: 1 } }).bounds).toEqual({ ticks: 1 })
    expect(() => exportsOf({ default: 1 })).toThrow('must export a scenario')
  })

  it('says in which line it failed', () => {
    const error = new Error('no such step')
    error.stack =
      'Error: no such step\n    at f (https://here/scenario.js:9:9)\n    at blob:https://here/1-2-3:12:7'
    expect(messageOf(error)).toBe('Line 12: no such step')
    expect(messageOf('thrown')).toBe('thrown')
  })

  it('that the editor begins with are those that the page resolves', () => {
    const all = { ...bundle, 'vgic/explore': 'https://here/explore.js' }
    expect(resolved(FIRST_TEXT, all)).not.toContain("'vgic/")
    expect(resolved(textOfEntry('04', 'x', 'L2'), all)).not.toContain("'vgic/")
  })
})

describe('a session', () => {
  it('finds the bug of an entry, and replays what it found', async () => {
    const session = new Session(host)
    const subject = { kind: 'entry', entry: '21', side: 'bug' } as const
    const found = await session.explore(subject, {})
    expect(found.finding).toMatchObject({ verdict: 'violated', rule: 'lost-interrupt (L3)' })
    const again = await session.replay(subject, found.finding.token ?? '')
    expect(again.film).toEqual(found.film)
    expect(again.finding.rule).toBe('lost-interrupt (L3)')
  })

  it('shows a plain run of a design that holds', async () => {
    const { finding, film } = await new Session(host).explore(
      { kind: 'entry', entry: '04', side: 'good' },
      {},
    )
    expect(finding).toMatchObject({ verdict: 'holds' })
    expect(finding.token).toBeUndefined()
    expect(film.frames.length).toBeGreaterThan(20)
  })

  it('that is stopped says what it has covered', async () => {
    let slices = 0
    const session: Session = new Session({
      ...host,
      breathe: async () => {
        slices++
        if (slices === 2) session.stop()
      },
    })
    const subject = { kind: 'entry', entry: '29', side: 'good' } as const
    const { finding } = await session.explore(subject, { preemptions: 3 })
    expect(finding.verdict).toBe('bounded')
    expect(finding.looked).toMatch(/^Stopped/)
  })

  it('lists the whole museum', () => {
    expect(museumFacts().map(({ id }) => id)).toEqual(museum.map(({ id }) => id))
  })
})
