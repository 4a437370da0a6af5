/**
 * A machine as plain data, and as text: what a debugger shows of it. Nothing is read that changes by being read. For a
 * program that looks for one thing there are `explain()`, `diff()` and `saveVgic()`.
 */
import { describeRegister } from '../arch/field.ts'
import { ICH_VMCR_VIEW } from '../arch/ich-registers.ts'
import { type Intid, intidName } from '../arch/intid.ts'
import { describeListRegister } from '../arch/register-value.ts'
import { hex } from '../errors/printed.ts'
import { HOST_LINES, LINE_FIQ, LINE_IRQ, LINE_VFIQ, LINE_VIRQ, PE_LINES } from '../gic/cpu-interface/lines.ts'
import { type ItsContents, inspectTables } from '../gic/its/inspect-tables.ts'
import type { Pe } from '../gic/records/pe.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import { GUEST_PC } from '../hyp/records/guest-record.ts'
import {
  VPE_CPU,
  VPE_DOORBELL,
  VPE_MAPPED,
  VPE_PENDING_LAST,
  VPE_RESIDENT,
  VPE_STRIDE,
  VPE_VLPIS,
} from '../hyp/records/its-vpe.ts'
import { COLLECTION_ID, DEVICE_ID } from '../hyp/records/lpi-record.ts'
import {
  peOf,
  REQ_IRQ_PENDING,
  REQ_PRUNE,
  REQ_SIGNAL,
  REQ_SLEEP,
  REQ_UNHALT,
  THREAD_COMMIT_VPE,
  THREAD_IRQS_OFF,
  THREAD_MODE,
  THREAD_MODE_SHIFT,
  THREAD_PREEMPT_OFF,
  THREAD_RELOAD_VPE,
  THREAD_TASK,
  THREAD_TASK_SHIFT,
  THREAD_WAITING,
  VCPU_INDEX,
  VCPU_LAST_CPU,
  VCPU_LOADED,
  VCPU_NOTIFIER,
  VCPU_PC,
  VCPU_PE,
  VCPU_THREAD,
  VCPU_USED_LRS,
  VCPU_VMCR,
} from '../hyp/records/vcpu.ts'
import {
  IRQ_ACTIVE,
  IRQ_EDGE,
  IRQ_ENABLED,
  IRQ_GROUP1,
  IRQ_LINE,
  type Irq,
  irqIsPending,
  irqPriority,
  irqTarget,
  TARGET_NONE,
} from '../hyp/records/vgic-irq.ts'
import { THREAD_IN_GUEST } from '../hyp/run/thread-states.ts'
import { eventsOf, slotsOf } from '../hyp/userspace/its-tables-save.ts'
import { COLLECTION_TABLE, DEVICE_TABLE } from '../hyp/vgic/vgic-its.ts'
import type { ActorState, Machine } from './machine.ts'

/** An interrupt of the VM as the hypervisor has it in memory; while it is in a list register, that is stale. */
export interface VgicIrqState {
  /** The INTID. */
  readonly intid: number
  /** `SPI 40`. */
  readonly name: string
  /** The vCPU that it is routed to; undefined if that is none. */
  readonly vcpu: number | undefined
  /** ISENABLER; of an LPI its configuration, as far as the ITS has read that. */
  readonly enabled: boolean
  /** Latched, or its line is high. */
  readonly pending: boolean
  /** Whether it is active. */
  readonly active: boolean
  /** The level of its input line; 0 for an edge. */
  readonly line: 0 | 1
  /** How it is triggered. */
  readonly trigger: 'edge' | 'level'
  /** 0 is the highest. */
  readonly priority: number
  /** The group. */
  readonly group: 0 | 1
}

/** A vCPU and its thread. */
export interface VcpuInspection {
  /** Its index. */
  readonly vcpu: number
  /** Whether it can take a step. */
  readonly state: ActorState
  /** Its next step as a path of the design, such as `wfi/halt/sleep`; `guest` while it is there. */
  readonly step: string
  /** The scheduler's notifier that runs instead of the thread: its next step; undefined if none does. */
  readonly notifier: string | undefined
  /** In the guest: its next operation. */
  readonly operation: string | undefined
  /** The thread's task state, as the scheduler has it. */
  readonly task: 'running' | 'sleeping' | 'off' | 'blocked'
  /** The mode that a kick reads. */
  readonly mode: 'outside' | 'in guest' | 'exiting'
  /** Pending requests, in KVM's order: `irqPending`, `unhalt`, `signal`, `sleep`; with GICv4 `reloadVpe`, `commitVpe`. */
  readonly requests: readonly string[]
  /** Whether its WFI is being handled. */
  readonly waiting: boolean
  /** Whether it is in a section with preemption off. */
  readonly preemptOff: boolean
  /** Whether it is in a section with interrupts off. */
  readonly irqsOff: boolean
  /** The CPU that it runs on; undefined while it does not run. */
  readonly cpu: number | undefined
  /** The CPU that it runs on or ran on last. */
  readonly lastCpu: number
  /** Whether its CPU interface state is in the hardware: from load to put. */
  readonly loaded: boolean
  /** ICH_VMCR_EL2 in memory, in hexadecimal: what `runnable?` reads. */
  readonly shadowVmcr: string
  /** ICH_VMCR_EL2 in the hardware; undefined while it is not loaded. */
  readonly liveVmcr: string | undefined
  /** The interrupts on its ap_list, in its order. */
  readonly apList: readonly VgicIrqState[]
  /** The list registers that its last flush filled and no fold has read, as text: `pending SPI 40 prio 0xa0 group 1`. */
  readonly listRegisters: readonly string[]
}

/** A physical CPU. */
export interface CpuInspection {
  /** Its number. */
  readonly cpu: number
  /** The vCPU whose thread runs on it; undefined for none. */
  readonly vcpu: number | undefined
  /** Whether it is in that vCPU's guest. */
  readonly inGuest: boolean
  /** Its outputs that are high. */
  readonly outputs: readonly ('irq' | 'fiq' | 'virq' | 'vfiq')[]
  /** All list registers, as text; `empty` of one that is. */
  readonly listRegisters: readonly string[]
}

/** A vPE, as the host's ITS driver has it; its vPEID is the index of its vCPU. */
export interface VpeInspection {
  /** The vPEID. */
  readonly vpe: number
  /** Whether the hypervisor has made it resident. */
  readonly resident: boolean
  /** Whether the ITS has it. */
  readonly mapped: boolean
  /** The CPU whose redistributor it is mapped to. */
  readonly cpu: number
  /** What the hypervisor believes of interrupts that are pending while it is away. */
  readonly pendingLast: boolean
  /** On GICv4.0, whether its doorbell is enabled. */
  readonly doorbell: boolean
  /** How many interrupts of devices are forwarded to it. */
  readonly vlpis: number
}

/** What the guest has mapped in one of its ITSs. */
export interface GuestItsInspection {
  /** Its number in the VM. */
  readonly its: number
  /** GITS_CTLR.Enabled. */
  readonly enabled: boolean
  /** By DeviceID and EventID. */
  readonly events: readonly GuestItsEvent[]
  /** By number. */
  readonly collections: readonly GuestItsCollection[]
}

/** An event that a guest has mapped. */
export interface GuestItsEvent {
  /** The DeviceID of its messages. */
  readonly deviceId: number
  /** Their EventID. */
  readonly eventId: number
  /** The LPI that it is mapped to. */
  readonly intid: number
  /** The collection that it is in; undefined if that was unmapped. */
  readonly collection: number | undefined
}

/** A collection that a guest has mapped, or that an event is in. */
export interface GuestItsCollection {
  /** Its number, ICID. */
  readonly collection: number
  /** The vCPU that it goes to; undefined if it is not mapped. */
  readonly vcpu: number | undefined
}

/** A device of a scenario. */
export interface DeviceInspection {
  /** Its name. */
  readonly name: string
  /** Whether it can take a step. */
  readonly state: ActorState
  /** Its next step; undefined when it is done. */
  readonly next: string | undefined
  /** Where its injection, or its message, is in the design, once that has begun. */
  readonly step: string | undefined
}

/** A machine as plain data, which {@link ScenarioMachine.inspect} returns. It prints as text. */
export class MachineInspection {
  /** Its design's name. */
  readonly design: string
  /** Virtual time, in steps. */
  readonly time: number
  /** By index. */
  readonly vcpus: readonly VcpuInspection[]
  /** By number. */
  readonly cpus: readonly CpuInspection[]
  /** In the scenario's order. */
  readonly devices: readonly DeviceInspection[]
  /** The VM's LPIs, in the order in which its ITSs have mapped them. */
  readonly lpis: readonly VgicIrqState[]
  /** The VM's ITSs. */
  readonly guestIts: readonly GuestItsInspection[]
  /** By vPEID; none without GICv4. */
  readonly vpes: readonly VpeInspection[]
  /** The tables of the host's ITSs: devices, collections, vPEs with their pending vLPIs and vSGIs. */
  readonly its: readonly ItsContents[]

  /** @internal */
  constructor(machine: Machine) {
    const { hypervisor } = machine
    const { config, design, setup, layout } = hypervisor
    this.design = design.name
    this.time = machine.time
    this.vcpus = upTo(setup.vcpus, (index) => vcpuOf(machine, index))
    this.cpus = upTo(config.cpus, (cpu) => cpuOf(hypervisor, cpu))
    this.devices = upTo(machine.devices.length, (index) => deviceOf(machine, index))
    this.lpis = lpisOf(hypervisor)
    this.guestIts = upTo(layout.itsCount, (n) => guestItsOf(hypervisor, n))
    this.vpes = upTo(layout.direct.vpeCount, (vpe) => vpeOf(hypervisor, vpe))
    this.its = hostItsOf(hypervisor)
  }

  /** The design and the time, and below it what there is: a line each, with its interrupts and registers under it. */
  toString(): string {
    const its = this.its.flatMap(({ vpes }) => vpes)
    return [
      `design ${this.design}, time ${this.time}`,
      ...this.vcpus.flatMap(vcpuLines),
      ...this.cpus.flatMap(cpuLines),
      ...this.devices.map(deviceLine),
      ...this.lpis.map((lpi) => `${lpi.name}  ${irqText(lpi)}`),
      ...this.guestIts.flatMap(guestItsLines),
      ...this.vpes.map((vpe) => vpeLine(vpe, its.find((tables) => tables.vpe === vpe.vpe)?.vlpis ?? [])),
    ].join('\n')
  }

  /** The text, for Node's util.inspect. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

const upTo = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index))

const TASKS = ['running', 'sleeping', 'off', 'blocked'] as const
const MODES = ['outside', 'in guest', 'exiting'] as const
/** What a thread's word says is to be done. */
const REQUESTS: readonly (readonly [bit: number, name: string])[] = [
  [REQ_IRQ_PENDING, 'irqPending'],
  [REQ_UNHALT, 'unhalt'],
  [REQ_SIGNAL, 'signal'],
  [REQ_SLEEP, 'sleep'],
  [REQ_PRUNE, 'prune'],
  [THREAD_RELOAD_VPE, 'reloadVpe'],
  [THREAD_COMMIT_VPE, 'commitVpe'],
]

function vcpuOf(machine: Machine, index: number): VcpuInspection {
  const { hypervisor } = machine
  const { words, silicon, runLoop, setup, apLists } = hypervisor
  const { paths } = runLoop.program
  const v = hypervisor.vcpu(index)
  const thread = words[v + VCPU_THREAD]
  const notifier = words[v + VCPU_NOTIFIER]
  const pe = words[v + VCPU_PE] === 0 ? undefined : peOf(words, v)
  const isLoaded = words[v + VCPU_LOADED] !== 0
  const isInGuest = runLoop.threadState(v) === THREAD_IN_GUEST
  return {
    vcpu: index,
    state: machine.stateOf(machine.actors[index]),
    step: paths[words[v + VCPU_PC]],
    notifier: notifier === 0 ? undefined : paths[notifier],
    operation: isInGuest ? setup.guests[index].names[words[v + GUEST_PC]] : undefined,
    task: TASKS[(thread & THREAD_TASK) >> THREAD_TASK_SHIFT],
    mode: MODES[(thread & THREAD_MODE) >> THREAD_MODE_SHIFT],
    requests: REQUESTS.flatMap(([bit, name]) => (thread & bit ? [name] : [])),
    waiting: (thread & THREAD_WAITING) !== 0,
    preemptOff: (thread & THREAD_PREEMPT_OFF) !== 0,
    irqsOff: (thread & THREAD_IRQS_OFF) !== 0,
    cpu: pe === undefined ? undefined : silicon.cpuOf(pe),
    lastCpu: words[v + VCPU_LAST_CPU],
    loaded: isLoaded,
    shadowVmcr: hex(words[v + VCPU_VMCR]),
    liveVmcr: isLoaded && pe !== undefined ? hex(silicon.ich.readVmcr(pe)) : undefined,
    apList: apLists.listOf(v).map((irq) => irqOf(hypervisor, irq, apLists.intidOf(v, irq))),
    listRegisters: pe === undefined ? [] : listRegistersOf(hypervisor, pe, words[v + VCPU_USED_LRS]),
  }
}

function irqOf({ words, setup }: Hypervisor, irq: Irq, intid: Intid): VgicIrqState {
  const word = words[irq]
  const target = irqTarget(word)
  return {
    intid,
    name: intidName(intid),
    vcpu: target < setup.vcpus ? target : undefined,
    enabled: (word & IRQ_ENABLED) !== 0,
    pending: irqIsPending(word),
    active: (word & IRQ_ACTIVE) !== 0,
    line: word & IRQ_LINE ? 1 : 0,
    trigger: word & IRQ_EDGE ? 'edge' : 'level',
    priority: irqPriority(word),
    group: word & IRQ_GROUP1 ? 1 : 0,
  }
}

const listRegistersOf = ({ silicon }: Hypervisor, pe: Pe, count: number): string[] =>
  upTo(count, (n) => describeListRegister(silicon.ich.readLrLow(pe, n), silicon.ich.readLrHigh(pe, n)))

function cpuOf(hypervisor: Hypervisor, cpu: number): CpuInspection {
  const { silicon, scheduler, words, config } = hypervisor
  const pe = silicon.peOf(cpu)
  const current = scheduler.current(cpu)
  const lines = (words[pe + PE_LINES] & HOST_LINES) | silicon.pcpu.virtualPending(pe)
  return {
    cpu,
    vcpu: current === 0 ? undefined : words[current + VCPU_INDEX],
    inGuest: silicon.pcpu.isInGuest(pe),
    outputs: OUTPUTS.flatMap(([bit, name]) => (lines & bit ? [name] : [])),
    listRegisters: listRegistersOf(hypervisor, pe, config.listRegisters),
  }
}

const OUTPUTS = [
  [LINE_IRQ, 'irq'],
  [LINE_FIQ, 'fiq'],
  [LINE_VIRQ, 'virq'],
  [LINE_VFIQ, 'vfiq'],
] as const

function deviceOf(machine: Machine, index: number): DeviceInspection {
  const { vcpus } = machine.setup
  const { name } = machine.devices[index]
  const pc = machine.deviceSteps.injectionOf(index)
  return {
    name,
    state: machine.stateOf(machine.actors[vcpus + index]),
    next: machine.deviceSteps.next(index)?.name,
    step: pc === 0 ? undefined : machine.hypervisor.runLoop.program.paths[pc],
  }
}

function lpisOf(hypervisor: Hypervisor): VgicIrqState[] {
  const { lpis } = hypervisor.apLists
  const found: VgicIrqState[] = []
  for (let slot = lpis.firstSlot; slot !== 0; slot = lpis.next(slot)) {
    const irq = lpis.at(slot)
    found.push(irqOf(hypervisor, irq, lpis.intidOf(irq)))
  }
  return found
}

function guestItsOf({ mmio, words }: Hypervisor, n: number): GuestItsInspection {
  const { its } = mmio.dist
  const icidOf = (slot: number): number => words[its.collections.recordOf(slot) + COLLECTION_ID]
  return {
    its: n,
    enabled: its.isEnabled(n),
    events: slotsOf(its, n, DEVICE_TABLE).flatMap((device) =>
      eventsOf(its, device).map((event) => {
        const collection = its.collectionOf(event)
        return {
          deviceId: words[its.devices.recordOf(device) + DEVICE_ID],
          eventId: its.eventIdOf(event),
          intid: its.lpis.intidOf(its.lpiOf(event)),
          collection: collection === 0 ? undefined : icidOf(collection),
        }
      }),
    ),
    collections: slotsOf(its, n, COLLECTION_TABLE).map((slot) => {
      const target = its.targetOf(slot)
      return { collection: icidOf(slot), vcpu: target === TARGET_NONE ? undefined : target }
    }),
  }
}

function vpeOf({ words, layout }: Hypervisor, vpe: number): VpeInspection {
  const at = layout.direct.vpes + vpe * VPE_STRIDE
  return {
    vpe,
    resident: words[at + VPE_RESIDENT] !== 0,
    mapped: words[at + VPE_MAPPED] !== 0,
    cpu: words[at + VPE_CPU],
    pendingLast: words[at + VPE_PENDING_LAST] !== 0,
    doorbell: words[at + VPE_DOORBELL] !== 0,
    vlpis: words[at + VPE_VLPIS],
  }
}

/** A walk through tables leaves words behind, of what it has found last; they are put back. */
function hostItsOf({ silicon, words }: Hypervisor): ItsContents[] {
  if (silicon.its.length === 0) return []
  const before = words.slice()
  const contents = silicon.its.map((its) => inspectTables(its))
  words.set(before)
  return contents
}

// As text.

const indent = (line: string): string => `       ${line}`
const listOf = (words: readonly (string | false | undefined)[]): string => words.filter(Boolean).join('  ')

function vcpuLines(vcpu: VcpuInspection): string[] {
  const { step, operation, notifier, cpu, lastCpu, shadowVmcr, liveVmcr } = vcpu
  const shadow = vmcrFields(shadowVmcr)
  const live = liveVmcr === undefined ? undefined : vmcrFields(liveVmcr)
  const place = notifier ?? (operation === undefined ? step : `guest: ${operation}`)
  const head = listOf([
    `vcpu${vcpu.vcpu}  ${vcpu.state}`,
    cpu === undefined ? `no cpu (last cpu${lastCpu})` : `cpu${cpu}`,
    `at ${place}`,
    `task ${vcpu.task}`,
    `mode ${vcpu.mode}`,
    vcpu.requests.length > 0 && `requests ${vcpu.requests.join(' ')}`,
    vcpu.waiting && 'waiting',
    vcpu.preemptOff && 'preemption off',
    vcpu.irqsOff && 'interrupts off',
  ])
  return [
    head,
    indent(`shadow VMCR  ${shadow}`),
    ...(live === undefined ? [] : [indent(`live VMCR    ${live === shadow ? 'the same' : live}`)]),
    ...vcpu.apList.map((irq) => indent(`ap_list  ${irq.name} ${irqText(irq)}`)),
    ...vcpu.listRegisters.map((text, n) => indent(`LR${n}  ${text}`)),
  ]
}

const vmcrFields = (value: string): string => describeRegister(ICH_VMCR_VIEW, Number(value) | 0, 0)

const irqText = ({ enabled, pending, active, line, trigger, priority, group, vcpu }: VgicIrqState): string =>
  [
    [pending && 'pending', active && 'active', !pending && !active && 'inactive'].filter(Boolean).join('+'),
    enabled ? 'enabled' : 'disabled',
    trigger === 'level' ? `level ${line}` : 'edge',
    `prio ${hex(priority)} group ${group}`,
    vcpu === undefined ? 'to no vCPU' : `to vcpu${vcpu}`,
  ].join(' ')

function cpuLines({ cpu, vcpu, inGuest, outputs, listRegisters }: CpuInspection): string[] {
  const runs = vcpu === undefined ? 'free' : `vcpu${vcpu}${inGuest ? ' in its guest' : ''}`
  const full = listRegisters.flatMap((text, n) => (text === 'empty' ? [] : [indent(`LR${n}  ${text}`)]))
  return [listOf([`cpu${cpu}   ${runs}`, ...outputs]), ...full]
}

const deviceLine = ({ name, state, next, step }: DeviceInspection): string =>
  listOf([name, state, next, step && `at ${step}`])

function guestItsLines({ its, enabled, events, collections }: GuestItsInspection): string[] {
  const mapped = events.map(({ deviceId, eventId, intid, collection }) =>
    indent(
      `device ${deviceId} event ${eventId}: ${intidName(intid)}, collection ${collection ?? 'unmapped'}`,
    ),
  )
  const targets = collections.map(({ collection, vcpu }) =>
    indent(`collection ${collection}: ${vcpu === undefined ? 'not mapped' : `vcpu${vcpu}`}`),
  )
  return [`guest ITS ${its}  ${enabled ? 'enabled' : 'disabled'}`, ...mapped, ...targets]
}

function vpeLine(
  { vpe, resident, mapped, cpu, pendingLast }: VpeInspection,
  pending: readonly number[],
): string {
  return listOf([
    `vPE ${vpe}`,
    mapped ? `mapped to cpu${cpu}` : 'not mapped',
    resident ? 'resident' : 'away',
    pendingLast && 'pendingLast',
    pending.length > 0 && `pending ${pending.map(intidName).join(', ')}`,
  ])
}
