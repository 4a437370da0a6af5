/**
 * Compiles a design for the run loop into a flat table: for each program counter, the step and, for each of its
 * results, the next program counter. There are no jumps and no return stack, so one program counter in the state is
 * the whole position of a thread.
 */

import { VgicError } from '../../errors/vgic-error.ts'
import { asPc, type Pc } from '../records/vcpu.ts'
import type { Design, DesignNode, Jump } from './design.ts'
import { isOwnStep, MAX_OUTCOMES, type OwnStep, STEP_OWN, type Step } from './step.ts'
import { giveUpCpu, resume, rowOf } from './steps.ts'

/** A row of the table has 32 words: the step, then the next program counter for each result, MAX_OUTCOMES at most. */
export const TABLE_SHIFT = 5
/**
 * The other words are a superinstruction's: the next program counters for questions that are not answered as
 * expected, its last row, and the next program counter of that for result 0.
 */
export const TABLE_ELSE_2 = 11
export const TABLE_ELSE_1 = 12
export const TABLE_NEXT = 13
export const TABLE_LAST = 14
/** The number of the superinstruction that begins at the row; not above 0 for none. */
export const TABLE_FUSED = 15
/** A bit for each of its gaps that has rows. */
export const TABLE_OPEN = 16
/** The step of its row that may be any of several; 0 if it has no such row. */
export const TABLE_ANY = 17
/**
 * Two words for each of its gaps: where the gap begins and where it ends, as offsets in the table. If it has one step, with
 * one result, the second word is ~ that step instead.
 */
export const TABLE_GAPS = 18
/** The most gaps of a superinstruction, for which a row of the table has room. */
export const MAX_GAPS = 7
/** The program counter of a list that has ended. */
export const ENDED = 0
/** The next program counter of a list, or {@link ENDED}. */
export type NextPc = Pc | typeof ENDED
/** The program counter at which a thread begins. */
export const FIRST_PC = 1

/** A compiled design. */
export interface Program {
  readonly design: Design
  /** 32 words a program counter: step, successors, superinstruction. */
  readonly table: Int32Array
  /** The path of the step at each program counter: `wfi/halt/runnable?`. */
  readonly paths: readonly string[]
  /** The steps, by program counter. */
  readonly steps: readonly (Step | undefined)[]
  /** The design's own steps: number `STEP_OWN + i` in the table is the i-th. */
  readonly own: readonly OwnStep[]
  /** The program counters at which the lists other than the thread begin. */
  readonly schedOut: NextPc
  readonly schedIn: NextPc
  readonly inject: NextPc
  readonly msi: NextPc
  readonly save: NextPc
  readonly restore: NextPc
  /** The program counter of the head of the thread's endless loop, where an exit has been handled. */
  readonly head: NextPc
}

/** Compiles a design, for a machine whose vCPUs have no vPEs or, with `gicv4`, for one with them. */
export function compile(design: Design, gicv4 = false): Program {
  return new Compiler(gicv4).program(design)
}

/** By program counter, the path of a step; those of one path are told apart as an {@link Edit} does, `load#2`. */
export function stepNames({ paths }: Program): string[] {
  const seen = new Map<string, number>()
  return paths.map((path) => {
    const count = (seen.get(path) ?? 0) + 1
    seen.set(path, count)
    return count === 1 ? path : `${path}#${count}`
  })
}

/** A step with its program counter. */
interface Placed {
  readonly pc: Pc
  readonly step: Step
}

/** A node whose steps have program counters, in the order of the design. */
type PlacedNode =
  | { readonly kind: 'step'; readonly at: Placed }
  | { readonly kind: 'list'; readonly body: readonly PlacedNode[] }
  | { readonly kind: 'branch'; readonly at: Placed; readonly branches: readonly (readonly PlacedNode[])[] }
  | {
      readonly kind: 'loop'
      readonly at: Placed | undefined
      readonly leaveOn: number
      readonly body: readonly PlacedNode[]
    }
  | Jump

/** The program counters at which the innermost endless loop begins, and to which it is left. */
interface Enclosing {
  readonly start: NextPc
  readonly end: NextPc
}

class Compiler {
  private readonly paths: string[] = ['(ended)']
  private readonly steps: (Step | undefined)[] = [undefined]
  private readonly successors: NextPc[][] = [[]]
  private readonly own: OwnStep[] = []

  constructor(private readonly gicv4: boolean) {}

  program(design: Design): Program {
    const lists = {
      thread: this.placeAll(design.thread, ''),
      schedOut: this.placeAll([...design.schedOut, giveUpCpu], 'schedOut/'),
      schedIn: this.placeAll([...design.schedIn, resume], 'schedIn/'),
      inject: this.placeAll(design.inject, 'inject/'),
      msi: this.placeAll(design.msi, 'msi/'),
      save: this.placeAll(design.save ?? [], 'save/'),
      restore: this.placeAll(design.restore ?? [], 'restore/'),
    }
    const link = (list: readonly PlacedNode[]) => this.link(list, ENDED, { start: ENDED, end: ENDED })
    if (link(lists.thread) !== FIRST_PC) {
      throw new VgicError('argument', `Design ${design.name} must begin with a step.`)
    }
    const [schedOut, schedIn] = [link(lists.schedOut), link(lists.schedIn)]
    const [inject, msi] = [link(lists.inject), link(lists.msi)]
    const [save, restore] = [link(lists.save), link(lists.restore)]
    const loop = lists.thread.find((node) => node.kind === 'loop' && !node.at)
    const table = new Int32Array(this.steps.length << TABLE_SHIFT)
    for (const [pc, step] of this.steps.entries()) {
      if (step) table.set([this.opOf(step), ...this.successors[pc]], pc << TABLE_SHIFT)
    }
    const head = loop ? firstPc([loop]) : ENDED
    const { paths, steps, own } = this
    return { design, table, paths, steps, own, schedOut, schedIn, inject, msi, save, restore, head }
  }

  private opOf(step: Step): number {
    if (!isOwnStep(step)) return step.op
    if (!this.own.includes(step)) this.own.push(step)
    return STEP_OWN + this.own.indexOf(step)
  }

  private placeAll(nodes: readonly DesignNode[], path: string): PlacedNode[] {
    return nodes.filter((node) => this.has(node)).map((node) => this.placeNode(node, path))
  }

  private has(node: DesignNode): boolean {
    if (this.gicv4) return true
    if (node.kind === 'step') return rowOf(node.op)?.gicv4 !== true
    return node.kind !== 'part' || node.gicv4 !== true
  }

  private placeNode(node: DesignNode, path: string): PlacedNode {
    switch (node.kind) {
      case 'step':
        return { kind: 'step', at: this.placeStep(node, path) }
      case 'part':
        return { kind: 'list', body: this.placeAll(node.body, `${path}${node.name}/`) }
      case 'branch': {
        const at = this.placeStep(node.test, path)
        return { kind: 'branch', at, branches: node.cases.map((branch) => this.placeAll(branch, path)) }
      }
      case 'loop': {
        const at = node.test && this.placeStep(node.test, path)
        return { kind: 'loop', at, leaveOn: node.leaveOn, body: this.placeAll(node.body, path) }
      }
      default:
        return node
    }
  }

  private placeStep(step: Step, path: string): Placed {
    if (step.outcomes.length > MAX_OUTCOMES) {
      throw new VgicError(
        'argument',
        `${step.name} has ${step.outcomes.length} outcomes; ${MAX_OUTCOMES} are the most.`,
      )
    }
    const pc = asPc(this.steps.length)
    this.steps.push(step)
    this.paths.push(path + step.name)
    this.successors.push([])
    return { pc, step }
  }

  /** Links a list so that it goes on at `next`; returns where it begins. */
  private link(nodes: readonly PlacedNode[], next: NextPc, loop: Enclosing): NextPc {
    let begin = next
    for (let i = nodes.length - 1; i >= 0; i--) begin = this.linkNode(nodes[i], begin, loop)
    return begin
  }

  private linkNode(node: PlacedNode, next: NextPc, loop: Enclosing): NextPc {
    switch (node.kind) {
      case 'step':
        this.successors[node.at.pc] = successorsOf(node.at.step, next)
        return node.at.pc
      case 'list':
        return this.link(node.body, next, loop)
      case 'branch':
        this.successors[node.at.pc] = node.branches.map((branch) => this.link(branch, next, loop))
        return node.at.pc
      case 'loop': {
        if (!node.at) {
          const start = firstPc(node.body)
          this.link(node.body, start, { start, end: next })
          return start
        }
        const body = this.link(node.body, node.at.pc, loop)
        this.successors[node.at.pc] = node.at.step.outcomes.map((_, i) => (i === node.leaveOn ? next : body))
        return node.at.pc
      }
      default:
        if (loop.start === ENDED) throw new VgicError('argument', 'restart and leave belong into a forever.')
        return node.kind === 'restart' ? loop.start : loop.end
    }
  }
}

/** The successors of a step that the list goes on after, whatever its result. */
function successorsOf({ outcomes, ends }: Step, next: NextPc): NextPc[] {
  return new Array<NextPc>(Math.max(outcomes.length, 1)).fill(ends ? ENDED : next)
}

/** The program counter at which a list begins. */
function firstPc(nodes: readonly PlacedNode[]): NextPc {
  for (const node of nodes) {
    if (node.kind === 'list' || (node.kind === 'loop' && !node.at)) {
      const pc = firstPc(node.body)
      if (pc !== ENDED) return pc
    } else if ('at' in node && node.at) return node.at.pc
  }
  return ENDED
}
