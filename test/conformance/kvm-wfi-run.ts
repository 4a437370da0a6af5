/**
 * Runs a recorded case: every vCPU on a PE of its own, and what comes from elsewhere when the recording says that it
 * came. Memory flags and time are kept here: a guest that waits for one is held where it waits, and can be interrupted
 * there; time passes when nobody can go on.
 */
import type { Actor, ScenarioMachine, StepEvent } from 'vgic/scenario'
import { asPe } from '../../src/gic/records/pe.ts'
import { wakeUp } from '../../src/hyp/host/kick.ts'
import { GUEST_PC, GUEST_VALUE, GUEST_VALUE_HIGH } from '../../src/hyp/records/guest-record.ts'
import { timerIntids, VCPU_LAST_CPU, VCPU_PC, VCPU_PE } from '../../src/hyp/records/vcpu.ts'
import { type Case, type GuestOp, type Stimulus, said } from './kvm-wfi-case.ts'
import {
  type BuiltCase,
  DEVICE,
  END,
  EVENT,
  hostRedistributorAt,
  isGicv4,
  type PlacedOp,
  SETUP_END,
} from './kvm-wfi-scenario.ts'
import { isHostsOwn } from './recording.ts'
import { hex } from './registers.ts'

/** `later`: another thread of the VMM does it after so many microseconds. */
const LATER = 20_000
/** More steps than any case takes. */
const STEPS = 200_000
/** Their PPIs, in the machine's order. */
const TIMERS: readonly number[] = timerIntids
const USERSPACE = 'userspace/userspace'
const FIRST_LPI = 8192

/** What the host does with its physical interrupts, by what of that is judged. */
const HOST_ACCESSES: ReadonlySet<string> = new Set(['ICC_IAR1_EL1', 'ICC_EOIR1_EL1', 'ICC_DIR_EL1'])

/** Why an exit was, as the recordings call it; userspace is reached by a store. */
const WHY: Readonly<Record<string, string>> = {
  wfi: 'WFx',
  wfe: 'WFx',
  hvc: 'HVC',
  sysreg: 'SYS',
  mmio: 'DABT',
  userspace: 'DABT',
  irq: 'IRQ',
}

/** One vCPU as the replay follows it. */
interface Followed {
  readonly index: number
  readonly actor: Actor
  phase: 'off' | 'setup' | 'recorded' | 'ended'
  /** The op that it is in, by its program counter, once it has begun. */
  begun: number
  /** Ops that are behind it. */
  readonly done: Set<string>
  /** The delay that it is in, by program counter, and when that ends. */
  delay: { readonly pc: number; readonly end: number } | undefined
  /** It spins, and nothing has happened since its last look. */
  spins: boolean
  /** How often it had slept when the recorded part began, and when a stimulus came last. */
  sleeps: number
  /** By INTID, how often its handler has run. */
  readonly runs: Map<number, number>
  readonly accesses: string[]
  readonly sees: string[]
}

/** Something that will happen at a time unless a stimulus says when: a timer, or another thread's action. */
interface Timed {
  readonly at: number
  readonly happen: () => unknown
}

export interface Replayed {
  readonly accesses: readonly (readonly string[])[]
  readonly sees: readonly (readonly string[])[]
  /** What was to come from elsewhere and could not, as what it comes after never was. */
  readonly missed: readonly string[]
}

/** Runs a case in the machine of its scenario, and returns what it did, in the words of {@link said}. */
export function runCase(recorded: Case, { machine, places }: BuiltCase): Replayed {
  const replay = new Replay(recorded, machine, places)
  replay.run()
  return replay
}

class Replay implements Replayed {
  private readonly vcpus: readonly Followed[]
  private readonly flags = new Set<number>()
  /** Stimuli that are to come, in order. */
  private stimuli: Stimulus[]
  private timed: Timed[] = []
  private now = 0

  constructor(
    private readonly recorded: Case,
    private readonly machine: ScenarioMachine,
    private readonly places: BuiltCase['places'],
  ) {
    this.stimuli = [...recorded.stimuli]
    // Linux 7.2 maps a device before it enables an interrupt.
    const { v4 } = machine.hypervisor
    if (recorded.config['direct'] === true && String(recorded.config['kernel']).includes('7.2'))
      v4?.forwarding.attach(machine.hypervisor.vcpu(0), 0)
    this.vcpus = recorded.programs.flatMap(({ guest }, index) =>
      guest.length === 0 ? [] : [this.follow(index)],
    )
  }

  get accesses(): string[][] {
    return this.recorded.programs.map((_, c) => this.vcpus.find(({ index }) => index === c)?.accesses ?? [])
  }

  get sees(): string[][] {
    return this.recorded.programs.map((_, c) => this.vcpus.find(({ index }) => index === c)?.sees ?? [])
  }

  get missed(): string[] {
    return this.stimuli.map((stimulus) => `${JSON.stringify(stimulus)} has not come`)
  }

  run(): void {
    for (let steps = 0; steps < STEPS; steps++) {
      for (const vcpu of this.vcpus) this.passOver(vcpu)
      if (this.stimulate() || this.happenDue()) continue
      const next = this.vcpus.find((vcpu) => this.canGoOn(vcpu))
      if (next) this.step(next)
      else if (!this.passTime()) return
    }
  }

  private follow(index: number): Followed {
    const actor = this.machine.actors.find(({ kind, index: of }) => kind === 'vcpu' && of === index)
    if (!actor) throw new Error(`no vCPU ${index}`)
    const phase = index === 0 ? 'setup' : 'off'
    const followed = { index, actor, begun: -1, done: new Set<string>(), delay: undefined, spins: false }
    return { ...followed, phase, sleeps: 0, runs: new Map(), accesses: [], sees: [] }
  }

  private word({ index }: Followed, at: number): number {
    const { hypervisor } = this.machine
    return hypervisor.words[hypervisor.vcpu(index) + at]
  }

  private placeOf(vcpu: Followed): PlacedOp | undefined {
    return this.places[vcpu.index].get(this.word(vcpu, GUEST_PC))
  }

  private isInGuest(vcpu: Followed): boolean {
    const { hypervisor } = this.machine
    const pe = asPe(this.word(vcpu, VCPU_PE))
    return pe !== 0 && hypervisor.silicon.pcpu.isInGuest(pe)
  }

  /** Whether its next step in the guest is one of its list: nothing interrupts it first. */
  private isAtOp(vcpu: Followed): boolean {
    if (!this.isInGuest(vcpu)) return false
    const { hypervisor } = this.machine
    const { guest, setup } = hypervisor
    const v = hypervisor.vcpu(vcpu.index)
    return !guest.isInterrupted(v) && guest.next(v, setup.guests[vcpu.index]) === 'operation'
  }

  /** A guest goes past what its handler does at another time than this one only. */
  private passOver(vcpu: Followed): void {
    if (!this.isInGuest(vcpu)) return
    const { hypervisor } = this.machine
    for (let place = this.placeOf(vcpu); place?.op?.nth !== undefined; place = this.placeOf(vcpu)) {
      if (place.op.nth === vcpu.runs.get(place.handler ?? 0)) return
      hypervisor.words[hypervisor.vcpu(vcpu.index) + GUEST_PC]++
    }
  }

  private canGoOn(vcpu: Followed): boolean {
    const { phase, actor } = vcpu
    if (phase === 'off' || phase === 'ended' || this.machine.stateOf(actor) !== 'ready') return false
    if (this.isAtUserspace(vcpu) && this.userspaceWaits(vcpu)) return false
    return !this.isAtOp(vcpu) || !this.isHeld(vcpu, this.placeOf(vcpu))
  }

  /**
   * Whether userspace is still to wait before it does what it is asked for: until a vCPU has blocked, if the binding is to
   * come then, and until the CPU that a thread moves to is free.
   */
  private userspaceWaits(vcpu: Followed): boolean {
    const op = this.placeOf(vcpu)?.op
    if (op?.call === 'bind') return this.isBinding(this.stimuli[0]) && !this.hasCome(this.stimuli[0])
    if (op?.call !== 'move') return false
    return this.vcpus.some((other) => {
      const isThere = other !== vcpu && this.word(other, VCPU_LAST_CPU) === op.pcpu
      return isThere && other.phase !== 'ended'
    })
  }

  private isBinding(stimulus: Stimulus | undefined): boolean {
    return stimulus?.by === 'vmm' && String(stimulus.op).startsWith('bind')
  }

  private isHeld(vcpu: Followed, place: PlacedOp | undefined): boolean {
    if (!place?.op) return false
    const { key, op } = place
    if (op.k === 'await') return !this.flags.has(op.flag ?? 0)
    if (op.k === 'untilisr' || op.k === 'untilirqs') return vcpu.spins
    if (op.k === 'delay') {
      const pc = this.word(vcpu, GUEST_PC)
      if (vcpu.delay?.pc !== pc) vcpu.delay = { pc, end: this.now + (op.us ?? 0) }
      return this.now < vcpu.delay.end
    }
    const causes = this.stimuli.find(({ by, op: at }) => by === `vcpu${vcpu.index}` && String(at) === key)
    return causes !== undefined && (causes !== this.stimuli[0] || !this.hasCome(causes))
  }

  /** Whether what a stimulus comes after has been. */
  private hasCome({ by, after, vcpu: index, at }: Stimulus): boolean {
    const vcpu = this.vcpus.find((one) => one.index === index)
    if (!vcpu) return false
    const other = /^vcpu(\d+) op (\d+)$/.exec(after)
    if (other) return this.vcpus.some((one) => one.index === Number(other[1]) && one.done.has(other[2]))
    if (by === 'host') return this.isInGuest(vcpu) && this.machine.stateOf(vcpu.actor) === 'asleep'
    if (after === 'op') return this.isInGuest(vcpu) && this.placeOf(vcpu)?.key === String(at)
    const sleeps = this.machine.counts(index).sleeps - vcpu.sleeps
    return vcpu.phase === 'recorded' && sleeps > 0 && this.machine.stateOf(vcpu.actor) === 'asleep'
  }

  /** Lets the next stimulus come if it is nobody's op and its time has come. */
  private stimulate(): boolean {
    const [stimulus] = this.stimuli
    if (!stimulus || /^vcpu/.test(stimulus.by) || this.isBinding(stimulus)) return false
    if (!this.hasCome(stimulus)) return false
    const { by, op, intid, vcpu } = stimulus
    if (by === 'timer') {
      if (!this.expire(vcpu, intid)) return false
    } else if (by === 'host') {
      if (!this.tick(vcpu)) return false
    } else {
      const action = this.recorded.programs[0].guest[Number(op)]
      if (!action) return false
      this.raise(action)
    }
    this.cameTo(stimulus)
    return true
  }

  /** A stimulus has come; a vCPU that was blocked then is to block again before the next one that says so. */
  private cameTo(stimulus: Stimulus): void {
    this.stimuli = this.stimuli.filter((one) => one !== stimulus)
    for (const vcpu of this.vcpus) {
      vcpu.spins = false
      if (vcpu.index === stimulus.vcpu && stimulus.after.startsWith('blocked'))
        vcpu.sleeps = this.machine.counts(vcpu.index).sleeps
    }
  }

  /** A timer expires. False if it is not armed. */
  private expire(index: number, intid = 27): boolean {
    const timer = TIMERS.indexOf(intid)
    const actor = this.machine.environment.find(
      (one) => one.kind === 'timer' && one.index === index && one.detail === timer,
    )
    if (!actor || this.machine.stateOf(actor) !== 'ready') return false
    const vcpu = this.vcpus.find((one) => one.index === index)
    const event = this.machine.trace(actor)
    if (vcpu) this.record(vcpu, event)
    return true
  }

  /** The host's tick interrupts a guest. */
  private tick(index: number): boolean {
    const actor = this.machine.environment.find((one) => one.kind === 'tick' && one.index === index)
    if (!actor || this.machine.stateOf(actor) !== 'ready') return false
    this.machine.trace(actor)
    return true
  }

  /** What userspace, or the device, does, and what the host does at that. */
  private raise(op: GuestOp, by?: Followed): void {
    const { hypervisor } = this.machine
    const done: StepEvent['accesses'][number][] = []
    this.machine.watch(done)
    this.act(op, by)
    hypervisor.seam.observer = null
    if (done.length === 0) return
    const lpi = done.find(({ name, low }) => name === 'ICC_IAR1_EL1' && low >= FIRST_LPI)
    const vcpu = this.vcpus.find(({ index }) => index === (lpi ? this.vcpuOf(lpi.low) : by?.index))
    if (vcpu?.phase !== 'recorded') return
    for (const access of done) vcpu.accesses.push(...this.accessTexts(access))
  }

  /** The vCPU whose doorbell an LPI is; vCPU 0 for the host's LPI of the device. */
  private vcpuOf(lpi: number): number {
    const { vpeCount } = this.machine.hypervisor.layout.direct
    return lpi - FIRST_LPI < vpeCount ? lpi - FIRST_LPI : 0
  }

  private act({ call, intid = 0, level = 0, device = 0, event = 0, pcpu = 0 }: GuestOp, by?: Followed): void {
    const { hypervisor } = this.machine
    const { apLists, mmio } = hypervisor
    if (call === 'bind') this.bind()
    else if (call === 'fire') this.machine.internals.deviceSteps.sendToHost(DEVICE, EVENT)
    else if (call === 'move') this.move(by, pcpu)
    else if (call !== 'msi') hypervisor.inject(apLists.irqOf(hypervisor.vcpu(0), intid), level)
    else {
      const irq = mmio.dist.its.translate(0, device, event)
      if (irq !== 0) hypervisor.inject(irq, 1)
    }
    for (const vcpu of this.vcpus) vcpu.spins = false
  }

  /** The device's interrupt is bound and forwarded, for which KVM stops the VM: every vCPU that sleeps wakes once. */
  private bind(): void {
    const { v4, words, setup } = this.machine.hypervisor
    const v = this.machine.hypervisor.vcpu(0)
    v4?.forwarding.bind(v, 0)
    v4?.forwarding.forward(v, 0)
    if (!this.isBinding(this.stimuli[0])) return
    this.cameTo(this.stimuli[0])
    for (let i = 0; i < setup.vcpus; i++) wakeUp(words, this.machine.hypervisor.vcpu(i))
  }

  /** A thread in userspace goes to another CPU; one that has ended there makes room. */
  private move(by: Followed | undefined, cpu: number): void {
    const { scheduler } = this.machine.hypervisor
    const other = scheduler.current(cpu)
    if (other !== 0) scheduler.release(other)
    if (by === undefined) return
    const v = this.machine.hypervisor.vcpu(by.index)
    scheduler.release(v)
    scheduler.place(v, cpu)
  }

  private step(vcpu: Followed): void {
    if (this.isAtUserspace(vcpu) && !this.userspace(vcpu)) return
    const isOp = this.isAtOp(vcpu)
    const pc = this.word(vcpu, GUEST_PC)
    const place = this.placeOf(vcpu)
    if (isOp && place?.op) this.begin(vcpu, place.key, place.op, pc)
    this.record(vcpu, this.machine.trace(vcpu.actor), isOp ? place : undefined)
    const stays = isOp && this.isInGuest(vcpu) && this.word(vcpu, GUEST_PC) === pc
    for (const other of this.vcpus) if (!stays || other === vcpu) other.spins = stays && other === vcpu
    if (vcpu.begun >= 0 && this.word(vcpu, GUEST_PC) !== vcpu.begun) this.finish(vcpu)
  }

  private begin(vcpu: Followed, key: string, op: GuestOp, pc: number): void {
    vcpu.begun = pc
    vcpu.delay = undefined
    const caused = this.stimuli.find(({ by, op: at }) => by === `vcpu${vcpu.index}` && String(at) === key)
    if (caused) this.cameTo(caused)
    if (op.k === 'signal') this.flags.add(op.flag ?? 0)
    if (op.k === 'cpuon') for (const other of this.vcpus) if (other.index === op.c) other.phase = 'setup'
    if (op.k === 'timer' && !this.stimuli.some(({ by, vcpu: of }) => by === 'timer' && of === vcpu.index)) {
      const { intid } = op
      this.timed.push({ at: this.now + (op.us ?? 0), happen: () => this.expire(vcpu.index, intid) })
    }
  }

  /** An op is behind a vCPU: what its guest has read is what it saw. */
  private finish(vcpu: Followed): void {
    const place = this.places[vcpu.index].get(vcpu.begun)
    vcpu.begun = -1
    if (!place?.op) return
    vcpu.done.add(place.key)
    if (place.op.k !== 'r' || vcpu.phase !== 'recorded') return
    const [low, high] = [
      this.word(vcpu, GUEST_VALUE),
      place.op.s === 8 ? this.word(vcpu, GUEST_VALUE_HIGH) : 0,
    ]
    vcpu.sees.push(said.value(place.key, wide(low, high)))
  }

  private isAtUserspace(vcpu: Followed): boolean {
    const { paths } = this.machine.hypervisor.runLoop.program
    return !this.isInGuest(vcpu) && paths[this.word(vcpu, VCPU_PC)] === USERSPACE
  }

  /** Userspace does what a vCPU asked it for. False if that was to end. */
  private userspace(vcpu: Followed): boolean {
    const place = this.placeOf(vcpu)
    if (place?.key === END) {
      vcpu.phase = 'ended'
      return false
    }
    if (place?.key === SETUP_END) {
      vcpu.phase = 'recorded'
      vcpu.sleeps = this.machine.counts(vcpu.index).sleeps
    } else if (place?.op?.later) {
      this.actLater(place.key, place.op)
    } else if (place?.op) this.raise(place.op, vcpu)
    return true
  }

  /** Another thread of the VMM acts: when a stimulus says, or after a while. */
  private actLater(key: string, op: GuestOp): void {
    if (this.stimuli.some(({ by, op: at }) => (by === 'vmm' || by === 'device') && String(at) === key)) return
    this.timed.push({ at: this.now + LATER, happen: () => this.raise(op) })
  }

  /** Nobody can go on: time passes until a delay ends, or something happens. False if nothing ever will. */
  private passTime(): boolean {
    const ends = this.vcpus.flatMap(({ delay, phase }) => (delay && phase !== 'ended' ? [delay.end] : []))
    const next = Math.min(...ends.filter((end) => end > this.now), ...this.timed.map(({ at }) => at))
    if (next === Number.POSITIVE_INFINITY) return false
    this.now = Math.max(this.now, next)
    return true
  }

  /** What is due by now happens. False if nothing is. */
  private happenDue(): boolean {
    const due = this.timed.find(({ at }) => at <= this.now)
    if (!due) return false
    this.timed = this.timed.filter((one) => one !== due)
    due.happen()
    return true
  }

  private record(vcpu: Followed, event: StepEvent, place?: PlacedOp): void {
    const { acknowledged } = event
    const takes = place === undefined ? acknowledged : undefined
    if (takes !== undefined) vcpu.runs.set(takes, (vcpu.runs.get(takes) ?? 0) + 1)
    if (vcpu.phase !== 'recorded') return
    const { accesses, sees } = vcpu
    if (event.what === 'enters the guest') accesses.push(said.entry)
    for (const access of event.accesses) accesses.push(...this.accessTexts(access))
    const exit = /-> exit \((\w+)\)$/.exec(event.what)
    if (exit) accesses.push(said.exit(WHY[exit[1]] ?? exit[1]))
    if (takes !== undefined) sees.push(said.takes(takes))
    else if (event.value !== undefined && (place?.op?.k === 'ack' || place?.op?.k === 'sr'))
      sees.push(said.value(place.key, BigInt(event.value)))
  }

  /** An access in the words of {@link said}; nothing for one that no recording has, such as the sending of an IPI. */
  private accessTexts({
    direction,
    kind,
    name,
    register,
    low,
    high,
    fields,
  }: StepEvent['accesses'][number]): string[] {
    const e = direction === 'read' ? 'r' : 'w'
    const value = hex(wide(low, high))
    if (kind === 'its') return [said.command(name, this.symbolic(name, fields))]
    if (kind === 'table' || name.startsWith('GITS_')) return []
    if (kind === 'mmio') {
      const text = isGicv4(this.recorded) ? vpeRegister(name, low, high, this.tables) : undefined
      return [said.access(e, name, text ?? value, hostRedistributorAt(register, this.recorded))]
    }
    if (!name.startsWith('ICC_')) return [said.access(e, name, value)]
    if (!HOST_ACCESSES.has(name)) return []
    const intid = low >= FIRST_LPI ? 'doorbell' : low
    return [isHostsOwn(low) ? said.own : said.host(name.replace(/_EL1$/, ''), intid)]
  }

  /** By vCPU, the address of its vPE's pending table. */
  private get tables(): number[] {
    const { v4 } = this.machine.hypervisor
    return this.recorded.programs.map((_, c) => v4?.vpes.tableOf(c) ?? 0)
  }

  /** The fields of a command to the host's ITS, with the symbols of the recordings. */
  private symbolic(name: string, fields: Readonly<Record<string, number>>): Record<string, unknown> {
    const { layout, v4 } = this.machine.hypervisor
    const doorbell = (intid: number): string | number =>
      intid >= FIRST_LPI && intid < FIRST_LPI + layout.vcpuCount ? `db${intid - FIRST_LPI}` : intid
    const pintid = (intid: number): string | number => {
      const symbol = doorbell(intid)
      return symbol === intid ? 'hostlpi' : symbol
    }
    const isProxy = fields['DeviceID'] === v4?.vpes.driver.proxy
    return Object.fromEntries(
      Object.entries(fields).flatMap(([field, value]): [string, unknown][] => {
        switch (field) {
          case 'DeviceID':
            return [['device', isProxy ? 'proxy' : 'dev']]
          case 'EventID':
            return [['event', isProxy ? `db${value}` : value]]
          case 'ICID':
            return [['collection', value]]
          case 'pINTID':
            return [['pintid', pintid(value)]]
          case 'Dbell_pINTID':
            return [['doorbell', doorbell(value)]]
          case 'vINTID':
            return [['vintid', value]]
          case 'vPEID':
            return name === 'VSYNC' ? [] : [['vpe', value]]
          case 'RDbase':
            return name === 'VMOVP' ? [['rd', value]] : []
          case 'V':
          case 'D':
            return [[field, value]]
          default:
            return []
        }
      }),
    )
  }
}

/** The values of GICv4.0's registers of a vPE, as the recordings have them; undefined for another register. */
function vpeRegister(name: string, low: number, high: number, tables: readonly number[]): string | undefined {
  if (name === 'GICR_VPROPBASER') return JSON.stringify('vprop')
  if (name !== 'GICR_VPENDBASER') return undefined
  const table = tables.indexOf((low & ~0xffff) >>> 0)
  const bit = (n: number): number => (high >>> (n - 32)) & 1
  return JSON.stringify({
    addr: `vpt${table}`,
    dirty: bit(60),
    idai: bit(62),
    pendingLast: bit(61),
    valid: bit(63),
  })
}

const wide = (low: number, high: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
