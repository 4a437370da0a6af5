/** A machine's state as it is when some of its vCPUs, CPUs, devices and SPIs have changed places. */
import {
  ICC_ASGI1R_EL1,
  ICC_DIR_EL1,
  ICC_EOIR0_EL1,
  ICC_EOIR1_EL1,
  ICC_SGI0R_EL1,
  ICC_SGI1R_EL1,
} from '../../arch/icc-registers.ts'
import { FIRST_SPI } from '../../arch/intid.ts'
import { sysregSyndrome } from '../../arch/syndrome.ts'
import type { Encoding } from '../../arch/sysreg.ts'
import { affinityOf, indexOfAffinity } from '../../hyp/records/affinity.ts'
import { HOST_CURRENT } from '../../hyp/records/host-record.ts'
import { privateIrq, VCPU_DATA, VCPU_ESR } from '../../hyp/records/vcpu.ts'
import {
  asIrq,
  IRQ_AP_LIST,
  IRQ_AP_LIST_SHIFT,
  IRQ_TARGET,
  IRQ_TARGET_SHIFT,
  irqAfter,
  irqApListOf,
  irqTarget,
  TARGET_NONE,
} from '../../hyp/records/vgic-irq.ts'
import type { Actor, Machine } from '../../scenario/machine.ts'
import { lowestBit } from '../../state/bits.ts'
import {
  NAMES_AFFINITY,
  NAMES_BY_REGISTER,
  NAMES_CPU,
  NAMES_IN_IRQ,
  NAMES_INTID,
  NAMES_OFFSET,
  NAMES_SPIS,
  NAMES_VCPU,
  NAMES_VCPU_BEFORE,
} from './named-words.ts'
import type { Permutation } from './permutations.ts'

/** Registers that are written with an INTID, and those that are written with a list of CPUs. */
const intidRegisters: readonly Encoding[] = [ICC_EOIR0_EL1, ICC_EOIR1_EL1, ICC_DIR_EL1]
const targetRegisters: readonly Encoding[] = [ICC_SGI0R_EL1, ICC_SGI1R_EL1, ICC_ASGI1R_EL1]
const syndromeOf = (encoding: Encoding): number => sysregSyndrome(encoding, false) | 0
const intidSyndromes = intidRegisters.map(syndromeOf)
const targetSyndromes = targetRegisters.map(syndromeOf)

/** `ICC_SGI<n>R_EL1`: IRM, in the upper word, and the affinities above the target list. */
const SGI_IRM_HIGH = 0x100
const SGI_AFF1 = 0xff0000

export class Renaming {
  /** By offset, where a word goes. */
  readonly to: Int32Array
  private readonly words: Int32Array

  /** `names`: what each word names, of {@link namedWords}. */
  constructor(
    private readonly machine: Machine,
    private readonly names: Uint8Array,
    readonly permutation: Permutation,
  ) {
    this.words = machine.hypervisor.words
    this.to = this.places()
  }

  /** The value of the word at an offset, renamed. */
  valueOf(at: number, word: number): number {
    const { vcpus, cpus } = this.permutation
    switch (this.names[at]) {
      case NAMES_OFFSET:
        return this.to[word]
      case NAMES_VCPU:
        return vcpus[word]
      case NAMES_VCPU_BEFORE:
        return this.vcpuBefore(word)
      case NAMES_CPU:
        return cpus[word]
      case NAMES_INTID:
        return this.intid(word)
      case NAMES_IN_IRQ:
        return this.irq(word)
      case NAMES_AFFINITY:
        return this.affinity(word)
      case NAMES_SPIS:
        return this.spis(at, word)
      case NAMES_BY_REGISTER:
        return this.data(this.words[at - VCPU_DATA + VCPU_ESR], word, this.words[at + 1])
      default:
        return word
    }
  }

  /** The renamed state of the machine. */
  apply(renamed: Int32Array): void {
    const { words, to } = this
    for (let at = 0; at < words.length; at++) renamed[to[at]] = this.valueOf(at, words[at])
  }

  /** The lower word of what a guest writes to a register, renamed. */
  operand(encoding: Encoding, low: number, high: number): number {
    return this.data(syndromeOf(encoding), low, high)
  }

  intid(intid: number): number {
    const { intids } = this.permutation
    return intid >= FIRST_SPI && intid < intids.length ? intids[intid] : intid
  }

  /** The actor that takes the place of another. */
  actorOf({ kind, index, detail }: Actor): Actor {
    const { vcpus, cpus, devices } = this.permutation
    const moves = kind === 'device' ? devices : kind === 'effect' ? cpus : vcpus
    const to = { kind, index: moves[index], detail: kind === 'migrate' ? cpus[detail] : detail }
    const isIt = (one: Actor): boolean =>
      one.kind === to.kind && one.index === to.index && one.detail === to.detail
    const all = [...this.machine.actors, ...this.machine.environment]
    return all[all.findIndex(isIt)]
  }

  private vcpuBefore(word: number): number {
    return word === 0 ? 0 : this.permutation.vcpus[word - 1] + 1
  }

  private irq(word: number): number {
    const target = irqTarget(word)
    const moved = target === TARGET_NONE ? target : this.permutation.vcpus[target]
    const list = this.vcpuBefore(irqApListOf(word))
    return (word & ~(IRQ_AP_LIST | IRQ_TARGET)) | (list << IRQ_AP_LIST_SHIFT) | (moved << IRQ_TARGET_SHIFT)
  }

  private affinity(word: number): number {
    const { vcpus } = this.permutation
    const index = indexOfAffinity(word, vcpus.length)
    return index < 0 ? word : affinityOf(vcpus[index])
  }

  /** SPIs that change places are in the same word of a bitmap. */
  private spis(at: number, word: number): number {
    const { hypervisor, ghosts } = this.machine
    const bitmap = at < ghosts.spiEdges ? hypervisor.layout.edgeLines : ghosts.spiEdges
    const first = FIRST_SPI + 32 * (at - bitmap)
    let renamed = 0
    for (let left = word; left !== 0; left &= left - 1)
      renamed |= 1 << (this.intid(first + lowestBit(left)) - first)
    return renamed
  }

  private data(syndrome: number, low: number, high: number): number {
    if (intidSyndromes.includes(syndrome)) return this.intid(low)
    return targetSyndromes.includes(syndrome) ? this.targets(low, high) : low
  }

  /** The SGI registers' value; only vCPUs 0 to 15 change places. */
  private targets(low: number, high: number): number {
    if (high & SGI_IRM_HIGH || low & SGI_AFF1) return low
    const { vcpus } = this.permutation
    let targets = 0
    for (let left = low & 0xffff; left !== 0; left &= left - 1) {
      const index = lowestBit(left)
      targets |= 1 << (index < vcpus.length ? vcpus[index] : index)
    }
    return (low & ~0xffff) | targets
  }

  private places(): Int32Array {
    const { machine, permutation } = this
    const { hypervisor, ghosts } = machine
    const { layout, silicon, scheduler, state } = hypervisor
    const to = Int32Array.from({ length: state.layout.length }, (_, at) => at)
    const move = (placeOf: (index: number) => number, moves: Int32Array): void => {
      const size = state.layout.recordTypeAt(placeOf(0)).size
      for (const [from, other] of moves.entries())
        for (let i = 0; i < size; i++) to[placeOf(from) + i] = placeOf(other) + i
    }
    const moveOne = (at: number, moves: Int32Array): void => {
      for (const [from, other] of moves.entries()) to[at + from] = at + other
    }
    const spis = permutation.intids.subarray(FIRST_SPI).map((intid) => intid - FIRST_SPI)
    move((index) => hypervisor.vcpu(index), permutation.vcpus)
    move((cpu) => silicon.peOf(cpu), permutation.cpus)
    move((cpu) => silicon.physical.summaryOf(cpu), permutation.cpus)
    if (machine.devices.length > 0) move((index) => machine.deviceSteps.recordOf(index), permutation.devices)
    moveOne(scheduler.host + HOST_CURRENT, permutation.cpus)
    moveOne(ghosts.at, permutation.vcpus)
    moveOne(ghosts.wordOf(privateIrq(hypervisor.vcpu(0), 0)), permutation.vcpus)
    move((spi) => irqAfter(asIrq(layout.spis), spi), spis)
    moveOne(layout.irouters, spis)
    return to
  }
}
