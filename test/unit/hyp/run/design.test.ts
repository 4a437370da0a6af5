/** The design language: small designs against tables written by hand. */

import { VgicError } from 'vgic'
import { describe, expect, it } from 'vitest'
import { checkDesign } from '../../../../src/hyp/run/check-design.ts'
import {
  branch,
  checkShape,
  type Design,
  type DesignNode,
  forever,
  gicv4Part,
  leaveLoop,
  ownStep,
  part,
  restartLoop,
  unless,
  until,
  when,
} from '../../../../src/hyp/run/design.ts'
import { compile, ENDED, FIRST_PC, TABLE_SHIFT } from '../../../../src/hyp/run/program.ts'
import { MAX_OUTCOMES, STEP_OWN, type Step } from '../../../../src/hyp/run/step.ts'
import { STEP_GIVE_UP_CPU, STEP_RESUME } from '../../../../src/hyp/run/step-numbers.ts'
import * as steps from '../../../../src/hyp/run/steps.ts'

const ROW = 1 << TABLE_SHIFT

const step = (name: string, op: number, outcomes: readonly string[] = []): Step => ({
  kind: 'step',
  name,
  op,
  outcomes,
})
const a = step('a', 11)
const b = step('b', 12)
const c = step('c', 13)
const d = step('d', 14)
const test = step('test?', 20, ['no', 'yes'])
const other = step('other?', 21, ['no', 'yes'])
const which = step('which?', 22, ['left', 'middle', 'right'])
const stop: Step = { ...step('stop', 30), ends: true }

const design = (...thread: DesignNode[]): Design => ({
  name: 'small',
  thread,
  schedOut: [],
  schedIn: [],
  inject: [],
  msi: [],
})

/** `path -> 2 3`: what stands at each program counter from 1, and the next one for each result. */
function allRows(small: Design): string[] {
  const { table, paths, steps } = compile(small)
  expect(table).toHaveLength(steps.length * ROW)
  expect(paths).toHaveLength(steps.length)
  return steps.flatMap((placed, pc) => {
    const [op, ...next] = table.subarray(pc * ROW, (pc + 1) * ROW)
    const results = placed ? Math.max(placed.outcomes.length, 1) : 0
    expect(op).toBe(placed?.op ?? 0)
    expect(next.slice(results).every((word) => word === ENDED)).toBe(true)
    const successors = next.slice(0, results).map((word) => (word === ENDED ? 'end' : word))
    return placed ? [`${paths[pc]} -> ${successors.join(' ')}`] : []
  })
}

/** The rows of the thread: the scheduler's two lists follow it, each with its last step at least. */
function rows(...thread: DesignNode[]): string[] {
  const all = allRows(design(...thread))
  expect(all.slice(-2)).toEqual(['schedOut/giveUpCpu -> end', 'schedIn/resume -> end'])
  return all.slice(0, -2)
}

describe('a list', () => {
  it('goes from step to step, in the order of the text, and then ends', () => {
    expect(rows(a, b, c)).toEqual(['a -> 2', 'b -> 3', 'c -> end'])
  })

  it('begins at the first program counter', () => {
    expect(FIRST_PC).toBe(1)
    expect(compile(design(a)).paths).toEqual(['(ended)', 'a', 'schedOut/giveUpCpu', 'schedIn/resume'])
  })

  it('goes on after a question whatever the answer, if it is a step by itself', () => {
    expect(rows(test, a)).toEqual(['test? -> 2 2', 'a -> end'])
  })

  it('has a place for each use of a step', () => {
    expect(rows(a, a)).toEqual(['a -> 2', 'a -> end'])
  })

  it('ends at a step that ends the thread', () => {
    expect(rows(a, stop, b)).toEqual(['a -> 2', 'stop -> end', 'b -> end'])
  })
})

describe('a part', () => {
  it('gives its steps a path and changes nothing else', () => {
    expect(rows(a, part('outer', b, part('inner', c)), d)).toEqual([
      'a -> 2',
      'outer/b -> 3',
      'outer/inner/c -> 4',
      'd -> end',
    ])
  })

  it('may be empty', () => {
    expect(rows(a, part('nothing'), b)).toEqual(['a -> 2', 'b -> end'])
  })

  it('may come first', () => {
    expect(rows(part('first', part('of all', a)), b)).toEqual(['first/of all/a -> 2', 'b -> end'])
  })
})

describe('when and unless', () => {
  it('when does the steps on yes', () => {
    expect(rows(when(test, a, b), c)).toEqual(['test? -> 4 2', 'a -> 3', 'b -> 4', 'c -> end'])
  })

  it('unless does them on no', () => {
    expect(rows(unless(test, a, b), c)).toEqual(['test? -> 2 4', 'a -> 3', 'b -> 4', 'c -> end'])
  })

  it('nest, and join where the outer one goes on', () => {
    expect(rows(when(test, a, unless(other, b)), c)).toEqual([
      'test? -> 5 2',
      'a -> 3',
      'other? -> 4 5',
      'b -> 5',
      'c -> end',
    ])
  })

  it('end the thread when nothing follows', () => {
    expect(rows(when(test, a))).toEqual(['test? -> end 2', 'a -> end'])
  })

  it('without steps only ask', () => {
    expect(rows(when(test), a)).toEqual(['test? -> 2 2', 'a -> end'])
  })
})

describe('branch', () => {
  it('does the steps of the outcome, in the order of the outcomes, and goes on', () => {
    expect(rows(branch(which, { right: [c], left: [a, b] }), d)).toEqual([
      'which? -> 2 5 4',
      'a -> 3',
      'b -> 5',
      'c -> 5',
      'd -> end',
    ])
  })

  it('puts the steps under the path of where it stands, not of the outcome', () => {
    expect(rows(part('exit', branch(which, { middle: [part('wfi', a)] })))).toEqual([
      'exit/which? -> end 2 end',
      'exit/wfi/a -> end',
    ])
  })

  it('refuses an outcome that the step does not have', () => {
    const call = () => branch(which, { left: [a], up: [b] })
    expect(call).toThrow(VgicError)
    expect(call).toThrow('which? has no outcome up; it has left, middle, right.')
  })
})

describe('until', () => {
  it('tests first, and leaves on yes', () => {
    expect(rows(until(test, a, b), c)).toEqual(['test? -> 2 4', 'a -> 3', 'b -> 1', 'c -> end'])
  })

  it('without steps tests again and again', () => {
    expect(rows(until(test), a)).toEqual(['test? -> 1 2', 'a -> end'])
  })

  it('nests', () => {
    expect(rows(until(test, a, until(other, b)), c)).toEqual([
      'test? -> 2 5',
      'a -> 3',
      'other? -> 4 1',
      'b -> 3',
      'c -> end',
    ])
  })

  it('is the loop around a sleep: announce, look, sleep, announce, look', () => {
    expect(rows(unless(test, part('sleep', a, until(test, b, a), c)), d)).toEqual([
      'test? -> 2 7',
      'sleep/a -> 3',
      'sleep/test? -> 4 6',
      'sleep/b -> 5',
      'sleep/a -> 3',
      'sleep/c -> 7',
      'd -> end',
    ])
  })
})

describe('forever and restart', () => {
  it('forever begins again at its beginning', () => {
    expect(rows(a, forever(b, c))).toEqual(['a -> 2', 'b -> 3', 'c -> 2'])
  })

  it('forever may come first, and begin with a part', () => {
    expect(rows(forever(part('entry', part('deep', a)), b))).toEqual(['entry/deep/a -> 2', 'b -> 1'])
  })

  it('forever may begin with a question', () => {
    expect(rows(a, forever(when(test, b), c))).toEqual(['a -> 2', 'test? -> 4 3', 'b -> 4', 'c -> 2'])
  })

  it('what follows it is placed and never reached', () => {
    expect(rows(forever(a), b)).toEqual(['a -> 1', 'b -> end'])
  })

  it('restart goes back to the beginning of the loop, from within parts and choices', () => {
    expect(rows(a, forever(b, part('abort', when(test, c, restartLoop)), d))).toEqual([
      'a -> 2',
      'b -> 3',
      'abort/test? -> 5 4',
      'abort/c -> 2',
      'd -> 2',
    ])
  })

  it('restart alone in a choice leads straight back', () => {
    expect(rows(forever(a, unless(test, restartLoop), b))).toEqual(['a -> 2', 'test? -> 1 3', 'b -> 1'])
  })

  it('restart leaves an until within the loop', () => {
    expect(rows(forever(a, until(test, when(other, restartLoop), b), c))).toEqual([
      'a -> 2',
      'test? -> 3 5',
      'other? -> 4 1',
      'b -> 2',
      'c -> 1',
    ])
  })

  it('restart means the innermost loop', () => {
    expect(rows(forever(a, when(test, forever(b, when(other, restartLoop), c)), d))).toEqual([
      'a -> 2',
      'test? -> 6 3',
      'b -> 4',
      'other? -> 5 3',
      'c -> 3',
      'd -> 1',
    ])
  })

  it('a thread ends out of a loop only by a step that ends it', () => {
    expect(rows(forever(a, when(test, stop)))).toEqual(['a -> 2', 'test? -> 1 3', 'stop -> end'])
  })
})

describe('a design', () => {
  it.each([
    { what: 'of nothing', thread: [] },
    { what: 'of an empty part', thread: [part('nothing')] },
    { what: 'of an empty loop', thread: [forever()] },
  ])('$what is refused', ({ thread }) => {
    expect(() => compile(design(...thread))).toThrow(VgicError)
    expect(() => compile(design(...thread))).toThrow('Design small must begin with a step.')
  })

  it('compiles to the same table each time', () => {
    const thread = [a, forever(when(test, b, restartLoop), c)]
    expect(compile(design(...thread))).toEqual(compile(design(...thread)))
  })
})

describe('leave', () => {
  it('goes on after the loop', () => {
    expect(rows(forever(a, when(test, b, leaveLoop), c), d)).toEqual([
      'a -> 2',
      'test? -> 4 3',
      'b -> 5',
      'c -> 1',
      'd -> end',
    ])
  })

  it('ends the thread when nothing follows the loop', () => {
    expect(rows(forever(a, when(test, leaveLoop)))).toEqual(['a -> 2', 'test? -> 1 end'])
  })

  it('leaves the innermost loop, and an until in it', () => {
    expect(rows(forever(a, forever(until(test, when(other, leaveLoop)), b), c), d)).toEqual([
      'a -> 2',
      'test? -> 3 4',
      'other? -> 2 5',
      'b -> 2',
      'c -> 1',
      'd -> end',
    ])
  })

  it('of a loop inside of one goes on in the outer one', () => {
    expect(rows(forever(forever(a, when(test, leaveLoop))))).toEqual(['a -> 2', 'test? -> 1 1'])
  })
})

describe('what makes no sense is refused', () => {
  it.each([
    { name: 'when', build: () => when(which, a) },
    { name: 'unless', build: () => unless(which, a) },
    { name: 'until', build: () => until(which, a) },
  ])('$name of a question with three answers', ({ build }) => {
    expect(build).toThrow(VgicError)
    expect(build).toThrow('which? is not a test with two outcomes: use branch.')
  })

  it.each([
    { name: 'when', build: () => when(a, b) },
    { name: 'unless', build: () => unless(a, b) },
    { name: 'until', build: () => until(a, b) },
  ])('$name of a step that asks nothing', ({ build }) => {
    expect(build).toThrow('a is not a test with two outcomes: use branch.')
  })

  it.each([
    { where: 'in the thread', lists: { thread: [a, restartLoop] } },
    { where: 'in a choice of the thread', lists: { thread: [when(test, restartLoop)] } },
    { where: 'in an until', lists: { thread: [until(test, a, restartLoop)] } },
    { where: 'after the loop', lists: { thread: [forever(a), restartLoop] } },
    { where: 'in schedOut', lists: { schedOut: [restartLoop] } },
    { where: 'in schedIn', lists: { schedIn: [when(test, restartLoop)] } },
    { where: 'in inject', lists: { inject: [a, restartLoop] } },
  ])('restart $where, outside of every endless loop', ({ lists }) => {
    expect(() => compile({ ...design(a), ...lists })).toThrow(VgicError)
    expect(() => compile({ ...design(a), ...lists })).toThrow('restart and leave belong into a forever.')
  })

  const results = (count: number): string[] => Array.from({ length: count }, (_, i) => `r${i}`)

  it('a step with more results than a row has words for', () => {
    const many = step('many?', 23, results(MAX_OUTCOMES + 1))
    expect(() => compile(design(many))).toThrow(VgicError)
    expect(() => compile(design(many))).toThrow('many? has 11 outcomes; 10 are the most.')
  })

  it('but not one with as many: its results fill the row up to the words of superinstructions', () => {
    const many = step('many?', 23, results(MAX_OUTCOMES))
    const { table } = compile(design(branch(many, { r9: [a] }), b))
    const next = Array.from({ length: 9 }, () => 3)
    const others = Array.from({ length: ROW - 11 }, () => 0)
    expect([...table.subarray(ROW, 2 * ROW)]).toEqual([23, ...next, 2, ...others])
  })
})

describe('a value that belongs into no design is refused, with the place where it is', () => {
  const wrong = (value: unknown): never => value as never
  const broken = (node: unknown): Design => ({ ...design(a), thread: wrong([a, node]) })

  it.each<readonly [message: string, build: () => unknown]>([
    ['name must be a string, but is 5.', () => part(wrong(5), a)],
    [
      'outer[1] must be a step, or what part(), when(), branch() and the like return, but is 5.',
      () => part('outer', a, wrong(5)),
    ],
    [
      'when[0] must be a step, or what part(), when(), branch() and the like return, but is an array: spread it.',
      () => when(test, wrong([a])),
    ],
    [
      'unless[0] must be a step, or what part(), when(), branch() and the like return, but is "a".',
      () => unless(test, wrong('a')),
    ],
    [
      'until[0] must be a step, or what part(), when(), branch() and the like return, but is null.',
      () => until(test, wrong(null)),
    ],
    [
      'forever[0] must be a step, or what part(), when(), branch() and the like return, but is undefined.',
      () => forever(wrong(undefined)),
    ],
    [
      'test must be a step, or what part(), when(), branch() and the like return, but is 5.',
      () => when(wrong(5), a),
    ],
    [
      'cases must be a plain object with the steps of each outcome, but is an array.',
      () => branch(which, wrong([])),
    ],
    ['which? has no outcome up; it has left, middle, right.', () => branch(which, { up: [a] })],
    ['left must be an array of steps, but is an object.', () => branch(which, { left: wrong(a) })],
    ['thread[1].gicv4 must be true, but is 1.', () => checkShape(broken({ ...part('p', a), gicv4: 1 }))],
    ['thread[1].name must be a string, but is 5.', () => checkShape(broken({ ...part('p', a), name: 5 }))],
    [
      'thread[1].cases must be an array of lists of steps, but is 5.',
      () => checkShape(broken({ ...when(test, a), cases: 5 })),
    ],
    [
      'thread[1].cases.length must be an integer from 2 to 2, but is 1.',
      () => checkShape(broken({ ...when(test, a), cases: [[]] })),
    ],
    [
      'thread[1].cases[1] must be an array of steps, but is 5.',
      () => checkShape(broken({ ...when(test, a), cases: [[], 5] })),
    ],
    [
      'thread[1].test must be a step, or what part(), when(), branch() and the like return, but is 5.',
      () => checkShape(broken({ ...until(test), test: 5 })),
    ],
    [
      'thread[1].leaveOn must be an integer from 0 to 9, but is -1.',
      () => checkShape(broken({ ...until(test), leaveOn: -1 })),
    ],
    [
      'thread[1].body must be an array of steps, but is undefined.',
      () => checkShape(broken({ ...forever(a), body: undefined })),
    ],
    ['thread[1].kind must be "restart" or "leave", but is "go".', () => checkShape(broken({ kind: 'go' }))],
    ['thread[1].name must be a string, but is undefined.', () => checkShape(broken({ kind: 'step' }))],
    ['a.op must be an integer from 1 to 256, but is 0.', () => checkShape(broken({ ...a, op: 0 }))],
    [
      'a.outcomes must be an array of names, but is undefined.',
      () => checkShape(broken({ ...a, outcomes: undefined })),
    ],
    ['an outcome of a must be a string, but is 5.', () => checkShape(broken({ ...a, outcomes: [5] }))],
    ['a.ends must be true, but is false.', () => checkShape(broken({ ...a, ends: false }))],
    [
      'a.writes must be "thread", "vcpu" or "pe", but is "all".',
      () => checkShape(broken({ ...a, writes: 'all' })),
    ],
    ['a.asks must be "runnable", but is "all".', () => checkShape(broken({ ...a, asks: 'all' }))],
    [
      'msi must be an array of steps, but is undefined.',
      () => checkShape({ ...design(a), msi: wrong(undefined) }),
    ],
    ['words[1] must be a string, but is 5.', () => checkShape({ ...design(a), words: wrong(['w', 5]) })],
    ['words has w twice: name each word once.', () => checkShape({ ...design(a), words: ['w', 'v', 'w'] })],
    ['Design small must begin with a step.', () => compile(design(forever()))],
    ['a is not a test: it has no outcomes.', () => branch(a, {})],
    ...['', 'a/b', 'a#2'].map(
      (name) =>
        [
          `thread[1].name must be a name for addresses such as wfi/preemptOff#2, without / and #, but is "${name}".`,
          () => checkShape(broken({ ...a, name })),
        ] as const,
    ),
    [
      'name must be a name for addresses such as wfi/preemptOff#2, without / and #, but is "in/out".',
      () => part('in/out', a),
    ],
  ])('%s', (message, build) => {
    expect(build).toThrow(expect.objectContaining({ code: 'argument', message }))
  })

  it.each<readonly [message: string, lists: Partial<Design>]>([
    [
      'small has a in inject: an injection is made of queueInterrupt, postRequest and kickVcpu.',
      { inject: [a] },
    ],
    [
      'small has a branch in inject: an injection is made of queueInterrupt, postRequest and kickVcpu.',
      { inject: [when(test)] },
    ],
    ['small has no queueInterrupt in inject: without it no interrupt is stored.', { inject: [] }],
    ['small must have one translate in msi, before all other steps.', { msi: [steps.queueInterrupt] }],
    [
      'small must have one translate in msi, before all other steps.',
      { msi: [steps.translate, steps.translate] },
    ],
    ['small has no queueInterrupt in msi: without it no interrupt is stored.', { msi: [steps.translate] }],
    [
      'small has stop in the wrong list: it belongs into the thread: a notifier cannot do it in its place.',
      { schedIn: [steps.stop] },
    ],
    [
      'small has translate in the wrong list: it belongs into msi: only a message is translated.',
      { schedOut: [steps.translate] },
    ],
    [
      'small has kick in the wrong list: it belongs into inject: only an injection has an interrupt.',
      { thread: [steps.kickVcpu] },
    ],
    [
      'small has restoreLines in the wrong list: it belongs into restore: userspace does it.',
      { thread: [steps.restoreLines] },
    ],
    [
      'small has saveTimers in restore: a restore is made of prepareVm, restoreControl and the like.',
      { restore: [steps.prepareVm, steps.saveTimers] },
    ],
    [
      "small has no step in restore: leave it out for the order of KVM's documents.",
      { restore: [part('nothing')] },
    ],
    [
      "small has a step a that is not this library's: take one of `steps`, or make it with ownStep.",
      { schedOut: [{ ...a, op: STEP_OWN - 1 }] },
    ],
    [
      'The thread of small comes to an end after load: end it with stop, or put it into forever.',
      { thread: [steps.load] },
    ],
    [
      'The thread of small comes to an end after load without GICv4: end it with stop, or put it into forever.',
      { thread: [steps.load, gicv4Part('loop', forever(steps.load))] },
    ],
    [
      'small has a in the wrong list: it belongs into the thread: a notifier cannot do it in its place.',
      { schedOut: [{ ...a, ends: true }] },
    ],
    [
      'a is not a test: it has no outcomes.',
      { thread: [{ kind: 'branch', test: a, cases: [] }, steps.stop] },
    ],
  ])('%s', (message, lists) => {
    const right = {
      ...design(steps.load, steps.stop),
      inject: [steps.queueInterrupt],
      msi: [steps.translate, steps.queueInterrupt],
    }
    expect(() => checkDesign(right)).not.toThrow()
    expect(() => checkDesign({ ...right, ...lists })).toThrow(
      expect.objectContaining({ code: 'argument', message }),
    )
  })
})

describe('the lists beside the thread', () => {
  const five: Design = {
    name: 'five lists',
    thread: [part('load', a), forever(b)],
    schedOut: [part('vgic', c), d],
    schedIn: [when(test, a)],
    inject: [a, unless(other, part('tell', b)), c],
    msi: [d],
  }

  it('follow it, each under its name and with its own end', () => {
    expect(allRows(five)).toEqual([
      'load/a -> 2',
      'b -> 2',
      'schedOut/vgic/c -> 4',
      'schedOut/d -> 5',
      'schedOut/giveUpCpu -> end',
      'schedIn/test? -> 8 7',
      'schedIn/a -> 8',
      'schedIn/resume -> end',
      'inject/a -> 10',
      'inject/other? -> 11 12',
      'inject/tell/b -> 12',
      'inject/c -> end',
      'msi/d -> end',
    ])
  })

  it('begin where the program says', () => {
    const { schedOut, schedIn, inject, msi, head, steps } = compile(five)
    expect({ schedOut, schedIn, inject, msi, head }).toEqual({
      schedOut: 3,
      schedIn: 6,
      inject: 9,
      msi: 13,
      head: 2,
    })
    expect([steps[5]?.op, steps[8]?.op]).toEqual([STEP_GIVE_UP_CPU, STEP_RESUME])
  })

  it('may be empty: the scheduler’s then only have their last step', () => {
    const { schedOut, schedIn, inject } = compile(design(a))
    expect({ schedOut, schedIn, inject }).toEqual({ schedOut: 2, schedIn: 3, inject: ENDED })
  })

  it('the head is the beginning of the endless loop, and none without one', () => {
    expect(compile(design(a, forever(part('entry', when(test, b)), c))).head).toBe(2)
    expect(compile(design(a, b)).head).toBe(ENDED)
  })
})

describe('own steps', () => {
  const first = ownStep('first', () => 0)
  const second = ownStep('second?', () => 1, ['no', 'yes'])

  it('are numbered in the order in which they first occur, each once', () => {
    const { table, own } = compile({
      ...design(forever(second, when(second, first))),
      schedOut: [first],
      words: ['w'],
    })
    expect(own).toEqual([second, first])
    expect([1, 2, 3, 4].map((pc) => table[pc * ROW])).toEqual([
      STEP_OWN,
      STEP_OWN,
      STEP_OWN + 1,
      STEP_OWN + 1,
    ])
  })

  it('of one name are two steps', () => {
    const { own } = compile(
      design(
        ownStep('same', () => 0),
        ownStep('same', () => 0),
      ),
    )
    expect(own).toHaveLength(2)
  })
})
