/**
 * Finds the words that a step has changed, by comparing the state with the one before it. The step's row and the rows
 * of the words say beforehand what the step may write, and only those words are compared. Of words of which there are
 * many, the interrupts', their links and the like, a device's step writes those of one interrupt, a flush or a fold
 * those of one list: {@link Changes.find} says which. A word that neither finds fails an exploration
 * with `checkWrites`, which calls {@link Changes.missed} after each step, and a property test.
 */
import { ICH_AP0R, ICH_AP1R } from '../gic/cpu-interface/virtual-interface.ts'
import { GICR_BLOCK } from '../gic/interrupts/physical-interrupts.ts'
import { BEST, CANDIDATES } from '../gic/records/interrupts.ts'
import type { Pe } from '../gic/records/pe.ts'
import type { Hypervisor } from '../hyp/hypervisor.ts'
import {
  THREAD_MODE,
  VCPU_AP_FIRST,
  VCPU_AP_LAST,
  VCPU_AP0R,
  VCPU_AP1R,
  VCPU_LAST_CPU,
  VCPU_LR_IRQ,
  VCPU_THREAD,
  VCPU_USED_LRS,
  type Vcpu,
} from '../hyp/records/vcpu.ts'
import { asIrq, IRQ_LINK, type Irq } from '../hyp/records/vgic-irq.ts'
import type { Actor, Machine } from '../scenario/machine.ts'
import type { WordClass, Writer } from '../state/layout.ts'
import type { MemoryPool } from '../state/memory-pool.ts'
import {
  WRITES,
  WRITES_GUEST,
  WRITES_LISTS,
  WRITES_LOAD,
  WRITES_NOTIFY,
  WRITES_PE,
  WRITES_PUT,
  WRITES_QUEUE,
  WRITES_SCHED,
  WRITES_THREAD,
  WRITES_VCPU,
} from './step-kind.ts'

/** The classes of words that undoing a step restores: those that are hashed, and those derived from them. */
const STATE: readonly WordClass[] = ['authoritative', 'normalised', 'derived']

/**
 * Words of a record that are compared, by their offsets in it: four that follow each other at once, since a loop costs as
 * much as two words. So the rows of words that the same steps write stand together.
 */
interface ComparedWords {
  readonly fours: Int32Array
  readonly singles: Int32Array
}

type ByWriter = Readonly<Record<Writer, ComparedWords>>

export class Changes {
  /** The offsets of the words; only the first `count` are of the last step. */
  readonly at: Int32Array
  count = 0
  private readonly words: Int32Array
  private readonly hypervisor: Hypervisor
  /** Pairs `start, end` of the words that are state. */
  readonly ranges: Int32Array
  /** The same words without the lines of the memory, most of which are not in use. */
  private readonly besideMemory: ComparedWords
  private readonly memory: MemoryPool | undefined
  /** Of each record, by kind of step, the words whose rows say that it may write them. */
  private readonly vcpu: ByWriter
  private readonly pe: ByWriter
  private readonly device: ByWriter
  private readonly host: ByWriter
  private readonly ghost: ByWriter
  /** Undefined without vPEs. */
  private readonly vpe: ByWriter | undefined

  /** `before` is the machine's words as they were before the step; the caller keeps it up to date. */
  constructor(
    private readonly machine: Machine,
    private readonly before: Int32Array,
  ) {
    const { hypervisor } = machine
    const { state, silicon } = hypervisor
    this.hypervisor = hypervisor
    this.words = hypervisor.words
    this.at = new Int32Array(state.layout.length)
    this.ranges = state.layout.rangesOf(STATE, state.fixed)
    this.memory = silicon.pool
    this.besideMemory = inFours(
      this.memory ? without(this.ranges, this.memory.lines, this.memory.end) : this.ranges,
    )
    this.vcpu = this.written(hypervisor.layout.vcpus, [VCPU_AP0R, VCPU_AP1R])
    this.pe = this.written(silicon.peBase, [ICH_AP0R, ICH_AP1R])
    this.device = this.written(machine.deviceSteps.recordOf(0))
    this.host = this.written(hypervisor.scheduler.host)
    this.ghost = this.written(machine.ghosts.at)
    this.vpe = silicon.vpes && this.written(silicon.vpes.resident.recordOf(0))
  }

  /**
   * The words of a type of record by who may write them, without those of which there is one for each interrupt, and without
   * active priorities, which are at `priorities`, that the silicon does not have.
   */
  private written(at: number, priorities: readonly number[] = []): ByWriter {
    const { layout } = this.hypervisor.state
    const { activePriorityRegisters } = this.hypervisor.silicon.virtualInterface
    const type = layout.recordTypeAt(at)
    const implemented = type.words.map((word) =>
      priorities.includes(word.at) ? { ...word, count: activePriorityRegisters } : word,
    )
    const record = { ...type, words: implemented }
    const words = record.words.filter(({ count, by }) => count === undefined || !by?.includes('queue'))
    const single = { ...record, words }
    const by = (writer: Writer, of = record): ComparedWords => inFours(layout.rangesBy(of, writer, STATE))
    return {
      thread: by('thread'),
      vcpu: by('vcpu'),
      pe: by('pe'),
      load: by('load'),
      put: by('put'),
      sched: by('sched'),
      lists: by('lists', single),
      guest: by('guest'),
      queue: by('queue', single),
      notify: by('notify'),
    }
  }

  /** Finds what the last step has changed: a step of this actor, of this kind. */
  find({ index }: Actor, kind: number): void {
    this.count = this.changedBy(index, kind & WRITES)
  }

  private changedBy(index: number, writes: number): number {
    switch (writes) {
      case WRITES_THREAD:
        return this.compareWords(this.vcpu.thread, this.hypervisor.vcpu(index), 0)
      case WRITES_VCPU:
        return this.compareWords(this.vcpu.vcpu, this.hypervisor.vcpu(index), 0)
      case WRITES_PUT:
        return this.compareWords(this.vcpu.put, this.hypervisor.vcpu(index), 0)
      case WRITES_LOAD:
        return this.ofLoad(this.hypervisor.vcpu(index))
      case WRITES_SCHED:
        return this.ofScheduler(this.hypervisor.vcpu(index))
      case WRITES_PE:
        return this.onPe(this.hypervisor.vcpu(index))
      case WRITES_GUEST:
        return this.ofGuest(this.hypervisor.vcpu(index))
      case WRITES_QUEUE:
        return this.ofQueue(index)
      case WRITES_NOTIFY:
        return this.ofNotify(index)
      case WRITES_LISTS:
        return this.ofLists(this.hypervisor.vcpu(index))
      default:
        return this.ofAll()
    }
  }

  /** Every word, but for the lines of the memory that were not in use before and are not now: those are all zero. */
  private ofAll(): number {
    const { words, before, memory } = this
    const count = this.compareWords(this.besideMemory, 0, 0)
    if (memory === undefined) return count
    return this.compareMany(memory.lines, Math.max(memory.usedEnd(before), memory.usedEnd(words)), count)
  }

  /** Compares every word: one that the last step has changed and {@link find} has not found, or -1. */
  missed(): number {
    const { at, count, ranges, words, before } = this
    const found = new Set(at.subarray(0, count))
    for (let r = 0; r < ranges.length; r += 2) {
      for (let word = ranges[r]; word < ranges[r + 1]; word++)
        if (words[word] !== before[word] && !found.has(word)) return word
    }
    return -1
  }

  /** The vCPU's record, its PE's and the host's run queue. The guest executes nothing in such a step. */
  private onPe(v: Vcpu): number {
    const count = this.comparePe(v, this.pe.pe, this.compareWords(this.vcpu.pe, v, 0))
    return this.compareWords(this.host.pe, this.hypervisor.scheduler.host, count)
  }

  private ofLoad(v: Vcpu): number {
    return this.compareWords(this.pe.load, this.peOf(v), this.compareWords(this.vcpu.load, v, 0))
  }

  private ofScheduler(v: Vcpu): number {
    const count = this.compareWords(this.pe.sched, this.peOf(v), this.compareWords(this.vcpu.sched, v, 0))
    return this.compareWords(this.host.sched, this.hypervisor.scheduler.host, count)
  }

  /** The PE that a thread is on, or was on last. */
  private peOf(v: Vcpu): Pe {
    return this.hypervisor.silicon.peOf(this.words[v + VCPU_LAST_CPU])
  }

  private ofGuest(v: Vcpu): number {
    const ofPe = this.comparePe(v, this.pe.guest, this.compareWords(this.vcpu.guest, v, 0))
    const count = this.compareWords(this.ghost.guest, this.machine.ghosts.at, ofPe)
    const { vpes } = this.hypervisor.silicon
    if (this.vpe === undefined || vpes === undefined) return count
    return this.compareWords(this.vpe.guest, vpes.resident.recordOf(this.words[v + VCPU_LAST_CPU]), count)
  }

  /**
   * The device, and the single words of the vCPU on whose ap_list the interrupt is now. Of what there is by interrupt:
   * its word, whether its edge is outstanding, and the link of what was the last on that ap_list.
   */
  private ofQueue(index: number): number {
    const { before, machine } = this
    const { apLists } = this.hypervisor
    const irq = machine.deviceSteps.inputOf(index, before)
    let count = this.compare(irq, irq + 1, this.ofDevice(this.device.queue, index))
    const edges = machine.ghosts.wordOf(irq)
    count = this.compare(edges, edges + 1, count)
    const v = apLists.holderOf(irq)
    if (v === 0) return count
    count = this.compareWords(this.vcpu.queue, v, count)
    const last = asIrq(before[v + VCPU_AP_LAST])
    if (last === 0) return count
    const link = last + IRQ_LINK
    return this.compare(link, link + 1, count)
  }

  /** The device, and the vCPU that it notifies; its PE if the IPI of a kick was sent there. */
  private ofNotify(index: number): number {
    const { words, before } = this
    const v = this.machine.deviceSteps.notifiedBy(index, before)
    const count = this.ofDevice(this.device.notify, index)
    if (v === 0) return count
    const found = this.compareWords(this.vcpu.notify, v, count)
    const thread = v + VCPU_THREAD
    return (words[thread] ^ before[thread]) & THREAD_MODE ? this.comparePe(v, this.pe.notify, found) : found
  }

  /** The vCPU's record, its PE's, and the interrupts that were on its ap_list or in its list registers. */
  private ofLists(v: Vcpu): number {
    const { before } = this
    const begin = this.comparePe(v, this.pe.lists, this.compareWords(this.vcpu.lists, v, 0))
    let count = begin
    for (let irq = asIrq(before[v + VCPU_AP_FIRST]); irq !== 0; irq = asIrq(before[irq + IRQ_LINK]))
      count = this.compareIrq(irq, begin, count)
    for (let n = 0; n < before[v + VCPU_USED_LRS]; n++)
      count = this.compareIrq(asIrq(before[v + VCPU_LR_IRQ + n]), begin, count)
    return count
  }

  private compareIrq(irq: Irq, begin: number, count: number): number {
    return this.compareOnce(irq + IRQ_LINK, begin, this.compareOnce(irq, begin, count))
  }

  /** Appends a word that has changed, unless it is among those that were found from `begin` on. */
  private compareOnce(word: number, begin: number, count: number): number {
    const { words, before, at } = this
    if (words[word] === before[word]) return count
    for (let i = begin; i < count; i++) if (at[i] === word) return count
    at[count] = word
    return count + 1
  }

  private ofDevice(compared: ComparedWords, index: number): number {
    return this.compareWords(compared, this.machine.deviceSteps.recordOf(index), 0)
  }

  /** The PE that a thread is on, or was on last, and which of its own interrupts, block 0, is the best candidate. */
  private comparePe(v: Vcpu, compared: ComparedWords, count: number): number {
    const { silicon } = this.hypervisor
    const cpu = this.words[v + VCPU_LAST_CPU]
    const pe = silicon.peOf(cpu)
    const found = this.compareWords(compared, pe, count)
    const candidates = pe + GICR_BLOCK + CANDIDATES
    if (this.words[candidates] === this.before[candidates]) return found
    const best = silicon.physical.summaryOf(cpu) + BEST
    return this.compare(best, best + 1, found)
  }

  /** Compares words of the record at `base`. */
  private compareWords({ fours, singles }: ComparedWords, base: number, count: number): number {
    const { words, before, at } = this
    let found = count
    for (let i = 0; i < fours.length; i++) {
      const word = (base + fours[i]) | 0
      const second = (word + 1) | 0
      const third = (word + 2) | 0
      const fourth = (word + 3) | 0
      if (words[word] !== before[word]) at[found++] = word
      if (words[second] !== before[second]) at[found++] = second
      if (words[third] !== before[third]) at[found++] = third
      if (words[fourth] !== before[fourth]) at[found++] = fourth
    }
    for (let i = 0; i < singles.length; i++) {
      const word = (base + singles[i]) | 0
      if (words[word] !== before[word]) at[found++] = word
    }
    return found
  }

  /** As `compare`, four words at a time, of which seldom one has changed. */
  private compareMany(start: number, end: number, count: number): number {
    const { words, before } = this
    let found = count
    let word = start
    for (; word + 4 <= end; word += 4) {
      const changed =
        (words[word] ^ before[word]) |
        (words[word + 1] ^ before[word + 1]) |
        (words[word + 2] ^ before[word + 2]) |
        (words[word + 3] ^ before[word + 3])
      if (changed !== 0) found = this.compare(word, word + 4, found)
    }
    return this.compare(word, end, found)
  }

  /** Appends the words from `start` to `end` that have changed to the `count` found so far; returns the new count. */
  private compare(start: number, end: number, count: number): number {
    const { words, before, at } = this
    let found = count
    for (let word = start; word < end; word++) if (words[word] !== before[word]) at[found++] = word
    return found
  }
}

/** Ranges without the words from `start` to `end`. */
function without(ranges: Int32Array, start: number, end: number): Int32Array {
  const left: number[] = []
  for (let r = 0; r < ranges.length; r += 2) {
    const [from, to] = ranges.subarray(r, r + 2)
    if (from < Math.min(to, start)) left.push(from, Math.min(to, start))
    if (Math.max(from, end) < to) left.push(Math.max(from, end), to)
  }
  return Int32Array.from(left)
}

/** The words in ranges, pairs `start, end`. */
function inFours(ranges: Int32Array): ComparedWords {
  const fours: number[] = []
  const singles: number[] = []
  for (let r = 0; r < ranges.length; r += 2) {
    let word = ranges[r]
    for (; word + 4 <= ranges[r + 1]; word += 4) fours.push(word)
    for (; word < ranges[r + 1]; word++) singles.push(word)
  }
  return { fours: Int32Array.from(fours), singles: Int32Array.from(singles) }
}
