/** Bugs of the catalogue about more interrupts than list registers. */
import { kvm72 } from '../../hyp/run/baselines.ts'
import { designs } from '../../hyp/run/designs.ts'
import { edit } from '../../hyp/run/edit.ts'
import { foldCountingFromHead } from '../../hyp/run/steps.ts'
import { scenario } from '../../scenario/builder.ts'
import type { MuseumEntry } from './entry.ts'

const linux72 = kvm72(designs.wfiFullPut)

export const overflowEntries: readonly MuseumEntry[] = [
  {
    id: '56',
    name: 'eoicount-from-list-head',
    story:
      'The maintenance interrupt of an EOI that hits no list register is slow, the guest acknowledges another interrupt meanwhile, and that one is deactivated.',
    invariant: 'S12',
    good: linux72,
    bug: edit(linux72)
      .replaceAll('foldSavingVmcr', foldCountingFromHead)
      .design('Linux 7.2, EOIcount from the head of the list'),
    scenario: (design) =>
      scenario('56 eoicount-from-list-head')
        .gic({ cpus: 1, listRegisters: 2, maintenanceInterrupt: 'lagging' })
        .vm({ vcpus: 1, spis: 3 })
        .design(design)
        .spi({ intid: 32, priority: 0x40 })
        .spi({ intid: 33, priority: 0x80 })
        .spi({ intid: 34, priority: 0x80 })
        .guest(0, (g) =>
          g
            .onIrq((h) => h.ack().eoi())
            .unmask()
            .untilInterrupts(3),
        )
        .device('nic', (d) => d.pulse(32).pulse(33).pulse(34)),
    bounds: {},
  },
]
