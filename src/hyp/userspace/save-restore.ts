/**
 * Saves a VM's interrupts as plain JSON and restores them, as a VMM does with KVM's device attributes
 * (userspace-registers.ts): the values that userspace reads, by register name. A restore writes configuration before
 * state. Either everything reads as saved afterwards, or nothing changes.
 *
 * Not saved are the vCPUs' other registers, PSTATE and timers among them; the mapping to physical interrupts, which
 * is configuration of the VM; and the ap_lists, which are rebuilt, so that the order in which interrupts of equal
 * priority became pending is lost. docs/saving-a-vm.md is for users.
 */

import { halves, joined } from '../../arch/doubleword.ts'
import { FIRST_SPI } from '../../arch/intid.ts'
import { argumentOptions, argumentRecord, shown } from '../../errors/arguments.ts'
import { hex } from '../../errors/printed.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { DOUBLEWORD, type RegisterMap } from '../../gic/frames/register-map.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { VCPU_AP_COUNT, VCPU_LPIS_ENABLED, type Vcpu } from '../records/vcpu.ts'
import {
  IRQ_ACTIVE,
  IRQ_AP_LIST,
  IRQ_DEACTIVATED,
  IRQ_ENABLED,
  IRQ_LATCH,
  IRQ_LINE,
} from '../records/vgic-irq.ts'
import { VM_DEACTIVATED } from '../records/vm.ts'
import type { VgicDist } from '../vgic/vgic-dist.ts'
import type { VgicRow } from '../vgic/vgic-mmio-registers.ts'
import { placeActiveSpis } from './active-spis.ts'
import { cpuSysregs } from './cpu-sysregs.ts'
import { UserspaceRegisters, userspaceDistributor, userspaceRedistributor } from './userspace-registers.ts'

/** Registers by name, with their values in hexadecimal: `"GICD_ISENABLER1": "0xff0f"`. */
export type SavedRegisters = Readonly<Record<string, string>>

/** A VM's interrupts, as plain JSON. */
export interface SavedVgic {
  /** KVM_DEV_ARM_VGIC_GRP_DIST_REGS: GICD_ registers. */
  readonly dist: SavedRegisters
  /** KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, by vCPU: GICR_ registers. */
  readonly redist: readonly SavedRegisters[]
  /** KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, by vCPU: ICC_ registers. */
  readonly sysregs: readonly SavedRegisters[]
  /** KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, by vCPU: lines, 32 interrupts each, under `intid0`, `intid32`, ... */
  readonly level_info: readonly SavedRegisters[]
}

/** Kinds of registers in the order in which they are restored: configuration before state. */
const distributorOrder = [
  'TYPER',
  'IIDR',
  'CTLR',
  'IGROUPR',
  'ICFGR',
  'IPRIORITYR',
  'IROUTER',
  'ISENABLER',
  'ICENABLER',
  'ISPENDR',
  'ICPENDR',
  'ISACTIVER',
  'ICACTIVER',
]
/** The kinds for a redistributor: the tables of LPIs before LPIs are enabled. */
const redistributorOrder = ['TYPER', 'IIDR', 'PROPBASER', 'PENDBASER', 'CTLR', ...distributorOrder.slice(3)]

/** One register of a frame. */
interface FrameRegister {
  readonly name: string
  /** The offsets of its 32-bit words, the low one first. */
  readonly offsets: readonly number[]
}

type Frame = RegisterMap<VgicDist, Vcpu, VgicRow>

/** The registers of a frame in the order of their kinds, those for INTIDs `first` to `end` - 1. */
function registersOf({ rows }: Frame, kinds: readonly string[], first: number, end: number): FrameRegister[] {
  return kinds.flatMap((kind) =>
    rows.flatMap((row) =>
      row.name.replace(/^GIC[DR]_|0$/g, '') === kind ? registersOfRow(row, first, end) : [],
    ),
  )
}

function registersOfRow(
  { name, offset, length, bits, sizes }: VgicRow,
  first: number,
  end: number,
): FrameRegister[] {
  const bytes = sizes & DOUBLEWORD ? 8 : 4
  const interrupts = bits === 0 ? 0 : (bytes * 8) / bits
  return Array.from({ length: length / bytes }, (_, n) => ({
    name: length === bytes ? name : `${name}${n}`,
    intid: n * interrupts,
    offsets: bytes === 8 ? [offset + 8 * n, offset + 8 * n + 4] : [offset + 4 * n],
  })).filter(({ intid }) => bits === 0 || (intid >= first && intid < end))
}

/** A group of registers, which are read and written by name. */
interface Group {
  readonly names: readonly string[]
  read(name: string): string
  write(name: string, value: string): void
}

const hex64 = (low: number, high: number): string => hex(joined(low, high))

function groupOf<T>(
  registers: readonly (readonly [name: string, register: T])[],
  read: (register: T) => string,
  write: (register: T, low: number, high: number) => void,
): Group {
  const byName = new Map(registers)
  const find = (name: string): T => {
    const register = byName.get(name)
    if (register !== undefined) return register
    throw new VgicError('ENXIO', `The VM has no register ${name}.`)
  }
  return {
    names: registers.map(([name]) => name),
    read: (name) => read(find(name)),
    write: (name, value) => write(find(name), ...halves(BigInt(value))),
  }
}

const frameGroup = (
  registers: readonly FrameRegister[],
  read: (offset: number) => number,
  write: (offset: number, value: number) => void,
): Group =>
  groupOf(
    registers.map((register) => [register.name, register.offsets]),
    ([low, high]) => (high === undefined ? hex(read(low)) : hex64(read(low), read(high))),
    ([lowAt, highAt], low, high) => {
      write(lowAt, low)
      if (highAt !== undefined) write(highAt, high)
    },
  )

/** The groups of a VM, each with its path in {@link SavedVgic}, in the order in which they are restored. */
function groupsOf(
  hypervisor: Hypervisor,
): { readonly path: keyof SavedVgic; readonly vcpu: number; readonly group: Group }[] {
  const registers = new UserspaceRegisters(hypervisor)
  const { layout, silicon } = hypervisor
  const end = FIRST_SPI + layout.spiCount
  const vcpus = Array.from({ length: layout.vcpuCount }, (_, vcpu) => vcpu)
  const redistributor = registersOf(userspaceRedistributor, redistributorOrder, 0, FIRST_SPI)
  const sysregs = cpuSysregs.filter(({ exists }) => exists(silicon.ich.vtr))
  const levels = Array.from({ length: Math.ceil(end / 32) }, (_, n) => 32 * n)
  return [
    {
      path: 'dist',
      vcpu: 0,
      group: frameGroup(
        registersOf(userspaceDistributor, distributorOrder, FIRST_SPI, end),
        (offset) => registers.readDistributor(offset),
        (offset, value) => registers.writeDistributor(offset, value),
      ),
    },
    ...vcpus.map((vcpu) => ({
      path: 'redist' as const,
      vcpu,
      group: frameGroup(
        redistributor,
        (offset) => registers.readRedistributor(vcpu, offset),
        (offset, value) => registers.writeRedistributor(vcpu, offset, value),
      ),
    })),
    ...vcpus.map((vcpu) => ({
      path: 'level_info' as const,
      vcpu,
      group: groupOf(
        levels.map((first) => [`intid${first}`, first]),
        (first) => hex(registers.readLevels(vcpu, first)),
        (first, value) => registers.writeLevels(vcpu, first, value),
      ),
    })),
    ...vcpus.map((vcpu) => ({
      path: 'sysregs' as const,
      vcpu,
      group: groupOf(
        sysregs.map(({ name, encoding }) => [name, encoding]),
        (encoding) => hex(registers.readSysreg(vcpu, encoding)),
        (encoding, value) => registers.writeSysreg(vcpu, encoding, value),
      ),
    })),
  ]
}

/** Saves a VM's interrupts. Throws EBUSY while a vCPU is loaded. */
export function saveVgic(hypervisor: Hypervisor): SavedVgic {
  const saved = { dist: {}, redist: [], sysregs: [], level_info: [] } as {
    dist: SavedRegisters
    redist: SavedRegisters[]
    sysregs: SavedRegisters[]
    level_info: SavedRegisters[]
  }
  for (const { path, group } of groupsOf(hypervisor)) {
    const values = Object.fromEntries(group.names.map((name) => [name, group.read(name)]))
    if (path === 'dist') saved.dist = values
    else saved[path].push(values)
  }
  return saved
}

/**
 * Restores saved interrupts into a VM with as many vCPUs and interrupts, in place of its own. Throws EBUSY while a
 * vCPU is loaded, an `argument` error for data that is not a saved VM of this size, and EINVAL for a value that a
 * register does not take; then nothing has changed.
 */
export function restoreVgic(hypervisor: Hypervisor, saved: SavedVgic): void {
  const { words } = hypervisor
  const own = saveVgic(hypervisor)
  checkShape(saved, own)
  const before = words.slice()
  try {
    forget(hypervisor)
    const groups = groupsOf(hypervisor)
    for (const { path, vcpu, group } of groups) {
      const values = path === 'dist' ? saved.dist : saved[path][vcpu]
      for (const name of group.names) if (isWritten(name)) group.write(name, values[name])
    }
    placeActiveSpis(hypervisor)
    for (const { path, vcpu, group } of groups) {
      const values = path === 'dist' ? saved.dist : saved[path][vcpu]
      for (const name of group.names) checkTaken(path, vcpu, name, values[name], group.read(name))
    }
  } catch (error) {
    words.set(before)
    throw error
  }
}

/**
 * The clearing register of a pair has the same value as the setting one, and need not be written after {@link
 * forget}.
 */
const isWritten = (name: string): boolean => !/^GIC[DR]_IC(ENABLER|PENDR|ACTIVER)/.test(name)

/**
 * Clears a VM: no interrupt is enabled, pending or active, and the ap_lists are empty; LPIs are off, so that their
 * tables can be set.
 */
function forget({ words, layout, apLists }: Hypervisor): void {
  const gone = IRQ_AP_LIST | IRQ_ACTIVE | IRQ_LATCH | IRQ_LINE | IRQ_DEACTIVATED | IRQ_ENABLED
  for (let i = 0; i < layout.vcpuCount; i++) {
    const v = apLists.vcpuOf(i)
    words.fill(0, v + apLists.list, v + apLists.list + words[v + VCPU_AP_COUNT])
    words[v + VCPU_AP_COUNT] = 0
    words[v + VCPU_LPIS_ENABLED] = 0
    for (let intid = 0; intid < FIRST_SPI; intid++) words[apLists.irqOf(v, intid)] &= ~gone
  }
  for (let spi = 0; spi < layout.spiCount; spi++) words[layout.spis + spi] &= ~gone
  words.fill(0, layout.edgeLines, layout.edgeLines + Math.ceil(layout.spiCount / 32))
  words[layout.vm + VM_DEACTIVATED] = 0
}

/**
 * Throws an `argument` error unless a saved VM has the registers that this one has, each with a value of its width.
 */
function checkShape(saved: SavedVgic, own: SavedVgic): void {
  argumentOptions('A saved VM', saved, { dist: true, redist: true, sysregs: true, level_info: true })
  checkRegisters('dist', saved.dist, own.dist)
  for (const path of ['redist', 'sysregs', 'level_info'] as const) {
    const list: readonly SavedRegisters[] | undefined = saved[path]
    if (!Array.isArray(list) || list.length !== own[path].length) {
      throw new VgicError(
        'argument',
        `${path} must be an array of ${own[path].length}, as many as this VM has vCPUs, but ${Array.isArray(list) ? `has ${list.length}` : `is ${shown(list)}`}: restore it to a VM of its size.`,
      )
    }
    for (const [vcpu, registers] of own[path].entries())
      checkRegisters(`${path}[${vcpu}]`, list[vcpu], registers)
  }

  function checkRegisters(
    path: string,
    registers: Readonly<Record<string, unknown>>,
    ownRegisters: SavedRegisters,
  ): void {
    argumentRecord(path, registers, 'a plain object of registers by name')
    const unknown = Object.keys(registers).find((name) => !Object.hasOwn(ownRegisters, name))
    if (unknown !== undefined)
      throw new VgicError('argument', `${path} has ${unknown}, which this VM does not have.`)
    for (const name of Object.keys(ownRegisters)) {
      const value = registers[name]
      if (value === undefined) {
        throw new VgicError(
          'argument',
          `${path} has no ${name}, which this VM has: restore it to a VM of the size that it was saved from.`,
        )
      }
      const digits = /^GIC(R_(TYPER|P..[PD]BASER)|D_IROUTER)/.test(name) ? 16 : 8
      if (typeof value === 'string' && new RegExp(`^0x[0-9a-f]{1,${digits}}$`).test(value)) continue
      throw new VgicError(
        'argument',
        `${path}.${name} must be "0x" and 1 to ${digits} hexadecimal digits, but is ${shown(value)}.`,
      )
    }
  }
}

/** Throws EINVAL unless a register reads as it was saved, after everything was written. */
function checkTaken(path: keyof SavedVgic, vcpu: number, name: string, value: string, now: string): void {
  if (BigInt(value) === BigInt(now)) return
  const where = path === 'dist' ? name : `${name} of vCPU ${vcpu}`
  throw new VgicError('EINVAL', `${where} does not take ${value}, but reads ${now}: nothing was restored.`)
}
