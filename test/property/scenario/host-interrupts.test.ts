/**
 * Between any two steps the physical GIC says what follows from the machine: lines are what drives them, the host is
 * interrupted by what it has not taken, and only where it cannot take it yet.
 */
import fc from 'fast-check'
import { designs, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { LINE_IRQ, PE_LINES } from '../../../src/gic/cpu-interface/lines.ts'
import { MAINTENANCE_PPI } from '../../../src/gic/cpu-interface/output-lines.ts'
import { GICR_BLOCK } from '../../../src/gic/interrupts/physical-interrupts.ts'
import { LINE } from '../../../src/gic/records/interrupts.ts'
import {
  THREAD_IRQS_OFF,
  THREAD_TIMERS_LOADED,
  timerIntids,
  VCPU_THREAD,
} from '../../../src/hyp/records/vcpu.ts'
import { TIMERS } from '../../../src/hyp/vgic/arch-timer.ts'
import { scenarios } from './any-scenario.ts'

/** Level-sensitive interrupts, whose ends ask for maintenance. */
const levels = fc.constantFrom(...Object.values(designs)).map((design) =>
  scenario('levels')
    .gic({ listRegisters: 2 })
    .design(design)
    .spi({ intid: 40, trigger: 'level' })
    .spi({ intid: 41, trigger: 'level', priority: 0x80 })
    .guest(0, (guest) =>
      guest
        .onIrq((list) => list.ack().quiesce(40).quiesce(41).eoi())
        .unmask()
        .wfi()
        .wfi(),
    )
    .device('uart', (device) => device.raise(40).raise(41).raise(40)),
)
const choices = fc.array(fc.nat(), { minLength: 200, maxLength: 400 })

describe('after any step', () => {
  it('the lines of PPIs are what drives them, and the host has taken what it can', () => {
    const seen = { maintenance: 0, timers: 0, interrupted: 0 }
    fc.assert(
      fc.property(fc.oneof(scenarios, levels), choices, (recipe, schedule) => {
        const machine = recipe.machine()
        const { words, silicon, scheduler, timers, config } = machine.hypervisor
        const all = [...machine.actors, ...machine.environment]
        const check = (cpu: number): void => {
          const pe = silicon.peOf(cpu)
          const v = scheduler.current(cpu)
          const line = (intid: number) => ((words[pe + GICR_BLOCK + LINE] >>> intid) & 1) === 1
          expect(line(MAINTENANCE_PPI)).toBe(silicon.virtualInterface.maintenanceLine(pe))
          const loaded = v !== 0 && (words[v + VCPU_THREAD] & THREAD_TIMERS_LOADED) !== 0
          for (let timer = 0; timer < TIMERS; timer++)
            expect(line(timerIntids[timer])).toBe(loaded && timers.output(v, timer))
          const irq = (words[pe + PE_LINES] & LINE_IRQ) !== 0
          if (irq)
            expect(silicon.pcpu.isInGuest(pe) || (words[v + VCPU_THREAD] & THREAD_IRQS_OFF) !== 0).toBe(true)
          seen.maintenance += line(MAINTENANCE_PPI) ? 1 : 0
          seen.timers += timerIntids.some(line) ? 1 : 0
          seen.interrupted += irq ? 1 : 0
        }
        for (const choice of schedule) {
          const ready = all.filter((actor) => machine.stateOf(actor) === 'ready')
          if (ready.length === 0) return
          machine.step(ready[choice % ready.length])
          for (let cpu = 0; cpu < config.cpus; cpu++) check(cpu)
          const before = words.slice()
          silicon.derive()
          expect(words.findIndex((word, at) => word !== before[at])).toBe(-1)
        }
      }),
      { numRuns: 100 },
    )
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(0)
  })
})
