/**
 * Checks of a design that need no run. A step in a list where it cannot work would do nothing, or something else than
 * its name says, and an exploration would find no violation; such a design is refused when it is made. The invariants
 * find mistakes that depend on the state.
 */
import { VgicError } from '../../errors/vgic-error.ts'
import { checkShape, type Design, type DesignNode } from './design.ts'
import { compile, ENDED, type Program, TABLE_SHIFT } from './program.ts'
import { isOwnStep, type Step } from './step.ts'
import { queueCountedHere, queueInterrupt, queueQuietly, rowOf, translate, translateUnheld } from './steps.ts'

/** Whether a step stores, posts or kicks for a device's interrupt, which only an injection has. */
const isOfInjection = (step: Step): boolean => rowOf(step.op)?.stands === 'inject'

/** Whether only a device's message has what a step is about: a translation, and a reference to the LPI. */
const isOfMessage = (step: Step): boolean => rowOf(step.op)?.stands === 'msi'

/** Whether only userspace does a step, when it saves the VM, or restores it. */
const isOfSave = (step: Step): boolean => rowOf(step.op)?.stands === 'save'
const isOfRestore = (step: Step): boolean => rowOf(step.op)?.stands === 'restore'

/**
 * Whether only the thread itself can do a step, not a notifier: handle an exit, enter, wait, sleep, look for another
 * vCPU, or end.
 */
const isOfThread = (step: Step): boolean => rowOf(step.op)?.stands === 'thread'

/** Whether a step is one of this library's that designs can contain. */
function isKnown({ op }: Step): boolean {
  const row = rowOf(op)
  return row !== undefined && row.stands !== 'end'
}

/**
 * Throws an `argument` error for a value that is not a design, and for a design with a step in a list where it cannot
 * work.
 */
export const checkDesign = (design: Design): Design => compileChecked(design).design

/** Checks a design as `checkDesign` does, and returns it compiled for a machine with vPEs. */
export function compileChecked(design: Design): Program {
  checkShape(design)
  const { name, thread, schedOut, schedIn } = design
  for (const step of stepsOf([...thread, ...schedOut, ...schedIn])) {
    if (isOfInjection(step)) throw misplaced(name, step, 'inject: only an injection has an interrupt')
    if (isOfMessage(step)) throw misplaced(name, step, 'msi: only a message is translated')
    if (isOfSave(step)) throw misplaced(name, step, 'save: userspace does it')
    if (isOfRestore(step)) throw misplaced(name, step, 'restore: userspace does it')
    if (isOwnStep(step) || isKnown(step)) continue
    throw new VgicError(
      'argument',
      `${name} has a step ${step.name} that is not this library's: take one of \`steps\`, or make it with ownStep.`,
    )
  }
  for (const step of stepsOf([...schedOut, ...schedIn]))
    if (isOfThread(step) || step.ends)
      throw misplaced(name, step, 'the thread: a notifier cannot do it in its place')
  checkInjection(design)
  checkMessage(design)
  checkUserspace(design)
  const program = compile(design, true)
  checkEnd(program, '')
  checkEnd(compile(design), ' without GICv4')
  return program
}

const misplaced = (design: string, { name }: Step, where: string): VgicError =>
  new VgicError('argument', `${design} has ${name} in the wrong list: it belongs into ${where}.`)

/** An injection has a program counter in the machine and no vCPU, so its list can have no questions. */
function checkInjection({ name, inject }: Design): void {
  const kinds = 'an injection is made of queueInterrupt, postRequest and kickVcpu'
  const list = stepsOnly(name, 'inject', inject, isOfInjection, kinds)
  if (list.some(isQueue)) return
  throw new VgicError(
    'argument',
    `${name} has no queueInterrupt in inject: without it no interrupt is stored.`,
  )
}

/** A save and a restore have a program counter in the machine and no vCPU, either. */
function checkUserspace({ name, save = [], restore }: Design): void {
  stepsOnly(name, 'save', save, isOfSave, 'a save is made of saveInterrupts and saveTimers')
  const kinds = 'a restore is made of prepareVm, restoreControl and the like'
  if (restore === undefined || stepsOnly(name, 'restore', restore, isOfRestore, kinds).length > 0) return
  throw new VgicError(
    'argument',
    `${name} has no step in restore: leave it out for the order of KVM's documents.`,
  )
}

/** Nothing is known of a message before it is translated. */
function checkMessage({ name, msi }: Design): void {
  const isOfEither = (step: Step): boolean => isOfInjection(step) || isOfMessage(step)
  const kinds = 'a message is made of translate, the steps of an injection and dropReference'
  const list = stepsOnly(name, 'msi', msi, isOfEither, kinds)
  if (list.findIndex(isTranslation) !== 0 || list.slice(1).some(isTranslation))
    throw new VgicError('argument', `${name} must have one translate in msi, before all other steps.`)
  if (list.some(isQueue)) return
  throw new VgicError('argument', `${name} has no queueInterrupt in msi: without it no interrupt is stored.`)
}

const isQueue = ({ op }: Step): boolean =>
  op === queueInterrupt.op || op === queueQuietly.op || op === queueCountedHere.op
const isTranslation = ({ op }: Step): boolean => op === translate.op || op === translateUnheld.op

/** The steps of a list of a device, which has no others than those of a kind. */
function stepsOnly(
  design: string,
  list: string,
  nodes: readonly DesignNode[],
  isOne: (step: Step) => boolean,
  kinds: string,
): Step[] {
  return nodes.flatMap(flattened).map((node) => {
    if (node.kind === 'step' && isOne(node)) return node
    const what = node.kind === 'step' ? node.name : `a ${node.kind}`
    throw new VgicError('argument', `${design} has ${what} in ${list}: ${kinds}.`)
  })
}

/**
 * Refuses a thread that can come to the end of its list: it would be done while its guest is not, and keep its PE.
 */
function checkEnd({ design, table, steps, paths, schedOut: end }: Program, where: string): void {
  for (let pc = 1; pc < end; pc++) {
    const step = steps[pc]
    if (!step || step.ends) continue
    const row = pc << TABLE_SHIFT
    const outcomes = Math.max(step.outcomes.length, 1)
    if (!table.subarray(row + 1, row + 1 + outcomes).includes(ENDED)) continue
    throw new VgicError(
      'argument',
      `The thread of ${design.name} comes to an end after ${paths[pc]}${where}: end it with stop, or put it into forever.`,
    )
  }
}

/** The nodes of a part instead of the part. */
const flattened = (node: DesignNode): readonly DesignNode[] =>
  node.kind === 'part' ? node.body.flatMap(flattened) : [node]

function* stepsOf(nodes: readonly DesignNode[]): Generator<Step> {
  for (const node of nodes) {
    switch (node.kind) {
      case 'step':
        yield node
        break
      case 'part':
        yield* stepsOf(node.body)
        break
      case 'branch':
        yield node.test
        for (const branch of node.cases) yield* stepsOf(branch)
        break
      case 'loop':
        if (node.test) yield node.test
        yield* stepsOf(node.body)
        break
      default:
    }
  }
}
