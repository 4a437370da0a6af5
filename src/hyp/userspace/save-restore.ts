/**
 * Saves a VM's interrupts as plain JSON and restores them, as a VMM does with KVM's device attributes
 * (userspace-registers.ts): the values that userspace reads, by register name. A restore writes configuration before
 * state. Either everything reads as saved afterwards, or nothing changes.
 *
 * What the enabled ITSs have mapped, and which LPIs are pending, is in tables in the guest's memory, which a save writes
 * and a restore reads. What disabled ITSs have mapped is in the JSON (its-mappings.ts).
 *
 * Not saved are the vCPUs' other registers, PSTATE and timers among them; the mapping to physical interrupts, which
 * is configuration of the VM; and the ap_lists, which are rebuilt, so that the order in which interrupts of equal
 * priority became pending is lost. docs/saving-a-vm.md is for users.
 */

import { halves, joined } from '../../arch/doubleword.ts'
import { FIRST_SPI } from '../../arch/intid.ts'
import { argumentList, argumentOptions, argumentRecord, shown } from '../../errors/arguments.ts'
import { hex } from '../../errors/printed.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { DOUBLEWORD, type RegisterMap } from '../../gic/frames/register-map.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { VCPU_LPIS_ENABLED, type Vcpu } from '../records/vcpu.ts'
import {
  asIrq,
  IRQ_ACTIVE,
  IRQ_DEACTIVATED,
  IRQ_ENABLED,
  IRQ_LATCH,
  IRQ_LINE,
  irqAfter,
} from '../records/vgic-irq.ts'
import { VM_DEACTIVATED } from '../records/vm.ts'
import type { VgicDist } from '../vgic/vgic-dist.ts'
import type { VgicRow } from '../vgic/vgic-mmio-registers.ts'
import { placeActiveSpis } from './active-spis.ts'
import { cpuSysregs } from './cpu-sysregs.ts'
import { checkMappings, checkPending, mappingsOf, pendingOf, type SavedMappings } from './its-mappings.ts'
import { ItsRegisters, itsRegisters } from './its-registers.ts'
import { allInMemory, restoreItsTables } from './its-tables-restore.ts'
import { saveItsTables, savePendingTables } from './its-tables-save.ts'
import { usesPendingTable } from './saved-its.ts'
import {
  checkStopped,
  UserspaceRegisters,
  userspaceDistributor,
  userspaceRedistributor,
} from './userspace-registers.ts'

/** Registers by name, with their values in hexadecimal: `"GICD_ISENABLER1": "0xff0f"`. */
export type SavedRegisters = Readonly<Record<string, string>>

/** A VM's interrupts, as plain JSON. What its enabled ITSs have mapped is in its guest's memory: see `saveVgic`. */
export interface SavedVgic {
  /**
   * The version of this form; all are restored. Version 1 had neither this nor `its`, and is restored to a VM without an
   * ITS; version 2 had neither `mappings` nor `pending`, and everything is in the guest's memory.
   */
  readonly version: 3
  /** KVM_DEV_ARM_VGIC_GRP_DIST_REGS: GICD_ registers. */
  readonly dist: SavedRegisters
  /** KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, by vCPU: GICR_ registers. */
  readonly redist: readonly SavedRegisters[]
  /** KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, by vCPU: ICC_ registers. */
  readonly sysregs: readonly SavedRegisters[]
  /** KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, by vCPU: lines, 32 interrupts each, under `intid0`, `intid32`, ... */
  readonly level_info: readonly SavedRegisters[]
  /** KVM_DEV_ARM_VGIC_GRP_ITS_REGS, by ITS: GITS_ registers. */
  readonly its: readonly SavedRegisters[]
  /** By ITS: what a disabled one has mapped. null for an enabled one, whose tables in the guest's memory have it. */
  readonly mappings: readonly (SavedMappings | null)[]
  /**
   * By vCPU: the INTIDs of the LPIs that are pending there. null if its pending table in the guest's memory has them: the
   * redistributor takes LPIs, and an ITS is enabled.
   */
  readonly pending: readonly (readonly number[] | null)[]
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

/** Where the groups are in {@link SavedVgic}. */
export type Path = Exclude<keyof SavedVgic, 'version' | 'mappings' | 'pending'>

/** What of {@link SavedVgic} is registers. */
export type SavedGroups = Pick<SavedVgic, Path>

/** The groups of a VM, each with its path and the number of its vCPU or ITS, in the order in which they are restored. */
export function groupsOf(
  hypervisor: Hypervisor,
): { readonly path: Path; readonly number: number; readonly group: Group }[] {
  const its = new ItsRegisters(hypervisor)
  const registers = new UserspaceRegisters(hypervisor)
  const { layout, silicon, v4 } = hypervisor
  const distributor = v4?.vsgis ? ['TYPER2', ...distributorOrder] : distributorOrder
  const end = FIRST_SPI + layout.spiCount
  const vcpus = Array.from({ length: layout.vcpuCount }, (_, vcpu) => vcpu)
  const itss = Array.from({ length: layout.itsCount }, (_, n) => n)
  const redistributor = registersOf(userspaceRedistributor, redistributorOrder, 0, FIRST_SPI)
  const sysregs = cpuSysregs.filter(({ exists }) => exists(silicon.ich.vtr))
  const levels = Array.from({ length: Math.ceil(end / 32) }, (_, n) => 32 * n)
  return [
    {
      path: 'dist',
      number: 0,
      group: frameGroup(
        registersOf(userspaceDistributor, distributor, FIRST_SPI, end),
        (offset) => registers.readDistributor(offset),
        (offset, value) => registers.writeDistributor(offset, value),
      ),
    },
    ...vcpus.map((vcpu) => ({
      path: 'redist' as const,
      number: vcpu,
      group: frameGroup(
        redistributor,
        (offset) => registers.readRedistributor(vcpu, offset),
        (offset, value) => registers.writeRedistributor(vcpu, offset, value),
      ),
    })),
    ...vcpus.map((vcpu) => ({
      path: 'level_info' as const,
      number: vcpu,
      group: groupOf(
        levels.map((first) => [`intid${first}`, first]),
        (first) => hex(registers.readLevels(vcpu, first)),
        (first, value) => registers.writeLevels(vcpu, first, value),
      ),
    })),
    ...vcpus.map((vcpu) => ({
      path: 'sysregs' as const,
      number: vcpu,
      group: groupOf(
        sysregs.map(({ name, encoding }) => [name, encoding]),
        (encoding) => hex(registers.readSysreg(vcpu, encoding)),
        (encoding, value) => registers.writeSysreg(vcpu, encoding, value),
      ),
    })),
    ...itss.map((n) => ({
      path: 'its' as const,
      number: n,
      group: groupOf(
        itsRegisters.map(({ name, offset }) => [name, offset]),
        (offset) => hex(its.read(n, offset)),
        // A register that was never written may have a value that no write gives it.
        (offset, low, high) => {
          if (its.read(n, offset) !== joined(low, high)) its.write(n, offset, joined(low, high))
        },
      ),
    })),
  ]
}

/**
 * Saves a VM's interrupts; those of its enabled ITSs into the tables in the guest's memory, which is to be saved
 * afterwards. Throws EBUSY while a vCPU is loaded, EINVAL and EFAULT for an ITS whose guest has no place for them.
 */
export function saveVgic(hypervisor: Hypervisor, savePending = savePendingTables): SavedVgic {
  checkStopped(hypervisor)
  const { its } = hypervisor.mmio.dist
  const itss = Array.from({ length: hypervisor.layout.itsCount }, (_, n) => n)
  const mappings = itss.map((n) => (its.isEnabled(n) ? null : mappingsOf(its, n)))
  if (itss.length !== 0) savePending(hypervisor)
  for (const n of itss) if (mappings[n] === null) saveItsTables(hypervisor, n)
  return { version: 3, ...readRegisters(hypervisor), mappings, pending: pendingOf(hypervisor) }
}

/** The registers of a VM, as they read now. */
export function readRegisters(hypervisor: Hypervisor): SavedGroups {
  const saved: { -readonly [path in Path]: path extends 'dist' ? SavedRegisters : SavedRegisters[] } = {
    dist: {},
    redist: [],
    sysregs: [],
    level_info: [],
    its: [],
  }
  for (const { path, group } of groupsOf(hypervisor)) {
    const values = Object.fromEntries(group.names.map((name) => [name, group.read(name)]))
    if (path === 'dist') saved.dist = values
    else saved[path].push(values)
  }
  return saved
}

/**
 * Restores saved interrupts into a VM with as many vCPUs, interrupts and ITSs, in place of its own; the guest's memory must
 * be there before. Throws EBUSY while a vCPU is loaded, an `argument` error for data that is not a saved VM of this size,
 * EINVAL for a value that a register does not take or an entry that a table of an ITS cannot have, and EFAULT for a table
 * that is in no memory; then nothing has changed.
 */
export function restoreVgic(hypervisor: Hypervisor, saved: SavedVgic): void {
  const { words } = hypervisor
  checkShape(saved, readRegisters(hypervisor))
  const before = words.slice()
  try {
    forget(hypervisor)
    const groups = groupsOf(hypervisor).map((one) => ({ ...one, values: valuesOf(saved, one) }))
    for (const { group, values } of groups) {
      for (const name of group.names) if (isWritten(name)) group.write(name, values[name])
    }
    placeActiveSpis(hypervisor)
    for (const { path, number, group, values } of groups) {
      for (const name of group.names) {
        if (name !== 'GITS_CTLR') checkTaken(path, number, name, values[name], group.read(name))
      }
    }
    restoreIts(
      hypervisor,
      saved,
      groups.filter(({ path }) => path === 'its'),
    )
  } catch (error) {
    words.set(before)
    throw error
  }
}

/** What was saved of the registers of a group. */
export const valuesOf = (
  saved: SavedGroups,
  { path, number }: { path: Path; number: number },
): SavedRegisters => (path === 'dist' ? saved.dist : (saved[path] ?? [])[number])

/**
 * Restores the tables of the ITSs and enables them. Reading the tables takes pending bits out of the guest's memory, so all
 * that can fail comes first.
 */
function restoreIts(
  hypervisor: Hypervisor,
  saved: SavedVgic,
  itss: readonly { readonly number: number; readonly group: Group; readonly values: SavedRegisters }[],
): void {
  for (const { number, values } of itss) checkControl(number, values)
  restoreItsTables(hypervisor, saved.version === 3 ? saved : allInMemory(hypervisor))
  for (const { group, values } of itss) group.write('GITS_CTLR', values['GITS_CTLR'])
}

/**
 * Throws EINVAL unless GITS_CTLR can be as it was saved. What an access has left in the queue of an ITS that is enabled, the
 * write of GITS_CTLR goes on with.
 */
export function checkControl(n: number, values: SavedRegisters): void {
  const isQuiescent = BigInt(values['GITS_CREADR']) === BigInt(values['GITS_CWRITER'])
  const isComplete = ['GITS_CBASER', 'GITS_BASER0', 'GITS_BASER1'].every(
    (name) => BigInt(values[name]) >> 63n,
  )
  const control = isQuiescent ? 0x8000_0000n : 0n
  const value = BigInt(values['GITS_CTLR'])
  if (value === control || (value === (control | 1n) && isComplete)) return
  throw new VgicError(
    'EINVAL',
    `GITS_CTLR of ITS ${n} does not take ${values['GITS_CTLR']} with these tables and this queue: nothing was restored.`,
  )
}

/**
 * The clearing register of a pair has the same value as the setting one, and need not be written after {@link
 * forget}. GITS_CTLR is written when the tables are restored.
 */
export const isWritten = (name: string): boolean =>
  !/^GIC[DR]_IC(ENABLER|PENDR|ACTIVER)/.test(name) && name !== 'GITS_CTLR'

/**
 * Clears a VM: no interrupt is enabled, pending or active, and the ap_lists are empty; its ITSs are reset, there are no
 * LPIs, and they are off, so that their tables can be set.
 */
export function forget(hypervisor: Hypervisor): void {
  const { words, layout, apLists } = hypervisor
  for (let n = 0; n < layout.itsCount; n++) new ItsRegisters(hypervisor).reset(n)
  const gone = IRQ_ACTIVE | IRQ_LATCH | IRQ_LINE | IRQ_DEACTIVATED | IRQ_ENABLED
  for (let i = 0; i < layout.vcpuCount; i++) {
    const v = apLists.vcpuOf(i)
    apLists.clear(v)
    words[v + VCPU_LPIS_ENABLED] = 0
    for (let intid = 0; intid < FIRST_SPI; intid++) words[apLists.irqOf(v, intid)] &= ~gone
  }
  for (let spi = 0; spi < layout.spiCount; spi++) words[irqAfter(asIrq(layout.spis), spi)] &= ~gone
  words.fill(0, layout.edgeLines, layout.edgeLines + Math.ceil(layout.spiCount / 32))
  words[layout.vm + VM_DEACTIVATED] = 0
}

/**
 * Throws an `argument` error unless a saved VM has the registers that this one has, each with a value of its width.
 */
function checkShape(saved: SavedVgic, own: SavedGroups): void {
  const parts = {
    version: true,
    dist: true,
    redist: true,
    sysregs: true,
    level_info: true,
    its: true,
    mappings: true,
    pending: true,
  } as const
  argumentOptions<Partial<SavedVgic>>('A saved VM', saved, parts)
  const version = versionOf(saved)
  checkRegisters('dist', saved.dist, own.dist)
  for (const path of ['redist', 'sysregs', 'level_info'] as const) checkList(path, saved[path], 'vCPU')
  checkList('its', version === 1 ? [] : saved.its, 'ITS')
  if (version === 3) checkInJson()

  /** What is not in the guest's memory: of an ITS that is disabled, and where a pending table is not in use. */
  function checkInJson(): void {
    const isItsOn = saved.its.map((registers) => isSet(registers['GITS_CTLR']))
    checkLength('mappings', saved.mappings, own.its.length, 'ITS')
    for (const [n, mappings] of argumentList('mappings', saved.mappings, 'mappings').entries()) {
      checkPlace(`mappings[${n}]`, mappings, isItsOn[n], `ITS ${n} is ${isItsOn[n] ? 'enabled' : 'disabled'}`)
      if (mappings !== null) checkMappings(`mappings[${n}]`, mappings)
    }
    checkLength('pending', saved.pending, own.redist.length, 'vCPU')
    for (const [vcpu, intids] of argumentList('pending', saved.pending, 'pending LPIs').entries()) {
      const inUse = usesPendingTable(isSet(saved.redist[vcpu]['GICR_CTLR']), isItsOn)
      checkPlace(
        `pending[${vcpu}]`,
        intids,
        inUse,
        `the pending table of vCPU ${vcpu} is ${inUse ? '' : 'not '}in use`,
      )
      if (intids !== null) checkPending(`pending[${vcpu}]`, intids)
    }
  }

  function checkList(path: Exclude<Path, 'dist'>, list: unknown, what: string): void {
    checkLength(path, list, own[path].length, what)
    for (const [number, registers] of own[path].entries())
      checkRegisters(`${path}[${number}]`, (list as readonly SavedRegisters[])[number], registers)
  }

  function checkLength(path: string, list: unknown, length: number, what: string): void {
    if (!Array.isArray(list) || list.length !== length) {
      throw new VgicError(
        'argument',
        `${path} must be an array of ${length}, as many as this VM has ${what}s, but ${Array.isArray(list) ? `has ${list.length}` : `is ${shown(list)}`}: restore it to a VM of its size.`,
      )
    }
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
      const digits = isWide(name) ? 16 : 8
      if (typeof value === 'string' && new RegExp(`^0x[0-9a-f]{1,${digits}}$`).test(value)) continue
      throw new VgicError(
        'argument',
        `${path}.${name} must be "0x" and 1 to ${digits} hexadecimal digits, but is ${shown(value)}.`,
      )
    }
  }
}

/** Whether a register has 64 bits, by its name. */
export const isWide = (name: string): boolean =>
  /^GI(CR_(TYPER|P..[PD]BASER)|CD_IROUTER|TS_(TYPER|C?BASER|CREADR|CWRITER))/.test(name)

/** Whether bit 0 of a saved register is set: that of GITS_CTLR.Enabled and of GICR_CTLR.EnableLPIs. */
const isSet = (value: string): boolean => (BigInt(value) & 1n) !== 0n

/** Throws an `argument` error unless what is in the guest's memory is null, and nothing else is. */
function checkPlace(path: string, value: unknown, inMemory: boolean, why: string): void {
  if ((value === null) === inMemory) return
  throw new VgicError(
    'argument',
    `${path} must ${inMemory ? 'be null' : 'not be null'}, since ${why}, but is ${shown(value)}.`,
  )
}

/** The version of a saved VM. Throws an `argument` error for one that it cannot have. */
function versionOf(saved: Partial<Record<keyof SavedVgic, unknown>>): 1 | 2 | 3 {
  const has = (name: keyof SavedVgic): boolean => Object.hasOwn(saved, name)
  const version = has('version') || has('its') ? saved.version : 1
  if (version === 3) return 3
  if (version !== 2 && (version !== 1 || has('version'))) {
    throw new VgicError(
      'argument',
      `version must be 3 or 2, but is ${shown(version)}: another library saved this VM.`,
    )
  }
  const later = (['mappings', 'pending'] as const).find(has)
  if (later === undefined) return version
  throw new VgicError('argument', `${later} is of version 3, but this VM was saved by version ${version}.`)
}

/** Throws EINVAL unless a register reads as it was saved, after everything was written. */
export function checkTaken(path: Path, number: number, name: string, value: string, now: string): void {
  if (BigInt(value) === BigInt(now)) return
  const where = path === 'dist' ? name : `${name} of ${path === 'its' ? 'ITS' : 'vCPU'} ${number}`
  throw new VgicError('EINVAL', `${where} does not take ${value}, but reads ${now}: nothing was restored.`)
}
