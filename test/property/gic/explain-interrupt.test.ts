/**
 * explain() against the outputs: whatever software and devices have done, IRQ or FIQ is high exactly where explain()
 * says of one interrupt of its group that it is signalled, and of no other.
 */
import fc from 'fast-check'
import { ICC_HPPIR0_EL1, ICC_HPPIR1_EL1 } from 'vgic'
import { expect, it } from 'vitest'
import { boot, configuration, gicOf, intids, Kernel, program, run } from './distributor/physical-programs.ts'

it('an output is high for the one interrupt that is explained as signalled', () => {
  fc.assert(
    fc.property(configuration, program(60), (config, steps) => {
      const gic = gicOf(config)
      boot(gic)
      const kernel = new Kernel()
      for (const step of steps) run(gic, kernel, step)
      const before = gic.hash()
      for (let cpu = 0; cpu < gic.config.cpus; cpu++) {
        // The maintenance interrupt is PPI 25; programs that set whole words reach others too.
        const all = Array.from({ length: 32 + gic.config.spis }, (_, intid) => intid)
        const signalled = [...new Set([...intids, ...all])].filter(
          (intid) => gic.explain(intid, cpu).signalled,
        )
        const high = (['fiq', 'irq'] as const).flatMap((line, group) =>
          gic.line(cpu, line) === 1
            ? [gic.readSysreg(cpu, group === 0 ? ICC_HPPIR0_EL1 : ICC_HPPIR1_EL1, 2)]
            : [],
        )
        expect(signalled).toEqual(high)
        for (const intid of high)
          expect(gic.interrupt(intid, cpu)).toMatchObject({ pending: true, signalled: true })
      }
      expect(gic.hash()).toBe(before)
    }),
    { numRuns: 100 },
  )
})
