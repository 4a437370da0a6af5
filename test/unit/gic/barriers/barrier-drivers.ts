/** What tests of missing barriers share: configurations, registers, and an interrupt that is mapped. */
import type { Gicv4Driver } from '../../../kit/gicv4-driver.ts'
import { its } from '../its/its-board.ts'

export const V3 = { version: '3' } as const
export const V40 = { version: '4.0' } as const
export const DIRECT = { version: '3', directLpis: true } as const
export const INVLPIR = 0xa0
export const SYNCR = 0xc0
export const ICENABLER = 0x180
export const ISENABLER = 0x100
export const MSI = 'GITS_TRANSLATER cpu 0 its 0'

/** An LPI that is enabled and mapped to event 0 of device 1, all of it synchronised. */
export function mapLpi(driver: Gicv4Driver): void {
  driver.configure(8192)
  driver.send(its.mapti(1, 0, 8192, 0), its.inv(1, 0), its.sync(0))
}
