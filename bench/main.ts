/**
 * `npm run bench -- [--twin FILE.c] [--json] [--rounds N]`: what an exit costs in nanoseconds, through the real
 * loop and seam with the counters on, in processes of their own, alternating with the native yardstick if there
 * is one. `npm run bench -- explore`: transitions a second. `npm run bench -- device`: nanoseconds of the GIC as a
 * device, with few and with many SPIs.
 */

import { benchDevice } from './device.ts'
import { benchHotPath } from './exits.ts'
import { benchExplorer } from './explore.ts'
import { serve } from './worker.ts'

const args = process.argv.slice(2)
const option = (name: string): string | undefined => {
  const at = args.indexOf(name)
  return at < 0 ? undefined : args[at + 1]
}

if (args[0] === '--worker') serve()
else if (args[0] === 'explore') benchExplorer(args.includes('--json'))
else if (args[0] === 'device') benchDevice(args.includes('--json'))
else {
  const rounds = Number(option('--rounds') ?? 7)
  await benchHotPath({ twin: option('--twin'), json: args.includes('--json'), rounds })
}
