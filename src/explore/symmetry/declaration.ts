/**
 * Whether what a scenario declares to be symmetric is. Each permutation must be an automorphism of the machine: if an
 * actor's step leads from one state to another, the step of the actor that takes its place leads from the one permuted to
 * the other permuted. A state violates an invariant if and only if it does permuted, since no invariant names a vCPU, a
 * device or an SPI; so to search from one state of each orbit is to search from all (Ip, Dill, "Better Verification Through
 * Symmetry"; Clarke, Grumberg, Peled, "Model Checking", chapter 14). L4, which tells the actors of a cycle apart, is not
 * checked.
 *
 * The first state is compared word by word, and so are the programs of devices and guests. What is left is that the model
 * treats alike what changes places. Where it goes by lists it does: an ap_list has its interrupts in the order in which
 * they were queued, its sort is stable, a flush fills list registers in that order, and of equal priorities the lowest
 * list register wins (IMPLEMENTATION DEFINED). Loops over the vCPUs (an SGI to all others, a VM that is stopped) do to
 * each what does not depend on those before. Where it goes by numbers it does not, and that is refused:
 * - Physical interrupts: of equal priorities the distributor forwards the lowest INTID. SPIs that are mapped to physical
 *   ones do not change places.
 * - Accesses to memory, of which the GIC's frames are a part: those to several interrupts take them in the order of their
 *   INTIDs, and their values are bitmaps. What a guest has read from a register is an INTID or a number: where SPIs change
 *   places it may read none.
 * - A directed yield asks the vCPUs in the order of their numbers: of three there is a first.
 * - LPIs, vLPIs and vSGIs lie in memory, and the lowest INTID wins: only a device that sends no message changes its place,
 *   and only vCPUs of a VM without LPIs and GICv4.
 * - A save goes through vCPUs and SPIs by number, and so does a restore of it. A design's own steps and a user's own
 *   invariants may.
 */
import { FIRST_SPI, intidName } from '../../arch/intid.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import {
  OP_MMIO_READ,
  OP_MMIO_WRITE,
  OP_POLL,
  OP_QUIESCE,
  OP_READ,
  OP_STORE,
  OP_UNLESS_ACK,
  OP_WFE,
  OP_WFET,
  OP_WORDS,
  OP_WRITE,
} from '../../hyp/records/guest-program.ts'
import { HOST_CURRENT } from '../../hyp/records/host-record.ts'
import { VCPU_PE, VCPU_SPSR } from '../../hyp/records/vcpu.ts'
import { IRQ_SHIFT } from '../../hyp/records/vgic-irq.ts'
import { MAPPED_IRQ, MAPPED_STRIDE } from '../../hyp/records/vm.ts'
import type { DeviceStep } from '../../scenario/device-builder.ts'
import type { Machine } from '../../scenario/machine.ts'
import { namedWords } from './named-words.ts'
import { type Permutation, permutationsOf } from './permutations.ts'
import { Renaming } from './renaming.ts'

const memoryOps = [OP_MMIO_READ, OP_MMIO_WRITE, OP_STORE]
const readOps = [OP_READ, OP_POLL]
const yieldOps = [OP_WFE, OP_WFET]
/** SGIs reach vCPUs of one group of 16 neighbours. */
const NEIGHBOURS = 16

/** The records of a machine without LPIs and GICv4, those that it has none of left out. */
const plainRecords = [
  'pe[<n>]',
  'distributor',
  'pendingSummary[<n>]',
  'host',
  'vm',
  'vcpu[<n>]',
  'spi[<n>]',
  'spis',
  'mapped[<n>]',
  'lpis',
  'cost[<n>]',
  'guestMemory',
  'device <n>',
  'ghost',
]

/**
 * The renamings under which a machine, which is in its first state, is the same, but for the one that renames nothing.
 * `ranges` are pairs `start, end` of the words that tell states apart. Throws an `argument` error if the scenario declares
 * none, and a `scenario` error for a declaration that is not true, or of what is not treated alike.
 */
export function renamingsOf(machine: Machine, ranges: Int32Array): Renaming[] {
  if (machine.symmetric.length === 0)
    throw new VgicError(
      'argument',
      'The scenario declares nothing to be symmetric: call symmetric(), or leave `symmetry` out.',
    )
  const permutations = permutationsOf(machine)
  const names = namedWords(machine)
  refuseNumbers(machine, permutations)
  const renamings = permutations.map((permutation) => new Renaming(machine, names, permutation))
  for (const renaming of renamings) {
    checkDevices(machine, renaming)
    checkGuests(machine, renaming)
    checkFirstState(machine, renaming, ranges)
  }
  return renamings
}

/** Refuses what goes by numbers. */
function refuseNumbers(machine: Machine, permutations: readonly Permutation[]): void {
  const { setup, isSaved, hypervisor } = machine
  const vcpusMove = permutations.some(({ vcpus }) => moves(vcpus))
  const spisMove = permutations.some(({ intids }) => moves(intids))
  if (isSaved) refuse('a device saves the VM, by the numbers of its vCPUs and SPIs.')
  if (hypervisor.runLoop.program.own.length > 0)
    refuse('the design has steps of its own, which may tell them apart.')
  refuseOps(machine, memoryOps, 'which is by the numbers of vCPUs and SPIs.')
  if (spisMove) refuseOps(machine, readOps, 'which may be an INTID.')
  for (const permutation of permutations) refuseSpis(machine, permutation)
  if (!vcpusMove) return
  refuseRecords(machine)
  if (permutations.some(({ vcpus }) => vcpus.some((to, vcpu) => vcpu >= NEIGHBOURS && to !== vcpu)))
    refuse(`only vCPUs 0 to ${NEIGHBOURS - 1} can be.`)
  if (setup.vcpus > 2)
    refuseOps(machine, yieldOps, 'at which other vCPUs are asked in the order of their numbers.')
}

const moves = (places: Int32Array): boolean => places.some((to, from) => to !== from)

function refuseOps({ setup }: Machine, refused: readonly number[], why: string): void {
  for (const [vcpu, { ops, names }] of setup.guests.entries())
    for (const [pc, name] of names.entries())
      if (refused.includes(ops[pc * OP_WORDS])) refuse(`the guest of vcpu${vcpu} does "${name}", ${why}`)
}

function refuseSpis({ hypervisor }: Machine, { intids }: Permutation): void {
  const { layout, words } = hypervisor
  for (let row = 0; row < layout.mappedCount; row++) {
    const irq = words[layout.mapped + row * MAPPED_STRIDE + MAPPED_IRQ]
    const intid = FIRST_SPI + ((irq - layout.spis) >> IRQ_SHIFT)
    if (intids[intid] !== intid) refuse(`${intidName(intid)} is mapped to a physical one.`)
  }
  for (const [from, to] of intids.entries())
    if (from >> 5 !== to >> 5)
      refuse(`${intidName(from)} and ${intidName(to)} are not of the same 32: choose others.`)
}

function refuseRecords({ hypervisor }: Machine): void {
  const { layout, fixed } = hypervisor.state
  if (hypervisor.layout.mappedCount > 0)
    refuse('vCPUs can only be in a VM without SPIs that are mapped to physical ones.')
  for (const { record, base, count } of layout.placements)
    if (base >= fixed && count > 0 && !plainRecords.includes(record.name))
      refuse(
        `vCPUs can only be on a machine without LPIs and GICv4, but this has ${record.name.replace('<n>', '0')}.`,
      )
}

function checkDevices({ devices }: Machine, renaming: Renaming): void {
  for (const [index, to] of renaming.permutation.devices.entries()) {
    const [device, other] = [devices[index], devices[to]]
    for (let n = 0; n < Math.max(device.steps.length, other.steps.length); n++) {
      const [step, its] = [device.steps[n], other.steps[n]]
      if (index !== to && step?.msi) refuse(`device ${device.name} ${step.name}.`)
      if (step && its && isRenamed(step, its, renaming)) continue
      refuse(
        `device ${device.name} ${step?.name ?? 'is done'} where ${other.name} ${its?.name ?? 'is done'}.`,
      )
    }
  }
}

function isRenamed(step: DeviceStep, its: DeviceStep, renaming: Renaming): boolean {
  return (
    step.msi === its.msi &&
    step.signal === its.signal &&
    step.levels.join() === its.levels.join() &&
    renaming.intid(step.intid) === its.intid &&
    (step.intid >= FIRST_SPI || renaming.permutation.vcpus[step.vcpu] === its.vcpu)
  )
}

function checkGuests({ setup }: Machine, renaming: Renaming): void {
  for (const [index, to] of renaming.permutation.vcpus.entries()) {
    const [guest, other] = [setup.guests[index], setup.guests[to]]
    if (guest.onIrq !== other.onIrq || guest.onFiq !== other.onFiq)
      refuse(`the handlers of vcpu${index} and vcpu${to} begin at different operations.`)
    for (let at = 0; at < Math.max(guest.ops.length, other.ops.length); at += OP_WORDS) {
      if (isRenamedOp(guest.ops.subarray(at, at + OP_WORDS), other.ops.subarray(at, at + OP_WORDS), renaming))
        continue
      const [does, others] = [guest, other].map(({ names }) => names[at / OP_WORDS] ?? 'nothing')
      const apart = index === to ? ', which tells them apart' : ` where that of vcpu${to} does "${others}"`
      refuse(`the guest of vcpu${index} does "${does}"${apart}.`)
    }
  }
}

function isRenamedOp(op: Int32Array, other: Int32Array, renaming: Renaming): boolean {
  const renamed = op.slice()
  if (op[0] === OP_UNLESS_ACK || op[0] === OP_QUIESCE) renamed[1] = renaming.intid(op[1])
  if (op[0] === OP_WRITE) renamed[2] = renaming.operand(op[1], op[2], op[3])
  return renamed.length === other.length && renamed.every((word, i) => word === other[i])
}

/**
 * The first state is as it was when everything has changed places: all that was set up is. Of vCPUs that share a CPU one
 * is there first, which is no matter: a permutation need not lead to the first state, but from a state to another.
 */
function checkFirstState(machine: Machine, renaming: Renaming, ranges: Int32Array): void {
  const { words, state } = machine.hypervisor
  const renamed = words.slice()
  renaming.apply(renamed)
  const free = whoRunsFirst(machine)
  for (let r = 0; r < ranges.length; r += 2) {
    for (let at = ranges[r]; at < ranges[r + 1]; at++) {
      if (renamed[at] === words[at] || free.has(at)) continue
      const { layout } = state
      refuse(
        `${layout.nameOf(renaming.to.indexOf(at))} and ${layout.nameOf(at)} begin with different values.`,
      )
    }
  }
}

/** The words that say which vCPU is on a CPU; PSTATE is there or, of one that is on none, in its record. */
function whoRunsFirst({ hypervisor, setup }: Machine): ReadonlySet<number> {
  const { scheduler, config } = hypervisor
  const current = Array.from({ length: config.cpus }, (_, cpu) => scheduler.host + HOST_CURRENT + cpu)
  const vcpus = Array.from({ length: setup.vcpus }, (_, index) => hypervisor.vcpu(index))
  return new Set([...current, ...vcpus.flatMap((v) => [v + VCPU_PE, v + VCPU_SPSR])])
}

function refuse(why: string): never {
  throw new VgicError('scenario', `What symmetric() declares is not: ${why}`)
}
