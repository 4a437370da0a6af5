/** The hypervisor's accesses to the silicon, as events tell of them. */
import { joined } from '../arch/doubleword.ts'
import { describeRegister } from '../arch/field.ts'
import { GICR_VPENDBASER_V4_0_VIEW, GICR_VPENDBASER_V4_1_VIEW } from '../arch/gicr-registers.ts'
import { type CommandField, itsCommands } from '../arch/its-commands.ts'
import { registerByEncoding } from '../arch/register-value.ts'
import type { AccessKind } from '../hyp/host/seam.ts'
import type { Machine } from './machine.ts'
import { type Access, SeamAccess } from './step-events.ts'

/** What a listener of the seam is told, as an access. */
export function accessOf(
  machine: Machine,
  kind: AccessKind,
  isRead: boolean,
  register: number,
  low: number,
  high: number,
): Access {
  const { version } = machine.hypervisor.config
  const direction = isRead ? 'read' : 'write'
  if (kind === 'sysreg') {
    const { name } = registerByEncoding(register)
    return new SeamAccess({ direction, kind, register, name, low, high, version })
  }
  const { name, ...more } = named(machine, kind, register, low, high)
  return new SeamAccess({ direction, kind, register, name, low, high, version, ...more })
}

/**
 * Whether {@link accessOf} would make an equal access. Of a command that is not known: its fields are in words that have
 * changed since.
 */
export const isSameAccess = (
  access: Access,
  kind: AccessKind,
  isRead: boolean,
  register: number,
  low: number,
  high: number,
): boolean =>
  kind !== 'its' &&
  access.kind === kind &&
  access.register === register &&
  access.low === low &&
  access.high === high &&
  (access.direction === 'read') === isRead

/** The name of a register of a frame, or of a command, with its fields. */
function named(
  { hypervisor }: Machine,
  kind: AccessKind,
  register: number,
  low: number,
  high: number,
): { readonly name: string; readonly text?: string; readonly command?: Record<string, number> } {
  if (kind === 'mmio') {
    const name = hypervisor.silicon.mmio.nameOf(register) ?? ''
    if (name !== 'GICR_VPENDBASER') return { name }
    const isV41 = hypervisor.config.version === '4.1'
    const view = isV41 ? GICR_VPENDBASER_V4_1_VIEW : GICR_VPENDBASER_V4_0_VIEW
    return { name, text: describeRegister(view, low, high) }
  }
  if (kind === 'table') return { name: 'LPI configuration' }
  const command = itsCommands.find(({ opcode }) => opcode === register)
  const { words, config } = hypervisor
  const fields = (command?.fields ?? []).filter(
    ({ since }) => since === undefined || since === config.version,
  )
  return {
    name: command?.name ?? '',
    command: Object.fromEntries(fields.map((field) => [field.name, commandField(words, low, field)])),
  }
}

function commandField(words: Int32Array, at: number, { dw, hi, lo }: CommandField): number {
  const value = joined(words[at + 2 * dw], words[at + 2 * dw + 1])
  return Number((value >> BigInt(lo)) & ((1n << BigInt(hi - lo + 1)) - 1n))
}
