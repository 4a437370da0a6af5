/**
 * The part of a chain that is a vLPI's: from its vPE to the virtual IRQ line of the CPU that the vPE is mapped to. It
 * ends where the vPE is not resident, with what its doorbell does about that: what follows is another vCPU's.
 */
import { GICR_VPENDBASER_HIGH_VGrp1En } from '../arch/gicr-registers.ts'
import {
  HCR_DVIM,
  HCR_En,
  LR_Group,
  LR_PRIORITY_SHIFT,
  VMCR_VENG1,
  VMCR_VPMR,
} from '../arch/ich-registers.ts'
import { FIRST_LPI, INTID_NONE, intidName } from '../arch/intid.ts'
import { hex } from '../errors/printed.ts'
import { link } from './condition-table.ts'
import { PRIORITY_IDLE } from './cpu-interface/cpu-interface.ts'
import type { VirtualInterface } from './cpu-interface/virtual-interface.ts'
import { configurationLink } from './delivery-links.ts'
import type { Link } from './msi-reasons.ts'
import { ICH_HCR, ICH_LR, ICH_VMCR, type Pe } from './records/pe.ts'
import {
  BECOMING_RESIDENT,
  DIRECT,
  GICR_VPENDBASER,
  LEAVING,
  RESIDENT,
  VPE_RESIDENCY,
} from './vpe/vpe-records.ts'
import type { VpeDoorbellState, Vpes } from './vpe/vpes.ts'

/** The way to the guest. */
export interface InterfacePath {
  readonly virtualInterface: VirtualInterface
  peOf(cpu: number): Pe
}

/** A vLPI of the vPE that is named, where the vPE is mapped, and on GICv4.0 the doorbell of the event. */
interface Vlpi {
  readonly cpu: number
  readonly intid: number
  readonly doorbell: number
}

const doorbellTexts: Readonly<Record<VpeDoorbellState, string>> = {
  pending: 'has rung and is pending',
  'under-way': 'has rung and is under way',
  requested: 'is requested and has not rung',
  idle: 'is not requested, or has rung and was acknowledged',
}

/** The links behind that of the vPE. */
export function vlpiLinks(vpes: Vpes, path: InterfacePath, vlpi: Vlpi, translated: Link): Link[] {
  const { cpu, intid } = vlpi
  const index = intid - FIRST_LPI
  const count = vpes.vlpisAt(cpu)
  const room =
    count === 0
      ? 'the vPE has no virtual pending table'
      : `INTID ${intid}; VPT_size is for INTIDs below ${FIRST_LPI + count}`
  const range = link('range', index >>> 0 < count, room, 'intid-out-of-range')
  if (!range.holds) return [range]
  const isPending = vpes.isPending(cpu, index)
  const resident = residentLink(vpes, cpu)
  return [
    range,
    translated,
    configurationLink(vpes.lpis.configuration, vpes.byteKnown(cpu, index), vpes.byteInMemory(cpu, index)),
    link('pending', isPending, isPending ? 'it is' : 'it is not', 'not-pending'),
    resident,
    ...(resident.holds ? presentedLinks(vpes, path, cpu, intid) : [doorbellLink(vpes, vlpi)]),
  ]
}

function residentLink(vpes: Vpes, cpu: number): Link {
  const residency = vpes.isAt(cpu) ? vpes.words[vpes.resident.recordOf(cpu) + VPE_RESIDENCY] : 0
  return link('resident', residency === RESIDENT, residencyText(vpes, cpu, residency), 'not-resident')
}

function residencyText(vpes: Vpes, cpu: number, residency: number): string {
  if (residency === RESIDENT) return `on CPU ${cpu}`
  if (residency === BECOMING_RESIDENT) return `it becomes so on CPU ${cpu}: GICR_VPENDBASER.Dirty`
  if (residency === LEAVING) return `it leaves CPU ${cpu}: GICR_VPENDBASER.Dirty`
  const other = vpes.otherThan(cpu)
  return other < 0 ? 'on no CPU' : `on CPU ${other}, and mapped to CPU ${cpu}`
}

/** What tells software of the vLPI while its vPE is not resident. */
function doorbellLink(vpes: Vpes, { cpu, doorbell }: Vlpi): Link {
  const intid = vpes.byVpeid ? vpes.table.doorbell : doorbell
  if (intid === INTID_NONE) return link('doorbell', false, 'there is none', 'not-resident')
  const state = vpes.doorbellState(cpu, intid)
  const detail = `${intidName(intid)} ${doorbellTexts[state]}`
  return link('doorbell', state === 'pending', detail, 'not-resident')
}

/** From the redistributor to the virtual IRQ line. */
function presentedLinks(vpes: Vpes, path: InterfacePath, cpu: number, intid: number): Link[] {
  const { words } = vpes
  const pe = path.peOf(cpu)
  const group = words[vpes.resident.recordOf(cpu) + GICR_VPENDBASER + 1] & GICR_VPENDBASER_HIGH_VGrp1En
  const hcr = words[pe + ICH_HCR]
  const presented = link(
    'presented',
    group !== 0,
    bitOf('GICR_VPENDBASER.VGrp1En', group),
    'virtual-group-off',
  )
  const priority = vpes.lpis.configuration.priorityOf(vpes.byteKnown(cpu, intid - FIRST_LPI))
  return [
    ...(vpes.byVpeid ? [presented] : []),
    link('interface', (hcr & HCR_En) !== 0, bitOf('ICH_HCR_EL2.En', hcr & HCR_En), 'interface-off'),
    link('injection', (hcr & HCR_DVIM) === 0, bitOf('ICH_HCR_EL2.DVIM', hcr & HCR_DVIM), 'injection-off'),
    ...priorityLinks(path.virtualInterface, pe, intid, priority),
  ]
}

const bitOf = (name: string, bit: number): string => `${name} is ${bit === 0 ? 0 : 1}`

/** At the virtual CPU interface, which weighs it with what list registers have. */
function priorityLinks(virtualInterface: VirtualInterface, pe: Pe, intid: number, priority: number): Link[] {
  const { words } = virtualInterface
  const vmcr = words[pe + ICH_VMCR]
  const at = virtualInterface.highestPending(pe)
  const isFirst = at !== 0 && words[at - 1] === (intid | DIRECT)
  const running = virtualInterface.runningPriority(words, pe)
  const asListRegister = LR_Group | (priority << LR_PRIORITY_SHIFT)
  const preempts =
    running === PRIORITY_IDLE || virtualInterface.preemptsRunning(vmcr, asListRegister, running)
  return [
    link('group', (vmcr & VMCR_VENG1) !== 0, bitOf('ICH_VMCR_EL2.VENG1', vmcr & VMCR_VENG1), 'group-off'),
    link('first', isFirst, firstText(words, pe, at), 'outranked'),
    link(
      'priority mask',
      priority < VMCR_VPMR(vmcr),
      `priority ${hex(priority)}; ICH_VMCR_EL2.VPMR is ${hex(VMCR_VPMR(vmcr))}`,
      'priority-masked',
    ),
    link('running priority', preempts, `the guest's ICC_RPR_EL1 is ${hex(running)}`, 'running-priority'),
  ]
}

/** The highest priority pending virtual interrupt: a list register's, or a direct one. */
function firstText(words: Int32Array, pe: Pe, at: number): string {
  if (at === 0) return 'none is'
  const intid = words[at - 1]
  if (intid & DIRECT) return `v${intidName(intid & ~DIRECT)} is`
  return `${intidName(intid)} is, in list register ${(at - 1 - pe - ICH_LR) >> 1}`
}
