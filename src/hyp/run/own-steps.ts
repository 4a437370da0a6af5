/**
 * A design's own steps: functions of a small view of the machine, with words in the vCPU's record for their state.
 * Each call is one atomic step.
 */

import { argumentInteger, shown } from '../../errors/arguments.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { asPe } from '../../gic/records/pe.ts'
import type { Seam } from '../host/seam.ts'
import { VCPU_INDEX, VCPU_LOADED, VCPU_PE, VCPU_USED_LRS, VCPU_VMCR, type Vcpu } from '../records/vcpu.ts'
import type { VmLayout } from '../records/vm.ts'
import type { VgicV3 } from '../vgic/vgic-v3.ts'
import type { Halt } from './halt.ts'
import type { OnSpin } from './on-spin.ts'
import type { Program } from './program.ts'
import type { OwnStep, StepContext } from './step.ts'
import { STEP_OWN } from './step.ts'

/** Executes the own steps of a program. */
export class OwnSteps implements StepContext {
  private readonly words: Int32Array
  private readonly own: readonly OwnStep[]
  private readonly names: readonly string[]
  private readonly layout: VmLayout
  /** The offset of the first of them in a vCPU's record. */
  private readonly firstWord: number
  /** The last handle that a step was called with, which needs no check: mostly it is the one that the step asks about. */
  private known: Vcpu | 0 = 0

  constructor(
    program: Program,
    private readonly seam: Seam,
    private readonly vgic: VgicV3,
    private readonly halt: Halt,
    private readonly onSpin: OnSpin,
  ) {
    this.words = seam.words
    this.own = program.own
    this.names = program.design.words ?? []
    this.layout = vgic.apLists.layout
    this.firstWord = this.layout.ownWords
  }

  perform(op: number, v: Vcpu): number {
    this.known = v
    const result = this.own[op - STEP_OWN].perform(this, v)
    return result === 0 ? 0 : this.outcome(op, result)
  }

  /** The outcome, not the first, that a step has returned. */
  private outcome(op: number, result: number): number {
    const step = this.own[op - STEP_OWN]
    if (Number.isInteger(result) && result >= 0 && result < Math.max(step.outcomes.length, 1)) return result
    throw new VgicError(
      'argument',
      `Step ${step.name} returned ${shown(result)}: return the index of one of its outcomes, 0 if it has none.`,
    )
  }

  get(vcpu: Vcpu, word: string): number {
    return this.words[this.at(vcpu, word)]
  }

  set(vcpu: Vcpu, word: string, value: number): void {
    const at = this.at(vcpu, word)
    // An int32 goes on as one: V8 would make what is either of two numbers a floating-point number.
    const int = typeof value === 'number' ? value | 0 : 0
    if (int === value) this.words[at] = int
    else this.words[at] = argumentInteger('value', value, -0x8000_0000, 0xffff_ffff)
  }

  loaded(vcpu: Vcpu): boolean {
    return this.words[this.vcpu(vcpu) + VCPU_LOADED] !== 0
  }

  usedListRegisters(vcpu: Vcpu): number {
    return this.words[this.vcpu(vcpu) + VCPU_USED_LRS]
  }

  shadowVmcr(vcpu: Vcpu): number {
    return this.words[this.vcpu(vcpu) + VCPU_VMCR]
  }

  saveVmcr(vcpu: Vcpu, asker = vcpu): void {
    this.halt.readMaskOnDemand(this.vcpu(vcpu), asPe(this.words[this.running(asker) + VCPU_PE]))
  }

  load(vcpu: Vcpu): void {
    const v = this.running(vcpu)
    this.vgic.load(this.words, v, asPe(this.words[v + VCPU_PE]))
    this.settle(vcpu)
  }

  put(vcpu: Vcpu): void {
    const v = this.running(vcpu)
    this.vgic.put(this.words, v, asPe(this.words[v + VCPU_PE]))
  }

  readElrsr(vcpu: Vcpu): number {
    return this.seam.readElrsr(this.running(vcpu), asPe(this.words[vcpu + VCPU_PE]))
  }

  fold(vcpu: Vcpu, empty: number): void {
    this.vgic.foldKnowing(this.running(vcpu), argumentInteger('empty', empty, -0x8000_0000, 0xffff_ffff))
    this.settle(vcpu)
  }

  /** Settles the maintenance interrupt, which depends on what was written. */
  private settle(vcpu: Vcpu): void {
    this.seam.settleMaintenance(this.words, asPe(this.words[vcpu + VCPU_PE]))
  }

  runnable(vcpu: Vcpu): boolean {
    return this.halt.runnable(this.words, this.vcpu(vcpu))
  }

  checkBlock(vcpu: Vcpu): boolean {
    return this.halt.checkBlock(this.words, this.vcpu(vcpu))
  }

  candidate(vcpu: Vcpu): Vcpu {
    const candidate = this.onSpin.candidate(this.vcpu(vcpu))
    if (candidate !== 0) return candidate
    throw new VgicError(
      'argument',
      `vcpu${this.words[vcpu + VCPU_INDEX]} has no candidate: call candidate() after noCandidate has said no.`,
    )
  }

  /** The offset of a design's own word in a vCPU's record. */
  private at(vcpu: Vcpu, word: string): number {
    const { names } = this
    // Not indexOf: a call of it costs more than the few comparisons.
    for (let i = 0; i < names.length; i++) if (names[i] === word) return this.vcpu(vcpu) + this.firstWord + i
    return refuseWord(word)
  }

  /** Checks that a value is the handle of a vCPU, and returns it. */
  private vcpu(vcpu: Vcpu): Vcpu {
    return vcpu === this.known ? vcpu : this.checked(vcpu)
  }

  private checked(vcpu: Vcpu): Vcpu {
    const { vcpus, vcpuSize, vcpuCount } = this.layout
    if (typeof vcpu === 'number') {
      const index = this.words[vcpu + VCPU_INDEX]
      if (vcpus + index * vcpuSize === vcpu && index >= 0 && index < vcpuCount) return vcpu
    }
    return refuseHandle(vcpu)
  }

  /** Checks that a value is the handle of a vCPU that is on a PE, and returns the handle. */
  private running(vcpu: Vcpu): Vcpu {
    return this.words[this.vcpu(vcpu) + VCPU_PE] !== 0 ? vcpu : this.refuseIdle(vcpu)
  }

  private refuseIdle(vcpu: Vcpu): never {
    throw new VgicError(
      'argument',
      `vcpu${this.words[vcpu + VCPU_INDEX]} is on no PE, so a step cannot access its registers: take the vCPU that the step is called with.`,
    )
  }
}

function refuseWord(word: unknown): never {
  const name = typeof word === 'string' ? word : shown(word)
  throw new VgicError('argument', `The design has no word ${name}: add it to the design's words.`)
}

function refuseHandle(vcpu: unknown): never {
  throw new VgicError(
    'argument',
    `vcpu must be the handle that the step was called with, or one that candidate() returns, but is ${shown(vcpu)}.`,
  )
}
