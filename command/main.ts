#!/usr/bin/env node
/** The package's `bin`. */
import { vgic } from './vgic.ts'

// A reader that has seen enough, such as head, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})
process.exitCode = await vgic(process.argv.slice(2), {
  print: (text) => console.log(text),
  note: (text) => console.error(text),
})
