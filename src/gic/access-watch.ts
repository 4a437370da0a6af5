/** Tells a host of accesses, and of what is wrong with them. */
import { joined } from '../arch/doubleword.ts'
import { sysregName } from '../arch/register-value.ts'
import { counted, hex } from '../errors/printed.ts'
import type { AccessListener, GuestAccessError, MmioAccessEvent } from './config/access-events.ts'
import type { Mmio } from './mmio.ts'

type Direction = MmioAccessEvent['access']

/** Who watches, if the host does: null costs an access one comparison. */
export const accessWatch = (mmio: Mmio, host: AccessListener): AccessWatch | null =>
  host.onAccess || host.onGuestError ? new AccessWatch(mmio, host) : null

export class AccessWatch {
  constructor(
    private readonly mmio: Mmio,
    private readonly host: AccessListener,
  ) {}

  /** An access to an address is complete. Those to no frame of the GIC are none of its. */
  mmioAccess(access: Direction, address: number, size: number, low: number, high: number): void {
    const { mmio, host } = this
    if (!mmio.claims(address)) return
    // A size that no register allows may be any number.
    const bits = size >= 1 ? Math.min(64, 8 * size) : 64
    const value = BigInt.asUintN(bits, joined(low, size === 8 ? high : 0))
    const event = { access, address, size, value, name: mmio.nameOf(address) }
    host.onAccess?.({ kind: 'mmio', ...event })
    const error = mmio.errorOf(address, size, access === 'write')
    if (error) host.onGuestError?.({ kind: 'access', ...event, error, what: sentence(error, event) })
  }

  /** An access to a system register is complete. */
  sysregAccess(access: Direction, cpu: number, encoding: number, value: bigint, trap: number): void {
    const { host } = this
    if (!host.onAccess) return
    const name = sysregName(encoding >>> 0)
    host.onAccess({ kind: 'sysreg', access, cpu, encoding, name, value: BigInt.asUintN(64, value), trap })
  }
}

/** `write of 4 bytes to GICD_ITARGETSR8 (0x8000820): a register of GICv2 ...`. */
function sentence(
  error: GuestAccessError,
  { access, size, name, address }: Omit<MmioAccessEvent, 'kind'>,
): string {
  const where = name === undefined ? hex(address) : `${name} (${hex(address)})`
  return `${access} of ${counted(size, 'byte')} at ${where}: ${sentences[error]}`
}

const sentences: Readonly<Record<GuestAccessError, string>> = {
  'no-register': 'no register is there. It reads as zero, and writes are ignored.',
  size: 'the register does not allow accesses of this size. It reads as zero, and writes are ignored.',
  unaligned: 'the address is no multiple of the size. It reads as zero, and writes are ignored.',
  'read-only': 'the register is read-only. The write is ignored.',
  gicv2: 'a register of GICv2, which does nothing under affinity routing (GICD_CTLR.ARE is 1).',
}
