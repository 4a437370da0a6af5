/**
 * A GIC under a recording: the ops that the suites of the silicon share, done through the device's public interface as
 * an emulator would.
 */
import { type Gic, HCR_EL2, VgicError } from 'vgic'
import type { Answer } from './judge.ts'
import { isHex, type Op, RecordingError, type Result, type Trace } from './recording.ts'
import { encodingOf, hex, registers } from './registers.ts'

export const EL1 = 1
export const EL2 = 2
/** A guest's CPU interface is the virtual one. */
const IMO_AND_FMO = 0x18
/** The recorded programs read system registers into X0 and write them from X2. */
const WRITE_RT = 2 << 5

/** SPIs of every recorded machine: 256 INTIDs less the private ones. */
export const SPIS = 224
const FIRST_PPI = 16
const FIRST_SPI = 32
/** An input of every PE that the virtual CPU interface drives, not the recording. */
export const MAINTENANCE_INTERRUPT = 25

const isInput = (intid: number): boolean =>
  intid >= FIRST_PPI && intid < FIRST_SPI + SPIS && intid !== MAINTENANCE_INTERRUPT

/** Whether {@link Device.do} knows an op. */
export function isDeviceOp({ k, a, s = 4, reg, c = 0, v, intid = 0, level }: Op, cpus: number): boolean {
  if (c < 0 || c >= cpus) return false
  if (k === 'line') return isInput(intid) && (level === 0 || level === 1)
  if (k.endsWith('w') && !isHex(v)) return false
  return /^[rw]$/.test(k)
    ? isHex(a) && [1, 2, 4, 8].includes(s)
    : /^[sg][rw]$/.test(k) && registers.has(reg ?? '')
}

/** What was answered to an op that {@link Device.do} knows. */
export function recordedAnswer({ v, trap, fault, gfault }: Result): Answer {
  const answers = Object.entries({ v, trap, fault, gfault })
  return Object.fromEntries(answers.filter((entry): entry is [string, string] => entry[1] !== undefined))
}

/** What the architecture says where it is marked. */
export const recordedSpec = ({ spec }: Result): Answer => (spec === undefined ? {} : { v: String(spec) })

/** Makes the machine of a trace; a configuration that no GIC has is the recording's fault. */
export function machineOf<M>(file: string, { line, config }: Trace, make: (config: Trace['config']) => M): M {
  try {
    return make(config)
  } catch (error) {
    if (error instanceof VgicError) throw new RecordingError(file, line, `config: ${error.message}`)
    throw error
  }
}

export class Device {
  constructor(
    readonly gic: Gic,
    /** Where the recorded software runs, `sr` and `sw`; its guest, `gr` and `gw`, is at EL1 below it. */
    readonly level: number,
  ) {
    if (level !== EL2) return
    for (let cpu = 0; cpu < gic.config.cpus; cpu++) gic.writeSysreg(cpu, HCR_EL2, IMO_AND_FMO, EL2)
  }

  /** Does an op and returns its answer. */
  do({ k, c = 0, reg, a, s = 4, v, intid = 0, level = 0 }: Op): Answer {
    const { gic } = this
    const address = Number(a)
    switch (k) {
      case 'r':
        return { v: hex(s === 8 ? gic.readMmio64(address) : gic.readMmio(address, s)) }
      case 'w':
        if (s === 8) gic.writeMmio64(address, BigInt(String(v)))
        else gic.writeMmio(address, s, Number(v))
        return {}
      case 'line':
        if (intid < FIRST_SPI) gic.setPpi(c, intid, level)
        else gic.setSpi(intid, level)
        return {}
    }
    const el = k.startsWith('g') ? EL1 : this.level
    const encoding = encodingOf(String(reg))
    if (k.endsWith('w')) {
      gic.writeSysreg64(c, encoding, BigInt(String(v)), el)
      return this.trap(k) ?? {}
    }
    const value = gic.readSysreg64(c, encoding, el)
    return this.trap(k) ?? { v: hex(value) }
  }

  private trap(k: string): Answer | undefined {
    const { lastTrap, lastWasUndefined } = this.gic
    if (lastTrap === 0) return undefined
    if (lastWasUndefined) return { [k.startsWith('g') ? 'gfault' : 'fault']: hex(lastTrap) }
    return { trap: hex(k.endsWith('r') ? lastTrap : lastTrap | WRITE_RT) }
  }
}
