/** The words of a guest in its vCPU's record: its program counter, and its state between operations. */

import { DAIF_VIEW } from '../../gic/records/pstate.ts'
import type { Writer } from '../../state/layout.ts'
import type { Rows } from '../../state/rows.ts'
import type { GuestProgram } from './guest-program.ts'

export * from './guest-offsets.ts'

/** The most handlers that can be nested, by handlers that unmask interrupts. */
export const MAX_DEPTH = 4
/** The most bounded loops of a guest. */
export const MAX_LOOPS = 4

export interface GuestPrograms {
  /** The programs by vCPU. */
  readonly guests: readonly GuestProgram[]
}

/** The name of a guest's operation, by program counter. */
function operation(pc: number, index: number, { guests }: GuestPrograms): string | undefined {
  const name = guests[index]?.names[pc]
  return name === undefined ? undefined : `${pc}: ${name}`
}

/** What its thread's steps may write, which skip instructions and end accesses, and what only its own operations do. */
const by: readonly Writer[] = ['vcpu', 'guest']
const own: readonly Writer[] = ['guest']

export const guestRows = {
  GUEST_PC: {
    name: 'guest.pc',
    class: 'authoritative',
    by,
    says: 'The next operation.',
    means: operation,
  },
  GUEST_VALUE: {
    name: 'guest.value',
    class: 'authoritative',
    by,
    says: 'Bits 31:0 of its last register read.',
  },
  GUEST_VALUE_HIGH: {
    name: 'guest.valueHigh',
    class: 'normalised',
    by,
    says: 'Bits 63:32 of its last MMIO read.',
  },
  GUEST_DEPTH: {
    name: 'guest.depth',
    class: 'authoritative',
    by: own,
    says: 'How many handlers are running.',
  },
  GUEST_LOOP: {
    name: 'guest.loop',
    count: MAX_LOOPS,
    class: 'normalised',
    by: own,
    says: 'Rounds that each loop has done.',
  },
  GUEST_RETURN: {
    name: 'guest.return',
    count: MAX_DEPTH,
    class: 'normalised',
    by: own,
    says: 'Where each handler returns to.',
    means: (pc, index, programs) => (pc === 0 ? 'none, or the first' : operation(pc, index, programs)),
  },
  GUEST_SAVED_DAIF: {
    name: 'guest.savedDaif',
    count: MAX_DEPTH,
    class: 'normalised',
    by: own,
    says: 'The masks that each handler returns with.',
    view: DAIF_VIEW,
  },
  GUEST_ACK: {
    name: 'guest.ack',
    count: MAX_DEPTH + 1,
    class: 'normalised',
    by: own,
    says: 'The last INTID that the main list, and each handler by depth, acknowledged.',
  },
} as const satisfies Rows<GuestPrograms>
