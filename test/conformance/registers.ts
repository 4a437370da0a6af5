/** Registers by the names that the recordings use, and values for people. */
import { describeRegister as describeFields, describeListRegister, iccRegisters, ichRegisters } from 'vgic'

/** `ICC_x_EL1` is x, `ICH_x_EL2` is ICH_x. */
export const registers = new Map([
  ...iccRegisters
    .filter(({ name }) => name.endsWith('_EL1'))
    .map((register) => [register.name.replace(/^ICC_|_EL1$/g, ''), register] as const),
  ...ichRegisters.map((register) => [register.name.replace(/_EL2$/, ''), register] as const),
])

export function encodingOf(name: string): number {
  const register = registers.get(name)
  if (!register) throw new Error(`no register ${name}`)
  return register.encoding
}

export const hex = (value: number | bigint): string => `0x${value.toString(16)}`

/** A value with the fields of the register that it is of. */
export function meaning(name: string, value: string): string {
  const register = registers.get(name)
  if (!register || value === '-') return value
  const [low, high] = [Number(BigInt(value) & 0xffffffffn), Number(BigInt(value) >> 32n)]
  const words = name.startsWith('ICH_LR')
    ? describeListRegister(low, high | 0)
    : describeFields(register.views[0], low, high)
  return `${value} (${words})`
}
