/** A VM's interrupts saved and put back: what userspace reads and writes, what it cannot, and that nothing is left half done. */
import {
  ICC_AP0R0_EL1,
  ICC_AP1R1_EL1,
  ICC_AP1R3_EL1,
  ICC_BPR0_EL1,
  ICC_BPR1_EL1,
  ICC_CTLR_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_RPR_EL1,
  ICC_SRE_EL1,
} from 'vgic'
import { designs, type SavedVgic, type Scenario, type ScenarioMachine, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { asIrq, irqAfter } from '../../../../src/hyp/records/vgic-irq.ts'
import { UserspaceRegisters } from '../../../../src/hyp/userspace/userspace-registers.ts'
import { fire, go, goTo, happen, inGuest, isReady, physicalActive } from '../../../kit/driving.ts'
import {
  ICACTIVER,
  ICENABLER,
  ICFGR,
  ICPENDR,
  IROUTER,
  ISACTIVER,
  ISENABLER,
  ISPENDR,
  SGI_BASE,
} from '../../../kit/frames.ts'
import { busy, handle } from '../../../kit/guest-lists.ts'
import { wordsChangedBy } from '../../../kit/vm.ts'

/** A VM with an edge, a level and a mapped SPI; a guest that stays in its loop. */
const vm = (vcpus = 1): Scenario => {
  const s = scenario('a VM to save')
    .vm({ vcpus, timers: true })
    .spi({ intid: 40, priority: 0x80 })
    .spi({ intid: 41, trigger: 'level', priority: 0x60 })
    .spi({ intid: 42, physical: 50, trigger: 'level' })
  for (let vcpu = 0; vcpu < vcpus; vcpu++) s.guest(vcpu, (guest) => busy(guest))
  return s.device('nic', (device) => device.pulse(40)).device('uart', (device) => device.raise(41))
}

const registersOf = ({ hypervisor }: ScenarioMachine): UserspaceRegisters =>
  new UserspaceRegisters(hypervisor)

/** Offsets in the distributor, of SPIs 32 to 63, and in a redistributor. */
const ISENABLER1 = ISENABLER + 4
const ICENABLER1 = ICENABLER + 4
const GICD_IIDR = 0x8
const GICD_TYPER2 = 0xc
const ISPENDR1 = ISPENDR + 4
const ICPENDR1 = ICPENDR + 4
const ISACTIVER1 = ISACTIVER + 4
const ICACTIVER1 = ICACTIVER + 4
const GICR_ISPENDR0 = SGI_BASE + ISPENDR
const GICR_ISACTIVER0 = SGI_BASE + ISACTIVER
const SPI_40 = 1 << 8
const SPI_41 = 1 << 9
const SPI_42 = 1 << 10

describe('as userspace reads it', () => {
  it('ISPENDR is the latch without the line, LEVEL_INFO the line, ICPENDR zero', () => {
    const machine = vm().machine()
    fire(machine, 'nic')
    fire(machine, 'uart')
    const registers = registersOf(machine)
    expect(registers.readDistributor(ISPENDR1)).toBe(SPI_40)
    expect(registers.readLevels(0, 32)).toBe(SPI_41)
    expect(registers.readDistributor(ICPENDR1)).toBe(0)
  })

  it('ISENABLER and ICENABLER have the enables, ISACTIVER and ICACTIVER what is active', () => {
    const machine = inGuest(vm().guest(0, (guest) => busy(guest.onIrq((h) => busy(h.ack())).unmask())))
    fire(machine, 'nic')
    goTo(machine, 'vcpu0', 'ack:')
    machine.stop()
    const registers = registersOf(machine)
    for (const offset of [ISENABLER1, ICENABLER1])
      expect(registers.readDistributor(offset)).toBe(SPI_40 | SPI_41 | SPI_42)
    for (const offset of [ISACTIVER1, ICACTIVER1]) expect(registers.readDistributor(offset)).toBe(SPI_40)
    expect(registers.readSysreg(0, ICC_AP0R0_EL1)).toBe(0)
  })

  it('a running VM is nobody’s to read: EBUSY until it is stopped', () => {
    const machine = inGuest(vm(2))
    const registers = registersOf(machine)
    const busyError = expect.objectContaining({ code: 'EBUSY' })
    for (const access of [
      () => registers.readDistributor(ISPENDR1),
      () => registers.writeDistributor(ISPENDR1, 0),
      () => registers.readRedistributor(1, GICR_ISPENDR0),
      () => registers.readSysreg(0, ICC_PMR_EL1),
      () => registers.writeLevels(0, 32, 0),
      () => machine.saveVgic(),
    ])
      expect(access).toThrow(busyError)
    machine.stop()
    expect(registers.readDistributor(ISPENDR1)).toBe(0)
  })

  it('a register that is not there reads as zero and ignores writes, as in KVM', () => {
    const machine = vm().machine()
    const registers = registersOf(machine)
    const before = new Int32Array(machine.snapshot())
    for (const offset of [0x14, 0x201, 0x1_0000, 0xffff_fffc]) {
      registers.writeDistributor(offset, 0xffff_ffff)
      expect(registers.readDistributor(offset), String(offset)).toBe(0)
    }
    registers.writeRedistributor(0, SGI_BASE + 0xe04, 0xffff_ffff)
    expect(registers.readRedistributor(0, SGI_BASE + 0xe04)).toBe(0)
    expect(new Int32Array(machine.snapshot())).toEqual(before)
  })

  it('a vCPU that is not there is EINVAL', () => {
    const registers = registersOf(vm().machine())
    const invalid = expect.objectContaining({ code: 'EINVAL' })
    expect(() => registers.readRedistributor(1, 0)).toThrow(invalid)
    expect(() => registers.readSysreg(1, ICC_PMR_EL1)).toThrow(invalid)
  })

  it('an offset that is none is wrong use', () => {
    const registers = registersOf(vm().machine())
    for (const offset of [-4, 0.5, Number.NaN, 2 ** 32])
      expect(() => registers.readDistributor(offset), String(offset)).toThrow(
        expect.objectContaining({ code: 'argument' }),
      )
  })

  it('GICD_IIDR chooses the revision: 2, whose GICR_CTLR has neither CES nor IR, or 3', () => {
    const machine = vm().machine()
    const registers = registersOf(machine)
    expect(registers.readDistributor(GICD_IIDR)).toBe(0x4b00_343b)
    expect(registers.readRedistributor(0, 0)).toBe(6)
    registers.writeDistributor(GICD_IIDR, 0x4b00_243b)
    expect(registers.readDistributor(GICD_IIDR)).toBe(0x4b00_243b)
    expect(registers.readRedistributor(0, 0)).toBe(0)
    const other = vm().machine()
    other.restoreVgic(machine.saveVgic())
    expect(registersOf(other).readDistributor(GICD_IIDR)).toBe(0x4b00_243b)
    for (const value of [0x4b00_143b, 0x4b00_443b, 0x4b01_343b, 0x0100_343b])
      expect(() => registers.writeDistributor(GICD_IIDR, value)).toThrow(
        expect.objectContaining({ code: 'EINVAL' }),
      )
    registers.writeDistributor(GICD_IIDR, 0x4b00_343b)
    expect(registers.readRedistributor(0, 0)).toBe(6)
  })

  it('of the active priorities those that exist with its preemption bits: EINVAL for others', () => {
    const invalid = expect.objectContaining({ code: 'EINVAL' })
    const five = registersOf(vm().machine())
    expect(five.readSysreg(0, ICC_AP0R0_EL1)).toBe(0)
    expect(() => five.readSysreg(0, ICC_AP1R1_EL1)).toThrow(invalid)
    const six = registersOf(vm().gic({ priorityBits: 6, preemptionBits: 6 }).machine())
    six.writeSysreg(0, ICC_AP1R1_EL1, 0x8000_0001)
    expect(six.readSysreg(0, ICC_AP1R1_EL1)).toBe(0x8000_0001)
    expect(() => six.readSysreg(0, ICC_AP1R3_EL1)).toThrow(invalid)
  })

  it('a register without state is ENOENT', () => {
    const registers = registersOf(vm().machine())
    for (const encoding of [ICC_RPR_EL1, ICC_IAR1_EL1, 0])
      expect(() => registers.readSysreg(0, encoding)).toThrow(expect.objectContaining({ code: 'ENOENT' }))
  })
})

describe('as userspace writes it', () => {
  it('ISPENDR sets the latch exactly, ICPENDR does nothing', () => {
    const machine = vm().machine()
    fire(machine, 'nic')
    const registers = registersOf(machine)
    registers.writeDistributor(ICPENDR1, 0xffff_ffff)
    expect(registers.readDistributor(ISPENDR1)).toBe(SPI_40)
    registers.writeDistributor(ISPENDR1, SPI_41)
    expect(registers.readDistributor(ISPENDR1)).toBe(SPI_41)
    expect(machine.explain(40).reason).toBe('not-pending')
    expect(machine.explain(41).reason).toBe('pstate-masked')
  })

  it('ISACTIVER and ICACTIVER change the shadow and no physical interrupt', () => {
    const machine = vm().machine()
    const registers = registersOf(machine)
    registers.writeDistributor(ISACTIVER1, SPI_42)
    registers.writeRedistributor(0, GICR_ISACTIVER0, 1 << 27)
    expect(registers.readDistributor(ISACTIVER1)).toBe(SPI_42)
    expect([physicalActive(machine, 50), physicalActive(machine, 27)]).toEqual([false, false])
    registers.writeDistributor(ICACTIVER1, SPI_42)
    expect(registers.readDistributor(ISACTIVER1)).toBe(0)
  })

  it('ISPENDR of a timer’s PPI, which a guest cannot set, sets its latch', () => {
    const registers = registersOf(vm().machine())
    registers.writeRedistributor(0, GICR_ISPENDR0, 1 << 27)
    expect(registers.readRedistributor(0, GICR_ISPENDR0)).toBe(1 << 27)
  })

  it('lines of edges are remembered until they become levels', () => {
    const machine = vm().machine()
    const registers = registersOf(machine)
    registers.writeLevels(0, 32, SPI_40 | SPI_41)
    expect(registers.readLevels(0, 32)).toBe(SPI_41)
    registers.writeDistributor(ICFGR + 8, 0)
    expect(registers.readLevels(0, 32)).toBe(SPI_40 | SPI_41)
    registers.writeLevels(0, 32, 0)
    expect(registers.readLevels(0, 32)).toBe(0)
  })

  it('what it makes pending wakes a vCPU', () => {
    const machine = vm()
      .guest(0, (guest) => guest.onIrq(handle).unmask().wfi().wfi())
      .machine()
    go(machine, 'vcpu0')
    expect(isReady(machine, 'vcpu0')).toBe(false)
    registersOf(machine).writeDistributor(ISPENDR1, SPI_40)
    expect(isReady(machine, 'vcpu0')).toBe(true)
  })

  it('GICD_CTLR queues nothing by itself, as a guest’s write does not (W10)', () => {
    const machine = vm().machine()
    const registers = registersOf(machine)
    registers.writeDistributor(0, 0)
    expect(registers.readDistributor(0)).toBe(0x50)
    registers.writeDistributor(ISPENDR1, SPI_40)
    registers.writeDistributor(0, 0xffff_ffff)
    expect(registers.readDistributor(0)).toBe(0x52)
    expect(machine.explain(40).reason).toBe('not-queued')
  })

  it('values that contradict the silicon are EINVAL', () => {
    const registers = registersOf(vm().machine())
    const invalid = expect.objectContaining({ code: 'EINVAL' })
    expect(registers.readSysreg(0, ICC_CTLR_EL1)).toBe(0x8c00)
    for (const ctlr of [0x0c00, 0x8d00, 0x9400, 0xcc00])
      expect(() => registers.writeSysreg(0, ICC_CTLR_EL1, ctlr)).toThrow(invalid)
    expect(registers.readSysreg(0, ICC_CTLR_EL1)).toBe(0x8c00)
    expect(() => registers.writeSysreg(0, ICC_SRE_EL1, 6)).toThrow(invalid)
    registers.writeDistributor(GICD_TYPER2, 0)
    expect(() => registers.writeDistributor(GICD_TYPER2, 0x100)).toThrow(invalid)
  })

  it('ICC_CTLR_EL1 can get fewer priority and INTID bits, for a VM from another host, and never more again', () => {
    const machine = vm(2).machine()
    const registers = registersOf(machine)
    registers.writeSysreg(0, ICC_CTLR_EL1, 0x4_8b42)
    expect(registers.readSysreg(0, ICC_CTLR_EL1), 'other bits mean nothing').toBe(0x8b02)
    registers.writeSysreg(0, ICC_CTLR_EL1, 0x8301)
    expect(registers.readSysreg(0, ICC_CTLR_EL1)).toBe(0x8301)
    const invalid = expect.objectContaining({ code: 'EINVAL' })
    expect(() => registers.writeSysreg(0, ICC_CTLR_EL1, 0x8a00), 'more INTID bits').toThrow(invalid)
    expect(registers.readSysreg(0, ICC_CTLR_EL1), 'the priority bits were taken by then').toBe(0x8201)
    expect(registers.readSysreg(1, ICC_CTLR_EL1)).toBe(0x8c00)
    const other = vm(2).machine()
    other.restoreVgic(machine.saveVgic())
    expect(registersOf(other).readSysreg(0, ICC_CTLR_EL1)).toBe(0x8201)
  })

  it('the CPU interface is the shadow that the next load takes', () => {
    const machine = vm().machine()
    const registers = registersOf(machine)
    const values = [
      [ICC_CTLR_EL1, 0x8c02],
      [ICC_PMR_EL1, 0x48],
      [ICC_BPR0_EL1, 5],
      [ICC_BPR1_EL1, 6],
      [ICC_IGRPEN1_EL1, 0],
    ] as const
    for (const [encoding, value] of values) registers.writeSysreg(0, encoding, value)
    for (const [encoding, value] of values) expect(registers.readSysreg(0, encoding)).toBe(value)
    goTo(machine, 'vcpu0', 'enters the guest')
    machine.stop()
    for (const [encoding, value] of values) expect(registers.readSysreg(0, encoding)).toBe(value)
  })

  it('with CBPR set ICC_BPR1_EL1 reads as ICC_BPR0_EL1 plus 1, at most 7, and takes nothing', () => {
    const registers = registersOf(vm().machine())
    registers.writeSysreg(0, ICC_BPR1_EL1, 4)
    registers.writeSysreg(0, ICC_CTLR_EL1, 0x8c01)
    registers.writeSysreg(0, ICC_BPR1_EL1, 6)
    expect(registers.readSysreg(0, ICC_BPR1_EL1)).toBe(3)
    registers.writeSysreg(0, ICC_BPR0_EL1, 7)
    expect(registers.readSysreg(0, ICC_BPR1_EL1)).toBe(7)
    registers.writeSysreg(0, ICC_CTLR_EL1, 0x8c00)
    expect(registers.readSysreg(0, ICC_BPR1_EL1)).toBe(4)
  })
})

/** A VM with something in every group, stopped. */
function eventful(): ScenarioMachine {
  const machine = inGuest(
    vm(2)
      .guest(0, (guest) =>
        busy(
          guest
            .onIrq((h) => busy(h.ack()))
            .priorityMask(0xa8)
            .sgi({ intid: 3, vcpus: [0, 1] })
            .timer(0)
            .unmask(),
        ),
      )
      .device('nic', (device) => device.pulse(40)),
  )
  goTo(machine, 'vcpu0', 'virtual timer')
  happen(machine, 'virtual timer of vcpu0')
  fire(machine, 'uart')
  goTo(machine, 'vcpu0', 'ack:')
  fire(machine, 'nic')
  machine.stop()
  return machine
}

describe('what userspace names that is not there', () => {
  it.each([
    ['ISENABLER', ISENABLER],
    ['ISPENDR', ISPENDR],
    ['ISACTIVER', ISACTIVER],
  ])('GICD_%s has no bits of private interrupts, and none past the last SPI', (_, offset) => {
    const machine = scenario('40 SPIs')
      .vm({ vcpus: 1, spis: 40 })
      .guest(0, (guest) => guest.hvc())
      .machine()
    const registers = registersOf(machine)
    const { spis } = machine.hypervisor.layout
    for (const word of [0, 3])
      expect(
        wordsChangedBy(machine.hypervisor, () => registers.writeDistributor(offset + 4 * word, 0xffff_ffff)),
      ).toEqual([])
    registers.writeDistributor(offset + 8, 0)
    const changed = wordsChangedBy(machine.hypervisor, () =>
      registers.writeDistributor(offset + 8, 0xffff_ffff),
    )
    for (const at of changed) expect(at).toBeLessThan(irqAfter(asIrq(spis), 40))
    expect([0, 2, 3].map((word) => registers.readDistributor(offset + 4 * word))).toEqual([0, 0xff, 0])
  })

  it('lines past the last SPI', () => {
    const machine = scenario('40 SPIs')
      .vm({ vcpus: 1, spis: 40 })
      .guest(0, (guest) => guest.hvc())
      .machine()
    const registers = registersOf(machine)
    registers.writeDistributor(ICFGR + 16, 0)
    const changed = wordsChangedBy(machine.hypervisor, () => registers.writeLevels(0, 64, 0xffff_ffff))
    expect(changed).toEqual(
      Array.from({ length: 8 }, (_, i) => irqAfter(asIrq(machine.hypervisor.layout.spis), 32 + i)),
    )
    expect(registers.readLevels(0, 64)).toBe(0xff)
    expect(registers.readLevels(0, 96)).toBe(0)
  })

  it('is told by its name', () => {
    const registers = registersOf(vm().machine())
    expect(() => registers.readRedistributor(1, 0)).toThrow('There is no vCPU 1: the VM has 1.')
    expect(() => registers.readRedistributor(-1, 0)).toThrow('There is no vCPU -1: the VM has 1.')
    expect(() => registers.readSysreg(0, 5)).toThrow(
      '5 is not a register of CPU_SYSREGS: use the encoding of one that has state.',
    )
    expect(() => registers.readSysreg(0, ICC_AP1R1_EL1)).toThrow(
      'ICC_AP1R1_EL1 does not exist with 5 preemption bits.',
    )
  })
})

describe('a saved VM', () => {
  it('is JSON: registers by name, in hexadecimal', () => {
    const saved = eventful().saveVgic()
    expect(JSON.parse(JSON.stringify(saved))).toEqual(saved)
    expect(Object.keys(saved)).toEqual([
      'version',
      'dist',
      'redist',
      'sysregs',
      'level_info',
      'its',
      'mappings',
      'pending',
    ])
    expect(saved.dist).toMatchObject({
      GICD_CTLR: '0x52',
      GICD_IIDR: '0x4b00343b',
      GICD_ISENABLER1: '0x700',
      GICD_ICENABLER1: '0x700',
      GICD_ISPENDR1: '0x100',
      GICD_ICPENDR1: '0x0',
      GICD_ISACTIVER1: '0x200',
      GICD_IPRIORITYR10: '0xa06080',
      GICD_IROUTER40: '0x0',
    })
    expect(saved.redist).toHaveLength(2)
    expect(saved.redist[1]).toMatchObject({ GICR_TYPER: '0x100000110', GICR_ISPENDR0: '0x8' })
    expect(saved.sysregs[0]).toMatchObject({
      ICC_PMR_EL1: '0xa8',
      ICC_AP1R0_EL1: '0x1000',
      ICC_CTLR_EL1: '0x8c00',
    })
    expect(saved.level_info).toEqual([
      { intid0: '0x8000000', intid32: '0x200' },
      { intid0: '0x0', intid32: '0x200' },
    ])
    expect(Object.keys(saved.dist).filter((name) => /ENABLER/.test(name))).toEqual([
      'GICD_ISENABLER1',
      'GICD_ICENABLER1',
    ])
  })

  it('is the same after it was put into a fresh VM, into the VM itself, and into one with another history', () => {
    const machine = eventful()
    const saved = machine.saveVgic()
    machine.restoreVgic(saved)
    expect(machine.saveVgic()).toEqual(saved)
    const fresh = vm(2).machine()
    const reset = fresh.saveVgic()
    fresh.restoreVgic(saved)
    expect(fresh.saveVgic()).toEqual(saved)
    machine.restoreVgic(reset)
    expect(machine.saveVgic()).toEqual(reset)
    expect(machine.explain(41).reason).toBe('not-pending')
  })

  it('has the route of each SPI that it was given', () => {
    const saved = scenario('routes')
      .vm({ vcpus: 2, spis: 8 })
      .spi({ intid: 32, vcpu: 1 })
      .spi({ intid: 34, vcpu: 0 })
      .spi({ intid: 39, vcpu: 1 })
      .guest(0, (guest) => guest.hvc())
      .machine()
      .saveVgic()
    const routes = [32, 33, 34, 39].map((intid) => saved.dist[`GICD_IROUTER${intid}`])
    expect(routes).toEqual(['0x1', '0x0', '0x0', '0x1'])
  })

  it('has an affinity routed to nobody, and 64 bits where the register has them', () => {
    const machine = vm(2).machine()
    registersOf(machine).writeDistributor(IROUTER + 8 * 41, 0x12_3456)
    const saved = machine.saveVgic()
    expect(saved.dist['GICD_IROUTER41']).toBe('0x123456')
    const other = vm(2).machine()
    other.restoreVgic(saved)
    fire(other, 'uart')
    expect(other.explain(41, 0).reason).toBe('routed-elsewhere')
    expect(other.explain(41).conditions.find(({ name }) => name === 'target')?.detail).toBe(
      'GICD_IROUTER41 names no vCPU',
    )
  })
})

/** A copy of a saved VM with one register changed. */
function changed(saved: SavedVgic, path: keyof SavedVgic, name: string, value: unknown): SavedVgic {
  const copy = JSON.parse(JSON.stringify(saved))
  const registers = path === 'dist' ? copy.dist : copy[path].at(-1)
  if (value === undefined) delete registers[name]
  else registers[name] = value
  return copy
}

describe('a restore that fails leaves the previous state', () => {
  const saved = eventful().saveVgic()
  it.each<[string, string, unknown]>([
    ['nothing', 'argument', undefined],
    ['null', 'argument', null],
    ['a list', 'argument', []],
    ['a group that is missing', 'argument', { ...saved, sysregs: undefined }],
    ['fewer vCPUs', 'argument', { ...saved, redist: saved.redist.slice(1) }],
    ['a vCPU that is no object', 'argument', { ...saved, level_info: [null, null] }],
    ['a register too many', 'argument', changed(saved, 'dist', 'GICD_ISENABLER9', '0x0')],
    ['a register that objects have', 'argument', changed(saved, 'dist', 'toString', '0x0')],
    ['a register that is missing', 'argument', changed(saved, 'redist', 'GICR_CTLR', undefined)],
    ['a number', 'argument', changed(saved, 'dist', 'GICD_CTLR', 0x52)],
    ['no number', 'argument', changed(saved, 'dist', 'GICD_CTLR', '0xxyz')],
    ['too many bits', 'argument', changed(saved, 'dist', 'GICD_CTLR', '0x100000052')],
    ['bits that GICD_CTLR does not have', 'EINVAL', changed(saved, 'dist', 'GICD_CTLR', '0x53')],
    ['a revision that is none', 'EINVAL', changed(saved, 'dist', 'GICD_IIDR', '0x4b00443b')],
    ['another vGIC', 'EINVAL', changed(saved, 'dist', 'GICD_IIDR', '0x4c00343b')],
    [
      'bits that GICR_CTLR has from revision 3 on',
      'EINVAL',
      changed(saved, 'dist', 'GICD_IIDR', '0x4b00243b'),
    ],
    ['more interrupts', 'EINVAL', changed(saved, 'dist', 'GICD_TYPER', '0x7a0002')],
    ['priorities of eight bits', 'EINVAL', changed(saved, 'dist', 'GICD_IPRIORITYR10', '0xa16080')],
    ['enables that contradict each other', 'EINVAL', changed(saved, 'dist', 'GICD_ICENABLER1', '0x0')],
    ['LPIs in a VM without an ITS', 'EINVAL', changed(saved, 'redist', 'GICR_CTLR', '0x7')],
    ['pending LPIs in a VM without an ITS', 'EINVAL', { ...saved, pending: [[8192], []] }],
    ['pending LPIs of fewer vCPUs', 'argument', { ...saved, pending: [[]] }],
    ['another place in the region', 'EINVAL', changed(saved, 'redist', 'GICR_TYPER', '0x110')],
    ['lines on which vCPUs disagree', 'EINVAL', changed(saved, 'level_info', 'intid32', '0x0')],
    ['lines of SGIs', 'EINVAL', changed(saved, 'level_info', 'intid0', '0x1')],
    [
      'more priority bits, the last register of all',
      'EINVAL',
      changed(saved, 'sysregs', 'ICC_CTLR_EL1', '0x8d00'),
    ],
    ['an SRE that is clear', 'EINVAL', changed(saved, 'sysregs', 'ICC_SRE_EL1', '0x6')],
    ['a binary point of four bits', 'EINVAL', changed(saved, 'sysregs', 'ICC_BPR0_EL1', '0xa')],
  ])('%s: %s', (_what, code, bad) => {
    const machine = eventful()
    const before = new Int32Array(machine.snapshot())
    expect(() => machine.restoreVgic(bad as SavedVgic)).toThrow(
      expect.objectContaining({ name: 'VgicError', code }),
    )
    expect(new Int32Array(machine.snapshot())).toEqual(before)
  })

  it.each<[string, unknown]>([
    [
      'redist[1] has no GICR_CTLR, which this VM has: restore it to a VM of the size that it was saved from.',
      changed(saved, 'redist', 'GICR_CTLR', undefined),
    ],
    [
      'dist has GICD_ISENABLER9, which this VM does not have.',
      changed(saved, 'dist', 'GICD_ISENABLER9', '0x0'),
    ],
    [
      'dist.GICD_CTLR must be "0x" and 1 to 8 hexadecimal digits, but is 82.',
      changed(saved, 'dist', 'GICD_CTLR', 0x52),
    ],
    [
      'redist[1].GICR_TYPER must be "0x" and 1 to 16 hexadecimal digits, but is "0x".',
      changed(saved, 'redist', 'GICR_TYPER', '0x'),
    ],
    [
      'GICD_TYPER does not take 0x7a0002, but reads 0x480001: nothing was restored.',
      changed(saved, 'dist', 'GICD_TYPER', '0x7a0002'),
    ],
    [
      'GICR_CTLR of vCPU 1 does not take 0x7, but reads 0x6: nothing was restored.',
      changed(saved, 'redist', 'GICR_CTLR', '0x7'),
    ],
  ])('%s', (message, bad) => {
    expect(() => eventful().restoreVgic(bad as SavedVgic)).toThrow(message)
  })

  it('a VM that runs: EBUSY', () => {
    const machine = inGuest(vm(2))
    const before = new Int32Array(machine.snapshot())
    expect(() => machine.restoreVgic(saved)).toThrow(expect.objectContaining({ code: 'EBUSY' }))
    expect(new Int32Array(machine.snapshot())).toEqual(before)
  })
})

describe('stop()', () => {
  it.each(Object.entries(designs))(
    'brings the vCPUs of %s back to userspace, and they go on',
    (_name, design) => {
      const s = vm(2)
        .design(design)
        .guest(1, (guest) => guest.onIrq(handle).unmask().wfi().wfi())
      const machine = inGuest(s)
      go(machine, 'vcpu1')
      const sleeping = machine.counts(1).sleeps
      machine.stop()
      expect(machine.saveVgic()).toBeDefined()
      expect(machine.counts(1).sleeps).toBe(sleeping)
      goTo(machine, 'vcpu0', 'userspace')
      goTo(machine, 'vcpu0', 'enters the guest')
    },
  )

  it('a vCPU that was never run, one that has ended and one that was preempted need no stop', () => {
    const machine = vm(2)
      .guest(0, (guest) => guest.hvc())
      .gic({ cpus: 1 })
      .machine()
    goTo(machine, 'vcpu0', 'preemptOn')
    happen(machine, 'preempt vcpu0')
    goTo(machine, 'vcpu0', 'giveUpCpu')
    const before = machine.time
    machine.stop()
    expect(machine.time).toBe(before)
    go(machine, 'vcpu0')
    machine.stop()
    expect(machine.saveVgic().dist['GICD_CTLR']).toBe('0x52')
  })
})
