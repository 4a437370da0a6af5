/**
 * `npm run pages`: updates the generated parts of documents, the picture of the rooms and the index of hard cases.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { INDEX, testsOf, withTests } from './hard-cases.ts'
import { importsOf, PAGE, withPicture } from './rooms.ts'

writeFileSync(PAGE, withPicture(readFileSync(PAGE, 'utf8'), importsOf()))
writeFileSync(INDEX, withTests(readFileSync(INDEX, 'utf8'), testsOf()))
