/**
 * Why a CPU does, or does not, get a physical interrupt: a chain of conditions from the interrupt's own state through
 * the distributor or the redistributor's LPIs to the CPU interface and PSTATE. All must hold; the first that does not is
 * the reason. The state does not change. A message from its ITS on is explain-msi.ts, a guest's interrupt is the
 * hypervisor's explain.ts.
 */

import { HCR_EL2_FMO, HCR_EL2_IMO } from '../arch/hcr-el2.ts'
import { FIRST_LPI, FIRST_SPI, intidName } from '../arch/intid.ts'
import { conditionTable, link } from './condition-table.ts'
import { DAIF_F, DAIF_I, PCPU_HCR_EL2 } from './cpu-interface/pcpu.ts'
import {
  type Candidate,
  distributorLink,
  interfaceLinks,
  lpiCandidate,
  lpiLinks,
  takenLinks,
} from './delivery-links.ts'
import { type InterruptCondition, type InterruptReason, interruptReasons } from './interrupt-reasons.ts'
import { pendingOf, priorityOf } from './interrupts/interrupt-block.ts'
import type { Lpis } from './lpi/lpis.ts'
import { ACTIVE, DISABLING, EDGE, ENABLE, GROUP, LATCH, LINE } from './records/interrupts.ts'
import type { Silicon } from './silicon.ts'

/** Why a CPU does, or does not, get an interrupt. It prints as a table. */
export class InterruptExplanation {
  /** Whether the CPU's IRQ or FIQ output is high for it, whatever PSTATE masks. */
  readonly signalled: boolean
  /** Whether all conditions hold. */
  readonly taken: boolean
  /** The reason of the first condition that does not hold, or `taken`. */
  readonly reason: InterruptReason
  /** The conditions in order; only the first for an interrupt that does not exist. */
  readonly conditions: readonly InterruptCondition[]

  /** @internal */
  constructor(
    /** The INTID. */
    readonly intid: number,
    /** The CPU. */
    readonly cpu: number,
    links: readonly Link[],
  ) {
    const broken = links.find(({ holds }) => !holds)
    this.taken = broken === undefined
    this.reason = broken?.reason ?? 'taken'
    this.signalled = broken === undefined || broken.reason === 'pstate-masked'
    this.conditions = links.map(({ name, holds, detail }) => ({ name, holds, detail }))
  }

  /** `SPI 40 at CPU 0: asleep`, what that means, and the conditions, one a line. */
  toString(): string {
    const { intid, cpu, reason, conditions } = this
    return conditionTable(
      `${intidName(intid)} at CPU ${cpu}: ${reason}. ${interruptReasons[reason]}`,
      conditions,
    )
  }

  /** The table, for Node's util.inspect. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

interface Link extends InterruptCondition {
  readonly reason: InterruptReason
}

/** Explains an interrupt to a CPU; `cpu` left out means the one that it goes to. */
export function explainInterrupt(silicon: Silicon, intid: number, cpu?: number): InterruptExplanation {
  const at = cpu ?? targetOf(silicon, intid) ?? 0
  const links = intid >= FIRST_LPI ? linksOfLpi(silicon, intid, at) : wiredLinks(silicon, intid, at)
  return new InterruptExplanation(intid, at, links)
}

/** The CPU that an interrupt goes to: by its route, or the one where an LPI is pending; undefined if there is none. */
export function targetOf(silicon: Silicon, intid: number): number | undefined {
  const { physical, lpis, config } = silicon
  if (intid < FIRST_SPI) return 0
  if (intid < FIRST_LPI) {
    const cpu = physical.affinities.cpuOf(physical.readRoute(intid))
    return cpu < 0 ? undefined : cpu
  }
  const cpus = Array.from({ length: config.cpus }, (_, cpu) => cpu)
  const lpi = intid - FIRST_LPI
  return cpus.find((cpu) => lpis?.isPending(cpu, lpi)) ?? cpus.find((cpu) => lpis?.takes(cpu, lpi))
}

const missing = (detail: string): Link[] => [link('exists', false, detail, 'no-such-interrupt')]

const lastLpi = ({ existing }: Lpis): number => FIRST_LPI + existing - 1

/** Of an SGI, a PPI or an SPI. */
function wiredLinks(silicon: Silicon, intid: number, cpu: number): Link[] {
  const { physical, words } = silicon
  const block = physical.blockFor(physical.peOf(cpu), intid)
  if (block === 0) {
    const lpis = silicon.lpis ? `, and LPIs ${FIRST_LPI} to ${lastLpi(silicon.lpis)}` : ''
    return missing(`there are INTIDs 0 to ${physical.end - 1}${lpis}`)
  }
  const n = intid & 31
  const bit = (word: number): boolean => ((words[block + word] >>> n) & 1) !== 0
  const group = bit(GROUP) ? 1 : 0
  return [
    link('exists', true, intidName(intid), 'taken'),
    link(
      'enabled',
      bit(ENABLE) || bit(DISABLING),
      enabledText(intid, bit(ENABLE), bit(DISABLING)),
      'disabled',
    ),
    link('inactive', !bit(ACTIVE), bitText(intid, 'ISACTIVER', bit(ACTIVE)), 'active'),
    link(
      'pending',
      ((pendingOf(words, block) >>> n) & 1) !== 0,
      pendingText(bit(EDGE), bit(LATCH), bit(LINE)),
      'not-pending',
    ),
    ...deliveryLinks(silicon, cpu, { intid, group, priority: priorityOf(words, block, n) }),
  ]
}

/** Of an LPI, from the redistributor on. */
function linksOfLpi(silicon: Silicon, intid: number, cpu: number): Link[] {
  const { lpis } = silicon
  const lpi = intid - FIRST_LPI
  if (!lpis || lpi >= lpis.existing) {
    return missing(lpis ? `LPIs are INTIDs ${FIRST_LPI} to ${lastLpi(lpis)}` : 'this GIC has no LPIs')
  }
  const links: Link[] = [link('exists', true, intidName(intid), 'taken'), ...takenLinks(lpis, cpu, intid)]
  if (links.some(({ holds }) => !holds)) return links
  return [
    ...links,
    ...lpiLinks(lpis, cpu, intid),
    ...deliveryLinks(silicon, cpu, lpiCandidate(lpis, cpu, intid)),
  ]
}

/** From the distributor to the CPU. */
function deliveryLinks(silicon: Silicon, cpu: number, candidate: Candidate): Link[] {
  const { intid, group } = candidate
  return [
    distributorLink(silicon, group),
    ...(intid < FIRST_SPI || intid >= FIRST_LPI ? [] : [routeLink(silicon, intid, cpu)]),
    ...interfaceLinks(silicon, cpu, candidate),
    pstateLink(silicon, cpu, group),
  ]
}

function routeLink({ physical }: Silicon, intid: number, cpu: number): Link {
  const affinity = physical.readRoute(intid)
  const target = physical.affinities.cpuOf(affinity)
  const detail = `GICD_IROUTER${intid} is ${affinityText(affinity)}, ${target < 0 ? 'no CPU' : `CPU ${target}`}`
  return link('route', target === cpu, detail, 'routed-elsewhere')
}

/** `0.0.0.1`: Aff3 to Aff0. */
export const affinityText = (affinity: number): string =>
  [24, 16, 8, 0].map((shift) => (affinity >>> shift) & 0xff).join('.')

/** Group 0 is signalled as FIQ and group 1 as IRQ, which HCR_EL2 routes to EL2 whatever PSTATE masks below it. */
function pstateLink({ pcpu, words, physical }: Silicon, cpu: number, group: 0 | 1): Link {
  const pe = physical.peOf(cpu)
  const route = group === 1 ? HCR_EL2_IMO : HCR_EL2_FMO
  const isRouted = pcpu.isInGuest(pe) && (words[pe + PCPU_HCR_EL2] & route) !== 0
  const isMasked = (pcpu.masks(pe) & (group === 1 ? DAIF_I : DAIF_F)) !== 0
  const detail = isRouted
    ? `HCR_EL2.${group === 1 ? 'IMO' : 'FMO'} takes it to EL2`
    : `PSTATE.${group === 1 ? 'I' : 'F'} is ${isMasked ? 1 : 0}, by setMasks() or a reset`
  return link('PSTATE', isRouted || !isMasked, detail, 'pstate-masked')
}

/** `GICD_ISENABLER1 bit 8 is 1`. */
function bitText(intid: number, register: string, isSet: boolean): string {
  const name = intid < FIRST_SPI ? `GICR_${register}0` : `GICD_${register}${intid >> 5}`
  return `${name} bit ${intid & 31} is ${isSet ? 1 : 0}`
}

const enabledText = (intid: number, isEnabled: boolean, isDisabling: boolean): string =>
  `${bitText(intid, 'ISENABLER', isEnabled)}${isDisabling ? ', and its disabling is under way: RWP' : ''}`

function pendingText(isEdge: boolean, isLatched: boolean, isHigh: boolean): string {
  const line = `the line is ${isHigh ? 'high' : 'low'}`
  if (isEdge) return `edge-triggered: ${isLatched ? 'an edge is latched' : 'no edge is latched'}, ${line}`
  return `level-sensitive: ${line}${isLatched ? ', and software has made it pending' : ''}`
}
