/**
 * The registers with a field for each interrupt. The distributor has them for SPIs and a redistributor for its PE's
 * SGIs and PPIs, at the same offsets of their frames and with the same meaning: one set of rows serves both (IHI 0069,
 * "The GIC Distributor register map", "The GIC Redistributor register map").
 */

import { BYTE, type RegisterRow, WORD } from '../frames/register-map.ts'
import type { Owner, PhysicalInterrupts } from '../interrupts/physical-interrupts.ts'
import { ACTIVE, ENABLE, GROUP, LATCH } from '../records/interrupts.ts'

/**
 * Offsets of the registers that software in the model accesses by address; in a redistributor they are in SGI_base.
 */
export const IGROUPR = 0x80
export const ISENABLER = 0x100
export const ICENABLER = 0x180
export const ISACTIVER = 0x300
export const ICACTIVER = 0x380
export const IPRIORITYR = 0x400
export const ICFGR = 0xc00

/** The block that has these registers. The owner of an access is `DISTRIBUTOR` or a PE's record. */
interface Interrupts {
  readonly physical: PhysicalInterrupts
  /** Begins a disabling of an owner's interrupts whose effect lags. */
  beginDisabling(owner: Owner): void
}

/**
 * The rows for `intids` interrupts, a multiple of 32. `frame` is the prefix of the names, `base` the offset of the
 * part of the frame.
 */
export function interruptRows<M extends Interrupts>(
  frame: string,
  base: number,
  intids: number,
): RegisterRow<M, Owner>[] {
  const bitmap = (
    name: string,
    offset: number,
    read: RegisterRow<M, Owner>['read'],
    write: RegisterRow<M, Owner>['write'],
  ): RegisterRow<M, Owner> => ({
    name: intids > 32 ? `${frame}_${name}` : `${frame}_${name}0`,
    offset: base + offset,
    length: intids >> 3,
    bits: 1,
    sizes: WORD,
    read,
    write,
  })
  const isEnabled: RegisterRow<M, Owner>['read'] = ({ physical }, owner, first) =>
    physical.readBits(owner, first, ENABLE)
  const isPending: RegisterRow<M, Owner>['read'] = ({ physical }, owner, first) =>
    physical.readPending(owner, first)
  const isActive: RegisterRow<M, Owner>['read'] = ({ physical }, owner, first) =>
    physical.readBits(owner, first, ACTIVE)
  return [
    bitmap(
      'IGROUPR',
      IGROUPR,
      ({ physical }, owner, first) => physical.readBits(owner, first, GROUP),
      ({ physical }, owner, first, _count, value) => physical.writeGroups(owner, first, value),
    ),
    bitmap('ISENABLER', ISENABLER, isEnabled, ({ physical }, owner, first, _count, value) =>
      physical.enable(owner, first, value),
    ),
    bitmap('ICENABLER', ICENABLER, isEnabled, (machine, owner, first, _count, value) => {
      if (machine.physical.disable(owner, first, value)) machine.beginDisabling(owner)
    }),
    bitmap('ISPENDR', 0x200, isPending, ({ physical }, owner, first, _count, value) =>
      physical.setBits(owner, first, LATCH, value),
    ),
    bitmap('ICPENDR', 0x280, isPending, ({ physical }, owner, first, _count, value) =>
      physical.clearBits(owner, first, LATCH, value),
    ),
    bitmap('ISACTIVER', ISACTIVER, isActive, ({ physical }, owner, first, _count, value) =>
      physical.setActiveBits(owner, first, value),
    ),
    bitmap('ICACTIVER', ICACTIVER, isActive, ({ physical }, owner, first, _count, value) =>
      physical.clearBits(owner, first, ACTIVE, value),
    ),
    {
      name: `${frame}_IPRIORITYR`,
      offset: base + IPRIORITYR,
      // INTIDs 1020 to 1023 have no registers.
      length: Math.min(intids, 1020),
      bits: 8,
      sizes: BYTE | WORD,
      read: ({ physical }, owner, first, count) => physical.readPriorities(owner, first, count),
      write: ({ physical }, owner, first, count, value) =>
        physical.writePriorities(owner, first, count, value),
    },
    {
      name: `${frame}_ICFGR`,
      offset: base + ICFGR,
      length: intids >> 2,
      bits: 2,
      sizes: WORD,
      read: ({ physical }, owner, first) => physical.readConfiguration(owner, first),
      write: ({ physical }, owner, first, _count, value) => physical.writeConfiguration(owner, first, value),
    },
  ]
}
