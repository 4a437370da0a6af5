/**
 * Evaluates the conditions under which an interrupt is delivered to a vCPU's guest, and says which state decides
 * each.
 */

import {
  LR_ACTIVE,
  LR_Group,
  LR_PENDING,
  LR_Priority,
  LR_State,
  VMCR_VENG0,
  VMCR_VENG1,
  VMCR_VPMR,
} from '../../arch/ich-registers.ts'
import { FIRST_LPI, FIRST_SPI, type Intid, intidName } from '../../arch/intid.ts'
import { hex } from '../../errors/printed.ts'
import { PRIORITY_IDLE } from '../../gic/cpu-interface/cpu-interface.ts'
import { DAIF_F, DAIF_I } from '../../gic/cpu-interface/pcpu.ts'
import { ICH_LR } from '../../gic/cpu-interface/virtual-interface.ts'
import type { Pe } from '../../gic/records/pe.ts'
import { DIRECT } from '../../gic/vpe/vpe-records.ts'
import type { Hypervisor } from '../hypervisor.ts'
import { peOf, VCPU_HCR, VCPU_INDEX, VCPU_VMCR, type Vcpu } from '../records/vcpu.ts'
import {
  IRQ_ACTIVE,
  IRQ_EDGE,
  IRQ_ENABLED,
  IRQ_LATCH,
  IRQ_LINE,
  type Irq,
  irqApListOf,
  irqIsPending,
  irqListRegister,
  irqTarget,
  TARGET_NONE,
} from '../records/vgic-irq.ts'
import { VM_ENABLED } from '../records/vm.ts'
import { THREAD_ENDED, THREAD_SLEEPS } from '../run/thread-states.ts'
import { OVERFLOW_INTERRUPTS } from '../vgic/vgic-v3.ts'
import type { DeliveryCondition } from './delivery-reasons.ts'
import {
  fillListRegisters,
  foldBack,
  guestMasks,
  keepsListRegisters,
  peek,
  prepareEntry,
} from './next-entry.ts'

/** The facts that decide the conditions. */
export interface DeliveryFacts {
  readonly intid: Intid
  readonly vcpu: number
  readonly isInGuest: boolean
  /** Whether the guest continues with its current list registers: see {@link keepsListRegisters}. */
  readonly keeps: boolean
  /** The interrupt's word, with the state that list registers have. */
  readonly word: number
  /** One more than the vCPU on whose ap_list it is; 0 for none. */
  readonly listOf: number
  readonly distributorOn: boolean
  /** The valid list registers of the guest, now or at its next entry. */
  readonly listRegisters: readonly ListRegister[]
  /** The one of them that has the interrupt. */
  readonly own: ListRegister | undefined
  /** What has the highest priority pending interrupt of an enabled group: one of them or, on GICv4, a direct interrupt. */
  readonly first: ListRegister | undefined
  /** Whether some interrupts did not fit when the list registers were filled. */
  readonly overflowed: boolean
  readonly vmcr: number
  readonly runningPriority: number
  /** Whether it preempts the running priority. */
  readonly preempts: boolean
  /** PSTATE.I and F, DAIF_ bits. */
  readonly masks: number
  readonly isOff: boolean
  readonly isAsleep: boolean
  /** What runnable() says of the vCPU, and the priority mask that it uses. */
  readonly isRunnable: boolean
  readonly shadowMask: number
}

/** In place of the number of a list register: a direct interrupt has none. */
const NOT_A_LIST_REGISTER = -1

interface ListRegister {
  readonly number: number
  readonly intid: Intid
  readonly high: number
}

/** Collects the facts about an interrupt that exists, and a vCPU. */
export function deliveryFacts(hypervisor: Hypervisor, v: Vcpu, intid: Intid, irq: Irq): DeliveryFacts {
  const { words, apLists, layout, runLoop, silicon } = hypervisor
  const keeps = keepsListRegisters(hypervisor, v)
  const owner = irqApListOf(words[irq])
  const word = peek(hypervisor, () => {
    if (owner !== 0) foldBack(hypervisor, apLists.vcpuOf(owner - 1))
    if (!keeps) prepareEntry(hypervisor, v)
    return words[irq]
  })
  const thread = runLoop.threadState(v)
  const inMemory = {
    intid,
    vcpu: words[v + VCPU_INDEX],
    isInGuest: keeps && silicon.pcpu.isInGuest(peOf(words, v)),
    keeps,
    word,
    distributorOn: words[layout.vm + VM_ENABLED] !== 0,
    isOff: thread === THREAD_ENDED,
    isAsleep: thread === THREAD_SLEEPS,
    isRunnable: hypervisor.halt.runnable(hypervisor.words, v),
    shadowMask: VMCR_VPMR(words[v + VCPU_VMCR]),
  }
  return peek(hypervisor, () => {
    if (!keeps) prepareEntry(hypervisor, v)
    const listOf = irqApListOf(words[irq])
    if (!keeps) fillListRegisters(hypervisor, v)
    return { ...inMemory, listOf, ...interfaceFacts(hypervisor, v, intid, word) }
  })
}

/** The facts from the virtual CPU interface of a vCPU's PE. */
function interfaceFacts(hypervisor: Hypervisor, v: Vcpu, intid: Intid, word: number) {
  const { words, silicon } = hypervisor
  const { virtualInterface } = silicon
  const pe = peOf(words, v)
  const listRegisters = validListRegisters(hypervisor, pe)
  const own = listRegisters.find((lr) => lr.intid === intid)
  const vmcr = silicon.ich.readVmcr(pe)
  const runningPriority = virtualInterface.runningPriority(words, pe)
  const isIdle = runningPriority === PRIORITY_IDLE
  return {
    listRegisters,
    own,
    first: firstOf(hypervisor, pe, listRegisters),
    overflowed: (words[v + VCPU_HCR] & OVERFLOW_INTERRUPTS) !== 0,
    vmcr,
    runningPriority,
    preempts:
      isIdle || virtualInterface.preemptsRunning(vmcr, own?.high ?? irqListRegister(word), runningPriority),
    masks: guestMasks(hypervisor, v),
  }
}

/** What the virtual CPU interface would give first: a list register's interrupt or, on GICv4, a direct one. */
function firstOf(
  { words, silicon }: Hypervisor,
  pe: Pe,
  listRegisters: readonly ListRegister[],
): ListRegister | undefined {
  const at = silicon.virtualInterface.highestPending(pe)
  if (at === 0) return undefined
  const number = (at - pe - ICH_LR) >> 1
  const own = listRegisters.find((lr) => lr.number === number)
  return own ?? { number: NOT_A_LIST_REGISTER, intid: words[at - 1] & ~DIRECT, high: words[at] }
}

function validListRegisters({ silicon, config }: Hypervisor, pe: Pe): ListRegister[] {
  return Array.from({ length: config.listRegisters }, (_, number) => ({
    number,
    intid: silicon.ich.readLrLow(pe, number),
    high: silicon.ich.readLrHigh(pe, number),
  })).filter(({ high }) => LR_State(high) !== 0)
}

/**
 * The conditions in their order. While the guest continues with a list register that has the interrupt, the list
 * register decides, and later changes in memory do not count.
 */
export function deliveryConditions(facts: DeliveryFacts): DeliveryCondition[] {
  return [...interruptConditions(facts), ...interfaceConditions(facts), ...vcpuConditions(facts)]
}

function interruptConditions(facts: DeliveryFacts): DeliveryCondition[] {
  const { intid, vcpu, word, listOf, keeps, own, overflowed } = facts
  const placed = keeps ? own : undefined
  const inPlace = placed && `in list register ${placed.number}`
  const unlessPlaced = (
    name: DeliveryCondition['name'],
    holds: boolean,
    detail: string,
  ): DeliveryCondition =>
    !holds && placed
      ? { name, holds: true, detail: `${detail}, but it is ${inPlace} since` }
      : { name, holds, detail }
  const isEnabled = (word & IRQ_ENABLED) !== 0
  const isActive = ((placed ? placed.high & LR_ACTIVE : word & IRQ_ACTIVE) | 0) !== 0
  const isPending = placed ? (placed.high & LR_PENDING) !== 0 : irqIsPending(word)
  const target = intid < FIRST_SPI ? vcpu : irqTarget(word)
  const list = listOf === 0 ? 'on no ap_list' : `on the ap_list of vcpu${listOf - 1}`
  const isTold = !keeps || placed !== undefined || overflowed
  return [
    { name: 'exists', holds: true, detail: intidName(intid) },
    unlessPlaced('enabled', isEnabled, enabledText(intid, isEnabled)),
    {
      name: 'inactive',
      holds: !isActive,
      detail: placed ? `${isActive ? '' : 'not '}active ${inPlace}` : activeText(intid, isActive),
    },
    {
      name: 'pending',
      holds: isPending,
      detail: placed ? `${isPending ? '' : 'not '}pending ${inPlace}` : pendingText(word),
    },
    unlessPlaced(
      'distributor',
      facts.distributorOn,
      `GICD_CTLR.EnableGrp1 is ${facts.distributorOn ? 1 : 0}`,
    ),
    unlessPlaced('target', target === vcpu, targetText(facts, target)),
    unlessPlaced('ap_list', listOf === vcpu + 1, list),
    {
      name: 'told',
      holds: isTold,
      detail: isTold ? 'no list register was filled without it' : 'the list registers were filled without it',
    },
    {
      name: 'list register',
      // While its group is off, it would not be signalled from one.
      holds: own !== undefined || !isGroupOn(facts),
      detail: own ? `in list register ${own.number}` : `valid are: ${listText(facts)}`,
    },
  ]
}

function interfaceConditions(facts: DeliveryFacts): DeliveryCondition[] {
  const { own, first, vmcr, runningPriority, preempts } = facts
  const high = highOf(facts)
  const group = high & LR_Group ? 1 : 0
  const isOn = isGroupOn(facts)
  const priority = LR_Priority(high)
  const isFirst = !first || first === own || (!own && priority < LR_Priority(first.high))
  return [
    {
      name: 'group',
      holds: isOn,
      detail: `group ${group}; ICC_IGRPEN${group}_EL1 is ${isOn ? 1 : 0}`,
    },
    {
      name: 'priority mask',
      holds: priority < VMCR_VPMR(vmcr),
      detail: `priority ${hex(priority)}; ICC_PMR_EL1 is ${hex(VMCR_VPMR(vmcr))}`,
    },
    { name: 'running priority', holds: preempts, detail: `ICC_RPR_EL1 is ${hex(runningPriority)}` },
    {
      name: 'first',
      holds: isFirst,
      detail:
        isFirst || !first
          ? 'no other is before it'
          : `${intidName(first.intid)} is, with ${hex(LR_Priority(first.high))}`,
    },
  ]
}

function vcpuConditions(facts: DeliveryFacts): DeliveryCondition[] {
  const { isOff, isAsleep, isRunnable, shadowMask, masks } = facts
  const isGroup1 = (highOf(facts) & LR_Group) !== 0
  const isMasked = (masks & (isGroup1 ? DAIF_I : DAIF_F)) !== 0
  return [
    { name: 'on', holds: !isOff, detail: isOff ? 'its thread has ended' : 'its thread goes on' },
    {
      name: 'awake',
      holds: !isAsleep,
      detail: isAsleep
        ? `its thread sleeps; runnable() says ${isRunnable ? 'yes' : 'no'}, by priority mask ${hex(shadowMask)}`
        : 'its thread does not sleep',
    },
    { name: 'PSTATE', holds: !isMasked, detail: `PSTATE.${isGroup1 ? 'I' : 'F'} is ${isMasked ? 1 : 0}` },
  ]
}

/** The upper word of its list register, or the one that it would have. */
const highOf = ({ own, word }: DeliveryFacts): number => own?.high ?? irqListRegister(word)

const isGroupOn = (facts: DeliveryFacts): boolean =>
  (facts.vmcr & (highOf(facts) & LR_Group ? VMCR_VENG1 : VMCR_VENG0)) !== 0

/** `GICD_ISENABLER1 bit 8 is 1`: the bit of the guest's register. */
function bit(intid: Intid, register: string, isSet: boolean): string {
  const name = intid < FIRST_SPI ? `GICR_${register}0` : `GICD_${register}${intid >> 5}`
  return `${name} bit ${intid & 31} is ${isSet ? 1 : 0}`
}

/** An LPI is enabled in the guest's memory, and the vGIC has what it read there last: at MAPTI, INV or INVALL. */
const enabledText = (intid: Intid, isEnabled: boolean): string =>
  intid < FIRST_LPI
    ? bit(intid, 'ISENABLER', isEnabled)
    : `${isEnabled ? 'enabled' : 'disabled'} in its configuration, as last read from the guest's memory`

/** An LPI has no active state that a register would show. */
const activeText = (intid: Intid, isActive: boolean): string =>
  intid < FIRST_LPI ? bit(intid, 'ISACTIVER', isActive) : `it is ${isActive ? '' : 'not '}active`

function pendingText(word: number): string {
  if (word & IRQ_EDGE) return word & IRQ_LATCH ? 'an edge is latched' : 'no edge is latched'
  return `the line is ${word & IRQ_LINE ? 'high' : 'low'}${word & IRQ_LATCH ? ', and software has made it pending' : ''}`
}

function targetText({ intid }: DeliveryFacts, target: number): string {
  if (intid < FIRST_SPI) return 'it is private'
  const where = target === TARGET_NONE ? 'no vCPU' : `vcpu${target}`
  return intid < FIRST_LPI ? `GICD_IROUTER${intid} names ${where}` : `it goes to ${where}`
}

function listText({ listRegisters }: DeliveryFacts): string {
  const texts = listRegisters.map(({ intid, high }) => `${intidName(intid)} at ${hex(LR_Priority(high))}`)
  return texts.length === 0 ? 'none' : texts.join(', ')
}
