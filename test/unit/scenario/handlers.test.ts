/** What a guest's handler can tell apart and count, and what a step of the guest says that it read. */
import { ICC_PMR_EL1, ICC_RPR_EL1, ISR_EL1 } from 'vgic'
import { type GuestBuilder, type OpList, type Run, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { handle, self } from '../../kit/guest-lists.ts'

const guest = (write: (guest: GuestBuilder) => unknown, steps = 2000): Run =>
  scenario('one guest').guest(0, write).run({ steps })
const whats = (run: Run): string[] => run.events.map(({ what }) => what)
const hvcs = (run: Run): number => whats(run).filter((what) => what.startsWith('hvc')).length

describe('on(intid) of a handler', () => {
  const one = (list: OpList): OpList => list.hvc()

  it('does its list for the INTID that was acknowledged, and only then', () => {
    const run = guest((list) =>
      list
        .onIrq((handler) => handler.ack().on(3, one).eoi())
        .unmask()
        .sgi(self(2))
        .sgi(self(3))
        .sgi(self(3))
        .sgi(self(4)),
    )
    expect(run.acknowledged(0)).toEqual([2, 3, 3, 4])
    expect(hvcs(run)).toBe(2)
    expect(run.end).toBe('done')
  })

  it('may stand several times, and inside one another', () => {
    const run = guest((list) =>
      list
        .onIrq((handler) =>
          handler
            .ack()
            .on(3, (inner) => inner.hvc().on(3, one).on(4, one))
            .on(4, (inner) => inner.hvc().hvc().hvc())
            .eoi(),
        )
        .unmask()
        .sgi(self(3))
        .sgi(self(4)),
    )
    expect(hvcs(run)).toBe(2 + 3)
  })

  it('goes by the acknowledge of its own list: one inside another asks its own', () => {
    const run = guest((list) =>
      list
        .onIrq((handler) => handler.ack().on(3, one).eoi())
        .sgi(self(3))
        .ack()
        .eoi()
        .unmask()
        .sgi(self(2))
        .on(3, (inner) => inner.hvc().hvc()),
    )
    expect(run.acknowledged(0)).toEqual([3, 2])
    expect(hvcs(run)).toBe(2)
  })

  it('refuses what is no INTID', () => {
    expect(() => guest((list) => list.on(-1, one))).toThrow('intid must be an integer')
  })
})

describe('untilInterrupts', () => {
  it('spins until the handlers have run so often, in all', () => {
    const run = guest((list) =>
      list
        .onIrq(handle)
        .unmask()
        .sgi(self(1))
        .untilInterrupts(1)
        .read(ISR_EL1)
        .sgi(self(2))
        .sgi(self(3))
        .untilInterrupts(3)
        .hvc(),
    )
    expect(run.acknowledged(0)).toEqual([1, 2, 3])
    expect(run.end).toBe('done')
  })

  it('spins for ever if they do not', () => {
    const run = guest((list) => list.onIrq(handle).unmask().sgi(self(1)).untilInterrupts(2).hvc(), 500)
    expect(run.end).toBe('bound')
    expect(hvcs(run)).toBe(0)
  })

  it('counts handlers for IRQ and for FIQ', () => {
    const run = scenario('both groups')
      .sgi({ intid: 1, group: 0 })
      .guest(0, (list) =>
        list
          .onIrq(handle)
          .onFiq(handle)
          .unmask()
          .sgi({ ...self(1), group: 0 })
          .sgi(self(2))
          .untilInterrupts(2),
      )
      .run({ steps: 500 })
    expect(run.acknowledged(0)).toEqual([1, 2])
    expect(run.end).toBe('done')
  })

  it('is one of the four loops of a guest', () => {
    const four = (list: GuestBuilder) =>
      [1, 2, 3, 4].reduce((inner) => inner.loop(2, (body) => body.read(ICC_PMR_EL1)), list.untilInterrupts(1))
    expect(() => guest(four)).toThrow('A guest can have 4 loops')
  })
})

describe('a step in which the guest reads a register', () => {
  it('says what it read', () => {
    const run = guest((list) =>
      list.sgi(self(5)).read(ISR_EL1).ack().read(ICC_RPR_EL1).eoi().read(ICC_RPR_EL1),
    )
    const values = run.events.flatMap(({ what, value }) => (value === undefined ? [] : [[what, value]]))
    expect(values).toEqual([
      ['read ISR_EL1', 0x80],
      ['ack: ICC_IAR1_EL1 = SGI 5', 5],
      ['read ICC_RPR_EL1', 0xa0],
      ['read ICC_RPR_EL1', 0xff],
    ])
  })

  it('from memory, in the step that does the access: of the emulated GIC, and of what nobody has', () => {
    const run = guest((list) =>
      list.writeMmio(0x0800_0104, 0xf0).readMmio(0x0800_0104).readMmio(0x0800_0105, 1).readMmio(0x0900_0000),
    )
    const values = run.events.flatMap(({ place, what, value }) =>
      value === undefined ? [] : [[place, what, value]],
    )
    expect(values).toEqual([
      ['mmio', 'emulateMmio done = 0xf0', 0xf0],
      ['mmio', 'emulateMmio done = 0x0', 0],
      ['mmio', 'userspace = 0x0', 0],
    ])
  })
})
