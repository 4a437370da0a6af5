/**
 * How the host sets up the physical GIC when it boots, through the registers that its driver has (Linux,
 * irq-gic-v3.c): its interrupts are in group 1 and have one priority. It drops the priority and deactivates in two
 * accesses (ICC_CTLR_EL1.EOImode), so that an interrupt that it passes on to a guest stays active until the guest
 * deactivates it.
 */
import { GICD_CTLR_EnableGrp1 } from '../../arch/gicd-registers.ts'
import { CTLR_EOImode, ICC_CTLR_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1 } from '../../arch/icc-registers.ts'
import type { Intid } from '../../arch/intid.ts'
import { MAINTENANCE_PPI } from '../../gic/cpu-interface/output-lines.ts'
import { IROUTER } from '../../gic/distributor/distributor.ts'
import { ICFGR, IGROUPR, IPRIORITYR, ISENABLER } from '../../gic/distributor/interrupt-registers.ts'
import { SGI_BASE, WAKER } from '../../gic/distributor/redistributor.ts'
import type { Silicon } from '../../gic/silicon.ts'
import { timerIntids } from '../records/vcpu.ts'
import { KICK_SGI } from './kick.ts'

/** The host's own timer, that of EL2 (BSA). */
export const TICK_PPI = 26

/** A physical SPI of a device, which the host passes on to a guest. */
export interface PhysicalSpi {
  readonly intid: Intid
  readonly edge: boolean
  /** The CPU that it interrupts. */
  readonly cpu: number
}

/** Linux's priority of all interrupts, and a mask that admits it. */
const PRIORITY = 0xa0
const PRIORITY_MASK = 0xf0

const privateIntids = [KICK_SGI, MAINTENANCE_PPI, TICK_PPI, ...timerIntids]
const privateBits = privateIntids.reduce((bits, intid) => bits | (1 << intid), 0)

/** Sets up the distributor and every CPU's redistributor and interface, and enables the SPIs. */
export function bootHostGic(silicon: Silicon, spis: readonly PhysicalSpi[]): void {
  const { config, mmio, systemRegisters, lines } = silicon
  mmio.write(config.gicd, 4, GICD_CTLR_EnableGrp1, 0)
  for (let cpu = 0; cpu < config.cpus; cpu++) {
    const rd = mmio.rdBase(cpu)
    const sgi = rd + SGI_BASE
    mmio.write(rd + WAKER, 4, 0, 0)
    mmio.write(sgi + IGROUPR, 4, -1, 0)
    for (const intid of privateIntids) mmio.write(sgi + IPRIORITYR + intid, 1, PRIORITY, 0)
    mmio.write(sgi + ISENABLER, 4, privateBits, 0)
    const pe = silicon.peOf(cpu)
    systemRegisters.write(pe, ICC_PMR_EL1, PRIORITY_MASK, 0, 2)
    systemRegisters.write(pe, ICC_CTLR_EL1, CTLR_EOImode, 0, 2)
    systemRegisters.write(pe, ICC_IGRPEN1_EL1, 1, 0, 2)
  }
  for (const spi of spis) enableSpi(silicon, spi)
  silicon.completeWrites()
  lines.settle()
}

/** Configures an SPI, its route and priority, and enables it. */
function enableSpi({ config, mmio, physical }: Silicon, { intid, edge, cpu }: PhysicalSpi): void {
  /** Sets the interrupt's field, `width` bits, in a register that has a field for each. */
  const set = (register: number, width: number, value: number): void => {
    const at = config.gicd + register + 4 * Math.floor((intid * width) / 32)
    mmio.write(at, 4, mmio.read(at, 4) | (value << ((intid * width) % 32)), 0)
  }
  set(IGROUPR, 1, 1)
  set(ICFGR, 2, edge ? 2 : 0)
  mmio.write(config.gicd + IPRIORITYR + intid, 1, PRIORITY, 0)
  const affinity = physical.affinities.values[cpu]
  mmio.write(config.gicd + IROUTER + 8 * intid, 8, affinity & 0xffffff, affinity >>> 24)
  set(ISENABLER, 1, 1)
}
