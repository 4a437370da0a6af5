/**
 * The picture of docs/architecture.md: the rooms of the code, each with its sentence from the page's table, and an
 * arrow to each room that its files import from. An arrow that follows from others is left out.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { withMermaid } from './page-part.ts'

/** The page that has the table and the picture. */
export const PAGE = 'docs/architecture.md'

/** The rooms that each room imports from. */
export type Imports = ReadonlyMap<string, ReadonlySet<string>>

const LABEL_COLUMNS = 40

/** The folders of `src` that have files, and their imports, without the entry points, which are for users. */
export function importsOf(src = 'src'): Imports {
  const rooms = new Map<string, Set<string>>()
  for (const file of readdirSync(src, { recursive: true, encoding: 'utf8' }).sort()) {
    const room = dirname(file)
    if (!file.endsWith('.ts') || room === '.') continue
    const imports = rooms.get(room) ?? new Set()
    rooms.set(room, imports)
    const { importedFiles } = ts.preProcessFile(readFileSync(join(src, file), 'utf8'))
    for (const { fileName } of importedFiles) imports.add(dirname(join(room, fileName)))
    imports.delete(room)
  }
  return rooms
}

/** The sentence of each room: the rows of the table whose first cell is a room's link. */
export function sentencesOf(page: string): Map<string, string> {
  const rows = page.matchAll(/^\| \[([\w/-]+)\]\(\.\.\/src\/\1\) \| (.*) \|$/gm)
  return new Map([...rows].map(([, room, sentence]) => [room, sentence]))
}

/** The imports of each room, without those that follow from others. Throws if there is a circle. */
export function reduced(imports: Imports): Map<string, string[]> {
  const known = new Map<string, ReadonlySet<string>>()
  const below = (room: string, path: readonly string[]): ReadonlySet<string> => {
    if (path.includes(room)) throw new Error(`a circle of rooms: ${[...path, room].join(' -> ')}`)
    const found = known.get(room)
    if (found !== undefined) return found
    const direct = [...(imports.get(room) ?? [])]
    const all = new Set(direct.flatMap((next) => [next, ...below(next, [...path, room])]))
    known.set(room, all)
    return all
  }
  const isDirect = (target: string, others: readonly string[]): boolean =>
    !others.some((other) => other !== target && below(other, []).has(target))
  return new Map(
    [...imports].map(([room, targets]) => {
      const all = [...targets]
      below(room, [])
      return [room, all.filter((target) => isDirect(target, all)).sort()]
    }),
  )
}

/** The picture, in Mermaid. Throws if a room has no sentence, or a sentence no room. */
export function picture(imports: Imports, sentences: ReadonlyMap<string, string>): string {
  for (const room of sentences.keys()) {
    if (!imports.has(room)) throw new Error(`${PAGE} has a row for src/${room}, where no file is.`)
  }
  const node = (room: string): string => {
    const sentence = sentences.get(room)
    if (sentence === undefined) throw new Error(`src/${room} needs a row in the table of ${PAGE}.`)
    return `${idOf(room)}["<b>${room}</b><br/>${wrapped(sentence)}"]`
  }
  const rooms = [...sentences.keys(), ...[...imports.keys()].filter((room) => !sentences.has(room))]
  const layerOf = (room: string): string => room.split('/')[0]
  const nodes = [...new Set(rooms.map(layerOf))].flatMap((layer) => {
    const inside = rooms.filter((room) => layerOf(room) === layer)
    if (inside.length === 1) return inside.map((room) => `  ${node(room)}`)
    return [`  subgraph in_${layer}["${layer}"]`, ...inside.map((room) => `    ${node(room)}`), '  end']
  })
  const reducedImports = reduced(imports)
  const arrows = rooms.flatMap((room) =>
    (reducedImports.get(room) ?? []).map((target) => `  ${idOf(room)} --> ${idOf(target)}`),
  )
  return ['flowchart TD', ...nodes, ...arrows, ''].join('\n')
}

/** The page with the picture updated. */
export const withPicture = (page: string, imports: Imports): string =>
  withMermaid(page, picture(imports, sentencesOf(page)))

const idOf = (room: string): string => room.replaceAll(/\W/g, '_')

/** The lines of a label, without characters that Markdown or Mermaid would interpret. */
function wrapped(sentence: string): string {
  const lines = ['']
  for (const word of sentence.replaceAll(/[`"]/g, '').split(' ')) {
    const longer = `${lines[lines.length - 1]} ${word}`.trim()
    if (longer.length > LABEL_COLUMNS) lines.push(word)
    else lines[lines.length - 1] = longer
  }
  return lines.join('<br/>')
}
