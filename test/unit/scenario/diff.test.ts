/** A diff of a scenario's machine says what a reader knows: steps by their paths, interrupts, vCPUs, devices. */
import { type Difference, Gic } from 'vgic'
import { type Actor, designs, type ScenarioMachine, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import type { MachineState } from '../../../src/state/machine-state.ts'
import { v4Of, vlpiScenario } from '../../kit/direct.ts'
import { bootedIts } from '../../kit/guest-its.ts'
import { vmOf } from '../../kit/vm.ts'

const machineOf = (): ScenarioMachine =>
  scenario('sleeps')
    .vm({ vcpus: 1, spis: 41 })
    .design(designs.wfiFullPut)
    .spi({ intid: 72 })
    .guest(0, (guest) =>
      guest
        .onIrq((handler) => handler.ack().eoi())
        .unmask()
        .wfi(),
    )
    .device('nic', (device) => device.pulse(72))
    .machine()

function actorOf(machine: ScenarioMachine, name: string): Actor {
  const actor = machine.actors.find((each) => each.name === name)
  if (!actor) throw new Error(`no ${name}`)
  return actor
}

/** What one step of an actor changes, as `name: before -> after`. */
function step(machine: ScenarioMachine, name: string): string[] {
  const before = machine.snapshot()
  machine.step(actorOf(machine, name))
  return machine
    .diff(before)
    .map(({ name, field, before, after }) => `${name}${field ? ` ${field}` : ''}: ${before} -> ${after}`)
}

/** Steps of a vCPU until one changes its program counter to a path, and what that one changed. */
function stepUntil(machine: ScenarioMachine, path: string): string[] {
  for (let steps = 0; steps < 200; steps++) {
    const changes = step(machine, 'vcpu0')
    if (changes.some((change) => change.startsWith('vcpu[0].pc: ') && change.endsWith(` -> ${path}`))) {
      return changes
    }
  }
  throw new Error(`never at ${path}`)
}

describe('a diff of a machine', () => {
  it('names the step that a thread is at by its path in the design', () => {
    const machine = machineOf()
    expect(step(machine, 'vcpu0')).toEqual([
      'vcpu[0].pc: load/preemptOff -> load/load',
      'vcpu[0].thread preemptOff: 0 -> 1',
    ])
    expect(stepUntil(machine, 'wfi/put')).toEqual([
      'vcpu[0].pc: wfi/setWaiting -> wfi/put',
      'vcpu[0].thread waiting: 0 -> 1',
    ])
  })

  it('names the thread’s PE, and the vCPU of a PE', () => {
    const machine = machineOf()
    stepUntil(machine, 'wfi/halt/sleep/sleep')
    const changes = [step(machine, 'vcpu0'), step(machine, 'vcpu0')].flat()
    expect(changes).toEqual([
      'vcpu[0].notifier: none -> schedOut/put',
      'vcpu[0].thread task: sleeping -> blocked',
      'vcpu[0].notifier: schedOut/put -> schedOut/giveUpCpu',
    ])
    const released = step(machine, 'vcpu0')
    expect(released).toContain('vcpu[0].pe: pe[0] -> none')
    expect(released).toContain('host.current[0]: vcpu[0] -> none')
  })

  it('names a device, what it does next, and the interrupt that it has queued', () => {
    const machine = machineOf()
    stepUntil(machine, 'entry/flush')
    const queued = step(machine, 'nic')
    expect(queued).toContain('vcpu[0].apFirst: none -> vm.SPI 72')
    expect(queued).toContain('vm.SPI 72 latch: 0 -> 1')
    expect(queued).toContain('device nic.inject: none -> inject/postRequest')
    expect(queued).toContain('device nic.target: none -> vcpu[0]')
    expect(step(machine, 'vcpu0')).toContain('vcpu[0].lrIrq[0]: none -> vm.SPI 72')
    step(machine, 'nic')
    expect(step(machine, 'nic')).toContain('device nic.pc: 0: pulses SPI 72 -> 1: done')
  })

  it('names the guest’s operation, and why it left', () => {
    const machine = machineOf()
    stepUntil(machine, 'guest')
    step(machine, 'vcpu0')
    expect(step(machine, 'vcpu0')).toContain('vcpu[0].guest.pc: 0: unmask irq fiq -> 1: wfi')
    expect(step(machine, 'vcpu0')).toContain('vcpu[0].exit: none, or irq -> wfi')
  })
})

describe('the name of a word', () => {
  const twice = (names: readonly string[]): string[] => names.filter((name, i) => names.indexOf(name) !== i)

  function namesOf({ layout, words }: MachineState): string[] {
    const names: string[] = []
    for (let at = 0; at < words.length; at++) {
      const location = layout.locate(at)
      if (location) names.push(`${layout.nameOf(at)}${location.upper ? ' (63:32)' : ''}`)
    }
    return names
  }

  it('is its own in every machine, and whole', () => {
    const host = scenario('two of each')
      .gic({
        cpus: 2,
        spis: 70,
        gicr: [
          { base: 0x080a_0000, count: 1 },
          { base: 0x0900_0000, count: 1 },
        ],
      })
      .vm({ vcpus: 2, spis: 70, frames: { its: 0x0808_0000 } })
      .spi({ intid: 40, physical: 33 })
      .spi({ intid: 41, physical: 34 })
      .device('nic', (device) => device.pulse(40))
      .device('disk', (device) => device.pulse(41))
      .machine().hypervisor.state
    const device = new Gic({ cpus: 2, spis: 70, affinities: [1, 0] })['state'] as MachineState
    for (const names of [namesOf(host), namesOf(device)]) {
      expect(twice(names)).toEqual([])
      expect(names.filter((name) => /<n>|undefined|NaN/.test(name))).toEqual([])
    }
    expect(namesOf(host)).toEqual(expect.arrayContaining(['GICD_IROUTER72', 'vm.GICD_IROUTER72']))
  })
})

describe('a diff of a VM', () => {
  /** The names of the words that an action changes, without the numbers in brackets. */
  function namesOf(
    machine: { snapshot(): ArrayBuffer; diff(before: ArrayBuffer): Difference[] },
    act: () => void,
  ) {
    const before = machine.snapshot()
    act()
    return new Set(machine.diff(before).map(({ name }) => name.replace(/\[[1-9]\d+\]/, '[n]')))
  }

  it('names what its guest maps, its LPIs, and the translations that are cached', () => {
    const guest = bootedIts({ itss: 2 })
    const names = namesOf(guest.vm, () => {
      guest.mapd(1, 4, true, 1)
      guest.mapti(1, 3, 8192, 77, 1)
      guest.mapc(77, 1, true, 1)
      guest.msi(1, 3, 1)
    })
    for (const name of [
      'its[1].GITS_CWRITER',
      'lpi[0].INTID',
      'lpiPool.free',
      'itsDevice[0].DeviceID',
      'itsDevicePool.free',
      'itsEvent[0].EventID',
      'itsEventPool.free',
      'itsCollection[4].ICID',
      'itsCollectionPool.free',
      'translation[0].LPI',
      'lpis.first',
    ])
      expect(names).toContain(name)
  })

  it('names its vPEs, the interrupts that are forwarded, and the host’s ITS', () => {
    const machine = vlpiScenario('4.1').machine()
    const names = namesOf(machine, () => {
      v4Of(machine).load(machine.hypervisor.vcpu(0))
      v4Of(machine).forwarding.unforward(machine.hypervisor.vcpu(0), 0)
    })
    for (const name of [
      'its_vpe[0].resident',
      'its_vpe[0].vLPIs',
      'forward[0].vINTID',
      'hostIts.writer',
      'lpi[0].forward',
    ])
      expect(names).toContain(name)
  })

  it('has none of them without an ITS and without GICv4', () => {
    const { layout } = vmOf().hypervisor
    expect([
      layout.lpis.lpi.count,
      layout.itsCount,
      layout.direct.vpeCount,
      layout.direct.forwardCount,
    ]).toEqual([0, 0, 0, 0])
    expect(layout.direct.its).toBe(layout.costTable)
  })
})
