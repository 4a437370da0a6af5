/**
 * Userspace's access to the vGIC while the vCPUs are stopped: the groups DIST_REGS, REDIST_REGS, CPU_SYSREGS and
 * LEVEL_INFO of KVM's device attributes (Linux, "ARM Virtual Generic Interrupt Controller v3 and later (VGICv3)").
 * The memory-mapped registers are the guest's rows, except for those here, which access the state in memory and never
 * the physical interrupt that it is mapped to:
 * - ISPENDR is the latch without the line, and a write sets it exactly; ICPENDR reads as zero and ignores writes;
 * - a level-sensitive interrupt's line is in LEVEL_INFO and nowhere else;
 * - list registers of a running vCPU are never read: while a vCPU is loaded, every access fails.
 * An offset without a 32-bit register reads as zero and ignores writes, as in KVM (vgic_uaccess_read, vgic_uaccess_write),
 * where only KVM_HAS_DEVICE_ATTR, which asks whether there is one, fails with ENXIO (vgic_v3_has_attr_regs). A vCPU that
 * does not exist is EINVAL (vgic_v3_parse_attr).
 */

import { GICD_CTLR_EnableGrp1, GICD_CTLR_nASSGIreq } from '../../arch/gicd-registers.ts'
import { FIRST_PPI, FIRST_SPI, type Intid } from '../../arch/intid.ts'
import type { Encoding } from '../../arch/sysreg.ts'
import { argumentInteger } from '../../errors/arguments.ts'
import { hex } from '../../errors/printed.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { RegisterMap, razWi, WORD } from '../../gic/frames/register-map.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { privateIrq, VCPU_LOADED, type Vcpu } from '../records/vcpu.ts'
import {
  asIrq,
  IRQ_ACTIVE,
  IRQ_EDGE,
  IRQ_ENABLED,
  IRQ_LATCH,
  IRQ_LINE,
  type Irq,
  irqAfter,
} from '../records/vgic-irq.ts'
import { VM_ENABLED, VM_NASSGIREQ, VM_REVISION } from '../records/vm.ts'
import { VGIC_REVISION, type VgicDist } from '../vgic/vgic-dist.ts'
import {
  distributorMap,
  GICD_IIDR_REVISION_SHIFT,
  GICD_IIDR_Revision,
  redistributorMap,
  type VgicRow,
} from '../vgic/vgic-mmio-registers.ts'
import { type CpuSysreg, cpuSysreg } from './cpu-sysregs.ts'

/** The word of an interrupt of a frame, 0 if the frame does not have it. */
type IrqAt = (machine: VgicDist, owner: Vcpu, intid: Intid) => Irq | 0
type Access = Pick<VgicRow, 'read' | 'write'>

const spiAt: IrqAt = ({ layout }, _owner, intid) =>
  intid >= FIRST_SPI && intid < FIRST_SPI + layout.spiCount
    ? irqAfter(asIrq(layout.spis), intid - FIRST_SPI)
    : 0
const privateAt: IrqAt = (_machine, owner, intid) => privateIrq(owner, intid)

/** A register with a flag of each interrupt: a read shows the flag, a write computes every interrupt's new word. */
const flag = (irqAt: IrqAt, shown: number, written: (word: number, isSet: boolean) => number): Access => ({
  read: (machine, owner, first, count) => {
    let value = 0
    for (let i = 0; i < count; i++) {
      const irq = irqAt(machine, owner, first + i)
      if (irq !== 0 && machine.words[irq] & shown) value |= 1 << i
    }
    return value
  },
  write: (machine, owner, first, count, value) => {
    for (let i = 0; i < count; i++) {
      const irq = irqAt(machine, owner, first + i)
      if (irq !== 0) machine.irqs.apLists.store(irq, written(machine.words[irq], ((value >>> i) & 1) === 1))
    }
  },
})

/**
 * The pending state of vSGIs is the hardware's: it is read there, and what is restored goes there (catalogue 48). The
 * configuration of one that is enabled does, too.
 */
const withVsgis = (access: Access, isPending: boolean): Access => ({
  read: (machine, owner, first, count) => {
    const value = access.read(machine, owner, first, count)
    const { vsgis } = machine.irqs
    if (!isPending || !vsgis?.isVsgi(owner, privateIrq(owner, first))) return value
    return (value & ~0xffff) | vsgis.pending(owner)
  },
  write: (machine, owner, first, count, value) => {
    const { vsgis } = machine.irqs
    if (!vsgis?.isVsgi(owner, privateIrq(owner, first))) {
      access.write(machine, owner, first, count, value)
      return
    }
    access.write(machine, owner, first, count, isPending ? value & ~0xffff : value)
    for (let sgi = 0; sgi < FIRST_PPI; sgi++) {
      if (!isPending) vsgis.update(owner, sgi)
      else if ((value >>> sgi) & 1) vsgis.send(owner, owner, sgi)
      else vsgis.clear(owner, sgi)
    }
  },
})

const privateRows = (rows: Readonly<Record<string, Access>>): Readonly<Record<string, Access>> => ({
  ...rows,
  ISENABLER: withVsgis(rows['ISENABLER'], false),
  ISPENDR: withVsgis(rows['ISPENDR'], true),
})

/** The registers with a bit for each interrupt that differ for userspace. */
const interruptRows = (irqAt: IrqAt): Readonly<Record<string, Access>> => ({
  ISENABLER: flag(irqAt, IRQ_ENABLED, (word, isSet) => (isSet ? word | IRQ_ENABLED : word)),
  ISPENDR: flag(irqAt, IRQ_LATCH, (word, isSet) => (isSet ? word | IRQ_LATCH : word & ~IRQ_LATCH)),
  ICPENDR: { read: () => 0, write: () => {} },
  ISACTIVER: flag(irqAt, IRQ_ACTIVE, (word, isSet) => (isSet ? word | IRQ_ACTIVE : word)),
  ICACTIVER: flag(irqAt, IRQ_ACTIVE, (word, isSet) => (isSet ? word & ~IRQ_ACTIVE : word)),
})

/**
 * GICD_CTLR, without the kicks of a guest's write, and GICD_IIDR, whose Revision userspace chooses: an older one for a guest
 * that comes from an older kernel (vgic_mmio_uaccess_write_v3_misc). Linux 6.1 and 7.2 take 2 and 3; before they were mended in
 * 2026 (a0e6ae45af17, in 6.1's stable releases, too) they took any, without an effect. GICD_TYPER2 takes what it has; Linux has
 * let userspace clear nASSGIcap before the VM first runs since 6.17: here the VM's configuration says it.
 */
const distributorRows: Readonly<Record<string, Partial<Access>>> = {
  ...interruptRows(spiAt),
  CTLR: {
    write: ({ words, layout, v4 }, _owner, _first, _count, value) => {
      words[layout.vm + VM_ENABLED] = value & GICD_CTLR_EnableGrp1 ? 1 : 0
      const direct = (value & GICD_CTLR_nASSGIreq) !== 0
      if (v4?.vsgis && direct !== (words[layout.vm + VM_NASSGIREQ] !== 0)) v4.vsgis.configure(direct)
    },
  },
  TYPER2: {
    write: (machine, owner, _first, _count, value) => {
      const own = asGuestReads(machine, owner, GICD_TYPER2)
      if (value !== own)
        throw new VgicError(
          'EINVAL',
          `GICD_TYPER2 is ${hex(own)}, not ${hex(value)}: make the VM with other vsgis.`,
        )
    },
  },
  IIDR: {
    write: (machine, owner, _first, _count, value) => {
      const own = asGuestReads(machine, owner, GICD_IIDR)
      if ((own ^ value) & ~GICD_IIDR_Revision)
        throw new VgicError('EINVAL', `GICD_IIDR is ${hex(own)}, not ${hex(value)}: another vGIC.`)
      const revision = (value & GICD_IIDR_Revision) >>> GICD_IIDR_REVISION_SHIFT
      if (revision < 2 || revision > VGIC_REVISION)
        throw new VgicError('EINVAL', `GICD_IIDR has revision ${revision}: 2 or 3 can be chosen.`)
      machine.words[machine.layout.vm + VM_REVISION] = revision
    },
  },
}
const GICD_IIDR = 0x8
const GICD_TYPER2 = 0xc

/** What a guest reads from a word of the distributor. */
const asGuestReads = (machine: VgicDist, owner: Vcpu, offset: number): number =>
  distributorMap.read(machine, owner, offset, WORD)

/** Identification registers other than PIDR2. For a guest they read as zero without a row. */
const identification = [razWi<VgicDist>('PIDR4', 0xffd0, 0x18), razWi<VgicDist>('PIDR3', 0xffec, 0x14)]

/**
 * The guest's rows, with the access replaced for those in `rows`, whose names are without the frame and without the 0
 * of a single register.
 */
function userspaceMap(
  { rows, size }: RegisterMap<VgicDist, Vcpu, VgicRow>,
  others: Readonly<Record<string, Partial<Access>>>,
): RegisterMap<VgicDist, Vcpu, VgicRow> {
  const own = rows.map((row) => ({ ...row, ...others[row.name.replace(/^GIC[DR]_|0$/g, '')] }))
  return new RegisterMap([...own, ...identification], size)
}

/** The maps of the frames for userspace. */
export const userspaceDistributor = userspaceMap(distributorMap, distributorRows)
export const userspaceRedistributor = userspaceMap(redistributorMap, privateRows(interruptRows(privateAt)))

/** The device attributes of a VM's vGIC. Values are unsigned 32-bit words; a 64-bit register is two. */
export class UserspaceRegisters {
  constructor(readonly hypervisor: Hypervisor) {}

  /** A 32-bit word of the distributor, by its offset: DIST_REGS. */
  readDistributor(offset: number): number {
    return this.readFrame(userspaceDistributor, 0, offset)
  }

  writeDistributor(offset: number, value: number): void {
    this.writeFrame(userspaceDistributor, 0, offset, value)
  }

  /** A 32-bit word of a vCPU's redistributor, by its offset from RD_base, SGI_base included: REDIST_REGS. */
  readRedistributor(vcpu: number, offset: number): number {
    return this.readFrame(userspaceRedistributor, vcpu, offset)
  }

  writeRedistributor(vcpu: number, offset: number, value: number): void {
    this.writeFrame(userspaceRedistributor, vcpu, offset, value)
  }

  /** A system register of a vCPU's CPU interface, by its encoding: CPU_SYSREGS. */
  readSysreg(vcpu: number, encoding: Encoding): number {
    const v = this.stopped(vcpu)
    return this.sysreg(encoding).read({ words: this.hypervisor.words, v, vtr: this.vtr })
  }

  writeSysreg(vcpu: number, encoding: Encoding, value: number): void {
    const v = this.stopped(vcpu)
    const register = this.sysreg(encoding)
    if (register.write({ words: this.hypervisor.words, v, vtr: this.vtr }, value)) return
    throw new VgicError(
      'EINVAL',
      `${register.name} does not take ${hex(value)}: the host's fields differ, or have fewer bits.`,
    )
  }

  /** The lines of level-sensitive interrupts `first` to `first` + 31, a multiple of 32, of a vCPU: LEVEL_INFO. */
  readLevels(vcpu: number, first: number): number {
    const v = this.stopped(vcpu)
    let levels = 0
    for (let i = 0; i < 32; i++) {
      const irq = this.irqOf(v, first + i)
      if (irq !== 0 && (this.hypervisor.words[irq] & (IRQ_EDGE | IRQ_LINE)) === IRQ_LINE) levels |= 1 << i
    }
    return levels >>> 0
  }

  /**
   * Sets the lines that {@link readLevels} reads. The line of an edge-triggered interrupt is remembered until it
   * becomes level-sensitive.
   */
  writeLevels(vcpu: number, first: number, levels: number): void {
    const v = this.stopped(vcpu)
    const { words, layout, mmio } = this.hypervisor
    for (let i = 0; i < 32; i++) {
      const irq = this.irqOf(v, first + i)
      if (irq === 0) continue
      const isHigh = ((levels >>> i) & 1) === 1
      if ((words[irq] & IRQ_EDGE) === 0)
        mmio.dist.irqs.apLists.store(irq, isHigh ? words[irq] | IRQ_LINE : words[irq] & ~IRQ_LINE)
      else if (irq >= layout.spis) mmio.dist.irqs.holdLine(irq, isHigh)
    }
  }

  private irqOf(v: Vcpu, intid: Intid): Irq | 0 {
    const { layout, apLists } = this.hypervisor
    return intid < FIRST_SPI + layout.spiCount ? apLists.irqOf(v, intid) : 0
  }

  private readFrame(map: Map, vcpu: number, offset: number): number {
    const v = this.stopped(vcpu)
    argumentInteger('offset', offset, 0, 0xffff_ffff)
    return map.read(this.hypervisor.mmio.dist, v, offset, WORD) >>> 0
  }

  private writeFrame(map: Map, vcpu: number, offset: number, value: number): void {
    const v = this.stopped(vcpu)
    argumentInteger('offset', offset, 0, 0xffff_ffff)
    map.write(this.hypervisor.mmio.dist, v, offset, WORD, value | 0, 0)
  }

  private sysreg(encoding: Encoding): CpuSysreg {
    return cpuSysreg(encoding, this.vtr)
  }

  private get vtr(): number {
    return this.hypervisor.silicon.ich.vtr
  }

  /** The record of a vCPU. Throws EBUSY while a vCPU is loaded. */
  private stopped(vcpu: number): Vcpu {
    const { layout } = this.hypervisor
    if (!Number.isInteger(vcpu) || vcpu < 0 || vcpu >= layout.vcpuCount) {
      throw new VgicError('EINVAL', `There is no vCPU ${vcpu}: the VM has ${layout.vcpuCount}.`)
    }
    checkStopped(this.hypervisor)
    return this.hypervisor.vcpu(vcpu)
  }
}

/** Throws EBUSY while a vCPU is loaded, or was preempted while it carries out commands of an ITS. */
export function checkStopped({ words, layout, apLists, mmio }: Hypervisor): void {
  for (let i = 0; i < layout.vcpuCount; i++) {
    if (words[apLists.vcpuOf(i) + VCPU_LOADED] === 0) continue
    throw new VgicError('EBUSY', `vCPU ${i} is loaded: stop the VM first.`)
  }
  const n = mmio.dist.commands.lockedQueue()
  if (n >= 0) throw new VgicError('EBUSY', `A vCPU carries out commands of ITS ${n}: stop the VM first.`)
}

type Map = RegisterMap<VgicDist, Vcpu, VgicRow>
