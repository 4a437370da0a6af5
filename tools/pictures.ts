/**
 * The pictures of README and docs: the counterexample of test/fixtures/stale-shadow.mjs, replayed. `npm run pages` writes
 * them, and a test fails when one is stale.
 */
import { readFileSync } from 'node:fs'
import { explore, replay } from 'vgic/explore'
import { type Scenario, toMermaid, toSvg } from 'vgic/scenario'
import makeStale, { bounds } from '../test/fixtures/stale-shadow.mjs'
import { withMermaid } from './page-part.ts'

/** The page about pictures. */
const PAGE = 'docs/pictures.md'
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
      text: withMermaid(readFileSync(PAGE, 'utf8'), `${toMermaid(run, { violation, from: LAST_ENTRY })}\n`),
    },
  ]
}
