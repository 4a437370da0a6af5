/**
 * Who drives each interrupt line of a scenario: timers drive their PPIs, if the VM has timers, and devices all
 * others. A guest that uses a line that nothing drives would wait forever, so that is refused.
 */
import { intidName } from '../arch/intid.ts'
import { VgicError } from '../errors/vgic-error.ts'
import type { VmSetup } from '../hyp/hypervisor.ts'
import { OP_QUIESCE, OP_TIMER, OP_WORDS } from '../hyp/records/guest-program.ts'
import { timerIntids } from '../hyp/records/vcpu.ts'
import type { DeviceProgram } from './device-builder.ts'

/** By index, as in {@link timerIntids}. */
const timerNames = ['virtual', 'physical'] as const

/**
 * Throws a `scenario` error for a device that drives a timer's line, and for a guest that uses a timer or a device
 * that the scenario lacks.
 */
export function checkLineOwners({ timers, guests }: VmSetup, devices: readonly DeviceProgram[]): void {
  const owners = new Map<number, string>()
  for (const { name, steps } of devices) {
    for (const { intid, signal } of steps) if (!signal) owners.set(intid, `device ${name}`)
  }
  if (timers) {
    for (const [i, intid] of timerIntids.entries()) {
      const device = owners.get(intid)
      const timer = `the ${timerNames[i]} timer`
      if (device) refuse(`PPI ${intid} belongs to ${timer}, and ${device} cannot drive it: use timer().`)
      owners.set(intid, timer)
    }
  }
  for (const { ops } of guests) {
    for (let at = 0; at < ops.length; at += OP_WORDS) {
      if (ops[at] === OP_QUIESCE) checkQuiesce(ops[at + 1], owners.get(ops[at + 1]))
      if (ops[at] !== OP_TIMER || timers) continue
      refuse(`A guest uses the ${timerNames[ops[at + 1]]} timer, but the VM has none: set timers in vm().`)
    }
  }
}

/** Guests share handlers, so it is enough that a device drives the PPI of some vCPU. */
function checkQuiesce(intid: number, owner: string | undefined): void {
  if (owner?.startsWith('device')) return
  if (owner) refuse(`PPI ${intid} belongs to ${owner}, which no quiesce() turns off: use stopTimer().`)
  refuse(`A guest quiesces ${intidName(intid)}, but no device drives it: add one with device().`)
}

function refuse(message: string): never {
  throw new VgicError('scenario', message)
}
