/**
 * Suite `kvm`: what the guest of a KVM VM sees of its GIC, and in some files the list registers at every entry and exit.
 * Each operation is an entry of the vCPU that does it, and its exit: nothing is in list registers in between. One host
 * CPU runs the vCPU threads in turn.
 */

import { type ProfileName, VgicError } from 'vgic'
import { VirtualMachine } from 'vgic/scenario'
import { asPe } from '../../src/gic/records/pe.ts'
import { VCPU_PE } from '../../src/hyp/records/vcpu.ts'
import { GICD, GICR, GITS } from '../kit/frames.ts'
import { isMemoryAccess, isRegisterAccess, recordedAnswer as recordedAccess, versionOf } from './device.ts'
import { type Answer, countPastTrusted, judge, newTally, type Tally, type Verdict } from './judge.ts'
import { type Host, hostOf } from './kvm-host.ts'
import { isRamOp, Ram } from './ram.ts'
import { isHex, type Op, RecordingError, type Result, type Trace } from './recording.ts'
import { encodingOf } from './registers.ts'

/** One guest entry as it was recorded. */
interface Entry {
  readonly c: number
  readonly hcr: string
  readonly lr: readonly string[]
  readonly out?: readonly string[]
  /** Why the guest left after it; absent: an MMIO access. Only of Linux 7.2, as is `eoi`. */
  readonly exit?: 'MI' | 'SYS'
  /** EOIcount as it was read at that exit. */
  readonly eoi?: number
}

interface KvmResult extends Result {
  readonly cpus?: readonly (readonly string[])[]
  readonly run?: readonly Entry[]
}

/** A mark: a tick of the host took the list registers at an exit from the recording. */
const RUN_INCOMPLETE = 'run-incomplete'
/**
 * What an UNDEFINED access gives the guest: exception class 0 and IL, and no more, as the syndrome of that class is RES0
 * (Arm ARM, "ISS encoding for exceptions with an unknown reason"). KVM gives the guest no other fault for what these
 * recordings do, so that one recorded differs from this.
 */
const UNDEFINED = '0x2000000'
/**
 * What a load from device memory gives the guest if it is not aligned to its size, on a CPU that does not let it through
 * (QEMU 11.1): an alignment fault of its own level. A store's has WnR too.
 */
const UNALIGNED = { r: '0x96000021', w: '0x96000061' } as const
const LIST_REGISTERS = 4
/** ICH_HCR_EL2.LRENPIE, without which KVM does not read EOIcount, and the shift of EOIcount. */
const LRENPIE = 0x4
const EOICOUNT_SHIFT = 27
const FIRST_SPI = 32
const REGISTERS = ['ISR', 'HPPIR0', 'HPPIR1', 'RPR'] as const
const ISR_F = 0x40n
const ISR_I = 0x80n
/** The host's own timers, whose lines the guest moves itself. */
const TIMERS = new Map<number, 'virtual' | 'physical'>([
  [27, 'virtual'],
  [30, 'physical'],
])

const hex = (value: number | bigint): string => `0x${value.toString(16)}`

/** A VM as one trace's `config` describes it. */
class Machine {
  private readonly vm: VirtualMachine
  readonly cpus: number
  /** The entries of the operation under way. */
  private run: Entry[] = []
  private readonly ram = new Ram()

  constructor(
    { config }: Trace,
    private readonly host: Host,
  ) {
    this.cpus = Number(config['cpus'])
    this.vm = new VirtualMachine({
      vcpus: this.cpus,
      spis: Number(config['irqs']) - 32,
      frames: {
        gicd: GICD,
        gicr: [{ base: GICR, count: this.cpus }],
        ...(config['its'] ? { its: GITS } : {}),
      },
      memory: this.ram,
      silicon: {
        cpus: 1,
        listRegisters: listRegistersOf(config),
        profile: host.profile,
      },
      design: host.design,
    })
  }

  /** Does an operation. `polls`: it is a search, which begins on that vCPU. */
  do(op: Op, polls: number | undefined): Answer {
    this.run = []
    const answer = polls === undefined ? this.answer(op) : this.search(op, polls)
    this.waitForTurns()
    return { ...answer, ...entryFields(this.run) }
  }

  private answer(op: Op): Answer {
    const c = op.c ?? 0
    if ((op.k === 'r' || op.k === 'w') && this.host.faultsUnaligned && Number(op.a) % (op.s ?? 4) !== 0) {
      const { k } = op
      return this.entry(c, () => ({ fault: UNALIGNED[k] }))
    }
    switch (op.k) {
      case 'obs':
        return observed(
          Array.from({ length: this.cpus }, (_, cpu) =>
            this.entry(cpu, () => REGISTERS.map((name) => hex(this.vm.readSysreg64(cpu, encodingOf(name))))),
          ),
        )
      case 'ram':
      case 'fill':
        this.entry(c, () => this.ram.do(op))
        return {}
      case 'line':
        this.entry(
          c,
          () => this.moveLine(c, op.intid ?? 0, op.level === 1 ? 1 : 0),
          TIMERS.has(op.intid ?? 0),
        )
        return {}
      case 'r':
        return { v: hex(this.entry(c, () => this.vm.readMmio64(c, Number(op.a), op.s))) }
      case 'w':
        this.entry(c, () => this.vm.writeMmio(c, Number(op.a), op.s ?? 4, BigInt(op.v ?? 0)))
        return {}
      default:
        return this.entry(c, () => this.accessSysreg(c, op), false, true)
    }
  }

  /**
   * Looks for something to acknowledge: every vCPU from the first on reads ISR_EL1, until one has an interrupt, which is
   * the one that acknowledges.
   */
  private search(op: Op, first: number): Answer {
    for (let i = 0; i < this.cpus; i++) {
      const c = (first + i) % this.cpus
      const isr = this.entry(c, () => this.vm.readSysreg64(c, encodingOf('ISR')))
      if (isr & (ISR_I | ISR_F)) return this.answer({ ...op, c, reg: isr & ISR_I ? 'IAR1' : 'IAR0' })
    }
    return this.answer({ ...op, c: first, reg: 'IAR1' })
  }

  /** Between two operations the others run as well, to see whose turn it is. */
  private waitForTurns(): void {
    for (let c = 0; c < this.cpus; c++) {
      this.vm.enter(c)
      this.vm.exit(c)
      this.vm.preempt(c)
    }
  }

  private accessSysreg(c: number, { k, reg, v }: Op): Answer {
    const { vm } = this
    const encoding = encodingOf(reg ?? '')
    const value = k === 'sr' ? vm.readSysreg64(c, encoding) : undefined
    if (value === undefined) vm.writeSysreg(c, encoding, BigInt(v ?? 0))
    if (vm.wasUndefined(c)) return { fault: UNDEFINED }
    return value === undefined ? {} : { v: hex(value) }
  }

  private moveLine(c: number, intid: number, level: 0 | 1): void {
    const timer = TIMERS.get(intid)
    if (timer) this.vm.setTimer(c, timer, level === 1)
    else this.vm.setLine(intid, level)
  }

  /** Why a guest has left, or will, and what of EOIcount is read at that exit. */
  private exitOf(c: number, hcr: number, isTrapped: boolean): Pick<Entry, 'exit' | 'eoi'> {
    const { vm } = this
    if (isTrapped) return { exit: 'SYS' }
    if (!vm.isInGuest(c)) return {}
    const { hypervisor } = vm
    const { words, silicon } = hypervisor
    const pe = asPe(words[hypervisor.vcpu(c) + VCPU_PE])
    const eoi = hcr & LRENPIE ? vm.listRegisters(c).hcr >>> EOICOUNT_SHIFT : 0
    return {
      ...(silicon.virtualInterface.maintenanceLine(pe) ? { exit: 'MI' } : {}),
      ...(eoi === 0 ? {} : { eoi }),
    }
  }

  /**
   * A vCPU enters its guest, which does something, and leaves; then the host runs another thread. `exits`: what it does
   * makes it leave, in another way than the rest.
   */
  private entry<T>(c: number, act: () => T, exits = false, isSysreg = false): T {
    const { vm } = this
    vm.enter(c)
    let entered = vm.listRegisters(c)
    const result = act()
    // What has left the guest has not changed them before. It enters again at once; if there was nothing to write before,
    // it is that entry which was recorded.
    const { tellsExits } = this.host
    if (tellsExits && exits) vm.enter(c)
    const hasLeft = !vm.isInGuest(c) || (exits && !tellsExits)
    if (hasLeft && entered.hcr === 0) {
      vm.enter(c)
      entered = vm.listRegisters(c)
    }
    const { hcr, lr } = entered
    const out = hasLeft ? lr : vm.listRegisters(c).lr
    const changed = out.some((value, i) => value !== lr[i])
    this.run.push({
      c,
      hcr: hex(hcr),
      lr: lr.map(hex),
      ...(changed ? { out: out.map(hex) } : {}),
      ...(tellsExits ? this.exitOf(c, hcr, isSysreg && hasLeft) : {}),
    })
    vm.exit(c)
    vm.preempt(c)
    return result
  }
}

const observed = (cpus: readonly (readonly string[])[]): Answer =>
  Object.fromEntries(
    cpus.flatMap((values, cpu) => values.map((value, i) => [`vCPU ${cpu} ${REGISTERS[i]}`, value])),
  )

/**
 * The entries of an operation as recorded. EOIcount is counted with LRENPIE, so the maintenance interrupt was asserted;
 * where an exit is none of it all the same, the host has taken its tick in it, and why it left is not compared.
 */
const withoutTicks = (run: readonly Entry[], actual: Answer): Answer => {
  const ticks = run.flatMap(({ eoi, exit }, i) => (eoi !== undefined && exit === undefined ? [i] : []))
  return Object.fromEntries(
    Object.entries(actual).filter(([field]) => !ticks.some((i) => field === `exit ${i} why`)),
  )
}

const entryFields = (run: readonly Entry[]): Answer =>
  Object.fromEntries(
    run.flatMap(({ c, hcr, lr, out, exit, eoi }, i) => [
      [`entry ${i} vCPU`, hex(c)],
      [`entry ${i} ICH_HCR`, hcr],
      ...lr.map((value, n) => [`entry ${i} ICH_LR${n}`, value]),
      ...(out ?? []).map((value, n) => [`exit ${i} ICH_LR${n}`, value]),
      ...(exit === undefined ? [] : [[`exit ${i} why`, exit]]),
      ...(eoi === undefined ? [] : [[`exit ${i} EOIcount`, hex(eoi)]]),
    ]),
  )

const recordedAnswer = (result: KvmResult): Answer => ({
  ...recordedAccess(result),
  ...observed(result.cpus ?? []),
  ...entryFields(result.run ?? []),
})

const listRegistersOf = ({ lrs }: Trace['config']): number => Number(lrs ?? LIST_REGISTERS)

/** Whether a trace has the entries of each op. */
const hasEntries = ({ config, results }: Trace): boolean =>
  config['lrs'] !== undefined || results.some((result) => (result as KvmResult).run !== undefined)

const isList = (value: unknown, item: (value: unknown) => boolean): boolean =>
  Array.isArray(value) && value.every(item)

/** Throws for what this suite's replayer cannot make sense of. */
function check(file: string, trace: Trace): void {
  const { config, ops, results } = trace
  const refuse = (reason: string) => new RecordingError(file, trace.line, reason)
  const isWhole = hasEntries(trace)
  for (const [i, op] of ops.entries()) {
    if (!isKvmOp(op, config)) throw refuse(`op ${i}: ${JSON.stringify(op)} is not an op of suite kvm`)
    const { cpus, run } = results[i] as KvmResult
    if (cpus !== undefined && !isList(cpus, (values) => isList(values, isHex)))
      throw refuse(`result ${i}: "cpus" is not lists of values`)
    if (run !== undefined && !isList(run, (entry) => isEntry(entry, config)))
      throw refuse(`result ${i}: "run" is not a list of entries`)
    if (run === undefined && isWhole) throw refuse(`result ${i}: there is no "run", as the others have`)
  }
}

function isKvmOp(op: Op, { cpus, irqs }: Trace['config']): boolean {
  const { k, c = 0, intid = 0, level } = op
  if (c < 0 || c >= Number(cpus)) return false
  if (k === 'obs') return true
  if (k === 'line') {
    const isInput = TIMERS.has(intid) || (intid >= FIRST_SPI && intid < Number(irqs))
    return isInput && (level === 0 || level === 1)
  }
  if (isRamOp(op)) return true
  return /^[rw]$/.test(k) ? isMemoryAccess(op) : /^s[rw]$/.test(k) && isRegisterAccess(op)
}

function isEntry(value: unknown, config: Trace['config']): boolean {
  const { c = -1, hcr, lr, out, exit, eoi } = (value ?? {}) as Partial<Entry>
  const areListRegisters = (values: unknown): boolean =>
    isList(values, isHex) && (values as unknown[]).length === listRegistersOf(config)
  return (
    Number.isInteger(c) &&
    c >= 0 &&
    c < Number(config['cpus']) &&
    isHex(hcr) &&
    areListRegisters(lr) &&
    (out === undefined || areListRegisters(out)) &&
    (exit === undefined || exit === 'MI' || exit === 'SYS') &&
    (eoi === undefined || Number.isInteger(eoi))
  )
}

function machineOf(file: string, trace: Trace, host: Host): Machine {
  try {
    return new Machine(trace, host)
  } catch (error) {
    if (error instanceof VgicError) throw new RecordingError(file, trace.line, `config: ${error.message}`)
    throw error
  }
}

/** Replays the traces of a file. */
export function replayKvm(file: string, traces: readonly Trace[], chosen?: ProfileName): Tally[] {
  const tally = newTally(file, chosen === undefined ? 'traces' : `traces, ${chosen}`)
  for (const trace of traces) {
    const host = hostOf(file, trace, chosen)
    if (versionOf(file, trace) !== '3')
      throw new RecordingError(file, trace.line, "config.gicr_stride is not that of a guest's GICv3")
    check(file, trace)
    replay(tally, machineOf(file, trace, host), trace)
  }
  return [tally]
}

function replay(tally: Tally, machine: Machine, trace: Trace): void {
  const isWhole = hasEntries(trace)
  for (const [i, op] of trace.ops.entries()) {
    const result = trace.results[i] as KvmResult
    const isSearch = /^IAR[01]$/.test(op.reg ?? '') && (result.run?.length ?? 0) > 1
    const actual = machine.do(op, isSearch ? result.run?.[0]?.c : undefined)
    const judged = (answer: Answer): Answer =>
      isWhole && op.u !== RUN_INCOMPLETE ? answer : withoutEntries(answer)
    const verdict = judge(
      judged(recordedAnswer(result)),
      result,
      judged(withoutTicks(result.run ?? [], actual)),
    )
    if (i < trace.trusted) count(tally, verdict, trace, i)
    else countPastTrusted(tally, verdict)
  }
}

function count(tally: Tally, verdict: Verdict, trace: Trace, i: number): void {
  const { kind, differences } = verdict
  tally[kind]++
  if (kind !== 'failed') return
  const { k, c = 0, reg, a, intid, v } = trace.ops[i]
  const value = v === undefined ? '' : ` := ${v}`
  tally.failures.push({
    trace: trace.name,
    op: i,
    what: `${k} ${reg ?? a ?? intid ?? ''}${value} by vCPU ${c}`,
    differences: differences.map(
      ({ field, expected, actual }) => `${field} is ${actual}, should be ${expected.join(' or ')}`,
    ),
  })
}

const withoutEntries = (answer: Answer): Answer =>
  Object.fromEntries(Object.entries(answer).filter(([field]) => !/^(entry|exit) /.test(field)))
