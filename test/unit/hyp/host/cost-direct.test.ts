/** What residency costs: accesses for vPEs by kind of exit and by design. */
import { type CostRow, type Design, designs, formatCost, type GuestBuilder, latencyOf } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { vlpiScenario } from '../../../kit/direct.ts'

const versions = ['4.0', '4.1'] as const

/** The rows by kind of exit of a guest. */
function costOf(version: '4.0' | '4.1', design: Design, write: (guest: GuestBuilder) => unknown) {
  const run = vlpiScenario(version, design)
    .guest(0, (guest) => {
      guest.onIrq((handler) => handler.ack().eoi())
      write(guest)
    })
    .device('nic', (device) => device.at(1000).msi(7, 0))
    .run()
  return new Map(run.cost().map((row) => [row.exit, row]))
}

/** Accesses of all kinds that only vPEs need. */
const ofVpes = ({ itsCommands = 0, dirtyPolls = 0, tableAccesses = 0, mmioReads, mmioWrites }: CostRow) => ({
  mmio: mmioReads + mmioWrites,
  itsCommands,
  dirtyPolls,
  tableAccesses,
})
const nothing = { mmio: 0, itsCommands: 0, dirtyPolls: 0, tableAccesses: 0 }

describe.each(versions)('on GICv%s', (version) => {
  it.each(Object.values(designs).map((design) => [design.name, design] as const))(
    'a shallow exit accesses nothing for the vPE: %s',
    (_name, design) => {
      const costs = costOf(version, design, (guest) => guest.hvc().hvc().hvc())
      const row = costs.get('hvc')
      expect(row?.exits).toBe(3)
      expect(row && ofVpes(row)).toEqual(nothing)
    },
  )

  it('a WFI that sleeps puts and loads once, whatever the design', () => {
    for (const design of [designs.wfiHandler, designs.wfiFlag, designs.wfiFullPut]) {
      const row = costOf(version, design, (guest) => guest.unmask('irq').wfi().untilInterrupts(1)).get('wfi')
      // GICv4.1: Valid set and cleared, and Dirty read before and after that, and before the entry. GICv4.0: the proxy
      // device's INV twice and CLEAR, each with SYNC, and the enable byte of the doorbell twice.
      expect(row && ofVpes(row)).toEqual(
        version === '4.1'
          ? { mmio: 2 + 3, itsCommands: 0, dirtyPolls: 3, tableAccesses: 0 }
          : { mmio: 2 + 3 + 3 * 2, itsCommands: 6, dirtyPolls: 2, tableAccesses: 2 },
      )
    }
  })

  it('an exit to userspace puts and loads', () => {
    const row = costOf(version, designs.wfiFlag, (guest) => guest.userspace()).get('userspace')
    expect(row && ofVpes(row)).toEqual(
      version === '4.1'
        ? { mmio: 2 + 3, itsCommands: 0, dirtyPolls: 3, tableAccesses: 0 }
        : { mmio: 3 + 2 + 2, itsCommands: 2, dirtyPolls: 2, tableAccesses: 0 },
    )
  })
})

it('the columns are there where vCPUs have vPEs, and nowhere else', () => {
  const direct = vlpiScenario('4.1')
    .guest(0, (guest) => guest.hvc())
    .run()
  expect(formatCost(direct.cost()).split('\n')[1]).toMatch(/polls {2}its {2}dirty {2}table$/)
  const row = direct.cost()[0]
  const latencies = { exit: 0, sysregRead: 0, sysregWrite: 0, mmioRead: 0, mmioWrite: 0 }
  expect(latencyOf({ ...row, itsCommands: 3, tableAccesses: 2 }, latencies)).toBe(0)
  const dear = { ...latencies, itsCommand: 100, tableAccess: 10 }
  expect(latencyOf({ ...row, itsCommands: 3, tableAccesses: 2 }, dear)).toBe(320)
})
