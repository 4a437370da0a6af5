/** vSGIs: SGIs that GICv4.1 delivers to a vPE, as a guest asks for them; situation L05 of reports about other projects. */
import { designs, type Run, type Scenario, type ScenarioMachine, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { vsgisInHardware } from '../../../../src/explore/hardware-pending.ts'
import { VCPU_THREAD } from '../../../../src/hyp/records/vcpu.ts'
import { DEVICE, VLPI, v4Of, vlpiScenario } from '../../../kit/direct.ts'
import { GICD } from '../../../kit/frames.ts'

const GICD_CTLR = GICD
const GICD_TYPER2 = GICD + 0xc
const NASSGIREQ = 0x100

/** What the guest of vCPU 0 reads. */
const readsOf = ({ events }: Run): (number | undefined)[] =>
  events.flatMap(({ actor, value }) => (actor.name === 'vcpu0' && value !== undefined ? [value] : []))

/** A guest on two vCPUs that turns vSGIs on and sends SGI 3 from vCPU 0 to vCPU 1. */
const vsgis = (version: '3' | '4.0' | '4.1', request = NASSGIREQ): Scenario =>
  scenario('vSGIs')
    .gic({ version, cpus: 2 })
    .vm({ vcpus: 2, distributor: 'reset' })
    .design(designs.wfiFlag)
    .guest(0, (guest) =>
      guest
        .readMmio(GICD_TYPER2)
        .writeMmio(GICD_CTLR, 2 | request)
        .sgi({ intid: 3, vcpus: [1] })
        .readMmio(GICD_CTLR),
    )
    .guest(1, (guest) => {
      guest.onIrq((handler) => handler.ack().eoi())
      guest.unmask('irq').untilInterrupts(1)
    })

describe('vSGIs', () => {
  it('are there on GICv4.1, without an ITS of the guest’s too (catalogue 20)', () => {
    const run = vsgis('4.1').run()
    expect(run.acknowledged(1)).toEqual([3])
    const values = readsOf(run)
    expect(values[0]).toBe(NASSGIREQ)
    expect(values.at(-1)).toBe(0x52 | NASSGIREQ)
    expect(run.events.flatMap(({ accesses }) => accesses).map(({ name }) => name)).toContain('GITS_SGIR')
  })

  it.each(['3', '4.0'] as const)(
    'are not there on GICv%s (L05): an SGI goes through a list register',
    (version) => {
      const run = vsgis(version).run()
      expect(run.acknowledged(1)).toEqual([3])
      const values = readsOf(run)
      expect(values[0]).toBe(0)
      expect(values.at(-1)).toBe(0x52)
    },
  )

  it('are not there where the CPU interface has none, beside vLPIs (L05): SGIs are software’s, and a doorbell is asked for', () => {
    const scenario = vlpiScenario('4.1')
      .vm({ vcpus: 1, spis: 0, lpis: 1, itsDevices: 1, itsCollections: 1, vsgis: false })
      .guest(0, (guest) => {
        guest.onIrq((handler) => handler.ack().eoi())
        guest
          .readMmio(GICD_TYPER2)
          .writeMmio(GICD_CTLR, 2 | NASSGIREQ)
          .unmask('irq')
          .sgi({ intid: 3, vcpus: [0] })
          .untilInterrupts(1)
          .wfi()
          .untilInterrupts(2)
      })
      .device('nic', (device) => device.at(1000).msi(DEVICE, 0))
    const run = scenario.run()
    expect(run.end).toBe('done')
    expect(run.acknowledged(0)).toEqual([3, VLPI])
    expect(readsOf(run)[0]).toBe(0)
    const names = run.events.flatMap(({ accesses }) => accesses).map(({ name }) => name)
    expect(names).not.toContain('GITS_SGIR')
  })

  it('of a saved VM are refused where there are none (L05)', () => {
    const made = (vsgis: boolean): ScenarioMachine =>
      scenario('saved')
        .gic({ version: '4.1', cpus: 1 })
        .vm({ vcpus: 1, vsgis })
        .guest(0, (guest) => guest.hvc())
        .machine()
    const saved = made(true).saveVgic()
    expect(saved.dist['GICD_TYPER2']).toBe('0x100')
    expect(() => made(true).restoreVgic(saved)).not.toThrow()
    expect(() => made(false).restoreVgic(saved)).toThrow(/GICD_TYPER2/)
  })

  it('are what the guest asks for: without nASSGIreq SGIs are software’s on GICv4.1', () => {
    const run = vsgis('4.1', 0).run()
    expect(run.acknowledged(1)).toEqual([3])
    expect(run.events.flatMap(({ accesses }) => accesses).map(({ name }) => name)).not.toContain('GITS_SGIR')
  })

  it('wake a vCPU that waits, by its doorbell', () => {
    const run = vsgis('4.1')
      .guest(1, (guest) => {
        guest.onIrq((handler) => handler.ack().eoi())
        guest.unmask('irq').wfi().untilInterrupts(1)
      })
      .run()
    expect(run.end).toBe('done')
    expect(run.acknowledged(1)).toEqual([3])
  })

  it('become SGIs again with their pending state', () => {
    const run = vsgis('4.1')
      .guest(0, (guest) => {
        guest.onIrq((handler) => handler.ack().eoi())
        guest
          .writeMmio(GICD_CTLR, 2 | NASSGIREQ)
          .sgi({ intid: 5, vcpus: [0] })
          .writeMmio(GICD_CTLR, 0)
          .writeMmio(GICD_CTLR, 2)
          .unmask('irq')
          .untilInterrupts(1)
      })
      .guest(1, (guest) => guest.hvc())
      .run()
    expect(run.acknowledged(0)).toEqual([5])
  })

  it('are read from, and written to, the hardware by the guest’s ISPENDR and ICPENDR', () => {
    const sgis = 0x080b_0000
    const run = vsgis('4.1')
      .guest(0, (guest) =>
        guest
          .writeMmio(GICD_CTLR, 2 | NASSGIREQ)
          .writeMmio(sgis + 0x200, 0x6)
          .readMmio(sgis + 0x200)
          .writeMmio(sgis + 0x280, 0x2)
          .readMmio(sgis + 0x200)
          .writeMmio(sgis + 0x300, 0x4)
          .readMmio(sgis + 0x300),
      )
      .guest(1, (guest) => guest.hvc())
      .run()
    const values = readsOf(run)
    expect(values).toEqual([0x6, 0x4, 0])
  })

  it('are told to vPEs that are resident when the distributor is switched', () => {
    const machine = vsgis('4.1').machine()
    const { hypervisor } = machine
    v4Of(machine).distributorSwitched()
    expect(hypervisor.words[hypervisor.vcpu(0) + VCPU_THREAD]).not.toBe(0)
    const run = vsgis('4.1').run()
    const written = run.events
      .flatMap(({ accesses }) => accesses)
      .filter(({ name }) => name === 'GICR_VPENDBASER')
    // VGrp1En of the first loads is 0, and 1 after the guest has set EnableGrp1.
    const enables = written
      .filter(({ direction }) => direction === 'write')
      .map(({ high }) => (high >>> 26) & 1)
    expect(enables[0]).toBe(0)
    expect(enables).toContain(1)
  })
})

describe('a VM with vSGIs is saved', () => {
  it('with a pending vSGI, which goes to the hardware of the VM that is restored (catalogue 48)', () => {
    const pending = (): ScenarioMachine =>
      vsgis('4.1')
        .guest(1, (guest) => {
          guest.onIrq((handler) => handler.ack().eoi())
          guest.unmask('irq').untilInterrupts(1)
        })
        .guest(0, (guest) =>
          guest
            .writeMmio(GICD_CTLR, 2 | NASSGIREQ)
            .sgi({ intid: 3, vcpus: [1] })
            .wfi(),
        )
        .machine()
    const machine = pending()
    for (let i = 0; i < 5000 && machine.stateOf(machine.actors[0]) === 'ready'; i++)
      machine.step(machine.actors[0])
    machine.stop()
    const saved = machine.saveVgic()
    expect(saved.redist[1]['GICR_ISPENDR0']).toBe('0x8')
    const other = pending()
    other.restoreVgic(saved)
    expect(vsgisInHardware(other.hypervisor, other.hypervisor.vcpu(1))).toBe(8)
    expect(other.saveVgic()).toEqual(saved)
  })

  it('with nASSGIreq only to a VM that can have vSGIs (L05)', () => {
    const direct = vsgis('4.1').machine()
    while (direct.hypervisor.mmio.dist.switchesSgis(2 | NASSGIREQ)) direct.step(direct.actors[0])
    direct.stop()
    const saved = direct.saveVgic()
    expect(() => vsgis('3').machine().restoreVgic(saved)).toThrow()
    const other = vsgis('4.1').machine()
    other.restoreVgic(saved)
    expect(other.saveVgic()).toEqual(saved)
  })
})
