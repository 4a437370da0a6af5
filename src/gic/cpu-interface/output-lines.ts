/**
 * The outputs of the GIC: IRQ, FIQ, VIRQ and VFIQ of every PE, and its WakeRequest (IHI 0069, "Interrupt signals",
 * "Power management"). A word of the PE has the levels that the host was told. When an access or an input is
 * complete, the outputs of the PEs that it concerns are evaluated again, and the host is called with each change; it
 * may call the GIC then.
 */
import { LR_Group } from '../../arch/ich-registers.ts'
import { argumentFunction, type Fields, isPlainObject, shown } from '../../errors/arguments.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { lowestBit } from '../../state/bits.ts'
import type { AccessListener } from '../config/access-events.ts'
import type { CheckedGicConfig } from '../config/config.ts'
import type { ErrorListener } from '../config/host-events.ts'
import { argumentMemory, type GicMemory } from '../config/memory.ts'
import type { BarrierListener } from '../config/missing-barriers.ts'
import type { UnpredictableListener } from '../config/unpredictable.ts'
import type { HighestPending } from '../distributor/highest-pending.ts'
import type { PhysicalInterrupts } from '../interrupts/physical-interrupts.ts'
import { HIGHEST_PENDING, type Pe, PHYSICAL_INTERFACE } from '../records/pe.ts'
import type { PhysicalInterface } from './icc.ts'
import { LINE_FIQ, LINE_IRQ, LINE_WAKE_REQUEST, PE_LINES } from './lines.ts'
import type { Pcpu } from './pcpu.ts'
import type { VirtualInterface } from './virtual-interface.ts'

/** An output of a PE. `wakeRequest` asks the power controller to wake a PE whose redistributor sleeps. */
export type OutputLine = 'irq' | 'fiq' | 'virq' | 'vfiq' | 'wakeRequest'

/** What the GIC is connected to: where its outputs go, the memory that it accesses, who hears of accesses and errors. */
export interface GicHost extends ErrorListener, UnpredictableListener, BarrierListener, AccessListener {
  /** The memory in which software puts tables and command queues. Without it every access of the GIC is refused. */
  readonly memory?: GicMemory
  /**
   * Sets an output of a CPU to a level, 0 or 1. Called once for each change, after the access or the input that
   * caused it is complete; all outputs are 0 at first.
   */
  setLine?(cpu: number, line: OutputLine, level: 0 | 1): void
}

const hostFields: Fields<GicHost> = {
  setLine: true,
  onError: true,
  onUnpredictable: true,
  onMissingBarrier: true,
  onGuestError: true,
  onAccess: true,
  memory: true,
}

/** The functions that take an event. */
const listeners = ['onError', 'onUnpredictable', 'onMissingBarrier', 'onGuestError', 'onAccess'] as const

/**
 * Throws an `argument` error for a value that is not a host, and for an object with other members only, of which none
 * would be called. `{}` is allowed, and is no host.
 */
export function checkHost(host: GicHost, { memoryLines }: CheckedGicConfig): void {
  const checked = checkListener(host)
  for (const name of listeners) {
    if (checked[name] !== undefined) argumentFunction(`host.${name}`, checked[name], '(event)')
  }
  const { memory } = checked
  if (memory === undefined) return
  argumentMemory('host.memory', memory)
  if (memoryLines > 0) {
    throw new VgicError('argument', 'host.memory must be left out where memoryLines gives the GIC its own.')
  }
}

function checkListener(host: GicHost): GicHost {
  const isObject = typeof host === 'object' && host !== null
  const given: GicHost = isObject ? host : {}
  const { setLine, memory } = given
  const others = isPlainObject(host) ? Object.keys(host).filter((name) => !(name in hostFields)) : ['none']
  const isIdle = [setLine, memory, ...listeners.map((name) => given[name])].every(
    (each) => each === undefined,
  )
  if (isObject && (isIdle ? others.length === 0 : setLine === undefined || typeof setLine === 'function'))
    return host
  const has = setLine === undefined ? others.join(', ') : `setLine: ${shown(setLine)}`
  throw new VgicError(
    'argument',
    `host must be an object whose setLine is a function (cpu, line, level), but ${isObject ? `has ${has}` : `is ${shown(host)}`}. Leave it out for none.`,
  )
}

/** The outputs in the order of the LINE_ bits. */
export const outputLines: readonly OutputLine[] = ['virq', 'vfiq', 'irq', 'fiq', 'wakeRequest']

/** The maintenance interrupt's PPI, by convention (BSA). */
export const MAINTENANCE_PPI = 25

export class OutputLines {
  readonly words: Int32Array
  readonly virtualInterface: VirtualInterface
  /** Counts evaluations. If it has changed after a call of the host, the host has called the GIC. */
  private settled = 0

  constructor(
    readonly physical: PhysicalInterrupts,
    readonly physicalInterface: PhysicalInterface,
    readonly pcpu: Pcpu,
    readonly highestPending: HighestPending,
    readonly host: GicHost,
    /** Whether VIRQ and VFIQ are outputs. A hypervisor's PEs sample them themselves: {@link Pcpu}. */
    readonly drivesVirtual: boolean,
    /** Whether the maintenance interrupt rises in a step of its own: {@link completeMaintenance}. */
    readonly maintenanceLags: boolean,
  ) {
    this.words = physical.words
    this.virtualInterface = pcpu.virtualInterface
  }

  /**
   * Evaluates, after a system register access of a PE, its outputs, its maintenance interrupt, and what that changes.
   */
  settlePe(pe: Pe): void {
    const cpu = this.physical.cpuOf(pe)
    this.settleMaintenance(pe)
    if (!this.settleChanged(cpu)) this.drive(pe, cpu)
  }

  /**
   * Evaluates, after an access to a PE's virtual CPU interface, its maintenance interrupt, a physical interrupt that
   * was deactivated with a virtual one, and what these change.
   */
  settleVirtual(pe: Pe): void {
    this.settleMaintenance(pe)
    this.settle()
  }

  private settleMaintenance(pe: Pe): void {
    const isAsserted = this.virtualInterface.maintenanceLine(pe)
    if (isAsserted && this.maintenanceLags === true) return
    this.physical.setLine(pe, MAINTENANCE_PPI, isAsserted)
  }

  /** Whether the maintenance interrupt of a PE is asserted, and has not arrived. */
  isMaintenanceLagging(pe: Pe): boolean {
    if (!this.maintenanceLags || !this.virtualInterface.maintenanceLine(pe)) return false
    return !this.physical.isLineHigh(pe, MAINTENANCE_PPI)
  }

  /** The maintenance interrupt of a PE arrives, if it is asserted still. */
  completeMaintenance(pe: Pe): void {
    this.physical.setLine(pe, MAINTENANCE_PPI, this.virtualInterface.maintenanceLine(pe))
  }

  /** Evaluates, after any other access or input, the outputs of the PEs that it concerns. */
  settle(): void {
    this.settleChanged(-1)
  }

  /** Evaluates the outputs of the PEs that have changed, mostly none; returns whether CPU `own` was one of them. */
  private settleChanged(own: number): boolean {
    this.settled = (this.settled + 1) | 0
    const first = this.physical.nextChanged()
    return first >= 0 && this.settleFrom(first, own) === true
  }

  /** @noinline */
  private settleFrom(first: number, own: number): boolean {
    const { physical } = this
    let found = false
    for (let cpu = first; cpu >= 0; cpu = physical.nextChanged()) {
      const pe = physical.peOf(cpu)
      this.highestPending.search(pe, cpu)
      this.drive(pe, cpu)
      if (cpu === own) found = true
    }
    return found
  }

  /**
   * Calls the host with each output of a PE that has changed. The host may change outputs again by calling the GIC;
   * they are evaluated again before the next call, so that it gets each change once and in order.
   */
  private drive(pe: Pe, cpu: number): void {
    const { words, host } = this
    let after = this.evaluate(pe)
    while (after !== words[pe + PE_LINES]) {
      const n = lowestBit(after ^ words[pe + PE_LINES])
      words[pe + PE_LINES] ^= 1 << n
      const { settled } = this
      host.setLine?.(cpu, outputLines[n], ((after >> n) & 1) as 0 | 1)
      if (settled !== this.settled) after = this.evaluate(pe)
    }
  }

  /** The levels of a PE's outputs. */
  evaluate(pe: Pe): number {
    const at = pe + PHYSICAL_INTERFACE
    const hppi = this.physicalInterface.signalled(at)
    const physical = hppi === 0 ? 0 : hppi & LR_Group ? LINE_IRQ : LINE_FIQ
    const wakeRequest = this.words[at + HIGHEST_PENDING] < 0 ? LINE_WAKE_REQUEST : 0
    return physical | wakeRequest | (this.drivesVirtual === true ? this.pcpu.virtualPending(pe) : 0)
  }
}
