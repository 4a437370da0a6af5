/**
 * Designs as lists of named steps. A design says in which order a vCPU's thread does what; this file has the
 * language to write one and the compiler that turns it into a flat table: for each program counter the step,
 * and by the step's result the next program counter. There are no jumps and no return stack: the table is all
 * there is, so one program counter in the state is where a thread is.
 */

import {
  argumentFunction,
  argumentInteger,
  argumentList,
  argumentObject,
  argumentOneOf,
  argumentOptions,
  argumentRecord,
  argumentString,
  type Fields,
  isPlainObject,
  shown,
} from '../state/arguments.ts'
import { VgicError } from '../state/vgic-error.ts'
import type { StepContext } from './own-steps.ts'
import { giveUpCpu, resume, STEP_OWN } from './steps.ts'

/** A step: one atomic action of the hypervisor on behalf of a vCPU. Its result chooses what comes next. */
export interface Step {
  /** What kind of node it is. */
  readonly kind: 'step'
  /** What it does, in a word; a test ends in a question mark. */
  readonly name: string
  /** Number that the run loop knows it by. */
  readonly op: number
  /** The names of its results; a step with one result has none. */
  readonly outcomes: readonly string[]
  /** Nothing follows it: the thread ends. */
  readonly ends?: true
  /**
   * How far its changes reach in the vCPU's record: `thread` is the words before the shadow registers, `vcpu` those
   * before the interrupts; `pe` is these, the thread's PE and which PEs are free. Left out, they can reach anything.
   */
  readonly reach?: 'thread' | 'vcpu' | 'pe'
}

/** A step of a design's own, see {@link ownStep}. */
export interface OwnStep extends Step {
  /** Does it, and returns the index of its outcome; 0 if it has none. */
  readonly perform: (context: StepContext, vcpu: number) => number
}

/**
 * Makes a step of a design's own. `outcomes` are the names of its results; none for a step that asks nothing. What it
 * does must follow from the machine and nothing else: runs that are told of, replays and explorations call it again.
 */
export const ownStep = (
  name: string,
  perform: OwnStep['perform'],
  outcomes: readonly string[] = [],
): OwnStep => checkStep('own step', { kind: 'step', name, op: STEP_OWN, outcomes, perform })

/** A list under a name; the name is part of the path of the steps in it. */
export interface Part {
  /** What kind of node it is. */
  readonly kind: 'part'
  /** Its name. */
  readonly name: string
  /** What it is made of. */
  readonly body: readonly Node[]
}

/** A step with several results, and what follows each of them before the list goes on. */
export interface Choice {
  /** What kind of node it is. */
  readonly kind: 'choice'
  /** Decides. */
  readonly test: Step
  /** What follows each result, by result. */
  readonly branches: readonly (readonly Node[])[]
}

/** Repeats its body: while a test has a result, or for ever. */
export interface Loop {
  /** What kind of node it is. */
  readonly kind: 'loop'
  /** Asked before each round; none in an endless loop. */
  readonly test: Step | undefined
  /** The result of the test that leaves the loop. */
  readonly leaveOn: number
  /** What is repeated. */
  readonly body: readonly Node[]
}

/** Goes back to the beginning of the innermost endless loop, or out of it. */
export interface Jump {
  /** What kind of node it is. */
  readonly kind: 'restart' | 'leave'
}

/** What a design is made of. */
export type Node = Step | Part | Choice | Loop | Jump

/** Names a list of steps. */
export const part = (name: string, ...body: Node[]): Part => ({
  kind: 'part',
  name: argumentString('name', name),
  body: checkNodes(name, body),
})

function yesOrNo(test: Step): Step {
  if (checkStep('test', test).outcomes.length === 2) return test
  throw new VgicError('argument', `${test.name} is no test with two outcomes: use choose.`)
}

/** Does the steps if the test says yes. */
export const when = (test: Step, ...body: Node[]): Choice => ({
  kind: 'choice',
  test: yesOrNo(test),
  branches: [[], checkNodes('when', body)],
})

/** Does the steps if the test says no. */
export const unless = (test: Step, ...body: Node[]): Choice => ({
  kind: 'choice',
  test: yesOrNo(test),
  branches: [checkNodes('unless', body), []],
})

/** Does the steps of the outcome that the test has; outcomes that are left out go on at once. */
export function choose(test: Step, cases: Readonly<Record<string, readonly Node[]>>): Choice {
  checkStep('test', test)
  argumentRecord('cases', cases, 'a plain object with the steps of each outcome')
  const unknown = Object.keys(cases).find((outcome) => !test.outcomes.includes(outcome))
  if (unknown !== undefined) {
    throw new VgicError(
      'argument',
      `${test.name} has no outcome ${unknown}; it has ${test.outcomes.join(', ')}.`,
    )
  }
  const stepsOf = (outcome: string): readonly Node[] =>
    cases[outcome] === undefined ? [] : checkNodes(outcome, cases[outcome])
  return { kind: 'choice', test, branches: test.outcomes.map(stepsOf) }
}

/** Tests, and does the steps, until the test says yes. */
export const until = (test: Step, ...body: Node[]): Loop => ({
  kind: 'loop',
  test: yesOrNo(test),
  leaveOn: 1,
  body: checkNodes('until', body),
})

/** Does the steps again and again. */
export const forever = (...body: Node[]): Loop => ({
  kind: 'loop',
  test: undefined,
  leaveOn: 0,
  body: checkNodes('forever', body),
})

/** Goes back to the beginning of the innermost `forever`. */
export const restart: Jump = { kind: 'restart' }

/** Goes on after the innermost `forever`. */
export const leave: Jump = { kind: 'leave' }

/** A design under its name. */
export interface Design {
  /** Its name, as docs and tables print it. */
  readonly name: string
  /** What a vCPU's thread does, from its first load to its last put. */
  readonly thread: readonly Node[]
  /** What the scheduler makes the thread do when it takes the PE away. */
  readonly schedOut: readonly Node[]
  /** What the scheduler makes the thread do when it gives it a PE. */
  readonly schedIn: readonly Node[]
  /** What a device's injection does: the order in which it stores, posts and kicks. */
  readonly inject: readonly Node[]
  /** Names of words that the design's own steps keep for each vCPU. */
  readonly words?: readonly string[]
}

const stepFields: Fields<OwnStep> = {
  kind: true,
  name: true,
  op: true,
  outcomes: true,
  ends: true,
  reach: true,
  perform: true,
}
const partFields: Fields<Part> = { kind: true, name: true, body: true }
const choiceFields: Fields<Choice> = { kind: true, test: true, branches: true }
const loopFields: Fields<Loop> = { kind: true, test: true, leaveOn: true, body: true }
const designFields: Fields<Design> = {
  name: true,
  thread: true,
  schedOut: true,
  schedIn: true,
  inject: true,
  words: true,
}

/** Throws an `argument` error for what is no step, of the library's or of a design's own. */
export function checkStep<T extends Step>(name: string, step: T): T {
  refuseOther(name, step)
  argumentOneOf(`${name}.kind`, step.kind, ['step'])
  argumentString(`${name}.name`, step.name)
  argumentOptions<Step>(step.name, step, stepFields)
  argumentInteger(`${step.name}.op`, step.op, 1, STEP_OWN)
  const outcomes = argumentList(`${step.name}.outcomes`, step.outcomes, 'names')
  for (const outcome of outcomes) argumentString(`an outcome of ${step.name}`, outcome)
  if (step.ends !== undefined) argumentOneOf(`${step.name}.ends`, step.ends, [true])
  if (step.reach !== undefined)
    argumentOneOf(`${step.name}.reach`, step.reach, ['thread', 'vcpu', 'pe'] as const)
  if (isOwnStep(step) || step.op === STEP_OWN)
    argumentFunction(
      `perform of ${step.name}`,
      isOwnStep(step) ? step.perform : undefined,
      '(context, vcpu) => outcome',
    )
  return step
}

/** Deeper than any design is: one that has itself in it. */
const MAX_NESTING = 100

/** Throws an `argument` error for a list that has something else in it than nodes of a design. */
export function checkNodes(name: string, nodes: readonly Node[], depth = 0): readonly Node[] {
  const list = argumentList(name, nodes, 'steps')
  for (const [i, node] of list.entries()) checkNode(`${name}[${i}]`, node, depth + 1)
  return list
}

function checkNode(name: string, node: Node, depth: number): void {
  if (depth > MAX_NESTING)
    throw new VgicError('argument', `${name} is nested too deep: a list must not have itself in it.`)
  refuseOther(name, node)
  switch (node.kind) {
    case 'step':
      checkStep(name, node)
      return
    case 'part':
      argumentOptions(name, node, partFields)
      checkNodes(argumentString(`${name}.name`, node.name), node.body, depth)
      return
    case 'choice': {
      argumentOptions(name, node, choiceFields)
      const { outcomes } = checkStep(`${name}.test`, node.test)
      const branches = argumentList(`${name}.branches`, node.branches, 'lists of steps')
      argumentInteger(`${name}.branches.length`, branches.length, outcomes.length, outcomes.length)
      for (const [i, branch] of branches.entries()) checkNodes(`${name}.branches[${i}]`, branch, depth)
      return
    }
    case 'loop':
      argumentOptions(name, node, loopFields)
      if (node.test !== undefined) checkStep(`${name}.test`, node.test)
      argumentInteger(`${name}.leaveOn`, node.leaveOn, 0, MAX_OUTCOMES - 1)
      checkNodes(`${name}.body`, node.body, depth)
      return
    default:
      argumentOptions(name, node, { kind: true })
      argumentOneOf(`${name}.kind`, node.kind, ['restart', 'leave'] as const)
  }
}

function refuseOther(name: string, node: unknown): void {
  if (isPlainObject(node)) return
  const hint = Array.isArray(node) ? ': spread it' : ''
  throw new VgicError(
    'argument',
    `${name} must be a step, or what part(), when(), choose() and the like return, but is ${shown(node)}${hint}.`,
  )
}

/** Throws an `argument` error for what is no design. Where its steps stand, check-design.ts looks at. */
export function checkShape(design: Design): Design {
  argumentObject('design', design, 'a design, such as designs.wfiHandler or what defineDesign() returns')
  argumentOptions('A design', design, designFields)
  argumentString('name', design.name)
  for (const list of ['thread', 'schedOut', 'schedIn', 'inject'] as const) checkNodes(list, design[list])
  checkWords(design.words)
  return design
}

/** Throws an `argument` error for what are no names of words. */
export function checkWords(words: readonly string[] = []): readonly string[] {
  const names = argumentList('words', words, 'names')
  for (const [i, name] of names.entries()) {
    argumentString(`words[${i}]`, name)
    if (names.indexOf(name) !== i)
      throw new VgicError('argument', `words has ${name} twice: name each word once.`)
  }
  return names
}

/** Words of the table for each program counter: the step, the next program counter for each result, and a superinstruction. */
export const TABLE_SHIFT = 4
/** The word of a row that says which superinstruction begins there; 0 is none. */
export const TABLE_FUSED = 15
/** The most results that a step can have. */
export const MAX_OUTCOMES = 14
/** The program counter of a list that has ended. */
export const ENDED = 0
/** The program counter at which a thread begins. */
export const FIRST_PC = 1

/** A design as the run loop executes it. */
export interface Program {
  readonly design: Design
  /** 16 words a program counter: step, successors, superinstruction. */
  readonly table: Int32Array
  /** `wfi/halt/runnable?`: what stands at each program counter. */
  readonly paths: readonly string[]
  /** The steps, by program counter. */
  readonly steps: readonly (Step | undefined)[]
  /** The design's own steps: number `STEP_OWN + i` in the table is the i-th. */
  readonly own: readonly OwnStep[]
  /** Where the lists other than the thread begin. */
  readonly schedOut: number
  readonly schedIn: number
  readonly inject: number
  /** The beginning of the thread's endless loop: where an exit has been dealt with. */
  readonly head: number
}

/** Compiles a design. */
export function compile(design: Design): Program {
  return new Compiler().program(design)
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

/** A step at its place in the design. */
interface Placed {
  readonly pc: number
  readonly step: Step
}

/** A node with its steps placed, in the order of the text. */
type PlacedNode =
  | { readonly kind: 'step'; readonly at: Placed }
  | { readonly kind: 'list'; readonly body: readonly PlacedNode[] }
  | { readonly kind: 'choice'; readonly at: Placed; readonly branches: readonly (readonly PlacedNode[])[] }
  | {
      readonly kind: 'loop'
      readonly at: Placed | undefined
      readonly leaveOn: number
      readonly body: readonly PlacedNode[]
    }
  | Jump

/** Where the innermost endless loop begins and where it is left to. */
interface Enclosing {
  readonly start: number
  readonly end: number
}

class Compiler {
  private readonly paths: string[] = ['(ended)']
  private readonly steps: (Step | undefined)[] = [undefined]
  private readonly successors: number[][] = [[]]
  private readonly own: OwnStep[] = []

  program(design: Design): Program {
    const lists = {
      thread: this.placeAll(design.thread, ''),
      schedOut: this.placeAll([...design.schedOut, giveUpCpu], 'schedOut/'),
      schedIn: this.placeAll([...design.schedIn, resume], 'schedIn/'),
      inject: this.placeAll(design.inject, 'inject/'),
    }
    const link = (list: readonly PlacedNode[]) => this.link(list, ENDED, { start: ENDED, end: ENDED })
    if (link(lists.thread) !== FIRST_PC) {
      throw new VgicError('argument', `Design ${design.name} must begin with a step.`)
    }
    const [schedOut, schedIn, inject] = [link(lists.schedOut), link(lists.schedIn), link(lists.inject)]
    const loop = lists.thread.find((node) => node.kind === 'loop' && !node.at)
    const table = new Int32Array(this.steps.length << TABLE_SHIFT)
    for (const [pc, step] of this.steps.entries()) {
      if (step) table.set([this.opOf(step), ...this.successors[pc]], pc << TABLE_SHIFT)
    }
    const head = loop ? firstPc([loop]) : ENDED
    const { paths, steps, own } = this
    return { design, table, paths, steps, own, schedOut, schedIn, inject, head }
  }

  private opOf(step: Step): number {
    if (!isOwnStep(step)) return step.op
    if (!this.own.includes(step)) this.own.push(step)
    return STEP_OWN + this.own.indexOf(step)
  }

  private placeAll(nodes: readonly Node[], path: string): PlacedNode[] {
    return nodes.map((node) => this.placeNode(node, path))
  }

  private placeNode(node: Node, path: string): PlacedNode {
    switch (node.kind) {
      case 'step':
        return { kind: 'step', at: this.placeStep(node, path) }
      case 'part':
        return { kind: 'list', body: this.placeAll(node.body, `${path}${node.name}/`) }
      case 'choice': {
        const at = this.placeStep(node.test, path)
        return { kind: 'choice', at, branches: node.branches.map((branch) => this.placeAll(branch, path)) }
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
    const pc = this.steps.length
    this.steps.push(step)
    this.paths.push(path + step.name)
    this.successors.push([])
    return { pc, step }
  }

  /** Links a list so that it goes on at `next`; returns where it begins. */
  private link(nodes: readonly PlacedNode[], next: number, loop: Enclosing): number {
    let begin = next
    for (const node of [...nodes].reverse()) begin = this.linkNode(node, begin, loop)
    return begin
  }

  private linkNode(node: PlacedNode, next: number, loop: Enclosing): number {
    switch (node.kind) {
      case 'step':
        this.successors[node.at.pc] = successorsOf(node.at.step, next)
        return node.at.pc
      case 'list':
        return this.link(node.body, next, loop)
      case 'choice':
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

/** Whether a step is a design's own. */
export const isOwnStep = (step: Step): step is OwnStep => 'perform' in step

/** The successors of a step that the list goes on after, whatever its result. */
function successorsOf({ outcomes, ends }: Step, next: number): number[] {
  return Array.from({ length: Math.max(outcomes.length, 1) }, () => (ends ? ENDED : next))
}

/** The program counter at which a list begins. */
function firstPc(nodes: readonly PlacedNode[]): number {
  for (const node of nodes) {
    if (node.kind === 'list' || (node.kind === 'loop' && !node.at)) {
      const pc = firstPc(node.body)
      if (pc !== ENDED) return pc
    } else if ('at' in node && node.at) return node.at.pc
  }
  return ENDED
}
