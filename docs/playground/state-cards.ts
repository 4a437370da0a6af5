/**
 * The state of a machine as cards of values. A card has the same rows in every frame of a film: what comes and goes, such
 * as an interrupt on an ap_list, leaves its row empty.
 */
import { decode, type EventEntry, type VpeContents } from 'vgic'
import type {
  CostRow,
  CpuInspection,
  GuestItsInspection,
  MachineInspection,
  VcpuInspection,
  VgicIrqState,
  VpeInspection,
} from 'vgic/scenario'
import type { Card, CellShape } from './messages.ts'

interface Cell {
  readonly name: string
  readonly text: string
  readonly isFlag: boolean
}

interface StateRow {
  readonly label: string
  readonly cells: readonly Cell[]
}

/** A card with the values of one state. Rows of one group stand together. */
export interface StateCard {
  readonly title: string
  readonly columns?: readonly string[]
  readonly groups: readonly (readonly StateRow[])[]
}

const value = (name: string, text: string | number | undefined): Cell => ({
  name,
  text: text === undefined ? '' : String(text),
  isFlag: false,
})
const flag = (name: string, isLit: boolean): Cell => ({ name, text: isLit ? '1' : '0', isFlag: true })
const row = (label: string, ...cells: readonly Cell[]): StateRow => ({ label, cells })

/** Everything that the page shows of a machine. */
export function cardsOf(machine: MachineInspection, cost: readonly CostRow[]): StateCard[] {
  const { vcpus, cpus, devices, lpis, guestIts, vpes, its } = machine
  return [
    ...vcpus.map(vcpuCard),
    ...cpus.map(cpuCard),
    ...vpes.map((vpe) => vpeCard(vpe, its)),
    ...its.map(hostItsCard),
    rowsCard(
      'LPIs of the VM',
      lpis.map((lpi) => irqRow(lpi.name, lpi)),
    ),
    ...guestIts.map(guestItsCard),
    rowsCard('devices', devices.map(deviceRow)),
    costCard(cost),
  ]
}

type HostIts = MachineInspection['its'][number]

const rowsCard = (title: string, rows: readonly StateRow[]): StateCard => ({ title, groups: [rows] })

const cpuCard = ({ cpu, vcpu, inGuest, outputs, listRegisters }: CpuInspection): StateCard => ({
  title: `cpu${cpu}`,
  groups: [
    [
      row('runs', value('vcpu', vcpu === undefined ? '-' : `vcpu${vcpu}`), flag('in guest', inGuest)),
      row('lines', ...LINES.map((line) => flag(line, outputs.includes(line)))),
    ],
    listRegisters.map((text, n) => row(`LR${n}`, value('contents', text))),
  ],
})

const LINES = ['irq', 'fiq', 'virq', 'vfiq'] as const

function vpeCard(vpe: VpeInspection, its: readonly HostIts[]): StateCard {
  const tables = its.flatMap((each) => each.vpes).find((each) => each.vpe === vpe.vpe)
  return {
    title: `vPE ${vpe.vpe}`,
    groups: [[driverRow(vpe), residencyRow(tables), pendingRow(tables)]],
  }
}

const driverRow = ({ resident, mapped, cpu, pendingLast, doorbell, vlpis }: VpeInspection): StateRow =>
  row(
    'driver',
    flag('mapped', mapped),
    flag('resident', resident),
    flag('pendingLast', pendingLast),
    flag('doorbell', doorbell),
    value('where', `on cpu${cpu}`),
    value('vlpis', `${vlpis} forwarded`),
  )

function residencyRow(tables: VpeContents | undefined): StateRow {
  const { residentOn, doorbell } = tables ?? {}
  return row(
    'GICR',
    value('resident', residentOn === undefined ? 'away' : `resident on cpu${residentOn}`),
    value('doorbell', doorbell && `doorbell LPI ${doorbell.intid} ${doorbell.state}`),
  )
}

const pendingRow = (tables: VpeContents | undefined): StateRow =>
  row(
    'pending',
    value('vlpis', tables?.vlpis.map((intid) => `vLPI ${intid}`).join(' ') || 'none'),
    value('vsgis', tables?.vsgis.map((intid) => `vSGI ${intid}`).join(' ')),
  )

const hostItsCard = ({ its, devices, collections }: HostIts): StateCard => ({
  title: `host ITS ${its}`,
  groups: [
    devices.flatMap(({ deviceId, events }) => events.map((event) => eventRow(deviceId, event))),
    collections.map(({ collection, cpu }) => row(`ICID ${collection}`, value('cpu', `cpu${cpu}`))),
  ],
})

const eventRow = (
  deviceId: number,
  { eventId, intid, vpe, collection, cpu, pending, doorbell }: EventEntry,
): StateRow =>
  row(
    `${deviceId}:${eventId}`,
    value('intid', vpe === undefined ? `LPI ${intid}` : `vLPI ${intid} of vPE ${vpe}`),
    value('collection', collection === undefined ? '' : `collection ${collection}`),
    value('doorbell', doorbell === undefined ? '' : `doorbell LPI ${doorbell}`),
    value('cpu', cpu === undefined ? 'to no cpu' : `to cpu${cpu}`),
    flag('pending', pending),
  )

const guestItsCard = ({ its, enabled, events, collections }: GuestItsInspection): StateCard => ({
  title: `guest ITS ${its}`,
  groups: [
    [row('GITS_CTLR', flag('Enabled', enabled))],
    events.map(({ deviceId, eventId, intid, collection }) =>
      row(
        `${deviceId}:${eventId}`,
        value('intid', `LPI ${intid}`),
        value('collection', collection === undefined ? 'unmapped' : `collection ${collection}`),
      ),
    ),
    collections.map(({ collection, vcpu }) =>
      row(`ICID ${collection}`, value('vcpu', vcpu === undefined ? 'unmapped' : `vcpu${vcpu}`)),
    ),
  ],
})

const deviceRow = ({ name, state, next, step }: MachineInspection['devices'][number]): StateRow =>
  row(
    name,
    value('state', state),
    value('step', step && `at ${step}`),
    value('next', next && `next: ${next}`),
  )

/** Those of KVM that every machine has. */
const REQUESTS: readonly string[] = ['irqPending', 'unhalt', 'signal', 'sleep']

const vcpuCard = (vcpu: VcpuInspection): StateCard => ({
  title: `vcpu${vcpu.vcpu}`,
  groups: [
    [nextRow(vcpu), threadRow(vcpu), contextRow(vcpu), requestsRow(vcpu), ...vmcrRows(vcpu)],
    vcpu.apList.map((irq, n) => irqRow(n === 0 ? 'ap_list' : `ap_list ${n}`, irq, irq.name)),
  ],
})

const nextRow = ({ step, notifier, operation }: VcpuInspection): StateRow =>
  row('next', value('step', notifier ?? (operation === undefined ? step : `guest: ${operation}`)))

const threadRow = ({ state, task, cpu, lastCpu, mode }: VcpuInspection): StateRow =>
  row(
    'thread',
    value('state', state),
    value('task', `task ${task}`),
    value('cpu', cpu === undefined ? `off cpu${lastCpu}` : `on cpu${cpu}`),
    value('mode', `mode ${mode}`),
  )

const contextRow = ({ loaded, preemptOff, irqsOff, waiting }: VcpuInspection): StateRow =>
  row(
    'context',
    flag('loaded', loaded),
    flag('preempt off', preemptOff),
    flag('irqs off', irqsOff),
    flag('waiting', waiting),
  )

function requestsRow({ requests }: VcpuInspection): StateRow {
  const more = requests.filter((name) => !REQUESTS.includes(name))
  return row(
    'requests',
    ...REQUESTS.map((name) => flag(name, requests.includes(name))),
    value('more', more.join(' ')),
  )
}

function vmcrRows({ shadowVmcr, liveVmcr }: VcpuInspection): StateRow[] {
  const shadow = vmcrCells(shadowVmcr)
  const live = liveVmcr === undefined ? shadow.map(notLoaded) : vmcrCells(liveVmcr)
  const differs = flag('differs', textsOf(live) !== textsOf(shadow))
  return [
    row('VMCR mem', ...shadow),
    row('VMCR hw', ...live, liveVmcr === undefined ? notLoaded(differs) : differs),
  ]
}

const notLoaded = (cell: Cell): Cell => ({ ...cell, text: cell.name === 'VPMR' ? 'not loaded' : '' })
const textsOf = (cells: readonly Cell[]): string => cells.map(({ text }) => text).join()

function vmcrCells(text: string): Cell[] {
  const { VPMR, VBPR0, VBPR1, VENG0, VENG1, VEOIM, VCBPR } = decode('ICH_VMCR_EL2', Number(text)).fields
  return [
    value('VPMR', `VPMR=0x${VPMR.toString(16).padStart(2, '0')}`),
    value('VBPR', `VBPR=${VBPR0},${VBPR1}`),
    flag('VENG0', VENG0 === 1),
    flag('VENG1', VENG1 === 1),
    flag('VEOIM', VEOIM === 1),
    flag('VCBPR', VCBPR === 1),
  ]
}

function irqRow(label: string, irq: VgicIrqState, name = ''): StateRow {
  const { pending, active, enabled, trigger, line, priority, group, vcpu } = irq
  return row(
    label,
    value('name', name),
    flag('enabled', enabled),
    flag('pending', pending),
    flag('active', active),
    value('trigger', trigger === 'level' ? `level ${line}` : 'edge'),
    value('priority', `prio 0x${priority.toString(16)}`),
    value('group', `grp ${group}`),
    value('vcpu', vcpu === undefined ? 'no vCPU' : `vcpu${vcpu}`),
  )
}

const COST = [
  ['exits', 'exits'],
  ['sysregReads', 'sys r'],
  ['sysregWrites', 'sys w'],
  ['mmioReads', 'mmio r'],
  ['mmioWrites', 'mmio w'],
  ['polls', 'polls'],
  ['itsCommands', 'ITS'],
  ['tableAccesses', 'tables'],
] as const

const costCard = (cost: readonly CostRow[]): StateCard => ({
  title: 'cost so far',
  columns: COST.map(([, head]) => head),
  groups: [cost.map((each) => row(each.exit, ...COST.map(([key, head]) => value(head, each[key] || ''))))],
})

interface Aligned {
  readonly cards: readonly Card[]
  readonly values: readonly (readonly string[])[]
}

interface CardShape {
  readonly title: string
  readonly columns: readonly string[] | undefined
  /** By group, rows by label, cells by name. */
  readonly groups: Map<string, Map<string, CellShape>>[]
}

/**
 * Puts the states of a film on the cards of all of them: a row that one of them has, all have. A card on which there is never
 * anything is left out.
 */
export function aligned(states: readonly (readonly StateCard[])[]): Aligned {
  const shapes = new Map<string, CardShape>()
  for (const state of states) for (const card of state) addCard(shapes, card)
  const cards = [...shapes.values()].map(({ title, columns, groups }) => ({
    title,
    ...(columns && { columns }),
    rows: groups.flatMap((rows) =>
      [...rows].map(([label, cells]) => ({ label, cells: [...cells.values()] })),
    ),
  }))
  return {
    cards: cards.filter(({ rows }) => rows.length > 0),
    values: states.map((state) => valuesOn(shapes, state)),
  }
}

function addCard(shapes: Map<string, CardShape>, { title, columns, groups }: StateCard): void {
  const shape = shapes.get(title) ?? { title, columns, groups: groups.map(() => new Map()) }
  shapes.set(title, shape)
  for (const [i, rows] of groups.entries()) {
    for (const { label, cells } of rows) {
      const known = shape.groups[i].get(label) ?? new Map<string, CellShape>()
      shape.groups[i].set(label, known)
      for (const { name, isFlag } of cells) known.set(name, { name, isFlag })
    }
  }
}

function valuesOn(shapes: Map<string, CardShape>, state: readonly StateCard[]): string[] {
  return [...shapes.values()].flatMap(({ title, groups }) => {
    const card = state.find((each) => each.title === title)
    return groups.flatMap((rows, i) =>
      [...rows].flatMap(([label, shape]) => {
        const cells = card?.groups[i].find((each) => each.label === label)?.cells
        return [...shape.keys()].map((name) => cells?.find((cell) => cell.name === name)?.text ?? '')
      }),
    )
  })
}
