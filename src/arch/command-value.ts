/** Commands of an ITS in words: their four doublewords from fields and back, for people, logs and tests. */
import { argumentBits, argumentList, argumentRecord, argumentString, shown } from '../errors/arguments.ts'
import { nearest } from '../errors/did-you-mean.ts'
import { hex } from '../errors/printed.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { argumentOfField } from './field.ts'
import { type ItsCommand, itsCommands } from './its-commands.ts'

/** The four doublewords of a command. */
export type Doublewords = readonly [bigint, bigint, bigint, bigint]

/** A {@link CommandValue} as plain data, which its `toJSON` returns. */
export interface CommandValueSummary {
  /** The command's name: `MAPD`. */
  readonly name: string
  /** The four doublewords in hexadecimal. */
  readonly doublewords: readonly string[]
  /** The fields by name, the opcode left out. */
  readonly fields: Readonly<Record<string, number>>
}

/** A command's doublewords with their fields. It prints as `MAPD DeviceID=0x2a Size=4 ITT_addr=0x401000 V`. */
export class CommandValue {
  /** @internal */
  constructor(
    private readonly command: ItsCommand,
    /** The four doublewords. */
    readonly doublewords: Doublewords,
  ) {}

  /** The command's name: `MAPD`. */
  get name(): string {
    return this.command.name
  }

  /** The fields by name, as unsigned numbers; the opcode is left out. */
  get fields(): Record<string, number> {
    const { command, doublewords } = this
    return Object.fromEntries(
      command.fields.map(({ name, dw, hi, lo }) => [
        name,
        Number(BigInt.asUintN(hi - lo + 1, doublewords[dw] >> BigInt(lo))),
      ]),
    )
  }

  /** The name, the doublewords and the fields as plain data. */
  toJSON(): CommandValueSummary {
    return { name: this.name, doublewords: this.doublewords.map(hex), fields: this.fields }
  }

  /** The command and its fields that are not zero. */
  toString(): string {
    const { command, fields } = this
    const shownFields = command.fields.flatMap(({ name, hi, lo }) => {
      const value = fields[name]
      if (value === 0) return []
      return [hi === lo ? name : `${name}=${value > 9 ? hex(value) : value}`]
    })
    return [command.name, ...shownFields].join(' ')
  }

  /** The line, for Node's util.inspect. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/**
 * A command by its four doublewords, as they are in the queue. Throws an `argument` error for an opcode that no command
 * has.
 */
export function decodeCommand(doublewords: readonly (number | bigint)[]): CommandValue {
  const given = argumentList('doublewords', doublewords, 'four doublewords')
  if (given.length !== 4) {
    throw new VgicError('argument', `doublewords must be four, but there are ${given.length}.`)
  }
  const [dw0, dw1, dw2, dw3] = given.map((value, n) =>
    BigInt.asUintN(64, argumentBits(`doublewords[${n}]`, value)),
  )
  const opcode = Number(dw0 & 0xffn)
  const command = itsCommands.find((each) => each.opcode === opcode)
  if (command) return new CommandValue(command, [dw0, dw1, dw2, dw3])
  throw new VgicError('argument', `${hex(opcode)}, bits 7:0 of doublewords[0], is the opcode of no command.`)
}

/**
 * The four doublewords of a command: `encodeCommand('MAPD', { DeviceID: 42, Size: 4, V: 1 })`. Fields that are left out
 * are zero; a field that is a part of an address, such as ITT_addr, has that part: `address / 256` for bits 51:8. Throws an
 * `argument` error for an unknown command or field, and for a value that does not fit its field.
 */
export function encodeCommand(name: string, fields: Readonly<Record<string, number | bigint>>): Doublewords {
  argumentString('name', name)
  argumentRecord('fields', fields, 'a plain object of numbers by the names of fields')
  const command = itsCommands.find((each) => each.name === name)
  if (!command)
    throw unknown(
      `There is no command ${shown(name)}`,
      name,
      itsCommands.map((each) => each.name),
    )
  const doublewords = [BigInt(command.opcode), 0n, 0n, 0n]
  for (const [each, value] of Object.entries(fields)) {
    const field = command.fields.find((known) => known.name === each)
    if (!field)
      throw unknown(
        `${name} has no field ${shown(each)}`,
        each,
        command.fields.map((known) => known.name),
      )
    doublewords[field.dw] |= argumentOfField(`${name}.${each}`, field, value) << BigInt(field.lo)
  }
  const [dw0, dw1, dw2, dw3] = doublewords
  return [dw0, dw1, dw2, dw3]
}

function unknown(what: string, name: string, known: readonly string[]): VgicError {
  const meant = nearest(name, known)
  return new VgicError(
    'argument',
    meant === undefined ? `${what}; there are ${known.join(', ')}.` : `${what}: did you mean ${meant}?`,
  )
}
