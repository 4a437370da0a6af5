/** Builds a guest: its main list of operations, and its handlers for IRQ and FIQ. */

import { halves } from '../arch/doubleword.ts'
import {
  ICC_ASGI1R_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_SGI0R_EL1,
  ICC_SGI1R_EL1,
} from '../arch/icc-registers.ts'
import { intidName } from '../arch/intid.ts'
import { sysregName } from '../arch/register-value.ts'
import {
  argumentBits,
  argumentBoolean,
  argumentFunction,
  argumentInteger,
  argumentList,
  argumentOneOf,
  argumentOptions,
  argumentSize,
  argumentWrites,
  type Fields,
} from '../errors/arguments.ts'
import { hex } from '../errors/printed.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { DAIF_F, DAIF_I } from '../gic/cpu-interface/pcpu.ts'
import {
  type GuestProgram,
  OP_ACK,
  OP_COUNT,
  OP_DIR,
  OP_END,
  OP_EOI,
  OP_ERET,
  OP_HVC,
  OP_LOOP,
  OP_MASK,
  OP_MMIO_READ,
  OP_MMIO_WRITE,
  OP_POLL,
  OP_QUIESCE,
  OP_READ,
  OP_RETURN,
  OP_SEV,
  OP_STORE,
  OP_SUSPEND,
  OP_TIMER,
  OP_UNLESS_ACK,
  OP_UNMASK,
  OP_UNTIL_COUNT,
  OP_USERSPACE,
  OP_WFE,
  OP_WFET,
  OP_WFI,
  OP_WFIT,
  OP_WORDS,
  OP_WRITE,
} from '../hyp/records/guest-program.ts'
import { MAX_LOOPS } from '../hyp/records/guest-record.ts'
import { TIMER_PHYSICAL, TIMER_VIRTUAL } from '../hyp/vgic/arch-timer.ts'
import { GuestIts, type GuestItsOptions } from './guest-its.ts'

/** PSTATE masks: `irq` is PSTATE.I, `fiq` is PSTATE.F. */
export type MaskName = 'irq' | 'fiq'

/** The timers of a vCPU: PPI 27 and PPI 30. */
export type TimerName = 'virtual' | 'physical'

const timerOf = (which: TimerName): number =>
  argumentOneOf('which', which, ['virtual', 'physical'] as const) === 'virtual'
    ? TIMER_VIRTUAL
    : TIMER_PHYSICAL
const checkGroup = (group: 0 | 1): number => argumentInteger('group', group, 0, 1)
/** A guest may name any encoding, also one of no GIC register. */
const checkEncoding = (encoding: number): number => argumentInteger('encoding', encoding, 0, 0xffff_ffff)
const LIST = '(list) => ..., which adds operations to the list'

/** An SGI to send. */
export interface SgiTarget {
  /** 0 to 15. */
  readonly intid: number
  /** Indices of the vCPUs, all of one group of 16 neighbours; or all but the sender. */
  readonly vcpus: readonly number[] | 'others'
  /**
   * The register that sends it: ICC_SGI1R_EL1 for 1 (the default), ICC_SGI0R_EL1 for 0, ICC_ASGI1R_EL1 for `'other'`.
   */
  readonly group?: 0 | 1 | 'other'
}

const sgiFields: Fields<SgiTarget> = { intid: true, vcpus: true, group: true }

/** Size of an access in bytes. */
export type AccessSize = 1 | 2 | 4 | 8

interface Written {
  readonly op: readonly number[]
  readonly name: string
}

/**
 * The state that the lists of one guest share.
 *
 * @internal
 */
export class Draft {
  readonly ops: Written[] = []
  loops = 0
  /** The loop whose counter counts the runs of the handlers; -1 if nothing waits for them. */
  runs = -1
  /** The greatest index of a vCPU that an SGI names; -1 if none does. */
  sgiTarget = -1
  /** Where its ITS drivers look for an ITS. */
  readonly itsFrames: number[] = []

  /** Allocates another loop and returns its number. */
  newLoop(): number {
    if (this.loops < MAX_LOOPS) return this.loops++
    throw new VgicError('scenario', `A guest can have ${MAX_LOOPS} loops: unroll one of them.`)
  }
}

/**
 * A list of operations. Each call adds one and returns the list; arguments that are out of range throw a `VgicError`.
 */
export class OpList {
  /** @internal */
  constructor(
    /** @internal */
    protected readonly draft: Draft,
    /** The default group of `ack` and `eoi` in this list. */
    protected readonly group: 0 | 1,
  ) {}

  /** Reads `ICC_IAR<group>_EL1` and keeps the INTID for `eoi` and `dir` in the same list. */
  ack(group = this.group): this {
    return this.add(`ack: ICC_IAR${checkGroup(group)}_EL1`, OP_ACK, group)
  }

  /** Writes the INTID of the last `ack` to `ICC_EOIR<group>_EL1`; writes nothing if that was 1020 to 1023. */
  eoi(group = this.group): this {
    return this.add(`eoi: ICC_EOIR${checkGroup(group)}_EL1`, OP_EOI, group)
  }

  /** Writes the INTID of the last `ack` to ICC_DIR_EL1; writes nothing if that was 1020 to 1023. */
  dir(): this {
    return this.add('dir: ICC_DIR_EL1', OP_DIR)
  }

  /** Executes `body` only if this list's last `ack` returned `intid`. */
  on(intid: number, body: (list: this) => unknown): this {
    argumentInteger('intid', intid, 0, 0xff_ffff)
    argumentFunction('body', body, LIST)
    const written = this.draft.ops
    const at = written.length
    this.add('', OP_UNLESS_ACK)
    argumentWrites('body', body, this)
    written[at] = { op: [OP_UNLESS_ACK, intid, written.length], name: `is it ${intidName(intid)}?` }
    return this
  }

  /** Spins until the guest's handlers have run `count` times in all; counts as one of the guest's loops. */
  untilInterrupts(count: number): this {
    argumentInteger('count', count, 1, 0x7fff_ffff)
    if (this.draft.runs < 0) this.draft.runs = this.draft.newLoop()
    return this.add(`until ${count} interrupts were handled`, OP_UNTIL_COUNT, this.draft.runs, count)
  }

  /** Sets PSTATE masks; both if none is named. */
  mask(...masks: MaskName[]): this {
    const bits = daif(masks)
    return this.add(`mask ${masks.join(' ') || 'irq fiq'}`, OP_MASK, bits)
  }

  /** Clears PSTATE masks; both if none is named. */
  unmask(...masks: MaskName[]): this {
    const bits = daif(masks)
    return this.add(`unmask ${masks.join(' ') || 'irq fiq'}`, OP_UNMASK, bits)
  }

  /** WFI: waits for an interrupt. */
  wfi(): this {
    return this.add('wfi', OP_WFI)
  }

  /** WFE: waits for an event. */
  wfe(): this {
    return this.add('wfe', OP_WFE)
  }

  /** SEV: signals an event to all vCPUs. */
  sev(): this {
    return this.add('sev', OP_SEV)
  }

  /** MSR: writes a system register, an ICC_ constant, with up to 64 bits. */
  write(encoding: number, value: number | bigint): this {
    checkEncoding(encoding)
    const bits = BigInt.asUintN(64, argumentBits('value', value))
    return this.add(`${sysregName(encoding)} := ${hex(bits)}`, OP_WRITE, encoding, ...halves(bits))
  }

  /** MRS: reads a system register, an ICC_ constant. */
  read(encoding: number): this {
    return this.add(`read ${sysregName(checkEncoding(encoding))}`, OP_READ, encoding)
  }

  /** Reads a system register until `value & mask` is `expected`. */
  poll(encoding: number, mask: number, expected: number): this {
    checkEncoding(encoding)
    argumentInteger('mask', mask, -0x8000_0000, 0xffff_ffff)
    argumentInteger('expected', expected, -0x8000_0000, 0xffff_ffff)
    return this.add(
      `poll ${sysregName(encoding)} & ${hex(mask)} = ${hex(expected)}`,
      OP_POLL,
      encoding,
      mask | 0,
      expected | 0,
    )
  }

  /** Reads memory or a device; the emulated GIC is at the VM's `frames`. `size` is 1, 2, 4 or 8 bytes. */
  readMmio(address: number, size: AccessSize = 4): this {
    const operands = addressOperands(address, size)
    return this.add(`read ${size} bytes at ${hex(address)}`, OP_MMIO_READ, ...operands)
  }

  /** Writes up to 64 bits to memory or a device. */
  writeMmio(address: number, value: number | bigint, size: AccessSize = 4): this {
    const operands = addressOperands(address, size)
    const bits = BigInt.asUintN(8 * size, argumentBits('value', value))
    const name = `${size} bytes at ${hex(address)} := ${hex(bits)}`
    return this.add(name, OP_MMIO_WRITE, ...operands, ...halves(bits))
  }

  /**
   * Stores 32 bits to the guest's memory, at a multiple of 4; it does not leave the guest. The memory is the silicon's own:
   * `gic({ memoryLines })`.
   */
  store(address: number, value: number): this {
    argumentInteger('address', address, 0, 2 ** 52 - 4)
    argumentInteger('value', value, 0, 0xffff_ffff)
    if (address % 4 !== 0) {
      throw new VgicError('argument', `address must be a multiple of 4, but is ${hex(address)}.`)
    }
    const name = `store ${hex(value)} at ${hex(address)}`
    return this.add(name, OP_STORE, address | 0, Math.floor(address / 0x1_0000_0000), value | 0)
  }

  /** The guest's ITS driver: its calls add operations to this list. */
  its(options?: GuestItsOptions): GuestIts {
    const its = new GuestIts(this, options)
    this.draft.itsFrames.push(its.frame)
    return its
  }

  /** Sets ICC_PMR_EL1: only priorities below this are signalled. */
  priorityMask(priority: number): this {
    return this.write(ICC_PMR_EL1, argumentInteger('priority', priority, 0, 0xff))
  }

  /** Sets ICC_IGRPEN0_EL1 or ICC_IGRPEN1_EL1. */
  enableGroup(group: 0 | 1, enabled = true): this {
    const register = checkGroup(group) === 0 ? ICC_IGRPEN0_EL1 : ICC_IGRPEN1_EL1
    return this.write(register, argumentBoolean('enabled', enabled) ? 1 : 0)
  }

  /**
   * Sends an SGI, to vCPUs of the VM. One to an affinity that no vCPU has, which nobody takes, is a `write` of the register.
   */
  sgi(target: SgiTarget): this {
    const { intid, vcpus, group = 1 } = argumentOptions('sgi', target, sgiFields)
    argumentInteger('intid', intid, 0, 15)
    argumentOneOf('group', group, [0, 1, 'other'] as const)
    const register = group === 1 ? ICC_SGI1R_EL1 : group === 0 ? ICC_SGI0R_EL1 : ICC_ASGI1R_EL1
    const value = (BigInt(intid) << 24n) | targetBits(vcpus)
    const to = vcpus === 'others' ? 'all others' : `vCPU ${vcpus.join(', ')}`
    if (vcpus !== 'others') this.draft.sgiTarget = Math.max(this.draft.sgiTarget, ...vcpus)
    this.write(register, value)
    return this.rename(`${sysregName(register)}: ${intidName(intid)} to ${to}`)
  }

  /**
   * Makes the device that drives an SPI, or a PPI of this vCPU, lower its line, as an access to a register of the
   * device would. The scenario must have such a device.
   */
  quiesce(intid: number): this {
    argumentInteger('intid', intid, 16, 1019)
    return this.add(`quiesce ${intidName(intid)}`, OP_QUIESCE, intid)
  }

  /** Arms a timer of the vCPU to expire after `ticks` of virtual time; the VM must have timers. */
  timer(ticks: number, which: TimerName = 'virtual'): this {
    argumentInteger('ticks', ticks, 0, 0x3fff_ffff)
    const timer = timerOf(which)
    return this.add(`${which} timer in ${ticks}`, OP_TIMER, timer, ticks)
  }

  /** Disables a timer of the vCPU; the VM must have timers. */
  stopTimer(which: TimerName = 'virtual'): this {
    const timer = timerOf(which)
    return this.add(`${which} timer off`, OP_TIMER, timer, -1)
  }

  /** WFIT: WFI that waits for at most `ticks` of virtual time. */
  wfit(ticks: number): this {
    argumentInteger('ticks', ticks, 0, 0x3fff_ffff)
    return this.add(`wfit ${ticks}`, OP_WFIT, ticks)
  }

  /** WFET. As on WFE the hypervisor yields and returns, so the timeout does not matter and is left out. */
  wfet(): this {
    return this.add('wfet', OP_WFET)
  }

  /** PSCI CPU_SUSPEND, another way to wait for an interrupt. */
  suspend(): this {
    return this.add('cpu_suspend', OP_SUSPEND)
  }

  /** An access that userspace emulates: the vCPU returns from KVM_RUN and calls it again. */
  userspace(): this {
    return this.add('access for userspace', OP_USERSPACE)
  }

  /**
   * ERET of a guest hypervisor to its own guest (HCR_EL2.NV traps it). That guest executes one instruction, which brings
   * this one back here, behind its ERET; or an interrupt for this one comes first, and its ERET is to be executed again.
   * The steps are those of the design's `eret` list; a design without it executes the ERET again and again.
   */
  nestedEret(): this {
    return this.add('eret to its guest', OP_ERET)
  }

  /** HVC: exits to the hypervisor, which returns to the guest. */
  hvc(): this {
    return this.add('hvc', OP_HVC)
  }

  /** Executes `body` `rounds` times. A guest has at most 4 loops in all, nested ones included. */
  loop(rounds: number, body: (list: this) => unknown): this {
    argumentInteger('rounds', rounds, 1, 0x7fff_ffff)
    argumentFunction('body', body, LIST)
    const loop = this.draft.newLoop()
    const back = this.draft.ops.length
    argumentWrites('body', body, this)
    return this.add(`loop ${rounds} times`, OP_LOOP, loop, rounds, back)
  }

  /** @internal */
  add(name: string, ...op: number[]): this {
    this.draft.ops.push({ op, name })
    return this
  }

  private rename(name: string): this {
    const last = this.draft.ops.pop()
    if (last) this.draft.ops.push({ ...last, name })
    return this
  }
}

/** A guest: its operations are the main list. */
export class GuestBuilder extends OpList {
  private irq: ((handler: OpList) => unknown) | undefined
  private fiq: ((handler: OpList) => unknown) | undefined

  /** @internal */
  constructor() {
    super(new Draft(), 1)
  }

  /** The handler for virtual IRQs (group 1): runs with both masks set, and returns at the end of its list. */
  onIrq(handler: (list: OpList) => unknown): this {
    this.irq = argumentFunction('handler', handler, LIST)
    return this
  }

  /** The handler for virtual FIQs (group 0). */
  onFiq(handler: (list: OpList) => unknown): this {
    this.fiq = argumentFunction('handler', handler, LIST)
    return this
  }

  /**
   * The greatest index of a vCPU that an SGI names, once it is built; -1 if none does.
   *
   * @internal
   */
  get sgiTarget(): number {
    return this.draft.sgiTarget
  }

  /** @internal */
  get itsFrames(): readonly number[] {
    return this.draft.itsFrames
  }

  /** @internal */
  build(): GuestProgram {
    this.add('(the guest is done)', OP_END)
    const onIrq = this.handler(this.irq, 1)
    const onFiq = this.handler(this.fiq, 0)
    const { ops } = this.draft
    const words = new Int32Array(ops.length * OP_WORDS)
    for (const [i, { op }] of ops.entries()) words.set(op, i * OP_WORDS)
    return { ops: words, names: ops.map(({ name }) => name), onIrq, onFiq }
  }

  private handler(write: ((list: OpList) => unknown) | undefined, group: 0 | 1): number {
    if (!write) return -1
    const begin = this.draft.ops.length
    const list = new OpList(this.draft, group)
    if (this.draft.runs >= 0) list.add('counts', OP_COUNT, this.draft.runs)
    argumentWrites('handler', write, list)
    list.add('eret', OP_RETURN)
    return begin
  }
}

/** The operands of an MMIO access: its size, and its address as two words. */
function addressOperands(address: number, size: AccessSize): number[] {
  argumentSize('size', size)
  argumentInteger('address', address, 0, 2 ** 52 - size)
  return [size, address | 0, Math.floor(address / 0x1_0000_0000)]
}

function daif(masks: readonly MaskName[]): number {
  if (masks.length === 0) return DAIF_I | DAIF_F
  const bitOf = (mask: MaskName): number =>
    argumentOneOf('mask', mask, ['irq', 'fiq'] as const) === 'irq' ? DAIF_I : DAIF_F
  return masks.reduce((bits, mask) => bits | bitOf(mask), 0)
}

/** The target fields of an SGI register's value: affinities and target list, or IRM. */
function targetBits(vcpus: SgiTarget['vcpus']): bigint {
  if (vcpus === 'others') return 1n << 40n
  const targets = argumentList('vcpus', vcpus, 'indices of vCPUs, or "others"')
  if (targets.length === 0) {
    throw new VgicError('scenario', "An SGI needs a target: name vCPUs, or 'others'.")
  }
  const clusters = new Set(targets.map((vcpu) => argumentInteger('vcpus', vcpu, 0, 254) >> 4))
  if (clusters.size !== 1) {
    throw new VgicError(
      'scenario',
      'An SGI reaches vCPUs of one group of 16 neighbours: send one for each group.',
    )
  }
  const list = vcpus.reduce((bits, vcpu) => bits | (1 << (vcpu & 15)), 0)
  return BigInt(list) | (BigInt(vcpus[0] >> 4) << 16n)
}
