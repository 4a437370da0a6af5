/** Machines with direct injection: a device's interrupt is forwarded as vLPI 8192, and what the host's ITS is told. */
import { designs, type Scenario, type ScenarioMachine, scenario } from 'vgic/scenario'
import { Hypervisor } from '../../src/hyp/hypervisor.ts'
import type { VgicV4 } from '../../src/hyp/vgic/vgic-v4.ts'
import type { Access } from '../../src/scenario/step-events.ts'

export const DEVICE = 7
export const VLPI = 8192

/** A VM whose vCPU 0 gets vLPI 8192 and waits for it; `change` adds to the scenario. */
export function vlpiScenario(version: '4.0' | '4.1', design = designs.wfiFlag, vcpus = 1): Scenario {
  return scenario(`vLPI on GICv${version}`)
    .gic({ version, cpus: vcpus })
    .vm({ vcpus })
    .design(design)
    .vlpi({ device: DEVICE, event: 0, intid: VLPI, vcpu: 0 })
}

/** Direct injection of a machine; fails for one without. */
export function v4Of({ hypervisor }: ScenarioMachine): VgicV4 {
  if (hypervisor instanceof Hypervisor && hypervisor.v4) return hypervisor.v4
  throw new Error('the machine has no direct injection')
}

/** The accesses of the hypervisor during `act`, as text: registers with their names, commands with their fields. */
export function accessesOf(machine: ScenarioMachine, act: () => void): string[] {
  const accesses: Access[] = []
  machine.watch(accesses)
  act()
  machine.hypervisor.seam.observer = null
  return accesses
    .filter(({ name }) => !name.startsWith('GITS_C'))
    .map(({ direction, kind, name, value, fields }) => {
      if (kind === 'its')
        return [name, ...Object.entries(fields).map(([field, value]) => `${field}=${value}`)].join(' ')
      return `${direction === 'read' ? 'r' : 'w'} ${name} 0x${value.toString(16)}`
    })
}

/** Steps a machine's vCPU until it sleeps, is done, or waits for something. */
export function runVcpu(machine: ScenarioMachine, vcpu = 0): void {
  const actor = machine.actors.find(({ kind, index }) => kind === 'vcpu' && index === vcpu)
  if (!actor) throw new Error(`no vCPU ${vcpu}`)
  for (let steps = 0; machine.stateOf(actor) === 'ready'; steps++) {
    if (steps === 10_000) throw new Error(`vCPU ${vcpu} does not come to rest`)
    machine.step(actor)
  }
}
