/**
 * How the kernel of a design goes on with commands of an ITS and with EnableLPIs where no step of the design does it: when
 * userspace restores a VM, and for an access while the VM is stopped. It is the code that the design's own steps have.
 */
import type { CarryOut, ItsWays } from '../vgic/vgic-its-commands.ts'
import { executeAsLinux61 } from '../vgic/vgic-its-linux.ts'
import { executeForAll, executeOnly } from '../vgic/vgic-its-museum.ts'
import type { Program } from './program.ts'
import type { Step } from './step.ts'
import {
  emulateMmioAsLinux61,
  executeCommandAsLinux61,
  executeCommandForAll,
  executeCommandOnly,
} from './steps.ts'

const carriedOutBy: ReadonlyMap<Step, CarryOut> = new Map([
  [executeCommandAsLinux61, executeAsLinux61],
  [executeCommandForAll, executeForAll],
  [executeCommandOnly, executeOnly],
])

/** A design with a step of its own instead of `executeCommand` has the library's way here. */
export function itsWays({ steps }: Program): ItsWays {
  const ways = steps.flatMap((step) => (step && carriedOutBy.get(step)) ?? [])
  return {
    carryOut: ways[0] ?? ((commands, n) => commands.execute(n)),
    isLinux61: steps.includes(emulateMmioAsLinux61),
  }
}
