/**
 * The distributor and redistributors that a guest sees (KVM's vgic-mmio-v3.c): IHI 0069, "The GIC Distributor register
 * map" and "The GIC Redistributor register map", with affinity routing and one Security state. What is fixed here is
 * KVM's choice: no message-based SPIs, EnableGrp1 the only group enable, five bits of a priority, `GICD_IROUTER<n>` with
 * three affinity levels and without IRM, redistributors that never sleep.
 *
 * GICD_ rows get the vCPU that makes the access as their owner, GICR_ rows the vCPU whose redistributor it is.
 */

import {
  GICD_CTLR_ARE,
  GICD_CTLR_DS,
  GICD_CTLR_EnableGrp1,
  GICD_CTLR_nASSGIreq,
  GICD_TYPER_LPIS,
  GICD_TYPER2_nASSGIcap,
} from '../../arch/gicd-registers.ts'
import {
  GICR_CTLR_CES,
  GICR_CTLR_EnableLPIs,
  GICR_CTLR_IR,
  GICR_TYPER_Last,
  GICR_TYPER_PLPIS,
} from '../../arch/gicr-registers.ts'
import { FIRST_SPI } from '../../arch/intid.ts'
import { SGI_BASE } from '../../gic/distributor/redistributor.ts'
import {
  BYTE,
  DOUBLEWORD,
  RegisterMap,
  type RegisterRow,
  razWi,
  readOnly,
  register64,
  WORD,
} from '../../gic/frames/register-map.ts'
import { affinityOf } from '../records/affinity.ts'
import { privateIrq, VCPU_INDEX, VCPU_LPIS_ENABLED, type Vcpu } from '../records/vcpu.ts'
import {
  asIrq,
  IRQ_ACTIVE_SHIFT,
  IRQ_ENABLED_SHIFT,
  IRQ_GROUP1_SHIFT,
  type Irq,
  irqAfter,
} from '../records/vgic-irq.ts'
import { VM_ENABLED, VM_NASSGIREQ, VM_PROPBASER, VM_REVISION } from '../records/vm.ts'
import type { VgicDist } from './vgic-dist.ts'
import { VGIC_GICD_SIZE, VGIC_GICR_SIZE, VGIC_IIDR } from './vgic-dist.ts'
import type { VgicMmioIrqs } from './vgic-mmio-irqs.ts'

/** A row, with the conditions that an access to it has for the VM. */
export interface VgicRow extends RegisterRow<VgicDist, Vcpu> {
  /** The state that it shows may be in list registers of running vCPUs, which must be stopped for an access. */
  readonly holds?: 'active' | 'pending'
  /**
   * A write can change whether, or where, an interrupt is deliverable without queueing it: `reevaluate` must follow.
   */
  readonly reevaluates?: true
  /**
   * A write disables interrupts, those whose bits are set or `all`. Once RWP of GICD_CTLR or GICR_CTLR reads as 0,
   * which it always does here, none of them may be taken any more: so none may be in a list register when the write
   * is done.
   */
  readonly disables?: 'interrupts' | 'all'
  /** Whether a write of a value needs all other vCPUs stopped. */
  readonly stopsFor?: (dist: VgicDist, value: number) => boolean
}

export const GICD_IIDR_Revision = 0xf000
export const GICD_IIDR_REVISION_SHIFT = 12
/** The first revision whose GICR_CTLR says that INVLPIR, INVALLR and SYNCR exist, as they do in all. */
const REVISION_WITH_IR = 3
/** GICv3. */
const PIDR2 = 0x3b

type Irqs = VgicMmioIrqs
/** Read and write of a register of the interrupts whose words begin at `at`. */
interface IrqAccess {
  read(irqs: Irqs, owner: Vcpu, at: Irq, count: number): number
  write(irqs: Irqs, owner: Vcpu, at: Irq, count: number, value: number): void
}

/**
 * The row of a register in the distributor, for SPIs. The part for INTIDs 0 to 31 is RAZ/WI: it is in the
 * redistributors.
 */
function ofSpis(row: Omit<VgicRow, 'read' | 'write'>, access: IrqAccess): VgicRow {
  return {
    ...row,
    read: ({ irqs, layout }, owner, first, count) => {
      const spi = first - FIRST_SPI
      if (spi < 0 || spi >= layout.spiCount) return 0
      return access.read(irqs, owner, irqAfter(asIrq(layout.spis), spi), atMost(count, layout.spiCount - spi))
    },
    write: ({ irqs, layout }, owner, first, count, value) => {
      const spi = first - FIRST_SPI
      if (spi < 0 || spi >= layout.spiCount) return
      access.write(
        irqs,
        owner,
        irqAfter(asIrq(layout.spis), spi),
        atMost(count, layout.spiCount - spi),
        value,
      )
    },
  }
}

/** The row of a register in a redistributor, for its vCPU's SGIs and PPIs. */
function ofPrivate(row: Omit<VgicRow, 'read' | 'write'>, access: IrqAccess): VgicRow {
  return {
    ...row,
    read: ({ irqs }, owner, first, count) => access.read(irqs, owner, privateIrq(owner, first), count),
    write: ({ irqs }, owner, first, count, value) =>
      access.write(irqs, owner, privateIrq(owner, first), count, value),
  }
}

const atMost = (count: number, most: number): number => (count < most ? count : most)

/** A kind of register that both frames have, at the same offset in GICD and, from SGI_base, in GICR. */
interface Kind {
  readonly name: string
  readonly offset: number
  readonly bits: 1 | 2 | 8
  readonly sizes: number
  readonly holds?: 'active' | 'pending'
  readonly reevaluates?: true
  readonly disables?: 'interrupts'
  readonly access: IrqAccess
}

const group: IrqAccess = {
  read: (irqs, _owner, at, count) => irqs.flags(at, count, IRQ_GROUP1_SHIFT),
  write: (irqs, owner, at, count, value) => irqs.setGroup(owner, at, count, value),
}
const readEnabled: IrqAccess['read'] = (irqs, _owner, at, count) => irqs.flags(at, count, IRQ_ENABLED_SHIFT)
const readPending: IrqAccess['read'] = (irqs, owner, at, count) => irqs.pending(owner, at, count)
const readActive: IrqAccess['read'] = (irqs, _owner, at, count) => irqs.flags(at, count, IRQ_ACTIVE_SHIFT)

const kinds: readonly Kind[] = [
  // A new group or priority takes effect when a vCPU that has the interrupt in a list register exits; `reevaluate`
  // makes it exit.
  { name: 'IGROUPR', offset: 0x80, bits: 1, sizes: WORD, reevaluates: true, access: group },
  {
    name: 'ISENABLER',
    offset: 0x100,
    bits: 1,
    sizes: WORD,
    access: {
      read: readEnabled,
      write: (irqs, owner, at, count, value) => irqs.enable(owner, at, count, value),
    },
  },
  {
    name: 'ICENABLER',
    offset: 0x180,
    bits: 1,
    sizes: WORD,
    disables: 'interrupts',
    access: {
      read: readEnabled,
      write: (irqs, owner, at, count, value) => irqs.disable(owner, at, count, value),
    },
  },
  {
    name: 'ISPENDR',
    offset: 0x200,
    bits: 1,
    sizes: WORD,
    holds: 'pending',
    access: {
      read: readPending,
      write: (irqs, owner, at, count, value) => irqs.setPending(owner, at, count, value),
    },
  },
  {
    name: 'ICPENDR',
    offset: 0x280,
    bits: 1,
    sizes: WORD,
    holds: 'pending',
    access: {
      read: readPending,
      write: (irqs, owner, at, count, value) => irqs.clearPending(owner, at, count, value),
    },
  },
  {
    name: 'ISACTIVER',
    offset: 0x300,
    bits: 1,
    sizes: WORD,
    holds: 'active',
    access: {
      read: readActive,
      write: (irqs, owner, at, count, value) => irqs.setActive(owner, at, count, value),
    },
  },
  {
    name: 'ICACTIVER',
    offset: 0x380,
    bits: 1,
    sizes: WORD,
    holds: 'active',
    reevaluates: true,
    access: {
      read: readActive,
      write: (irqs, owner, at, count, value) => irqs.clearActive(owner, at, count, value),
    },
  },
  {
    name: 'IPRIORITYR',
    offset: 0x400,
    bits: 8,
    sizes: BYTE | WORD,
    reevaluates: true,
    access: {
      read: (irqs, _owner, at, count) => irqs.priorities(at, count),
      write: (irqs, owner, at, count, value) => irqs.setPriorities(owner, at, count, value),
    },
  },
]

const triggers: IrqAccess = {
  read: (irqs, _owner, at, count) => irqs.triggers(at, count),
  write: (irqs, _owner, at, count, value) => irqs.setTriggers(at, count, value),
}
/** SGIs are edge-triggered and PPIs level-sensitive, whatever is written. */
const fixedTriggers: IrqAccess = { ...triggers, write: () => {} }

/** `interrupts` is how many INTIDs the frame has registers for: 1024, or 32. */
const rowsOf = (frame: 'GICD' | 'GICR', interrupts: number): VgicRow[] =>
  kinds.map(({ access, name, offset, bits, sizes, holds, reevaluates, disables }) => {
    const base = frame === 'GICD' ? 0 : SGI_BASE
    const length = (bits * interrupts) >> 3
    const row = {
      name: `${frame}_${name}${frame === 'GICR' && length === 4 ? '0' : ''}`,
      offset: base + offset,
      length,
      bits,
      sizes,
      ...(holds ? { holds } : {}),
      ...(reevaluates ? { reevaluates } : {}),
      ...(disables ? { disables } : {}),
    }
    return frame === 'GICD' ? ofSpis(row, access) : ofPrivate(row, access)
  })

/**
 * Writes GICD_CTLR.EnableGrp1. Setting it kicks the vCPUs that are runnable by their ap_lists, and queues nothing
 * (KVM's vgic_kick_vcpus). nASSGIreq, which is there with GICv4.1, makes SGIs into vSGIs.
 */
function writeDistributorControl(dist: VgicDist, value: number): void {
  const { words, layout, apLists, v4 } = dist
  const enabled = value & GICD_CTLR_EnableGrp1 ? 1 : 0
  const wasEnabled = words[layout.vm + VM_ENABLED]
  const switches = dist.switchesSgis(value)
  words[layout.vm + VM_ENABLED] = enabled
  if (switches) v4?.vsgis?.configure((value & GICD_CTLR_nASSGIreq) !== 0)
  if (wasEnabled !== enabled) v4?.distributorSwitched()
  if (wasEnabled || !enabled) return
  for (let i = 0; i < layout.vcpuCount; i++) {
    const v = apLists.vcpuOf(i)
    if (apLists.hasPendingIrq(apLists.words, v)) apLists.notify(v)
  }
}

const distributorRows: readonly VgicRow[] = [
  {
    name: 'GICD_CTLR',
    offset: 0x0,
    length: 4,
    bits: 0,
    sizes: WORD,
    reevaluates: true,
    disables: 'all',
    stopsFor: (dist, value) => dist.switchesSgis(value),
    read: ({ words, layout }) =>
      GICD_CTLR_ARE |
      GICD_CTLR_DS |
      (words[layout.vm + VM_ENABLED] !== 0 ? GICD_CTLR_EnableGrp1 : 0) |
      (words[layout.vm + VM_NASSGIREQ] !== 0 ? GICD_CTLR_nASSGIreq : 0),
    write: (machine, _owner, _first, _count, value) => writeDistributorControl(machine, value),
  },
  readOnly('GICD_TYPER', 0x4, (machine) => distributorTyper(machine)),
  readOnly(
    'GICD_IIDR',
    0x8,
    ({ words, layout }) => VGIC_IIDR | (words[layout.vm + VM_REVISION] << GICD_IIDR_REVISION_SHIFT),
  ),
  readOnly('GICD_TYPER2', 0xc, ({ v4 }) => (v4?.vsgis ? GICD_TYPER2_nASSGIcap : 0)),
  // It reports no errors, but KVM reads it as all ones.
  readOnly('GICD_STATUSR', 0x10, () => -1),
  razWi('GICD_SETSPI_NSR', 0x40, 4),
  razWi('GICD_CLRSPI_NSR', 0x48, 4),
  razWi('GICD_SETSPI_SR', 0x50, 4),
  razWi('GICD_CLRSPI_SR', 0x58, 4),
  ...rowsOf('GICD', 1024),
  razWi('GICD_ITARGETSR', 0x800, 0x400),
  ofSpis(
    { name: 'GICD_ICFGR', offset: 0xc00, length: 0x100, bits: 2, sizes: WORD, reevaluates: true },
    triggers,
  ),
  razWi('GICD_IGRPMODR', 0xd00, 0x80),
  razWi('GICD_NSACR', 0xe00, 0x100),
  razWi('GICD_SGIR', 0xf00, 4),
  razWi('GICD_CPENDSGIR', 0xf10, 0x10),
  razWi('GICD_SPENDSGIR', 0xf20, 0x10),
  {
    name: 'GICD_IROUTER',
    offset: 0x6000,
    length: 0x2000,
    bits: 64,
    sizes: WORD | DOUBLEWORD,
    reevaluates: true,
    // The upper word has Aff3, which KVM does not support.
    read: (machine, _owner, intid, half) => (half === 1 ? machine.router(intid) : 0),
    write: (machine, _owner, intid, half, value) => {
      if (half === 1) machine.setRouter(intid, value)
    },
  },
  readOnly('GICD_PIDR2', 0xffe8, () => PIDR2),
]

function distributorTyper({ layout, hasIts }: VgicDist): number {
  const lines = ((FIRST_SPI + layout.spiCount + 31) >> 5) - 1
  return hasIts ? lines | GICD_TYPER_LPIS | (15 << 19) : lines | (9 << 19)
}

const redistributorRows: readonly VgicRow[] = [
  {
    name: 'GICR_CTLR',
    offset: 0x0,
    length: 4,
    bits: 0,
    sizes: WORD,
    read: ({ words, layout }, owner) =>
      (words[layout.vm + VM_REVISION] >= REVISION_WITH_IR ? GICR_CTLR_CES | GICR_CTLR_IR : 0) |
      (words[owner + VCPU_LPIS_ENABLED] !== 0 ? GICR_CTLR_EnableLPIs : 0),
    write: (machine, owner, _first, _count, value) =>
      machine.writeLpisEnabled(owner, (value & GICR_CTLR_EnableLPIs) !== 0),
  },
  readOnly('GICR_IIDR', 0x4, () => VGIC_IIDR),
  register64<VgicDist, Vcpu>('GICR_TYPER', 0x8, 8, (machine, owner, half) =>
    redistributorTyper(machine, owner, half),
  ),
  razWi('GICR_STATUSR', 0x10, 4),
  razWi('GICR_WAKER', 0x14, 4),
  // Writing them while LPIs are enabled is UNPREDICTABLE; KVM ignores it.
  register64<VgicDist, Vcpu>(
    'GICR_PROPBASER',
    0x70,
    8,
    ({ words, layout }, _owner, half) => words[layout.vm + VM_PROPBASER + half],
    (machine, owner, half, value) => machine.setPropbaser(owner, half, value),
  ),
  register64<VgicDist, Vcpu>(
    'GICR_PENDBASER',
    0x78,
    8,
    (machine, owner, half) => machine.pendbaser(owner, half),
    (machine, owner, half, value) => machine.setPendbaser(owner, half, value),
  ),
  // The lower half does it, while the redistributor takes LPIs.
  register64<VgicDist, Vcpu>(
    'GICR_INVLPIR',
    0xa0,
    8,
    () => 0,
    ({ words, its }, owner, half, value) => {
      if (half === 0 && words[owner + VCPU_LPIS_ENABLED] !== 0) its.invalidate(value)
    },
  ),
  register64<VgicDist, Vcpu>(
    'GICR_INVALLR',
    0xb0,
    8,
    () => 0,
    ({ words, its }, owner, half) => {
      if (half === 0 && words[owner + VCPU_LPIS_ENABLED] !== 0) its.invalidateAll(words[owner + VCPU_INDEX])
    },
  ),
  razWi('GICR_SYNCR', 0xc0, 4),
  readOnly('GICR_PIDR2', 0xffe8, () => PIDR2),
  ...rowsOf('GICR', 32),
  ofPrivate({ name: 'GICR_ICFGR', offset: SGI_BASE + 0xc00, length: 8, bits: 2, sizes: WORD }, fixedTriggers),
  razWi('GICR_IGRPMODR0', SGI_BASE + 0xd00, 4),
  razWi('GICR_NSACR', SGI_BASE + 0xe00, 4),
]

/** GICR_TYPER. Processor_Number is the vCPU's index. */
function redistributorTyper({ words, hasIts, isLast }: VgicDist, owner: Vcpu, half: number): number {
  const index = words[owner + VCPU_INDEX]
  if (half === 1) return affinityOf(index)
  return (index << 8) | (isLast[index] ? GICR_TYPER_Last : 0) | (hasIts ? GICR_TYPER_PLPIS : 0)
}

export const distributorMap = new RegisterMap<VgicDist, Vcpu, VgicRow>(distributorRows, VGIC_GICD_SIZE)
export const redistributorMap = new RegisterMap<VgicDist, Vcpu, VgicRow>(redistributorRows, VGIC_GICR_SIZE)
