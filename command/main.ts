#!/usr/bin/env node
/** The package's `bin`. */
import { serve } from '../bench/worker.ts'
import { vgic } from './vgic.ts'

const args = process.argv.slice(2)
// What `vgic bench` starts for itself.
if (args[0] === '--worker') serve()
else {
  // A reader that has seen enough, such as head, is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit()
  })
  process.exitCode = await vgic(args, {
    print: (text) => console.log(text),
    note: (text) => console.error(text),
  })
}
