/** Parts of documents that `npm run pages` writes. */

/** A page with what is between two texts replaced; throws if it does not have them. */
function withBetween(page: string, begins: string, ends: string, text: string, what: string): string {
  const begin = page.indexOf(begins) + begins.length
  const end = page.indexOf(ends, begin)
  if (begin < begins.length || end < 0) throw new Error(`The page has no place for the ${what}.`)
  return page.slice(0, begin) + text + page.slice(end)
}

/** A page with a part between two comments replaced. */
export const withPart = (page: string, name: string, text: string): string =>
  withBetween(
    page,
    `<!-- ${name}: written by \`npm run pages\` -->\n`,
    `<!-- end of ${name} -->\n`,
    text,
    name,
  )

/** A page with its block of Mermaid replaced; the diagram ends with a newline. */
export const withMermaid = (page: string, diagram: string): string =>
  withBetween(page, '```mermaid\n', '```\n', diagram, 'diagram')

/** A table in Markdown; its first row is the head. */
export const tableOf = ([head, ...rows]: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
