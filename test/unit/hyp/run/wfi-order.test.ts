/**
 * In which order Linux 6.1 reaches the hardware around load, entry, exit, WFI and put, as recorded (KVM-WFI.md, by
 * its cases): design `wfi-handler` on baseline `kvm61`.
 */
import { ICC_IGRPEN1_EL1, ISR_EL1 } from 'vgic'
import { designs, type GuestBuilder, kvm61, type Run, type Scenario, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { ISR_I, self } from '../../../kit/guest-lists.ts'

const GICD_IROUTER_40 = 0x0800_6140

const recorded = (name: string): Scenario =>
  scenario(name).vm({ vcpus: 1, timers: true }).design(kvm61(designs.wfiHandler))
const guest = (write: (guest: GuestBuilder) => unknown): Run => recorded('order').guest(0, write).run()

/** `w LR0 27 pending`, `r VMCR`, `w GICR_ISACTIVER0 27`, `entry`, `exit wfi`, in order. */
function order(run: Run): string[] {
  return run.events.flatMap(({ what, accesses }) => {
    const accessed = accesses.map(({ direction, name, kind, low, high }) => {
      const short = name.replace(/^ICH_|_EL[12]$/g, '')
      const state = ['', ' pending', ' active', ' pending and active'][high >>> 30]
      const lr = short.startsWith('LR') && (low | high) !== 0 ? ` ${low & 0xffff}${state}` : ''
      const value = kind === 'mmio' ? ` ${31 - Math.clz32(low)}` : /^HCR|^ICC/.test(short) ? ` ${low}` : lr
      return `${direction === 'read' ? 'r' : 'w'} ${short}${value}`
    })
    const exit = /-> exit \((\w+)\)/.exec(what)
    return [
      ...(what === 'enters the guest' ? ['entry'] : []),
      ...accessed,
      ...(exit && exit[1] !== 'off' ? [`exit ${exit[1]}`] : []),
    ]
  })
}

const interfaceIn = ['w VMCR', 'r VTR', 'w AP0R0', 'w AP1R0']
const put = ['r VMCR', 'r VTR', 'r AP0R0', 'r AP1R0']
const load = [...interfaceIn, 'w GICR_ICACTIVER0 27', 'w GICR_ICACTIVER0 30']
const loadWithTimer = [...interfaceIn, 'w GICR_ISACTIVER0 27', 'r GICR_ISACTIVER0 27', 'w GICR_ICACTIVER0 30']

describe('a WFI', () => {
  it('that sleeps reads the mask, puts, loads, and asks again before it enters (W1)', () => {
    const run = guest((list) =>
      list
        .onIrq((handler) => handler.ack().stopTimer().eoi())
        .unmask()
        .timer(500)
        .wfi(),
    )
    expect(order(run)).toEqual([
      ...load,
      'entry',
      'exit wfi',
      'r VMCR',
      ...put,
      ...loadWithTimer,
      'w HCR 1',
      'w LR0 27 pending',
      'entry',
      'r ELRSR',
      'w HCR 0',
      'w LR0',
      ...put,
    ])
    expect(run.acknowledged(0)).toEqual([27])
  })

  it('with list registers in use folds them back before anything else (W5)', () => {
    const run = recorded('masked')
      .sgi({ intid: 1 })
      .ppi({ intid: 27, priority: 0x20 })
      .guest(0, (list) =>
        list
          .onIrq((handler) => handler.ack().stopTimer().eoi())
          .priorityMask(0x80)
          .sgi(self(1))
          .timer(500)
          .unmask()
          .wfi(),
      )
      .run()
    expect(order(run)).toEqual([
      ...load,
      'entry',
      'exit sysreg',
      'w HCR 1',
      'w LR0 1 pending',
      'entry',
      'exit wfi',
      'r ELRSR',
      'w HCR 0',
      'r LR0 1 pending',
      'w LR0',
      'r VMCR',
      ...put,
      ...loadWithTimer,
      'w HCR 1',
      'w LR0 1 pending',
      'w LR1 27 pending',
      'entry',
      'r ELRSR',
      'w HCR 0',
      'r LR0 1 pending',
      'w LR0',
      'w LR1',
      ...put,
    ])
  })

  it('of a guest whose group is disabled puts nothing: it enters again at once (W8)', () => {
    const run = guest((list) => list.write(ICC_IGRPEN1_EL1, 0).sgi(self(1)).wfi())
    const rounds = order(run)
    const wfi = rounds.indexOf('exit wfi')
    expect(rounds.slice(wfi, rounds.indexOf('entry', wfi) + 1)).toEqual([
      'exit wfi',
      'r ELRSR',
      'w HCR 0',
      'r LR0 1 pending',
      'w LR0',
      'r VMCR',
      'w HCR 1',
      'w LR0 1 pending',
      'entry',
    ])
    expect(run.counts(0).sleeps).toBe(0)
  })

  it('of a handler with an equally urgent interrupt pending likewise (W9)', () => {
    const run = guest((list) =>
      list
        .onIrq((handler) =>
          handler
            .ack()
            .on(3, (body) => body.sgi(self(2)).wfi().read(ISR_EL1))
            .eoi(),
        )
        .sgi(self(3))
        .unmask()
        .untilInterrupts(2),
    )
    const rounds = order(run)
    const wfi = rounds.indexOf('exit wfi')
    expect(rounds.slice(wfi, rounds.indexOf('entry', wfi) + 1)).toEqual([
      'exit wfi',
      'r ELRSR',
      'w HCR 0',
      'r LR0 3 active',
      'w LR0',
      'r LR1 2 pending',
      'w LR1',
      'r VMCR',
      'w HCR 1',
      'w LR0 3 active',
      'w LR1 2 pending',
      'entry',
    ])
    expect(run.events.find(({ what }) => what === 'read ISR_EL1')?.value).toBe(0)
    expect(run.acknowledged(0)).toEqual([3, 2])
  })

  it('with an interrupt pending that PSTATE.I masks accesses no register: it does not exit (W6)', () => {
    const run = guest((list) => list.sgi(self(1)).poll(ISR_EL1, ISR_I, ISR_I).wfi().read(ISR_EL1))
    expect(order(run)).not.toContain('exit wfi')
    expect(run.events.find(({ what }) => what === 'read ISR_EL1')?.value).toBe(ISR_I)
  })
})

describe('a timer that expires in the guest', () => {
  const ended = (list: GuestBuilder): GuestBuilder =>
    list
      .onIrq((handler) => handler.ack().stopTimer().eoi())
      .timer(0)
      .poll(ISR_EL1, ISR_I, ISR_I)
      .wfi()
      .unmask()
      .untilInterrupts(1)

  it('is acknowledged by the host, whose EOI only drops the priority: no ICC_DIR (W13)', () => {
    expect(order(guest(ended))).toEqual([
      ...load,
      'entry',
      'exit irq',
      'r ICC_IAR1 27',
      'w ICC_EOIR1 27',
      'w HCR 1',
      'w LR0 27 pending',
      'entry',
      'r ELRSR',
      'w HCR 0',
      'w LR0',
      ...put,
    ])
  })

  it('is taken after the list registers were folded back (W9)', () => {
    const run = guest((list) => ended(list.priorityMask(0x80).sgi(self(1)).hvc().priorityMask(0xf0)))
    const rounds = order(run)
    const exit = rounds.indexOf('exit irq')
    expect(rounds.slice(exit, rounds.indexOf('entry', exit) + 1)).toEqual([
      'exit irq',
      'r ELRSR',
      'w HCR 0',
      'r LR0 1 pending',
      'w LR0',
      'r ICC_IAR1 27',
      'w ICC_EOIR1 27',
      'w HCR 1',
      'w LR0 1 pending',
      'w LR1 27 pending',
      'entry',
    ])
  })

  it('costs its exit the read and the write of the host besides those of the entry after it', () => {
    const irq = guest(ended)
      .cost()
      .find(({ exit }) => exit === 'irq')
    expect(irq).toMatchObject({ exits: 1, sysregReads: 1, sysregWrites: 3 })
  })
})

describe('an exit to userspace', () => {
  it('folds, puts, and loads what it has put; only then the list registers come (W12)', () => {
    const run = guest((list) => list.sgi(self(1)).ack().userspace().eoi())
    const rounds = order(run)
    const exit = rounds.indexOf('exit userspace')
    expect(rounds.slice(exit, rounds.indexOf('entry', exit) + 1)).toEqual([
      'exit userspace',
      'r ELRSR',
      'w HCR 0',
      'r LR0 1 active',
      'w LR0',
      ...put,
      ...load,
      'w HCR 1',
      'w LR0 1 active',
      'entry',
    ])
    const active = run.events.flatMap(({ accesses }) =>
      accesses.filter(({ name }) => name === 'ICH_AP1R0_EL2').map(({ low }) => low),
    )
    expect(active).toEqual([0, 0x10_0000, 0x10_0000, 0])
  })
})

describe('six interrupts for four list registers', () => {
  const six = [0xe0, 0xd0, 0xc0, 0xb0, 0xa0, 0x90]
  const sent = (write: (list: GuestBuilder) => GuestBuilder): Run => {
    const s = recorded('six')
    for (const [i, priority] of six.entries()) s.sgi({ intid: i + 1, priority })
    return s.guest(0, (list) => write(six.reduce((sends, _, i) => sends.sgi(self(i + 1)), list))).run()
  }

  it('are there by urgency; those that have ended are not read, and ICH_HCR keeps UIE at the exit (L1)', () => {
    const rounds = order(sent((list) => [1, 2, 3].reduce((ends) => ends.ack().eoi(), list)))
    const exit = rounds.lastIndexOf('exit irq')
    const entry = rounds.lastIndexOf('entry', exit)
    expect(rounds.slice(entry - 5, entry)).toEqual([
      'w HCR 3',
      'w LR0 6 pending',
      'w LR1 5 pending',
      'w LR2 4 pending',
      'w LR3 3 pending',
    ])
    expect(rounds.slice(exit, rounds.indexOf('entry', exit) + 1)).toEqual([
      'exit irq',
      'r ELRSR',
      'w HCR 2',
      'w LR0',
      'w LR1',
      'w LR2',
      'r LR3 3 pending',
      'w LR3',
      'w HCR 1',
      'w LR0 3 pending',
      'w LR1 2 pending',
      'w LR2 1 pending',
      'entry',
    ])
  })

  it('wait behind four active ones, even the most urgent (L3, L11)', () => {
    const run = recorded('four active')
      .sgi({ intid: 1, priority: 0xe0 })
      .sgi({ intid: 2, priority: 0xd0 })
      .sgi({ intid: 3, priority: 0xc0 })
      .sgi({ intid: 4, priority: 0xb0 })
      .sgi({ intid: 5, priority: 0 })
      .guest(0, (list) =>
        [1, 2, 3, 4]
          .reduce((acks, n) => acks.sgi(self(n)).ack(), list)
          .sgi(self(5))
          .ack(),
      )
      .run()
    expect(run.acknowledged(0)).toEqual([1, 2, 3, 4, 1023])
  })
})

describe('a mapped SPI of a device that the VM was given', () => {
  const mapped = (router: number) =>
    scenario('mapped')
      .gic({ spis: 64 })
      .vm({ vcpus: 2 })
      .spi({ intid: 40, trigger: 'level', physical: 50, vcpu: 1 })
      .guest(0, (list) => list.writeMmio(GICD_IROUTER_40, router, 8).hvc())
      .guest(1, (list) =>
        list
          .loop(40, (body) => body.hvc())
          .ack()
          .quiesce(40)
          .eoi(),
      )
      .device('nic', (device) => device.at(100).raise(40))
      .run()

  it('is taken by the host as a timer is, wherever it is routed to', () => {
    for (const router of [0, 1, 0x77]) {
      const taken = mapped(router).events.flatMap(({ actor, accesses }) =>
        accesses.flatMap(({ name, low }) =>
          name.startsWith('ICC_') ? [`${actor.name} ${name} ${low}`] : [],
        ),
      )
      expect(taken, `routed to ${router}`).toEqual(['nic ICC_IAR1_EL1 50', 'nic ICC_EOIR1_EL1 50'])
    }
    expect(mapped(1).acknowledged(1)).toEqual([40])
    expect(mapped(0x77).acknowledged(1)).toEqual([1023])
  })

  it('costs a read and a write for that, also if it is routed to nobody', () => {
    const sums = (run: Run) =>
      run.cost().reduce((sum, { sysregReads, sysregWrites }) => sum + sysregReads + sysregWrites, 0)
    const quiet = scenario('quiet')
      .gic({ spis: 64 })
      .vm({ vcpus: 2 })
      .guest(0, (list) => list.writeMmio(GICD_IROUTER_40, 0x77, 8).hvc())
      .guest(1, (list) =>
        list
          .loop(40, (body) => body.hvc())
          .ack()
          .eoi(),
      )
      .run()
    expect(sums(mapped(0x77)) - sums(quiet)).toBe(2)
  })
})
