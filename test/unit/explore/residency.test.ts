/**
 * The invariants of GICv4 residency can each fail: a design with a step out of place breaks them, or, for what no step of
 * a design does, a machine with wrong words.
 */
import { type Bounds, type InvariantId, museum } from 'vgic/explore'
import { type Design, designs, type Edit, edit, kvm61, type Scenario, scenario, steps } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { ResidencyInvariants } from '../../../src/explore/residency-invariants.ts'
import { unpredictableRules } from '../../../src/gic/config/unpredictable.ts'
import { VPES_UNPREDICTABLE } from '../../../src/gic/vpe/vpe-offsets.ts'
import { VPE_DOORBELL, VPE_PENDING_LAST, VPE_RESIDENT } from '../../../src/hyp/records/its-vpe.ts'
import { LPI_FORWARD } from '../../../src/hyp/records/lpi-record.ts'
import { THREAD_WAITING, VCPU_THREAD } from '../../../src/hyp/records/vcpu.ts'
import { IRQ_LATCH } from '../../../src/hyp/records/vgic-irq.ts'
import { runVcpu, v4Of, vlpiScenario } from '../../kit/direct.ts'
import { explore } from './checked.ts'

type Version = '4.0' | '4.1'
const versions: readonly Version[] = ['4.0', '4.1']

/** A vCPU waits for a vLPI. */
const waiter = (design: Design, version: Version, lagging = false): Scenario =>
  scenario('waits for a vLPI')
    .gic({ version, cpus: 1, listRegisters: 1, writeEffects: lagging ? 'lagging' : 'at-once' })
    .vm({ vcpus: 1, spis: 0, lpis: 1, itsDevices: 1, itsCollections: 1 })
    .design(design)
    .vlpi({ device: 7, event: 0, intid: 8192 })
    .guest(0, (g) =>
      g
        .onIrq((h) => h.ack().eoi())
        .unmask()
        .userspace()
        .wfi(),
    )
    .device('nic', (d) => d.msi(7, 0))

type Case = [InvariantId, RegExp, (good: Edit) => Edit, Version?]

const cases: readonly Case[] = [
  [
    'S1',
    /the vPE of vcpu0 is resident on cpu0, where its thread is not/,
    (d) => d.omit('schedOut/vpePutByFlag'),
  ],
  ['S1', /the vPE of vcpu0 is resident, and vcpu0 is not loaded/, (d) => d.omit('userspace/vpePut')],
  ['S2', /vcpu0 is in its guest, and its vPE is not resident/, (d) => d.omit('load/vpeLoad')],
  ['S2', /vcpu0 is in its guest, and its vPE is not resident/, (d) => d.omit('wfi/vpeLoad')],
  [
    'S3',
    /vcpu0 waits, and its vPE is resident/,
    (d) => d.replace('schedIn/vpeLoadUnlessWaiting', steps.vpeLoad),
  ],
  [
    'S6',
    /pending_last of vcpu0 was set, and is overwritten/,
    (d) => d.replace('schedOut/vpePutByFlag', steps.vpePutAnyway),
  ],
  ['S6', /vcpu0 waits, and no doorbell will tell/, (d) => d.replace('wfi/vpePutByFlag', steps.vpePut), '4.0'],
  ['S11', /vcpu0 asks whether it is runnable, and its vPE is resident/, (d) => d.omit('wfi/vpePutByFlag')],
]

describe('a residency step out of place', () => {
  it.each(cases)('violates %s: %s', (invariant, what, change, version = '4.1') => {
    const design = change(edit(designs.wfiFlag)).design('changed')
    const bounds: Bounds = { preemptions: 1, invariants: [invariant] }
    const { violation } = explore(waiter(design, version), bounds)
    expect(violation).toMatchObject({ invariant, what: expect.stringMatching(what) })
    expect(explore(waiter(designs.wfiFlag, '4.1'), bounds)).toMatchObject({ complete: true })
  })

  it.each(versions)(
    'loses a wake-up on GICv%s, which L2 sees before nothing can step any more',
    (version) => {
      const { bug } = museum.find(({ id }) => id === '04') ?? {}
      if (!bug) throw new Error('the museum has no 04')
      for (const invariant of ['L2', 'L1'] as const) {
        const { violation } = explore(waiter(bug, version), { preemptions: 1, invariants: [invariant] })
        expect(violation?.invariant).toBe(invariant)
      }
    },
  )

  it('is one of S2 while Dirty is 1, and of S4 if Valid is cleared then', () => {
    const bounds: Bounds = { preemptions: 1 }
    const early = edit(designs.wfiFlag).omit('entry/vpeCommit').design('enters early')
    expect(explore(waiter(early, '4.1', true), bounds).violation?.what).toMatch(/Dirty is 1/)
    const late = edit(designs.wfiFlag)
      .replace('schedOut/vpePutByFlag', steps.vpePutAtOnce)
      .design('leaves early')
    expect(explore(waiter(late, '4.1', true), bounds).violation).toMatchObject({ invariant: 'S4' })
    expect(explore(waiter(late, '4.1'), bounds)).toMatchObject({ complete: true })
  })

  it('is one of L3 if the guest’s CPU interface is off and a direct interrupt is presented', () => {
    const off = edit(kvm61(designs.wfiFlag)).omitAll('vpeEnable').design('En for list registers only')
    const { violation } = explore(waiter(off, '4.1'), { invariants: ['L3'] })
    expect(violation?.what).toMatch(/direct interrupt, and ICH_HCR_EL2.En is 0/)
  })

  it('is one of S24 if a design without a flag puts the vPE before it asks for the doorbell', () => {
    const twice = edit(designs.wfiHandler).insertBefore('wfi/saveVmcr', steps.vpePut).design('puts twice')
    const bounds: Bounds = { invariants: ['S24'] }
    const { violation } = explore(waiter(twice, '4.1'), bounds)
    expect(violation?.what).toMatch(/does wfi\/vpePutDoorbell although its vPE is not resident/)
    expect(explore(waiter(designs.wfiHandler, '4.1'), bounds)).toMatchObject({ complete: true })
  })

  it.each(versions)('is missed by nobody: without one a WFI loses nothing on GICv%s', (version) => {
    for (const lagging of [false, true]) {
      const report = explore(waiter(designs.wfiFlag, version, lagging), { preemptions: 1 })
      expect(report).toMatchObject({ complete: true })
    }
  })
})

/** A machine whose vCPU sleeps, or is where `before` says, and what finds what is wrong with it. */
function machineOf(version: Version, runs = true) {
  const machine = vlpiScenario(version)
    .guest(0, (g) => g.unmask().wfi())
    .machine()
  if (runs) runVcpu(machine)
  const { hypervisor } = machine
  const v4 = v4Of(machine)
  const { words } = hypervisor
  const record = v4.vpes.recordOf(0)
  return {
    machine,
    v4,
    words,
    record,
    v: hypervisor.vcpu(0),
    rules: new ResidencyInvariants(machine.internals),
  }
}

describe('a machine with wrong words', () => {
  it('has none of it as it is', () => {
    for (const version of versions) {
      const { rules, words } = machineOf(version)
      const { onePlace, residentInGuest, awayWhileWaiting } = rules
      for (const rule of [onePlace, residentInGuest, awayWhileWaiting])
        expect(rule.call(rules)).toBeUndefined()
      expect(rules.residencyRegisters()).toBeUndefined()
      expect(rules.mappedVpes()).toBeUndefined()
      expect(rules.announcedAsleep()).toBeUndefined()
      expect(rules.notOverwritten(words)).toBeUndefined()
      expect(rules.noDoorbellInGuest()).toBeUndefined()
      expect(rules.oneWay()).toBeUndefined()
      expect(rules.oneOwner()).toBeUndefined()
      expect(rules.doorbellOnItsWay()).toBeUndefined()
      expect(rules.presented()).toBeUndefined()
    }
  })

  it.each([
    ['residencyRegisters', 'valid-while-dirty'],
    ['residencyRegisters', 'field-while-valid'],
    ['mappedVpes', 'command-unmapped'],
    ['mappedVpes', 'move-resident'],
    ['oneWay', 'list-register-direct'],
  ] as const)('breaks %s if the silicon has seen %s', (method, rule) => {
    const { rules, words, machine } = machineOf('4.1')
    const { common } = machine.internals.hypervisor.silicon.vpes?.resident.layout ?? { common: 0 }
    words[common + VPES_UNPREDICTABLE] = 1 << unpredictableRules.indexOf(rule)
    expect(rules[method]()).toContain(rule)
  })

  it('is not S3 while the flag is set and the thread is to put its vPE', () => {
    const { rules, words, v, record } = machineOf('4.1', false)
    words[v + VCPU_THREAD] |= THREAD_WAITING
    expect(rules.awayWhileWaiting()).toBeUndefined()
    words[record + VPE_RESIDENT] = 1
    expect(rules.awayWhileWaiting()).toMatch(/vcpu0 waits, and its vPE is resident/)
  })

  it('breaks S6 if a doorbell that was asked for is disabled', () => {
    const { rules, words, record } = machineOf('4.0')
    words[record + VPE_DOORBELL] = 0
    expect(rules.announcedAsleep()).toMatch(/vcpu0 waits, and no doorbell will tell/)
  })

  it('breaks S6 if what is known is forgotten while the vPE is away', () => {
    const { rules, words, record } = machineOf('4.1')
    const before = words.slice()
    before[record + VPE_PENDING_LAST] = 1
    expect(rules.notOverwritten(before)).toMatch(/pending_last of vcpu0 was set/)
  })

  it('breaks S7 if a doorbell rings for a guest that runs, but on GICv4.0 only if it is enabled', () => {
    for (const version of versions) {
      const recipe = vlpiScenario(version).guest(0, (g) => g.hvc())
      const machine = recipe.machine()
      const [vcpu] = machine.actors
      const { silicon, runLoop } = machine.internals.hypervisor
      const v = machine.hypervisor.vcpu(0)
      const inGuest = (): boolean => silicon.pcpu.isInGuest(silicon.peOf(0)) && runLoop.threadState(v) !== 0
      for (let steps = 0; !inGuest() && steps < 100; steps++) machine.step(vcpu)
      const rules = new ResidencyInvariants(machine.internals)
      expect(rules.noDoorbellInGuest()).toBeUndefined()
      silicon.lpis?.set(0, 0)
      const isSeen = rules.noDoorbellInGuest() !== undefined
      expect(isSeen).toBe(version === '4.1')
      machine.hypervisor.words[v4Of(machine).vpes.recordOf(0) + VPE_DOORBELL] = 1
      expect(rules.noDoorbellInGuest()).toMatch(/vcpu0 is in its guest, and its doorbell rings/)
    }
  })

  it('breaks S19 if a forwarded LPI, or a vSGI, is pending in software', () => {
    const { rules, words, machine } = machineOf('4.1')
    const { lpis } = machine.hypervisor.mmio.dist.its
    const irq = lpis.at(lpis.firstSlot)
    expect(words[irq + LPI_FORWARD]).toBe(1)
    words[irq] |= IRQ_LATCH
    expect(rules.oneOwner()).toMatch(/LPI 8192 is forwarded, and pending in software/)
  })
})
