/**
 * `npm run pages`: updates the generated parts of documents, the picture of the rooms, the index of hard cases and the
 * verdicts on the designs, which takes half a minute; and the pictures of runs.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { INDEX, testsOf, withTests } from './hard-cases.ts'
import { pictureFiles } from './pictures.ts'
import { importsOf, PAGE, withPicture } from './rooms.ts'
import { VERDICTS, verdictTable, withVerdicts } from './verdicts.ts'

writeFileSync(PAGE, withPicture(readFileSync(PAGE, 'utf8'), importsOf()))
writeFileSync(INDEX, withTests(readFileSync(INDEX, 'utf8'), testsOf()))
writeFileSync(VERDICTS, withVerdicts(readFileSync(VERDICTS, 'utf8'), verdictTable()))
for (const { path, text } of pictureFiles()) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
