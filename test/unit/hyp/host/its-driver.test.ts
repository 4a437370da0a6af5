/** The host's driver of its ITS and of vPEs, as the silicon and the recordings of Linux see it. */
import { describe, expect, it } from 'vitest'
import { GICR_VPENDBASER_HIGH_Valid } from '../../../../src/arch/gicr-registers.ts'
import { DIRTY_POLLS, ItsVpes } from '../../../../src/hyp/host/its-vpes.ts'
import { VPE_PENDING_LAST, VPE_RESIDENT } from '../../../../src/hyp/records/its-vpe.ts'
import { asVcpu, VCPU_LAST_CPU, VCPU_PE } from '../../../../src/hyp/records/vcpu.ts'
import { accessesOf, DEVICE, runVcpu, VLPI, v4Of, vlpiScenario } from '../../../kit/direct.ts'

const versions = ['4.0', '4.1'] as const
const asleep = (version: '4.0' | '4.1', vcpus = 1) => {
  const machine = vlpiScenario(version, undefined, vcpus)
    .guest(0, (guest) =>
      guest
        .onIrq((handler) => handler.ack().eoi())
        .unmask('irq')
        .wfi(),
    )
    .machine()
  runVcpu(machine)
  return machine
}

describe.each(versions)('the host on GICv%s', (version) => {
  it('boots its ITS with a vPE for each vCPU, and forwards the interrupt before the run', () => {
    const machine = vlpiScenario(version, undefined, 2).machine()
    const { silicon } = machine.hypervisor
    expect(silicon.its[0].isEnabled).toBe(true)
    expect(silicon.its[0].queue.isStalled).toBe(false)
    const v4 = v4Of(machine)
    expect(v4.forwarding.isForwarded(v4.forwarding.find(DEVICE, 0))).toBe(true)
    expect(v4.forwarding.find(DEVICE, 1)).toBe(-1)
  })

  it('does not count what it does before the run', () => {
    const machine = vlpiScenario(version).machine()
    expect(machine.cost()).toEqual([])
  })

  it('makes the vPE resident once: a second load accesses nothing', () => {
    const machine = vlpiScenario(version)
      .guest(0, (guest) => guest.wfi())
      .machine()
    const { hypervisor } = machine
    const v = hypervisor.vcpu(0)
    const v4 = v4Of(machine)
    expect(accessesOf(machine, () => v4.load(v))).not.toEqual([])
    expect(accessesOf(machine, () => v4.load(v))).toEqual([])
  })

  it('puts a vPE that is not resident without an access', () => {
    const machine = vlpiScenario(version).machine()
    const v4 = v4Of(machine)
    expect(accessesOf(machine, () => v4.put(machine.hypervisor.vcpu(0), true))).toEqual([])
  })

  it('moves the vPE with its vCPU: VMOVP and VSYNC, and the doorbell', () => {
    const machine = vlpiScenario(version, undefined, 2).machine()
    const { hypervisor } = machine
    const v = hypervisor.vcpu(0)
    const v4 = v4Of(machine)
    hypervisor.words[v + VCPU_LAST_CPU] = 1
    const done = accessesOf(machine, () => v4.load(v))
    const moved =
      version === '4.1'
        ? [
            'VMOVP Sequence_Number=0 ITSList=0 vPEID=0 RDbase=1 DB=1 Default_Doorbell_pINTID=8192',
            'VSYNC vPEID=0',
          ]
        : [
            'VMOVP Sequence_Number=0 ITSList=0 vPEID=0 RDbase=1',
            'VSYNC vPEID=0',
            'MAPTI DeviceID=65535 EventID=0 pINTID=8192 ICID=1',
            'SYNC RDbase=1',
            'MOVI DeviceID=65535 EventID=0 ICID=1',
            'SYNC RDbase=1',
          ]
    expect(done.slice(0, moved.length)).toEqual(moved)
    expect(hypervisor.silicon.residency?.readVpendbaser(1, 1) ?? 0).toSatisfy(
      (high: number) => (high & GICR_VPENDBASER_HIGH_Valid) !== 0,
    )
  })

  it('takes a poll that times out for pending', () => {
    const machine = vlpiScenario(version).gic({ version, writeEffects: 'lagging' }).machine()
    const { hypervisor } = machine
    const { seam, layout, words } = hypervisor
    const v = hypervisor.vcpu(0)
    const patient = new ItsVpes(seam, layout.direct)
    patient.makeResident(v, true)
    patient.settleResident(v)
    expect(patient.clearValid(v, true)).toBe(false)
    hypervisor.silicon.completeWrites()
    const hasty = new ItsVpes(seam, layout.direct, { takes: 4, limit: 3 })
    hasty.makeResident(v, true)
    hypervisor.silicon.completeWrites()
    expect(hasty.clearValid(v, true)).toBe(true)
    expect(words[hasty.of(v) + VPE_RESIDENT]).toBe(0)
  })

  it('counts each read that waits for Dirty', () => {
    const machine = vlpiScenario(version).gic({ version, writeEffects: 'lagging' }).machine()
    const { hypervisor } = machine
    const slow = new ItsVpes(hypervisor.seam, hypervisor.layout.direct, { ...DIRTY_POLLS, takes: 5 })
    const v = hypervisor.vcpu(0)
    slow.makeResident(v, true)
    hypervisor.silicon.completeWrites()
    const before = machine.cost().reduce((sum, { dirtyPolls = 0 }) => sum + dirtyPolls, 0)
    slow.clearValid(v, true)
    expect(machine.cost().reduce((sum, { dirtyPolls = 0 }) => sum + dirtyPolls, 0) - before).toBe(5)
  })

  it('asks for a doorbell when the vCPU waits, and it wakes the vCPU', () => {
    const machine = asleep(version)
    const { hypervisor } = machine
    const v4 = v4Of(machine)
    const v = hypervisor.vcpu(0)
    expect(hypervisor.words[v + VCPU_PE]).toBe(0)
    expect(v4.isPendingLast(v)).toBe(false)
    const done = accessesOf(machine, () => machine.internals.deviceSteps.sendToHost(DEVICE, 0))
    expect(done.slice(0, 2)).toEqual(['r ICC_IAR1_EL1 0x2000', 'w ICC_EOIR1_EL1 0x2000'])
    expect(v4.isPendingLast(v)).toBe(true)
    expect(done.slice(2)).toEqual(
      version === '4.1'
        ? []
        : ['w LPI configuration 0xa3a2', 'INV DeviceID=65535 EventID=0', 'SYNC RDbase=0'],
    )
  })

  it('is not told by a second interrupt: a doorbell rings once', () => {
    const machine = asleep(version)
    machine.internals.deviceSteps.sendToHost(DEVICE, 0)
    expect(accessesOf(machine, () => machine.internals.deviceSteps.sendToHost(DEVICE, 0))).toEqual([])
  })
})

describe('a doorbell of GICv4.0', () => {
  it('needs no proxy device where the redistributors take direct LPIs', () => {
    const machine = vlpiScenario('4.0').gic({ version: '4.0', directLpis: true }).machine()
    const v4 = v4Of(machine)
    const v = machine.hypervisor.vcpu(0)
    const loaded = accessesOf(machine, () => v4.load(v))
    expect(loaded.slice(2)).toEqual(['w GICR_CLRLPIR 0x2000', 'r GICR_SYNCR 0x0'])
    const put = accessesOf(machine, () => v4.put(v, true))
    expect(put.slice(0, 3)).toEqual([
      'w LPI configuration 0xa3a3',
      'w GICR_INVLPIR 0x2000',
      'r GICR_SYNCR 0x0',
    ])
  })
})

describe('the put of GICv4.1', () => {
  it('without a doorbell takes the vPE to have an interrupt pending', () => {
    const machine = vlpiScenario('4.1').machine()
    const v4 = v4Of(machine)
    const v = machine.hypervisor.vcpu(0)
    v4.load(v)
    v4.put(v, false)
    expect(machine.hypervisor.words[v4.vpes.of(v) + VPE_PENDING_LAST]).toBe(1)
  })
  it('with a doorbell tells whether it has', () => {
    const machine = vlpiScenario('4.1').machine()
    const v4 = v4Of(machine)
    const v = machine.hypervisor.vcpu(0)
    v4.load(v)
    v4.put(v, true)
    expect(v4.isPendingLast(v)).toBe(false)
    v4.load(v)
    machine.internals.deviceSteps.sendToHost(DEVICE, 0)
    v4.put(v, true)
    expect(v4.isPendingLast(v)).toBe(true)
  })
})

it('an invalidation of a vLPI goes to the redistributor that the vPE is mapped to (catalogue 17)', () => {
  const machine = vlpiScenario('4.1', undefined, 2)
    .gic({ version: '4.1', cpus: 2, directLpis: true })
    .machine()
  const { hypervisor } = machine
  const v4 = v4Of(machine)
  const v = hypervisor.vcpu(0)
  hypervisor.words[v + VCPU_LAST_CPU] = 1
  v4.load(v)
  const irq = v4.forwarding.lpiOf(0)
  if (irq === 0) throw new Error('it is not forwarded')
  const before = hypervisor.silicon.mmio.rdBase(1)
  const seen: number[] = []
  hypervisor.seam.observer = (kind, _isRead, register) => {
    if (kind === 'mmio') seen.push(register)
  }
  v4.forwarding.configured(irq, true)
  hypervisor.seam.observer = null
  expect(seen).toEqual([before + 0xa0, before + 0xc0])
  expect(v4.forwarding.its.lpis.intidOf(irq)).toBe(VLPI)
  expect(asVcpu(v)).toBe(v)
})

describe('a directed yield asks about a vCPU that sleeps', () => {
  /** What a vCPU that spins is told of vCPU 0, which waits, with its pending_last as given. */
  const told = (pendingLast: number): string[] => {
    const machine = vlpiScenario('4.1', undefined, 2)
      .guest(0, (guest) => guest.wfi())
      .guest(1, (guest) => guest.wfe().wfe())
      .machine()
    runVcpu(machine, 0)
    const { hypervisor } = machine
    hypervisor.words[v4Of(machine).vpes.of(hypervisor.vcpu(0)) + VPE_PENDING_LAST] = pendingLast
    const [, spinning] = machine.actors
    const steps: string[] = []
    while (machine.stateOf(spinning) === 'ready') steps.push(machine.trace(spinning).what)
    return steps.filter((what) => what.startsWith('dyRunnable?'))
  }

  it('by pending_last too: the doorbell has rung, and its thread is still to be woken', () => {
    expect(told(0)).toEqual(['dyRunnable? no'])
    expect(told(1)).toEqual(['dyRunnable? yes'])
  })
})
