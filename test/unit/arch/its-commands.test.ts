/**
 * The declarations of ITS commands against `its-commands.json`, an inventory of the same commands that was collected from
 * other sources and cross-checked between them.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import * as commands from '../../../src/arch/its-commands.ts'
import { type CommandField, commandError, itsCommands } from '../../../src/arch/its-commands.ts'

interface Row {
  readonly n: string
  readonly op: string
  readonly feat: string
  readonly f: readonly (readonly [name: string, dw: number, hi: number, lo: number, since?: string])[]
}

const inventory = JSON.parse(
  readFileSync(new URL('../../fixtures/its-commands.json', import.meta.url), 'utf8'),
) as {
  readonly commands: readonly Row[]
  readonly errors: {
    readonly codes: Readonly<Record<string, string>>
    readonly byte0_M: Readonly<Record<string, string>>
  }
}

/** By opcode, as the declarations are. */
const rows = [...inventory.commands].sort((a, b) => Number(a.op) - Number(b.op))

describe('ITS commands', () => {
  it.each(rows)('$n has the opcode and fields of the inventory', ({ n, op, feat, f }) => {
    const command = itsCommands.find(({ name }) => name === n)
    expect(command).toEqual({
      name: n,
      opcode: Number(op),
      since: feat.replace(/^v/, ''),
      fields: f.map(([name, dw, hi, lo, since]) => ({
        name,
        dw,
        hi,
        lo,
        ...(since && { since: since.replace(/^v/, '') }),
      })),
    })
    expect(Reflect.get(commands, `ITS_${n}`)).toBe(Number(op))
  })

  it('are all of the inventory, and no others', () => {
    expect(itsCommands.map(({ name }) => name)).toEqual(rows.map(({ n }) => n))
  })

  it('are executed as eight words, with the fields where they are declared', () => {
    const at = (name: string): CommandField[] =>
      itsCommands.flatMap(({ fields }) => fields.filter((field) => field.name === name))
    /** The word of a field, and its lowest bit in it. */
    const places = (name: string) =>
      new Set(at(name).map(({ dw, lo }) => [2 * dw + (lo >> 5), lo % 32].join()))
    expect(places('DeviceID')).toEqual(new Set([`${commands.COMMAND_DEVICE_ID},0`]))
    expect(places('EventID')).toEqual(new Set([`${commands.COMMAND_EVENT_ID},0`]))
    expect(places('pINTID')).toEqual(new Set([`${commands.COMMAND_PINTID},0`]))
    expect(places('Size')).toEqual(new Set([`${commands.COMMAND_EVENT_ID},0`]))
    expect(places('ICID')).toEqual(new Set([`${commands.COMMAND_ADDRESS},0`]))
    expect(places('ITT_addr')).toEqual(new Set([`${commands.COMMAND_ADDRESS},8`]))
    expect(places('RDbase')).toEqual(new Set([`${commands.COMMAND_ADDRESS},16`]))
    expect(places('RDbase1')).toEqual(new Set([`${commands.COMMAND_ADDRESS},16`]))
    expect(places('RDbase2')).toEqual(new Set([`${commands.COMMAND_ADDRESS_2},16`]))
    expect(places('vINTID')).toEqual(
      // Of VSGI it is in doubleword 0.
      new Set(['1,0', `${commands.COMMAND_VINTID},0`]),
    )
    expect(places('Dbell_pINTID')).toEqual(new Set([`${commands.COMMAND_DBELL},0`]))
    expect(places('vPEID')).toEqual(new Set(['3,0']))
    expect(places('VPT_addr')).toEqual(new Set([`${commands.COMMAND_VMAPP_VPT},16`]))
    expect(places('VPT_size')).toEqual(new Set([`${commands.COMMAND_VMAPP_VPT},0`]))
    expect(places('Sequence_Number')).toEqual(new Set([`${commands.COMMAND_DEVICE_ID},0`]))
    expect(places('Default_Doorbell_pINTID')).toEqual(
      new Set([`${commands.COMMAND_VMAPP_DOORBELL},0`, `${commands.COMMAND_VMOVP_DOORBELL},0`]),
    )
    expect(places('V')).toEqual(new Set([`${commands.COMMAND_ADDRESS + 1},31`]))
    expect(
      [commands.COMMAND_opcode, commands.COMMAND_Size, commands.COMMAND_ICID].map((read) => read(-1)),
    ).toEqual([0xff, 0x1f, 0xffff])
    expect(commands.COMMAND_HIGH_V >>> 0).toBe(0x8000_0000)
  })
})

describe('command errors', () => {
  it.each(Object.entries(inventory.errors.codes))('%s is %s', (name, code) => {
    const command = itsCommands.find((each) => name.startsWith(`${each.name}_`))
    const error = name.slice((command?.name.length ?? 0) + 1)
    expect(commandError(command?.opcode ?? 0, Number(Reflect.get(commands, error)))).toEqual({
      name,
      code: Number(code),
    })
  })

  it('have the bytes of the inventory', () => {
    const known = Object.entries(inventory.errors.byte0_M).filter(([name]) => name in commands)
    expect(known.map(([name]) => [name, Number(Reflect.get(commands, name)) & 0xff])).toEqual(
      known.map(([name, byte]) => [name, Number(byte)]),
    )
    expect(known).toHaveLength(16)
  })

  it('of a command that the ITS does not have say that it is invalid', () => {
    expect(commandError(commands.ITS_VMAPP, commands.INVALID_COMMAND)).toEqual({
      name: 'VMAPP_INVALID_COMMAND',
      code: 0x01_2901,
    })
  })

  it('of an opcode that there is not name the opcode', () => {
    expect(commandError(0x30, commands.INVALID_COMMAND)).toEqual({
      name: '0x30_INVALID_COMMAND',
      code: 0x01_3001,
    })
  })
})
