/**
 * The order in which a guest gets interrupts that wait together: by priority, and of equal priorities the
 * one that became pending first, for any number of list registers.
 */
import { type GuestBuilder, type Scenario, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { handle } from '../../kit/guest-lists.ts'

interface Waiting {
  readonly intid: number
  readonly priority: number
}

const unmasked = (guest: GuestBuilder): GuestBuilder => guest.onIrq(handle).onFiq(handle).unmask()

/** All SPIs have fired, in this order, before the guest's first instruction. */
function fired(spis: readonly Waiting[], listRegisters: number): Scenario {
  const s = scenario('they wait together').gic({ listRegisters })
  for (const spi of spis) s.spi(spi)
  return s.device('uart', (device) => {
    for (const { intid } of spis) device.at(0).pulse(intid)
  })
}

/** The order that the architecture and the ap_list promise. Array.sort is stable. */
const promised = (spis: readonly Waiting[]): number[] =>
  [...spis].sort((a, b) => a.priority - b.priority).map(({ intid }) => intid)

/** INTIDs in an order that is neither ascending nor descending, at `levels` priorities. */
function mixed(count: number, levels: number): Waiting[] {
  return Array.from({ length: count }, (_, i) => ({
    intid: 32 + ((i * 7 + 5) % count),
    priority: 0x20 + 0x20 * ((i * 3 + 1) % levels),
  }))
}

describe('interrupts that wait together, fewer than list registers', () => {
  it('come by priority', () => {
    const spis = [
      { intid: 40, priority: 0xa0 },
      { intid: 41, priority: 0x20 },
      { intid: 42, priority: 0x60 },
    ]
    expect(fired(spis, 4).guest(0, unmasked).run().acknowledged(0)).toEqual([41, 42, 40])
  })

  it('come in the order in which they became pending when they are equally urgent', () => {
    const spis = [42, 40, 43, 41].map((intid) => ({ intid, priority: 0x80 }))
    expect(fired(spis, 4).guest(0, unmasked).run().acknowledged(0)).toEqual([42, 40, 43, 41])
  })

  it('differ by one step of the five bits of priority at least', () => {
    const spis = [
      { intid: 40, priority: 0x87 },
      { intid: 41, priority: 0x80 },
      { intid: 42, priority: 0x78 },
    ]
    expect(fired(spis, 4).guest(0, unmasked).run().acknowledged(0)).toEqual([42, 40, 41])
  })

  it('come by priority across the groups, an FIQ being no more urgent than an IRQ', () => {
    const run = fired(
      [
        { intid: 40, priority: 0x80 },
        { intid: 41, priority: 0x40 },
        { intid: 42, priority: 0x20 },
      ],
      4,
    )
      .spi({ intid: 41, priority: 0x40, group: 0 })
      .guest(0, unmasked)
      .run()
    expect(run.acknowledged(0)).toEqual([42, 41, 40])
  })

  it('leave those that the guest masks where they are', () => {
    const spis = [
      { intid: 40, priority: 0xa0 },
      { intid: 41, priority: 0x20 },
    ]
    const run = fired(spis, 4)
      .cpuInterface(0, { priorityMask: 0xa0 })
      .guest(0, (guest) => unmasked(guest).hvc().hvc().priorityMask(0xf0))
      .run()
    expect(run.acknowledged(0)).toEqual([41, 40])
    const at = (what: string): number => run.events.findIndex((event) => event.what === what)
    expect(at('ack: ICC_IAR1_EL1 = SPI 40')).toBeGreaterThan(at('ICC_PMR_EL1 := 0xf0'))
  })
})

describe.each(Array.from({ length: 16 }, (_, i) => i + 1))('with %i list registers', (listRegisters) => {
  it('20 interrupts at five priorities all come, in order', () => {
    const spis = mixed(20, 5)
    const run = fired(spis, listRegisters).guest(0, unmasked).run()
    expect(run.acknowledged(0)).toEqual(promised(spis))
    expect(run.end).toBe('done')
  })

  it('20 equally urgent interrupts come in the order in which they became pending', () => {
    const spis = mixed(20, 1)
    const run = fired(spis, listRegisters).guest(0, unmasked).run()
    expect(run.acknowledged(0)).toEqual(spis.map(({ intid }) => intid))
  })

  it('a guest that polls instead of taking interrupts gets them all in order too', () => {
    const spis = mixed(20, 3)
    const run = fired(spis, listRegisters)
      .guest(0, (guest) => guest.loop(20, handle).ack())
      .run()
    expect(run.acknowledged(0)).toEqual([...promised(spis), 1023])
  })
})

describe('with one list register', () => {
  it('interrupts that come one after the other are all delivered', () => {
    const run = scenario('one at a time')
      .gic({ listRegisters: 1 })
      .spi({ intid: 40 })
      .spi({ intid: 41 })
      .guest(0, (guest) => unmasked(guest).wfi().wfi().wfi())
      .device('uart', (device) => device.pulse(41).pulse(40).pulse(41))
      .run()
    expect(run.acknowledged(0)).toEqual([41, 40, 41])
    expect(run.end).toBe('done')
  })
})

describe('SGIs, PPIs and SPIs together', () => {
  it('come by priority whatever their kind', () => {
    const run = scenario('kinds')
      .gic({ listRegisters: 2 })
      .sgi({ intid: 3, priority: 0x60 })
      .sgi({ intid: 4, priority: 0x20 })
      .ppi({ intid: 27, priority: 0x40, trigger: 'edge' })
      .spi({ intid: 40, priority: 0x80 })
      .guest(0, (guest) => unmasked(guest.sgi({ intid: 3, vcpus: [0] }).sgi({ intid: 4, vcpus: [0] })))
      .device('board', (device) => device.at(0).pulse(40).at(0).pulse(27))
      .run()
    expect(run.acknowledged(0)).toEqual([4, 27, 3, 40])
  })
})
