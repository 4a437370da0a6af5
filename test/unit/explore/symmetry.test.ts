/** What a scenario may declare to be symmetric, and what that is worth. */
import { ICC_HPPIR1_EL1 } from 'vgic'
import type { Bounds } from 'vgic/explore'
import { type Design, designs, type GuestBuilder, type Scenario, scenario, steps } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { explore } from './checked.ts'

const invariants = ['S8', 'S19', 'L1', 'L3', 'L6'] as const
const waits = (guest: GuestBuilder) =>
  guest
    .onIrq((handler) => handler.ack().eoi())
    .unmask()
    .wfi()

/** Devices that each raise an edge of an SPI of its own, all of vCPU 0. */
function devices(count: number, write = waits): Scenario {
  const recipe = scenario('devices').vm({ vcpus: 1, spis: 64 }).guest(0, write)
  for (let n = 0; n < count; n++)
    recipe.spi({ intid: 40 + n }).device(`nic${n}`, (device) => device.pulse(40 + n))
  return recipe
}

/** vCPUs that each wait for a device of their own. */
function pairs(count: number, write = waits): Scenario {
  const recipe = scenario('pairs').vm({ vcpus: count, spis: 64 })
  for (let n = 0; n < count; n++) {
    recipe.guest(n, write).spi({ intid: 40 + n, vcpu: n })
    recipe.device(`nic${n}`, (device) => device.pulse(40 + n))
  }
  return recipe
}

const all = (count: number): readonly [number, string][] =>
  Array.from({ length: count }, (_, n) => [n, `nic${n}`])
const search = (recipe: Scenario, more: Bounds = {}) =>
  explore(recipe, { invariants, symmetry: true, ...more })

describe('of devices that are alike', () => {
  const one: Design = {
    name: 'one step',
    thread: [steps.stop],
    schedOut: [],
    schedIn: [],
    inject: [steps.queueInterrupt],
    msi: [steps.translate, steps.queueInterrupt],
  }

  it.each([
    // With k of n devices done, and the thread's one step: n + 1 numbers of devices, twice.
    { count: 2, states: 6, transitions: 7 },
    { count: 3, states: 8, transitions: 10 },
    { count: 4, states: 10, transitions: 13 },
  ])('$count, each with a step, the states are as many as counted by hand', ({ count, states }) => {
    // Nothing is queued while the distributor is off, so that the order of the devices leaves no trace.
    const recipe = devices(count).vm({ vcpus: 1, spis: 64, distributor: 'reset' }).design(one)
    expect(
      search(recipe.symmetric('nic0', ...Array.from({ length: count - 1 }, (_, n) => `nic${n + 1}`))),
    ).toMatchObject({ complete: true, states })
    expect(explore(recipe, { invariants }).states).toBe(2 * 2 ** count)
  })

  it('the least of six hashes agrees with that of another state more often than one does', () => {
    const { states, omission } = search(devices(3).symmetric('nic0', 'nic1', 'nic2'))
    expect(omission).toBeCloseTo((((states * (states - 1)) / 2 ** 64) * 36) / 11, 20)
  })

  it('several groups change places, each for itself', () => {
    const recipe = devices(4).vm({ vcpus: 1, spis: 64, distributor: 'reset' }).design(one)
    expect(search(recipe.symmetric('nic0', 'nic1').symmetric('nic2', 'nic3')).states).toBe(2 * 3 * 3)
  })
})

describe('what is declared to be symmetric', () => {
  it('is needed for a search with symmetry', () => {
    expect(() => search(devices(2))).toThrow(/declares nothing to be symmetric: call symmetric\(\)/)
  })

  it.each<[string, () => Scenario, RegExp]>([
    ['is a vCPU of the VM', () => devices(2).symmetric(0, 1), /names vCPU 1, but the VM has 1/],
    [
      'is a device that there is once',
      () => devices(2).symmetric('nic0', 'disk'),
      /device disk, of which there are 0/,
    ],
    ['is named once', () => devices(2).symmetric('nic0', 'nic0'), /names device nic0 twice/],
    [
      'has parts of one form',
      () => pairs(2).symmetric([0, 'nic0'], 1),
      /as many vCPUs and as many devices each/,
    ],
    [
      'is not more than can be looked up',
      () => devices(5).symmetric(...[0, 1, 2, 3, 4].map((n) => `nic${n}`)),
      /has 120 permutations, but 24 are the most/,
    ],
  ])('%s', (_, recipe, message) => {
    expect(() => recipe().machine()).toThrow(message)
  })

  it('has two parts or more', () => {
    expect(() => devices(2).symmetric('nic0')).toThrow(/fewer than two parts/)
  })

  it.each<[string, Scenario, RegExp]>([
    [
      'has devices with as many steps',
      devices(2)
        .device('disk', (d) => d.pulse(44).pulse(44))
        .symmetric('nic0', 'disk'),
      /device nic0 is done where disk pulses SPI 44/,
    ],
    [
      'has devices that do the same',
      devices(1)
        .device('disk', (d) => d.raise(44))
        .symmetric('nic0', 'disk'),
      /device nic0 pulses SPI 40 where disk raises SPI 44/,
    ],
    [
      'has SPIs of the same priority',
      devices(2).spi({ intid: 41, priority: 0x80 }).symmetric('nic0', 'nic1'),
      /vm\.SPI 41 and vm\.SPI 40 begin with different values|vm\.SPI 40 and vm\.SPI 41 begin/,
    ],
    [
      'has an SPI for each device',
      devices(1)
        .device('disk', (d) => d.pulse(40).pulse(41))
        .device('nic', (d) => d.pulse(42).pulse(42))
        .symmetric('disk', 'nic'),
      /SPI 40 would become two others/,
    ],
    [
      'has SPIs of the same 32',
      devices(1)
        .spi({ intid: 64 })
        .device('disk', (d) => d.pulse(64))
        .symmetric('nic0', 'disk'),
      /SPI 40 and SPI 64 are not of the same 32/,
    ],
    [
      'has no SPI that is mapped to a physical one',
      devices(2).spi({ intid: 40, physical: 50 }).symmetric('nic0', 'nic1'),
      /SPI 40 is mapped to a physical one/,
    ],
    [
      'has no device that sends messages',
      devices(1)
        .gic({ version: '4.1' })
        .vlpi({ device: 1, event: 0, intid: 8192 })
        .device('a', (d) => d.msi(1, 0))
        .device('b', (d) => d.msi(1, 0))
        .symmetric('a', 'b'),
      /device a sends MSI/,
    ],
    [
      'has guests that do the same',
      pairs(2)
        .guest(1, (g) =>
          g
            .onIrq((h) => h.ack().eoi())
            .unmask()
            .hvc(),
        )
        .symmetric(...all(2)),
      /guest of vcpu0 does "wfi" where that of vcpu1 does "hvc"/,
    ],
    [
      'has guests whose handlers are at the same place',
      pairs(2)
        .guest(1, (g) => g.wfi())
        .symmetric(...all(2)),
      /handlers of vcpu0 and vcpu1 begin at different operations/,
    ],
    [
      'has vCPUs that begin alike',
      pairs(2)
        .cpuInterface(1, { priorityMask: 0x80 })
        .symmetric(...all(2)),
      /vmcr.* begin with different values/,
    ],
    [
      'has all vCPUs of a CPU',
      pairs(4)
        .gic({ cpus: 2 })
        .symmetric(...all(2)),
      /vCPUs that begin on cpu0 would go to different CPUs/,
    ],
    ['takes SPIs along with their vCPUs', pairs(2).symmetric(0, 1), /vm\.SPI .* begin with different values/],
    [
      'is not told apart by a guest',
      devices(2, (g) =>
        g
          .onIrq((h) =>
            h
              .ack()
              .on(40, (it) => it.hvc())
              .eoi(),
          )
          .unmask()
          .wfi(),
      ).symmetric('nic0', 'nic1'),
      /guest of vcpu0 does "is it SPI 40\?"/,
    ],
    [
      'is with guests that read no INTID',
      devices(2, (g) => waits(g).read(ICC_HPPIR1_EL1)).symmetric('nic0', 'nic1'),
      /does "read ICC_HPPIR1_EL1", which may be an INTID/,
    ],
    [
      'is with guests that access no memory',
      devices(2, (g) => waits(g).readMmio(0x0800_0000)).symmetric('nic0', 'nic1'),
      /does "read 4 bytes at 0x8000000", which is by the numbers/,
    ],
    [
      'is not asked in order',
      pairs(3, (g) => g.wfe()).symmetric(...all(3)),
      /does "wfe", at which other vCPUs are asked in the order/,
    ],
    [
      'is not saved',
      devices(2)
        .device('vmm', (d) => d.save())
        .symmetric('nic0', 'nic1'),
      /a device saves the VM/,
    ],
    [
      'has no steps of its own',
      devices(2).design(designs.vmcrOnDemand).symmetric('nic0', 'nic1'),
      /the design has steps of its own/,
    ],
    [
      'has vCPUs on a machine without GICv4',
      pairs(2)
        .gic({ version: '4.1' })
        .symmetric(...all(2)),
      /without LPIs and GICv4/,
    ],
    [
      'has vCPUs of a VM without physical SPIs',
      pairs(2)
        .spi({ intid: 60, physical: 50 })
        .symmetric(...all(2)),
      /without SPIs that are mapped to physical ones/,
    ],
  ])('%s', (_, recipe, message) => {
    expect(() => search(recipe)).toThrow(message)
    expect(() => search(recipe)).toThrow(expect.objectContaining({ code: 'scenario' }))
  })

  it('is looked up without L4, without invariants of a user, and with merging', () => {
    const recipe = devices(2).symmetric('nic0', 'nic1')
    expect(() => search(recipe, { invariants: ['L4'] })).toThrow(/`symmetry` does not check L4/)
    expect(() => search(recipe, { merge: false })).toThrow(/leave `merge` or `symmetry` out/)
    const mine = { name: 'mine', says: 'Mine.', check: () => undefined }
    expect(() => search(recipe, { own: [mine] })).toThrow(/leave `own` or `symmetry` out/)
  })

  it('may be vCPUs that send one another an SGI, each by the name of the other', () => {
    const recipe = scenario('SGIs').vm({ vcpus: 2, spis: 0 })
    for (const vcpu of [0, 1])
      recipe.guest(vcpu, (g) =>
        g
          .onIrq((h) => h.ack().eoi())
          .unmask()
          .sgi({ intid: 1, vcpus: [1 - vcpu] }),
      )
    const whole = explore(recipe, { invariants })
    const fewer = search(recipe.symmetric(0, 1))
    expect([whole.verdict, fewer.verdict]).toEqual(['holds', 'holds'])
    expect(fewer.states).toBeLessThan(0.51 * whole.states)
  })
})
