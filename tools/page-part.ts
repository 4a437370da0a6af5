/** The part of a document that `npm run pages` writes, between two comments. */

/** A page with a part replaced; throws if the page has no place for it. */
export function withPart(page: string, name: string, text: string): string {
  const begins = `<!-- ${name}: written by \`npm run pages\` -->\n`
  const begin = page.indexOf(begins) + begins.length
  const end = page.indexOf(`<!-- end of ${name} -->\n`, begin)
  if (begin < begins.length || end < 0) throw new Error(`The page has no place for the ${name}.`)
  return page.slice(0, begin) + text + page.slice(end)
}

/** A table in Markdown; its first row is the head. */
export const tableOf = ([head, ...rows]: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
