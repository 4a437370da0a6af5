/**
 * A VM that is saved with interrupts active: whoever has acknowledged one ends it in the VM that it was put into, wherever
 * the interrupt has been routed to since.
 */
import {
  ICC_BPR1_EL1,
  ICC_CTLR_EL1,
  ICC_DIR_EL1,
  ICC_EOIR0_EL1,
  ICC_EOIR1_EL1,
  ICC_IAR0_EL1,
  ICC_SGI1R_EL1,
} from 'vgic'
import { baselines, type Design, designs, kvm61, type VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import {
  bitOf,
  GICD,
  ICACTIVER,
  IGROUPR,
  IPRIORITYR,
  IROUTER,
  ISACTIVER,
  wordOf,
} from '../../../kit/frames.ts'
import { EOI_MODE_1 } from '../../../kit/guest-lists.ts'
import { acknowledge, boot, enable, isSet, setTrigger, vmOf } from '../../../kit/vm.ts'

const SPI = 40
const every = Object.values(designs).map((design) => ({ name: design.name, design: baselines.fixed(design) }))
const route = (vm: VirtualMachine, intid: number, affinity: number): void =>
  vm.writeMmio(0, GICD + IROUTER + 8 * intid, 8, affinity)
const prioritise = (vm: VirtualMachine, intid: number, priority: number): void =>
  vm.writeMmio(0, GICD + IPRIORITYR + intid, 1, priority)

function migrated(vm: VirtualMachine): VirtualMachine {
  vm.stop()
  const other = vmOf(vm.config)
  other.restoreVgic(vm.saveVgic())
  expect(other.saveVgic()).toEqual(vm.saveVgic())
  return other
}

/** A vCPU takes an SPI of a priority, which is routed to it then. */
function taken(vm: VirtualMachine, vcpu: number, intid: number, priority = 0xa0): VirtualMachine {
  prioritise(vm, intid, priority)
  route(vm, intid, vcpu)
  enable(vm, intid)
  vm.setLine(intid, 1)
  expect(acknowledge(vm, vcpu)).toBe(intid)
  return vm
}

const three = (design: Design = baselines.fixed(designs.wfiHandler)): VirtualMachine =>
  boot(vmOf({ vcpus: 3, design }))

describe('an SPI that is active at one vCPU and has been routed to another since', () => {
  it.each(every)('is inactive when the first ends it, and comes to the second: $name', ({ design }) => {
    for (const to of [0, 2]) {
      const vm = taken(three(design), 1, SPI)
      route(vm, SPI, to)
      const other = migrated(vm)
      const held = [0, 1, 2].map((vcpu) => other.enter(vcpu) && other.listRegisters(vcpu).lr[0] !== 0n)
      expect(held).toEqual([false, true, false])
      expect(isSet(other, ISACTIVER, SPI)).toBe(true)
      other.writeSysreg(1, ICC_EOIR1_EL1, SPI)
      expect(isSet(other, ISACTIVER, SPI)).toBe(false)
      other.setLine(SPI, 1)
      expect([0, 1, 2].map((vcpu) => acknowledge(other, vcpu))).toEqual(
        [0, 1, 2].map((vcpu) => (vcpu === to ? SPI : 1023)),
      )
    }
  })

  it('also if it is of group 0, or its line stays high, or a binary point joins priorities', () => {
    const vm = three()
    for (const intid of [SPI, SPI + 1]) setTrigger(vm, intid, 'level')
    vm.writeMmio(0, wordOf(IGROUPR, SPI), 4, 0xffff_ffff - bitOf(SPI))
    vm.writeSysreg(1, ICC_BPR1_EL1, 6)
    taken(vm, 1, SPI + 1, 0x98)
    prioritise(vm, SPI, 0x20)
    route(vm, SPI, 1)
    enable(vm, SPI)
    vm.setLine(SPI, 1)
    expect(vm.readSysreg(1, ICC_IAR0_EL1)).toBe(SPI)
    for (const intid of [SPI, SPI + 1]) route(vm, intid, 2)
    const other = migrated(vm)
    other.writeSysreg(1, ICC_EOIR0_EL1, SPI)
    other.writeSysreg(1, ICC_EOIR1_EL1, SPI + 1)
    other.enter(1)
    expect(other.readSysreg(2, ICC_IAR0_EL1)).toBe(SPI)
    other.setLine(SPI, 0)
    other.writeSysreg(2, ICC_EOIR0_EL1, SPI)
    expect(acknowledge(other, 2)).toBe(SPI + 1)
  })

  it('also if it is routed to nobody', () => {
    const vm = taken(three(), 1, SPI)
    route(vm, SPI, 0x200)
    const other = migrated(vm)
    other.writeSysreg(1, ICC_EOIR1_EL1, SPI)
    expect(isSet(other, ISACTIVER, SPI)).toBe(false)
    other.setLine(SPI, 1)
    route(other, SPI, 2)
    expect(acknowledge(other, 2)).toBe(SPI)
  })

  it('also if the vCPU that it is routed to has others active, of the same priority', () => {
    const vm = three()
    taken(vm, 1, SPI)
    taken(vm, 2, SPI + 1)
    vm.writeSysreg(0, ICC_SGI1R_EL1, 5 * 2 ** 24 + 1)
    vm.writeMmio(0, 0x080b_0405, 1, 0xa0)
    expect(acknowledge(vm, 0)).toBe(5)
    route(vm, SPI, 0)
    const other = migrated(vm)
    other.writeSysreg(1, ICC_EOIR1_EL1, SPI)
    other.writeSysreg(2, ICC_EOIR1_EL1, SPI + 1)
    other.writeSysreg(0, ICC_EOIR1_EL1, 5)
    for (const intid of [SPI, SPI + 1]) expect(isSet(other, ISACTIVER, intid)).toBe(false)
  })

  it('of several each goes to its own', () => {
    const vm = three()
    for (const [vcpu, priority] of [0x40, 0x60, 0x80].entries()) taken(vm, vcpu, SPI + vcpu, priority)
    for (const vcpu of [0, 1, 2]) route(vm, SPI + vcpu, (vcpu + 1) % 3)
    const other = migrated(vm)
    for (const vcpu of [0, 1, 2]) {
      other.writeSysreg(vcpu, ICC_EOIR1_EL1, SPI + vcpu)
      expect(isSet(other, ISACTIVER, SPI + vcpu)).toBe(false)
    }
  })

  it('with EOImode 1 is deactivated by whoever says so, wherever it is', () => {
    for (const dropped of [false, true]) {
      for (const by of [0, 1, 2]) {
        const vm = three()
        for (const vcpu of [0, 1, 2]) vm.writeSysreg(vcpu, ICC_CTLR_EL1, EOI_MODE_1)
        taken(vm, 1, SPI)
        if (dropped) vm.writeSysreg(1, ICC_EOIR1_EL1, SPI)
        route(vm, SPI, 2)
        const other = migrated(vm)
        if (!dropped) other.writeSysreg(1, ICC_EOIR1_EL1, SPI)
        other.writeSysreg(by, ICC_DIR_EL1, SPI)
        expect(isSet(other, ISACTIVER, SPI)).toBe(false)
        other.setLine(SPI, 1)
        expect(acknowledge(other, 2)).toBe(SPI)
      }
    }
  })
})

describe('an SPI that nobody has acknowledged, made active by GICD_ISACTIVER', () => {
  it('stays where it is routed to, whatever else is active', () => {
    const vm = taken(three(), 1, SPI)
    route(vm, SPI + 1, 2)
    prioritise(vm, SPI + 1, 0xa0)
    enable(vm, SPI + 1)
    vm.writeMmio(0, wordOf(ISACTIVER, SPI), 4, bitOf(SPI + 1))
    const other = migrated(vm)
    vm.setLine(SPI + 1, 1)
    other.setLine(SPI + 1, 1)
    other.writeSysreg(1, ICC_EOIR1_EL1, SPI)
    expect(isSet(other, ISACTIVER, SPI)).toBe(false)
    expect(isSet(other, ISACTIVER, SPI + 1)).toBe(true)
    other.writeMmio(0, wordOf(ICACTIVER, SPI), 4, bitOf(SPI + 1))
    expect(acknowledge(other, 2)).toBe(SPI + 1)
  })
})

describe('what the saved state does not tell', () => {
  it('two SPIs of one priority, each active at a vCPU and routed to it now or not: that of fewer moves is taken', () => {
    // 40 is active at vCPU 0 and 41 at vCPU 1; both are routed to vCPU 1. It could be the other way round.
    const vm = boot(vmOf())
    taken(vm, 0, SPI)
    taken(vm, 1, SPI + 1)
    route(vm, SPI, 1)
    const other = migrated(vm)
    const lists = [SPI, SPI + 1].map((intid) => {
      const explanation = other.explain(intid, 0)
      return explanation.conditions.find(({ name }) => name === 'ap_list')?.detail
    })
    expect(lists).toEqual(['on the ap_list of vcpu1', 'on the ap_list of vcpu0'])
    // With EOImode 1 it does not matter.
    for (const vcpu of [0, 1]) {
      other.writeSysreg(vcpu, ICC_CTLR_EL1, EOI_MODE_1)
      other.writeSysreg(vcpu, ICC_EOIR1_EL1, SPI + vcpu)
      other.writeSysreg(vcpu, ICC_DIR_EL1, SPI + vcpu)
    }
    for (const intid of [SPI, SPI + 1]) expect(isSet(other, ISACTIVER, intid)).toBe(false)
  })
})

describe('kvm61', () => {
  it('restores with the same registers, so that its guests go on the same', () => {
    const vm = taken(three(kvm61(designs.wfiHandler)), 1, SPI)
    route(vm, SPI, 2)
    const other = migrated(vm)
    other.writeSysreg(1, ICC_EOIR1_EL1, SPI)
    expect(isSet(other, ISACTIVER, SPI)).toBe(false)
  })
})
