/**
 * Direct injection as a guest, a device, a VMM and the host's ITS see it; situations L03 and L06 of reports about other
 * projects.
 */
import { designs, type Scenario, type ScenarioMachine, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { isPendingInHardware } from '../../../../src/explore/hardware-pending.ts'
import { unpredictableRules } from '../../../../src/gic/config/unpredictable.ts'
import { VPES_UNPREDICTABLE } from '../../../../src/gic/vpe/vpe-offsets.ts'
import { VLPI_CONFIGURATION } from '../../../../src/hyp/host/host-memory.ts'
import { VCPU_PENDBASER } from '../../../../src/hyp/records/vcpu.ts'
import { IRQ_LATCH, type Irq, irqPriority, irqTarget } from '../../../../src/hyp/records/vgic-irq.ts'
import { VM_PROPBASER } from '../../../../src/hyp/records/vm.ts'
import { accessesOf, DEVICE, VLPI, v4Of, vlpiScenario } from '../../../kit/direct.ts'
import { GITS } from '../../../kit/frames.ts'
import { wordsChangedBy } from '../../../kit/vm.ts'

const versions = ['4.0', '4.1'] as const

/** A guest that drives its ITS: event 0 of device 7 is LPI 8192 of vCPU 0; then `more`. The device is assigned. */
const driven = (
  version: '4.0' | '4.1',
  more: (its: ReturnType<Parameters<Parameters<Scenario['guest']>[1]>[0]['its']>) => unknown,
): Scenario =>
  scenario(`a guest's ITS on GICv${version}`)
    .gic({ version, cpus: 2, memoryLines: 256 })
    .vm({ vcpus: 2, frames: { its: GITS } })
    .design(designs.wfiFlag)
    .vlpi({ device: DEVICE, event: 0 })
    .guest(0, (guest) => {
      const its = guest.its().boot(2).configure(VLPI).mapDevice(DEVICE)
      its.mapCollection(0, 0).mapCollection(1, 1).mapEvent(DEVICE, 0, VLPI, 0)
      guest.hvc()
      more(its)
      guest.onIrq((handler) => handler.ack().eoi())
      guest.unmask('irq').untilInterrupts(1)
    })
    .guest(1, (guest) => guest.hvc())

/** Runs vCPU 0 until its guest has left `exits` times for an HVC. */
function runToHvc(machine: ScenarioMachine): void {
  const [actor] = machine.actors
  for (let steps = 0; steps < 5000; steps++) {
    const { what } = machine.trace(actor)
    if (/exit \(hvc\)/.test(what)) return
  }
  throw new Error('no HVC')
}

/** Takes steps of vCPU 0. */
function step(machine: ScenarioMachine, steps: number): void {
  for (let i = 0; i < steps; i++) machine.step(machine.actors[0])
}

/** The commands to the host's ITS while a vCPU runs until it can go no further. */
const commandsOf = (machine: ScenarioMachine, act: () => void): string[] =>
  accessesOf(machine, act).filter((text) => /^[A-Z]+ ?[A-Za-z=0-9_ ]*$/.test(text))

/** A machine whose guest has mapped its event; the device's interrupt was forwarded after that. */
function forwarded(version: '4.0' | '4.1', more: Parameters<typeof driven>[1] = () => {}): ScenarioMachine {
  const machine = driven(version, more).machine()
  runToHvc(machine)
  const v4 = v4Of(machine)
  v4.forwarding.bind(machine.hypervisor.vcpu(0), 0)
  expect(v4.forwarding.forward(machine.hypervisor.vcpu(0), 0)).toBe(true)
  return machine
}

describe.each(versions)('a forwarded interrupt on GICv%s', (version) => {
  it('reaches a guest that runs without an exit', () => {
    const machine = vlpiScenario(version)
      .guest(0, (guest) => {
        guest.onIrq((handler) => handler.ack().eoi())
        guest.unmask('irq').untilInterrupts(1)
      })
      .machine()
    const [actor] = machine.actors
    for (let i = 0; machine.trace(actor).what !== 'unmask irq'; i++) expect(i).toBeLessThan(100)
    expect(accessesOf(machine, () => machine.internals.deviceSteps.sendToHost(DEVICE, 0))).toEqual([])
    const seen: (number | undefined)[] = []
    while (machine.stateOf(actor) === 'ready') seen.push(machine.trace(actor).acknowledged)
    expect(seen.filter((intid) => intid !== undefined)).toEqual([VLPI])
    expect(machine.statistics().exits).toBe(1)
  })

  it.each(Object.values(designs).map((design) => [design.name, design] as const))(
    'wakes a guest that waits: %s',
    (_name, design) => {
      const run = vlpiScenario(version, design)
        .guest(0, (guest) => {
          guest.onIrq((handler) => handler.ack().eoi())
          guest.unmask('irq').wfi().untilInterrupts(1).suspend().untilInterrupts(2)
        })
        .device('nic', (device) => device.msi(DEVICE, 0).msi(DEVICE, 0))
        .run()
      expect(run.end).toBe('done')
      expect(run.acknowledged(0)).toEqual([VLPI, VLPI])
    },
  )

  it('is configured by the guest: INV, and on GICv4.0 one that is disabled rings no doorbell', () => {
    const machine = forwarded(version, (its) => its.configure(VLPI, { enabled: false }).invalidate(DEVICE, 0))
    const commands = commandsOf(machine, () => step(machine, 400)).filter((text) =>
      /^(V?INV|VMOVI)/.test(text),
    )
    expect(commands.slice(0, 2)).toEqual(
      version === '4.1'
        ? ['INV DeviceID=7 EventID=0']
        : ['INV DeviceID=7 EventID=0', 'VMOVI DeviceID=7 EventID=0 vPEID=0 D=1 Dbell_pINTID=1023'],
    )
  })

  it('goes to another vCPU with the guest’s MOVI: VMOVI', () => {
    const machine = forwarded(version, (its) => its.moveEvent(DEVICE, 0, 1))
    const commands = commandsOf(machine, () => step(machine, 400))
    const doorbell = version === '4.1' ? 1023 : 8193
    expect(commands).toContain(`VMOVI DeviceID=7 EventID=0 vPEID=1 D=1 Dbell_pINTID=${doorbell}`)
  })

  it('is sent by the guest’s INT, and its CLEAR takes it back', () => {
    const machine = forwarded(version, (its) => its.int(DEVICE, 0).clear(DEVICE, 0).int(DEVICE, 0))
    const commands = commandsOf(machine, () => {
      const [actor] = machine.actors
      while (machine.stateOf(actor) === 'ready') machine.step(actor)
    })
    expect(commands.filter((text) => /^(INT|CLEAR DeviceID=7|VSYNC)/.test(text))).toEqual([
      'INT DeviceID=7 EventID=0',
      'VSYNC vPEID=0',
      'CLEAR DeviceID=7 EventID=0',
      'VSYNC vPEID=0',
      'INT DeviceID=7 EventID=0',
      'VSYNC vPEID=0',
    ])
    expect(machine.stateOf(machine.actors[0])).toBe('done')
  })

  it('hard case 52: is the host’s again after the guest’s DISCARD, and then means nothing to the guest', () => {
    const machine = forwarded(version, (its) => its.discard(DEVICE, 0))
    const [actor] = machine.actors
    const v4 = v4Of(machine)
    for (let i = 0; v4.forwarding.isForwarded(0); i++) {
      machine.step(actor)
      expect(i).toBeLessThan(1000)
    }
    machine.internals.deviceSteps.sendToHost(DEVICE, 0)
    for (let i = 0; i < 200; i++) machine.step(actor)
    expect(machine.explain(VLPI).reason).not.toBe('delivered')
    expect(v4.forwarding.its.lpis.find(VLPI)).toBe(0)
  })

  it('hard case 52: is injected by software after the guest’s DISCARD and MAPTI of the same event', () => {
    const machine = forwarded(version, (its) => its.discard(DEVICE, 0).mapEvent(DEVICE, 0, VLPI, 0))
    const [actor] = machine.actors
    const v4 = v4Of(machine)
    const { its } = v4.forwarding
    const commands = commandsOf(machine, () => {
      for (let i = 0; v4.forwarding.isForwarded(0) || its.lpis.find(VLPI) === 0; i++) {
        machine.step(actor)
        expect(i).toBeLessThan(5000)
      }
      for (let i = 0; i < 200; i++) machine.step(actor)
    })
    expect(commands.filter((text) => text.startsWith('VMAP'))).toEqual([])
    expect(v4.forwarding.isForwarded(0)).toBe(false)
    const irq = its.lpis.find(VLPI)
    if (irq === 0) throw new Error('not mapped')
    machine.internals.deviceSteps.sendToHost(DEVICE, 0)
    const acknowledged: (number | undefined)[] = []
    while (machine.stateOf(actor) === 'ready') {
      acknowledged.push(machine.trace(actor).acknowledged)
      expect(isPendingInHardware(machine.hypervisor, irq)).toBe(false)
    }
    expect(acknowledged.filter((intid) => intid !== undefined)).toEqual([VLPI])
  })

  it.each(['at once', 'a step at a time'])(
    'becomes pending in the hardware by the message of another device that means its LPI, %s',
    (how) => {
      const machine = driven(version, (its) => its.mapDevice(9).mapEvent(9, 0, VLPI, 0))
        .device('other', (device) => device.msi(9, 0))
        .machine()
      const { hypervisor, actors } = machine
      const { forwarding } = v4Of(machine)
      runToHvc(machine)
      forwarding.bind(hypervisor.vcpu(0), 0)
      forwarding.forward(hypervisor.vcpu(0), 0)
      while (forwarding.its.findEvent(0, 9, 0) === 0 || forwarding.its.isLocked(0)) step(machine, 1)
      const commands = commandsOf(machine, () => {
        if (how === 'at once') hypervisor.messages.run(9, 0, 0)
        else while (machine.stateOf(actors[2]) === 'ready') machine.step(actors[2])
      })
      expect(commands).toEqual([`INT DeviceID=${DEVICE} EventID=0`, 'VSYNC vPEID=0'])
      const irq = forwarding.lpiOf(0)
      if (irq === 0) throw new Error('not forwarded')
      expect([isPendingInHardware(hypervisor, irq), hypervisor.words[irq] & IRQ_LATCH]).toEqual([true, 0])
    },
  )

  it('becomes pending in the hardware by the interrupt of another device that is the host’s and means its LPI', () => {
    const machine = driven(version, (its) => its.mapDevice(9).mapEvent(9, 0, VLPI, 0))
      .vlpi({ device: 9, event: 0 })
      .machine()
    const { hypervisor } = machine
    const { forwarding } = v4Of(machine)
    runToHvc(machine)
    for (const n of [0, 1]) forwarding.bind(hypervisor.vcpu(0), n)
    forwarding.forward(hypervisor.vcpu(0), 0)
    while (forwarding.its.findEvent(0, 9, 0) === 0) step(machine, 1)
    const commands = commandsOf(machine, () => machine.internals.deviceSteps.sendToHost(9, 0))
    expect(commands).toEqual([`INT DeviceID=${DEVICE} EventID=0`, 'VSYNC vPEID=0'])
    expect(hypervisor.words[forwarding.lpiOf(0)] & IRQ_LATCH).toBe(0)
  })

  it('is not forwarded as an LPI that goes to no vCPU, since another event made it in no mapped collection', () => {
    const machine = scenario('an LPI of no vCPU')
      .gic({ version, cpus: 1, memoryLines: 256 })
      .vm({ vcpus: 1, frames: { its: GITS } })
      .vlpi({ device: DEVICE, event: 0 })
      .guest(0, (guest) => {
        const its = guest.its().boot(1).configure(VLPI).mapDevice(DEVICE).mapCollection(0, 0)
        its.mapEvent(DEVICE, 1, VLPI, 1).mapEvent(DEVICE, 0, VLPI, 0)
        guest.hvc()
      })
      .machine()
    runToHvc(machine)
    const { forwarding } = v4Of(machine)
    const v = machine.hypervisor.vcpu(0)
    forwarding.bind(v, 0)
    const commands = commandsOf(machine, () => expect(forwarding.forward(v, 0)).toBe(false))
    expect([commands, forwarding.isForwarded(0), forwarding.lpiOf(0)]).toEqual([[], false, 0])
  })

  it('takes the pending state of its LPI along when it is forwarded', () => {
    const machine = driven(version, () => {}).machine()
    runToHvc(machine)
    const { words, mmio } = machine.hypervisor
    const irq = mmio.dist.its.translate(0, DEVICE, 0)
    if (irq === 0) throw new Error('the guest has not mapped it')
    machine.hypervisor.apLists.inject(irq, 1)
    const v4 = v4Of(machine)
    v4.forwarding.bind(machine.hypervisor.vcpu(0), 0)
    v4.forwarding.forward(machine.hypervisor.vcpu(0), 0)
    expect(words[irq] & IRQ_LATCH).toBe(0)
    expect(isPendingInHardware(machine.hypervisor, irq)).toBe(true)
    const acknowledged: (number | undefined)[] = []
    while (machine.stateOf(machine.actors[0]) === 'ready')
      acknowledged.push(machine.trace(machine.actors[0]).acknowledged)
    expect(acknowledged.filter((intid) => intid !== undefined)).toEqual([VLPI])
  })
})

describe('L03: forwarding is undone by the host’s interrupt, not by what the guest maps', () => {
  it('after the guest has mapped the event to another LPI', () => {
    const machine = forwarded('4.1', (its) =>
      its
        .discard(DEVICE, 0)
        .configure(VLPI + 1)
        .mapEvent(DEVICE, 0, VLPI + 1, 0),
    )
    const v4 = v4Of(machine)
    const [actor] = machine.actors
    const { lpis } = v4.forwarding.its
    for (let i = 0; lpis.find(VLPI + 1) === 0; i++) {
      machine.step(actor)
      expect(i).toBeLessThan(5000)
    }
    const irq = lpis.find(VLPI + 1)
    if (irq === 0) throw new Error('not mapped')
    const before = machine.hypervisor.words[irq]
    v4.forwarding.unforward(machine.hypervisor.vcpu(0), 0)
    expect(v4.forwarding.isForwarded(0)).toBe(false)
    expect(machine.hypervisor.words[irq]).toBe(before)
  })

  it('hands a pending vLPI to software, once', () => {
    const machine = vlpiScenario('4.1').machine()
    const v4 = v4Of(machine)
    const v = machine.hypervisor.vcpu(0)
    const irq = v4.forwarding.lpiOf(0)
    if (irq === 0) throw new Error('not forwarded')
    machine.internals.deviceSteps.sendToHost(DEVICE, 0)
    expect(isPendingInHardware(machine.hypervisor, irq)).toBe(true)
    v4.forwarding.unforward(v, 0)
    expect(machine.hypervisor.words[irq] & IRQ_LATCH).toBe(IRQ_LATCH)
    expect(v4.forwarding.pendingBit(irq)).toBe(false)
  })

  it('hands none over that is not pending', () => {
    const machine = vlpiScenario('4.1').machine()
    const v4 = v4Of(machine)
    const irq = v4.forwarding.lpiOf(0)
    if (irq === 0) throw new Error('not forwarded')
    v4.forwarding.unforward(machine.hypervisor.vcpu(0), 0)
    expect(machine.hypervisor.words[irq] & IRQ_LATCH).toBe(0)
  })

  it('after which a message goes to the host, which injects the LPI', () => {
    const machine = vlpiScenario('4.1')
      .guest(0, (guest) => {
        guest.onIrq((handler) => handler.ack().eoi())
        guest.unmask('irq').untilInterrupts(1)
      })
      .machine()
    v4Of(machine).forwarding.unforward(machine.hypervisor.vcpu(0), 0)
    machine.internals.deviceSteps.sendToHost(DEVICE, 0)
    const acknowledged: (number | undefined)[] = []
    while (machine.stateOf(machine.actors[0]) === 'ready')
      acknowledged.push(machine.trace(machine.actors[0]).acknowledged)
    expect(acknowledged.filter((intid) => intid !== undefined)).toEqual([VLPI])
  })
})

describe.each(versions)('several interrupts of assigned devices on GICv%s', (version) => {
  /** Two of device 7, on both vCPUs; of device 9 one is forwarded, and one belongs to a driver that has not enabled it. */
  function several(): ScenarioMachine {
    return scenario('several')
      .gic({ version, cpus: 2 })
      .vm({ vcpus: 2 })
      .design(designs.wfiFlag)
      .vlpi({ device: 7, event: 0, intid: 8192, vcpu: 0 })
      .vlpi({ device: 7, event: 1, intid: 8195, vcpu: 1, priority: 0x40 })
      .vlpi({ device: 9, event: 0, intid: 8201, vcpu: 1, priority: 0x80 })
      .vlpi({ device: 9, event: 1 })
      .guest(0, (guest) => guest.hvc())
      .guest(1, (guest) => guest.hvc())
      .machine()
  }
  const irqOf = (machine: ScenarioMachine, intid: number): Irq => {
    const irq = v4Of(machine).forwarding.its.lpis.find(intid)
    if (irq === 0) throw new Error(`no LPI ${intid}`)
    return irq
  }
  const pendingOf = (machine: ScenarioMachine): number[] =>
    [8192, 8195, 8201].filter((intid) => isPendingInHardware(machine.hypervisor, irqOf(machine, intid)))

  it('are found by their device and their event', () => {
    const { forwarding } = v4Of(several())
    expect([
      forwarding.find(7, 0),
      forwarding.find(7, 1),
      forwarding.find(9, 0),
      forwarding.find(9, 1),
    ]).toEqual([0, 1, 2, 3])
    expect([forwarding.find(7, 2), forwarding.find(8, 0), forwarding.find(9, 7)]).toEqual([-1, -1, -1])
    expect([-1, 0, 1, 2, 3].map((n) => forwarding.isBound(n))).toEqual([false, true, true, true, false])
    expect([0, 1, 2, 3].map((n) => forwarding.isForwarded(n))).toEqual([true, true, true, false])
  })

  it.each([
    [7, 0, 8192],
    [7, 1, 8195],
    [9, 0, 8201],
  ])('go each its way: that of device %i, event %i is vLPI %i', (device, event, intid) => {
    const machine = several()
    machine.internals.deviceSteps.sendToHost(device, event)
    expect(pendingOf(machine)).toEqual([intid])
  })

  it('have each its LPI, of its vCPU, with its own byte of configuration in the guest’s table and in the host’s', () => {
    const machine = several()
    const { hypervisor } = machine
    const { forwarding } = v4Of(machine)
    const intids = [8192, 8195, 8201]
    expect([0, 1, 2].map((n) => forwarding.lpiOf(n))).toEqual(intids.map((intid) => irqOf(machine, intid)))
    expect(forwarding.lpiOf(3)).toBe(0)
    const words = intids.map((intid) => hypervisor.words[irqOf(machine, intid)])
    expect(words.map(irqTarget)).toEqual([0, 1, 1])
    expect(words.map(irqPriority)).toEqual([0xa0, 0x40, 0x80])
    const byte = (table: number, intid: number): number => {
      const at = table + intid - 8192
      return ((hypervisor.silicon.pool?.read32(at - (at % 4)) ?? 0) >>> (8 * (at % 4))) & 0xff
    }
    const { words: all, layout } = hypervisor
    const table = all[layout.vm + VM_PROPBASER] & ~0xfff
    expect([8192, 8193, 8195, 8201].map((intid) => byte(table, intid))).toEqual([0xa1, 0, 0x41, 0x81])
    expect([8192, 8193, 8195, 8201].map((intid) => byte(VLPI_CONFIGURATION, intid))).toEqual([
      0xa3, 0, 0x43, 0x83,
    ])
    const pendbasers = [0, 1].map((vcpu) => all[hypervisor.vcpu(vcpu) + VCPU_PENDBASER] & ~0xffff)
    expect(pendbasers[1]).toBe(pendbasers[0] + 0x1_0000)
  })

  it('make their vCPUs’ guests run without an exit for a WFI; one without a vLPI needs it', () => {
    const machine = vlpiScenario(version, designs.wfiFlag, 2).machine()
    const v4 = v4Of(machine)
    const vcpus = [0, 1].map((index) => machine.hypervisor.vcpu(index))
    expect(vcpus.map((v) => v4.isDirect(v))).toEqual([true, false])
    v4.forwarding.unforward(vcpus[0], 0)
    expect(vcpus.map((v) => v4.isDirect(v))).toEqual([false, false])
  })

  it('are enabled once by their driver, and their device is mapped once', () => {
    const machine = several()
    const { forwarding } = v4Of(machine)
    const v = machine.hypervisor.vcpu(0)
    for (const n of [0, 1, 2]) expect(accessesOf(machine, () => forwarding.bind(v, n))).toEqual([])
    const commands = accessesOf(machine, () => forwarding.bind(v, 3))
    expect(commands.filter((text) => text.startsWith('MAP'))).toEqual([
      // After the LPIs of two doorbells, and of the three before it.
      'MAPTI DeviceID=9 EventID=1 pINTID=8197 ICID=0',
    ])
    expect(accessesOf(machine, () => forwarding.bind(v, 3))).toEqual([])
  })

  it('are not forwarded a second time, nor if their message means nothing to the guest', () => {
    const machine = several()
    const { forwarding } = v4Of(machine)
    const v = machine.hypervisor.vcpu(0)
    for (const n of [0, 3])
      expect(accessesOf(machine, () => expect(forwarding.forward(v, n)).toBe(false))).toEqual([])
    expect(accessesOf(machine, () => forwarding.unforward(v, 3))).toEqual([])
  })

  it('are not forwarded as an LPI that another is forwarded as', () => {
    const machine = several()
    const { forwarding } = v4Of(machine)
    const { its } = forwarding
    const irq = irqOf(machine, 8201)
    its.lpis.get(irq)
    its.addEvent(its.findDevice(0, 9), 1, irq, its.findCollection(0, 1))
    expect(
      accessesOf(machine, () => expect(forwarding.forward(machine.hypervisor.vcpu(0), 3)).toBe(false)),
    ).toEqual([])
    expect(forwarding.lpiOf(3)).toBe(0)
    expect(forwarding.isForwarded(3)).toBe(false)
  })

  it('are the host’s one by one', () => {
    const machine = several()
    const { forwarding } = v4Of(machine)
    forwarding.unforward(machine.hypervisor.vcpu(0), 1)
    expect([0, 1, 2].map((n) => forwarding.isForwarded(n))).toEqual([true, false, true])
    expect([8192, 8195, 8201].map((intid) => forwarding.isForwardedLpi(irqOf(machine, intid)))).toEqual([
      true,
      false,
      true,
    ])
    machine.hypervisor.words[irqOf(machine, 8195)] &= ~IRQ_LATCH
    machine.internals.deviceSteps.sendToHost(7, 1)
    expect(machine.hypervisor.words[irqOf(machine, 8195)] & IRQ_LATCH).toBe(IRQ_LATCH)
    expect(pendingOf(machine)).toEqual([])
  })

  it('that the guest has not mapped are dropped by the host', () => {
    const machine = several()
    const { forwarding } = v4Of(machine)
    expect(wordsChangedBy(machine.hypervisor, () => forwarding.injectByHost(3))).toEqual([])
  })

  it('whose driver has not enabled them leave nothing pending when they are the host’s again', () => {
    const machine = several()
    const { forwarding } = v4Of(machine)
    const { its } = forwarding
    const irq = its.lpiFor(8202, 1)
    if (irq === 0) throw new Error('no room')
    its.addEvent(its.findDevice(0, 9), 1, irq, its.findCollection(0, 1))
    const v = machine.hypervisor.vcpu(0)
    expect(forwarding.forward(v, 3)).toBe(true)
    forwarding.unforward(v, 3)
    expect(machine.hypervisor.words[irq] & IRQ_LATCH).toBe(0)
  })
})

describe('the state of a forwarded interrupt that is the host’s again', () => {
  it.each([
    ['4.0', false, true],
    ['4.0', true, true],
    ['4.1', false, false],
    ['4.1', true, true],
  ] as const)('on GICv%s, where it was pending: %s', (version, wasPending, isPending) => {
    const machine = vlpiScenario(version).machine()
    const { forwarding } = v4Of(machine)
    const irq = forwarding.lpiOf(0)
    if (irq === 0) throw new Error('not forwarded')
    if (wasPending) machine.internals.deviceSteps.sendToHost(DEVICE, 0)
    forwarding.unforward(machine.hypervisor.vcpu(0), 0)
    expect((machine.hypervisor.words[irq] & IRQ_LATCH) !== 0).toBe(isPending)
  })
})

describe('the doorbell of a vPE', () => {
  it.each(versions)('is disabled by its handler if it was asked for, and once: GICv%s', (version) => {
    const machine = vlpiScenario(version).machine()
    const v4 = v4Of(machine)
    const v = machine.hypervisor.vcpu(0)
    const ring = (): string[] => accessesOf(machine, () => v4.interrupt(v, 8192))
    expect(ring()).toEqual([])
    expect(v4.isPendingLast(v)).toBe(true)
    v4.load(v)
    expect(v4.isResident(v)).toBe(true)
    v4.put(v, true)
    expect([v4.isResident(v), v4.isPendingLast(v)]).toEqual([false, false])
    expect(ring().length > 0).toBe(version === '4.0')
    expect(v4.isPendingLast(v)).toBe(true)
    expect(ring()).toEqual([])
  })

  it.each(versions)(
    'is that of one vCPU, and an LPI behind those of the devices is nobody’s: GICv%s',
    (version) => {
      const machine = vlpiScenario(version, designs.wfiFlag, 2).machine()
      const v4 = v4Of(machine)
      const vcpus = [0, 1].map((index) => machine.hypervisor.vcpu(index))
      expect(wordsChangedBy(machine.hypervisor, () => v4.interrupt(vcpus[0], 8192 + 3))).toEqual([])
      v4.interrupt(vcpus[0], 8193)
      expect(vcpus.map((v) => v4.isPendingLast(v))).toEqual([false, true])
    },
  )
})

describe('a vPE that becomes resident', () => {
  it.each(['enabled', 'reset'] as const)(
    'has the group enable of its guest’s distributor: %s',
    (distributor) => {
      const machine = vlpiScenario('4.1').vm({ vcpus: 1, distributor }).machine()
      const done = accessesOf(machine, () => v4Of(machine).load(machine.hypervisor.vcpu(0)))
      const [written] = done.filter((text) => text.startsWith('w GICR_VPENDBASER'))
      const enables = (BigInt(written.split(' ')[2]) >> 58n) & 3n
      expect(enables).toBe(distributor === 'enabled' ? 1n : 0n)
    },
  )

  it('gets vSGIs on GICv4.1, where the CPU interface has them', () => {
    const has = (version: '4.0' | '4.1', vsgis: boolean): boolean =>
      v4Of(vlpiScenario(version).vm({ vcpus: 1, vsgis }).machine()).vsgis !== null
    expect([has('4.1', true), has('4.1', false), has('4.0', false)]).toEqual([true, false, false])
  })
})

describe('L06: a host that goes down', () => {
  it.each(versions)('leaves nothing that writes to the tables of vPEs: GICv%s', (version) => {
    const machine = vlpiScenario(version, designs.wfiFlag, 2).machine()
    const { hypervisor } = machine
    const v4 = v4Of(machine)
    v4.load(hypervisor.vcpu(0))
    v4.load(hypervisor.vcpu(1))
    const done = accessesOf(machine, () => v4.teardown())
    const unmapped = done.findIndex((text) => text.startsWith('VMAPP'))
    expect(done.slice(unmapped).filter((text) => text.includes('VPENDBASER'))).toEqual([])
    expect(done.filter((text) => text.startsWith('VMAPP')).length).toBe(2)
    // GICv4.1's VMAPP waits by itself, and nothing may name the vPE after it.
    expect(done.filter((text) => text.startsWith('VSYNC')).length).toBe(version === '4.1' ? 0 : 2)
    const forgotten = done.lastIndexOf('w GICR_VPROPBASER 0x0')
    expect(done.filter((text) => text === 'w GICR_VPROPBASER 0x0').length).toBe(2)
    expect(forgotten).toBe(done.length - 1)
    // What was resident is written back before the ITS unmaps it.
    expect(done.slice(0, unmapped).filter((text) => text.startsWith('w GICR_VPENDBASER')).length).toBe(2)
    const { silicon } = hypervisor
    // But as in Linux 6.1 there is a VSYNC behind GICv4.0's.
    const broken = hypervisor.words[(silicon.vpes?.resident.layout.common ?? 0) + VPES_UNPREDICTABLE]
    expect(unpredictableRules.filter((_, n) => (broken >>> n) & 1)).toEqual(
      version === '4.1' ? [] : ['command-unmapped'],
    )
    const tables = (): number[] =>
      [0, 1].flatMap((vpe) =>
        Array.from({ length: 1024 }, (_, i) => silicon.pool?.read32(v4.vpes.tableOf(vpe) + 4 * i) ?? 0),
      )
    const before = tables()
    machine.internals.deviceSteps.sendToHost(DEVICE, 0)
    machine.internals.deviceSteps.sendToHost(DEVICE, 1)
    expect(tables()).toEqual(before)
  })
})

describe('a VM with vLPIs is saved', () => {
  it('on GICv4.1 with what is pending in the hardware', () => {
    const machine = vlpiScenario('4.1')
      .vm({ vcpus: 1, frames: { its: GITS } })
      .machine()
    const v4 = v4Of(machine)
    machine.internals.deviceSteps.sendToHost(DEVICE, 0)
    const commands = commandsOf(machine, () => {
      v4.unmapAll()
      const irq = v4.forwarding.lpiOf(0)
      expect(irq !== 0 && v4.forwarding.pendingBit(irq)).toBe(true)
      v4.mapAll()
    })
    expect(commands.filter((text) => text.startsWith('VMAPP')).length).toBe(2)
    const irq = v4.forwarding.lpiOf(0)
    expect(irq !== 0 && isPendingInHardware(machine.hypervisor, irq)).toBe(true)
  })

  it('with the bits of its vLPIs in the pending tables of its guest', () => {
    const machine = forwarded('4.1')
    machine.internals.deviceSteps.sendToHost(DEVICE, 0)
    machine.stop()
    machine.saveVgic()
    // The guest's driver has its pending tables 1 MiB above its memory's beginning.
    const byte = 0x4010_0000 + VLPI / 8
    expect(machine.hypervisor.silicon.pool?.read32(byte)).toBe(1)
    const irq = v4Of(machine).forwarding.lpiOf(0)
    expect(irq !== 0 && isPendingInHardware(machine.hypervisor, irq)).toBe(true)
  })

  it('not on GICv4.0, which does not tell what is pending', () => {
    const machine = vlpiScenario('4.0').machine()
    expect(() => machine.saveVgic()).toThrow('GICv4.0 does not tell which vLPIs are pending')
  })
})
