/**
 * Whatever guests and userspace do to the emulated GIC, in whatever order: nothing throws, no interrupt is lost,
 * invented or in two places, a snapshot goes on as the original, and the baselines agree where no edit tells them apart.
 */
import fc from 'fast-check'
import { ICC_CTLR_EL1, ICC_DIR_EL1, ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_SGI1R_EL1 } from 'vgic'
import { baselines, designs, kvm61, type ListRegisters, VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { FIRST_SPI } from '../../../../src/arch/intid.ts'
import { privateIrq, VCPU_AP_COUNT, VCPU_AP_LAST } from '../../../../src/hyp/records/vcpu.ts'
import {
  asIrq,
  IRQ_EDGE,
  IRQ_LINE,
  IRQ_LINK,
  irqAfter,
  irqApListOf,
} from '../../../../src/hyp/records/vgic-irq.ts'
import {
  bitOf,
  GICD,
  GITS,
  ICACTIVER,
  ICENABLER,
  ICFGR,
  ICPENDR,
  IGROUPR,
  IROUTER,
  ISACTIVER,
  ISENABLER,
  ISPENDR,
  sgiBase,
  wordOf,
} from '../../../kit/frames.ts'
import { EOI_MODE_1 } from '../../../kit/guest-lists.ts'
import { boot } from '../../../kit/vm.ts'
import { EdgeModel } from './guest-gic-edges.ts'
import { anySteps, hosts, SPIS, type Step, take, VCPUS, vcpus } from './guest-gic-programs.ts'

const TIMEOUT = 120_000
const every = Object.values(designs)
const designOf = fc
  .tuple(fc.constantFrom(...every), fc.boolean())
  .map(([d, old]) => (old ? kvm61(d) : baselines.fixed(d)))
/** A VM whose SPIs are all enabled. */
function vmWith(config: Partial<VirtualMachine['config']>): VirtualMachine {
  const vm = boot(
    new VirtualMachine({ vcpus: VCPUS, spis: SPIS, frames: { its: GITS }, design: every[0], ...config }),
  )
  for (const word of [1, 2]) vm.writeMmio(0, GICD + ISENABLER + 4 * word, 4, 0xffff_ffff)
  return vm
}

/** The INTIDs in valid list registers. */
const presented = ({ lr }: ListRegisters): bigint[] =>
  lr.filter((value) => value >> 62n !== 0n).map((value) => value & 0xffff_ffffn)

/**
 * What is wrong with the interrupts and the ap_lists: an interrupt names a vCPU exactly if it is once on that vCPU's list,
 * and has no link if it is on none; and an edge has no line.
 */
function wrongInterrupts({ hypervisor }: VirtualMachine): string[] {
  const { words, apLists, layout } = hypervisor
  const wrong: string[] = []
  const listed = new Set<number>()
  for (let i = 0; i < VCPUS; i++) {
    const v = hypervisor.vcpu(i)
    const list = apLists.listOf(v)
    if (words[v + VCPU_AP_COUNT] !== list.length) wrong.push(`${i} has not as many as it counts`)
    if (words[v + VCPU_AP_LAST] !== (list.at(-1) ?? 0)) wrong.push(`the last on the list of ${i} is another`)
    for (const irq of list) {
      if (listed.has(irq)) wrong.push(`${irq} is on a list twice`)
      if (irqApListOf(words[irq]) !== i + 1) wrong.push(`${irq} is on the list of ${i} and does not name it`)
      listed.add(irq)
    }
  }
  const all = [
    ...Array.from({ length: VCPUS }, (_, i) =>
      Array.from({ length: FIRST_SPI }, (_irq, intid) => privateIrq(hypervisor.vcpu(i), intid)),
    ).flat(),
    ...Array.from({ length: SPIS }, (_, i) => irqAfter(asIrq(layout.spis), i)),
  ]
  for (const irq of all) {
    if ((words[irq] & (IRQ_EDGE | IRQ_LINE)) === (IRQ_EDGE | IRQ_LINE))
      wrong.push(`${irq} is an edge and has a line`)
    if (!listed.has(irq) && (irqApListOf(words[irq]) !== 0 || words[irq + IRQ_LINK] !== 0))
      wrong.push(`${irq} names a vCPU or has a link, and is on no list`)
  }
  return wrong
}

describe('whatever guests and userspace do', () => {
  it(
    'nothing throws, an INTID is in one list register at most, and on one list',
    () => {
      const seen = { steps: 0, presented: 0 }
      fc.assert(
        fc.property(designOf, hosts, anySteps, (design, silicon, steps) => {
          const vm = vmWith({ design, silicon })
          for (const step of steps) {
            take(vm, step)
            seen.steps++
            for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
              const intids = presented(vm.listRegisters(vcpu))
              seen.presented += intids.length
              expect(new Set(intids).size).toBe(intids.length)
            }
            expect(wrongInterrupts(vm)).toEqual([])
          }
        }),
        { numRuns: 150 },
      )
      expect(seen.presented).toBeGreaterThan(500)
    },
    TIMEOUT,
  )

  it(
    'a snapshot taken at any step goes on as the original does',
    () => {
      fc.assert(
        fc.property(designOf, hosts, anySteps, fc.nat(), (design, silicon, steps, at) => {
          const vm = vmWith({ design, silicon })
          const cut = at % steps.length
          for (const step of steps.slice(0, cut)) take(vm, step)
          const copy = vmWith({ design, silicon })
          copy.restore(vm.snapshot())
          for (const step of steps.slice(cut)) expect(take(copy, step)).toEqual(take(vm, step))
          expect(copy.diff(vm.snapshot())).toEqual([])
          expect(copy.hash()).toBe(vm.hash())
          expect(copy.cost()).toEqual(vm.cost())
        }),
        { numRuns: 60 },
      )
    },
    TIMEOUT,
  )
})

const sgis = fc.integer({ min: 0, max: 15 })
/** Few, so that much happens to each of them. */
const edges = fc.constantFrom(32, 33, 34, 63, 64, 71)
const asEdge = fc.record({
  do: fc.constantFrom('fire' as const, 'fire' as const, 'pend' as const, 'clear' as const),
  intid: edges,
  vcpu: vcpus,
})
const asSgi = fc.record({ do: fc.constant('send' as const), intid: sgis, vcpu: vcpus, to: vcpus })
const asMove = fc.record({ do: fc.constant('move' as const), intid: edges, vcpu: vcpus, to: vcpus })
const asVcpu = fc.record({
  do: fc.constantFrom('take' as const, 'take' as const, 'end' as const, 'exit' as const, 'preempt' as const),
  vcpu: vcpus,
})
const asActive = fc.record({
  do: fc.constantFrom('activate' as const, 'deactivate' as const, 'dir' as const),
  intid: edges,
  vcpu: vcpus,
})
/** What concerns edges: they are fired, sent, made pending, cleared, moved, acknowledged and ended, last first. */
const edgeSteps = (...more: (typeof asActive)[]) =>
  fc.array(
    fc.oneof(
      { weight: 4, arbitrary: asEdge },
      { weight: 3, arbitrary: asSgi },
      { weight: 7, arbitrary: asVcpu },
      { weight: 1, arbitrary: asMove },
      ...more.map((arbitrary) => ({ weight: 4, arbitrary })),
    ),
    { minLength: 1, maxLength: 60, size: 'max' },
  )
type EdgeStep = ReturnType<typeof edgeSteps> extends fc.Arbitrary<(infer T)[]> ? T : never

const seenNothing = () => ({ taken: 0, moved: 0, cleared: 0, again: 0, activated: 0, deactivated: 0 })

/** Does the steps and follows them in a model; with EOImode 1 an end only drops the priority. */
function follow(vm: VirtualMachine, steps: readonly EdgeStep[], endDeactivates: boolean, seen: Seen): void {
  const model = new EdgeModel()
  const stacks: number[][] = Array.from({ length: VCPUS }, () => [])
  const write = (step: { intid: number; vcpu: number }, register: number) =>
    vm.writeMmio(step.vcpu, wordOf(register, step.intid), 4, bitOf(step.intid))
  const pend = (intid: number, vcpu: number) => {
    if (model.fate(intid, vcpu) === 'active') seen.again++
    model.pend(intid, vcpu)
  }
  const deactivate = (intid: number, vcpu: number) => {
    if (model.fate(intid, vcpu).endsWith('active')) seen.deactivated++
    model.deactivate(intid, vcpu)
  }
  for (const step of steps) {
    switch (step.do) {
      case 'fire':
        vm.setLine(step.intid, 1)
        pend(step.intid, 0)
        break
      case 'pend':
        write(step, ISPENDR)
        pend(step.intid, 0)
        break
      case 'clear':
        write(step, ICPENDR)
        if (model.fate(step.intid, 0) === 'pending') seen.cleared++
        model.clear(step.intid, 0)
        break
      case 'activate':
        write(step, ISACTIVER)
        model.activate(step.intid, 0)
        seen.activated++
        break
      case 'deactivate':
        write(step, ICACTIVER)
        deactivate(step.intid, 0)
        break
      case 'dir':
        vm.writeSysreg(step.vcpu, ICC_DIR_EL1, step.intid)
        deactivate(step.intid, 0)
        break
      case 'send':
        vm.writeSysreg(step.vcpu, ICC_SGI1R_EL1, step.intid * 2 ** 24 + 2 ** step.to)
        pend(step.intid, step.to)
        break
      case 'move':
        vm.writeMmio(step.vcpu, GICD + IROUTER + 8 * step.intid, 8, step.to)
        seen.moved++
        break
      case 'take': {
        const intid = vm.readSysreg(step.vcpu, ICC_IAR1_EL1)
        if (intid === 1023) break
        model.acknowledge(intid, step.vcpu)
        stacks[step.vcpu].push(intid)
        seen.taken++
        break
      }
      case 'end': {
        const intid = stacks[step.vcpu].pop()
        if (intid === undefined) break
        vm.writeSysreg(step.vcpu, ICC_EOIR1_EL1, intid)
        if (endDeactivates) model.deactivate(intid, step.vcpu)
        break
      }
      default:
        vm[step.do](step.vcpu)
    }
  }
  model.check(vm)
}
type Seen = ReturnType<typeof seenNothing>

describe('each edge is pending, active or both until it is acknowledged and ended', () => {
  it(
    'as the registers show it at any time, on every design',
    () => {
      const seen = seenNothing()
      fc.assert(
        fc.property(fc.constantFrom(...every), hosts, edgeSteps(), (design, silicon, steps) => {
          follow(vmWith({ design: baselines.fixed(design), silicon, timers: false }), steps, true, seen)
        }),
        { numRuns: 120 },
      )
      const { taken, moved, cleared, again } = seen
      for (const count of [taken, moved, cleared, again]) expect(count).toBeGreaterThan(10)
    },
    TIMEOUT,
  )

  it(
    'and with EOImode 1 until any vCPU deactivates it, by ICC_DIR_EL1 or ICACTIVER, whoever made it active',
    () => {
      const seen = seenNothing()
      fc.assert(
        fc.property(fc.constantFrom(...every), hosts, edgeSteps(asActive), (design, silicon, steps) => {
          const vm = vmWith({ design: baselines.fixed(design), silicon, timers: false })
          for (let vcpu = 0; vcpu < VCPUS; vcpu++) vm.writeSysreg(vcpu, ICC_CTLR_EL1, EOI_MODE_1)
          follow(vm, steps, false, seen)
        }),
        { numRuns: 120 },
      )
      for (const count of Object.values(seen)) expect(count).toBeGreaterThan(10)
    },
    TIMEOUT,
  )
})

describe('`kvm61` and `fixed` differ only where an edit says so', () => {
  /**
   * Not what edits are about: EOIcount and overflow, DIR, re-evaluation, pending state elsewhere, soft levels, timers,
   * and what a write takes back or changes that a running vCPU has.
   */
  const harmless = (step: Step): boolean => {
    if (step.do === 'timer') return false
    if (step.do === 'writeSysreg') return step.encoding !== ICC_DIR_EL1
    if (step.do !== 'read' && step.do !== 'write') return true
    const offset = step.address - GICD
    const inGicd = offset >= 0 && offset < 0x1_0000
    const inGicr = step.address >= sgiBase(0) - 0x1_0000 && step.address < sgiBase(VCPUS)
    const register = inGicd ? offset : (step.address - sgiBase(0)) & 0x1_ffff
    if (!inGicd && !inGicr) return true
    const pendingOrActive = register >= 0x200 && register < 0x400
    const reevaluates = inGicd && (offset === 0 || (offset >= ICFGR && offset < 0xd00) || offset >= 0x6000)
    const changes =
      (register >= IGROUPR && register < ISENABLER) || (register >= ICENABLER && register < 0x800)
    return !pendingOrActive && !reevaluates && !(step.do === 'write' && changes)
  }

  it(
    'programs that no edit is about see the same, access by access',
    () => {
      const seen = { compared: 0, taken: 0 }
      fc.assert(
        fc.property(fc.constantFrom(...every), anySteps, (design, steps) => {
          const silicon = { listRegisters: 16, cpus: VCPUS }
          const [a, b] = [baselines.fixed(design), kvm61(design)].map((d) =>
            vmWith({ design: d, silicon, timers: false }),
          )
          for (const step of steps.filter(harmless)) {
            const [one, other] = [take(a, step), take(b, step)].map(guestsView)
            expect(other).toEqual(one)
            seen.compared++
            if (step.do === 'readSysreg' && step.encoding === ICC_IAR1_EL1 && one !== 1023n) seen.taken++
          }
        }),
        { numRuns: 100 },
      )
      expect(seen.compared).toBeGreaterThan(1000)
      expect(seen.taken).toBeGreaterThan(20)
    },
    TIMEOUT,
  )
})

/** Without ICH_HCR_EL2, whose traps and maintenance interrupts are the hypervisor's affair. */
const guestsView = (seen: unknown): unknown =>
  typeof seen === 'object' && seen !== null && 'lr' in seen ? seen.lr : seen
