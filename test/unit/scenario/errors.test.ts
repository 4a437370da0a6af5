/** Wrong use of scenarios throws a VgicError that says what to do. */
import { Gic, VgicError } from 'vgic'
import {
  branch,
  defineDesign,
  designs,
  edit,
  forever,
  leaveLoop,
  type Scenario,
  scenario,
  steps,
  when,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { GICD, ICACTIVER } from '../../kit/frames.ts'
import { vmOf } from '../../kit/vm.ts'

/** The code and message that a call throws. */
function thrown(call: () => unknown): { code: string; message: string } {
  try {
    call()
  } catch (error) {
    if (error instanceof VgicError) return { code: error.code, message: error.message }
    throw error
  }
  throw new Error('nothing was thrown')
}
const one = (): Scenario => scenario('one vCPU')

describe('vLPIs', () => {
  it('are of at most as many devices as the host has ITTs for', () => {
    const assigned = (devices: readonly number[]): Scenario => {
      const written = one().gic({ version: '4.1' })
      for (const [event, device] of devices.entries()) written.vlpi({ device, event })
      return written
    }
    const most = Array.from({ length: 496 }, (_, n) => n)
    expect(() => assigned([...most, 0, 495]).machine()).not.toThrow()
    expect(thrown(() => assigned([...most, 0, 7000]).machine())).toEqual({
      code: 'scenario',
      message: 'The host has ITTs for devices of the first 496 vLPIs: assign one of device 7000 among them.',
    })
  })
})

describe('a physical SPI', () => {
  it('is given to one SPI only', () => {
    const given = one().spi({ intid: 40, physical: 50 })
    expect(thrown(() => given.spi({ intid: 41, physical: 50 }))).toEqual({
      code: 'config',
      message: 'The physical SPI 50 is given to SPI 40 already: choose another.',
    })
    expect(() => given.spi({ intid: 40, physical: 50, priority: 0x80 })).not.toThrow()
  })

  it('is not given to a PPI', () => {
    expect(thrown(() => one().ppi({ intid: 20, physical: 50 }))).toEqual({
      code: 'config',
      message: 'PPI 20 cannot be mapped to a physical SPI: map an SPI.',
    })
  })
})

describe('what a function writes is there when it returns, so that an async one is refused', () => {
  it.each([
    ['write', () => one().guest(0, async (guest) => guest.wfi())],
    ['write', () => one().device('nic', async (device) => device.pulse(32))],
    ['handler', () => one().guest(0, (guest) => guest.onIrq(async (list) => list.ack()))],
    ['handler', () => one().guest(0, (guest) => guest.onFiq(async (list) => list.ack()))],
    ['body', () => one().guest(0, (guest) => guest.loop(2, async (list) => list.hvc()))],
    [
      'body',
      () => one().guest(0, (guest) => guest.onIrq((list) => list.ack().on(32, async (rest) => rest.eoi()))),
    ],
  ])('%s: %s', (name, write) => {
    expect(thrown(write)).toEqual({
      code: 'argument',
      message: `${name} must have written everything when it returns, but returned a promise: leave async out, and wait for what it needs before.`,
    })
  })
})

describe('a scenario that contradicts itself is refused when its machine starts', () => {
  it.each([
    {
      what: 'a guest of a vCPU that does not exist',
      s: one().guest(1, (guest) => guest),
      message: 'A guest names vCPU 1, but the VM has 1: raise vcpus.',
    },
    {
      what: 'a CPU interface of one',
      s: one().cpuInterface(3, {}),
      message: 'vCPU 3, but the VM has 1: raise vcpus.',
    },
    {
      what: 'an SPI routed to one',
      s: one().spi({ intid: 40, vcpu: 1 }),
      message: 'An interrupt names vCPU 1, but the VM has 1: raise vcpus.',
    },
    {
      what: 'a PPI of one',
      s: one().ppi({ intid: 27, vcpu: -1 }),
      message: 'An interrupt names vCPU -1, but the VM has 1: raise vcpus.',
    },
    {
      what: 'an SGI of one',
      s: one().sgi({ intid: 1, vcpu: 0.5 }),
      message: 'An interrupt names vCPU 0.5, but the VM has 1: raise vcpus.',
    },
    {
      what: 'a guest that sends an SGI to one',
      s: one().guest(0, (guest) => guest.sgi({ intid: 1, vcpus: [0, 9] })),
      message: "A guest's SGI names vCPU 9, but the VM has 1: raise vcpus.",
    },
    {
      what: 'a handler that sends one',
      s: one().guest(0, (guest) => guest.onIrq((list) => list.sgi({ intid: 1, vcpus: [1] }))),
      message: "A guest's SGI names vCPU 1, but the VM has 1: raise vcpus.",
    },
    {
      what: 'a driver of an ITS that the VM does not have',
      s: one().guest(0, (guest) => guest.its().boot(1)),
      message:
        'The guest of vCPU 0 drives an ITS at 0x8080000, but the VM has none: give it one with vm({ frames: { its } }).',
    },
    {
      what: 'a handler that drives one elsewhere',
      s: one()
        .vm({ vcpus: 1, frames: { its: [0x0808_0000, 0x0900_0000] } })
        .guest(0, (guest) => guest.onIrq((list) => list.its({ frame: 0x0902_0000 }).sync(0))),
      message:
        'The guest of vCPU 0 drives an ITS at 0x9020000, but that of the VM is at 0x8080000 or 0x9000000: say so by its({ frame }).',
    },
    {
      what: 'a device that drives a PPI of one',
      s: one().device('timer', (device) => device.raise(27, 2)),
      message: 'Device timer names vCPU 2, but the VM has 1: raise vcpus.',
    },
    {
      what: 'an SPI beyond the VM’s',
      s: one().spi({ intid: 64 }),
      message: 'An interrupt names SPI 64, but the VM has SPIs up to 63: raise spis.',
    },
    {
      what: 'a device that drives one beyond the VM’s',
      s: one()
        .vm({ vcpus: 1, spis: 8 })
        .device('uart', (device) => device.pulse(40)),
      message: 'Device uart names SPI 40, but the VM has SPIs up to 39: raise spis.',
    },
  ])('$what', ({ s, message }) => {
    const error = thrown(() => s.machine())
    expect(error.code).toBe('scenario')
    expect(error.message).toContain(message)
    expect(thrown(() => s.run())).toEqual(error)
  })

  it.each([
    { cpus: 1, vcpus: 2 },
    { cpus: 2, vcpus: 7 },
    { cpus: 3, vcpus: 2 },
  ])('but not $vcpus vCPUs on $cpus CPUs', ({ cpus, vcpus }) => {
    expect(one().gic({ cpus }).vm({ vcpus }).run().end).toBe('done')
  })

  it('a GIC that there is not', () => {
    expect(thrown(() => one().gic({ listRegisters: 17 }).machine())).toMatchObject({ code: 'config' })
  })

  it.each([1, 64])('but not a VM of %i vCPUs', (vcpus) => {
    expect(one().vm({ vcpus }).run().end).toBe('done')
  })
})

describe('a value out of its bounds is refused where it is given', () => {
  it.each([
    {
      what: 'no vCPU',
      call: () => one().vm({ vcpus: 0 }),
      message: 'vcpus must be an integer from 1 to 255, but is 0.',
    },
    {
      what: '256 vCPUs',
      call: () => one().vm({ vcpus: 256 }),
      message: 'vcpus must be an integer from 1 to 255, but is 256.',
    },
    {
      what: '989 SPIs',
      call: () => one().vm({ vcpus: 1, spis: 989 }),
      message: 'spis must be an integer from 0 to 988, but is 989.',
    },
    {
      what: 'priority 0x100',
      call: () => one().spi({ intid: 40, priority: 0x100 }),
      message: 'priority must be an integer from 0 to 255, but is 256.',
    },
    {
      what: 'a mask of 0x100',
      call: () => one().cpuInterface(0, { priorityMask: 0x100 }),
      message: 'priorityMask must be an integer from 0 to 255, but is 256.',
    },
    {
      what: 'SPI 31',
      call: () => one().spi({ intid: 31 }),
      message: 'intid must be an integer from 32 to 1019, but is 31.',
    },
    {
      what: 'SPI 1020',
      call: () => one().spi({ intid: 1020 }),
      message: 'intid must be an integer from 32 to 1019, but is 1020.',
    },
    {
      what: 'PPI 15',
      call: () => one().ppi({ intid: 15 }),
      message: 'intid must be an integer from 16 to 31, but is 15.',
    },
    {
      what: 'SGI 16',
      call: () => one().sgi({ intid: 16 }),
      message: 'intid must be an integer from 0 to 15, but is 16.',
    },
  ])('$what', ({ call, message }) => {
    expect(thrown(call)).toEqual({ code: 'config', message })
  })

  it.each([
    {
      what: 'to send SGI 16',
      call: () => one().guest(0, (guest) => guest.sgi({ intid: 16, vcpus: [0] })),
      message: 'intid must be an integer from 0 to 15, but is 16.',
    },
    {
      what: 'to send an SGI to vCPU 255',
      call: () => one().guest(0, (guest) => guest.sgi({ intid: 1, vcpus: [255] })),
      message: 'vcpus must be an integer from 0 to 254, but is 255.',
    },
    {
      what: 'to mask at 0x100',
      call: () => one().guest(0, (guest) => guest.priorityMask(0x100)),
      message: 'priority must be an integer from 0 to 255, but is 256.',
    },
    {
      what: 'a loop of no rounds',
      call: () => one().guest(0, (guest) => guest.loop(0, (list) => list.hvc())),
      message: 'rounds must be an integer from 1 to 2147483647, but is 0.',
    },
    {
      what: 'a device that drives an SGI',
      call: () => one().device('d', (device) => device.raise(15)),
      message: 'intid must be an integer from 16 to 1019, but is 15.',
    },
    {
      what: 'a device at a negative time',
      call: () => one().device('d', (device) => device.at(-1)),
      message: 'time must be an integer from 0 to 4503599627370496, but is -1.',
    },
    {
      what: 'a run of no steps',
      call: () => one().run({ steps: 0 }),
      message: 'steps must be an integer from 1 to 2147483647, but is 0.',
    },
    {
      what: 'the counts of vCPU 1',
      call: () => one().run().counts(1),
      message: 'vcpu must be an integer from 0 to 0, but is 1.',
    },
  ])('$what', ({ call, message }) => {
    expect(thrown(call)).toEqual({ code: 'argument', message })
  })

  it('an SGI to two groups of 16', () => {
    expect(thrown(() => one().guest(0, (guest) => guest.sgi({ intid: 1, vcpus: [15, 16] })))).toEqual({
      code: 'scenario',
      message: 'An SGI reaches vCPUs of one group of 16 neighbours: send one for each group.',
    })
  })

  it('a fifth loop, handlers included', () => {
    const call = () =>
      one().guest(0, (guest) => {
        guest.onIrq((handler) => handler.loop(2, (list) => list.loop(2, (inner) => inner.hvc())))
        return guest.loop(2, (list) => list.hvc()).loop(2, (list) => list.loop(2, (inner) => inner.hvc()))
      })
    expect(thrown(call)).toEqual({
      code: 'scenario',
      message: 'A guest can have 4 loops: unroll one of them.',
    })
  })
})

describe('an image that is not of this machine is refused', () => {
  const machine = one().machine()

  it.each([
    { what: 'a buffer of zeros', image: () => new ArrayBuffer(64), code: 'image-foreign' },
    { what: 'nothing', image: () => new ArrayBuffer(0), code: 'image-foreign' },
    { what: 'half an image', image: () => machine.snapshot().slice(0, 400), code: 'image-truncated' },
    { what: 'the image of a GIC', image: () => new Gic({ cpus: 1 }).snapshot(), code: 'image-mismatch' },
    {
      what: 'that of a VM with more vCPUs',
      image: () => one().vm({ vcpus: 2 }).machine().snapshot(),
      code: 'image-mismatch',
    },
    {
      what: 'that of a VM with fewer SPIs',
      image: () => one().vm({ vcpus: 1, spis: 8 }).machine().snapshot(),
      code: 'image-mismatch',
    },
    {
      what: 'that of another GIC',
      image: () => one().gic({ listRegisters: 8 }).machine().snapshot(),
      code: 'image-mismatch',
    },
  ])('$what', ({ image, code }) => {
    const before = machine.hash()
    expect(thrown(() => machine.restore(image())).code).toBe(code)
    expect(machine.hash()).toBe(before)
  })
})

describe('a virtual machine with a design that leads nowhere', () => {
  it('says so where a vCPU waits for another that never lets go', () => {
    const vm = vmOf({ design: edit(designs.wfiHandler).omitAll('irqOn').design() })
    expect(vm.enter(0) && vm.enter(1)).toBe(true)
    expect(thrown(() => vm.writeMmio(0, GICD + ICACTIVER + 4, 4, 2))).toMatchObject({
      code: 'scenario',
      message: expect.stringContaining('vCPU 0 makes no progress'),
    })
  })

  const { preemptOff, preemptOn, saveVmcr, pollBegin, pollAgain, runnable, clearUnhalt } = steps
  const look = branch(pollAgain, { yes: [when(runnable, leaveLoop)], no: [] })

  it.each([
    { what: 'neither sleeps nor ends', design: edit(designs.wfiHandler).omitAll('setSleeping').design() },
    {
      what: 'begins again and again',
      design: defineDesign('restless', {
        wfi: [forever(preemptOff, saveVmcr, preemptOn, pollBegin, look), clearUnhalt],
      }),
    },
  ])('says so where a halt $what', ({ design }) => {
    const vm = vmOf({ design })
    expect(thrown(() => vm.wfi(0))).toMatchObject({
      code: 'scenario',
      message: expect.stringContaining('does not come to rest'),
    })
  })
})
