/**
 * The language of designs: lists of named steps, in the order in which a vCPU's thread takes them, and the checks of
 * its arguments. program.ts compiles designs.
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

/** Options of a design's own step. */
export interface OwnStepOptions {
  /**
   * `runnable` for the question by which a halt asks whether its own vCPU would run: an exploration then checks that
   * the shadow registers are what the guest would read (S11).
   */
  readonly asks?: 'runnable'
}

/**
 * Makes a design's own step. `outcomes` are the names of its results; empty for a step that is not a question. The
 * step must depend on the machine's state and on nothing else, since timelines, replays and explorations execute it
 * again.
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
  /** The kind of node. */
  readonly kind: 'part'
  /** Its name. */
  readonly name: string
  /** The steps in it. */
  readonly body: readonly DesignNode[]
  /** Set if it is about vPEs: a machine without GICv4 does not have it. */
  readonly gicv4?: true
}

/** A step with several results, and what follows each of them before the list goes on. */
export interface Branch {
  /** The kind of node. */
  readonly kind: 'branch'
  /** The step that decides. */
  readonly test: Step
  /** The nodes that follow, by outcome. */
  readonly cases: readonly (readonly DesignNode[])[]
}

/** Repeats its body, until a test has a certain outcome, or forever. */
export interface Loop {
  /** The kind of node. */
  readonly kind: 'loop'
  /** The test before each round; undefined in an endless loop. */
  readonly test: Step | undefined
  /** The outcome of the test that leaves the loop. */
  readonly leaveOn: number
  /** The repeated nodes. */
  readonly body: readonly DesignNode[]
}

/** Goes back to the beginning of the innermost endless loop, or out of it. */
export interface Jump {
  /** The kind of node. */
  readonly kind: 'restart' | 'leave'
}

/** The nodes of a design's lists. */
export type DesignNode = Step | Part | Branch | Loop | Jump

/** Names a list of steps. */
export const part = (name: string, ...body: DesignNode[]): Part => ({
  kind: 'part',
  name: checkName('name', name),
  body: checkNodes(name, body),
})

/** Names a list of steps that only a machine with GICv4 has. Steps about vPEs need no such list. */
export const gicv4Part = (name: string, ...body: DesignNode[]): Part => ({
  ...part(name, ...body),
  gicv4: true,
})

function yesOrNo(test: Step): Step {
  if (checkStep('test', test).outcomes.length === 2) return test
  throw new VgicError('argument', `${test.name} is not a test with two outcomes: use branch.`)
}

/** Takes the steps of `body` if the test says yes. Throws an `argument` error for a test without two outcomes. */
export const when = (test: Step, ...body: DesignNode[]): Branch => ({
  kind: 'branch',
  test: yesOrNo(test),
  cases: [[], checkNodes('when', body)],
})

/** Takes the steps of `body` if the test says no. Throws an `argument` error for a test without two outcomes. */
export const unless = (test: Step, ...body: DesignNode[]): Branch => ({
  kind: 'branch',
  test: yesOrNo(test),
  cases: [checkNodes('unless', body), []],
})

/**
 * Takes the steps for the outcome of the test; an outcome that is left out has none. Throws an `argument` error for
 * an unknown outcome.
 */
export function branch(test: Step, cases: Readonly<Record<string, readonly DesignNode[]>>): Branch {
  checkTest('test', test)
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

/** Repeats the test and the steps of `body` until the test says yes. */
export const until = (test: Step, ...body: DesignNode[]): Loop => ({
  kind: 'loop',
  test: yesOrNo(test),
  leaveOn: 1,
  body: checkNodes('until', body),
})

/** Repeats the steps of `body` forever, until `leaveLoop` or a step that ends the thread. */
export const forever = (...body: DesignNode[]): Loop => ({
  kind: 'loop',
  test: undefined,
  leaveOn: 0,
  body: checkNodes('forever', body),
})

/** Goes back to the beginning of the innermost `forever`. */
export const restartLoop: Jump = { kind: 'restart' }

/** Leaves the innermost `forever`. */
export const leaveLoop: Jump = { kind: 'leave' }

/** A design: a name, and the lists of steps of a thread, its notifiers, an injection and a message. */
export interface Design {
  /** Its name, as docs and tables print it. */
  readonly name: string
  /** The steps of a vCPU's thread, from its first load to its last put. */
  readonly thread: readonly DesignNode[]
  /** The notifier that runs when the scheduler takes the thread's PE away. */
  readonly schedOut: readonly DesignNode[]
  /** The notifier that runs when the scheduler gives the thread a PE. */
  readonly schedIn: readonly DesignNode[]
  /** The steps of a device's injection: the order in which it stores, posts and kicks. */
  readonly inject: readonly DesignNode[]
  /** The steps of a device's message-signalled interrupt: its translation, and the injection of the LPI. */
  readonly msi: readonly DesignNode[]
  /** The steps in which a device that stands for userspace saves the VM; `[saveInterrupts, saveTimers]` if left out. */
  readonly save?: readonly DesignNode[]
  /** The steps in which such a device restores what it has saved; `plainRestore` if left out. */
  readonly restore?: readonly DesignNode[]
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
const partFields: Fields<Part> = { kind: true, name: true, body: true, gicv4: true }
const branchFields: Fields<Branch> = { kind: true, test: true, cases: true }
const loopFields: Fields<Loop> = { kind: true, test: true, leaveOn: true, body: true }
const designFields: Fields<Design> = {
  name: true,
  thread: true,
  schedOut: true,
  schedIn: true,
  inject: true,
  msi: true,
  save: true,
  restore: true,
  words: true,
}

/** Throws an `argument` error for a value that is not a step, neither of the library nor a design's own. */
export function checkStep<T extends Step>(name: string, step: T): T {
  refuseOther(name, step)
  argumentOneOf(`${name}.kind`, step.kind, ['step'])
  checkName(`${name}.name`, step.name)
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

/** A name in the address of a step, where / comes between names, and # before a number. */
function checkName(name: string, value: string): string {
  if (/^[^/#]+$/.test(argumentString(name, value))) return value
  throw new VgicError(
    'argument',
    `${name} must be a name for addresses such as wfi/preemptOff#2, without / and #, but is ${shown(value)}.`,
  )
}

/** Throws an `argument` error for a value that is not a step with outcomes. */
function checkTest(name: string, step: Step): Step {
  if (checkStep(name, step).outcomes.length > 0) return step
  throw new VgicError('argument', `${step.name} is not a test: it has no outcomes.`)
}

/** Deeper nesting than any design has; a list that contains itself exceeds it. */
const MAX_NESTING = 100

/** Throws an `argument` error for a list with an element that is not a node of a design. */
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
      if (node.gicv4 !== undefined) argumentOneOf(`${name}.gicv4`, node.gicv4, [true])
      checkNodes(checkName(`${name}.name`, node.name), node.body, depth)
      return
    case 'branch': {
      argumentOptions(name, node, branchFields)
      const { outcomes } = checkTest(`${name}.test`, node.test)
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

/** Throws an `argument` error for a value that is not a design. check-design.ts checks the positions of its steps. */
export function checkShape(design: Design): Design {
  argumentObject('design', design, 'a design, such as designs.wfiHandler or what defineDesign() returns')
  argumentOptions('A design', design, designFields)
  argumentString('name', design.name)
  for (const list of ['thread', 'schedOut', 'schedIn', 'inject', 'msi'] as const)
    checkNodes(list, design[list])
  if (design.save !== undefined) checkNodes('save', design.save)
  if (design.restore !== undefined) checkNodes('restore', design.restore)
  checkWords(design.words)
  return design
}

/** Throws an `argument` error for values that are not names of words. */
export function checkWords(words: readonly string[] = []): readonly string[] {
  const names = argumentList('words', words, 'names')
  for (const [i, name] of names.entries()) {
    argumentString(`words[${i}]`, name)
    if (names.indexOf(name) !== i)
      throw new VgicError('argument', `words has ${name} twice: name each word once.`)
  }
  return names
}
