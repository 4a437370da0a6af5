/**
 * Variants of restore-parts.ts and its-tables-restore.ts that only the museum's designs have (src/explore/museum), with a known
 * bug each.
 */
import { FIRST_SPI } from '../../arch/intid.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { IRQ_LATCH, TARGET_NONE } from '../records/vgic-irq.ts'
import { readMappings } from './its-mappings.ts'
import { readItsTables, restoreItsTables, type SavedInJson } from './its-tables-restore.ts'
import { type Image, restoreRegisters } from './restore-parts.ts'
import { type ItsDevice, ItsTables, ItsTakeOver, refused } from './saved-its.ts'

/** A device may have as many bits of EventIDs as its entry has room to say. */
class AnyWidth extends ItsTables {
  protected override checkWidth(): void {}
}

/** A device may have more bits of EventIDs than a MAPD gives it (catalogue 47). */
export function restoreItsTablesTrusting(hypervisor: Hypervisor, saved: SavedInJson): void {
  restoreItsTables(hypervisor, saved, AnyWidth)
}

/** A collection must go to a vCPU, although MAPTI makes one that goes to none. */
class OnlyTargeted extends ItsTables {
  override addCollection(icid: number, target: number | undefined): void {
    if (target === undefined) throw refused(`Collection ${icid} of ITS ${this.n} goes to no vCPU`)
    super.addCollection(icid, target)
  }
}

/** What MAPTI has made is refused (catalogue 47). */
export function restoreItsTablesTargeted(hypervisor: Hypervisor, saved: SavedInJson): void {
  restoreItsTables(hypervisor, saved, OnlyTargeted)
}

/** Each entry becomes mapped when it is read. */
class TakenAtOnce extends ItsTables {
  override addCollection(icid: number, target: number | undefined): void {
    super.addCollection(icid, target)
    const slot = this.its.addCollection(this.n, icid)
    if (slot === 0) throw refused('The VM has no room for its collections')
    this.its.setTarget(slot, target ?? TARGET_NONE)
  }

  override addDevice(id: number, bits: number, ittLow: number, ittHigh: number): ItsDevice {
    const device = super.addDevice(id, bits, ittLow, ittHigh)
    if (!this.its.addDevice(this.n, id, bits, ittLow, ittHigh))
      throw refused('The VM has no room for its devices')
    return device
  }

  override addEvent(device: ItsDevice, id: number, intid: number, icid: number | undefined): void {
    super.addEvent(device, id, intid, icid)
    const { its, n } = this
    const collection = icid === undefined ? 0 : its.findCollection(n, icid)
    const irq = its.lpiFor(intid, its.targetOf(collection))
    if (irq === 0 || !its.addEvent(its.findDevice(n, device.id), id, irq, collection))
      throw refused('The VM has no room for its events')
  }
}

/** What was mapped before an entry that is refused stays mapped (catalogue 47). What is not in the guest's memory comes last. */
export function restoreItsTablesInPlace(hypervisor: Hypervisor, { mappings, pending }: SavedInJson): void {
  const { its } = hypervisor.mmio.dist
  const others = mappings.flatMap((one, n) => {
    if (one === null) readItsTables(its, n, TakenAtOnce)
    return one === null ? [] : [readMappings(its, n, one)]
  })
  const takeOver = new ItsTakeOver(hypervisor, others, pending)
  takeOver.check()
  takeOver.take()
}

/** Pending SGIs are in memory, whoever owns them (catalogue 48). */
export function restoreRedistributorsInMemory(hypervisor: Hypervisor, image: Image): void {
  const { words, apLists } = hypervisor
  restoreRegisters(hypervisor, image, 'redist', (name) => name !== 'GICR_ISPENDR0')
  for (const [vcpu, registers] of image.redist.entries()) {
    const pending = Number(registers['GICR_ISPENDR0'])
    for (let intid = 0; intid < FIRST_SPI; intid++)
      if ((pending >>> intid) & 1) words[apLists.irqOf(hypervisor.vcpu(vcpu), intid)] |= IRQ_LATCH
  }
}
