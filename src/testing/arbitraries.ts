/**
 * Arbitraries for fast-check, an optional dependency: accesses as a driver or a hypervisor makes them, guests, devices.
 * The library loads none: pass it the fast-check that your tests use.
 */
import type fc from 'fast-check'
import { iccRegisters } from '../arch/icc-registers.ts'
import { ichRegisters } from '../arch/ich-registers.ts'
import type { Encoding } from '../arch/sysreg.ts'
import {
  argumentBits,
  argumentInteger,
  argumentList,
  argumentObject,
  argumentOneOf,
  argumentOptions,
  argumentWith,
} from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { MAINTENANCE_PPI } from '../gic/cpu-interface/output-lines.ts'
import type { Gic } from '../gic/gic.ts'
import type { DeviceBuilder } from '../scenario/device-builder.ts'
import type { GuestBuilder } from '../scenario/guest-builder.ts'

type FastCheck = typeof fc
type Arbitrary<T> = fc.Arbitrary<T>

/** A read or a write of memory. */
export interface MmioAccess {
  /** Which of the two. */
  readonly k: 'r' | 'w'
  /** The address. */
  readonly address: number
  /** Its bytes. */
  readonly size: 1 | 2 | 4 | 8
  /** What is written; of a read nothing. */
  readonly value: bigint
}

/** A read or a write of a system register. */
export interface SysregAccess {
  /** Which of the two. */
  readonly k: 'sr' | 'sw'
  /** The CPU. */
  readonly cpu: number
  /** The register. */
  readonly encoding: Encoding
  /** The exception level. */
  readonly el: 1 | 2
  /** What is written; of a read nothing. */
  readonly value: bigint
}

/** The level of an SPI's or PPI's input. */
export interface LineLevel {
  /** Always `line`. */
  readonly k: 'line'
  /** The CPU whose PPI it is. */
  readonly cpu: number
  /** The interrupt. */
  readonly intid: number
  /** The level. */
  readonly level: 0 | 1
}

/** What is done to a GIC. */
export type GicAccess = MmioAccess | SysregAccess | LineLevel

/** Writes a guest, for `scenario.guest`. It prints as what it does. */
export type WriteGuest = (guest: GuestBuilder) => unknown
/** Writes a device, for `scenario.device`. */
export type WriteDevice = (device: DeviceBuilder) => unknown

/** What guests and devices may use, of a VM that has it. */
export interface GuestOptions {
  /** Interrupts that devices pulse; default SPI 32. */
  readonly intids?: readonly number[]
  /** vCPUs that an SGI may go to; default vCPU 0. */
  readonly vcpus?: number
  /** Most operations of a guest, steps of a device; default 6. */
  readonly length?: number
}

/** Arbitraries made with a fast-check. */
export interface Arbitraries {
  /** Accesses to a GIC: of registers that there are, aligned and not, with values of all kinds; and levels of its inputs. */
  accesses(gic: Gic): Arbitrary<GicAccess>
  /** Guests that take interrupts, mask and unmask them, send SGIs, wait, and end. */
  guests(options?: GuestOptions): Arbitrary<WriteGuest>
  /** Devices that pulse their interrupts, at any moments. */
  devices(options?: GuestOptions): Arbitrary<WriteDevice>
}

/** Does an access. What it reads is not returned: nothing that software does throws, whatever it reads. */
export function perform(gic: Gic, access: GicAccess): void {
  argumentWith('gic', gic, 'readMmio64', 'a Gic')
  argumentObject('access', access, 'an access to a Gic')
  argumentOneOf('access.k', access.k, ['r', 'w', 'sr', 'sw', 'line'])
  switch (access.k) {
    case 'r':
      if (access.size === 8) gic.readMmio64(access.address)
      else gic.readMmio(access.address, access.size)
      return
    case 'w':
      if (access.size === 8) gic.writeMmio64(access.address, access.value)
      else
        gic.writeMmio(
          access.address,
          access.size,
          Number(BigInt.asUintN(32, argumentBits('value', access.value))),
        )
      return
    case 'sr':
      gic.readSysreg64(access.cpu, access.encoding, access.el)
      return
    case 'sw':
      gic.writeSysreg64(access.cpu, access.encoding, access.value, access.el)
      return
    case 'line':
      if (argumentInteger('intid', access.intid, 16, 1019) < 32)
        gic.setPpi(access.cpu, access.intid, access.level)
      else gic.setSpi(access.intid, access.level)
  }
}

/** The arbitraries of a fast-check: `arbitraries(fc).accesses(gic)`. */
export function arbitraries(fastCheck: FastCheck): Arbitraries {
  argumentWith('fastCheck', fastCheck, 'constantFrom', 'fast-check, the default export of that package')
  return {
    accesses: (gic) => accesses(fastCheck, gic),
    guests: (options = {}) => guests(fastCheck, checked(options)),
    devices: (options = {}) => devices(fastCheck, checked(options)),
  }
}

function checked(options: GuestOptions): Required<GuestOptions> {
  const {
    intids = [32],
    vcpus = 1,
    length = 6,
  } = argumentOptions('options', options, {
    intids: true,
    vcpus: true,
    length: true,
  })
  argumentInteger('vcpus', vcpus, 1, 255)
  argumentInteger('length', length, 1, 1000)
  for (const intid of argumentList('intids', intids, 'INTIDs')) argumentInteger('intids', intid, 16, 1019)
  if (intids.length === 0)
    throw new VgicError('argument', 'intids must name an interrupt. Leave it out for SPI 32.')
  return { intids, vcpus, length }
}

/** Values as software writes them: few bits, all, none, anything. */
const values = (f: FastCheck): Arbitrary<bigint> =>
  f.oneof(
    f.constantFrom(0n, 1n, 0xffff_ffffn, (1n << 64n) - 1n),
    f.nat(63).map((bit) => 1n << BigInt(bit)),
    f.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  )

/** Bytes of a frame that have registers which software uses most. */
const FRAME = 0x1_0000

function accesses(f: FastCheck, gic: Gic): Arbitrary<GicAccess> {
  argumentWith('gic', gic, 'readMmio64', 'a Gic')
  const { gicd, gicr, cpus, spis, its } = gic.config
  const bases = [gicd, ...gicr.map(({ base }) => base), ...its.map(({ base }) => base)]
  const address = f
    .tuple(f.constantFrom(...bases), f.oneof(f.nat(0x3ff), f.nat(FRAME - 8)), f.boolean())
    .map(([base, offset, aligned]) => base + (aligned ? offset & ~7 : offset))
  const size = f.constantFrom(1, 2, 4, 4, 4, 8) as Arbitrary<1 | 2 | 4 | 8>
  const cpu = f.nat(cpus - 1)
  const encoding = f.constantFrom(...[...iccRegisters, ...ichRegisters].map((each) => each.encoding))
  const el = f.constantFrom(1, 2) as Arbitrary<1 | 2>
  const level = f.constantFrom(0, 1) as Arbitrary<0 | 1>
  const value = values(f)
  const input = f.integer({ min: 16, max: 31 + spis }).filter((intid) => intid !== MAINTENANCE_PPI)
  return f.oneof(
    f.record({ k: f.constantFrom('r' as const, 'w' as const), address, size, value }),
    f.record({ k: f.constantFrom('sr' as const, 'sw' as const), cpu, encoding, el, value }),
    f.record({ k: f.constant('line' as const), cpu, intid: input, level }),
  )
}

/** Something that is written, and its text. */
interface Written<T> {
  readonly says: string
  readonly write: (to: T) => unknown
}

/** A function that writes several things, and prints as their texts. */
function all<T>(
  written: readonly Written<T>[],
  first: (to: T) => unknown = () => undefined,
): (to: T) => unknown {
  const write = (to: T): void => {
    first(to)
    for (const each of written) each.write(to)
  }
  const says = written.map((each) => each.says).join('.')
  return Object.defineProperty(write, 'toString', { value: () => says })
}

function guests(f: FastCheck, { vcpus, length }: Required<GuestOptions>): Arbitrary<WriteGuest> {
  const operation: Arbitrary<Written<GuestBuilder>> = f.oneof(
    f.constantFrom<Written<GuestBuilder>>(
      { says: 'unmask()', write: (guest) => guest.unmask() },
      { says: 'mask()', write: (guest) => guest.mask() },
      { says: 'hvc()', write: (guest) => guest.hvc() },
      { says: 'wfe()', write: (guest) => guest.wfe() },
      { says: 'wfi()', write: (guest) => guest.wfi() },
    ),
    f.constantFrom(0, 0x80, 0xf0).map((mask) => ({
      says: `priorityMask(${mask})`,
      write: (guest: GuestBuilder) => guest.priorityMask(mask),
    })),
    f.tuple(f.nat(15), f.nat(vcpus - 1)).map(([intid, vcpu]) => ({
      says: `sgi(${intid}, ${vcpu})`,
      write: (guest: GuestBuilder) => guest.sgi({ intid, vcpus: [vcpu] }),
    })),
  )
  return f
    .array(operation, { minLength: 1, maxLength: length })
    .map((ops) => all(ops, (guest) => guest.onIrq((handler) => handler.ack().eoi())))
}

function devices(f: FastCheck, { intids, length }: Required<GuestOptions>): Arbitrary<WriteDevice> {
  const step = f.constantFrom(...intids).map(
    (intid): Written<DeviceBuilder> => ({
      says: `pulse(${intid})`,
      write: (device) => device.pulse(intid),
    }),
  )
  return f.array(step, { minLength: 1, maxLength: length }).map((steps) => all(steps))
}
