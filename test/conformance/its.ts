/**
 * Suite `its`: an ITS and the LPIs of one or four PEs, driven by a program at EL1 that keeps the tables and the command
 * queue in the machine's memory. Each trace starts from reset.
 */
import { Gic, type GicConfig, type ProfileName } from 'vgic'
import { Device, EL1, isDeviceOp, RECORDED_ITS, type SiliconConfig, spisOf } from './device.ts'
import type { Answer, Tally } from './judge.ts'
import { observe, replayProgram } from './phys.ts'
import { isRamOp, Ram } from './ram.ts'
import type { Op, Trace } from './recording.ts'

/** A GIC with an ITS, as one trace's `config` describes the recorded machine. */
export class MachineWithIts {
  private readonly gic: Gic
  private readonly device: Device
  private readonly ram = new Ram()

  /** `silicon` is what else it has; the program runs at exception level `el`. */
  constructor(
    silicon: Partial<GicConfig> & SiliconConfig,
    config: Trace['config'],
    readonly el = EL1,
  ) {
    this.gic = new Gic(
      {
        ...RECORDED_ITS,
        ...silicon,
        cpus: Number(config['cpus']),
        spis: spisOf(silicon.profile),
        priorityBits: Number(config['priority_bits']),
        preemptionBits: Number(config['preemption_bits']),
      },
      { memory: this.ram },
    )
    this.device = new Device(this.gic, el)
  }

  do(op: Op): Answer {
    if (op.k === 'obs') return observe(this.gic, this.el)
    if (op.k !== 'ram' && op.k !== 'fill') return this.device.do(op)
    this.ram.do(op)
    return {}
  }
}

const isItsOp = (op: Op, cpus: number): boolean =>
  isRamOp(op) || (isDeviceOp(op, cpus) && !op.k.startsWith('g'))

/** Replays the traces of a file. */
export const replayIts = (file: string, traces: readonly Trace[], profile: ProfileName = 'arch'): Tally[] =>
  replayProgram(file, traces, profile, isItsOp, (config, silicon) => new MachineWithIts(silicon, config))
