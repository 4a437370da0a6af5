/**
 * Every small mutation of a design: each step left out, each two neighbours swapped, each step moved past the question
 * that it stands beside, and each question with a constant answer.
 */
import { type Design, type DesignNode, edit, ownStep, type Step } from 'vgic/scenario'
import { rowOf } from '../../src/hyp/run/steps.ts'

/** A design with one thing wrong, perhaps. */
export interface Mutation {
  /** What was done: `omit wfi/saveVmcr`, `swap entry/irqOff, entry/flush`. */
  readonly name: string
  /** Makes it; throws a `VgicError` if it is refused. */
  readonly make: () => Design
  /** Whether it has no steps about vPEs, and so is for a machine without GICv4 only. */
  readonly withoutVpes?: true
}

/** What stands in a sequence: a step, or something with a question and lists of its own. */
interface Place {
  readonly address: string
  readonly step: Step
  readonly asks: boolean
}

/** A step, or nothing that can be addressed: an endless loop, or a jump. */
type Item = Place | undefined

/**
 * All mutations of a design, in the order of its text; then those of steps that are neighbours only where the steps about
 * vPEs between them are left out.
 */
export function mutationsOf(design: Design): Mutation[] {
  const ofWhole = mutationsAsWritten(design)
  const names = new Set(ofWhole.map(({ name }) => name))
  const others = mutationsAsWritten(withoutVpes(design)).filter(({ name }) => !names.has(name))
  return [...ofWhole, ...others.map((mutation) => ({ ...mutation, withoutVpes: true }) as const)]
}

function mutationsAsWritten(design: Design): Mutation[] {
  const sequences = sequencesOf(design)
  const places = sequences.flat().filter((item) => item !== undefined)
  return [
    ...places.flatMap((place) => (place.asks ? answers(design, place) : [omission(design, place)])),
    ...sequences.flatMap((sequence) => [...swaps(design, sequence), ...moves(design, sequence)]),
  ]
}

/** A design as a machine without GICv4 has it. */
function withoutVpes(design: Design): Design {
  const { thread, schedOut, schedIn } = design
  return { ...design, thread: strip(thread), schedOut: strip(schedOut), schedIn: strip(schedIn) }
}

const strip = (nodes: readonly DesignNode[]): DesignNode[] =>
  nodes.flatMap((node): DesignNode[] => {
    switch (node.kind) {
      case 'step':
        return rowOf(node.op)?.gicv4 ? [] : [node]
      case 'part':
        return node.gicv4 ? [] : [{ ...node, body: strip(node.body) }]
      case 'branch':
        return [{ ...node, cases: node.cases.map(strip) }]
      case 'loop':
        return [{ ...node, body: strip(node.body) }]
      default:
        return [node]
    }
  })

function omission(design: Design, { address }: Place): Mutation {
  return {
    name: `omit ${short(address)}`,
    make: () => edit(design).omit(address).design(`${design.name} mutated`),
  }
}

/** One for each answer. */
function answers(design: Design, { address, step }: Place): Mutation[] {
  return step.outcomes.map((outcome, answer) => ({
    name: `answer ${short(address)} ${outcome}`,
    make: () => {
      const always = {
        ...ownStep(`always ${outcome}`, () => answer, step.outcomes),
        writes: 'thread' as const,
      }
      return edit(design).replace(address, always).design(`${design.name} mutated`)
    },
  }))
}

/** Two steps in a row change places. */
function swaps(design: Design, sequence: readonly Item[]): Mutation[] {
  return pairs(sequence, 2).flatMap(([one, other]) => {
    if (!one || !other || one.asks || other.asks || one.step === other.step) return []
    return {
      name: `swap ${short(one.address)}, ${short(other.address)}`,
      make: () => edit(design).swap(one.address, other.address).design(`${design.name} mutated`),
    }
  })
}

/** Of a step, a question with what depends on it, and a step: either step on the other side of the question. */
function moves(design: Design, sequence: readonly Item[]): Mutation[] {
  return pairs(sequence, 3).flatMap(([before, question, after]) => {
    if (!before || !question || !after || before.asks || !question.asks || after.asks) return []
    return [
      {
        name: `move ${short(before.address)} behind ${short(question.address)}`,
        make: () =>
          edit(design)
            .insertBefore(after.address, before.step)
            .omit(before.address)
            .design(`${design.name} mutated`),
      },
      {
        name: `move ${short(after.address)} before ${short(question.address)}`,
        make: () =>
          edit(design)
            .omit(after.address)
            .insertAfter(before.address, after.step)
            .design(`${design.name} mutated`),
      },
    ]
  })
}

/** Every run of `length` items. */
const pairs = (sequence: readonly Item[], length: number): Item[][] =>
  sequence.slice(length - 1).map((_, at) => sequence.slice(at, at + length))

/** An address for people: the first of its name has no number. */
const short = (address: string): string => address.replace(/#1$/, '')

/** What is done in a row: the lists of a design, and those that depend on a question, with parts in their places. */
function sequencesOf({ thread, schedOut, schedIn, inject, msi }: Design): Item[][] {
  const sequences: Item[][] = []
  const lists = { '': thread, 'schedOut/': schedOut, 'schedIn/': schedIn, 'inject/': inject, 'msi/': msi }
  for (const [path, nodes] of Object.entries(lists))
    sequences.push(sequence(nodes, path, sequences, new Map()))
  return sequences
}

/** The items of a list; sequences inside of it are added to `more`. Addresses number the steps as `Edit` does. */
function sequence(
  nodes: readonly DesignNode[],
  path: string,
  more: Item[][],
  seen: Map<string, number>,
): Item[] {
  const place = (step: Step, asks: boolean): Place => {
    const name = path + step.name
    const count = (seen.get(name) ?? 0) + 1
    seen.set(name, count)
    return { address: `${name}#${count}`, step, asks }
  }
  return nodes.flatMap((node): Item[] => {
    switch (node.kind) {
      case 'step':
        return [place(node, false)]
      case 'part':
        return sequence(node.body, `${path}${node.name}/`, more, seen)
      case 'branch': {
        const test = place(node.test, true)
        for (const branch of node.cases) more.push(sequence(branch, path, more, seen))
        return [test]
      }
      case 'loop': {
        const test = node.test && place(node.test, true)
        more.push(sequence(node.body, path, more, seen))
        return [test]
      }
      default:
        return [undefined]
    }
  })
}
