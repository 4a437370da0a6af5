/** LPIs in scenarios: a guest drives its ITS, and devices send messages. */
import { designs, type Scenario, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { GITS } from '../../kit/frames.ts'
import { explore } from '../explore/checked.ts'

/** A guest that maps event 0 of device 7 to LPI 8192 and waits for it, `count` times. */
const waits = (count: number, messages = count): Scenario =>
  scenario('a message ends a WFI')
    .gic({ cpus: 1, memoryLines: 64 })
    .vm({ vcpus: 1, spis: 0, frames: { its: GITS }, lpis: 2, itsDevices: 1, itsCollections: 1 })
    .guest(0, (guest) => {
      guest.its().boot(1).configure(8192).mapDevice(7).mapCollection(0, 0).mapEvent(7, 0, 8192, 0)
      guest.unmask().wfi().untilInterrupts(count)
      guest.onIrq((handler) => handler.ack().eoi())
    })
    .device('nic', (device) => {
      for (let i = 0; i < messages; i++) device.msi(7, 0)
    })

describe('an MSI of a device', () => {
  it('wakes a vCPU that waits in its WFI, and is acknowledged as the LPI of its event', () => {
    const run = waits(1).run()
    expect(run.acknowledged(0)).toEqual([8192])
  })

  it('that nothing is mapped to is dropped', () => {
    const run = waits(1, 0)
      .device('other', (device) => device.msi(8, 0).msi(7, 1))
      .device('nic', (device) => device.msi(7, 0))
      .run()
    expect(run.acknowledged(0)).toEqual([8192])
  })

  it('needs an ITS', () => {
    const without = scenario('none').device('nic', (device) => device.msi(7, 0))
    expect(() => without.machine()).toThrow(
      'Device nic sends a message to ITS 0, but the VM has none: give it one with vm({ frames: { its } }).',
    )
  })

  it('needs memory for the tables of the guest that maps it', () => {
    const without = waits(1).gic({ cpus: 1 })
    expect(() => without.machine()).toThrow('A guest stores to its memory, but the scenario has none')
  })

  it.each(Object.values(designs).map((design) => [design.name, design] as const))(
    'is lost in no interleaving: %s',
    (_name, design) => {
      const found = explore(waits(1).design(design), { preemptions: 1 })
      expect(found.violation).toBeUndefined()
      expect(found.complete).toBe(true)
    },
  )

  it('is explained', () => {
    const machine = waits(1).machine()
    expect(machine.explain(8192).reason).toBe('no-such-interrupt')
    const run = waits(1).run()
    expect(run.explain(8192).reason).toBe('not-pending')
    const details = Object.fromEntries(run.explain(8192).conditions.map(({ name, detail }) => [name, detail]))
    expect(details).toMatchObject({
      enabled: "enabled in its configuration, as last read from the guest's memory",
      inactive: 'it is not active',
      target: 'it goes to vcpu0',
    })
  })
})
