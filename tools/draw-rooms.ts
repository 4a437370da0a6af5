/** `npm run picture`: draws the picture of docs/architecture.md from the imports of src. */
import { readFileSync, writeFileSync } from 'node:fs'
import { importsOf, PAGE, withPicture } from './rooms.ts'

writeFileSync(PAGE, withPicture(readFileSync(PAGE, 'utf8'), importsOf()))
