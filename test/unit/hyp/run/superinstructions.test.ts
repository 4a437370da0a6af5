/** Which designs fuse what, and that the table has room for it. */
import { baselines, designs, edit, kvm61, kvm72, steps } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { asPc } from '../../../../src/hyp/records/vcpu.ts'
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
          "mmioAsLinux61: mmio/emulateMmioAsLinux61",
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
          "mmioAsLinux61: mmio/emulateMmioAsLinux61",
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
          "mmioAsLinux61: mmio/emulateMmioAsLinux61",
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
          "mmioAsLinux61: mmio/emulateMmioAsLinux61",
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
          "mmioAsLinux61: mmio/emulateMmioAsLinux61",
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
          "mmioAsLinux61: mmio/emulateMmioAsLinux61",
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
          "mmioAsLinux61: mmio/emulateMmioAsLinux61",
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
          "mmioAsLinux61: mmio/emulateMmioAsLinux61",
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
          "mmioAsLinux61: mmio/emulateMmioAsLinux61",
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

  it('is an entry only if a fused exit leaves the list registers empty', () => {
    const [added, missing] = [
      edit(designs.wfiHandler).insertAfter('exit/fold', steps.saveVmcr).design('added'),
      edit(designs.wfiHandler).omit('exit/fold').design('missing'),
    ].map((design) => fusedIn(design).join('\n'))
    expect(added).toMatch(/^entry: .*\nexitAround:/m)
    expect(missing).not.toMatch(/^(entry|exit|exitAround):/m)
    expect(missing).toMatch(/^entryAround:/m)
    expect(missing).toContain(`poll: ${halts}`)
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
