/**
 * Level-sensitive SPIs, said another way: each has a line, a latch that software sets, and is active or not. It is pending
 * by the line or the latch; an acknowledge takes the latch, nothing else does but ICPENDR. Whatever devices, guests and
 * the distributor's registers do, in whatever order, that is what the registers show.
 */
import fc from 'fast-check'
import { ICC_CTLR_EL1, ICC_DIR_EL1, ICC_EOIR1_EL1, ICC_IAR1_EL1 } from 'vgic'
import { baselines, designs, VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import {
  bitOf,
  GICD,
  ICACTIVER,
  ICFGR,
  ICPENDR,
  IROUTER,
  ISACTIVER,
  ISENABLER,
  ISPENDR,
  wordOf,
} from '../../../kit/frames.ts'
import { EOI_MODE_1 } from '../../../kit/guest-lists.ts'
import { boot } from '../../../kit/vm.ts'
import { hosts, VCPUS, vcpus } from './guest-gic-programs.ts'

const SPIS = 6
const spis = fc.integer({ min: 32, max: 31 + SPIS })
const ofSpi = <T extends string>(...what: T[]) =>
  fc.record({ do: fc.constantFrom(...what), intid: spis, vcpu: vcpus, to: vcpus })
const ofVcpu = fc.record({
  do: fc.constantFrom('take' as const, 'take' as const, 'end' as const, 'exit' as const, 'preempt' as const),
  vcpu: vcpus,
})
const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: ofSpi('raise', 'lower', 'pend', 'clear') },
    { weight: 2, arbitrary: ofSpi('pend', 'activate', 'deactivate', 'dir', 'move') },
    { weight: 6, arbitrary: ofVcpu },
  ),
  { minLength: 1, maxLength: 60, size: 'max' },
)
type Step = typeof steps extends fc.Arbitrary<(infer T)[]> ? T : never

interface Level {
  line: boolean
  latch: boolean
  active: boolean
}

/** Does the steps and follows them; with EOImode 1 an end only drops the priority. */
function follow(vm: VirtualMachine, program: readonly Step[], endDeactivates: boolean, seen: typeof nothing) {
  const levels = Array.from({ length: SPIS }, (): Level => ({ line: false, latch: false, active: false }))
  const stacks: number[][] = Array.from({ length: VCPUS }, () => [])
  const write = (step: { intid: number; vcpu: number }, register: number) =>
    vm.writeMmio(step.vcpu, wordOf(register, step.intid), 4, bitOf(step.intid))
  for (const step of program) {
    const level = 'intid' in step ? levels[step.intid - 32] : undefined
    switch (step.do) {
      case 'raise':
      case 'lower':
        vm.setLine(step.intid, step.do === 'raise' ? 1 : 0)
        levels[step.intid - 32].line = step.do === 'raise'
        break
      case 'pend':
        write(step, ISPENDR)
        if (level?.active && !level.line) seen.pendedWhileActive++
        levels[step.intid - 32].latch = true
        break
      case 'clear':
        write(step, ICPENDR)
        levels[step.intid - 32].latch = false
        break
      case 'activate':
        write(step, ISACTIVER)
        levels[step.intid - 32].active = true
        break
      case 'deactivate':
        write(step, ICACTIVER)
        levels[step.intid - 32].active = false
        break
      case 'dir':
        vm.writeSysreg(step.vcpu, ICC_DIR_EL1, step.intid)
        if (!endDeactivates) levels[step.intid - 32].active = false
        break
      case 'move':
        vm.writeMmio(step.vcpu, GICD + IROUTER + 8 * step.intid, 8, step.to)
        break
      case 'take': {
        const intid = vm.readSysreg(step.vcpu, ICC_IAR1_EL1)
        if (intid === 1023) break
        const taken = levels[intid - 32]
        // A line may have fallen since its vCPU was entered.
        expect([intid, taken.active]).toEqual([intid, false])
        if (taken.latch && !taken.line) seen.tookLatch++
        Object.assign(taken, { active: true, latch: false })
        stacks[step.vcpu].push(intid)
        seen.taken++
        break
      }
      case 'end': {
        const intid = stacks[step.vcpu].pop()
        if (intid === undefined) break
        vm.writeSysreg(step.vcpu, ICC_EOIR1_EL1, intid)
        if (endDeactivates) levels[intid - 32].active = false
        break
      }
      default:
        vm[step.do](step.vcpu)
    }
  }
  const bits = (register: number) => vm.readMmio(0, wordOf(register, 32), 4)
  const expected = (is: (level: Level) => boolean) =>
    levels.reduce((value, level, i) => value | (is(level) ? 1 << i : 0), 0)
  expect(bits(ISPENDR)).toBe(expected(({ line, latch }) => line || latch))
  expect(bits(ISACTIVER)).toBe(expected(({ active }) => active))
}
const nothing = { taken: 0, pendedWhileActive: 0, tookLatch: 0 }

describe('each level-sensitive SPI is as pending and as active as its line, its latch and its guests make it', () => {
  it.each([
    { mode: 'EOImode 0', endDeactivates: true },
    { mode: 'EOImode 1', endDeactivates: false },
  ])('as the registers show it at any time, on every design: $mode', ({ endDeactivates }) => {
    const seen = { ...nothing }
    fc.assert(
      fc.property(fc.constantFrom(...Object.values(designs)), hosts, steps, (design, silicon, program) => {
        const vm = boot(
          new VirtualMachine({
            vcpus: VCPUS,
            spis: SPIS,
            timers: false,
            design: baselines.fixed(design),
            silicon,
          }),
        )
        vm.writeMmio(0, GICD + ICFGR + 8, 4, 0)
        vm.writeMmio(0, wordOf(ISENABLER, 32), 4, 2 ** SPIS - 1)
        for (let vcpu = 0; vcpu < VCPUS; vcpu++)
          vm.writeSysreg(vcpu, ICC_CTLR_EL1, endDeactivates ? 0 : EOI_MODE_1)
        // With EOImode 0 only who has acknowledged an interrupt ends it, in the reverse order.
        const foreign = ['activate', 'deactivate', 'dir']
        const possible = endDeactivates ? program.filter((step) => !foreign.includes(step.do)) : program
        follow(vm, possible, endDeactivates, seen)
      }),
      { numRuns: 120 },
    )
    for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0)
  })
})
