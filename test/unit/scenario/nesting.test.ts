/** Handlers that let themselves be interrupted, and the two steps of EOImode 1. */
import { ICC_BPR1_EL1, ICC_CTLR_EL1, ICC_DIR_EL1, ICC_PMR_EL1, ICC_RPR_EL1, ISR_EL1 } from 'vgic'
import {
  baselines,
  designs,
  type GuestBuilder,
  type InterruptConfig,
  kvm61,
  type OpList,
  type Run,
  scenario,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { EOI_MODE_1, ISR_I } from '../../kit/guest-lists.ts'

/** A handler that lets itself be interrupted for a while before it completes. */
const nesting = (handler: OpList): OpList =>
  handler
    .ack()
    .unmask('irq')
    .loop(100, (list) => list.read(ICC_PMR_EL1))
    .mask('irq')
    .eoi()

/** The interrupts fire one after the other, each while the handlers of the ones before still run. */
function inTurn(
  spis: readonly InterruptConfig[],
  start: (guest: GuestBuilder) => GuestBuilder = (guest) => guest,
): Run {
  const s = scenario('nesting')
  for (const spi of spis) s.spi(spi)
  return s
    .guest(0, (guest) => start(guest.onIrq(nesting)).unmask('irq'))
    .device('board', (device) => {
      for (const [i, { intid }] of spis.entries()) device.at(40 * i).pulse(intid)
    })
    .run({ steps: 5000 })
}

/** Entering and leaving handlers, acknowledging and completing, in order. */
const history = (run: Run): string[] =>
  run.events.flatMap(({ what, acknowledged }) => {
    if (acknowledged !== undefined) return [`ack ${acknowledged}`]
    return /^eoi|^eret/.test(what) ? [what.slice(0, 4).trim().replace(':', '')] : []
  })

/** How many handlers ran at once at the most. */
function depth(run: Run): number {
  let now = 0
  let most = 0
  for (const { what } of run.events) {
    if (what.startsWith('takes a virtual')) most = Math.max(most, ++now)
    if (what === 'eret') now--
  }
  return most
}

describe('a handler that unmasks', () => {
  const late = ['ack 40', 'eoi', 'eret', 'ack 41', 'eoi', 'eret']
  const nested = ['ack 40', 'ack 41', 'eoi', 'eret', 'eoi', 'eret']

  it.each([
    { other: 'a more urgent interrupt', priority: 0x40, expected: nested },
    { other: 'one that is more urgent by the least step', priority: 0x78, expected: nested },
    { other: 'an equally urgent one only after its end of interrupt', priority: 0x80, expected: late },
    { other: 'a less urgent one only after its end of interrupt', priority: 0xa0, expected: late },
  ])('is interrupted by $other', ({ priority, expected }) => {
    const run = inTurn([
      { intid: 40, priority: 0x80 },
      { intid: 41, priority },
    ])
    expect(history(run)).toEqual(expected)
    expect(run.end).toBe('done')
  })

  it.each([
    { binaryPoint: 3, nests: true },
    { binaryPoint: 4, nests: false },
    { binaryPoint: 7, nests: false },
  ])('with ICC_BPR1_EL1 = $binaryPoint: 0x80 preempts 0x88: $nests', ({ binaryPoint, nests }) => {
    const run = inTurn(
      [
        { intid: 40, priority: 0x88 },
        { intid: 41, priority: 0x80 },
      ],
      (guest) => guest.write(ICC_BPR1_EL1, binaryPoint),
    )
    expect(history(run)).toEqual(nests ? nested : late)
  })

  it('can be interrupted three more times; the next interrupt waits for the innermost handler to return', () => {
    const run = inTurn(
      [0xa0, 0x80, 0x60, 0x40, 0x20, 0x08].map((priority, i) => ({ intid: 40 + i, priority })),
    )
    expect(depth(run)).toBe(4)
    expect(run.acknowledged(0)).toEqual([40, 41, 42, 43, 45, 44])
    expect(run.end).toBe('done')
  })

  it('can be entered again for the same interrupt once that is completed', () => {
    const run = scenario('re-entry')
      .spi({ intid: 40 })
      .guest(0, (guest) =>
        guest
          .onIrq((handler) =>
            handler
              .ack()
              .eoi()
              .unmask('irq')
              .loop(60, (list) => list.read(ICC_PMR_EL1)),
          )
          .unmask('irq'),
      )
      .device('uart', (device) => device.at(0).pulse(40).at(60).pulse(40))
      .run({ steps: 5000 })
    expect(history(run)).toEqual(['ack 40', 'eoi', 'ack 40', 'eoi', 'eret', 'eret'])
    expect(depth(run)).toBe(2)
    expect(run.end).toBe('done')
  })

  it('completes what it acknowledged itself, not what the inner handler did', () => {
    const run = inTurn([
      { intid: 40, priority: 0x80 },
      { intid: 41, priority: 0x40 },
      { intid: 40, priority: 0x80 },
    ])
    expect(run.acknowledged(0)).toEqual([40, 41, 40])
    expect(run.end).toBe('done')
  })
})

describe('an active interrupt', () => {
  it.each([
    { name: 'fixed', baseline: baselines.fixed },
    { name: 'kvm61', baseline: kvm61 },
  ])('can be completed while more urgent ones fill the list registers: $name', ({ baseline }) => {
    const run = scenario('active')
      .design(baseline(designs.wfiFullPut))
      .gic({ listRegisters: 2 })
      .sgi({ intid: 1, priority: 0x40 })
      .sgi({ intid: 2, priority: 0x40 })
      .sgi({ intid: 3, priority: 0x40 })
      .guest(0, (guest) => {
        guest.sgi({ intid: 5, vcpus: [0] }).ack()
        for (const intid of [1, 2, 3]) guest.sgi({ intid, vcpus: [0] })
        return guest
          .eoi()
          .loop(3, (list) => list.ack().eoi())
          .sgi({ intid: 5, vcpus: [0] })
          .ack()
      })
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([5, 1, 2, 3, 5])
  })
})

describe('EOImode 1', () => {
  const self = { intid: 1, vcpus: [0] }

  it('drops the priority with EOIR and deactivates with DIR', () => {
    const run = scenario('EOI and DIR')
      .guest(0, (guest) =>
        guest
          .write(ICC_CTLR_EL1, EOI_MODE_1)
          .sgi(self)
          .ack()
          .eoi()
          .poll(ICC_RPR_EL1, 0xff, 0xff)
          .sgi(self)
          .poll(ISR_EL1, ISR_I, 0)
          .write(ICC_DIR_EL1, 1)
          .poll(ISR_EL1, ISR_I, ISR_I)
          .ack(),
      )
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([1, 1])
    expect(run.end).toBe('done')
  })

  it('with EOIR and DIR in the handler delivers every interrupt', () => {
    const run = scenario('handler with DIR')
      .spi({ intid: 40, trigger: 'level' })
      .guest(0, (guest) =>
        guest
          .write(ICC_CTLR_EL1, EOI_MODE_1)
          .onIrq((handler) => handler.ack().eoi().quiesce(40).write(ICC_DIR_EL1, 40))
          .unmask()
          .wfi()
          .wfi(),
      )
      .device('uart', (device) => device.raise(40).raise(40))
      .run()
    expect(run.acknowledged(0)).toEqual([40, 40])
    expect(run.end).toBe('done')
  })

  it('lets a level that stays high come again after DIR, not after EOIR', () => {
    const run = scenario('level with DIR')
      .spi({ intid: 40, trigger: 'level' })
      .guest(0, (guest) =>
        guest
          .write(ICC_CTLR_EL1, EOI_MODE_1)
          .poll(ISR_EL1, ISR_I, ISR_I)
          .ack()
          .eoi()
          .hvc()
          .poll(ISR_EL1, ISR_I, 0)
          .write(ICC_DIR_EL1, 40)
          .poll(ISR_EL1, ISR_I, ISR_I),
      )
      .device('uart', (device) => device.at(0).raise(40))
      .run({ steps: 1000 })
    expect(run.end).toBe('done')
  })

  it('lets more interrupts than list registers be active at once, and completes them in any order (case L4)', () => {
    const run = scenario('six SGIs, four list registers')
      .guest(0, (guest) => {
        guest.write(ICC_CTLR_EL1, EOI_MODE_1)
        for (let intid = 0; intid < 6; intid++) guest.sgi({ intid, vcpus: [0] })
        guest.loop(4, (list) => list.ack().eoi())
        for (const intid of [2, 0, 3, 1]) guest.write(ICC_DIR_EL1, intid)
        return guest.loop(2, (list) => list.ack().eoi().dir()).ack()
      })
      .run({ steps: 1000 })
    expect(run.acknowledged(0)).toEqual([0, 1, 2, 3, 4, 5, 1023])
    expect(run.end).toBe('done')
  })

  it('keeps a completed interrupt active for good without DIR', () => {
    const run = scenario('no DIR')
      .guest(0, (guest) => guest.write(ICC_CTLR_EL1, EOI_MODE_1).sgi(self).ack().eoi().sgi(self).hvc().ack())
      .run()
    expect(run.acknowledged(0)).toEqual([1, 1023])
  })

  it('survives exits: the guest’s ICC_CTLR_EL1 and active priorities come back with its vCPU', () => {
    const run = scenario('state across WFI')
      .spi({ intid: 40, priority: 0x40 })
      .guest(0, (guest) =>
        guest
          .write(ICC_CTLR_EL1, EOI_MODE_1)
          .sgi(self)
          .ack()
          .wfi()
          .poll(ICC_CTLR_EL1, EOI_MODE_1, EOI_MODE_1)
          .poll(ICC_RPR_EL1, 0xff, 0xa0)
          .eoi()
          .poll(ICC_RPR_EL1, 0xff, 0xff),
      )
      .device('uart', (device) => device.pulse(40))
      .run({ steps: 1000 })
    expect(run.counts(0).sleeps).toBe(1)
    expect(run.end).toBe('done')
  })
})
