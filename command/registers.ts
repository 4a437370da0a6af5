/** `vgic decode` and `vgic encode`: registers and commands of an ITS in words. */
import {
  decode,
  decodeCommand,
  encode,
  encodeCommand,
  encodeSysreg,
  type Register,
  type RegisterOptions,
  type RegisterValue,
  registers,
  VgicError,
} from 'vgic'
import { nearest } from '../src/errors/did-you-mean.ts'
import { bits, integer, OK, type Request, type Subcommand, text, UsageError } from './arguments.ts'

const GENERIC = /^S([0-3])_([0-7])_C(\d{1,2})_C(\d{1,2})_([0-7])$/i
const IN_FRAME = /^(GICD|GICR|GITS)\+(\w+)$/i
/** Where frames are without an option: the Gic's defaults, and the ITS of docs/embedding.md. */
const DEFAULT_BASES = { gicd: 0x0800_0000, gits: 0x0808_0000, gicr: 0x080a_0000 } as const

function versionOf(request: Request): '3' | '4.0' | '4.1' | undefined {
  const version = text(request, 'version')
  if (version === undefined || version === '3' || version === '4.0' || version === '4.1') return version
  throw new UsageError(`--version must be 3, 4.0 or 4.1, but is ${version}.`)
}

const viewOf = (request: Request): RegisterOptions => {
  const version = versionOf(request)
  return version === '4.0' || version === '4.1' ? { version } : {}
}

/** The register that a word names: by its name, its encoding, its frame and offset, or its address. */
function registerOf(request: Request, word: string): Register {
  const generic = GENERIC.exec(word)
  if (generic) {
    const [op0, op1, crn, crm, op2] = generic.slice(1).map(Number)
    return registers.byEncoding(encodeSysreg(op0, op1, crn, crm, op2))
  }
  const inFrame = IN_FRAME.exec(word)
  if (inFrame) {
    const frame = inFrame[1].toUpperCase() as 'GICD' | 'GICR' | 'GITS'
    return registers.byOffset(frame, integer('the offset', inFrame[2]))
  }
  return /^0x|^\d/.test(word) ? atAddress(request, integer('the address', word)) : byName(word)
}

/** The library's advice for a name that is like no other is for programs. */
function byName(word: string): Register {
  try {
    return registers.byName(word)
  } catch (error) {
    if (!(error instanceof VgicError) || nearest(word, registers.names()) !== undefined) throw error
    throw new UsageError(`there is no register ${word}: names are as in Arm's manuals, such as ICH_VMCR_EL2.`)
  }
}

/** The frame that an address lies in is the one that begins last before it. */
function atAddress(request: Request, address: number): Register {
  const bases = (['gicd', 'gits', 'gicr'] as const).map((frame) => {
    const given = text(request, frame)
    return { frame, base: given === undefined ? DEFAULT_BASES[frame] : integer(`--${frame}`, given) }
  })
  const below = bases.filter(({ base }) => base <= address).sort((a, b) => b.base - a.base)[0]
  if (!below)
    throw new UsageError(`0x${address.toString(16)} is below every frame: give --gicd, --gicr or --gits.`)
  const offset = address - below.base
  const stride = (versionOf(request) ?? '3') === '3' ? 0x2_0000 : 0x4_0000
  if (below.frame === 'gicr') return registers.byOffset('GICR', offset % stride)
  return registers.byOffset(below.frame === 'gicd' ? 'GICD' : 'GITS', offset)
}

/** The value's line, and a line for each field; of fields for interrupts, which are many, those that are not zero. */
function describe(value: RegisterValue): string {
  const { register } = value
  const places = new Map(
    register.views.flatMap(({ fields }) => fields.map((each) => [each.name, each] as const)),
  )
  const told = Object.entries(value.fields).filter(([name, field]) => field !== 0 || !/^INTID\d/.test(name))
  const rows = told.map(([name, field]) => {
    const { hi = 0, lo = 0 } = places.get(name) ?? {}
    return [name, hi === lo ? `${hi}` : `${hi}:${lo}`, `0x${field.toString(16)}`] as const
  })
  return [String(value), ...table(rows)].join('\n')
}

function table(rows: readonly (readonly [string, string, string])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length))
  const placeWidth = Math.max(...rows.map(([, place]) => place.length))
  return rows.map(
    ([name, place, value]) => `  ${name.padEnd(width)}  ${place.padStart(placeWidth)}  ${value}`,
  )
}

const isCommand = (word: string): boolean => /^(command|ITS)$/i.test(word)

export const decodeSubcommand: Subcommand = {
  name: 'decode',
  summary: 'a register, or a command of an ITS, with its fields',
  help: `
vgic decode REGISTER VALUE [--version V] [--json]
vgic decode command DW0 [DW1 [DW2 [DW3]]] [--json]

REGISTER is a name (ICH_LR0_EL2, GICD_ISENABLER1), an encoding (S3_4_C12_C12_0), an offset in a frame
(GICR+0x10080), or an address.

  --version V  3, 4.0 or 4.1: GICR_VPROPBASER, GICR_VPENDBASER and the distance of redistributors differ
  --gicd A, --gicr A, --gits A
               where the frames are, for addresses: 0x8000000, 0x80a0000 and 0x8080000 without these
  --json       name, value and fields for programs
`,
  options: {
    version: { type: 'string' },
    gicd: { type: 'string' },
    gicr: { type: 'string' },
    gits: { type: 'string' },
  },
  run(request, output) {
    const [what, ...values] = request.words
    if (what === undefined || values.length === 0)
      throw new UsageError('decode needs a REGISTER and a VALUE.')
    if (isCommand(what)) {
      if (values.length > 4) throw new UsageError('a command has four doublewords.')
      const doublewords = values.map((value, n) => bits(`DW${n}`, value))
      const command = decodeCommand([...doublewords, 0n, 0n, 0n].slice(0, 4))
      output.print(request.json ? JSON.stringify(command, null, 2) : String(command))
      return OK
    }
    if (values.length > 1)
      throw new UsageError(
        `decode takes one VALUE, not also ${values[1]}; the doublewords of a command are vgic decode command DW0 ...`,
      )
    const value = decode(registerOf(request, what).name, bits('VALUE', values[0]), viewOf(request))
    output.print(request.json ? JSON.stringify(value, null, 2) : describe(value))
    return OK
  },
}

export const encodeSubcommand: Subcommand = {
  name: 'encode',
  summary: 'the value of a register, or the doublewords of a command, from fields',
  help: `
vgic encode REGISTER FIELD=VALUE... [--version V] [--json]
vgic encode COMMAND FIELD=VALUE... [--json]

REGISTER is as for vgic decode, COMMAND a command of an ITS (MAPD). Fields that are left out are zero, RES1 bits one. A field
that is a part of an address, such as ITT_addr, bits 51:8, has that part: ITT_addr=0x401000 for the address 0x40100000.

  --version V  3, 4.0 or 4.1
  --json       name, value and fields for programs
`,
  options: decodeSubcommand.options,
  run(request, output) {
    const [what, ...assignments] = request.words
    if (what === undefined) throw new UsageError('encode needs a REGISTER or a COMMAND.')
    const given = assignments.map(assignment)
    const fields = Object.fromEntries(given)
    const twice = given.find(([name], i) => given.findIndex(([other]) => other === name) < i)
    if (twice) throw new UsageError(`${twice[0]} is given twice.`)
    if (/^[A-Z]+$/i.test(what)) {
      const doublewords = encodeCommand(what, fields)
      if (request.json) output.print(JSON.stringify(decodeCommand(doublewords), null, 2))
      else output.print(doublewords.map((each) => `0x${each.toString(16)}`).join(' '))
      return OK
    }
    const { name } = registerOf(request, what)
    const options = viewOf(request)
    const value = encode(name, fields, options)
    if (request.json) output.print(JSON.stringify(decode(name, value, options), null, 2))
    else output.print(`0x${value.toString(16)}`)
    return OK
  },
}

function assignment(word: string): [string, bigint] {
  const [name, value, ...more] = word.split('=')
  if (value === undefined || more.length > 0) throw new UsageError(`${word} must be FIELD=VALUE.`)
  return [name, bits(name, value)]
}
