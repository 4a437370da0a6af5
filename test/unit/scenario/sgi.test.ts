/** SGIs: whom a write to ICC_SGI1R_EL1, ICC_SGI0R_EL1 or ICC_ASGI1R_EL1 reaches (IHI 0069, "ICC_SGI1R_EL1"). */
import { ICC_SGI1R_EL1 } from 'vgic'
import { type GuestBuilder, type Run, type Scenario, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { handle } from '../../kit/guest-lists.ts'

/** VMs in which every vCPU but the sender waits for interrupts, and the sender does so after it has sent. */
function waiting(vcpus: number, sender: number, send: (guest: GuestBuilder) => unknown): Scenario {
  const s = scenario('SGI').vm({ vcpus })
  for (let vcpu = 0; vcpu < vcpus; vcpu++) {
    s.guest(vcpu, (guest) => {
      guest.onIrq(handle).onFiq(handle).unmask()
      if (vcpu === sender) send(guest)
      guest.loop(4, (list) => list.wfi())
    })
  }
  return s
}

/** The vCPUs that acknowledged an SGI, with how often. */
function reached(run: Run, vcpus: number, intid: number): Record<number, number> {
  const counts: Record<number, number> = {}
  for (let vcpu = 0; vcpu < vcpus; vcpu++) {
    const count = run.acknowledged(vcpu).filter((seen) => seen === intid).length
    if (count > 0) counts[vcpu] = count
  }
  return counts
}

describe('an SGI to a target list', () => {
  it.each([
    { name: 'one vCPU', vcpus: [2], reaches: { 2: 1 } },
    { name: 'several', vcpus: [1, 3], reaches: { 1: 1, 3: 1 } },
    { name: 'the sender itself', vcpus: [0], reaches: { 0: 1 } },
    { name: 'everybody, the sender included', vcpus: [0, 1, 2, 3], reaches: { 0: 1, 1: 1, 2: 1, 3: 1 } },
  ])('of $name reaches them and nobody else', ({ vcpus, reaches }) => {
    const run = waiting(4, 0, (guest) => guest.sgi({ intid: 5, vcpus })).run()
    expect(reached(run, 4, 5)).toEqual(reaches)
    expect(run.end).toBe('asleep')
  })

  it('reaches neighbours of another group of 16 by their Aff1', () => {
    const run = waiting(34, 0, (guest) => guest.sgi({ intid: 3, vcpus: [17, 31] })).run()
    expect(reached(run, 34, 3)).toEqual({ 17: 1, 31: 1 })
  })

  it('of a vCPU that does not exist, by its register, reaches nobody', () => {
    const run = waiting(4, 0, (guest) => guest.write(ICC_SGI1R_EL1, (5n << 24n) | (1n << 9n))).run()
    expect(reached(run, 4, 5)).toEqual({})
  })

  it.each([
    { field: 'Aff1', value: 1n << 16n },
    { field: 'Aff2', value: 1n << 32n },
    { field: 'Aff3', value: 1n << 48n },
  ])('with an $field that no vCPU has reaches nobody', ({ value }) => {
    const run = waiting(2, 0, (guest) => guest.write(ICC_SGI1R_EL1, value | (5n << 24n) | 0x3n)).run()
    expect(reached(run, 2, 5)).toEqual({})
  })

  it('takes the INTID of bits 27:24, whatever it is', () => {
    for (let intid = 0; intid < 16; intid++) {
      const run = waiting(2, 1, (guest) => guest.sgi({ intid, vcpus: [0] })).run()
      expect(run.acknowledged(0)).toEqual([intid])
    }
  })
})

describe('an SGI to all others', () => {
  it('reaches every vCPU but the sender', () => {
    const run = waiting(4, 2, (guest) => guest.sgi({ intid: 7, vcpus: 'others' })).run()
    expect(reached(run, 4, 7)).toEqual({ 0: 1, 1: 1, 3: 1 })
  })

  it('of a VM with one vCPU reaches nobody', () => {
    const run = waiting(1, 0, (guest) => guest.sgi({ intid: 7, vcpus: 'others' })).run()
    expect(reached(run, 1, 7)).toEqual({})
    expect(run.end).toBe('asleep')
  })

  it('crosses groups of 16', () => {
    const run = waiting(18, 17, (guest) => guest.sgi({ intid: 7, vcpus: 'others' })).run()
    expect(Object.keys(reached(run, 18, 7))).toHaveLength(17)
    expect(reached(run, 18, 7)).not.toHaveProperty('17')
  })
})

describe('the three SGI registers', () => {
  /** vCPU 0 sends SGI 5, which vCPU 1 has in the given group. */
  const sent = (register: 0 | 1 | 'other', group: 0 | 1): Run =>
    waiting(2, 0, (guest) => guest.sgi({ intid: 5, vcpus: [1], group: register }))
      .sgi({ intid: 5, vcpu: 1, group })
      .run()

  it.each([
    { name: 'ICC_SGI1R_EL1', register: 1, group: 0, count: 1 },
    { name: 'ICC_SGI1R_EL1', register: 1, group: 1, count: 1 },
    { name: 'ICC_SGI0R_EL1', register: 0, group: 0, count: 1 },
    { name: 'ICC_SGI0R_EL1', register: 0, group: 1, count: 0 },
    { name: 'ICC_ASGI1R_EL1', register: 'other', group: 0, count: 1 },
    { name: 'ICC_ASGI1R_EL1', register: 'other', group: 1, count: 0 },
  ] as const)('$name reaches a group $group SGI $count times', ({ name, register, group, count }) => {
    const run = sent(register, group)
    expect(run.acknowledged(1)).toEqual(Array.from({ length: count }, () => 5))
    expect(run.events.map(({ what }) => what)).toContain(`${name}: SGI 5 to vCPU 1 -> exit (sysreg)`)
  })

  it('the group of the target decides, not that of the sender', () => {
    const run = waiting(3, 0, (guest) => guest.sgi({ intid: 5, vcpus: [1, 2], group: 0 }))
      .sgi({ intid: 5, vcpu: 0, group: 0 })
      .sgi({ intid: 5, vcpu: 2, group: 0 })
      .run()
    expect(reached(run, 3, 5)).toEqual({ 2: 1 })
    const fiqs = run.events.filter(({ what }) => what === 'takes a virtual FIQ')
    expect(fiqs.map(({ actor }) => actor.name)).toEqual(['vcpu2'])
  })
})

describe('an SGI', () => {
  it('leaves the guest and is sent once', () => {
    const run = scenario('one exit')
      .guest(0, (guest) =>
        guest
          .sgi({ intid: 1, vcpus: [0] })
          .ack()
          .eoi()
          .ack(),
      )
      .run()
    expect(run.acknowledged(0)).toEqual([1, 1023])
    expect(run.cost().map(({ exit, exits }) => `${exit} ${exits}`)).toEqual([
      'sysreg 1',
      'off 1',
      'first-entry 0',
    ])
  })

  it('sent twice before it is acknowledged is delivered once', () => {
    const run = scenario('coalesced SGIs')
      .guest(0, (guest) =>
        guest
          .loop(2, (list) => list.sgi({ intid: 1, vcpus: [0] }))
          .ack()
          .eoi()
          .ack(),
      )
      .run()
    expect(run.acknowledged(0)).toEqual([1, 1023])
  })

  it('sent while it is active is pending again after the end of interrupt', () => {
    const self = { intid: 1, vcpus: [0] }
    const run = scenario('SGI while active')
      .guest(0, (guest) => guest.sgi(self).ack().sgi(self).eoi().ack().eoi().ack())
      .run()
    expect(run.acknowledged(0)).toEqual([1, 1, 1023])
  })

  it('that is active is not acknowledged again before its end of interrupt', () => {
    const self = { intid: 1, vcpus: [0] }
    const run = scenario('SGI while active')
      .guest(0, (guest) => guest.sgi(self).ack().sgi(self).ack())
      .run()
    expect(run.acknowledged(0)).toEqual([1, 1023])
  })

  it('that is disabled at its target is not delivered', () => {
    const run = waiting(2, 0, (guest) => guest.sgi({ intid: 5, vcpus: [1] }))
      .sgi({ intid: 5, vcpu: 1, enabled: false })
      .run()
    expect(reached(run, 2, 5)).toEqual({})
  })

  it('to a vCPU that is off changes nothing for the others', () => {
    const run = scenario('target off')
      .vm({ vcpus: 2 })
      .guest(0, (guest) =>
        guest
          .loop(30, (list) => list.hvc())
          .sgi({ intid: 5, vcpus: [0, 1] })
          .ack()
          .eoi(),
      )
      .run()
    expect(run.acknowledged(0)).toEqual([5])
    expect(run.end).toBe('done')
  })
})
