/**
 * Golden vectors: what a GIC was told and what it answered, in the format of the recordings that this library is judged by
 * (`vgic conformance`): JSON lines, one program each, `ops` beside `results`. A testbench drives RTL, or another model, by
 * the same operations and compares the answers; `verify` does so with this model.
 */
import { iccRegisters } from '../arch/icc-registers.ts'
import { ichRegisters } from '../arch/ich-registers.ts'
import type { Encoding } from '../arch/sysreg.ts'
import {
  argumentBits,
  argumentInteger,
  argumentLevel,
  argumentOneOf,
  argumentString,
  argumentWith,
  isPlainObject,
  shown,
} from '../errors/arguments.ts'
import { hex } from '../errors/printed.ts'
import { VgicError } from '../errors/vgic-error.ts'
import type { GicConfig } from '../gic/config/config.ts'
import { Gic } from '../gic/gic.ts'

/** An operation, with the names that recordings have; addresses and values are hexadecimal. */
export interface VectorOp {
  /** Read or write of memory (`r`, `w`) or of a system register (`sr`, `sw`); the level of a line. */
  readonly k: 'r' | 'w' | 'sr' | 'sw' | 'line'
  /** The CPU; of an SPI's line 0. */
  readonly c: number
  /** The address. */
  readonly a?: string
  /** The size of an access to memory in bytes. */
  readonly s?: number
  /** The system register: `PMR` for ICC_PMR_EL1, `ICH_VMCR` for ICH_VMCR_EL2. */
  readonly reg?: string
  /** The exception level of a register access; left out for EL1. */
  readonly el?: number
  /** What is written. */
  readonly v?: string
  /** Of a line. */
  readonly intid?: number
  /** Of a line. */
  readonly level?: 0 | 1
}

/** What was answered to an operation: to a read `v`; to an access that trapped, or is UNDEFINED, its syndrome. */
export interface VectorResult {
  /** The value. */
  readonly v?: string
  /** The syndrome of a trap; that of a write has register X2 in it, as the recorded programs had. */
  readonly trap?: string
  /** The syndrome of an access that is UNDEFINED. */
  readonly fault?: string
}

/** An operation whose answer differs. */
export interface VectorDifference {
  /** The line of the file, from 1. */
  readonly line: number
  /** The operation's place in `ops`, from 0. */
  readonly op: number
  /** The operation: `cpu 0 r GICD_CTLR`. */
  readonly what: string
  /** What the vectors have. */
  readonly expected: VectorResult
  /** What this model answers. */
  readonly actual: VectorResult
}

interface Vector {
  readonly suite: string
  readonly config: { readonly gic: GicConfig }
  readonly ops: readonly VectorOp[]
  readonly results: readonly VectorResult[]
}

const encodings = new Map<string, Encoding>([
  ...iccRegisters.map(({ name, encoding }) => [name.replace(/^ICC_|_EL1$/g, ''), encoding] as const),
  ...ichRegisters.map(({ name, encoding }) => [name.replace(/_EL2$/, ''), encoding] as const),
])
const names = new Map([...encodings].map(([name, encoding]) => [encoding, name]))

/** A GIC that writes down what it is told and what it answers. It is driven by this object's methods. */
export class Recorder {
  private readonly ops: VectorOp[] = []
  private readonly results: VectorResult[] = []

  /** @internal */
  constructor(
    /** The GIC. What is done to it directly is not recorded. */
    readonly gic: Gic,
  ) {}

  /** A read of 1, 2 or 4 bytes, or of 8; see `Gic.readMmio`. */
  readMmio(address: number, size: 1 | 2 | 4 | 8, cpu = 0): bigint {
    return this.does({ k: 'r', c: this.checkedCpu(cpu), ...place(address, size) })
  }

  /** A write; see `Gic.writeMmio`. */
  writeMmio(address: number, size: 1 | 2 | 4 | 8, value: number | bigint, cpu = 0): void {
    this.does({ k: 'w', c: this.checkedCpu(cpu), ...place(address, size), v: bits(value, 8 * size) })
  }

  /** An MRS of a GIC register at an exception level; see `Gic.readSysreg64`. */
  readSysreg(cpu: number, encoding: Encoding, el: 0 | 1 | 2 = 1): bigint {
    return this.does({ k: 'sr', c: this.checkedCpu(cpu), ...register(encoding, el) })
  }

  /** An MSR; see `Gic.writeSysreg64`. */
  writeSysreg(cpu: number, encoding: Encoding, value: number | bigint, el: 0 | 1 | 2 = 1): void {
    this.does({ k: 'sw', c: this.checkedCpu(cpu), ...register(encoding, el), v: bits(value, 64) })
  }

  /** The level of an SPI's input. */
  setSpi(intid: number, level: 0 | 1): void {
    this.does({
      k: 'line',
      c: 0,
      intid: argumentInteger('intid', intid, 32, 1019),
      level: argumentLevel('level', level) ? 1 : 0,
    })
  }

  /** The level of a PPI's input. */
  setPpi(cpu: number, intid: number, level: 0 | 1): void {
    this.does({
      k: 'line',
      c: this.checkedCpu(cpu),
      intid: argumentInteger('intid', intid, 16, 31),
      level: argumentLevel('level', level) ? 1 : 0,
    })
  }

  /** What was recorded, as a line of a file: JSON, with the newline. */
  jsonl(): string {
    const { config } = this.gic
    const vector = {
      suite: 'phys',
      seed: null,
      config: {
        directed: 'recorded',
        cpus: config.cpus,
        priority_bits: config.priorityBits,
        preemption_bits: config.preemptionBits,
        trusted: this.ops.length,
        gic: config,
      },
      ops: this.ops,
      results: this.results,
    }
    return `${JSON.stringify(vector)}\n`
  }

  private checkedCpu(cpu: number): number {
    return argumentInteger('cpu', cpu, 0, this.gic.config.cpus - 1)
  }

  private does(op: VectorOp): bigint {
    const result = perform(this.gic, op)
    this.ops.push(op)
    this.results.push(result)
    return BigInt(result.v ?? 0)
  }
}

const bits = (value: number | bigint, width: number): string =>
  hex(BigInt.asUintN(width, argumentBits('value', value)))

const place = (address: number, size: 1 | 2 | 4 | 8) => ({
  a: hex(argumentInteger('address', address, 0, Number.MAX_SAFE_INTEGER)),
  s: argumentOneOf('size', size, [1, 2, 4, 8]),
})

const register = (encoding: Encoding, el: 0 | 1 | 2) => ({
  reg: nameOf(encoding),
  ...(argumentOneOf('el', el, [0, 1, 2]) !== 1 && { el }),
})

/**
 * Records what a GIC answers, from the state in which it was made on: give it a new one. Throws an `argument` error for one that
 * was used, whose answers nobody could repeat. Memory is not recorded: what a GIC reads from tables, for LPIs and ITSs, is not in
 * vectors.
 */
export function record(gic: Gic): Recorder {
  argumentWith('gic', gic, 'readMmio64', 'a new Gic')
  if (gic.hash() !== new Gic(gic.config).hash())
    throw new VgicError(
      'argument',
      'gic must be a new Gic, as vectors begin with a reset, but was used: make one.',
    )
  return new Recorder(gic)
}

/**
 * Does the operations of vectors that {@link record} has written, or that RTL has in the same format, on this model, each
 * line on a new GIC of its `config.gic`; returns the operations whose answers differ. Throws an `argument` error for what is
 * no such file, or an empty one.
 */
export function verify(jsonl: string): VectorDifference[] {
  const lines = argumentString('jsonl', jsonl).split('\n')
  if (jsonl.trim() === '')
    throw new VgicError('argument', 'jsonl is empty: pass what jsonl() has returned, or lines like it.')
  return lines.flatMap((text, i) => (text.trim() === '' ? [] : verifyLine(vectorOf(text, i + 1), i + 1)))
}

function verifyLine({ config, ops, results }: Vector, line: number): VectorDifference[] {
  const gic = new Gic(config.gic)
  return ops.flatMap((op, i): VectorDifference[] => {
    const [actual, expected] = [answerTo(gic, op, line, i), results[i]]
    if (isSame(actual, expected)) return []
    return [{ line, op: i, what: describe(gic, op), expected, actual }]
  })
}

/** An operation that cannot be done is the file's fault. */
function answerTo(gic: Gic, op: VectorOp, line: number, i: number): VectorResult {
  try {
    return perform(gic, op)
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error)
    throw new VgicError('argument', `Line ${line}, op ${i} cannot be done: ${said}`)
  }
}

const isSame = (one: VectorResult, other: VectorResult): boolean =>
  isSameValue(one.v, other.v) && isSameValue(one.trap, other.trap) && isSameValue(one.fault, other.fault)

/** Values are numbers however they are written: RTL pads with zeros, and has x and z for bits that nothing drives. */
const isSameValue = (one: string | undefined, other: string | undefined): boolean =>
  one === other || (isHex(one) && isHex(other) && BigInt(one) === BigInt(other))

const isHex = (value: string | undefined): value is string =>
  typeof value === 'string' && /^0x[0-9a-f]+$/i.test(value)

function vectorOf(text: string, line: number): Vector {
  const refuse = (why: string): never => {
    throw new VgicError('argument', `Line ${line} is no vector of operations: ${why}.`)
  }
  let vector: Vector
  try {
    vector = JSON.parse(text) as Vector
  } catch {
    return refuse('it is no JSON')
  }
  if (typeof vector !== 'object' || vector === null) return refuse('it is no object')
  if (typeof vector.config?.gic !== 'object')
    return refuse('config.gic is missing, the configuration of a Gic')
  if (!Array.isArray(vector.ops) || !Array.isArray(vector.results)) return refuse('ops or results is missing')
  if (vector.ops.length !== vector.results.length) return refuse('there is not one result for each op')
  if (![...vector.ops, ...vector.results].every(isPlainObject))
    return refuse('ops or results has something that is no object')
  return vector
}

/** Rt of the programs that the recordings are of: they write system registers from X2. */
const WRITE_RT = 2 << 5

function trapOf({ lastTrap, lastWasUndefined }: Gic, rt: number): VectorResult | undefined {
  if (lastTrap === 0) return undefined
  return lastWasUndefined ? { fault: hex(lastTrap) } : { trap: hex(lastTrap | rt) }
}

function perform(gic: Gic, op: VectorOp): VectorResult {
  const { k, c, a, s = 4, reg, el = 1, v = '0x0', intid = 0, level = 0 } = op
  const address = (): number => Number(bitsOf('a', a))
  switch (k) {
    case 'r':
      return { v: hex(s === 8 ? gic.readMmio64(address()) : gic.readMmio(address(), s) >>> 0) }
    case 'w':
      if (s === 8) gic.writeMmio64(address(), bitsOf('v', v))
      else gic.writeMmio(address(), s, Number(bitsOf('v', v)))
      return {}
    case 'line':
      if (intid < 32) gic.setPpi(c, intid, level)
      else gic.setSpi(intid, level)
      return {}
    case 'sr': {
      const value = gic.readSysreg64(c, encodingOf(reg), el)
      return trapOf(gic, 0) ?? { v: hex(value) }
    }
    case 'sw':
      gic.writeSysreg64(c, encodingOf(reg), bitsOf('v', v), el)
      return trapOf(gic, WRITE_RT) ?? {}
    default:
      throw new VgicError('argument', `${shown(k)} is no operation: r, w, sr, sw or line.`)
  }
}

/** An address, or a value, of an operation. */
function bitsOf(name: 'a' | 'v', text: string | undefined): bigint {
  if (isHex(text)) return BigInt(text)
  throw new VgicError('argument', `${name} must be hexadecimal, such as "0x8000000", but is ${shown(text)}.`)
}

function encodingOf(reg: string | undefined): Encoding {
  const encoding = encodings.get(reg ?? '')
  if (encoding !== undefined) return encoding
  throw new VgicError('argument', `There is no register ${shown(reg)}: PMR is ICC_PMR_EL1.`)
}

function nameOf(encoding: Encoding): string {
  const name = names.get(encoding)
  if (name !== undefined) return name
  throw new VgicError('argument', `${shown(encoding)} is no encoding of an ICC_ or ICH_ register.`)
}

function describe(gic: Gic, { k, c, a, reg, intid, v }: VectorOp): string {
  const what = reg ?? (a === undefined ? `${intid}` : (gic.registerAt(Number(a)) ?? a))
  return `cpu ${c} ${k} ${what}${v === undefined ? '' : ` := ${v}`}`
}
