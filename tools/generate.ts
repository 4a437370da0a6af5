/** `npm run generate`: writes the modules of constants that follow from rows; with `--check` it fails if one is stale. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { generatedModules } from './generated.ts'

const stale = generatedModules.filter(
  ({ path, text }) => !existsSync(path) || readFileSync(path, 'utf8') !== text,
)
const isCheck = process.argv.includes('--check')
for (const { path, text } of stale) {
  console.log(isCheck ? `${path} is not what its rows give: npm run generate` : `wrote ${path}`)
  if (!isCheck) writeFileSync(path, text)
}
process.exitCode = isCheck && stale.length > 0 ? 1 : 0
