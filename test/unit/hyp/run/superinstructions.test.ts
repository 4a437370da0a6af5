/** Which designs fuse what, and that the table has room for it. */
import {
  baselines,
  designs,
  edit,
  kvm61,
  kvm72,
  ownStep,
  type ScenarioMachine,
  scenario,
  steps,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { asPc, VCPU_PC } from '../../../../src/hyp/records/vcpu.ts'
import type { Design } from '../../../../src/hyp/run/design.ts'
import {
  compile,
  MAX_GAPS,
  stepNames,
  TABLE_ELSE_2,
  TABLE_GAPS,
  TABLE_SHIFT,
} from '../../../../src/hyp/run/program.ts'
import { MAX_OUTCOMES } from '../../../../src/hyp/run/step.ts'
import { fuse, fusedAt, isQuestion, superinstructions } from '../../../../src/hyp/run/superinstructions.ts'
import { THREAD_IN_GUEST } from '../../../../src/hyp/run/thread-states.ts'
import { acknowledged, actor, fire, go, goTo } from '../../../kit/driving.ts'
import { handle } from '../../../kit/guest-lists.ts'

/** `entry: signalPending?`: what begins where, with the places at which the same begins in one line. */
function fusedIn(design: Design): string[] {
  const program = compile(design)
  const table = fuse(program)
  const places = new Map<string, string[]>()
  for (const [pc, name] of stepNames(program).entries()) {
    const fused = fusedAt(table, asPc(pc))?.name
    if (fused !== undefined) places.set(fused, [...(places.get(fused) ?? []), name])
  }
  return [...places].map(([name, at]) => `${name}: ${at.join(', ')}`)
}

const halts = 'wfi/halt/pollAgain?, suspend/halt/pollAgain?'

describe('what the designs fuse', () => {
  it('with every good choice', () => {
    const all = Object.entries(designs).map(([name, design]) => [name, fusedIn(baselines.fixed(design))])
    expect(Object.fromEntries(all)).toMatchInlineSnapshot(`
      {
        "hooks": [
          "entry: signalPending?",
          "exit: exit/publishOutside",
          "saveVmcrForHalt: wfi/halt/preemptOff, suspend/halt/preemptOff",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHalt: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmio: mmio/emulateMmio",
          "command: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedIn: schedIn/load",
        ],
        "hooksAfterPoll": [
          "entry: signalPending?",
          "exit: exit/publishOutside",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHalt: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmio: mmio/emulateMmio",
          "command: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedIn: schedIn/load",
        ],
        "runLoopLoad": [
          "entryAround: signalPending?",
          "exit: exit/publishOutside",
          "halt: wfi/preemptOff, suspend/preemptOff",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHalt: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmio: mmio/emulateMmio",
          "command: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedInAround: schedIn/resume",
        ],
        "vmcrOnDemand": [
          "entry: signalPending?",
          "exit: exit/publishOutside",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHalt: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmio: mmio/emulateMmio",
          "command: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedIn: schedIn/load",
        ],
        "vmcrOnDemandFlag": [
          "entryAround: signalPending?",
          "exit: exit/publishOutside",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHalt: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmio: mmio/emulateMmio",
          "command: mmio/its/noCommand?",
          "schedOutAround: schedOut/put",
          "schedIn: schedIn/load",
        ],
        "vmcrOnExit": [
          "entry: signalPending?",
          "exitAround: exit/saveVmcr",
          "exit: exit/publishOutside",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHalt: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmio: mmio/emulateMmio",
          "command: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedIn: schedIn/load",
        ],
        "wfiFlag": [
          "entry: signalPending?",
          "exit: exit/publishOutside",
          "halt: wfi/preemptOff, suspend/preemptOff",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHaltSection: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmio: mmio/emulateMmio",
          "command: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedIn: schedIn/load",
        ],
        "wfiFullPut": [
          "entry: signalPending?",
          "exit: exit/publishOutside",
          "putForHalt: wfi/preemptOff, suspend/preemptOff",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "loadAfterHalt: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmio: mmio/emulateMmio",
          "command: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedInWaiting: schedIn/loadUnlessWaiting",
        ],
        "wfiHandler": [
          "entry: signalPending?",
          "exit: exit/publishOutside",
          "saveVmcrForHalt: wfi/preemptOff, suspend/preemptOff",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHalt: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmio: mmio/emulateMmio",
          "command: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedIn: schedIn/load",
        ],
      }
    `)
  })

  it('as Linux 6.1 has them', () => {
    const all = Object.entries(designs).map(([name, design]) => [name, fusedIn(kvm61(design))])
    expect(Object.fromEntries(all)).toMatchInlineSnapshot(`
      {
        "hooks": [
          "entryAround: signalPending?",
          "exitAround: exit/publishOutside",
          "saveVmcrForHalt: wfi/halt/preemptOff, suspend/halt/preemptOff",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHalt: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmioFromMemory: mmio/emulateMmioAsLinux61",
          "commandAsLinux61: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedInAround: schedIn/load",
        ],
        "hooksAfterPoll": [
          "entryAround: signalPending?",
          "exitAround: exit/publishOutside",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHalt: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmioFromMemory: mmio/emulateMmioAsLinux61",
          "commandAsLinux61: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedInAround: schedIn/load",
        ],
        "runLoopLoad": [
          "entryAround: signalPending?",
          "exitAround: exit/publishOutside",
          "halt: wfi/preemptOff, suspend/preemptOff",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHalt: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmioFromMemory: mmio/emulateMmioAsLinux61",
          "commandAsLinux61: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedInAround: schedIn/resume",
        ],
        "vmcrOnDemand": [
          "entryAround: signalPending?",
          "exitAround: exit/publishOutside",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHalt: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmioFromMemory: mmio/emulateMmioAsLinux61",
          "commandAsLinux61: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedInAround: schedIn/load",
        ],
        "vmcrOnDemandFlag": [
          "entryAround: signalPending?",
          "exitAround: exit/publishOutside",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHalt: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmioFromMemory: mmio/emulateMmioAsLinux61",
          "commandAsLinux61: mmio/its/noCommand?",
          "schedOutAround: schedOut/put",
          "schedInAround: schedIn/load",
        ],
        "vmcrOnExit": [
          "entryAround: signalPending?",
          "exitAround: exit/saveVmcr",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHalt: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmioFromMemory: mmio/emulateMmioAsLinux61",
          "commandAsLinux61: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedInAround: schedIn/load",
        ],
        "wfiFlag": [
          "entryAround: signalPending?",
          "exitAround: exit/publishOutside",
          "halt: wfi/preemptOff, suspend/preemptOff",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHaltSection: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmioFromMemory: mmio/emulateMmioAsLinux61",
          "commandAsLinux61: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedInAround: schedIn/load",
        ],
        "wfiFullPut": [
          "entryAround: signalPending?",
          "exitAround: exit/publishOutside",
          "putForHalt: wfi/preemptOff, suspend/preemptOff",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHaltSection: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmioFromMemory: mmio/emulateMmioAsLinux61",
          "commandAsLinux61: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedInWaiting: schedIn/loadUnlessWaiting",
        ],
        "wfiHandler": [
          "entryAround: signalPending?",
          "exitAround: exit/publishOutside",
          "saveVmcrForHalt: wfi/preemptOff, suspend/preemptOff",
          "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
          "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
          "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
          "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
          "afterHalt: wfi/halt/pollEnd",
          "sysreg: sysreg/emulateSysreg",
          "mmioFromMemory: mmio/emulateMmioAsLinux61",
          "commandAsLinux61: mmio/its/noCommand?",
          "schedOut: schedOut/put",
          "schedInAround: schedIn/load",
        ],
      }
    `)
  })

  it('as Linux 7.2 has its own', () => {
    expect(fusedIn(kvm72(designs.wfiFullPut))).toMatchInlineSnapshot(`
      [
        "entryAround: signalPending?",
        "exitAround: exit/publishOutside",
        "putAgainForHalt: wfi/preemptOff, suspend/preemptOff",
        "haltAtOnce: wfi/halt/pollBegin, suspend/halt/pollBegin",
        "poll: wfi/halt/pollAgain?, suspend/halt/pollAgain?",
        "sleep: wfi/halt/sleep/setSleeping, wfi/halt/sleep/setSleeping#2, suspend/halt/sleep/setSleeping, suspend/halt/sleep/setSleeping#2",
        "wake: wfi/halt/sleep/sleep, suspend/halt/sleep/sleep",
        "loadAgainAfterHalt: wfi/halt/pollEnd",
        "sysregByShadow: sysreg/emulateSysregByShadow",
        "mmioFromMemory: mmio/emulateMmioFromMemory",
        "command: mmio/its/noCommand?",
        "schedOutAround: schedOut/putAgain",
        "schedInAgain: schedIn/timerLoad",
      ]
    `)
  })

  it('is an entry only if each flush is followed by a fold before the next', () => {
    const added = edit(designs.wfiHandler).insertAfter('exit/fold', steps.saveVmcr).design('added')
    expect(fusedIn(added).join('\n')).toMatch(/^entry: .*\nexitAround:/m)
    for (const base of [designs.wfiHandler, kvm72(designs.vmcrOnExit)])
      for (const path of ['exit', 'entry/abort']) {
        const fold = `${path}/${base === designs.wfiHandler ? 'fold' : 'foldSavingVmcr'}`
        const missing = fusedIn(edit(base).omit(fold).design('missing')).join('\n')
        expect(missing).not.toMatch(/^entry/m)
        expect(missing).toContain(`poll: ${halts}`)
      }
  })
})

/** Takes steps of vCPU 0 until its thread is at a path. */
function stepTo(machine: ScenarioMachine, path: string): void {
  const { hypervisor } = machine
  const { paths } = hypervisor.runLoop.program
  const v = hypervisor.vcpu(0)
  do machine.step(actor(machine, 'vcpu0'))
  while (paths[hypervisor.words[v + VCPU_PC]] !== path)
}

describe('a thread that gives up an entry without a fold', () => {
  // Its guest then has list registers of two flushes, of which a fold empties those of the last.
  const hasty = edit(designs.wfiFullPut).omit('entry/abort/fold')

  it.each([
    ['entry', hasty.design('hasty')],
    [
      'entryAround',
      hasty
        .insertAfter(
          'entry/flush',
          ownStep('look', () => 0),
        )
        .design('hasty'),
    ],
  ])('enters as its rows do where it would by %s', (_name, design) => {
    const machine = scenario('withdrawn')
      .gic({ listRegisters: 2 })
      .design(design)
      .spi({ intid: 40, priority: 0xa0, trigger: 'level' })
      .spi({ intid: 41, priority: 0x80, trigger: 'level' })
      .guest(0, (guest) => guest.onIrq(handle).priorityMask(0xf0).unmask().hvc())
      .device('disk', (device) => device.at(0).raise(40))
      .device('nic', (device) => device.at(0).raise(41).at(0).lower(41))
      .device('user', (device) => device.at(0).signal())
      .machine()
    const { hypervisor } = machine
    const { words, runLoop } = hypervisor
    const v = hypervisor.vcpu(0)
    fire(machine, 'disk')
    fire(machine, 'nic')
    stepTo(machine, 'entry/publishInGuest')
    go(machine, 'user')
    stepTo(machine, 'signalPending?')
    go(machine, 'nic')
    expect(acknowledged(goTo(machine, 'vcpu0', 'exitReason? irq'))).toEqual([41])
    const before = words.slice()
    expect(runLoop.run(v)).toBe(THREAD_IN_GUEST)
    const after = words.slice()
    words.set(before)
    while (runLoop.threadState(v) !== THREAD_IN_GUEST) runLoop.step(v)
    expect(hypervisor.state.diff(after)).toEqual([])
  })
})

describe('a row of the table', () => {
  it('has room for a step, its outcomes and what a superinstruction needs, side by side', () => {
    expect(1 + MAX_OUTCOMES).toBe(TABLE_ELSE_2)
    expect(TABLE_GAPS + 2 * MAX_GAPS).toBeLessThanOrEqual(1 << TABLE_SHIFT)
  })

  it('has two words for each gap of a superinstruction', () => {
    for (const { name, rows } of superinstructions) {
      const gaps = rows.filter((row) => row === 'gap')
      expect([name, gaps.length <= MAX_GAPS]).toEqual([name, true])
    }
  })

  it('has a word for each question of a superinstruction that may be answered otherwise', () => {
    for (const { name, rows } of superinstructions) {
      const questions = rows.filter(isQuestion)
      expect([name, questions.length <= 2]).toEqual([name, true])
    }
  })
})
