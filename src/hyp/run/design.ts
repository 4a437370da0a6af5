/**
 * Designs as lists of named steps: the language in which one says in which order a vCPU's thread does what, and the
 * checks that what it was given are words of it. program.ts compiles them.
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
} from '../../errors/arguments.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { isOwnStep, MAX_OUTCOMES, type OwnStep, STEP_OWN, type Step } from './step.ts'

/** What else there is to say of a step of a design's own. */
export interface OwnStepOptions {
  /**
   * `runnable` for the question by which a halt asks whether its own vCPU would run: an exploration checks that the
   * shadow registers are what the guest would see when it is asked.
   */
  readonly asks?: 'runnable'
}

/**
 * Makes a step of a design's own. `outcomes` are the names of its results; none for a step that asks nothing. What it
 * does must follow from the machine and nothing else: runs that are told of, replays and explorations call it again.
 */
export function ownStep(
  name: string,
  perform: OwnStep['perform'],
  outcomes: readonly string[] = [],
  options: OwnStepOptions = {},
): OwnStep {
  argumentOptions('ownStep', options, { asks: true })
  return checkStep('own step', { kind: 'step', name, op: STEP_OWN, outcomes, ...options, perform })
}

/** A list under a name; the name is part of the path of the steps in it. */
export interface Part {
  /** What kind of node it is. */
  readonly kind: 'part'
  /** Its name. */
  readonly name: string
  /** What it is made of. */
  readonly body: readonly DesignNode[]
}

/** A step with several results, and what follows each of them before the list goes on. */
export interface Branch {
  /** What kind of node it is. */
  readonly kind: 'branch'
  /** Decides. */
  readonly test: Step
  /** What follows each result, by result. */
  readonly cases: readonly (readonly DesignNode[])[]
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
  readonly body: readonly DesignNode[]
}

/** Goes back to the beginning of the innermost endless loop, or out of it. */
export interface Jump {
  /** What kind of node it is. */
  readonly kind: 'restart' | 'leave'
}

/** What a design is made of. */
export type DesignNode = Step | Part | Branch | Loop | Jump

/** Names a list of steps. */
export const part = (name: string, ...body: DesignNode[]): Part => ({
  kind: 'part',
  name: argumentString('name', name),
  body: checkNodes(name, body),
})

function yesOrNo(test: Step): Step {
  if (checkStep('test', test).outcomes.length === 2) return test
  throw new VgicError('argument', `${test.name} is no test with two outcomes: use branch.`)
}

/** Does the steps if the test says yes. */
export const when = (test: Step, ...body: DesignNode[]): Branch => ({
  kind: 'branch',
  test: yesOrNo(test),
  cases: [[], checkNodes('when', body)],
})

/** Does the steps if the test says no. */
export const unless = (test: Step, ...body: DesignNode[]): Branch => ({
  kind: 'branch',
  test: yesOrNo(test),
  cases: [checkNodes('unless', body), []],
})

/** Does the steps of the outcome that the test has; outcomes that are left out go on at once. */
export function branch(test: Step, cases: Readonly<Record<string, readonly DesignNode[]>>): Branch {
  checkStep('test', test)
  argumentRecord('cases', cases, 'a plain object with the steps of each outcome')
  const unknown = Object.keys(cases).find((outcome) => !test.outcomes.includes(outcome))
  if (unknown !== undefined) {
    throw new VgicError(
      'argument',
      `${test.name} has no outcome ${unknown}; it has ${test.outcomes.join(', ')}.`,
    )
  }
  const stepsOf = (outcome: string): readonly DesignNode[] =>
    cases[outcome] === undefined ? [] : checkNodes(outcome, cases[outcome])
  return { kind: 'branch', test, cases: test.outcomes.map(stepsOf) }
}

/** Tests, and does the steps, until the test says yes. */
export const until = (test: Step, ...body: DesignNode[]): Loop => ({
  kind: 'loop',
  test: yesOrNo(test),
  leaveOn: 1,
  body: checkNodes('until', body),
})

/** Does the steps again and again. */
export const forever = (...body: DesignNode[]): Loop => ({
  kind: 'loop',
  test: undefined,
  leaveOn: 0,
  body: checkNodes('forever', body),
})

/** Goes back to the beginning of the innermost `forever`. */
export const restartLoop: Jump = { kind: 'restart' }

/** Goes on after the innermost `forever`. */
export const leaveLoop: Jump = { kind: 'leave' }

/** A design under its name. */
export interface Design {
  /** Its name, as docs and tables print it. */
  readonly name: string
  /** What a vCPU's thread does, from its first load to its last put. */
  readonly thread: readonly DesignNode[]
  /** What the scheduler makes the thread do when it takes the PE away. */
  readonly schedOut: readonly DesignNode[]
  /** What the scheduler makes the thread do when it gives it a PE. */
  readonly schedIn: readonly DesignNode[]
  /** What a device's injection does: the order in which it stores, posts and kicks. */
  readonly inject: readonly DesignNode[]
  /** Names of words that the design's own steps keep for each vCPU. */
  readonly words?: readonly string[]
}

const stepFields: Fields<OwnStep> = {
  kind: true,
  name: true,
  op: true,
  outcomes: true,
  ends: true,
  writes: true,
  asks: true,
  perform: true,
}
const partFields: Fields<Part> = { kind: true, name: true, body: true }
const branchFields: Fields<Branch> = { kind: true, test: true, cases: true }
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
  if (step.writes !== undefined)
    argumentOneOf(`${step.name}.writes`, step.writes, ['thread', 'vcpu', 'pe'] as const)
  if (step.asks !== undefined) argumentOneOf(`${step.name}.asks`, step.asks, ['runnable'] as const)
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
export function checkNodes(name: string, nodes: readonly DesignNode[], depth = 0): readonly DesignNode[] {
  const list = argumentList(name, nodes, 'steps')
  for (const [i, node] of list.entries()) checkNode(`${name}[${i}]`, node, depth + 1)
  return list
}

function checkNode(name: string, node: DesignNode, depth: number): void {
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
    case 'branch': {
      argumentOptions(name, node, branchFields)
      const { outcomes } = checkStep(`${name}.test`, node.test)
      const cases = argumentList(`${name}.cases`, node.cases, 'lists of steps')
      argumentInteger(`${name}.cases.length`, cases.length, outcomes.length, outcomes.length)
      for (const [i, body] of cases.entries()) checkNodes(`${name}.cases[${i}]`, body, depth)
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
    `${name} must be a step, or what part(), when(), branch() and the like return, but is ${shown(node)}${hint}.`,
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
