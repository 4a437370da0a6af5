/** A guest's GIC at its usual addresses, and a VM that is driven access by access. */
import { ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN0_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1 } from 'vgic'
import {
  baselines,
  type Design,
  designs,
  kvm61,
  VirtualMachine,
  type VirtualMachineConfig,
} from 'vgic/scenario'

export const GICD = 0x0800_0000
export const GITS = 0x0808_0000
export const GICR = 0x080a_0000
export const GICR_STRIDE = 0x2_0000
export const SGI_BASE = 0x1_0000

/** Offsets, the same in GICD and from SGI_base. */
export const IGROUPR = 0x80
export const ISENABLER = 0x100
export const ICENABLER = 0x180
export const ISPENDR = 0x200
export const ICPENDR = 0x280
export const ISACTIVER = 0x300
export const ICACTIVER = 0x380
export const IPRIORITYR = 0x400
export const ICFGR = 0xc00
export const IROUTER = 0x6000

export const redistributor = (vcpu: number): number => GICR + vcpu * GICR_STRIDE
export const sgiBase = (vcpu: number): number => redistributor(vcpu) + SGI_BASE
/** The register with an SPI's bit, for registers of one bit for each interrupt. */
export const wordOf = (offset: number, intid: number): number => GICD + offset + 4 * (intid >> 5)
export const bitOf = (intid: number): number => 2 ** (intid & 31)

export const eitherBaseline: readonly { readonly name: string; readonly design: Design }[] = [
  { name: 'fixed', design: baselines.fixed(designs.wfiHandler) },
  { name: 'kvm61', design: kvm61(designs.wfiHandler) },
]

export const vmOf = (config: Partial<VirtualMachineConfig> = {}): VirtualMachine =>
  new VirtualMachine({
    vcpus: 2,
    spis: 64,
    timers: false,
    design: baselines.fixed(designs.wfiHandler),
    ...config,
  })

/** As a kernel does it: the distributor on, every vCPU's interface open. */
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
