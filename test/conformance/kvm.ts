/**
 * Suite `kvm`: what the guest of a KVM VM sees of its GIC, and in some files the list registers at every entry and exit.
 * Each operation is an entry of the vCPU that does it, and its exit: nothing is in list registers in between. One host
 * CPU runs the vCPU threads in turn.
 */
import { VgicError } from 'vgic'
import { designs, kvm61, VirtualMachine, type VirtualMachineConfig } from 'vgic/scenario'
import { type Answer, countSkip, judge, newTally, type Tally } from './judge.ts'
import { isHex, type Op, RecordingError, type Result, type Trace } from './recording.ts'
import { encodingOf } from './registers.ts'

type SiliconConfig = NonNullable<VirtualMachineConfig['silicon']>

interface KvmOp extends Op {
  readonly intid?: number
  readonly level?: number
}

/** One guest entry as it was recorded. */
interface Entry {
  readonly c: number
  readonly hcr: string
  readonly lr: readonly string[]
  readonly out?: readonly string[]
}

interface KvmResult extends Result {
  readonly cpus?: readonly (readonly string[])[]
  readonly run?: readonly Entry[]
}

const GICD = 0x0800_0000
const GITS = 0x0808_0000
const GICR = 0x080a_0000
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

  constructor({ config }: Trace) {
    this.cpus = Number(config['cpus'])
    this.vm = new VirtualMachine({
      vcpus: this.cpus,
      spis: Number(config['irqs']) - 32,
      frames: {
        gicd: GICD,
        gicr: [{ base: GICR, count: this.cpus }],
        ...(config['its'] ? { its: GITS } : {}),
      },
      silicon: {
        cpus: 1,
        listRegisters: Number(config['lrs'] ?? 4),
        profile: config['silicon'] as NonNullable<SiliconConfig['profile']>,
      },
      design: kvm61(designs.wfiHandler),
    })
  }

  /** Does an operation. `polls`: it is a search, which begins on that vCPU. */
  do(op: KvmOp, polls: number | undefined): Answer {
    this.run = []
    const answer = polls === undefined ? this.answer(op) : this.search(op, polls)
    this.waitForTurns()
    return { ...answer, ...entryFields(this.run) }
  }

  private answer(op: KvmOp): Answer {
    const c = op.c ?? 0
    switch (op.k) {
      case 'obs':
        return observed(
          Array.from({ length: this.cpus }, (_, cpu) =>
            this.entry(cpu, () => REGISTERS.map((name) => hex(this.vm.readSysreg(cpu, encodingOf(name))))),
          ),
        )
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
        return this.entry(c, () => this.accessSysreg(c, op))
    }
  }

  /**
   * Looks for something to acknowledge: every vCPU from the first on reads ISR_EL1, until one has an interrupt, which is
   * the one that acknowledges.
   */
  private search(op: KvmOp, first: number): Answer {
    for (let i = 0; i < this.cpus; i++) {
      const c = (first + i) % this.cpus
      const isr = this.entry(c, () => this.vm.readSysreg(c, encodingOf('ISR')))
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

  private accessSysreg(c: number, { k, reg, v }: KvmOp): Answer {
    const { vm } = this
    const encoding = encodingOf(reg ?? '')
    const value = k === 'sr' ? vm.readSysreg(c, encoding) : undefined
    if (value === undefined) vm.writeSysreg(c, encoding, BigInt(v ?? 0))
    if (vm.wasUndefined(c)) return { fault: '0x2000000' }
    return value === undefined ? {} : { v: hex(value) }
  }

  private moveLine(c: number, intid: number, level: 0 | 1): void {
    const timer = TIMERS.get(intid)
    if (timer) this.vm.setTimer(c, timer, level === 1)
    else this.vm.setLine(intid, level)
  }

  /** A vCPU enters its guest, which does something, and leaves; then the host runs another thread. */
  private entry<T>(c: number, act: () => T, exits = false): T {
    const { vm } = this
    vm.enter(c)
    let entered = vm.listRegisters(c)
    const result = act()
    // What has left the guest has not changed them before. It enters again at once; if there was nothing to write before,
    // it is that entry which was recorded.
    const hasLeft = !vm.isInGuest(c) || exits
    if (hasLeft && entered.hcr === 0) {
      vm.enter(c)
      entered = vm.listRegisters(c)
    }
    const { hcr, lr } = entered
    const out = hasLeft ? lr : vm.listRegisters(c).lr
    const changed = out.some((value, i) => value !== lr[i])
    this.run.push({ c, hcr: hex(hcr), lr: lr.map(hex), ...(changed ? { out: out.map(hex) } : {}) })
    vm.exit(c)
    vm.preempt(c)
    return result
  }
}

const observed = (cpus: readonly (readonly string[])[]): Answer =>
  Object.fromEntries(
    cpus.flatMap((values, cpu) => values.map((value, i) => [`vCPU ${cpu} ${REGISTERS[i]}`, value])),
  )

const entryFields = (run: readonly Entry[]): Answer =>
  Object.fromEntries(
    run.flatMap(({ c, hcr, lr, out }, i) => [
      [`entry ${i} vCPU`, hex(c)],
      [`entry ${i} ICH_HCR`, hcr],
      ...lr.map((value, n) => [`entry ${i} ICH_LR${n}`, value]),
      ...(out ?? []).map((value, n) => [`exit ${i} ICH_LR${n}`, value]),
    ]),
  )

function recordedAnswer({ v, fault, cpus, run }: KvmResult): Answer {
  return {
    ...(v === undefined ? {} : { v }),
    ...(fault === undefined ? {} : { fault }),
    ...observed(cpus ?? []),
    ...entryFields(run ?? []),
  }
}

/** Throws for what this suite's replayer cannot make sense of. */
function check(file: string, trace: Trace): void {
  const refuse = (reason: string) => new RecordingError(file, trace.line, reason)
  const isList = (value: unknown, item: (value: unknown) => boolean): boolean =>
    Array.isArray(value) && value.every(item)
  const isHexList = (value: unknown): boolean => isList(value, isHex)
  for (const [i, op] of (trace.ops as readonly KvmOp[]).entries()) {
    const known =
      op.k === 'obs' ||
      (op.k === 'r' && op.a) ||
      (op.k === 'w' && op.a && typeof op.v === 'string') ||
      (op.k === 'sr' && op.reg) ||
      (op.k === 'sw' && op.reg && typeof op.v === 'string') ||
      (op.k === 'line' && Number.isInteger(op.intid) && Number.isInteger(op.level))
    if (!known || (op.c ?? 0) < 0 || (op.c ?? 0) >= Number(trace.config['cpus'])) {
      throw refuse(`op ${i}: ${JSON.stringify(op)} is no op of suite kvm`)
    }
    const { cpus, run } = trace.results[i] as KvmResult
    if (cpus !== undefined && !isList(cpus, isHexList))
      throw refuse(`result ${i}: "cpus" is not lists of values`)
    const isEntry = (entry: unknown): boolean => {
      const { c, hcr, lr, out } = (entry ?? {}) as Partial<Entry>
      return Number.isInteger(c) && isHex(hcr) && isHexList(lr) && (out === undefined || isHexList(out))
    }
    if (run !== undefined && !isList(run, isEntry))
      throw refuse(`result ${i}: "run" is not a list of entries`)
  }
}

function machineOf(file: string, trace: Trace): Machine {
  try {
    return new Machine(trace)
  } catch (error) {
    if (error instanceof VgicError) throw new RecordingError(file, trace.line, `config: ${error.message}`)
    throw error
  }
}

/** `lr-its-5000000` is a trace of the ITS. */
const needsIts = ({ name }: Trace): boolean => /(^|-)its-/.test(name)

/** Replays the traces of a file. */
export function replayKvm(file: string, traces: readonly Trace[]): Tally[] {
  const tally = newTally(file, 'traces')
  for (const trace of traces) {
    if (needsIts(trace)) {
      countSkip(tally, 'an ITS trace: the hypervisor has no ITS yet', trace.trusted)
      tally.pastTrusted.total += trace.ops.length - trace.trusted
    } else {
      check(file, trace)
      replay(tally, machineOf(file, trace), trace)
    }
  }
  return [tally]
}

function replay(tally: Tally, machine: Machine, trace: Trace): void {
  for (const [i, op] of (trace.ops as readonly KvmOp[]).entries()) {
    const result = trace.results[i] as KvmResult
    const isSearch = /^IAR[01]$/.test(op.reg ?? '') && (result.run?.length ?? 0) > 1
    const actual = machine.do(op, isSearch ? result.run?.[0]?.c : undefined)
    // Some files have no entries.
    const seen = result.run ? actual : withoutEntries(actual)
    const verdict = judge(recordedAnswer(result), result, seen)
    if (i >= trace.trusted) {
      tally.pastTrusted.total++
      if (verdict.kind !== 'failed') tally.pastTrusted.agree++
      continue
    }
    tally[verdict.kind]++
    if (verdict.kind !== 'failed') continue
    const value = op.v === undefined ? '' : ` := ${op.v}`
    tally.failures.push({
      trace: trace.name,
      op: i,
      what: `${op.k} ${op.reg ?? op.a ?? op.intid ?? ''}${value} by vCPU ${op.c ?? 0}`,
      differences: verdict.differences.map(
        ({ field, expected, actual: was }) => `${field} is ${was}, should be ${expected.join(' or ')}`,
      ),
    })
  }
}

const withoutEntries = (answer: Answer): Answer =>
  Object.fromEntries(Object.entries(answer).filter(([field]) => !/^(entry|exit) /.test(field)))
