/** Looking at vPEs: why a vLPI does or does not raise the virtual IRQ line, and what the tables have of vPEs. */
import { readFileSync } from 'node:fs'
import { type MsiReason, msiReasons } from 'vgic'
import { describe, expect, it } from 'vitest'
import { GICR_V41, ItsBoard, its } from '../its/its-board.ts'
import { DEVICE, DOORBELL, mapped, VLPI, VPE, vpeMachines } from './vpe-machines.ts'

describe('explainMsi of an event that has a vLPI', () => {
  it.each(Object.entries(vpeMachines))('gives the reason %s', (reason, make) => {
    const { gic } = make()
    const before = gic.hash()
    const explanation = gic.explainMsi(DEVICE, 0)
    expect([explanation.reason, explanation.signalled]).toEqual([reason, reason === 'signalled'])
    expect(gic.line(0, 'virq')).toBe(reason === 'signalled' || reason === 'outranked' ? 1 : 0)
    // Asking changes nothing.
    expect(gic.hash()).toBe(before)
    const broken = explanation.conditions.find(({ holds }) => !holds)
    expect(broken === undefined).toBe(reason === 'signalled')
    expect(String(explanation)).toContain(`: ${reason}. ${msiReasons[reason as MsiReason]}`)
  })

  it('prints the chain as docs/gicv4.md has it, with the list register that comes first', () => {
    const printed = String(vpeMachines.outranked().gic.explainMsi(DEVICE, 0))
    expect(printed).toContain('first             NO   SPI 40 is, in list register 1')
    expect(readFileSync('docs/gicv4.md', 'utf8')).toContain(`\n${printed}\n`)
  })

  it('says which other direct interrupt comes first', () => {
    const { gic } = vpeMachines.signalled()
    gic.sendMsi(DEVICE, 1)
    const first = gic.explainMsi(DEVICE, 0).conditions.find(({ name }) => name === 'first')
    expect(first).toMatchObject({ holds: false, detail: 'vLPI 8193 is' })
  })

  /** What it says of the residency and of the doorbell. */
  const residency = ({ gic }: ReturnType<typeof mapped>): string[] =>
    gic
      .explainMsi(DEVICE, 0)
      .conditions.filter(({ name }) => name === 'resident' || name === 'doorbell')
      .map(({ detail }) => detail)

  it('says where a vPE is that is not resident, and what its doorbell does', () => {
    const host = mapped()
    const silent = 'LPI 9000 is not requested, or has rung and was acknowledged'
    expect(residency(host)).toEqual(['on no CPU', silent])
    host.load(VPE, 0)
    expect(residency(host)).toEqual(['on CPU 0'])
    host.put(VPE, 0)
    expect(residency(host)).toEqual(['on no CPU', 'LPI 9000 is requested and has not rung'])
    host.gic.sendMsi(DEVICE, 0)
    expect(residency(host)).toEqual(['on no CPU', 'LPI 9000 has rung and is pending'])
    host.hostTakes(0)
    expect(residency(host)).toEqual(['on no CPU', silent])
  })

  it('says what is under way: residency, and a doorbell', () => {
    const host = mapped({ writeEffects: 'lagging' })
    host.startLoad(VPE, 0)
    expect(residency(host)[0]).toBe('it becomes so on CPU 0: GICR_VPENDBASER.Dirty')
    host.gic.completeWrites()
    host.startPut(VPE, 0)
    expect(residency(host)[0]).toBe('it leaves CPU 0: GICR_VPENDBASER.Dirty')
    host.gic.completeWrites()
    host.gic.sendMsi(DEVICE, 0)
    host.gic.complete('ITS[0] MSI 7 0')
    expect(residency(host)).toEqual(['on no CPU', 'LPI 9000 has rung and is under way'])
  })
})

describe('explainMsi of an event whose LPI is a doorbell', () => {
  const doorbellOf = (board: ItsBoard): string | undefined =>
    board.gic.explainMsi(1, 0).conditions.find(({ name }) => name === 'doorbell')?.detail

  it('says of which vPE on GICv4.1', () => {
    const gicr = [{ base: GICR_V41, count: 2 }]
    const board = new ItsBoard({ version: '4.1', gicr }).booted().send(its.mapti(1, 0, 8192, 0))
    expect(doorbellOf(board)).toBeUndefined()
    board.send(its.vmapp(3, 0, 8192))
    expect(board.commandErrors()).toEqual([])
    expect(doorbellOf(board)).toBe('of vPE 3')
  })

  it('says of which event on GICv4.0', () => {
    const board = new ItsBoard({ version: '4.0' }).booted().send(its.mapti(1, 0, 8192, 0))
    board.send(its.vmapti(1, 4, 8300, 3, 8192))
    expect(board.commandErrors()).toEqual([])
    expect(doorbellOf(board)).toBe('of device 1 event 4, for vPE 3')
  })
})

describe('inspectTables on GICv4', () => {
  it('has vPEs with what is pending for them, wherever they are, and the events of vLPIs', () => {
    const host = mapped()
    host.mapVpe(2, 1, 1023)
    const vpes = () => host.gic.inspectTables()[0].vpes
    const unused = {
      vpe: 2,
      cpu: 1,
      pendingTable: '0x40420000',
      residentOn: undefined,
      doorbell: undefined,
      vlpis: [],
      vsgis: [],
    }
    const idle = { intid: DOORBELL, state: 'idle' }
    const vpe = { vpe: VPE, cpu: 0, pendingTable: '0x40450000', residentOn: undefined, doorbell: idle }
    expect(vpes()).toEqual([unused, { ...vpe, vlpis: [], vsgis: [] }])
    host.gic.sendMsi(DEVICE, 1)
    host.sendSgi(VPE, 3)
    expect(vpes()[1]).toEqual({ ...vpe, vlpis: [VLPI + 1], vsgis: [3] })
    host.load(VPE, 0)
    host.gic.sendMsi(DEVICE, 0)
    expect(vpes()[1]).toEqual({ ...vpe, residentOn: 0, vlpis: [VLPI, VLPI + 1], vsgis: [3] })
    const before = host.gic.hash()
    expect(host.gic.inspectTables()[0]).toMatchObject({
      devices: [
        {
          deviceId: DEVICE,
          events: [
            { eventId: 0, intid: VLPI, collection: undefined, vpe: VPE, cpu: 0, pending: true },
            { eventId: 1, intid: VLPI + 1, vpe: VPE, cpu: 0, pending: true },
          ],
        },
      ],
      truncated: false,
    })
    expect(host.gic.hash()).toBe(before)
  })

  it("has the doorbells of GICv4.0's events", () => {
    const board = new ItsBoard({ version: '4.0' }).booted()
    board.send(its.vmapti(1, 0, 8300, 3, 8192), its.vmapti(1, 1, 8301, 3))
    const [{ devices, vpes }] = board.gic.inspectTables()
    expect(devices[0].events).toEqual([
      { eventId: 0, intid: 8300, vpe: 3, doorbell: 8192, cpu: undefined, pending: false },
      { eventId: 1, intid: 8301, vpe: 3, cpu: undefined, pending: false },
    ])
    expect(vpes).toEqual([])
  })

  it('ends, however many vPEs and vLPIs memory has', () => {
    const board = new ItsBoard({ version: '4.1', gicr: [{ base: GICR_V41, count: 2 }] }).booted()
    board.ram.read32 = () => 0xffff_0000
    expect(board.gic.inspectTables()[0].truncated).toBe(true)
  })
})
