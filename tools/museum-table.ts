/** The table of the museum in docs/museum.md. */
import { invariantName, museum } from 'vgic/explore'
import { tableOf, withPart } from './page-part.ts'

export const MUSEUM_PAGE = 'docs/museum.md'

/** An entry a row: its number and name, the invariant that it breaks, its story. */
export const museumTable = (): string =>
  tableOf([
    ['entry', 'breaks', 'what goes wrong'],
    ...museum.map(({ id, name, invariant, story }) => [
      `${id} \`${name}\``,
      `${invariant} \`${invariantName(invariant)}\``,
      story,
    ]),
  ])

export const withMuseum = (page: string): string => withPart(page, 'the museum', museumTable())
