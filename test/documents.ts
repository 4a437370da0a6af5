/**
 * The JavaScript and TypeScript in documents, as programs that can be run, and what the documents say of them. A block
 * of TypeScript is a program if it imports something; others are parts of one. A document promises in four ways what a
 * program does:
 * - `console.log(x) // text`: the line that it prints;
 * - `x // literal`, or `x // literal: why`, on a line of its own: the value of x;
 * - comments at the end: lines that it prints;
 * - the next block without a language: what it prints, from any line on. A line `...` stands for lines left out.
 */

/** A program of a document. */
export interface Example {
  readonly file: string
  /** Where its block begins. */
  readonly line: number
  /** The language that it is written in. */
  readonly language: 'js' | 'ts'
  /** The program; it throws if a value is not the promised one. */
  readonly code: string
  /** Runs of lines that it must print, in this order. */
  readonly prints: readonly (readonly string[])[]
}

interface Block {
  readonly language: string
  readonly line: number
  readonly lines: readonly string[]
}

/** The programs of a document, or of the doc comments of a source file. */
export function examplesOf(file: string, text: string): Example[] {
  const blocks = blocksOf(text.replace(/^ *\*(?: |$)/gm, ''))
  return blocks.flatMap(({ language, line, lines }, i): Example[] => {
    if (language !== 'js' && !(language === 'ts' && lines.some((each) => each.startsWith('import '))))
      return []
    const output = blocks[i + 1]?.language === '' ? blocks[i + 1].lines : []
    const prints = [...commentsOf(lines), ...runsOf(output)]
    return [{ file, line, language, code: checked(lines), prints }]
  })
}

/** What a program has not printed although its document says so: the first such line; undefined if there is none. */
export function missing({ prints }: Example, printed: string): string | undefined {
  const lines = printed.split('\n').map((line) => line.trimEnd())
  let from = 0
  for (const run of prints) {
    const at = lines.findIndex(
      (_, start) => start >= from && run.every((line, i) => lines[start + i] === line),
    )
    if (at < 0) return run.find((line) => !lines.slice(from).includes(line)) ?? run[0]
    from = at + run.length
  }
  return undefined
}

function blocksOf(text: string): Block[] {
  const blocks: Block[] = []
  const lines = text.split('\n')
  for (let at = 0; at < lines.length; at++) {
    const language = /^```(\w*)$/.exec(lines[at])?.[1]
    if (language === undefined) continue
    const end = lines.indexOf('```', at + 1)
    if (end < 0) break
    blocks.push({ language, line: at + 1, lines: lines.slice(at + 1, end) })
    at = end
  }
  return blocks
}

/** What the comments of printing lines, and those at the end, say. */
function commentsOf(lines: readonly string[]): string[][] {
  const isCode = (line: string): boolean => !line.startsWith('// ')
  const end = lines.length - Math.max([...lines].reverse().findIndex(isCode), 0)
  const printing = lines
    .slice(0, end)
    .flatMap((line) => /^ *console\.log\(.*\) \/\/ (.*)$/.exec(line)?.[1] ?? [])
  return [...printing.map((text) => [text]), ...runsOf(lines.slice(end).map((line) => line.slice(3)))]
}

/** The runs of lines between those that say that some are left out. */
function runsOf(lines: readonly string[]): string[][] {
  const runs: string[][] = [[]]
  for (const line of lines) {
    if (/^ *\.\.\./.test(line)) runs.push([])
    else runs[runs.length - 1].push(line.trimEnd())
  }
  return runs.filter((run) => run.length > 0)
}

const LITERAL = /^(true|false|undefined|-?(?:0x[\da-f_]+|[\d_]+)n?|'[^']*'|\{.*\}|\[.*\])(?::.*)?$/

/** The program with its promised values checked. */
function checked(lines: readonly string[]): string {
  const code = lines.map((line) => {
    const [, expression, comment = ''] = /^(?!console\.|const |let )(\S.*\S) \/\/ (.*)$/.exec(line) ?? []
    const literal = LITERAL.exec(comment)?.[1]
    return literal === undefined ? line : `documented.deepEqual(${expression}, ${literal})`
  })
  return `import documented from 'node:assert/strict'; ${code.join('\n')}\n`
}
