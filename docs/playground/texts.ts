/** What the editor has before anybody writes something. */

/** A text of one's own, to begin with. */
export const FIRST_TEXT = `// A module of your own. It runs in this browser only; nothing is sent anywhere.
// It exports a scenario, and the bounds of its exploration.
import { designs, edit, scenario } from 'vgic/scenario'

// A known good design without one of its steps. designs, defineDesign() and ownStep() make others.
const forgetful = edit(designs.wfiHandler)
  .omit('wfi/saveVmcr')
  .design('wfi-handler without the VMCR sync')

export default scenario('the guest unmasks, sleeps, and is woken')
  .gic({ cpus: 1, listRegisters: 1 })
  .vm({ vcpus: 1, spis: 1 })
  .design(forgetful)
  .spi({ intid: 32 })
  .guest(0, (guest) =>
    guest
      .onIrq((handler) => handler.ack().eoi())
      .priorityMask(0)
      .priorityMask(0xf0)
      .unmask()
      .wfi(),
  )
  .device('nic', (device) => device.pulse(32))

export const bounds = { preemptions: 1, ticks: 1 }
`

/** A text that explores a museum entry's scenario with a design of the reader's own. */
export const textOfEntry = (id: string, name: string, invariant: string): string =>
  `// Entry ${id} of the museum, ${name}: it must not violate ${invariant}.
import { museum } from 'vgic/explore'
import { designs, edit } from 'vgic/scenario'

const entry = museum.find(({ id }) => id === '${id}')

// Try entry.good, designs.wfiFullPut, or an edit of your own:
// edit(entry.good).omit('wfi/saveVmcr').design('mine')
const design = entry.bug

export default entry.scenario(design)
export const { bounds } = entry
`
