/**
 * The pictures of README and docs: the counterexample of test/fixtures/stale-shadow.mjs, replayed. `npm run pages` writes
 * them, and a test fails when one is stale.
 */
import { readFileSync } from 'node:fs'
import { explore, replay } from 'vgic/explore'
import { type Scenario, toMermaid, toSvg } from 'vgic/scenario'
import makeStale, { bounds } from '../test/fixtures/stale-shadow.mjs'

/** The page about pictures. */
const PAGE = 'docs/pictures.md'
const BEGIN = '```mermaid\n'
/** When the guest is entered last. */
const LAST_ENTRY = 52

/** A file that `npm run pages` writes. */
export interface PictureFile {
  readonly path: string
  readonly text: string
}

/** Explores and replays; the pictures have the violation marked. */
export function pictureFiles(): PictureFile[] {
  const stale: Scenario = makeStale()
  const { violation } = explore(stale, bounds)
  if (!violation) throw new Error('test/fixtures/stale-shadow.mjs has no counterexample any more.')
  const run = replay(stale, violation.schedule)
  return [
    { path: 'docs/pictures/stale-shadow.svg', text: toSvg(run, { violation }) },
    {
      path: PAGE,
      text: withDiagram(readFileSync(PAGE, 'utf8'), toMermaid(run, { violation, from: LAST_ENTRY })),
    },
  ]
}

/** The page with its block of Mermaid updated. */
function withDiagram(page: string, diagram: string): string {
  const begin = page.indexOf(BEGIN) + BEGIN.length
  const end = page.indexOf('```\n', begin)
  if (begin < BEGIN.length || end < 0) throw new Error(`${PAGE} has no block of mermaid.`)
  return `${page.slice(0, begin)}${diagram}\n${page.slice(end)}`
}
