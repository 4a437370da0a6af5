/**
 * LPIs that come and go while a device's message, a prune or another vCPU names them: the steps between which that can
 * happen, the locks, and the invariants S14, S15, S16 and S18.
 */
import { VgicError } from 'vgic'
import { museum } from 'vgic/explore'
import {
  type Design,
  defineDesign,
  designs,
  edit,
  halt,
  type Scenario,
  type ScenarioMachine,
  type Step,
  scenario,
  steps,
  VirtualMachine,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { asIrq, IRQ_LATCH } from '../../../src/hyp/records/vgic-irq.ts'
import type { GuestIts } from '../../../src/scenario/guest-its.ts'
import { fire, go, goTo, happen, isReady } from '../../kit/driving.ts'
import { GITS } from '../../kit/frames.ts'
import { explore } from './checked.ts'

const { wfiHandler } = designs
const LPI = 8192

/** vCPU 0 maps an event of a device and does something about it, while the device sends it. */
const sent = (act: (its: GuestIts) => void, design: Design = wfiHandler, lpis = 2): Scenario =>
  scenario('an event is sent')
    .gic({ cpus: 1, memoryLines: 64, listRegisters: 1 })
    .vm({
      vcpus: 1,
      spis: 0,
      frames: { its: [GITS] },
      lpis,
      itsDevices: 1,
      itsCollections: 1,
      translations: 1,
    })
    .design(design)
    .guest(0, (g) => act(g.its().boot(1).mapDevice(7).mapCollection(0, 0).mapEvent(7, 0, LPI, 0)))
    .device('nic', (d) => d.msi(7, 0))

/** Where a vCPU carries out the command that follows `commands` others. */
function atCommand(machine: ScenarioMachine, vcpu: string, commands: number): void {
  for (let i = 0; i <= commands; i++) goTo(machine, vcpu, 'noCommand? no')
}

/** MAPD, MAPC, MAPTI. */
const MAPPED = 3

describe('a command of an ITS', () => {
  it('is carried out in steps, under its_lock', () => {
    const machine = sent((its) => its.discard(7, 0)).machine()
    atCommand(machine, 'vcpu0', MAPPED)
    expect(go(machine, 'vcpu0', undefined, 6).map(({ place, what }) => [place, what])).toEqual([
      ['mmio/its', 'lockIts'],
      ['mmio/its', 'invalidateCache'],
      ['mmio/its', 'executeCommand'],
      ['mmio/its', 'unlockIts'],
      ['mmio/its', 'noCommand? yes'],
      ['mmio', 'skipInstruction'],
    ])
  })

  it('keeps a message waiting whose translation is not cached', () => {
    const machine = sent((its) => its.discard(7, 0)).machine()
    atCommand(machine, 'vcpu0', MAPPED)
    expect(isReady(machine, 'nic')).toBe(true)
    goTo(machine, 'vcpu0', 'lockIts')
    expect(isReady(machine, 'nic')).toBe(false)
    goTo(machine, 'vcpu0', 'executeCommand')
    expect(isReady(machine, 'nic')).toBe(false)
    goTo(machine, 'vcpu0', 'unlockIts')
    expect(fire(machine, 'nic').map(({ what }) => what)).toEqual(['sends MSI: device 7 event 0'])
  })

  it('keeps no message waiting whose translation is cached, until it has emptied the cache', () => {
    const machine = sent((its) => its.discard(7, 0))
      .device('other', (d) => d.msi(7, 0))
      .machine()
    atCommand(machine, 'vcpu0', MAPPED)
    fire(machine, 'other')
    goTo(machine, 'vcpu0', 'lockIts')
    expect(isReady(machine, 'nic')).toBe(true)
    goTo(machine, 'vcpu0', 'invalidateCache')
    expect(isReady(machine, 'nic')).toBe(false)
  })

  const two = (): ScenarioMachine =>
    scenario('two vCPUs write to one ITS')
      .gic({ cpus: 2, memoryLines: 64, listRegisters: 1 })
      .vm({ vcpus: 2, spis: 0, frames: { its: [GITS] }, lpis: 1, itsDevices: 1, itsCollections: 1 })
      .guest(0, (g) => g.its().boot(1).mapDevice(7))
      .guest(1, (g) => g.readMmio(GITS + 0x90, 8).writeMmio(GITS, 0))
      .machine()

  it('keeps a write of another vCPU to the ITS waiting, and no read', () => {
    const machine = two()
    goTo(machine, 'vcpu1', 'enters the guest')
    goTo(machine, 'vcpu0', 'emulateMmio commands')
    goTo(machine, 'vcpu1', 'emulateMmio done')
    goTo(machine, 'vcpu1', 'exitReason? mmio')
    expect(machine.hypervisor.runLoop.waitsForVcpus(machine.hypervisor.vcpu(1))).toBe(true)
    expect(isReady(machine, 'vcpu1')).toBe(false)
    // A thread that runs as far as it can does not pass either.
    const { hypervisor } = machine
    const before = hypervisor.words.slice()
    hypervisor.runLoop.run(hypervisor.vcpu(1))
    expect(hypervisor.words).toEqual(before)
    goTo(machine, 'vcpu0', 'noCommand? yes')
    goTo(machine, 'vcpu1', 'emulateMmio done')
  })

  it('is not cut in two by a save: it is refused, and stop() lets the commands be carried out', () => {
    const machine = two()
    goTo(machine, 'vcpu0', 'noCommand? no')
    for (const vcpu of ['vcpu0', 'vcpu1']) {
      happen(machine, `preempt ${vcpu}`)
      goTo(machine, vcpu, 'giveUpCpu')
    }
    expect(() => machine.saveVgic()).toThrow('A vCPU carries out commands of ITS 0: stop the VM first.')
    machine.stop()
    expect(machine.saveVgic().its?.[0]).toMatchObject({ GITS_CREADR: '0x20', GITS_CWRITER: '0x20' })
  })
})

describe('a message', () => {
  it('is the steps of its design: it is translated, and the LPI injected', () => {
    const machine = sent((its) => its.configure(LPI).invalidate(7, 0).discard(7, 0)).machine()
    atCommand(machine, 'vcpu0', MAPPED + 1)
    expect(fire(machine, 'nic').map(({ what }) => what)).toEqual([
      'sends MSI: device 7 event 0',
      'queue',
      'postRequest',
      'kick',
      'dropReference',
    ])
  })

  it('for an LPI that is disabled posts and kicks nothing', () => {
    const machine = sent((its) => its.discard(7, 0)).machine()
    atCommand(machine, 'vcpu0', MAPPED)
    expect(fire(machine, 'nic').map(({ what }) => what)).toEqual([
      'sends MSI: device 7 event 0',
      'queue',
      'dropReference',
    ])
  })

  it('holds the LPI of an event that is discarded meanwhile', () => {
    const machine = sent((its) => its.discard(7, 0)).machine()
    atCommand(machine, 'vcpu0', MAPPED)
    go(machine, 'nic', undefined, 1)
    const { lpis } = machine.hypervisor.apLists
    go(machine, 'vcpu0')
    const irq = lpis.find(LPI)
    expect(irq).not.toBe(0)
    fire(machine, 'nic')
    expect(lpis.find(LPI)).toBe(0)
    expect(machine.hypervisor.words[irq]).toBe(0)
  })

  it('has the design’s steps in a VM without a run of its own too', () => {
    const told = (msi: readonly Step[]): number[] => {
      const design = defineDesign('msi', { wfi: [halt()], msi })
      const machine = sent(() => undefined, design).machine()
      go(machine, 'vcpu0')
      const { hypervisor } = machine
      const found = hypervisor.messages.run(7, 0, 0)
      const irq = asIrq(hypervisor.apLists.lpis.find(LPI))
      return [Number(found), hypervisor.words[irq] & IRQ_LATCH]
    }
    expect(told([steps.translate, steps.queueInterrupt, steps.dropReference])).toEqual([1, IRQ_LATCH])
    const vm = new VirtualMachine({ vcpus: 1, design: wfiHandler, frames: { its: [GITS] } })
    expect(vm.signalMsi(7, 0)).toBe(false)
  })

  const { translate, queueInterrupt, dropReference, kickVcpu, put } = steps
  it.each([
    ['without a translation', [queueInterrupt], /must have one translate in msi, before all other steps/],
    ['with a late one', [queueInterrupt, translate], /must have one translate in msi/],
    ['with two', [translate, translate, queueInterrupt], /must have one translate in msi/],
    ['that stores nothing', [translate, kickVcpu, dropReference], /has no queueInterrupt in msi/],
    ['with a step of the thread', [translate, queueInterrupt, put], /has put in msi: a message is made of/],
  ] as const)('%s is refused', (_, msi, message) => {
    const make = () => defineDesign('wrong', { wfi: [halt()], msi })
    expect(make).toThrow(VgicError)
    expect(make).toThrow(message)
  })

  it('has steps that stand nowhere else', () => {
    expect(() => defineDesign('wrong', { wfi: [dropReference] })).toThrow(
      'wrong has dropReference in the wrong list: it belongs into msi: only a message is translated.',
    )
    expect(() => defineDesign('wrong', { wfi: [halt()], inject: [queueInterrupt, dropReference] })).toThrow(
      /has dropReference in inject/,
    )
  })
})

describe('S14, S15, S16, S18 and L6', () => {
  const discarded = (design: Design) => sent((its) => its.discard(7, 0), design)
  const remapped = (design: Design) => sent((its) => its.discard(7, 0).mapEvent(7, 0, LPI, 0), design)
  const broken = (make: (design: Design) => Scenario, design: Design) => {
    const { violation } = explore(make(design))
    return violation && [violation.invariant, violation.what]
  }

  it('hold, in the good designs', () => {
    for (const design of Object.values(designs)) {
      expect(explore(discarded(design))).toMatchObject({ complete: true })
      expect(explore(remapped(design))).toMatchObject({ complete: true })
    }
  })

  it('S16 is broken by a message that keeps its reference', () => {
    expect(broken(discarded, edit(wfiHandler).omit('msi/dropReference').design('kept'))).toEqual([
      'S16',
      'the reference count of LPI 8192 is 1, its holders are 0',
    ])
  })

  it('S14 is broken by a command without its_lock: a message caches its translation again', () => {
    const unlocked = edit(wfiHandler).omit('its/lockIts').design('unlocked')
    expect(broken(discarded, unlocked)?.[0]).toBe('S14')
    const early = edit(wfiHandler).swap('its/executeCommand', 'its/unlockIts').design('early')
    expect(broken(discarded, early)?.[0]).toBe('S14')
    const lockedLate = edit(wfiHandler).swap('its/lockIts', 'its/invalidateCache').design('locked late')
    expect(broken(discarded, lockedLate)?.[0]).toBe('S14')
  })

  it('hold if a command forgets translations after the change, since the cache holds its LPIs', () => {
    const late = edit(wfiHandler).swap('its/invalidateCache', 'its/executeCommand').design('late')
    expect(explore(remapped(late))).toMatchObject({ complete: true })
  })

  it('L6 is broken by a command that keeps its_lock', () => {
    const keeps = edit(wfiHandler).omit('its/unlockIts').design('keeps')
    expect(broken(discarded, keeps)).toEqual(['L6', 'the message of nic waits for its_lock forever'])
  })

  it('S14 is broken by a cache that outlives its collection, and not by an LPI that two events share', () => {
    const shared = (design: Design) => sent((its) => its.mapEvent(7, 1, LPI, 0).mapCollection(0, 0), design)
    expect(explore(shared(wfiHandler))).toMatchObject({ complete: true })
    const stale = edit(wfiHandler).omit('its/invalidateCache').design('stale')
    expect(broken((design) => sent((its) => its.unmapCollection(0), design), stale)?.[0]).toBe('S14')
  })

  it('S18 is kept by MOVALL and a MAPC after it, as a driver does', () => {
    const moved = scenario('MOVALL, then MAPC')
      .gic({ cpus: 1, memoryLines: 64, listRegisters: 1 })
      .vm({ vcpus: 2, spis: 0, frames: { its: [GITS] }, lpis: 1, itsDevices: 1, itsCollections: 1 })
      .guest(0, (g) => {
        const its = g.its().boot(2).mapDevice(7).mapCollection(0, 0).mapEvent(7, 0, LPI, 0)
        its.moveAll(0, 1).mapCollection(0, 1)
      })
    expect(explore(moved)).toMatchObject({ complete: true })
  })

  it('hold where the last reference is given back by the message that found the table remapped', () => {
    const entry = museum.find(({ id }) => id === '37')
    expect(entry && explore(entry.scenario(entry.good), { preemptions: 1 })).toMatchObject({ complete: true })
  })
})
