/** A machine as a debugger shows it, and steps as events that a program can tell apart. */
import { inspect } from 'node:util'
import { type Run, type ScenarioMachine, type StepEvent, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { actor, goTo } from '../../kit/driving.ts'

/** Two vCPUs share a CPU; an SPI, and a vLPI of a device that is assigned. */
const shared = (): ScenarioMachine =>
  scenario('two vCPUs on one CPU')
    .gic({ version: '4.1', cpus: 1, listRegisters: 2 })
    .vm({ vcpus: 2, spis: 16 })
    .vlpi({ device: 7, event: 3, intid: 8200, priority: 0x40 })
    .spi({ intid: 40, priority: 0x80 })
    .guest(0, (guest) =>
      guest
        .onIrq((handler) => handler.ack().eoi())
        .priorityMask(0xb0)
        .hvc()
        .unmask()
        .wfi(),
    )
    .guest(1, (guest) => guest.wfi())
    .device('nic', (device) => device.msi(7, 3))
    .device('uart', (device) => device.pulse(40))
    .machine()

describe('an inspection of a machine', () => {
  it('shows a vCPU with its step, its requests, its ap_list and its list registers', () => {
    const machine = shared()
    for (const _ of ['queue', 'request', 'kick']) machine.step(actor(machine, 'uart'))
    const before = machine.inspect()
    expect(before.vcpus[0]).toMatchObject({ vcpu: 0, requests: ['irqPending'], listRegisters: [] })
    expect(before.vcpus[0].apList).toEqual([
      {
        intid: 40,
        name: 'SPI 40',
        vcpu: 0,
        enabled: true,
        pending: true,
        active: false,
        line: 0,
        trigger: 'edge',
        priority: 0x80,
        group: 1,
      },
    ])
    goTo(machine, 'vcpu0', 'enters the guest')
    expect(machine.inspect().vcpus[0]).toMatchObject({
      state: 'ready',
      step: 'guest',
      operation: 'ICC_PMR_EL1 := 0xb0',
      mode: 'in guest',
      task: 'running',
      requests: [],
      cpu: 0,
      loaded: true,
      listRegisters: ['pending SPI 40 prio 0x80 group 1'],
    })
    expect(machine.inspect().cpus).toEqual([
      {
        cpu: 0,
        vcpu: 0,
        inGuest: true,
        outputs: ['virq'],
        listRegisters: ['pending SPI 40 prio 0x80 group 1', 'empty'],
      },
    ])
  })

  it('shows a shadow of ICH_VMCR_EL2 that is stale, beside what is in the hardware', () => {
    const machine = shared()
    goTo(machine, 'vcpu0', 'hvc -> exit (hvc)')
    const [vcpu] = machine.inspect().vcpus
    expect(Number(vcpu.shadowVmcr) >>> 24).toBe(0xf0)
    expect(Number(vcpu.liveVmcr) >>> 24).toBe(0xb0)
    expect(machine.inspect().vcpus[1]).toMatchObject({ cpu: undefined, lastCpu: 0, liveVmcr: undefined })
  })

  it('shows devices where they are, the tables of the ITSs, and vPEs with what is pending for them', () => {
    const machine = shared()
    machine.step(actor(machine, 'uart'))
    machine.step(actor(machine, 'nic'))
    const { devices, lpis, guestIts, vpes, its } = machine.inspect()
    expect(devices).toEqual([
      { name: 'nic', state: 'done', next: undefined, step: undefined },
      { name: 'uart', state: 'ready', next: 'pulses SPI 40', step: 'inject/postRequest' },
    ])
    expect(lpis).toMatchObject([{ intid: 8200, vcpu: 0, enabled: true, priority: 0x40 }])
    expect(guestIts).toEqual([
      {
        its: 0,
        enabled: true,
        events: [{ deviceId: 7, eventId: 3, intid: 8200, collection: 0 }],
        collections: [{ collection: 0, vcpu: 0 }],
      },
    ])
    expect(vpes).toMatchObject([
      { vpe: 0, mapped: true, vlpis: 1 },
      { vpe: 1, vlpis: 0 },
    ])
    expect(its[0].vpes[0]).toMatchObject({ vpe: 0, vlpis: [8200] })
  })

  it('changes nothing, and is plain data that JSON and a worker’s message can carry', () => {
    const machine = shared()
    for (let step = 0; step < 60; step++) {
      const image = new Uint8Array(machine.snapshot())
      const told = machine.inspect()
      expect(new Uint8Array(machine.snapshot())).toEqual(image)
      expect(structuredClone({ ...told })).toEqual({ ...told })
      expect(() => JSON.stringify(told)).not.toThrow()
      machine.step(machine.actors[step % machine.actors.length])
    }
  })

  it('prints as lines', () => {
    const machine = shared()
    for (const _ of ['queue', 'request']) machine.step(actor(machine, 'uart'))
    machine.step(actor(machine, 'nic'))
    goTo(machine, 'vcpu0', 'ICC_PMR_EL1 := 0xb0')
    expect(inspect(machine.inspect())).toMatchInlineSnapshot(`
      "design wfi-full-put, time 20
      vcpu0  ready  cpu0  at guest: hvc  task running  mode in guest  preemption off  interrupts off
             shadow VMCR  VPMR=0xf0 VBPR0=2 VBPR1=3 VENG1 VENG0
             live VMCR    VPMR=0xb0 VBPR0=2 VBPR1=3 VENG1 VENG0
             ap_list  SPI 40 inactive enabled edge prio 0x80 group 1 to vcpu0
             LR0  pending SPI 40 prio 0x80 group 1
      vcpu1  asleep  no cpu (last cpu0)  at load/preemptOff  task running  mode outside
             shadow VMCR  VPMR=0xf0 VBPR0=2 VBPR1=3 VENG1 VENG0
      cpu0   vcpu0 in its guest  virq
             LR0  pending SPI 40 prio 0x80 group 1
      nic  done
      uart  ready  pulses SPI 40  at inject/kick
      LPI 8200  inactive enabled edge prio 0x40 group 1 to vcpu0
      guest ITS 0  enabled
             device 7 event 3: LPI 8200, collection 0
             collection 0: vcpu0
      vPE 0  mapped to cpu0  resident  pending LPI 8200
      vPE 1  mapped to cpu0  away"
    `)
  })
})

const eventsOf = (run: Run, type: StepEvent['type']): StepEvent[] =>
  run.events.filter((event) => event.type === type)

describe('the events of a run', () => {
  const run = scenario('every kind of step')
    .gic({ cpus: 2 })
    .vm({ vcpus: 2, spis: 16, timers: true })
    .spi({ intid: 40 })
    .guest(0, (guest) =>
      guest
        .onIrq((handler) => handler.ack().eoi())
        .unmask()
        .wfi()
        .sgi({ intid: 3, vcpus: [1] }),
    )
    .guest(1, (guest) =>
      guest
        .onIrq((handler) =>
          handler
            .ack()
            .on(27, (timer) => timer.stopTimer())
            .eoi(),
        )
        .unmask()
        .timer(30)
        .wfi()
        .wfi()
        .wfi(),
    )
    .device('uart', (device) => device.at(90).pulse(40).signal(1))
    .run()

  it('are told apart by their type, which says what else they have', () => {
    const told = new Set(run.events.map(({ type }) => type))
    for (const type of [
      'enter',
      'exit',
      'step',
      'vector',
      'ack',
      'eoi',
      'guest',
      'inject',
      'signal',
      'timer',
    ] as const)
      expect(told).toContain(type)
    for (const event of run.events) {
      if (event.type === 'step') expect(event.what.startsWith(event.step)).toBe(true)
      if (event.type === 'step' && event.outcome !== undefined) expect(event.what).toContain(event.outcome)
      if (event.type === 'exit') expect(event.what).toContain(`exit (${event.exit})`)
      if (event.type === 'ack') expect(event.acknowledged).toBe(event.intid)
    }
  })

  it('name the interrupt and the CPU', () => {
    expect(eventsOf(run, 'inject')).toMatchObject([
      { actor: { name: 'uart' }, cpu: undefined, intid: 40, vcpu: undefined, levels: [1, 0] },
    ])
    expect(eventsOf(run, 'ack')).toMatchObject([
      { actor: { name: 'vcpu1' }, cpu: 1, intid: 27, group: 1 },
      { actor: { name: 'vcpu0' }, cpu: 0, intid: 40, group: 1 },
      { actor: { name: 'vcpu1' }, cpu: 1, intid: 3, group: 1 },
    ])
    expect(eventsOf(run, 'eoi').map((event) => event.type === 'eoi' && event.intid)).toEqual([27, 40, 3])
    expect(eventsOf(run, 'timer')).toMatchObject([{ vcpu: 1, cpu: undefined }])
    expect(eventsOf(run, 'signal')).toMatchObject([{ vcpu: 1 }])
  })

  it('say why a guest has left, by which interrupt or operation', () => {
    const exits = eventsOf(run, 'exit').map((event) => event.type === 'exit' && [event.exit, event.operation])
    expect(exits).toContainEqual(['wfi', 'wfi'])
    const machine = shared()
    goTo(machine, 'vcpu0', 'enters the guest')
    for (const _ of ['queue', 'request', 'kick']) machine.step(actor(machine, 'uart'))
    expect(machine.trace(actor(machine, 'vcpu0'))).toMatchObject({
      type: 'exit',
      exit: 'irq',
      interrupt: 'a kick',
    })
  })

  it('have accesses with the register’s name, its value as a bigint, and its fields', () => {
    const accesses = run.events.flatMap((event) => event.accesses)
    const filled = accesses.find(({ name, low }) => name === 'ICH_LR0_EL2' && (low & 0xff) === 40)
    expect(filled?.value).toBe(0x50a0_0000_0000_0028n)
    expect(filled?.fields).toMatchObject({ State: 1, Priority: 0xa0, vINTID: 40 })
    expect(() => JSON.stringify(run.events)).not.toThrow()
  })

  it('have fields of commands and of mapped registers too', () => {
    const machine = shared()
    const accesses = goTo(machine, 'vcpu0', 'enters the guest').flatMap((event) => event.accesses)
    const resident = accesses.find(({ name }) => name === 'GICR_VPENDBASER')
    expect(resident?.fields).toMatchObject({ Valid: 1, vPEID: 0 })
    expect(machine.trace(actor(machine, 'nic'))).toMatchObject({
      type: 'msi',
      deviceId: 7,
      eventId: 3,
      its: 0,
    })
  })

  it('tell of the environment: a preemption and a migration, with the vCPU and the CPU', () => {
    const machine = scenario('moved')
      .gic({ cpus: 2 })
      .vm({ vcpus: 1 })
      .guest(0, (guest) => guest.hvc())
      .machine()
    machine.step(machine.actors[0])
    machine.step(machine.actors[0])
    const find = (name: string) => machine.environment.filter((each) => each.name === name)[0]
    for (let i = 0; machine.stateOf(find('preempt vcpu0')) !== 'ready'; i++) {
      expect(i).toBeLessThan(20)
      machine.step(machine.actors[0])
    }
    expect(machine.trace(find('preempt vcpu0'))).toMatchObject({ type: 'preempt', vcpu: 0, cpu: 0 })
    let last: StepEvent | undefined
    while (machine.stateOf(find('migrate vcpu0 to cpu1')) !== 'ready') last = machine.trace(machine.actors[0])
    expect(last?.type).toBe('step')
    expect(machine.trace(find('migrate vcpu0 to cpu1'))).toMatchObject({ type: 'migrate', vcpu: 0, cpu: 1 })
  })
})
