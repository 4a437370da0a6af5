/** For each reason that an event with a vLPI can have, a machine on which it is the one. */
import { ICC_IAR1_EL1, ICH_HCR_EL2, ICH_VMCR_EL2, ichLr, type MsiReason } from 'vgic'
import { VpeHost } from '../../../../docs/examples/vpe-host.ts'

export const VPE = 5
export const DOORBELL = 9000
export const DEVICE = 7
export const VLPI = 8192
const VPENDBASER = 0x0812_0078
const VALID = 1n << 63n

/** Reasons that an LPI cannot have. */
export type VpeReason =
  | 'vpe-unmapped'
  | 'not-resident'
  | 'virtual-group-off'
  | 'interface-off'
  | 'injection-off'

type Reason =
  | VpeReason
  | Extract<
      MsiReason,
      | 'signalled'
      | 'intid-out-of-range'
      | 'not-translated'
      | 'disabled'
      | 'configuration-stale'
      | 'not-pending'
      | 'group-off'
      | 'outranked'
      | 'priority-masked'
      | 'running-priority'
    >

/** The events of a device are vLPIs of a vPE on CPU 0; event 1 has the higher priority. */
export function mapped(options = {}): VpeHost {
  const host = new VpeHost(2, options)
  host.mapDevice(DEVICE)
  host.mapVpe(VPE, 0, DOORBELL)
  host.mapEvent(DEVICE, 0, VPE, VLPI)
  host.mapEvent(DEVICE, 1, VPE, VLPI + 1, 0x20)
  return host
}

/** So, with the vPE resident. */
function resident(options = {}): VpeHost {
  const host = mapped(options)
  host.load(VPE, 0)
  return host
}

/** And the vLPI pending. */
export function pending(options = {}): VpeHost {
  const host = resident(options)
  host.gic.sendMsi(DEVICE, 0)
  return host
}

/** A system register of the hypervisor changed. */
function changed(encoding: number, value: number): VpeHost {
  const host = pending({ dvim: true })
  host.gic.writeSysreg(0, encoding, value, 2)
  return host
}

export const vpeMachines: Readonly<Record<Reason, () => VpeHost>> = {
  signalled: pending,
  'vpe-unmapped': () => {
    const host = mapped()
    host.mapEvent(DEVICE, 0, 99, VLPI)
    return host
  },
  'intid-out-of-range': () => {
    const host = mapped({ lpis: 0x1_0000 })
    host.mapEvent(DEVICE, 0, VPE, 0x4000)
    return host
  },
  'not-translated': () => pending({ writeEffects: 'lagging' }),
  disabled: () => {
    const host = mapped()
    host.mapEvent(DEVICE, 0, VPE, VLPI, 0xa0, false)
    return host
  },
  'configuration-stale': () => {
    const host = mapped()
    host.mapEvent(DEVICE, 0, VPE, VLPI, 0xa0, false)
    host.load(VPE, 0)
    host.gic.sendMsi(DEVICE, 0)
    host.gic.writeMemory(0x4035_0000, 0x21a1)
    return host
  },
  'not-pending': resident,
  'not-resident': () => {
    const host = mapped()
    host.gic.sendMsi(DEVICE, 0)
    return host
  },
  'virtual-group-off': () => {
    const host = mapped()
    host.gic.writeMmio64(VPENDBASER, VALID | BigInt(VPE))
    host.gic.sendMsi(DEVICE, 0)
    return host
  },
  'interface-off': () => changed(ICH_HCR_EL2, 0),
  'injection-off': () => changed(ICH_HCR_EL2, 0x8001),
  'group-off': () => changed(ICH_VMCR_EL2, 0xf000_0000),
  outranked: () => {
    const host = pending()
    host.gic.writeSysreg64(0, ichLr(1), 0x5040_0000_0000_0028n, 2)
    return host
  },
  'priority-masked': () => changed(ICH_VMCR_EL2, 0xa000_0002),
  'running-priority': () => {
    const host = resident()
    host.gic.sendMsi(DEVICE, 1)
    host.gic.readSysreg(0, ICC_IAR1_EL1, 1)
    host.gic.sendMsi(DEVICE, 0)
    return host
  },
}
