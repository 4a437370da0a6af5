/**
 * ITS_SAVE_TABLES and SAVE_PENDING_TABLES of KVM's device attributes: what the ITSs of a VM have mapped goes into the
 * guest's tables, and which LPIs are pending into its pending tables. Only tables are written whose GITS_BASER is valid
 * now, where it points to now: a guest that has given its tables up may use their memory for something else. For a
 * disabled ITS see its-mappings.ts.
 *
 * An event whose collection a MAPC with V = 0 has taken away has no place in the format, and is left out.
 */
import type { Intid } from '../../arch/intid.ts'
import { hex } from '../../errors/printed.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import type { Hypervisor } from '../hypervisor.ts'
import {
  COLLECTION_ID,
  DEVICE_BITS,
  DEVICE_EVENTS,
  DEVICE_ID,
  DEVICE_ITT,
  EVENT_NEXT,
} from '../records/lpi-record.ts'
import { IRQ_LATCH, type Irq, irqTarget, TARGET_NONE } from '../records/vgic-irq.ts'
import { COLLECTION_TABLE, DEVICE_TABLE, type VgicIts } from '../vgic/vgic-its.ts'
import {
  collectionEntry,
  deviceEntry,
  eventEntry,
  readEntry,
  type Words,
  writeEntry,
} from './its-table-entries.ts'
import { hasTable, pendingAddress, pendingTablesInUse } from './saved-its.ts'
import { checkStopped } from './userspace-registers.ts'

const NOT_VALID: Words = [0, 0]

/**
 * Saves the tables of ITS `n`. Throws EINVAL for what does not fit into them, since the guest has made them smaller or
 * has two events in one entry, and EFAULT where there is no memory. A device without an entry is left out, as in Linux 7.2
 * (cc5d96036e01), and EINVAL in Linux 6.1.
 */
export function saveItsTables(hypervisor: Hypervisor, n: number): void {
  checkStopped(hypervisor)
  const { its } = hypervisor.mmio.dist
  if (hasTable(its, n, DEVICE_TABLE)) new DeviceTableSave(its, n).save()
  if (hasTable(its, n, COLLECTION_TABLE)) saveCollections(its, n)
}

class DeviceTableSave {
  /** The addresses of the events' entries, with their devices: ITTs may overlap. */
  private readonly written = new Map<number, number>()

  constructor(
    private readonly its: VgicIts,
    private readonly n: number,
  ) {}

  save(): void {
    const { its, n } = this
    const { words, devices } = its
    const idOf = (slot: number): number => words[devices.recordOf(slot) + DEVICE_ID]
    const inOrder = slotsOf(its, n, DEVICE_TABLE).filter((slot) => this.hasEntry(idOf(slot)))
    for (const [i, slot] of inOrder.entries()) {
      const id = idOf(slot)
      const address = its.entryAddress(n, DEVICE_TABLE, id)
      this.saveItt(slot, id)
      const device = devices.recordOf(slot)
      const entry = deviceEntry({
        next: i + 1 < inOrder.length ? idOf(inOrder[i + 1]) - id : 0,
        bits: words[device + DEVICE_BITS],
        ittLow: words[device + DEVICE_ITT],
        ittHigh: words[device + DEVICE_ITT + 1],
      })
      writeEntry(its.memory, address, entry, `the entry of device ${id}`)
    }
  }

  private hasEntry(id: number): boolean {
    const { its, n } = this
    if (its.hasEntry(n, DEVICE_TABLE, id)) return true
    if (its.isLinux61) throw cannotBeSaved(`Device ${id} has no entry in the table of GITS_BASER0`)
    return false
  }

  private saveItt(device: number, deviceId: number): void {
    const { its } = this
    const all = eventsOf(its, device)
    const saved = all.filter((slot) => its.collectionOf(slot) !== 0)
    const what = `the ITT of device ${deviceId}`
    for (const slot of all.filter((one) => its.collectionOf(one) === 0))
      writeEntry(its.memory, its.ittEntryAddress(device, its.eventIdOf(slot)), NOT_VALID, what)
    for (const [i, slot] of saved.entries()) {
      const id = its.eventIdOf(slot)
      const address = its.ittEntryAddress(device, id)
      const other = this.written.get(address)
      if (other !== undefined) {
        throw cannotBeSaved(
          `Devices ${other} and ${deviceId} have events in one ITT entry, at ${hex(address)}`,
        )
      }
      this.written.set(address, deviceId)
      const entry = eventEntry({
        next: i + 1 < saved.length ? its.eventIdOf(saved[i + 1]) - id : 0,
        intid: its.lpis.intidOf(its.lpiOf(slot)),
        icid: its.words[its.collections.recordOf(its.collectionOf(slot)) + COLLECTION_ID],
      })
      writeEntry(its.memory, address, entry, what)
    }
  }
}

/** The events of a device, by EventID. */
export function eventsOf(its: VgicIts, device: number): number[] {
  const slots: number[] = []
  let slot = its.words[its.devices.recordOf(device) + DEVICE_EVENTS]
  for (; slot !== 0; slot = its.words[its.events.recordOf(slot) + EVENT_NEXT]) slots.push(slot)
  return slots.sort((a, b) => its.eventIdOf(a) - its.eventIdOf(b))
}

/** The devices or collections of ITS `n`: their slots, by DeviceID or ICID. */
export function slotsOf(its: VgicIts, n: number, table: number): number[] {
  const pool = table === DEVICE_TABLE ? its.devices : its.collections
  const { count, key0, key1 } = pool.layout
  const keyOf = (slot: number, key: number): number => its.words[pool.recordOf(slot) + key]
  return Array.from({ length: count }, (_, i) => i + 1)
    .filter((slot) => keyOf(slot, key0) === n + 1)
    .sort((a, b) => keyOf(a, key1) - keyOf(b, key1))
}

/** Collections follow each other in the table, whatever their ICIDs; an entry that is not valid ends them. */
function saveCollections(its: VgicIts, n: number): void {
  const slots = slotsOf(its, n, COLLECTION_TABLE)
  for (const [i, slot] of slots.entries()) {
    const target = its.targetOf(slot)
    const entry = collectionEntry({
      target: target === TARGET_NONE ? undefined : target,
      icid: its.words[its.collections.recordOf(slot) + COLLECTION_ID],
    })
    write(i, entry)
  }
  if (its.hasEntry(n, COLLECTION_TABLE, slots.length)) write(slots.length, NOT_VALID)

  function write(i: number, entry: Words): void {
    const address = its.entryAddress(n, COLLECTION_TABLE, i)
    if (address < 0)
      throw cannotBeSaved(`The table of GITS_BASER1 has no room for ${slots.length} collections`)
    writeEntry(its.memory, address, entry, 'its collection table')
  }
}

export const cannotBeSaved = (why: string): VgicError =>
  new VgicError('EINVAL', `${why}: this guest's ITS cannot be saved.`)

/**
 * Saves which LPIs are pending: for each that goes to a vCPU its bit in that vCPU's pending table, if that is in use.
 * Other bits stay as they are. Throws EFAULT where there is no memory.
 */
export function savePendingTables(hypervisor: Hypervisor): void {
  checkStopped(hypervisor)
  checkForwarded(hypervisor)
  const inUse = pendingTablesInUse(hypervisor)
  forEachLpi(hypervisor, (irq, target, isPending) => {
    if (inUse[target]) savePending(hypervisor.mmio.dist.its, irq, isPending)
  })
}

/**
 * As `savePendingTables`, but a doubleword of a pending table that was read is kept for the next LPI by its offset, although
 * that LPI may go to another vCPU, whose table it is not (catalogue 45).
 */
export function savePendingTablesByOffset(hypervisor: Hypervisor): void {
  checkStopped(hypervisor)
  const inUse = pendingTablesInUse(hypervisor)
  const { its } = hypervisor.mmio.dist
  const kept = new Map<number, Words>()
  forEachLpi(hypervisor, (irq, target, isPending) => {
    if (!inUse[target]) return
    const intid = its.lpis.intidOf(irq)
    const address = pendingAddress(its, target, intid)
    const what = `the pending table of vCPU ${target}`
    const entry = kept.get(intid >>> 6) ?? readEntry(its.memory, address, what)
    const words = withBit(entry, intid, isPending)
    kept.set(intid >>> 6, words)
    writeEntry(its.memory, address, words, what)
  })
}

/** A doubleword of a pending table with the bit of an LPI. */
function withBit(entry: Words, intid: Intid, isSet: boolean): Words {
  const bit = 1 << (intid & 31)
  const halves: [number, number] = [entry[0], entry[1]]
  const half = (intid >>> 5) & 1
  halves[half] = isSet ? halves[half] | bit : halves[half] & ~bit
  return halves
}

/**
 * Calls `act` for each LPI that goes to a vCPU, by the vCPU's index. The pending state of vLPIs is in their tables only
 * while no vPE is mapped (catalogue 49).
 */
export function forEachLpi(
  { words, mmio, v4 }: Hypervisor,
  act: (irq: Irq, target: number, isPending: boolean) => void,
): void {
  const { lpis } = mmio.dist.its
  v4?.unmapAll()
  for (let slot = lpis.firstSlot; slot !== 0; slot = lpis.next(slot)) {
    const irq = lpis.at(slot)
    const target = irqTarget(words[irq])
    if (target === TARGET_NONE) continue
    act(
      irq,
      target,
      v4?.forwarding.isForwardedLpi(irq) ? v4.forwarding.pendingBit(irq) : (words[irq] & IRQ_LATCH) !== 0,
    )
  }
  v4?.mapAll()
}

/**
 * Refuses to save a VM with vLPIs on GICv4.0, where their pending state cannot be read: EACCES in KVM.
 */
function checkForwarded({ v4, layout }: Hypervisor): void {
  if (!v4 || v4.vpes.isV41) return
  for (let n = 0; n < layout.direct.forwardCount; n++) {
    if (v4.forwarding.isForwarded(n))
      throw cannotBeSaved(
        'GICv4.0 does not tell which vLPIs are pending, and an interrupt is forwarded as one',
      )
  }
}

function savePending(its: VgicIts, irq: Irq, isPending: boolean): void {
  const { words, memory, lpis } = its
  const index = irqTarget(words[irq])
  const intid = lpis.intidOf(irq)
  const what = `the pending table of vCPU ${index}`
  const address = pendingAddress(its, index, intid)
  const entry = readEntry(memory, address, what)
  const half = (intid >>> 5) & 1
  const bit = 1 << (intid & 31)
  if (((entry[half] & bit) !== 0) === isPending) return
  const word = entry[half] ^ bit
  writeEntry(memory, address, half === 0 ? [word, entry[1]] : [entry[0], word], what)
}
