/** Hot code reads packed words by generated masks and shifts, and by functions of them; people read the declarations. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { extractField, type Field, type RegisterView } from '../../../../src/arch/field.ts'
import { intidName } from '../../../../src/arch/intid.ts'
import * as pstate from '../../../../src/gic/records/pstate.ts'
import * as guest from '../../../../src/hyp/records/guest-offsets.ts'
import * as vcpu from '../../../../src/hyp/records/vcpu.ts'
import * as vgicIrq from '../../../../src/hyp/records/vgic-irq.ts'
import { Layout } from '../../../../src/state/layout.ts'
import type { BitRows } from '../../../../src/state/rows.ts'

type Exports = Readonly<Record<string, unknown>>

const { DAIF_I, DAIF_F, PSTATE_EL } = pstate.pstateBits

const words: [string, RegisterView, BitRows, Exports][] = [
  ['the thread', vcpu.THREAD_VIEW, vcpu.threadBits, vcpu],
  ['PSTATE', pstate.PSTATE_VIEW, pstate.pstateBits, pstate],
  ['SPSR_EL2', pstate.SPSR_VIEW, { DAIF_I, DAIF_F, PSTATE_EL }, pstate],
  ['DAIF', pstate.DAIF_VIEW, { DAIF_I, DAIF_F }, pstate],
  ['vgic_irq', vgicIrq.VGIC_IRQ_VIEW, vgicIrq.vgicIrqBits, vgicIrq],
]

function fieldOf(view: RegisterView, name: string): Field {
  const found = view.fields.find((field) => field.name === name)
  if (!found) throw new Error(`${view.name} has no field ${name}`)
  return found
}

describe.each(words)('the constants of the word of %s', (_, view, rows, exports) => {
  it('tile the word together with what is reserved', () => {
    let next = 31
    for (const { hi, lo } of view.fields) {
      expect(hi).toBe(next)
      next = lo - 1
    }
    expect(next).toBe(-1)
  })

  it.each(Object.entries(rows))('%s is the mask of its field, its shift the lowest bit', (name, row) => {
    const field = fieldOf(view, row.name)
    const mask = exports[name]
    const shift = exports[`${name}_SHIFT`] ?? field.lo
    if (typeof mask !== 'number' || typeof shift !== 'number') throw new Error(`${name} is no constant`)
    fc.assert(
      fc.property(fc.integer(), (word) => {
        expect((word & mask) >>> shift).toBe(extractField(field, word, 0))
      }),
      { examples: [[0], [-1]] },
    )
  })

  it('of values are what the field reads as, in the order of their names', () => {
    for (const { name, values = {} } of Object.values(rows)) {
      const field = fieldOf(view, name)
      for (const [i, [constant, [called]]] of Object.entries(values).entries()) {
        expect(extractField(field, Number(exports[constant]), 0)).toBe(i)
        if (called !== undefined) expect(field.values?.[i]).toBe(called)
      }
    }
  })

  it('of flags are single bits of their field', () => {
    for (const { name, flags = {} } of Object.values(rows)) {
      const field = fieldOf(view, name)
      const bits = Object.keys(flags).map((constant) => extractField(field, Number(exports[constant]), 0))
      expect(bits).toEqual(bits.map((_, i) => 2 ** i))
    }
  })
})

describe('SPSR_EL2 in the word of PSTATE', () => {
  it.each(['I', 'F', 'EL'])('has %s where PSTATE has it, higher by the shift', (name) => {
    const below = fieldOf(pstate.PSTATE_VIEW, name)
    const above = fieldOf(pstate.PSTATE_VIEW, `SPSR_EL2.${name}`)
    expect([above.hi, above.lo]).toEqual([below.hi + pstate.SPSR_SHIFT, below.lo + pstate.SPSR_SHIFT])
    expect(((1 << above.hi) | (1 << above.lo)) & ~pstate.SPSR).toBe(0)
  })

  it('saves all its fields, and an exception masks interrupts at EL2', () => {
    const saved = pstate.DAIF_I | pstate.DAIF_F | pstate.PSTATE_EL
    expect(pstate.PSTATE_SAVED).toBe(saved)
    expect(pstate.PSTATE_SAVED << pstate.SPSR_SHIFT).toBe(pstate.SPSR_I | pstate.SPSR_F | pstate.SPSR_EL)
    expect(extractField(fieldOf(pstate.PSTATE_VIEW, 'EL'), pstate.PSTATE_EL2_MASKED, 0)).toBe(2)
    expect(pstate.PSTATE_EL2_MASKED & ~pstate.PSTATE_EL).toBe(pstate.DAIF_I | pstate.DAIF_F)
  })
})

describe('an interrupt', () => {
  const read = (name: string, irq: number) => extractField(fieldOf(vgicIrq.VGIC_IRQ_VIEW, name), irq, 0)

  it('has its priority, its target and its ap_list where the declaration has them', () => {
    fc.assert(
      fc.property(fc.integer(), (irq) => {
        expect(vgicIrq.irqPriority(irq)).toBe(read('priority', irq))
        expect(vgicIrq.irqTarget(irq)).toBe(read('target', irq))
        expect(vgicIrq.irqApListOf(irq)).toBe(read('apListOf', irq))
      }),
      { examples: [[0], [-1]] },
    )
  })

  it('is pending by its latch or its line, and deliverable if it is enabled and not active', () => {
    fc.assert(
      fc.property(fc.integer(), (irq) => {
        const isPending = read('latch', irq) === 1 || read('line', irq) === 1
        expect(vgicIrq.irqIsPending(irq)).toBe(isPending)
        const isDeliverable = isPending && read('enabled', irq) === 1 && read('active', irq) === 0
        expect(vgicIrq.irqIsDeliverable(irq)).toBe(isDeliverable)
      }),
    )
  })

  it('makes a list register of its priority, its group, HW, and Active of its state', () => {
    fc.assert(
      fc.property(fc.integer(), (irq) => {
        const high = vgicIrq.irqListRegister(irq)
        expect((high >>> 16) & 0xff).toBe(read('priority', irq))
        expect((high >>> 28) & 1).toBe(read('group1', irq))
        expect((high >>> 29) & 1).toBe(read('hw', irq))
        expect((high >>> 30) & 1).toBe(0)
        expect(high >>> 31).toBe(read('active', irq))
        expect(high & 0xff00ffff & 0x0fffffff).toBe(0)
      }),
    )
  })

  it('takes pending and active of a list register', () => {
    fc.assert(
      fc.property(fc.integer(), (high) => {
        const irq = vgicIrq.irqStateOf(high)
        expect(read('latch', irq)).toBe((high >>> 30) & 1)
        expect(read('active', irq)).toBe(high >>> 31)
        expect(irq & ~(vgicIrq.IRQ_LATCH | vgicIrq.IRQ_ACTIVE)).toBe(0)
      }),
    )
  })

  it('with an input of a level follows it: an edge is latched by its rise, a line has the level', () => {
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(0, 1), (irq, level) => {
        const isEdge = read('edge', irq) === 1
        fc.pre(!isEdge || read('line', irq) === 0) // An edge has no line: guest-gic.test.ts.
        const moves = vgicIrq.irqInputMoves(irq, level)
        expect(moves).toBe(isEdge ? level === 1 : read('line', irq) !== level)
        if (!moves) return
        const after = vgicIrq.irqWithInput(irq)
        if (isEdge) expect(read('latch', after)).toBe(1)
        else expect(read('line', after)).toBe(level)
      }),
    )
  })
})

describe('the constants of the record of a vCPU', () => {
  const size = { listRegisters: 4, ownWords: ['flag'] }
  const record = vcpu.vcpuRecord(size, { steps: [], guests: [] })
  const layout = new Layout([[record, 2]])

  it.each([
    ['VCPU_PC', vcpu.VCPU_PC, 'pc'],
    ['VCPU_THREAD', vcpu.VCPU_THREAD, 'thread'],
    ['VCPU_AP1R', vcpu.VCPU_AP1R + 3, 'ap1r[3]'],
    ['GUEST_PC', guest.GUEST_PC, 'guest.pc'],
    ['GUEST_ACK', guest.GUEST_ACK + 4, 'guest.ack[4]'],
    ['VCPU_IRQ', vcpu.privateIrq(vcpu.asVcpu(0), 27), intidName(27)],
    ['VCPU_WFIT_DEADLINE', vcpu.VCPU_WFIT_DEADLINE + 1, 'wfitDeadline'],
    ['VCPU_LR_IRQ', vcpu.VCPU_LR_IRQ + 3, 'lrIrq[3]'],
    [
      "an interrupt's link",
      vcpu.privateIrq(vcpu.asVcpu(0), 27) + vgicIrq.IRQ_LINK,
      `${intidName(27)} apNext`,
    ],
    ["a design's own words", vcpu.ownWordsOffset(size), 'own.flag'],
  ])('say where %s is', (_, at, name) => {
    expect(layout.nameOf(record.size + at)).toBe(`vcpu[1].${name}`)
  })
})
