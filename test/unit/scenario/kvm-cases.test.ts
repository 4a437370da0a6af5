/**
 * What a guest of Linux 6.1 sees of its distributor and redistributor while its interrupts are in list registers, as
 * recorded (KVM-WFI.md, by its cases): design `wfi-handler` on baseline `kvm61`.
 */
import { ICC_CTLR_EL1, ICC_DIR_EL1, ICC_EOIR1_EL1, ICC_RPR_EL1, ISR_EL1 } from 'vgic'
import {
  baselines,
  type Design,
  designs,
  type GuestBuilder,
  kvm61,
  type OpList,
  type Run,
  type Scenario,
  scenario,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import {
  GICD,
  ICACTIVER,
  ICENABLER,
  ICPENDR,
  ISACTIVER,
  ISENABLER,
  ISPENDR,
  sgiBase,
  wordOf,
} from '../../kit/frames.ts'
import { EOI_MODE_1, handle, ISR_I, self } from '../../kit/guest-lists.ts'

const GICD_CTLR = GICD
const GICD_ISENABLER1 = wordOf(ISENABLER, 32)
const GICD_ICENABLER1 = wordOf(ICENABLER, 32)
const GICD_ISPENDR1 = wordOf(ISPENDR, 32)
const GICD_ICPENDR1 = wordOf(ICPENDR, 32)
const GICD_ISACTIVER1 = wordOf(ISACTIVER, 32)
const GICR_ISENABLER0 = sgiBase(0) + ISENABLER
const GICR_ICENABLER0 = sgiBase(0) + ICENABLER
const GICR_ISPENDR0 = sgiBase(0) + ISPENDR
const GICR_ISACTIVER0 = sgiBase(0) + ISACTIVER
const GICR_ICACTIVER0 = sgiBase(0) + ICACTIVER
const SPI_42 = 1 << 10
const ENABLED = 0x12
const DISABLED = 0x10

const recorded = (name: string, design: Design = kvm61(designs.wfiHandler)): Scenario =>
  scenario(name).gic({ spis: 64 }).vm({ vcpus: 1, spis: 64, timers: true }).design(design)
const level = (name: string) => recorded(name).spi({ intid: 42, trigger: 'level', priority: 0x50 })

/** What the guest read, from memory and from registers, in order. */
function reads(s: Scenario): number[] {
  const run = s.run({ steps: 5000 })
  expect(run.end).toBe('done')
  return run.events.flatMap(({ value }) => (value === undefined ? [] : [value]))
}

/** GICD_ISPENDR1 and GICD_ISACTIVER1. */
const pendingAndActive = (list: OpList): OpList => list.readMmio(GICD_ISPENDR1).readMmio(GICD_ISACTIVER1)
const sgisPendingAndActive = (list: OpList): OpList => list.readMmio(GICR_ISPENDR0).readMmio(GICR_ISACTIVER0)

describe('a level-sensitive SPI that software makes pending (L8)', () => {
  it('is pending, taken, and done with at its EOI', () => {
    const s = level('ISPENDR').guest(0, (guest) => {
      pendingAndActive(guest.writeMmio(GICD_ISPENDR1, SPI_42))
      pendingAndActive(guest.ack().eoi()).ack()
    })
    expect(reads(s)).toEqual([SPI_42, 0, 42, 0, 0, 1023])
  })

  it('still reads as pending while it is active: its latch goes when it is done with', () => {
    const s = level('latch').guest(0, (guest) => {
      pendingAndActive(guest.writeMmio(GICD_ISPENDR1, SPI_42).ack())
      pendingAndActive(guest.eoi())
    })
    expect(reads(s)).toEqual([42, SPI_42, SPI_42, 0, 0])
  })

  it('is withdrawn by ICPENDR before it is acknowledged', () => {
    const s = level('ICPENDR').guest(0, (guest) => {
      guest.writeMmio(GICD_ISPENDR1, SPI_42).poll(ISR_EL1, ISR_I, ISR_I)
      pendingAndActive(guest.writeMmio(GICD_ICPENDR1, SPI_42)).ack()
    })
    expect(reads(s)).toEqual([0, 0, 1023])
  })
})

describe('a level-sensitive SPI whose line is high (L9)', () => {
  const raised = (write: (guest: GuestBuilder) => unknown): Scenario =>
    level('line')
      .guest(0, (guest) => write(guest.wfi()))
      .device('uart', (device) => device.raise(42))

  it('stays pending whatever ICPENDR says', () => {
    const s = raised((guest) => pendingAndActive(guest.writeMmio(GICD_ICPENDR1, SPI_42)))
    expect(reads(s)).toEqual([SPI_42, 0])
  })

  it('is not presented while it is disabled, and is again when it is enabled', () => {
    const s = raised((guest) =>
      guest
        .writeMmio(GICD_ICENABLER1, SPI_42)
        .ack()
        .writeMmio(GICD_ISENABLER1, SPI_42)
        .ack()
        .quiesce(42)
        .eoi(),
    )
    expect(reads(s)).toEqual([1023, 42])
  })
})

describe('an edge that comes while the one before is active', () => {
  it('is pending and active in the registers, and comes after the EOI (L7)', () => {
    const s = recorded('edge')
      .spi({ intid: 42, priority: 0x50 })
      .guest(0, (guest) => {
        pendingAndActive(
          guest
            .wfi()
            .ack()
            .loop(30, (list) => list.hvc()),
        )
        pendingAndActive(guest.eoi().ack().eoi()).ack()
      })
      .device('board', (device) => device.pulse(42).at(200).pulse(42))
    expect(reads(s)).toEqual([42, SPI_42, SPI_42, 42, 0, 0, 1023])
  })

  it('as an SGI likewise; ICACTIVER leaves it pending, and the running priority to the EOI (L10)', () => {
    const s = recorded('SGI 5').guest(0, (guest) => {
      sgisPendingAndActive(guest.sgi(self(5)).ack().sgi(self(5)).read(ICC_RPR_EL1))
      guest.writeMmio(GICR_ICACTIVER0, 1 << 5).read(ICC_RPR_EL1)
      sgisPendingAndActive(guest).ack().write(ICC_EOIR1_EL1, 5).read(ICC_RPR_EL1)
      sgisPendingAndActive(guest).ack()
    })
    const bit = 1 << 5
    expect(reads(s)).toEqual([5, 0xa0, bit, bit, 0xa0, bit, 0, 1023, 0xff, bit, 0, 5])
  })
})

describe('four active SGIs in four list registers', () => {
  const priorities = [0xe0, 0xd0, 0xc0, 0xb0, 0]
  const four = (write: (guest: GuestBuilder) => unknown): Scenario => {
    const s = recorded('four')
    for (const [i, priority] of priorities.entries()) s.sgi({ intid: i + 1, priority })
    return s.guest(0, write)
  }

  it('hide a fifth, which the registers have as pending (L3)', () => {
    const s = four((guest) => {
      for (const intid of [1, 2, 3, 4]) guest.sgi(self(intid)).ack()
      sgisPendingAndActive(guest.sgi(self(5)).ack().read(ICC_RPR_EL1))
    })
    expect(reads(s)).toEqual([1, 2, 3, 4, 1023, 0xb0, 1 << 5, 0x1e])
  })

  it('whose priority was dropped hide it too, until one is deactivated and only one is left (L11)', () => {
    const s = four((guest) => {
      guest.write(ICC_CTLR_EL1, EOI_MODE_1)
      for (const intid of [1, 2, 3, 4]) guest.sgi(self(intid)).ack().eoi()
      sgisPendingAndActive(guest.sgi(self(5)).read(ICC_RPR_EL1)).ack()
      guest.write(ICC_DIR_EL1, 1).write(ICC_DIR_EL1, 2).ack().write(ICC_DIR_EL1, 3).ack()
    })
    expect(reads(s)).toEqual([1, 2, 3, 4, 0xff, 1 << 5, 0x1e, 1023, 1023, 5])
  })
})

describe('an SGI that is sent while the distributor is off (W10)', () => {
  const off = (design: Design): Run =>
    recorded('off', design)
      .vm({ vcpus: 2, spis: 64, timers: true })
      .guest(0, (guest) =>
        guest
          .onIrq((handler) =>
            handler
              .ack()
              .on(27, (list) => list.stopTimer())
              .eoi(),
          )
          .writeMmio(GICD_CTLR, DISABLED)
          .sgi(self(1))
          .timer(3000)
          .unmask()
          .wfi()
          .mask()
          .hvc()
          .writeMmio(GICR_ISENABLER0, 1 << 1)
          .unmask()
          .hvc(),
      )
      .guest(1, (guest) => guest.loop(100, (list) => list.hvc()).writeMmio(GICD_CTLR, ENABLED))
      .run()
  const sleepsUntil = (run: Run): string => {
    const enables = run.events.findIndex(
      ({ actor, what }) => actor.index === 1 && what.startsWith('GICD_CTLR := 0x12'),
    )
    expect(enables).toBeGreaterThan(0)
    const wakes = run.events.findIndex(
      ({ actor, what }, i) => i > enables && actor.index === 0 && what.startsWith('gets'),
    )
    const timer = run.events.findIndex(({ actor }) => actor.kind === 'timer')
    return wakes < timer ? 'the enable' : 'the timer'
  }

  it('does not wake when it is on again: only what queues it brings it', () => {
    const run = off(kvm61(designs.wfiHandler))
    expect(sleepsUntil(run)).toBe('the timer')
    expect(run.acknowledged(0)).toEqual([27, 1])
    expect(run.end).toBe('done')
  })

  it('wakes with the good choice', () => {
    const run = off(baselines.fixed(designs.wfiHandler))
    expect(sleepsUntil(run)).toBe('the enable')
    expect(run.acknowledged(0)[0]).toBe(1)
  })

  it('leaves a vCPU alone that has nothing pending', () => {
    const run = recorded('nothing')
      .vm({ vcpus: 2, spis: 64 })
      .spi({ intid: 40 })
      .guest(0, (guest) => guest.onIrq(handle).unmask().wfi())
      .guest(1, (guest) =>
        guest
          .loop(20, (list) => list.hvc())
          .writeMmio(GICD_CTLR, DISABLED)
          .writeMmio(GICD_CTLR, ENABLED),
      )
      .device('uart', (device) => device.pulse(40))
      .run()
    expect(run.counts(0).sleeps).toBe(1)
    expect(run.acknowledged(0)).toEqual([40])
  })
})

describe('an SGI that is sent while it is disabled (W11)', () => {
  it('waits at the redistributor, and ICPENDR takes it away', () => {
    const s = recorded('disabled').guest(0, (guest) => {
      guest
        .writeMmio(GICR_ICENABLER0, 1 << 7)
        .sgi(self(7))
        .ack()
      guest.readMmio(GICR_ISPENDR0).writeMmio(GICR_ISPENDR0 + 0x80, 1 << 7)
      guest
        .readMmio(GICR_ISPENDR0)
        .writeMmio(GICR_ISENABLER0, 1 << 7)
        .ack()
    })
    expect(reads(s)).toEqual([1023, 1 << 7, 0, 1023])
  })

  it('comes when it is enabled', () => {
    const s = recorded('enabled').guest(0, (guest) =>
      guest
        .writeMmio(GICR_ICENABLER0, 1 << 7)
        .sgi(self(7))
        .ack()
        .writeMmio(GICR_ISENABLER0, 1 << 7)
        .ack(),
    )
    expect(reads(s)).toEqual([1023, 7])
  })
})
