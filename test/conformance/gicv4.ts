/**
 * Suites `v4` and `v41`: vPEs, driven by a program at EL2 that keeps its tables and the command queue in the machine's
 * memory, with a guest at EL1. Each trace starts from reset. `v4` is a recording, `v41` what the rules of
 * docs/gicv4.md make of its programs.
 */
import type { GicConfig, ProfileName } from 'vgic'
import { EL2, isDeviceOp, RECORDED_ITS } from './device.ts'
import { MachineWithIts } from './its.ts'
import type { Tally } from './judge.ts'
import { replayProgram } from './phys.ts'
import { isRamOp } from './ram.ts'
import type { Op, Trace } from './recording.ts'

/** The redistributors of suite `v41` lie behind three frames of the ITS, and share one vPE table. */
const V41 = {
  its: [{ ...RECORDED_ITS.its[0], svpet: 1 }],
  commonLpiAff: 0,
} as const satisfies Partial<GicConfig>

/** What a trace of suite `v41` says of its machine; those of `v4` are like the other suites'. */
export function machineConfig({ gic, cpus, gicr }: Trace['config']): Partial<GicConfig> {
  if (gic === undefined) return {}
  const regions = [{ base: Number(gicr), count: Number(cpus) }]
  return gic === '4.1' ? { ...V41, version: '4.1', gicr: regions } : { version: '4.0', gicr: regions }
}

const isKnownOp = (op: Op, cpus: number): boolean => isRamOp(op) || isDeviceOp(op, cpus)

/** Replays the traces of a file. */
export const replayGicv4 = (file: string, traces: readonly Trace[], profile: ProfileName = 'arch'): Tally[] =>
  replayProgram(
    file,
    traces,
    profile,
    isKnownOp,
    (config, silicon) => new MachineWithIts({ ...silicon, ...machineConfig(config) }, config, EL2),
  )
