/** Variants of vgic-v4.ts that only the museum's designs have (src/explore/museum), with a known bug each. */
import { VPE_CPU, VPE_LAST, VPE_PENDING_LAST, VPE_RESIDENT } from '../records/its-vpe.ts'
import { VCPU_LAST_CPU, type Vcpu } from '../records/vcpu.ts'
import type { VgicV4 } from './vgic-v4.ts'

/** A load that takes the vPE to be where its vCPU is without moving it there (catalogue 14). */
export function loadUnmoved(v4: VgicV4, v: Vcpu): void {
  const { words, vpes } = v4
  const record = vpes.of(v)
  if (words[record + VPE_RESIDENT] !== 0) return
  words[record + VPE_CPU] = words[v + VCPU_LAST_CPU]
  v4.makeResident(v)
}

/** A put without the wait before it: Valid is cleared while the pending table may still be read (catalogue 06). */
export function putAtOnce(v4: VgicV4, v: Vcpu, doorbell: boolean): void {
  const record = v4.vpes.of(v)
  if (v4.words[record + VPE_RESIDENT] === 0) return
  v4.words[record + VPE_PENDING_LAST] = 0
  v4.armDoorbell(v, record, doorbell)
  v4.leave(v, record, doorbell)
}

/** A put that reads PendingLast, and leaves it to {@link storeLast} to store it (catalogue 05). */
export function putUnstored(v4: VgicV4, v: Vcpu): void {
  const { words, vpes } = v4
  const record = vpes.of(v)
  if (words[record + VPE_RESIDENT] === 0) return
  v4.armDoorbell(v, record, true)
  vpes.settleResident(v)
  words[record + VPE_LAST] = vpes.clearValid(v, true) ? 2 : 1
}

/** Stores what {@link putUnstored} has read, over what a doorbell's handler may have stored since. */
export function storeLast(v4: VgicV4, v: Vcpu): void {
  const { words, vpes } = v4
  const record = vpes.of(v)
  if (words[record + VPE_LAST] !== 0) vpes.storePendingLast(record, words[record + VPE_LAST] === 2)
}

/** A put that does not look whether the vPE is resident: the register has what the last put left (catalogue 13). */
export function putAnyway(v4: VgicV4, v: Vcpu, doorbell: boolean): void {
  const record = v4.vpes.of(v)
  v4.armDoorbell(v, record, doorbell)
  v4.vpes.settleResident(v)
  v4.vpes.storePendingLast(record, v4.vpes.clearValid(v, doorbell))
}
