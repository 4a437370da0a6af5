/** What a step may write follows from the rows of words: where one is wrong, an exploration that checks writes says so. */
import { explore } from 'vgic/explore'
import { designs, edit, ownStep, scenario } from 'vgic/scenario'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Layout, type Writer } from '../../../src/state/layout.ts'

/** An edge and a signal for a vCPU that waits, or runs on another PE than it did. */
const recipe = () =>
  scenario('an edge and a signal')
    .gic({ cpus: 2, listRegisters: 1 })
    .vm({ vcpus: 1, spis: 1 })
    .spi({ intid: 32 })
    .guest(0, (g) =>
      g
        .onIrq((h) => h.ack().eoi())
        .unmask()
        .wfi(),
    )
    .device('nic', (d) => d.pulse(32))
    .device('vmm', (d) => d.signal(0))

/** Explores where a word's row does not name one of its writers. */
function exploredWithout(writer: Writer, word: string): void {
  const { rangesBy } = Layout.prototype
  vi.spyOn(Layout.prototype, 'rangesBy').mockImplementation(function (this: Layout, record, by, classes) {
    const words = by === writer ? record.words.filter(({ name }) => name !== word) : record.words
    return rangesBy.call(this, { ...record, words }, by, classes)
  })
  explore(recipe(), { preemptions: 1, migrations: 1, checkWrites: true })
}

afterEach(() => {
  vi.restoreAllMocks()
})

const needed: readonly (readonly [Writer, string])[] = [
  ['queue', 'inject'],
  ['queue', 'target'],
  ['queue', 'apCount'],
  ['queue', 'apFirst'],
  ['queue', 'apLast'],
  ['notify', 'pc'],
  ['notify', 'inject'],
  ['notify', 'target'],
  ['notify', 'thread'],
  ['thread', 'thread'],
  ['lists', 'lrIrq[<n>]'],
  ['lists', 'usedLrs'],
  ['pe', 'lines'],
  ['load', 'ICH_VMCR_EL2'],
  ['put', 'loaded'],
  ['sched', 'PSTATE'],
  ['sched', 'current[<n>]'],
  ['guest', 'PSTATE'],
  ['guest', 'vmcr of vcpu[<n>]'],
]

describe('an exploration that checks writes', () => {
  it('finds nothing where the rows are right', () => {
    expect(explore(recipe(), { preemptions: 1, migrations: 1, checkWrites: true })).toMatchObject({
      complete: true,
    })
  })

  it.each(needed)('is refused where no row allows a %s step to write %s', (writer, word) => {
    expect(() => exploredWithout(writer, word)).toThrow(/wrote .* which it may not/)
  })
})

describe('a step of a design’s own that declares what it writes', () => {
  it.each(['thread', 'vcpu', 'pe'] as const)('may write the design’s words: %s', (writes) => {
    const flip = {
      ...ownStep('flip', (context, vcpu) => {
        context.set(vcpu, 'flips', context.get(vcpu, 'flips') ^ 1)
        return 0
      }),
      writes,
    }
    const design = edit({ ...designs.wfiFlag, words: ['flips'] })
      .insertAfter('entry/handleRequests', flip)
      .design('flipping')
    const report = explore(recipe().design(design), { preemptions: 1, migrations: 1, checkWrites: true })
    expect(report.complete).toBe(true)
  })
})

describe('a device that queues an interrupt', () => {
  it('writes, of words of which there are many, those that changes.ts knows', () => {
    const { layout } = recipe().machine().internals.hypervisor.state
    const many = layout.placements.flatMap(({ record }) =>
      record.words.filter(({ by, count }) => by?.includes('queue') && count !== undefined),
    )
    expect(new Set(many.map(({ name }) => name))).toEqual(
      new Set(['<n>', '<n> apNext', 'edges of vcpu[<n>]', 'edges of SPI <n>']),
    )
  })
})
