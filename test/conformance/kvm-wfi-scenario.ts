/**
 * A recorded case as a scenario: the recorded programs as guests. A guest's setup comes first; it ends, and so does
 * its list, in an access that userspace deals with.
 */
import { ICC_PMR_EL1, ISR_EL1 } from 'vgic'
import {
  type AccessSize,
  type GuestBuilder,
  type OpList,
  type Scenario,
  type ScenarioMachine,
  scenario,
} from 'vgic/scenario'
import { timerIntids } from '../../src/hyp/records/vcpu.ts'
import type { Host } from './kvm-host.ts'
import { type Case, type GuestOp, handlerOp, type Program } from './kvm-wfi-case.ts'
import { encodingOf, registers } from './registers.ts'

/** Where the setup ends, and the list: stores that exit to userspace. */
export const SETUP_END = 'setup end'
export const END = 'end'

/** A guest's op at one of its program counters. */
export interface PlacedOp {
  /** As `guestSees` and `stimuli` call it; `setup <n>` in the setup. */
  readonly key: string
  /** Undefined at {@link SETUP_END} and {@link END}. */
  readonly op: GuestOp | undefined
  /** The INTID whose handler it is in; undefined in the main list. */
  readonly handler?: number
}

export interface BuiltCase {
  readonly machine: ScenarioMachine
  /** By vCPU, the op at each program counter at which one begins. */
  readonly places: readonly ReadonlyMap<number, PlacedOp>[]
}

const TIMER_CONTROLS: Readonly<Record<string, 'virtual' | 'physical'>> = {
  CNTV_CTL: 'virtual',
  CNTP_CTL: 'physical',
}
const ISR_I = 0x80
const VIRTUAL_TIMER = 27

const GICD = { base: 0x0800_0000, size: 0x1_0000 }
const REDISTRIBUTORS = 0x080a_0000
const REDISTRIBUTOR_SIZE = 0x2_0000
/** Of a GICv4 host; the guest's are as ever. */
const REDISTRIBUTOR_SIZE_V4 = 0x4_0000

/** Whether the host injects directly. */
export const isGicv4 = ({ config }: Case): boolean => config['gic'] === 4

/** Whose register an address of the host is: as {@link redistributorAt}. */
export const hostRedistributorAt = (address: number, recorded: Case): number | undefined =>
  redistributorAt(address, recorded.cpus, isGicv4(recorded) ? REDISTRIBUTOR_SIZE_V4 : REDISTRIBUTOR_SIZE)

/** Whose register a physical address is: the redistributor's of a CPU, the distributor's (-1), or nobody's. */
export function redistributorAt(
  address: number,
  cpus: number,
  size: number = REDISTRIBUTOR_SIZE,
): number | undefined {
  if (address >= GICD.base && address < GICD.base + GICD.size) return -1
  const cpu = Math.floor((address - REDISTRIBUTORS) / size)
  return cpu >= 0 && cpu < cpus ? cpu : undefined
}

const ITS = { base: 0x0808_0000, size: 0x2_0000 }
const GITS_CBASER = ITS.base + 0x80
const GITS_CWRITER = ITS.base + 0x88
const GITS_CREADR = ITS.base + 0x90
const COMMAND_SIZE = 32
const isItsFrame = (address: number): boolean => address >= ITS.base && address < ITS.base + ITS.size

/** Whether messages are sent. Without any, what the setup puts into RAM and tells the ITS shows nowhere. */
const hasMessages = ({ programs }: Case): boolean =>
  programs.some(({ guest, handlers }) =>
    [guest, ...handlers.values()].flat().some(({ k, call }) => k === 'host' && call === 'msi'),
  )

/** An op of the setup that goes to RAM or to the ITS. */
const isForIts = ({ k, a }: GuestOp, cpus: number): boolean =>
  k === 'its' || (k === 'w' && redistributorAt(Number(a), cpus) === undefined)

/** What a host does for a guest: without GICv4 nothing is forwarded or moved. */
const HOST_CALLS = ['line', 'msi']
const HOST_CALLS_V4 = ['line', 'msi', 'bind', 'fire', 'move']

/** Why this version cannot replay a case; undefined if it can. */
export function whyNot(recorded: Case): string | undefined {
  const { config, programs, cpus } = recorded
  const direct = isGicv4(recorded)
  const calls = direct ? HOST_CALLS_V4 : HOST_CALLS
  if (config['vhe'] !== true) return 'a host without VHE'
  const setup = programs.flatMap(({ setup: ops }) => ops.filter((op) => !isForIts(op, cpus)))
  const guests = programs.flatMap(({ guest, handlers }) => [guest, ...handlers.values()].flat())
  for (const { k, reg, v, call, a } of [...setup, ...guests]) {
    if (k === 'host' && !calls.includes(call ?? '')) return `a host's ${String(call)}, which GICv3 has not`
    if (k === 'sw' || k === 'sr') {
      const isTimerOff = k === 'sw' && TIMER_CONTROLS[reg ?? ''] !== undefined && Number(v) === 0
      if (!registers.has(reg ?? '') && !isTimerOff) return `an access to ${String(reg)}`
    }
    const isOfItsDriver = direct && k === 'w'
    if ((k === 'w' || k === 'r') && !isOfItsDriver && redistributorAt(Number(a), cpus) === undefined)
      return 'an access outside the distributor and redistributors'
  }
  return undefined
}

/** The machine of a case that can be replayed. */
export function build(recorded: Case, { design, profile }: Host): BuiltCase {
  const { name, config, cpus, programs } = recorded
  const direct = isGicv4(recorded)
  const its = direct || hasMessages(recorded) ? new ItsSetup() : undefined
  const places = programs.map(() => new Map<number, PlacedOp>())
  const built = scenario(name)
    .gic({
      cpus,
      listRegisters: Number(config['lrs']),
      spis: 64,
      profile,
      memoryLines: direct ? 256 : its ? 64 : 0,
      ...(direct && { version: '4.0' }),
    })
    .vm({
      vcpus: cpus,
      spis: Number(config['irqs']) - 32,
      timers: true,
      distributor: 'reset',
      wfiExits: config['otherThread'] === false ? 'shared' : 'always',
      ...(its && { frames: { its: ITS.base } }),
    })
    .design(design)
  if (config['direct'] === true) built.vlpi({ device: DEVICE, event: EVENT })
  for (const [c, program] of programs.entries()) {
    reset(built, c)
    if (program.guest.length > 0) built.guest(c, (guest) => writeGuest(guest, program, cpus, places[c], its))
  }
  return { machine: built.machine(), places }
}

/** The passed-through device's only interrupt. */
export const DEVICE = 1
export const EVENT = 0

/** A vCPU as KVM resets it. */
function reset(built: Scenario, vcpu: number): void {
  built.cpuInterface(vcpu, { priorityMask: 0, groups: [] })
  for (let intid = 0; intid < 16; intid++) built.sgi({ intid, vcpu, priority: 0 })
  for (const intid of timerIntids) built.ppi({ intid, vcpu, priority: 0, enabled: false })
}

function writeGuest(
  guest: GuestBuilder,
  program: Program,
  cpus: number,
  places: Map<number, PlacedOp>,
  its: ItsSetup | undefined,
): void {
  const place = (list: OpList, key: string, op: GuestOp | undefined, handler?: number): void => {
    places.set(list['draft'].ops.length, { key, op, ...(handler === undefined ? {} : { handler }) })
  }
  const write = (list: OpList, key: string, op: GuestOp, handler?: number): void => {
    place(list, key, op, handler)
    if (its && op.k === 'its') its.submit(list, op)
    else if (its && isForIts(op, cpus)) its.write(list, op)
    else writeOp(list, op)
  }
  for (const [i, op] of program.setup.entries()) {
    if (!isForIts(op, cpus)) write(guest, `setup ${i}`, op)
    else its?.write(guest, op)
  }
  place(guest, SETUP_END, undefined)
  guest.userspace()
  for (const [i, op] of program.guest.entries()) write(guest, String(i), op)
  place(guest, END, undefined)
  guest.userspace()
  guest.onIrq((handler) => {
    handler.ack()
    for (const [intid, ops] of program.handlers) {
      handler.on(intid, (list) => {
        for (const [i, op] of ops.entries()) write(list, handlerOp(intid, i), op, intid)
      })
    }
    handler.eoi()
  })
}

/** A guest's setup of its ITS: its stores to RAM, registers and commands. */
class ItsSetup {
  private readonly ram = new Map<number, number>()
  private queue = 0
  private written = 0

  write(list: OpList, { k, a, s = 4, v = '0x0', command = [] }: GuestOp): void {
    const address = Number(a)
    if (k === 'its') this.command(list, command)
    else if (!isItsFrame(address)) this.store(list, address, s, BigInt(v))
    else {
      if (address === GITS_CBASER) this.queue = Number(BigInt(v) & 0xf_ffff_ffff_f000n)
      list.writeMmio(address, BigInt(v), s as AccessSize)
    }
  }

  /** As the recorded guest does it: it asks where the queue is, and waits until the ITS has carried the command out. */
  submit(list: OpList, op: GuestOp): void {
    list.readMmio(GITS_CWRITER, 8)
    this.write(list, op)
    list.readMmio(GITS_CREADR, 8)
  }

  private command(list: OpList, doublewords: readonly string[]): void {
    for (const [n, v] of doublewords.entries())
      this.store(list, this.queue + this.written + 8 * n, 8, BigInt(v))
    this.written += COMMAND_SIZE
    list.writeMmio(GITS_CWRITER, this.written, 8)
  }

  /** By bytes, of words. */
  private store(list: OpList, address: number, size: number, value: bigint): void {
    for (let i = 0; i < size; i++) {
      const [word, shift] = [(address + i) & ~3, 8 * ((address + i) & 3)]
      const byte = Number((value >> BigInt(8 * i)) & 0xffn)
      const before = this.ram.get(word) ?? 0
      const after = ((before & ~(0xff << shift)) | (byte << shift)) >>> 0
      this.ram.set(word, after)
      if (i === size - 1 || ((address + i) & 3) === 3) list.store(word, after)
    }
  }
}

/** Memory and time are the replay's: ops of these are places where the guest can be held, or interrupted. */
const pause = (list: OpList): OpList => list.read(ICC_PMR_EL1)

function writeOp(list: OpList, { k, reg, a, s = 4, v = '0x0', us = 0, intid, n = 0 }: GuestOp): OpList {
  switch (k) {
    case 'ack':
      return list.ack()
    case 'eoi':
      return list.eoi()
    case 'dir':
      return list.dir()
    case 'wfi':
      return list.wfi()
    case 'mask':
      return list.mask('irq')
    case 'unmask':
      return list.unmask('irq')
    case 'untilirqs':
      return list.untilInterrupts(n)
    case 'untilisr':
      return list.poll(ISR_EL1, ISR_I, ISR_I)
    case 'timer':
      return list.timer(us, intid === VIRTUAL_TIMER ? 'virtual' : 'physical')
    case 'host':
      return list.userspace()
    case 'sr':
      return list.read(encodingOf(reg ?? ''))
    case 'sw': {
      const timer = TIMER_CONTROLS[reg ?? '']
      return timer ? list.stopTimer(timer) : list.write(encodingOf(reg ?? ''), BigInt(v))
    }
    case 'r':
      return list.readMmio(Number(a), s as AccessSize)
    case 'w':
      return list.writeMmio(Number(a), BigInt(v), s as AccessSize)
    default:
      return pause(list)
  }
}
