/** The words of a guest in its vCPU's record: where it is, and what it remembers between two operations. */

import { DAIF_VIEW } from '../../gic/cpu-interface/pcpu.ts'
import type { WordDeclaration } from '../../state/layout.ts'
import type { GuestProgram } from './guest-program.ts'

/** How deep interrupts nest: a handler that unmasks can be interrupted so often. */
export const MAX_DEPTH = 4
/** How many bounded loops a guest can have. */
export const MAX_LOOPS = 4

/** The next operation. */
export const GUEST_PC = 31
/** How many handlers are running. */
export const GUEST_DEPTH = 32
/** What its last register read gave, bits 31:0. */
export const GUEST_VALUE = 33
/** Rounds that a loop has done, by loop. */
export const GUEST_LOOP = 34
/** Where each handler returns to, and with which masks. */
export const GUEST_RETURN = 38
export const GUEST_SAVED_DAIF = 42
/** The last INTID that the main list, and each handler by depth, acknowledged. */
export const GUEST_ACK = 46
/** Bits 63:32 of what its last MMIO read gave. */
export const GUEST_VALUE_HIGH = 51

export function guestWords(programs: readonly GuestProgram[]): readonly WordDeclaration[] {
  const operation = (pc: number, index: number): string | undefined => {
    const name = programs[index]?.names[pc]
    return name === undefined ? undefined : `${pc}: ${name}`
  }
  return [
    { name: 'guest.pc', at: GUEST_PC, class: 'authoritative', means: operation },
    { name: 'guest.depth', at: GUEST_DEPTH, class: 'authoritative' },
    { name: 'guest.value', at: GUEST_VALUE, class: 'authoritative' },
    { name: 'guest.loop', at: GUEST_LOOP, count: MAX_LOOPS, class: 'normalised' },
    {
      name: 'guest.return',
      at: GUEST_RETURN,
      count: MAX_DEPTH,
      class: 'normalised',
      means: (pc, index) => (pc === 0 ? 'none, or the first' : operation(pc, index)),
    },
    { name: 'guest.savedDaif', at: GUEST_SAVED_DAIF, count: MAX_DEPTH, class: 'normalised', view: DAIF_VIEW },
    { name: 'guest.ack', at: GUEST_ACK, count: MAX_DEPTH + 1, class: 'normalised' },
    { name: 'guest.valueHigh', at: GUEST_VALUE_HIGH, class: 'normalised' },
  ]
}
