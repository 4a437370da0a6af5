/** Two vCPUs that send commands to one ITS, at once, while a device sends messages. */
import { type Scenario, scenario } from 'vgic/scenario'
import { GITS } from './frames.ts'
import { handle } from './guest-lists.ts'

const MEMORY = 0x4000_0000
const GITS_CTLR = GITS
const GITS_CREADR = GITS + 0x90

export const commanding = (cpus = 2): Scenario =>
  scenario('two vCPUs command one ITS')
    .gic({ cpus, listRegisters: 1, memoryLines: 96 })
    .vm({ vcpus: 2, spis: 0, frames: { its: [GITS] }, lpis: 3, itsDevices: 1, itsCollections: 2 })
    .guest(0, (guest) => {
      const its = guest.onIrq(handle).unmask().its({ memory: MEMORY })
      its.boot(2).configure(8192).mapDevice(7).mapCollection(0, 0).mapCollection(1, 1)
      its.mapEvent(7, 0, 8192, 0).moveEvent(7, 0, 1).int(7, 0).moveEvent(7, 0, 0).discard(7, 0)
      its.mapEvent(7, 1, 8193, 0).unmapDevice(7)
    })
    .guest(1, (guest) =>
      guest
        .onIrq(handle)
        .unmask()
        .loop(6, (body) => body.readMmio(GITS_CREADR, 8).writeMmio(GITS_CTLR, 0).writeMmio(GITS_CTLR, 1)),
    )
    .device('nic', (device) => device.msi(7, 0).msi(7, 1).msi(7, 0))
    .device('disk', (device) => device.msi(7, 0).msi(7, 0))
