/**
 * Preemption at every binary point. The oracle is the table "Priority grouping" of IHI 0069: for each binary
 * point the bits of a priority that are the group priority (g) and those that are the subpriority (s). Of
 * the group priority only the implemented preemption bits take part, which the minimum binary point ensures.
 */
import {
  ICC_BPR0_EL1,
  ICC_BPR1_EL1,
  ICC_CTLR_EL1,
  ICC_EOIR0_EL1,
  ICC_EOIR1_EL1,
  ICC_IAR0_EL1,
  ICC_IAR1_EL1,
  ICC_RPR_EL1,
  ichLr,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { lr, Machine, NO_LINE, SPURIOUS, VFIQ, VIRQ } from '../../../kit/virtual-interface.ts'

/** Bits 7 to 0 by ICC_BPR0_EL1, for group 0, and with CBPR for group 1. */
const grouping0 = [
  'ggggggg.s',
  'gggggg.ss',
  'ggggg.sss',
  'gggg.ssss',
  'ggg.sssss',
  'gg.ssssss',
  'g.sssssss',
  '.ssssssss',
] as const
/** By ICC_BPR1_EL1, for group 1; 0 does not exist. */
const grouping1 = ['', ...grouping0.slice(0, 7)] as const

function groupPriority(priority: number, grouping: string): number {
  const bits = priority.toString(2).padStart(8, '0')
  const kept = grouping.replace('.', '')
  return Number.parseInt([...bits].map((bit, i) => (kept[i] === 'g' ? bit : '0')).join(''), 2)
}

/** Priorities that differ in one bit, and their neighbours. */
const priorities = [0x00, 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x3f, 0x40, 0x7e, 0x7f, 0x80, 0x81, 0xc0, 0xfe]

const iar = (group: 0 | 1): number => (group === 0 ? ICC_IAR0_EL1 : ICC_IAR1_EL1)
const eoir = (group: 0 | 1): number => (group === 0 ? ICC_EOIR0_EL1 : ICC_EOIR1_EL1)

interface Point {
  readonly group: 0 | 1
  readonly point: number
  readonly grouping: string
}

function pointsOf(preemptionBits: number): Point[] {
  const least = 7 - preemptionBits
  return [
    ...grouping0.map((grouping, point): Point => ({ group: 0, point, grouping })).slice(least),
    ...grouping1.map((grouping, point): Point => ({ group: 1, point, grouping })).slice(least + 1),
  ]
}

function machineAt(preemptionBits: number, points: readonly Point[]): Machine {
  const m = new Machine({ priorityBits: 8, preemptionBits }).enabled()
  for (const { group, point } of points) m.guest.write(group === 0 ? ICC_BPR0_EL1 : ICC_BPR1_EL1, point)
  return m
}

describe.each([5, 6, 7])('with %i preemption bits', (preemptionBits) => {
  it.each(pointsOf(preemptionBits))(
    'group $group at binary point $point preempts by $grouping',
    ({ group, point, grouping }) => {
      const m = machineAt(preemptionBits, [{ group, point, grouping }])
      const idle = m.gic.snapshot()
      for (const running of priorities) {
        for (const pending of priorities) {
          m.gic.restore(idle)
          m.hypervisor.write(ichLr(0), lr({ group, priority: running, vintid: 40 }))
          expect(m.guest.read(iar(group))).toBe(40n)
          expect(m.guest.read(ICC_RPR_EL1)).toBe(BigInt(groupPriority(running, grouping)))
          m.hypervisor.write(ichLr(1), lr({ group, priority: pending, vintid: 41 }))
          const preempts = groupPriority(pending, grouping) < groupPriority(running, grouping)
          expect(m.lines).toEqual(!preempts ? NO_LINE : group === 0 ? VFIQ : VIRQ)
          expect(m.guest.read(iar(group))).toBe(preempts ? 41n : SPURIOUS)
          if (preempts) m.guest.write(eoir(group), 41)
          m.guest.write(eoir(group), 40)
          expect(m.state(0)).toBe('invalid')
          expect(m.guest.read(ICC_RPR_EL1)).toBe(0xffn)
        }
      }
    },
  )

  it('each group groups by its own binary point: the running priority stays as it was recorded', () => {
    const points = pointsOf(preemptionBits)
    for (const zero of points.filter(({ group }) => group === 0)) {
      for (const one of points.filter(({ group }) => group === 1)) {
        const m = machineAt(preemptionBits, [zero, one])
        const idle = m.gic.snapshot()
        for (const [first, second] of [
          [zero, one],
          [one, zero],
        ]) {
          for (const running of [0x81, 0x88, 0xc0]) {
            for (const pending of [0x40, 0x7f, 0x80, 0x81, 0x87, 0x88, 0xbf]) {
              m.gic.restore(idle)
              m.hypervisor.write(ichLr(0), lr({ group: first.group, priority: running, vintid: 40 }))
              expect(m.guest.read(iar(first.group))).toBe(40n)
              m.hypervisor.write(ichLr(1), lr({ group: second.group, priority: pending, vintid: 41 }))
              const preempts =
                groupPriority(pending, second.grouping) < groupPriority(running, first.grouping)
              expect(m.guest.read(iar(second.group))).toBe(preempts ? 41n : SPURIOUS)
            }
          }
        }
      }
    }
  })

  it('with CBPR group 1 preempts by the binary point of group 0', () => {
    for (const { point, grouping } of pointsOf(preemptionBits).filter(({ group }) => group === 0)) {
      const m = machineAt(preemptionBits, [{ group: 0, point, grouping }])
      m.guest.write(ICC_CTLR_EL1, 1)
      const idle = m.gic.snapshot()
      for (const pending of priorities) {
        m.gic.restore(idle)
        m.hypervisor.write(ichLr(0), lr({ group: 1, priority: 0x81, vintid: 40 }))
        expect(m.guest.read(ICC_IAR1_EL1)).toBe(40n)
        expect(m.guest.read(ICC_RPR_EL1)).toBe(BigInt(groupPriority(0x81, grouping)))
        m.hypervisor.write(ichLr(1), lr({ group: 1, priority: pending, vintid: 41 }))
        const preempts = groupPriority(pending, grouping) < groupPriority(0x81, grouping)
        expect(m.guest.read(ICC_IAR1_EL1)).toBe(preempts ? 41n : SPURIOUS)
      }
    }
  })
})

describe('a group without preemption (ICC_BPR0_EL1 = 7)', () => {
  it('runs at group priority 0 whatever its priority, and nothing preempts it', () => {
    const m = machineAt(5, [{ group: 0, point: 7, grouping: grouping0[7] }])
    m.list({ group: 0, priority: 0xf0, vintid: 40 })
    expect(m.guest.read(ICC_IAR0_EL1)).toBe(40n)
    expect(m.guest.read(ICC_RPR_EL1)).toBe(0n)
    m.hypervisor.write(ichLr(1), lr({ group: 1, priority: 0, vintid: 41 }))
    expect(m.lines).toEqual(NO_LINE)
    expect(m.guest.read(ICC_IAR1_EL1)).toBe(SPURIOUS)
  })
})

describe('the choice preemptMask', () => {
  /** Group 0 runs at 0x88 of 0x88; group 1 has one of 0x80 and halves the priorities. */
  const mixed = (config: object) => {
    const m = new Machine(config).enabled()
    m.guest.write(ICC_BPR1_EL1, 7)
    m.list({ group: 0, priority: 0x88, vintid: 40 })
    expect(m.guest.read(ICC_IAR0_EL1)).toBe(40n)
    m.hypervisor.write(ichLr(1), lr({ group: 1, priority: 0x80, vintid: 41 }))
    return m.guest.read(ICC_IAR1_EL1)
  }

  it('compares with the running priority as recorded, or masked by the pending interrupt’s binary point', () => {
    expect(mixed({})).toBe(41n)
    expect(mixed({ choices: { preemptMask: 'running' } })).toBe(41n)
    expect(mixed({ choices: { preemptMask: 'running-masked' } })).toBe(SPURIOUS)
    expect(mixed({ profile: 'qemu-7.2' })).toBe(SPURIOUS)
    expect(mixed({ profile: 'qemu-7.2', choices: { preemptMask: 'running' } })).toBe(41n)
  })
})
