/**
 * A digest of a machine's configuration, stored in its images, so that an image of another machine with the same size
 * is refused.
 */

import type { VmSetup } from './hypervisor.ts'
import type { Design } from './run/design.ts'

/** The digest of a VM, its guests' operations, its design, and the machine around it. */
export function digestOf(setup: VmSetup, design: Design, surroundings: readonly unknown[] = []): number {
  const guests = setup.guests.map(({ ops, onIrq, onFiq }) => [...ops, onIrq, onFiq])
  const recipe = JSON.stringify([{ ...setup, guests }, design, surroundings], (_, value: unknown) =>
    typeof value === 'function' ? String(value) : value,
  )
  let digest = 0
  for (let i = 0; i < recipe.length; i++) digest = (Math.imul(digest, 31) + recipe.charCodeAt(i)) | 0
  return digest
}
