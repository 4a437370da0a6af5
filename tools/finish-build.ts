/** The end of `npm run build`, after the bundler. */
import { finishDeclarations } from './declarations.ts'

finishDeclarations('dist')
