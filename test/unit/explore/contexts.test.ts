/** What the invariants find of steps that miss the context that they need, one step out of place at a time. */

import { ICC_CTLR_EL1, ICC_DIR_EL1, VgicError } from 'vgic'
import { type InvariantId, invariants, replay } from 'vgic/explore'
import {
  type Design,
  defineDesign,
  designs,
  type Edit,
  edit,
  halt,
  kvm61,
  ownStep,
  type Scenario,
  type StepContext,
  scenario,
  steps,
  type Vcpu,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { asVcpu } from '../../../src/hyp/records/vcpu.ts'
import { GICD, ICACTIVER, ISACTIVER, wordOf } from '../../kit/frames.ts'
import { explore } from './checked.ts'

const GICD_ISACTIVER1 = wordOf(ISACTIVER, 32)
const GICD_ICACTIVER1 = wordOf(ICACTIVER, 32)
const GICD_CTLR = GICD

/** A vCPU that opens its mask, sends itself an SGI, leaves for userspace, and sleeps. */
const leaver = (design: Design): Scenario =>
  scenario('leaves')
    .gic({ listRegisters: 1 })
    .vm({ vcpus: 1, spis: 1 })
    .design(design)
    .spi({ intid: 32 })
    .guest(0, (g) =>
      g
        .onIrq((h) => h.ack().eoi())
        .unmask()
        .priorityMask(0xb0)
        .sgi({ intid: 1, vcpus: [0] })
        .writeMmio(GICD_CTLR, 2)
        .userspace()
        .wfi(),
    )
    .device('nic', (d) => d.pulse(32))

/** A timer that nobody waits for, and an exit on the way. */
const timed = (design: Design): Scenario =>
  scenario('timed')
    .gic({ listRegisters: 1 })
    .vm({ vcpus: 1, spis: 1, timers: true })
    .design(design)
    .guest(0, (g) =>
      g
        .onIrq((h) => h.ack().stopTimer().eoi())
        .timer(5)
        .userspace()
        .unmask(),
    )

/** One vCPU waits, another spins and asks for what may be in its list registers. */
const neighbours = (design: Design): Scenario =>
  scenario('neighbours')
    .gic({ cpus: 1, listRegisters: 1 })
    .vm({ vcpus: 2, spis: 1 })
    .design(design)
    .spi({ intid: 32 })
    .guest(0, (g) =>
      g
        .onIrq((h) => h.ack().eoi())
        .unmask()
        .wfi(),
    )
    .guest(1, (g) => g.wfe().wfe().writeMmio(GICD_ICACTIVER1, 1))
    .device('nic', (d) => d.pulse(32))

/** One vCPU deactivates what is active for the other. */
const elsewhere = (design: Design): Scenario =>
  scenario('elsewhere')
    .gic({ cpus: 2, listRegisters: 1 })
    .vm({ vcpus: 2, spis: 1 })
    .design(design)
    .spi({ intid: 32 })
    .guest(1, (g) => g.write(ICC_CTLR_EL1, 2).writeMmio(GICD_ISACTIVER1, 1).write(ICC_DIR_EL1, 32))

const no = ownStep('never?', () => 0, ['no', 'yes'])
const exit = (reason: string) => {
  const { outcomes } = steps.exitReason
  return ownStep('always?', () => outcomes.indexOf(reason), outcomes)
}

type Case = readonly [InvariantId, RegExp, (good: Edit) => Edit, (design: Design) => Scenario]

const cases: readonly Case[] = [
  ['S2', /does guest without being loaded/, (d) => d.omit('load/load'), leaver],
  ['S2', /does guest without being loaded/, (d) => d.omit('schedIn/load'), leaver],
  ['S11', /does userspace\/userspace with shadow registers/, (d) => d.omit('userspace/put'), leaver],
  ['S12', /vcpu1 deactivates SPI 32, which is active on vcpu0/, (d) => d.omit('load/trapDir'), elsewhere],
  ['S19', /does entry\/flush over list registers/, (d) => d.omit('exit/fold'), leaver],
  ['S20', /does wfi\/saveVmcr with preemption on/, (d) => d.omit('wfi/preemptOff'), leaver],
  ['S20', /does schedOut\/giveUpCpu while its CPU interface/, (d) => d.omit('schedOut/put'), leaver],
  ['S20', /does off\/stop while its CPU interface/, (d) => d.omit('off/put'), leaver],
  [
    'S22',
    /does wfi\/halt\/sleep\/sleep with preemption or interrupts off/,
    (d) => d.omit('wfi/preemptOn'),
    leaver,
  ],
  [
    'S22',
    /does entry\/handleRequests with preemption or interrupts off/,
    (d) => d.omit('exit/irqOn'),
    leaver,
  ],
  ['S22', /does entry\/flush with interrupts on/, (d) => d.swap('entry/irqOff', 'entry/flush'), leaver],
  [
    'S22',
    /does exit\/preemptOn without a preemptOff/,
    (d) => d.insertBefore('exit/preemptOn', steps.preemptOn),
    leaver,
  ],
  [
    'S23',
    /does guest before what its guest left for is handled/,
    (d) => d.omit('sysreg/emulateSysreg'),
    leaver,
  ],
  ['S23', /does guest before what/, (d) => d.omit('wfi/skipInstruction'), leaver],
  [
    'S23',
    /does wfi\/skipInstruction without an instruction that has trapped/,
    (d) => d.insertAfter('wfi/skipInstruction', steps.skipInstruction),
    leaver,
  ],
  [
    'S23',
    /does sysreg\/emulateSysreg without a trapped system register access/,
    (d) => d.swap('sysreg/emulateSysreg', 'sysreg/skipInstruction'),
    leaver,
  ],
  [
    'S23',
    /does mmio\/emulateMmio without an MMIO access/,
    (d) => d.replace('exitReason?', exit('mmio')),
    leaver,
  ],
  ['S23', /does off\/stop while its guest goes on/, (d) => d.replace('exitReason?', exit('off')), leaver],
  [
    'S23',
    /does mmio\/userspace with an access to the emulated GIC/,
    (d) =>
      d.replace(
        'emulateMmio',
        ownStep('userspace?', () => 3, steps.emulateMmio.outcomes),
      ),
    leaver,
  ],
  [
    'S23',
    /does mmio\/accessStopped without having stopped the VM/,
    (d) => d.omit('mmio/stopVcpus'),
    neighbours,
  ],
  [
    'S23',
    /does wfe\/candidateBlocked\? without a candidate/,
    (d) => d.replace('noCandidate?', no),
    neighbours,
  ],
  ['L3', /its timer asserts PPI 27 unnoticed/, (d) => d.omit('load/timerLoad'), timed],
  ['L3', /its timer asserts PPI 27 unnoticed/, (d) => d.omit('userspace/timerLoad'), timed],
  ['L6', /vcpu0 waits for other vCPUs forever/, (d) => d.omit('mmio/resumeVcpus'), neighbours],
]

describe('a step that does not find what it needs', () => {
  it.each(cases)('is found by %s: %s', (invariant, what, change, recipe) => {
    const bug = change(edit(designs.wfiHandler)).design('bug')
    const { violation } = explore(recipe(bug), { preemptions: 1, states: 300_000 })
    expect(violation).toMatchObject({ invariant, says: invariants[invariant] })
    expect(violation?.what).toMatch(what)
    expect(replay(recipe(bug), violation?.schedule ?? '').events).toHaveLength(violation?.steps ?? 0)
  })

  it.each([leaver, timed, neighbours, elsewhere])('finds it in a good design: %#', (recipe) => {
    expect(explore(recipe(designs.wfiHandler), { preemptions: 1, states: 300_000 })).toMatchObject({
      complete: true,
    })
  })

  it('is not looked at if its invariant is not asked for', () => {
    const bug = edit(designs.wfiHandler).omit('wfi/preemptOff').omit('suspend/preemptOff').design()
    const { violation } = explore(leaver(bug), { invariants: ['S2', 'S23', 'L1'] })
    expect(violation).toBeUndefined()
  })

  it('is Linux 6.1’s, which does not trap a deactivation by another vCPU', () => {
    expect(explore(elsewhere(kvm61(designs.wfiHandler))).violation).toMatchObject({ invariant: 'S12' })
  })
})

describe('what the hardware does not keep of a register', () => {
  it('is no change by a guest that has not run yet', () => {
    const recipe = leaver(designs.wfiHandler)
      .cpuInterface(0, { priorityMask: 0xff, groups: [1] })
      .device('vmm', (d) => d.signal(0))
    expect(explore(recipe, { states: 300_000 })).toMatchObject({ complete: true })
  })

  it('is not taken for the emulated GIC at address 0', () => {
    const recipe = leaver(designs.wfiHandler).vm({
      vcpus: 1,
      spis: 1,
      frames: { gicd: 0, gicr: [{ base: 0x0a_0000, count: 1 }] },
    })
    expect(explore(recipe)).toMatchObject({ complete: true })
  })
})

describe('a step of a design’s own', () => {
  /** What a step throws, taken after each exit of vCPU 1 while vCPU 0 sleeps. */
  function thrown(perform: (context: StepContext, vcpu: Vcpu, sleeper: Vcpu) => unknown): string {
    const seen: Vcpu[] = []
    const step = ownStep('reaches', (context, vcpu) => {
      if (!seen.includes(vcpu)) seen.push(vcpu)
      if (seen.length === 2 && vcpu === seen[1]) perform(context, vcpu, seen[0])
      return 0
    })
    const design = defineDesign('reaches', {
      wfi: [steps.preemptOff, steps.saveVmcr, steps.preemptOn, halt()],
      afterExit: [step],
      words: ['word'],
    })
    const recipe = scenario('reaches')
      .gic({ cpus: 1 })
      .vm({ vcpus: 2 })
      .design(design)
      .guest(0, (g) => g.wfi())
      .guest(1, (g) => g.hvc())
    try {
      recipe.run()
    } catch (error) {
      expect(error).toBeInstanceOf(VgicError)
      if (error instanceof VgicError) {
        expect(error.code).toBe('argument')
        expect(() => explore(recipe)).toThrow(error.message)
        return error.message
      }
    }
    return 'nothing'
  }

  it.each<[string, (context: StepContext, vcpu: Vcpu) => unknown]>([
    ['load', (context, vcpu) => context.load(vcpu)],
    ['put', (context, vcpu) => context.put(vcpu)],
    ['readElrsr', (context, vcpu) => context.readElrsr(vcpu)],
    ['fold', (context, vcpu) => context.fold(vcpu, 0)],
    ['saveVmcr', (context, vcpu) => context.saveVmcr(vcpu)],
  ])('reaches registers only of a vCPU that is on a PE: %s', (_, reach) => {
    expect(thrown((context, vcpu) => reach(context, vcpu))).not.toMatch(/is on no PE/)
    expect(thrown((context, _vcpu, sleeper) => reach(context, sleeper))).toMatch(
      /^vcpu0 is on no PE, so a step cannot access its registers/,
    )
  })

  it('asks on behalf of one that is on a PE', () => {
    expect(thrown((context, vcpu, sleeper) => context.saveVmcr(sleeper, vcpu))).toBe('nothing')
    expect(thrown((context, vcpu, sleeper) => context.saveVmcr(vcpu, sleeper))).toMatch(/^vcpu0 is on no PE/)
  })

  it('has a candidate only while one is looked for', () => {
    expect(thrown((context, vcpu) => context.candidate(vcpu))).toMatch(/^vcpu1 has no candidate: call/)
  })

  it.each([0, 1, -1, 0.5, Number.NaN, 1e9])('takes no %d for a vCPU', (number) => {
    const wrong = asVcpu(number)
    for (const reach of [
      (context: StepContext) => context.get(wrong, 'word'),
      (context: StepContext) => context.set(wrong, 'word', 1),
      (context: StepContext) => context.runnable(wrong),
      (context: StepContext) => context.checkBlock(wrong),
      (context: StepContext) => context.loaded(wrong),
      (context: StepContext) => context.shadowVmcr(wrong),
      (context: StepContext) => context.usedListRegisters(wrong),
      (context: StepContext) => context.put(wrong),
      (context: StepContext) => context.candidate(wrong),
    ])
      expect(thrown(reach)).toMatch(/^vcpu must be the handle that the step was called with/)
  })
})
