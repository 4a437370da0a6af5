/** Every interleaving of accesses to the emulated GIC with entries, exits, halts and devices. */

import type { Report } from 'vgic/explore'
import { baselines, type Design, designs, edit, kvm61, type Scenario, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import {
  bitOf,
  GICD,
  ICACTIVER,
  ICPENDR,
  IROUTER,
  ISACTIVER,
  ISENABLER,
  ISPENDR,
  wordOf,
} from '../../kit/frames.ts'
import { handle } from '../../kit/guest-lists.ts'
import { explore } from './checked.ts'

const SPI = 40
const every = Object.values(designs).map((design) => ({ name: design.name, design: baselines.fixed(design) }))
/** Those that differ in what an access meets: loaded or not, with the flag or without. */
const some = every.filter(({ name }) => ['wfi-handler', 'wfi-full-put', 'run-loop-load'].includes(name))
const found = ({ complete, violation }: Report) => ({ complete, violation: violation?.invariant })
const fine = { complete: true, violation: undefined }

/** vCPU 1 waits for the SPI, which a device fires; vCPU 0 makes one access. */
const bystander = (design: Design, address: number, value?: number): Scenario =>
  scenario('an access beside an interrupt')
    .vm({ vcpus: 2 })
    .design(design)
    .spi({ intid: SPI, vcpu: 1 })
    .guest(0, (guest) => (value === undefined ? guest.readMmio(address) : guest.writeMmio(address, value)))
    .guest(1, (guest) => guest.onIrq(handle).unmask().wfi())
    .device('board', (device) => device.pulse(SPI))

describe('an access that stops the other vCPU', () => {
  it.each(some)('loses no interrupt and always ends: $name', ({ design }) => {
    expect(found(explore(bystander(design, wordOf(ISACTIVER, SPI))))).toEqual(fine)
    expect(found(explore(bystander(design, wordOf(ISPENDR, SPI))))).toEqual(fine)
  })

  it.each(some)('that clears an edge takes it away for good, at most: $name', ({ design }) => {
    // The guest may sleep for ever then, with nothing pending: no violation.
    expect(found(explore(bystander(design, wordOf(ICPENDR, SPI), bitOf(SPI))))).toEqual(fine)
  })

  it.each(some)('that deactivates makes what is pending come again: $name', ({ design }) => {
    expect(found(explore(bystander(design, wordOf(ICACTIVER, SPI), bitOf(SPI))))).toEqual(fine)
  })

  it('by both at once: one waits for the other, and both end', () => {
    const both = scenario('both stop the VM')
      .vm({ vcpus: 2 })
      .design(baselines.fixed(designs.wfiHandler))
      .guest(0, (guest) => guest.readMmio(wordOf(ISACTIVER, SPI)))
      .guest(1, (guest) => guest.readMmio(wordOf(ISACTIVER, SPI)))
    expect(found(explore(both))).toEqual(fine)
  })
})

describe('the distributor switched on beside an interrupt', () => {
  const switched = (design: Design): Scenario =>
    scenario('switched on')
      .vm({ vcpus: 2, distributor: 'reset' })
      .design(design)
      .spi({ intid: SPI, vcpu: 1 })
      .guest(0, (guest) => guest.writeMmio(GICD, 2))
      .guest(1, (guest) => guest.onIrq(handle).unmask().wfi())
      .device('board', (device) => device.pulse(SPI))

  it.each(every)('delivers it whatever comes first: $name', ({ design }) => {
    expect(found(explore(switched(design)))).toEqual(fine)
  })

  it('is lost to a vCPU that sleeps without the re-evaluation', () => {
    const careless = edit(baselines.fixed(designs.wfiHandler))
      .omitAll('reevaluate')
      .design('without reevaluate')
    expect(explore(switched(careless)).violation).toMatchObject({ invariant: 'L1' })
  })

  it('as Linux 6.1 does it, leaves a vCPU asleep with what became pending before', () => {
    expect(explore(switched(kvm61(designs.wfiHandler))).violation).toMatchObject({ invariant: 'L1' })
  })
})

describe('an interrupt that is enabled or moved beside its device', () => {
  const changed = (design: Design, address: number, value: number, size: 4 | 8): Scenario =>
    scenario('changed')
      .vm({ vcpus: 2 })
      .design(design)
      .spi({ intid: SPI, vcpu: address === GICD + IROUTER + 8 * SPI ? 0 : 1, enabled: size === 8 })
      .guest(0, (guest) => guest.writeMmio(address, value, size))
      .guest(1, (guest) => guest.onIrq(handle).unmask().wfi())
      .device('board', (device) => device.pulse(SPI))

  it.each(every)('is delivered when it is enabled: $name', ({ design }) => {
    expect(found(explore(changed(design, wordOf(ISENABLER, SPI), bitOf(SPI), 4)))).toEqual(fine)
  })

  it.each(every)('is delivered where it is routed to: $name', ({ design }) => {
    expect(found(explore(changed(design, GICD + IROUTER + 8 * SPI, 1, 8)))).toEqual(fine)
  })
})
