/** Operations that guests of many tests share. */
import { ICC_PMR_EL1 } from 'vgic'
import { type Design, type OpList, type Scenario, scenario } from 'vgic/scenario'

/** ICC_CTLR_EL1.EOImode. */
export const EOI_MODE_1 = 0x2
/** ISR_EL1: an IRQ, or an FIQ, is pending. */
export const ISR_I = 0x80
export const ISR_F = 0x40

export const handle = (handler: OpList): OpList => handler.ack().eoi()

/** The target of an SGI that vCPU 0 sends to itself. */
export const self = (intid: number) => ({ intid, vcpus: [0] })

/** Operations that cause no exit. */
export const busy = (list: OpList, rounds = 300): OpList =>
  list.loop(rounds, (body) => body.read(ICC_PMR_EL1))

/** A vCPU that opens its mask, sleeps, and is woken by a device. */
export const wokenSleeper = (name: string, design: Design): Scenario =>
  scenario(name)
    .vm({ vcpus: 1, spis: 1 })
    .design(design)
    .spi({ intid: 32 })
    .guest(0, (guest) => guest.onIrq(handle).priorityMask(0).priorityMask(0xf0).unmask().wfi())
    .device('nic', (device) => device.pulse(32))

/** A scenario with a vCPU that opens its mask and sleeps; the caller adds what wakes it. */
export const sleeperOn = (design: Design): Scenario =>
  scenario('sleeper')
    .gic({ listRegisters: 1 })
    .vm({ vcpus: 1, spis: 1 })
    .design(design)
    .spi({ intid: 32 })
    .guest(0, (guest) => guest.onIrq(handle).priorityMask(0).priorityMask(0xf0).unmask().wfi())
