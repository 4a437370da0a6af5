/**
 * A line of suite `kvm-wfi`, read and checked: the programs of the guests, what comes from elsewhere and after what,
 * and what the recorded hypervisor and guests did in order (the recordings' README, "kvm-wfi.jsonl.gz").
 */
import { isHex, isJudged, RecordingError, type Trace } from './recording.ts'
import { hex } from './registers.ts'

/** An operation of a guest's program; which fields it has depends on `k`. */
export interface GuestOp {
  readonly k: string
  readonly reg?: string
  readonly a?: string
  readonly s?: number
  readonly v?: string
  readonly c?: number
  readonly us?: number
  readonly n?: number
  readonly flag?: number
  readonly call?: string
  readonly intid?: number
  readonly level?: number
  readonly later?: boolean
  readonly nth?: number
  /** `move`: the physical CPU that the thread goes to. */
  readonly pcpu?: number
  /** Of a message. */
  readonly device?: number
  readonly event?: number
  /** The doublewords of an ITS command. */
  readonly command?: readonly string[]
}

/** Something that happens to a vCPU from outside, and after what. */
export interface Stimulus {
  /** `timer`, `vmm`, `device`, or `vcpu<n>`, whose op `op` it is. */
  readonly by: string
  readonly op?: number | string
  readonly intid?: number
  /** `blocked`, `blocked again`, `op`, or `vcpu<n> op <m>`. */
  readonly after: string
  readonly vcpu: number
  readonly at?: string | number
}

/** What one vCPU's thread and guest do. */
export interface Program {
  readonly setup: readonly GuestOp[]
  readonly guest: readonly GuestOp[]
  /** By INTID, what the handler does between acknowledge and EOI. */
  readonly handlers: ReadonlyMap<number, readonly GuestOp[]>
}

export interface Case {
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  readonly cpus: number
  /** By vCPU; one that takes no part has an empty program. */
  readonly programs: readonly Program[]
  readonly stimuli: readonly Stimulus[]
  /** The judged accesses by vCPU, as text. */
  readonly accesses: readonly (readonly string[])[]
  /** What each vCPU's guest sees, as text. */
  readonly sees: readonly (readonly string[])[]
}

/** An op by the name that `stimuli` and `guestSees` have for it: `7` in the main list, `h27.0` in a handler. */
export const handlerOp = (intid: number, i: number): string => `h${intid}.${i}`

/** Kinds of events that are markers, or what the guest does; `host` is one when it is the host's own affair. */
const UNJUDGED: ReadonlySet<string> = new Set(['op', 'takes', 'guest', 'mark', 'device-msi', 'host'])

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isOptionalNumber = (value: unknown): boolean => value === undefined || Number.isInteger(value)
const isOptionalText = (value: unknown): boolean => typeof value === 'string' || isOptionalNumber(value)

/** Reads a line; throws a {@link RecordingError} for what is no case. */
export function caseOf(file: string, trace: Trace): Case {
  const { name, config, json } = trace
  const { cpus } = config
  const reader = new CaseReader((reason) => new RecordingError(file, trace.line, reason))
  if (typeof cpus !== 'number' || !Number.isInteger(cpus) || cpus < 1 || cpus > 16)
    throw reader.refuse('config.cpus is not a number of CPUs from 1 to 16')
  const byVcpu = (key: string): unknown[] => reader.byVcpu(json[key], key, cpus)
  const [setup, guest, irq] = [byVcpu('setup'), byVcpu('guest'), byVcpu('irq')]
  return {
    name,
    config,
    cpus,
    programs: guest.map((ops, c) => ({
      setup: reader.ops(setup[c], `setup[${c}]`),
      guest: reader.ops(ops, `guest[${c}]`),
      handlers: reader.handlers(irq[c], `irq[${c}]`),
    })),
    stimuli: reader.stimuli(json['stimuli']),
    accesses: byVcpu('accesses').map((events, c) => reader.accesses(events, `accesses[${c}]`)),
    sees: byVcpu('guestSees').map((events, c) => reader.sees(events, `guestSees[${c}]`)),
  }
}

class CaseReader {
  constructor(readonly refuse: (reason: string) => Error) {}

  /** What an object has under each vCPU's number. */
  byVcpu(value: unknown, key: string, cpus: number): unknown[] {
    const lists = this.object(value, `"${key}"`)
    const stranger = Object.keys(lists).find((c) => !/^\d+$/.test(c) || Number(c) >= cpus)
    if (stranger !== undefined) throw this.refuse(`"${key}" names vCPU ${stranger} of ${cpus}`)
    return Array.from({ length: cpus }, (_, c) => lists[c])
  }

  ops(value: unknown, where: string): readonly GuestOp[] {
    return this.list(value, where).map((op, i): GuestOp => {
      if (isItsCommand(op)) return { k: 'its', command: op['v'] as string[] }
      if (isGuestOp(op)) return op
      throw this.refuse(`${where}: ${JSON.stringify(op)} at ${i} is not an op of suite kvm-wfi`)
    })
  }

  handlers(value: unknown, where: string): ReadonlyMap<number, readonly GuestOp[]> {
    const lists = Object.entries(this.object(value, where))
    return new Map(lists.map(([intid, ops]) => [Number(intid), this.ops(ops, `${where}[${intid}]`)]))
  }

  stimuli(value: unknown): readonly Stimulus[] {
    return this.list(value, 'stimuli').map((stimulus, i) => {
      if (isStimulus(stimulus)) return stimulus
      throw this.refuse(`stimuli: ${JSON.stringify(stimulus)} at ${i} is no stimulus of suite kvm-wfi`)
    })
  }

  /** The judged ones as text; the rest are known not to be judged. */
  accesses(value: unknown, where: string): readonly string[] {
    const events = this.list(value, where)
    const stranger = events.find((event) => !isJudged(event) && !UNJUDGED.has(String(event['e'])))
    if (stranger) throw this.refuse(`${where}: ${JSON.stringify(stranger)} is not understood`)
    const judged = events.filter(isJudged)
    return this.texts(judged, where, accessText)
  }

  sees(value: unknown, where: string): readonly string[] {
    return this.texts(this.list(value, where), where, seenText)
  }

  private texts(
    events: readonly Record<string, unknown>[],
    where: string,
    textOf: (event: Record<string, unknown>) => string | undefined,
  ): readonly string[] {
    return events.map((event, i) => {
      const text = textOf(event)
      if (text !== undefined) return text
      throw this.refuse(`${where}: ${JSON.stringify(event)} at ${i} is not understood`)
    })
  }

  private object(value: unknown = {}, where = ''): Record<string, unknown> {
    if (isObject(value)) return value
    throw this.refuse(`${where} is not an object`)
  }

  private list(value: unknown = [], where = ''): readonly Record<string, unknown>[] {
    if (Array.isArray(value) && value.every(isObject)) return value
    throw this.refuse(`${where} is not a list of objects`)
  }
}

/** An access as text, the same for what was recorded and what the model does. */
export const said = {
  entry: 'entry',
  exit: (why: string): string => `exit ${why}`,
  /** Of a system register, or of a register of redistributor `rd`. */
  access: (e: 'r' | 'w', reg: string, v: string, rd?: number): string =>
    `${e} ${reg}${rd === undefined ? '' : ` of redistributor ${rd}`} ${v}`,
  /** To the physical ITS, with all its fields. */
  command: (name: string, fields: Readonly<Record<string, unknown>>): string => {
    const names = Object.keys(fields).filter((field) => field !== 'e' && field !== 'cmd')
    return ['its', name, ...names.sort().map((field) => `${field}=${JSON.stringify(fields[field])}`)].join(
      ' ',
    )
  },
  /** What the host does with an interrupt of its own, which is not judged. */
  own: "host's own",
  /** `intid` is `doorbell` of any LPI. */
  host: (reg: string, intid: number | string): string => `host ${reg} ${intid}`,
  takes: (intid: number): string => `takes ${intid}`,
  value: (op: string, v: bigint): string => `op ${op} reads 0x${v.toString(16)}`,
}

function accessText(event: Record<string, unknown>): string | undefined {
  const { e, why, reg, v, rd, intid } = event
  switch (e) {
    case 'entry':
      return said.entry
    case 'exit':
      return typeof why === 'string' ? said.exit(why) : undefined
    case 'host':
      return typeof reg === 'string' ? `host ${reg} ${String(intid)}` : undefined
    case 'its':
      return typeof event['cmd'] === 'string' ? said.command(event['cmd'], event) : undefined
    default:
      if (typeof reg !== 'string' || !isOptionalNumber(rd) || v === undefined) return undefined
      return said.access(e as 'r' | 'w', reg, valueText(v), rd as number | undefined)
  }
}

/** GICv4's tables have a symbol in the place of a value, GICR_VPENDBASER its fields. */
const valueText = (v: unknown): string => (isHex(v) ? hex(BigInt(v)) : JSON.stringify(v))

function seenText({ takes, op, v }: Record<string, unknown>): string | undefined {
  if (Number.isInteger(takes)) return said.takes(Number(takes))
  return isHex(v) && op !== undefined ? said.value(String(op), BigInt(v)) : undefined
}

/** For each kind of op, the fields that it must have. */
const FIELDS: Readonly<Record<string, readonly (keyof GuestOp)[]>> = {
  w: ['a', 's', 'v'],
  r: ['a', 's'],
  sw: ['reg', 'v'],
  sr: ['reg'],
  ack: [],
  eoi: [],
  dir: [],
  wfi: [],
  mask: [],
  unmask: [],
  delay: ['us'],
  signal: ['flag'],
  await: ['flag'],
  untilirqs: ['n'],
  untilisr: [],
  timer: ['intid', 'us'],
  host: ['call'],
  cpuon: ['c'],
}
const NUMBERS: ReadonlySet<string> = new Set([
  'us',
  'flag',
  'n',
  'intid',
  'c',
  'level',
  'nth',
  'device',
  'event',
  'pcpu',
])

/** Of an ITS command there is more than its four doublewords, for people. */
const isItsCommand = ({ k, v }: Record<string, unknown>): boolean =>
  k === 'its' && Array.isArray(v) && v.length === 4 && v.every(isHex)

function isGuestOp(op: Record<string, unknown>): op is Record<string, unknown> & GuestOp {
  if (typeof op['k'] !== 'string') return false
  const fields = Object.hasOwn(FIELDS, op['k']) ? FIELDS[op['k']] : undefined
  if (!fields) return false
  const isRight = (key: string, value: unknown): boolean => {
    if (key === 's') return [1, 2, 4, 8].includes(Number(value))
    if (NUMBERS.has(key)) return Number.isInteger(value)
    return key === 'a' || key === 'v' ? isHex(value) : true
  }
  return (
    fields.every((key) => op[key] !== undefined) &&
    Object.entries(op).every(([key, value]) => isRight(key, value))
  )
}

function isStimulus(value: Record<string, unknown>): value is Record<string, unknown> & Stimulus {
  const { by, after, vcpu, op, intid, at } = value
  return (
    typeof by === 'string' &&
    typeof after === 'string' &&
    Number.isInteger(vcpu) &&
    isOptionalText(op) &&
    isOptionalNumber(intid) &&
    isOptionalText(at)
  )
}
