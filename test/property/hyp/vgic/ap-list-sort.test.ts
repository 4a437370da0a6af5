/** Sorts of ap_lists, short ones and long ones, against a plain stable sort by what the orders say. */
import fc from 'fast-check'
import { designs, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { VMCR_VENG0, VMCR_VENG1 } from '../../../../src/arch/ich-registers.ts'
import { VCPU_AP_COUNT, VCPU_AP_LAST } from '../../../../src/hyp/records/vcpu.ts'
import {
  asIrq,
  IRQ_ACTIVE,
  IRQ_ENABLED,
  IRQ_GROUP1,
  IRQ_HW,
  IRQ_LATCH,
  IRQ_PRIORITY_SHIFT,
  IRQ_SHIFT,
  irqAfter,
} from '../../../../src/hyp/records/vgic-irq.ts'

const SPIS = 300
const { hypervisor } = scenario('lists').vm({ vcpus: 1, spis: SPIS }).design(designs.wfiHandler).machine()
const { words, apLists, layout } = hypervisor
const v = hypervisor.vcpu(0)
const spis = asIrq(layout.spis)

/** An interrupt that is enabled. */
interface Listed {
  readonly pending: boolean
  readonly active: boolean
  readonly group: 0 | 1
  readonly priority: number
  readonly mapped: boolean
}

const listed: fc.Arbitrary<Listed> = fc.record({
  pending: fc.boolean(),
  active: fc.boolean(),
  group: fc.constantFrom(0, 1),
  priority: fc.nat(31).map((n) => 8 * n),
  mapped: fc.boolean(),
})

const lists = fc.oneof(
  fc.array(listed, { minLength: 1, maxLength: 70, size: 'max' }),
  fc.array(listed, { minLength: 60, maxLength: SPIS, size: 'max' }),
)
const disabled = fc.constantFrom(0, VMCR_VENG0, VMCR_VENG1, VMCR_VENG0 | VMCR_VENG1)

/** The places of the interrupts after a sort, by their places before. */
function sorted(all: readonly Listed[], sort: () => void): number[] {
  apLists.clear(v)
  for (const [i, { pending, active, group, priority, mapped }] of all.entries()) {
    words[irqAfter(spis, i)] =
      IRQ_ENABLED |
      (pending ? IRQ_LATCH : 0) |
      (active ? IRQ_ACTIVE : 0) |
      (group === 1 ? IRQ_GROUP1 : 0) |
      (mapped ? IRQ_HW : 0) |
      (priority << IRQ_PRIORITY_SHIFT)
    apLists.moveTo(v, irqAfter(spis, i))
  }
  sort()
  const list = apLists.listOf(v)
  expect(words[v + VCPU_AP_COUNT]).toBe(list.length)
  expect(words[v + VCPU_AP_LAST]).toBe(list.at(-1))
  return list.map((irq) => (irq - spis) >> IRQ_SHIFT)
}

/** The places after a stable sort by keys, the first that differs decides. */
const stable = (all: readonly Listed[], keys: (irq: Listed) => readonly number[]): number[] =>
  all
    .map((irq, i) => ({ keys: keys(irq), i }))
    .sort((one, other) => {
      const k = one.keys.findIndex((key, n) => key !== other.keys[n])
      return k < 0 ? 0 : one.keys[k] - other.keys[k]
    })
    .map(({ i }) => i)

const isOff = ({ group }: Listed, off: number): boolean =>
  (off & (group === 1 ? VMCR_VENG1 : VMCR_VENG0)) !== 0
const isDeliverable = ({ pending, active }: Listed): boolean => pending && !active

describe('an ap_list of any length is sorted', () => {
  it('with what the guest can take first, then active ones, then pending ones of a disabled group', () => {
    fc.assert(
      fc.property(lists, disabled, (all, off) => {
        const places = sorted(all, () => apLists.sorts.pendingFirst(v, off))
        const rank = (irq: Listed) => {
          if (isDeliverable(irq)) return [isOff(irq, off) ? 2 : 0, irq.priority]
          return irq.active ? [1, irq.priority] : [3, 0]
        }
        expect(places).toEqual(stable(all, rank))
      }),
    )
  })

  it('as Linux 6.1 does, with active ones first', () => {
    fc.assert(
      fc.property(lists, (all) => {
        const places = sorted(all, () => apLists.sorts.activeFirst(v))
        const rank = (irq: Listed) => {
          if (irq.active) return [0, 0]
          return irq.pending ? [1, irq.priority] : [2, 0]
        }
        expect(places).toEqual(stable(all, rank))
      }),
    )
  })

  it('as Linux 7.2 does, with disabled groups last and mapped ones before others of their priority', () => {
    fc.assert(
      fc.property(lists, disabled, (all, off) => {
        const places = sorted(all, () => apLists.sorts.groupsFirst(v, off))
        const rank = (irq: Listed) => {
          if (!irq.active && !irq.pending) return [2, 0, 0, 0]
          return [isOff(irq, off) ? 1 : 0, irq.active ? 1 : 0, irq.priority, irq.mapped ? 0 : 1]
        }
        expect(places).toEqual(stable(all, rank))
      }),
    )
  })
})
