/**
 * What can be told of a design without running it. A step in a list that has nothing for it to work on would do nothing,
 * or something else than its name says, and an exploration would call the design complete; such a design is refused
 * when it is made. What takes a state to tell is the invariants' to find.
 */
import { VgicError } from '../../errors/vgic-error.ts'
import { checkShape, type Design, type DesignNode } from './design.ts'
import { compile, ENDED, TABLE_SHIFT } from './program.ts'
import * as steps from './public-steps.ts'
import { isOwnStep, type Step } from './step.ts'

const numbersOf = (list: readonly Step[]): ReadonlySet<number> => new Set(list.map(({ op }) => op))

/** The steps of this library. */
const known = numbersOf(Object.values(steps))

/** They store, post and kick for a device's interrupt, which nothing but an injection has. */
const ofInjection = numbersOf([steps.queueInterrupt, steps.postRequest, steps.kickVcpu])

/**
 * What a notifier cannot do in its thread's place, which is still where it was: deal with an exit, enter, wait, sleep,
 * look for another vCPU, or end.
 */
const ofThread = numbersOf([
  steps.handleRequests,
  steps.guest,
  steps.exitReason,
  steps.skipInstruction,
  steps.emulateSysreg,
  steps.emulateMmio,
  steps.emulateMmioFromMemory,
  steps.stopVcpus,
  steps.accessStopped,
  steps.accessStoppedFromMemory,
  steps.resumeVcpus,
  steps.userspace,
  steps.pollBegin,
  steps.pollAgain,
  steps.pollEnd,
  steps.setSleeping,
  steps.setRunning,
  steps.sleep,
  steps.noCandidate,
  steps.candidateBlocked,
  steps.dyRunnable,
  steps.candidateRunnable,
  steps.yieldTo,
  steps.stop,
])

/** Throws an `argument` error for what is no design, and for one of which a list has a step that does not belong there. */
export function checkDesign(design: Design): Design {
  checkShape(design)
  const { name, thread, schedOut, schedIn, inject } = design
  for (const step of stepsOf([...thread, ...schedOut, ...schedIn])) {
    if (ofInjection.has(step.op)) throw misplaced(name, step, 'inject: only an injection has an interrupt')
    if (isOwnStep(step) || known.has(step.op)) continue
    throw new VgicError(
      'argument',
      `${name} has a step ${step.name} that is none of this library's: take one of \`steps\`, or make it with ownStep.`,
    )
  }
  for (const step of stepsOf([...schedOut, ...schedIn]))
    if (ofThread.has(step.op)) throw misplaced(name, step, 'the thread: a notifier cannot do it in its place')
  checkInjection(name, inject)
  checkEnd(design)
  return design
}

const misplaced = (design: string, { name }: Step, where: string): VgicError =>
  new VgicError('argument', `${design} has ${name} in the wrong list: it belongs into ${where}.`)

/** Of an injection the machine knows where it is, and nothing that a question could be asked of. */
function checkInjection(design: string, inject: readonly DesignNode[]): void {
  const list = inject.flatMap(flattened)
  const other = list.find((node) => node.kind !== 'step' || !ofInjection.has(node.op))
  if (other) {
    throw new VgicError(
      'argument',
      `${design} has ${other.kind === 'step' ? other.name : `a ${other.kind}`} in inject: an injection is made of queueInterrupt, postRequest and kickVcpu.`,
    )
  }
  if (list.some((node) => node.kind === 'step' && node.op === steps.queueInterrupt.op)) return
  throw new VgicError(
    'argument',
    `${design} has no queueInterrupt in inject: without it no interrupt is stored.`,
  )
}

/** A thread that came to the end of its list would be done while its guest is not, and would keep its PE. */
function checkEnd(design: Design): void {
  const { table, steps: placed, paths } = compile(design)
  const end = 1 + [...stepsOf(design.thread)].length
  for (let pc = 1; pc < end; pc++) {
    const step = placed[pc]
    if (!step || step.ends) continue
    const row = pc << TABLE_SHIFT
    const outcomes = Math.max(step.outcomes.length, 1)
    if (!table.subarray(row + 1, row + 1 + outcomes).includes(ENDED)) continue
    throw new VgicError(
      'argument',
      `The thread of ${design.name} comes to an end after ${paths[pc]}: end it with stop, or put it into forever.`,
    )
  }
}

/** A part's nodes in its place. */
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
