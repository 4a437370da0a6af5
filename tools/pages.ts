/**
 * `npm run pages`: updates the generated parts of documents, the picture of the rooms, the index of hard cases, the museum,
 * the verdicts on the designs and on Linux, and the pictures of runs, which takes a quarter of a minute. With `--check` it
 * only says which are stale.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { INDEX, testsOf, withTests } from './hard-cases.ts'
import { LINUX_VERDICTS, linuxTable, withLinuxTable } from './linux-verdicts.ts'
import { MUSEUM_PAGE, withMuseum } from './museum-table.ts'
import { pictureFiles } from './pictures.ts'
import { importsOf, PAGE, withPicture } from './rooms.ts'
import { VERDICTS, verdictTable, withVerdicts } from './verdicts.ts'

const read = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '')

const pages = [
  { path: PAGE, text: withPicture(read(PAGE), importsOf()) },
  { path: INDEX, text: withTests(read(INDEX), testsOf()) },
  { path: LINUX_VERDICTS, text: withLinuxTable(read(LINUX_VERDICTS), linuxTable()) },
  { path: MUSEUM_PAGE, text: withMuseum(read(MUSEUM_PAGE)) },
  { path: VERDICTS, text: withVerdicts(read(VERDICTS), verdictTable()) },
  ...pictureFiles(),
]
const isCheck = process.argv.includes('--check')
for (const { path, text } of pages) {
  if (read(path) === text) continue
  if (isCheck) {
    console.error(`${path} is stale: npm run pages writes it.`)
    process.exitCode = 1
    continue
  }
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
