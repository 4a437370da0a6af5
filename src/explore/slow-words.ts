/**
 * The words that seldom change from one state to the next that a search looks up: all but those that say where actors are
 * in their programs, which were measured to be in the way. States that are alike in them are neighbours in the set of
 * visited states (visited.ts). Which words these are is a matter of speed alone.
 */
import { PCPU_PSTATE } from '../gic/records/pe-offsets.ts'
import { GUEST_PC } from '../hyp/records/guest-record.ts'
import { VCPU_NOTIFIER, VCPU_PC, VCPU_THREAD } from '../hyp/records/vcpu.ts'
import { DEVICE_INJECT, DEVICE_PC, DEVICE_TARGET } from '../scenario/device-offsets.ts'
import type { Machine } from '../scenario/machine.ts'

const ofVcpu = [VCPU_PC, VCPU_NOTIFIER, VCPU_THREAD, GUEST_PC]
const ofDevice = [DEVICE_PC, DEVICE_INJECT, DEVICE_TARGET]

/** By offset, -1 for a word that seldom changes, and 0 for the others. */
export function slowWords({ hypervisor, actors, deviceSteps }: Machine): Int32Array {
  const { words, config, layout, silicon } = hypervisor
  const slow = new Int32Array(words.length).fill(-1)
  for (let i = 0; i < layout.vcpuCount; i++) for (const word of ofVcpu) slow[hypervisor.vcpu(i) + word] = 0
  for (let cpu = 0; cpu < config.cpus; cpu++) slow[silicon.peOf(cpu) + PCPU_PSTATE] = 0
  for (const { kind, index } of actors)
    if (kind === 'device') for (const word of ofDevice) slow[deviceSteps.recordOf(index) + word] = 0
  return slow
}
