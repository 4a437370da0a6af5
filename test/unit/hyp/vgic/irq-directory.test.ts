/** The directory of a VM's interrupts: each has a kind and a number of its own, and nothing else has. */
import { VgicError } from 'vgic'
import { scenario } from 'vgic/scenario'
import { expect, it } from 'vitest'
import { asIrq, IRQ_LINK, irqAfter, VGIC_IRQ_VIEW } from '../../../../src/hyp/records/vgic-irq.ts'
import type { IrqKind } from '../../../../src/hyp/vgic/irq-directory.ts'

const { hypervisor } = scenario('directory').gic({ cpus: 2 }).vm({ vcpus: 3, spis: 40 }).machine()
const { interrupts, state, layout, apLists } = hypervisor

it('has the private interrupts of every vCPU and the SPIs, each once', () => {
  const kinds: IrqKind[] = []
  const words = new Set<number>()
  interrupts.forEach((irq, kind) => {
    kinds.push(kind)
    words.add(irq)
  })
  expect(words.size).toBe(3 * 32 + 40)
  expect(kinds.filter((kind) => kind === 'private')).toHaveLength(3 * 32)
  expect(words).toContain(apLists.irqOf(hypervisor.vcpu(2), 31))
  expect(words).toContain(apLists.irqOf(hypervisor.vcpu(0), 32 + 39))
})

it('numbers them without a gap, in a bitmap’s words of their own', () => {
  const numbers: number[] = []
  interrupts.forEach((irq) => {
    numbers.push(interrupts.indexOf(irq))
    expect(interrupts.atIndex(interrupts.indexOf(irq))).toBe(irq)
  })
  expect(numbers).toEqual(Array.from({ length: interrupts.count }, (_, i) => i))
})

it('knows of every word of the machine whether an interrupt has it, as the layout does', () => {
  const { layout } = state
  for (let word = 0; word < layout.length; word++) {
    const isIrq = layout.locate(word)?.word.view === VGIC_IRQ_VIEW
    expect([layout.nameOf(word), interrupts.kindAt(word) !== undefined]).toEqual([layout.nameOf(word), isIrq])
  }
})

it.each([
  ['the word before the SPIs', layout.spis - 1],
  ['the link of one', apLists.irqOf(hypervisor.vcpu(1), 40) + IRQ_LINK],
  ['the link of a private interrupt', apLists.irqOf(hypervisor.vcpu(1), 3) + IRQ_LINK],
  ['the word after them', irqAfter(asIrq(layout.spis), layout.spiCount)],
  ['a vCPU', layout.vcpus],
  ['nothing', 0],
])('refuses %s', (_, word) => {
  expect(() => interrupts.kindOf(asIrq(word))).toThrow(VgicError)
  expect(() => interrupts.indexOf(asIrq(word))).toThrow(`${word} is not the handle of an interrupt`)
})
