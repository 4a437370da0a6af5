import { it } from 'vitest'
import { designs, scenario } from 'vgic/scenario'
import { ICC_PMR_EL1 } from 'vgic'
it('x', () => {
  const run = scenario('everything')
    .design(designs.wfiFlag).gic({ spis: 64 }).vm({ vcpus: 2, timers: true }).spi({ intid: 40 })
    .spi({ intid: 41, trigger: 'level', physical: 50 })
    .guest(0, (guest) => guest.onIrq((handler) => handler.ack().quiesce(41).stopTimer().eoi()).hvc().hvc().userspace().wfe().wfe().wfe().sgi({ intid: 1, vcpus: [0, 1] }).hvc().unmask().wfi().timer(100).suspend().timer(10).loop(40, (list) => list.read(ICC_PMR_EL1)).wfi())
    .guest(1, (guest) => guest.wfi().ack().eoi())
    .device('board', (device) => device.pulse(40).raise(41)).run()
  console.log(run.timeline().split('\n').slice(-100).join('\n'))
})
