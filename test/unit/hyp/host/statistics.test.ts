import { designs, formatCost, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'

const run = () =>
  scenario('every kind of wait')
    .vm({ vcpus: 1, timers: true })
    .design(designs.wfiFlag)
    .guest(0, (g) =>
      g
        .onIrq((h) => h.ack().stopTimer().eoi())
        .unmask()
        .timer(40)
        .wfi()
        .wfe()
        .wfe()
        .wfit(30)
        .wfet()
        .hvc(),
    )
    .run()

describe('the exit statistics of a VM', () => {
  it('count WFI and WFIT, WFE and WFET, and exits by kind', () => {
    const { wfi_exit_stat, wfe_exit_stat, byKind, exits } = run().statistics()
    expect({ wfi_exit_stat, wfe_exit_stat }).toEqual({ wfi_exit_stat: 2, wfe_exit_stat: byKind.wfe })
    expect(byKind).toMatchObject({ wfi: 2, hvc: 1, off: 1 })
    expect(exits).toBe(Object.values(byKind).reduce((sum, count) => sum + count, 0))
  })

  it('agree with the wfx trace events, which name the instruction', () => {
    const { events, statistics } = { events: run().events, statistics: run().statistics() }
    const instructions = events.flatMap(({ wfx }) => wfx?.instruction ?? [])
    expect(instructions.filter((name) => name === 'WFI' || name === 'WFIT')).toEqual(['WFI', 'WFIT'])
    expect(instructions).toHaveLength(statistics.wfi_exit_stat + statistics.wfe_exit_stat)
  })
})

describe('a cost table in print', () => {
  it('has a line for each kind of exit, and with latencies what it amounts to', () => {
    const rows = run().cost()
    const text = formatCost(rows, {
      exit: 1000,
      sysregRead: 10,
      sysregWrite: 10,
      mmioRead: 100,
      mmioWrite: 100,
    })
    expect(text.split('\n')).toHaveLength(rows.length + 2)
    expect(text.split('\n')[0]).toBe('wfi-flag')
    expect(text).toMatch(
      /^exit +exits +sysreg r +sysreg w +mmio r +mmio w +polls +its cmds +dirty polls +tables +total$/m,
    )
    expect(text).toMatch(/^hvc +1 +0 +0 +0 +0 +0 +0 +0 +0 +1000$/m)
  })
})
