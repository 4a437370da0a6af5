/** Helpers for tests that drive a VM access by access. */
import { ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN0_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1 } from 'vgic'
import { baselines, designs, VirtualMachine, type VirtualMachineConfig } from 'vgic/scenario'
import { bitOf, GICD, ICFGR, ISENABLER, wordOf } from './frames.ts'

export const vmOf = (config: Partial<VirtualMachineConfig> = {}): VirtualMachine =>
  new VirtualMachine({
    vcpus: 2,
    spis: 64,
    timers: false,
    design: baselines.fixed(designs.wfiHandler),
    ...config,
  })

/** Initialises the GIC as a kernel does: enables the distributor and every vCPU's CPU interface. */
export function boot(vm: VirtualMachine): VirtualMachine {
  vm.writeMmio(0, GICD, 4, 2)
  for (let vcpu = 0; vcpu < vm.config.vcpus; vcpu++) {
    vm.writeSysreg(vcpu, ICC_PMR_EL1, 0xf0)
    vm.writeSysreg(vcpu, ICC_IGRPEN0_EL1, 1)
    vm.writeSysreg(vcpu, ICC_IGRPEN1_EL1, 1)
  }
  return vm
}

export const enable = (vm: VirtualMachine, intid: number): void =>
  vm.writeMmio(0, wordOf(ISENABLER, intid), 4, bitOf(intid))

/** Bit 1 of an SPI's field, or 0. */
export function setTrigger(vm: VirtualMachine, intid: number, trigger: 'edge' | 'level'): void {
  const address = GICD + ICFGR + 4 * (intid >> 4)
  const bit = 2 ** (2 * (intid & 15) + 1)
  const others = BigInt(vm.readMmio(0, address, 4)) & ~BigInt(bit)
  vm.writeMmio(0, address, 4, trigger === 'edge' ? others | BigInt(bit) : others)
}

export const isSet = (vm: VirtualMachine, offset: number, intid: number, by = 0): boolean =>
  (BigInt(vm.readMmio(by, wordOf(offset, intid), 4)) & BigInt(bitOf(intid))) !== 0n

export const acknowledge = (vm: VirtualMachine, vcpu: number): number => vm.readSysreg(vcpu, ICC_IAR1_EL1)
export const end = (vm: VirtualMachine, vcpu: number, intid: number): void =>
  vm.writeSysreg(vcpu, ICC_EOIR1_EL1, intid)

/** The offsets of the words of a machine that `act` changes. */
export function wordsChangedBy({ words }: { readonly words: Int32Array }, act: () => void): number[] {
  const before = words.slice()
  act()
  const changed: number[] = []
  for (let at = 0; at < words.length; at++) if (words[at] !== before[at]) changed.push(at)
  return changed
}
