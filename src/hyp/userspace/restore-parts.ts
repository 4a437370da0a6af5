/**
 * A restore a part at a time, as a VMM does it ioctl by ioctl; `restoreVgic` is all of it at once. Each part throws a
 * `VgicError` with a code of errno's where KVM returns that.
 *
 * KVM's documents say what comes before what: GICD_IIDR before all others, the redistributors before the ITSs, and of an ITS
 * the tables after its other registers, before GITS_CTLR (Linux, "ARM Virtual Interrupt Translation Service (ITS)", ITS
 * Restore Sequence). The rest is QEMU's order (arm_gicv3_kvm.c): GICD_CTLR, the redistributors, the SPIs, the CPU interfaces.
 */
import { FIRST_PPI, FIRST_SPI } from '../../arch/intid.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { VCPU_AP0R, VCPU_PENDBASER, VCPU_VMCR } from '../records/vcpu.ts'
import { IRQ_EDGE, IRQ_HW, IRQ_TARGET_SHIFT } from '../records/vgic-irq.ts'
import { VM_COUNTED_SPIS, VM_ENABLED, VM_NASSGIREQ, VM_PROPBASER } from '../records/vm.ts'
import { PPI_RESET, SGI_RESET, SPI_RESET } from '../vgic/vgic-mmio.ts'
import { placeActiveSpis } from './active-spis.ts'
import { ItsRegisters } from './its-registers.ts'
import type { SavedInJson } from './its-tables-restore.ts'
import {
  checkControl,
  checkTaken,
  forget,
  groupsOf,
  isWritten,
  type Path,
  type SavedGroups,
  valuesOf,
} from './save-restore.ts'

/** What a restore needs of a saved VM. */
export type Image = SavedGroups & SavedInJson

const ALL = '0xffffffff'
/** Shadows of `ICH_AP0R<n>_EL2` and, behind them, `ICH_AP1R<n>_EL2`. */
const AP_WORDS = 8

/**
 * The VM's vGIC as KVM makes it. What it is mapped to stays, as do which PPIs are edge-triggered, since nobody can write that,
 * and the vCPUs themselves.
 */
export function makeFresh(hypervisor: Hypervisor): void {
  const { words, layout, mmio, v4 } = hypervisor
  // The hardware has nothing of a vPE that is new.
  if (words[layout.vm + VM_NASSGIREQ] !== 0) v4?.vsgis?.configure(false)
  forget(hypervisor)
  // Of the addresses of LPI tables it resets the lower words.
  mmio.reset()
  words[layout.vm + VM_ENABLED] = 0
  words[layout.vm + VM_COUNTED_SPIS] = 0
  words[layout.vm + VM_PROPBASER + 1] = 0
  for (let i = 0; i < layout.vcpuCount; i++) makeVcpuFresh(hypervisor, i)
  for (let spi = 0; spi < layout.spiCount; spi++) {
    const irq = hypervisor.apLists.irqOf(hypervisor.vcpu(0), FIRST_SPI + spi)
    words[irq] = SPI_RESET | (words[irq] & IRQ_HW)
  }
  words.fill(0, layout.irouters, layout.irouters + layout.spiCount)
}

function makeVcpuFresh({ words, apLists }: Hypervisor, index: number): void {
  const v = apLists.vcpuOf(index)
  words[v + VCPU_VMCR] = 0
  words.fill(0, v + VCPU_AP0R, v + VCPU_AP0R + AP_WORDS)
  words[v + VCPU_PENDBASER + 1] = 0
  for (let intid = 0; intid < FIRST_SPI; intid++) {
    const irq = apLists.irqOf(v, intid)
    const reset = intid < FIRST_PPI ? SGI_RESET : PPI_RESET
    words[irq] = reset | (index << IRQ_TARGET_SHIFT) | (words[irq] & (IRQ_HW | IRQ_EDGE))
  }
}

/** KVM_DEV_ARM_ITS_CTRL_RESET of every ITS. */
export function resetItss(hypervisor: Hypervisor): void {
  for (let n = 0; n < hypervisor.layout.itsCount; n++) new ItsRegisters(hypervisor).reset(n)
}

/**
 * Writes registers of a part, by their names; then each must read as it was saved. Since ISENABLER and ISACTIVER only set
 * what they have, all is cleared before, as QEMU does: SGIs of a fresh VM are enabled.
 */
export function restoreRegisters(
  hypervisor: Hypervisor,
  image: Image,
  part: Path,
  isOne: (name: string) => boolean = () => true,
): void {
  const isRestored = (name: string): boolean => isWritten(name) && isOne(name)
  const groups = groupsOf(hypervisor)
    .filter(({ path }) => path === part)
    .map((one) => ({ ...one, values: valuesOf(image, one), names: one.group.names.filter(isRestored) }))
  for (const { group, names, values } of groups) {
    for (const name of names) {
      if (/_IS(ENABLER|ACTIVER)/.test(name)) group.write(name.replace('_IS', '_IC'), ALL)
      group.write(name, values[name])
    }
  }
  for (const { path, number, group, names, values } of groups)
    for (const name of names) checkTaken(path, number, name, values[name], group.read(name))
}

/** The registers of the distributor that are for all of it. */
export const isControl = (name: string): boolean => /^GICD_(CTLR|TYPER2?|IIDR)$/.test(name)

/** The CPU interfaces; their active priorities tell which vCPU has an active SPI. */
export function restoreCpuInterfaces(hypervisor: Hypervisor, image: Image): void {
  restoreRegisters(hypervisor, image, 'sysregs')
  placeActiveSpis(hypervisor)
}

/** GITS_CTLR of every ITS. */
export function restoreItsControl(hypervisor: Hypervisor, image: Image): void {
  for (const one of groupsOf(hypervisor)) {
    if (one.path !== 'its') continue
    const values = valuesOf(image, one)
    checkControl(one.number, values)
    one.group.write('GITS_CTLR', values['GITS_CTLR'])
  }
}
