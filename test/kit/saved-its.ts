/** What tests of saved ITSs share: entries of tables as KVM's ABI has them, and a guest that has something to save. */
import { ItsRegisters } from '../../src/hyp/userspace/its-registers.ts'
import { bootedIts, type ItsGuest, type ItsOptions } from './guest-its.ts'

export const VALID = 1n << 63n

export const cte = (icid: number, target: number): bigint => VALID | (BigInt(target) << 16n) | BigInt(icid)
export const dte = (itt: number, bits: number, next = 0): bigint =>
  VALID | (BigInt(next) << 49n) | (BigInt(itt >>> 8) << 5n) | BigInt(bits - 1)
export const ite = (intid: number, icid: number, next = 0): bigint =>
  (BigInt(next) << 48n) | (BigInt(intid) << 16n) | BigInt(icid)

/** Stops a VM and saves it. */
export function save(guest: ItsGuest): void {
  guest.vm.stop()
  guest.vm.saveVgic()
}

export const registersOf = (guest: ItsGuest): ItsRegisters => new ItsRegisters(guest.vm.hypervisor)

/** A guest with a device and two LPIs, of which the second is pending at vCPU 1. */
export function withLpis(options: ItsOptions = {}): ItsGuest {
  const guest = bootedIts(options)
  guest.mapd(1, 4)
  for (const event of [0, 1]) {
    guest.configure(8192 + event)
    guest.mapti(1, event, 8192 + event, event)
  }
  guest.msi(1, 1)
  return guest
}
