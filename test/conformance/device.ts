/**
 * A GIC under a recording: the ops that the suites of the silicon share, done through the device's public interface as
 * an emulator would.
 */
import { type Gic, type GicConfig, HCR_EL2, type ProfileName, VgicError } from 'vgic'
import type { Answer } from './judge.ts'
import { isHex, type Op, RecordingError, type Result, type Trace } from './recording.ts'
import { encodingOf, hex, registers } from './registers.ts'

export const EL1 = 1
export const EL2 = 2
/** A guest's CPU interface is the virtual one. */
const IMO_AND_FMO = 0x18
/** The recorded programs read system registers into X0 and write them from X2. */
const WRITE_RT = 2 << 5

/** SPIs of every recorded machine as its GICD_TYPER has them: 256 INTIDs less the private ones. */
export const SPIS = 224
/** QEMU's have one block more, which QEMU 7.2's GICD_TYPER does not count. */
export const spisOf = (profile: ProfileName): number => (profile === 'arch' ? SPIS : SPIS + 32)
/**
 * The recorded machines' ITS, and their LPIs: INTIDs of 16 bits. This silicon keeps GICR_PENDBASER.PTZ as it is written,
 * which DEVIATIONS.md does not name; the bit is write only.
 */
export const RECORDED_ITS = {
  lpis: 0x1_0000,
  its: [{ base: 0x0808_0000 }],
  choices: { pendingTableZero: 'ignored' },
} as const satisfies Partial<GicConfig>
const FIRST_PPI = 16
const FIRST_SPI = 32
/** An input of every PE that the virtual CPU interface drives, not the recording. */
export const MAINTENANCE_INTERRUPT = 25

const isInput = (intid: number): boolean =>
  intid >= FIRST_PPI && intid < FIRST_SPI + SPIS && intid !== MAINTENANCE_INTERRUPT

/** Whether {@link Device.do} knows an op. */
export function isDeviceOp(op: Op, cpus: number): boolean {
  const { k, c = 0, intid = 0, level } = op
  if (c < 0 || c >= cpus) return false
  if (k === 'line') return isInput(intid) && (level === 0 || level === 1)
  return /^[rw]$/.test(k) ? isMemoryAccess(op) : /^[sg][rw]$/.test(k) && isRegisterAccess(op)
}

/** Whether an op that writes has a value, which fits. */
const hasValue = ({ k, v }: Op, bytes: number): boolean =>
  !k.endsWith('w') || (isHex(v) && BigInt(v) < 1n << BigInt(8 * bytes))

/** Whether an op is a read or a write of memory that a CPU can do. */
export const isMemoryAccess = (op: Op): boolean =>
  [1, 2, 4, 8].includes(op.s ?? 4) &&
  isHex(op.a) &&
  Number(op.a) <= 2 ** 52 - (op.s ?? 4) &&
  hasValue(op, op.s ?? 4)

/** Whether an op reads or writes a system register that there is. */
export const isRegisterAccess = (op: Op): boolean => registers.has(op.reg ?? '') && hasValue(op, 8)

/** What was answered to an op that {@link Device.do} knows. */
export function recordedAnswer({ v, trap, fault, gfault }: Result): Answer {
  const answers = Object.entries({ v, trap, fault, gfault })
  return Object.fromEntries(answers.filter((entry): entry is [string, string] => entry[1] !== undefined))
}

/** What the architecture says where it is marked. */
export const recordedSpec = ({ spec }: Result): Answer => (spec === undefined ? {} : { v: String(spec) })

/** What a trace and the command line say of the silicon. */
export type SiliconConfig = Required<Pick<GicConfig, 'version' | 'profile'>>

/** Bytes from one redistributor to the next: GICv4 has two more frames in each. */
const STRIDES = new Map<number, SiliconConfig['version']>([
  [0x2_0000, '3'],
  [0x4_0000, '4.0'],
])

/**
 * The version of a recorded machine. `config.gicr_stride` decides where there is one: software finds the next
 * redistributor by GICR_TYPER.VLPIS, so the two cannot disagree. Otherwise the machine's arguments say it.
 */
export function versionOf(file: string, { line, config }: Trace): SiliconConfig['version'] {
  const { gicr_stride: stride, machine } = config
  if (stride === undefined) return /\bgic-version=4\b/.test(String(machine)) ? '4.0' : '3'
  const version = isHex(stride) ? STRIDES.get(Number(stride)) : undefined
  if (version !== undefined) return version
  const strides = Array.from(STRIDES.keys(), hex).join(' or ')
  throw new RecordingError(file, line, `config.gicr_stride is not ${strides}`)
}

/** Makes the machine of a trace; a configuration that no GIC has is the recording's fault. */
export function machineOf<M>(
  file: string,
  trace: Trace,
  profile: ProfileName,
  make: (config: Trace['config'], silicon: SiliconConfig) => M,
): M {
  const version = versionOf(file, trace)
  try {
    return make(trace.config, { version, profile })
  } catch (error) {
    if (error instanceof VgicError) throw new RecordingError(file, trace.line, `config: ${error.message}`)
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
