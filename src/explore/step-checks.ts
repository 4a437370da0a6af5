/**
 * Checks after each step the invariants that it can violate. A step that writes only its thread's and its vCPU's
 * words, or its PE's without entering the guest, can violate only the invariants about questions and about the
 * context of a step; with GICv4 loads and the scheduler's steps those about vPEs, too.
 */

import type { Hypervisor } from '../hyp/hypervisor.ts'
import { VCPU_AP_COUNT, type Vcpu } from '../hyp/records/vcpu.ts'
import { irqApListOf } from '../hyp/records/vgic-irq.ts'
import type { Actor, Machine } from '../scenario/machine.ts'
import { AcknowledgeInvariants } from './acknowledge-invariants.ts'
import type { OwnInvariant } from './bounds.ts'
import type { Changes } from './changes.ts'
import { DeactivationInvariants } from './deactivation-invariants.ts'
import { ImageInvariants } from './image-invariants.ts'
import { argumentInvariants, InvariantChecker, type InvariantId, invariants } from './invariants.ts'
import { LpiInvariants } from './lpi-invariants.ts'
import { ResidencyInvariants } from './residency-invariants.ts'
import { StepContexts } from './step-context.ts'
import {
  ASKS,
  ASKS_OWN_RUNNABLE,
  DEACTIVATES,
  ENTERS,
  FLUSHES,
  FOLDS,
  HAS_NEEDS,
  IS_OWN,
  RESTORES,
  SAVES,
  WRITES,
  WRITES_ALL,
  WRITES_GUEST,
  WRITES_LISTS,
  WRITES_LOAD,
  WRITES_NOTIFY,
  WRITES_PE,
  WRITES_QUEUE,
  WRITES_SCHED,
  WRITES_VCPU,
} from './step-kind.ts'

/** An invariant that is violated, and what is wrong; of a user's own, that too. */
export type ViolatedInvariant = readonly [InvariantId, string] | readonly ['own', string, OwnInvariant]

/** What a word says of the lists of interrupts: nothing, on which list its interrupt is, or how many one has. */
const NO_ROLE = 0
const NAMES_LIST = 1
const COUNTS = 2

/** The flags of a kind of which each asks for something to be checked, whatever else the step may write. */
const ASKS_FOR_CHECKS =
  HAS_NEEDS | ASKS | ASKS_OWN_RUNNABLE | DEACTIVATES | FLUSHES | FOLDS | SAVES | RESTORES | ENTERS | IS_OWN
/** By bit, the WRITES_ values of steps after which the state is checked. */
const CHANGES_STATE =
  (1 << WRITES_ALL) | (1 << WRITES_GUEST) | (1 << WRITES_QUEUE) | (1 << WRITES_NOTIFY) | (1 << WRITES_LISTS)

const changesState = (kind: number): boolean => ((CHANGES_STATE >> (kind & WRITES)) & 1) !== 0

export class StepChecks {
  /** Whether each invariant is checked. */
  readonly checked: Readonly<Record<InvariantId, boolean>>
  private readonly hypervisor: Hypervisor
  private readonly checker: InvariantChecker
  private readonly acknowledges: AcknowledgeInvariants
  private readonly deactivations: DeactivationInvariants
  private readonly images: ImageInvariants
  private readonly lpis: LpiInvariants
  private readonly residency: ResidencyInvariants
  private readonly contexts: StepContexts
  private readonly roles: Uint8Array
  /** With vPEs or LPIs, a flag that asks for checks after every step. */
  private readonly always: number

  /**
   * `changes` holds the changes of the last step, `before` the machine's words before it. Without `ids` all
   * invariants are checked.
   */
  constructor(
    machine: Machine,
    private readonly changes: Changes,
    private readonly before: Int32Array,
    ids: readonly InvariantId[] | undefined,
  ) {
    this.hypervisor = machine.hypervisor
    this.checker = new InvariantChecker(machine)
    this.acknowledges = new AcknowledgeInvariants(machine.hypervisor)
    this.deactivations = new DeactivationInvariants(machine)
    this.images = new ImageInvariants(machine)
    this.lpis = new LpiInvariants(machine)
    this.residency = new ResidencyInvariants(machine)
    this.checked = chosen(ids)
    this.contexts = new StepContexts(machine, before, this.checked)
    this.roles = rolesInLists(machine.hypervisor)
    this.always = this.residency.present || this.lpis.present ? ASKS_FOR_CHECKS : 0
  }

  /** Whether {@link afterStep} has nothing to check, as of most steps: that is known from its kind. */
  skips(kind: number, isKnown: boolean): boolean {
    return ((kind | this.always) & ASKS_FOR_CHECKS) === 0 && (isKnown || !changesState(kind))
  }

  /**
   * Checks after a step of an actor; `kind` is what {@link StepKinds} said of the step. `isKnown` says that it has led to a
   * state that was checked when another step led to it.
   */
  afterStep({ index }: Actor, kind: number, isKnown: boolean): ViolatedInvariant | undefined {
    if (kind & HAS_NEEDS) {
      const violation = this.contexts.missing(this.hypervisor.vcpu(index))
      if (violation) return violation
    }
    if (kind & (ASKS | ASKS_OWN_RUNNABLE)) {
      const violation = this.afterQuestion(this.hypervisor.vcpu(index), kind)
      if (violation) return violation
    }
    if (kind & DEACTIVATES && this.checked.S12) {
      const what = this.deactivations.lostDeactivation(this.hypervisor.vcpu(index), this.before)
      if (what !== undefined) return ['S12', what]
    }
    if (kind & (FLUSHES | FOLDS)) {
      const violation = this.ofListRegisters(this.hypervisor.vcpu(index), kind)
      if (violation) return violation
    }
    if (kind & SAVES) {
      const violation = this.images.afterSave(index, this.before, this.checked)
      if (violation) return violation
    }
    if (kind & RESTORES) {
      const violation = this.images.afterRestore(index, this.before, this.checked)
      if (violation) return violation
      const unlisted = this.checked.S17 ? this.oneList() : undefined
      if (unlisted !== undefined) return ['S17', unlisted]
      // Before the end what is there is not a VM yet.
      if (this.images.isUnderWay) return undefined
    }
    const writes = kind & WRITES
    if (this.residency.present && (concernsVpes(writes) || kind & HAS_NEEDS)) {
      const violation = this.ofResidency()
      if (violation) return violation
    }
    const entered = kind & ENTERS ? this.hypervisor.vcpu(index) : 0
    if (entered !== 0 && this.checked.S8) {
      const what = this.checker.distinctIntids(entered)
      if (what !== undefined) return ['S8', what]
    }
    if (entered !== 0 && this.checked.S9) {
      const what = this.acknowledges.unmatched(entered)
      if (what !== undefined) return ['S9', what]
    }
    if (entered !== 0 && this.checked.S10) {
      const what = this.checker.enteredWhileStopped(entered)
      if (what !== undefined) return ['S10', what]
    }
    const isOwn = (kind & IS_OWN) !== 0 && (writes === WRITES_VCPU || writes === WRITES_PE)
    const unlisted = isOwn && this.checked.S17 ? this.oneList() : undefined
    if (unlisted !== undefined) return ['S17', unlisted]
    // What a restore has changed is not checked before its end.
    const ofLpis =
      this.lpis.present && (kind & RESTORES || this.lpis.concerns(this.changes)) ? this.ofLpis() : undefined
    if (ofLpis) return ofLpis
    // The rest is about the state alone, but for an entry.
    if (isKnown && entered === 0) return undefined
    return changesState(kind) || entered !== 0 ? this.afterChange(writes, entered) : undefined
  }

  private ofListRegisters(v: Vcpu, kind: number): ViolatedInvariant | undefined {
    const { deactivations, acknowledges, checked, before } = this
    if (kind & FOLDS && checked.S12) {
      const what = deactivations.wrongDeactivation(v, before) ?? deactivations.activeLpi(v)
      if (what !== undefined) return ['S12', what]
    }
    const unordered = kind & FLUSHES && checked.S17 ? this.checker.inOrder(v) : undefined
    if (unordered !== undefined) return ['S17', unordered]
    if (!checked.S13) return undefined
    const what = kind & FLUSHES ? acknowledges.filledInVain(v) : acknowledges.takenBack(v, before)
    return what === undefined ? undefined : ['S13', what]
  }

  /** Checks a state in which no actor can step, or none within the bounds. */
  atEnd(): ViolatedInvariant | undefined {
    const { checker, deactivations, checked } = this
    if (checked.L1) {
      const what = checker.lostWakeUp()
      if (what !== undefined) return ['L1', what]
    }
    if (checked.L5) {
      const what = deactivations.stuckActive()
      if (what !== undefined) return ['L5', what]
    }
    if (checked.L6) {
      const what = checker.stuck()
      if (what !== undefined) return ['L6', what]
    }
    return undefined
  }

  private afterChange(writes: number, entered: Vcpu | 0): ViolatedInvariant | undefined {
    const { checker, checked } = this
    if (checked.S17 && (writes === WRITES_ALL || writes === WRITES_QUEUE || writes === WRITES_LISTS)) {
      const what = this.oneList()
      if (what !== undefined) return ['S17', what]
    }
    // Of what a step leaves as it was, that it was right is known: who is in a guest, by a flush or a fold.
    if (checked.S21 && writes !== WRITES_LISTS) {
      const what = checker.requestSeen()
      if (what !== undefined) return ['S21', what]
    }
    if (!checked.L3) return undefined
    // Interrupts and list registers, by a step of a device that queues none.
    const what =
      (writes === WRITES_NOTIFY ? undefined : checker.lostEdge()) ??
      (writes === WRITES_LISTS ? undefined : checker.missing(entered))
    return what === undefined ? undefined : ['L3', what]
  }

  private ofLpis(): ViolatedInvariant | undefined {
    const { lpis, checked } = this
    const freed = checked.S15 ? lpis.freed() : undefined
    if (freed !== undefined) return ['S15', freed]
    const miscounted = checked.S16 ? lpis.miscounted() : undefined
    if (miscounted !== undefined) return ['S16', miscounted]
    const misdirected = checked.S18 ? lpis.misdirected(this.before) : undefined
    if (misdirected !== undefined) return ['S18', misdirected]
    const stale = checked.S14 ? lpis.staleTranslation() : undefined
    return stale === undefined ? undefined : ['S14', stale]
  }

  /** What GICv4 adds; the order is that in which a report is the most use. */
  private ofResidency(): ViolatedInvariant | undefined {
    const { residency, checked, before } = this
    return (
      (checked.S4 && found('S4', residency.residencyRegisters())) ||
      (checked.S5 && found('S5', residency.mappedVpes())) ||
      (checked.S1 && found('S1', residency.onePlace())) ||
      (checked.S2 && found('S2', residency.residentInGuest())) ||
      (checked.S3 && found('S3', residency.awayWhileWaiting())) ||
      (checked.S6 && found('S6', residency.notOverwritten(before) ?? residency.announcedAsleep())) ||
      (checked.S7 && found('S7', residency.noDoorbellInGuest())) ||
      (checked.S8 && found('S8', residency.oneWay())) ||
      (checked.S19 && found('S19', residency.oneOwner())) ||
      (checked.L2 && found('L2', residency.doorbellOnItsWay())) ||
      (checked.L3 && found('L3', residency.presented() ?? residency.groupsToldToVpe())) ||
      undefined
    )
  }

  private afterQuestion(v: Vcpu, kind: number): ViolatedInvariant | undefined {
    const { checker, checked } = this
    if (kind & ASKS && checked.S20) {
      const what = this.touchesOthers(v)
      if (what !== undefined) return ['S20', what]
    }
    if (kind & ASKS_OWN_RUNNABLE && checked.S11) {
      const what = this.residency.askedWhileResident(v) ?? checker.freshShadow(v)
      if (what !== undefined) return ['S11', what]
    }
    if (kind & ASKS_OWN_RUNNABLE && checked.S6) {
      const what = this.residency.announced(v)
      if (what !== undefined) return ['S6', what]
    }
    return undefined
  }

  /**
   * S17. It held before the last step, and in the first state, in which nothing is on a list. So an interrupt names a vCPU
   * on whose list it is not, and none of those on lists does, only if the step has made more interrupts name one than it has
   * put on lists. A sort does neither. Every step that may change a list is to be checked, or what it breaks is never found.
   */
  private oneList(): string | undefined {
    const { before, roles } = this
    const { words } = this.hypervisor
    const { at, count } = this.changes
    let isTouched = false
    let unlisted = 0
    for (let i = 0; i < count; i++) {
      const word = at[i]
      const role = roles[word]
      if (role === NO_ROLE) continue
      isTouched = true
      unlisted += role === NAMES_LIST ? named(words[word]) - named(before[word]) : before[word] - words[word]
    }
    if (!isTouched) return undefined
    const what = this.checker.listed()
    if (what !== undefined || unlisted === 0) return what
    return 'an interrupt names a vCPU on whose list it is not once'
  }

  /** S20: a question has changed a word of another vCPU's record. */
  private touchesOthers(v: Vcpu): string | undefined {
    const { vcpus, vcpuSize, vcpuCount } = this.hypervisor.layout
    const { at, count } = this.changes
    for (let i = 0; i < count; i++) {
      const word = at[i]
      if (word < vcpus || word >= vcpus + vcpuCount * vcpuSize) continue
      if (word < v || word >= v + vcpuSize)
        return `the question changed ${this.hypervisor.state.layout.nameOf(word)}`
    }
    return undefined
  }
}

/** Whether a step that may write so much may change what the invariants about vPEs look at. */
const concernsVpes = (writes: number): boolean =>
  writes === WRITES_ALL || writes === WRITES_GUEST || writes === WRITES_LOAD || writes === WRITES_SCHED

/** 1 for the word of an interrupt that names a vCPU. */
const named = (word: number): number => (irqApListOf(word) === 0 ? 0 : 1)

/** Which invariants are checked. */
function chosen(ids: readonly InvariantId[] | undefined): Readonly<Record<InvariantId, boolean>> {
  const known = Object.keys(invariants) as InvariantId[]
  const wanted = ids === undefined ? known : argumentInvariants(ids)
  return Object.fromEntries(known.map((id) => [id, wanted.includes(id)])) as Record<InvariantId, boolean>
}

const found = (id: InvariantId, what: string | undefined): ViolatedInvariant | undefined =>
  what === undefined ? undefined : [id, what]

/** What each word says of the lists of interrupts, by offset. */
function rolesInLists(hypervisor: Hypervisor): Uint8Array {
  const { words, interrupts, layout } = hypervisor
  const roles = new Uint8Array(words.length).fill(NO_ROLE)
  for (const irq of interrupts.all) roles[irq] = NAMES_LIST
  for (let i = 0; i < layout.vcpuCount; i++) roles[hypervisor.vcpu(i) + VCPU_AP_COUNT] = COUNTS
  return roles
}
