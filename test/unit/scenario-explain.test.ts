/** Why an interrupt is, or is not, delivered to a vCPU: a scenario for each reason that explain() can name. */
import { inspect } from 'node:util'
import { VgicError } from 'vgic'
import {
  designs,
  type DeliveryReason,
  deliveryReasons,
  edit,
  type Explanation,
  type GuestBuilder,
  kvm61,
  type Scenario,
  type ScenarioMachine,
  scenario,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { IRQ_ENABLED } from '../../src/hyp/vgic-irq.ts'
import { VM_ENABLED } from '../../src/hyp/vm.ts'
import { actor, busy, EOI_MODE_1, fire, go, goTo, handle, happen, self } from './hyp-machine.ts'
import { ICC_CTLR_EL1 } from 'vgic'

/** One vCPU, SPI 40 at priority 0x80, and a device that pulses it. */
const one = (guest: (guest: GuestBuilder) => unknown = (g) => busy(g)): Scenario =>
  scenario('one SPI')
    .spi({ intid: 40, priority: 0x80 })
    .guest(0, guest)
    .device('nic', (device) => device.pulse(40).pulse(40))

const inGuest = (s: Scenario): ScenarioMachine => {
  const machine = s.machine()
  goTo(machine, 'vcpu0', 'enters the guest')
  return machine
}

/** The vCPU leaves its guest for the host's tick and enters it again. */
function entersAgain(machine: ScenarioMachine): void {
  happen(machine, 'tick of vcpu0')
  go(machine, 'vcpu0', undefined, 1)
  goTo(machine, 'vcpu0', 'enters the guest')
}

const broken = ({ conditions }: Explanation): string | undefined => conditions.find(({ holds }) => !holds)?.name

/** Every reason that a test here has seen. */
const seen = new Set<DeliveryReason>()
function reasonOf(machine: ScenarioMachine, intid: number, vcpu?: number): DeliveryReason {
  const before = machine.snapshot()
  const explanation = machine.explain(intid, vcpu)
  expect(machine.snapshot()).toEqual(before)
  expect(explanation.delivered).toBe(broken(explanation) === undefined)
  seen.add(explanation.reason)
  return explanation.reason
}

describe('an interrupt is delivered', () => {
  it('taken: it is first in the list registers of the guest', () => {
    const machine = inGuest(one((guest) => busy(guest.unmask().onIrq(handle))).spi({ intid: 41, priority: 0xa0 }))
    go(machine, 'vcpu0', undefined, 2)
    fire(machine, 'nic')
    entersAgain(machine)
    expect(reasonOf(machine, 40)).toBe('taken')
  })
})
