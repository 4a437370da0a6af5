/** Who drives which line: what a device or a guest cannot mean is refused, instead of doing nothing. */
import { VgicError } from 'vgic'
import { explore } from 'vgic/explore'
import { type DeviceBuilder, designs, type Scenario, scenario, VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'

const one = (timers: boolean): Scenario =>
  scenario('one vCPU')
    .vm({ vcpus: 1, timers })
    .ppi({ intid: 27, trigger: 'level' })
    .guest(0, (guest) =>
      guest
        .onIrq((list) => list.ack().eoi())
        .unmask()
        .wfi(),
    )

/** What a call is refused with, by every way to start a machine. */
function refusal(s: Scenario): string {
  const messages = [() => s.machine(), () => s.run(), () => explore(s)].map((start) => {
    try {
      start()
    } catch (error) {
      if (error instanceof VgicError && error.code === 'scenario') return error.message
      throw error
    }
    return 'nothing'
  })
  expect(new Set(messages).size).toBe(1)
  return messages[0]
}

describe("a timer's PPI", () => {
  const devices: Readonly<Record<string, (device: DeviceBuilder, intid: number) => DeviceBuilder>> = {
    raises: (device, intid) => device.raise(intid),
    lowers: (device, intid) => device.lower(intid),
    pulses: (device, intid) => device.pulse(intid),
    'raises, after another line': (device, intid) => device.pulse(40).at(10).raise(intid),
  }

  it.each([
    ...Object.keys(devices).map((what) => ({ what, intid: 27, timer: 'virtual' })),
    { what: 'raises', intid: 30, timer: 'physical' },
  ])('is not for a device that $what it: PPI $intid', ({ what, intid, timer }) => {
    expect(refusal(one(true).device('intruder', (device) => devices[what](device, intid)))).toBe(
      `PPI ${intid} belongs to the ${timer} timer, and device intruder cannot drive it: use timer().`,
    )
  })

  it('of another vCPU neither', () => {
    const s = one(true).vm({ vcpus: 2, timers: true })
    expect(refusal(s.device('intruder', (device) => device.raise(30, 1)))).toContain('PPI 30 belongs to')
  })

  it('is for a device in a VM that has no timers, and other PPIs always are', () => {
    const run = one(false)
      .guest(0, (guest) =>
        guest
          .onIrq((list) => list.ack().quiesce(27).eoi())
          .unmask()
          .wfi(),
      )
      .device('clock', (device) => device.raise(27))
      .run()
    expect([run.end, run.acknowledged(0)]).toEqual(['done', [27]])
    const other = one(true)
      .ppi({ intid: 26, trigger: 'edge' })
      .device('clock', (device) => device.pulse(26))
      .run()
    expect([other.end, other.acknowledged(0)]).toEqual(['done', [26]])
  })

  it('is not quiesced by a guest: its timer is turned off', () => {
    const s = one(true).guest(0, (guest) => guest.timer(10).wfi().quiesce(27))
    expect(refusal(s)).toBe(
      'PPI 27 belongs to the virtual timer, which no quiesce() turns off: use stopTimer().',
    )
  })
})

describe('a guest of a VM without timers', () => {
  it.each([
    { what: 'starts one', s: one(false).guest(0, (guest) => guest.timer(10).wfi()), timer: 'virtual' },
    {
      what: 'starts the other',
      s: one(false).guest(0, (guest) => guest.timer(10, 'physical').wfi()),
      timer: 'physical',
    },
    { what: 'turns one off', s: one(false).guest(0, (guest) => guest.stopTimer()), timer: 'virtual' },
    {
      what: 'starts one in a handler',
      s: one(false).guest(0, (guest) => guest.onIrq((list) => list.ack().timer(5).eoi())),
      timer: 'virtual',
    },
    {
      what: 'starts one in a loop of the second vCPU',
      s: one(false)
        .vm({ vcpus: 2 })
        .guest(1, (guest) => guest.loop(3, (list) => list.timer(5))),
      timer: 'virtual',
    },
  ])('is refused if it $what', ({ s, timer }) => {
    expect(refusal(s)).toBe(`A guest uses the ${timer} timer, but the VM has none: set timers in vm().`)
  })

  it('may wait with a timeout, which is the hypervisor’s', () => {
    expect(
      one(false)
        .guest(0, (guest) => guest.wfit(10))
        .run().end,
    ).toBe('done')
  })

  it('of a VirtualMachine reaches nothing', () => {
    const vm = new VirtualMachine({ vcpus: 1, timers: false, design: designs.wfiHandler })
    const before = vm.snapshot()
    vm.setTimer(0, 'virtual', true)
    expect(vm.diff(before)).toEqual([])
    vm.setLine(27, 1)
  })
})

describe('a line that no device drives', () => {
  const quiesces = (intid: number) =>
    one(false).guest(0, (guest) =>
      guest
        .onIrq((list) => list.ack().quiesce(intid).eoi())
        .unmask()
        .wfi(),
    )

  it.each([
    { intid: 40, name: 'SPI 40' },
    { intid: 23, name: 'PPI 23' },
  ])('is not quiesced: $name', ({ intid, name }) => {
    const message = `A guest quiesces ${name}, but no device drives it: add one with device().`
    expect(refusal(quiesces(intid))).toBe(message)
    const others = quiesces(intid).device('nic', (device) => device.signal().pulse(41).raise(22))
    expect(refusal(others)).toBe(message)
  })

  it('is another than one that a device lowers, or drives for some vCPU', () => {
    expect(
      quiesces(40)
        .device('nic', (device) => device.lower(40))
        .run().end,
    ).toBe('asleep')
    const shared = quiesces(23)
      .vm({ vcpus: 2 })
      .ppi({ intid: 23, vcpu: 1 })
      .guest(1, (guest) =>
        guest
          .onIrq((list) => list.ack().quiesce(23).eoi())
          .unmask()
          .wfi(),
      )
      .device('nic', (device) => device.raise(23, 1))
    expect(shared.run().acknowledged(1)).toEqual([23])
  })
})
