/**
 * A digest of what a machine is made of, stored in its images: one of another machine whose state happens to have the
 * same size is refused.
 */

import type { VmSetup } from './hypervisor.ts'
import type { Design } from './run/design.ts'

/** Of a VM, its guests' operations, its design, and what surrounds it. */
export function digestOf(setup: VmSetup, design: Design, surroundings: readonly unknown[] = []): number {
  const guests = setup.guests.map(({ ops, onIrq, onFiq }) => [...ops, onIrq, onFiq])
  const recipe = JSON.stringify([{ ...setup, guests }, design, surroundings], (_, value: unknown) =>
    typeof value === 'function' ? String(value) : value,
  )
  let digest = 0
  for (let i = 0; i < recipe.length; i++) digest = (Math.imul(digest, 31) + recipe.charCodeAt(i)) | 0
  return digest
}
