/**
 * Edits of a design: omit a step, swap two, replace one, insert one. A known bug is an edit of a good design, and so
 * is a baseline. A step is addressed by its path or the end of it, `wfi/saveVmcr`, with its number if a list has
 * several of that name: `wfi/preemptOff#1`. An address that matches no step, or several, is refused, and so is an
 * edit that does not change the compiled design.
 */
import { argumentString, shown } from '../../errors/arguments.ts'
import { nearest } from '../../errors/did-you-mean.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { checkDesign, compileChecked } from './check-design.ts'
import { checkNodes, checkStep, type Design, type DesignNode } from './design.ts'
import { compile, type Program, stepNames } from './program.ts'
import type { Step } from './step.ts'
import { rowOf } from './steps.ts'

/** What is in a step's place after an edit, by the step, its number in the order of the design, and whether it is a test. */
type Replacement = (step: Step, number: number, isTest: boolean) => readonly DesignNode[]

/** A step where the design has it. */
interface Place {
  readonly step: Step
  /** `wfi/preemptOff#2`: by the number a list's steps of one name are told apart, from the second on. */
  readonly path: string
  /** `wfi/preemptOff`: the path without a number. */
  readonly plain: string
  /** `wfi/preemptOff#1`: the path with one, the first step's too. */
  readonly numbered: string
}

/** An edited design; each call edits further. */
export class Edit {
  private readonly places: readonly Place[]

  /** @internal */
  constructor(
    /** While it is being edited, a design may be one that would be refused. */
    private readonly edited: Design,
    /**
     * `edited`, compiled for a machine with vPEs.
     * @internal
     */
    readonly program: Program,
  ) {
    this.places = placesOf(program)
  }

  /**
   * The edited design, under a new name; without one it keeps that of the design which is edited, in reports and tables
   * too. Throws an `argument` error if a step is where it cannot work.
   */
  design(name = this.edited.name): Design {
    return checkDesign({ ...this.edited, name: argumentString('name', name) })
  }

  /** Omits a step. A test cannot be omitted, since something must choose. */
  omit(address: string): Edit {
    return this.at(address, (step, isTest) => (isTest ? this.refuseTest(step) : []))
  }

  /** Replaces a step by another, and a test by a test with as many outcomes. */
  replace(address: string, by: Step): Edit {
    checkStep('by', by)
    return this.at(address, () => [by])
  }

  /** Inserts steps before a step. */
  insertBefore(address: string, ...nodes: DesignNode[]): Edit {
    const before = checkNodes('nodes', nodes)
    return this.at(address, (step) => [...before, step])
  }

  /** Inserts steps after a step. */
  insertAfter(address: string, ...nodes: DesignNode[]): Edit {
    const after = checkNodes('nodes', nodes)
    return this.at(address, (step) => [step, ...after])
  }

  /** Exchanges two steps. */
  swap(one: string, other: string): Edit {
    const [first, second] = [this.find(one), this.find(other)]
    return this.apply((step, number) =>
      number === first ? [this.places[second].step] : number === second ? [this.places[first].step] : [step],
    )
  }

  /** Replaces every step of a name by another. */
  replaceAll(name: string, by: Step): Edit {
    this.checkName(name)
    checkStep('by', by)
    return this.apply((step) => (step.name === name ? [by] : [step]))
  }

  /** Inserts steps after every step of a name. */
  insertAfterAll(name: string, ...nodes: DesignNode[]): Edit {
    this.checkName(name)
    const after = checkNodes('nodes', nodes)
    return this.apply((step) => (step.name === name ? [step, ...after] : [step]))
  }

  /** Omits every step of a name. */
  omitAll(name: string): Edit {
    this.checkName(name)
    return this.apply((step) => (step.name === name ? [] : [step]))
  }

  /** Throws for a name that no step has. */
  private checkName(name: string): void {
    argumentString('name', name)
    if (this.places.some(({ step }) => step.name === name)) return
    const names = [...new Set(this.places.map(({ step }) => step.name))]
    throw new VgicError('argument', `${this.edited.name} has no step ${name}${instead(name, names)}`)
  }

  private refuseTest(step: Step): never {
    throw new VgicError('argument', `${step.name} is a test: replace it by one with the same outcomes.`)
  }

  private at(address: string, replaceBy: (step: Step, isTest: boolean) => readonly DesignNode[]): Edit {
    const found = this.find(address)
    return this.apply((step, number, isTest) => (number === found ? replaceBy(step, isTest) : [step]))
  }

  /** The number of the one step whose path is the address or ends in it. */
  private find(address: string): number {
    argumentString('address', address)
    const { places } = this
    // A path that a list has twice is that of its first step, too.
    const unmistakable = ({ path, plain, numbered }: Place): string =>
      places.filter((other) => other.plain === plain).length > 1 ? numbered : path
    const isNumbered = /#\d+$/.test(address)
    const nameOf = ({ plain, numbered }: Place): string => (isNumbered ? numbered : plain)
    const whole = places.filter((place) => nameOf(place) === address)
    if (whole.length === 1) return places.indexOf(whole[0])
    const found = places.filter((place) => `/${nameOf(place)}`.endsWith(`/${address}`))
    if (found.length === 1) return places.indexOf(found[0])
    throw new VgicError(
      'argument',
      found.length === 0
        ? `${this.edited.name} has no step ${address}${instead(address, [...new Set(places.map(({ plain }) => plain))])}`
        : `${found.length} places of ${this.edited.name} match ${address}: say which of ${found.map(unmistakable).join(', ')}.`,
    )
  }

  private apply(replacement: Replacement): Edit {
    let number = 0
    const edited = rewritten(this.edited, (step, isTest) => {
      const nodes = replacement(step, number, isTest)
      if (isTest) this.checkTest(number, nodes)
      number++
      return nodes
    })
    const program = compile(edited, true)
    if (doesSame(this.program, program))
      throw new VgicError('argument', `The edit leaves ${this.edited.name} as it was.`)
    return editing(edited, program)
  }

  /** A test can only be replaced by one test with as many outcomes. */
  private checkTest(number: number, [by, ...more]: readonly DesignNode[]): void {
    const { path, step } = this.places[number]
    if (by?.kind === 'step' && more.length === 0 && by.outcomes.length === step.outcomes.length) return
    throw new VgicError(
      'argument',
      `${path} is a test with outcomes ${step.outcomes.join(', ')}: replace it by a test with as many.`,
    )
  }
}

/** Not in the class itself, which the build would call `_Edit` then. */
const editing = (edited: Design, program: Program): Edit => new Edit(edited, program)

/** Begins to edit a design. */
export const edit = (design: Design): Edit => editing(design, compileChecked(design))

function doesSame(one: Program, other: Program): boolean {
  if (one.table.length !== other.table.length) return false
  for (let i = 0; i < one.table.length; i++) if (one.table[i] !== other.table[i]) return false
  return one.own.every((step, i) => step === other.own[i])
}

/** The steps of a design in its order. The compiler adds to each notifier how it ends, which is not the design's. */
function placesOf(program: Program): Place[] {
  const names = stepNames(program)
  return program.steps.flatMap((step, pc) => {
    if (!step || rowOf(step.op)?.stands === 'end') return []
    const [plain, path] = [program.paths[pc], names[pc]]
    return { step, path, plain, numbered: path === plain ? `${path}#1` : path }
  })
}

/** What to say after an address that no step has: what it names instead, what is most like it, or all that there are. */
function instead(address: string, known: readonly string[]): string {
  const inPart = known.filter((each) => `/${each}`.includes(`/${address}/`))
  if (address !== '' && inPart.length > 0) return `, but a part: its steps are ${inPart.join(', ')}.`
  const ends = known.flatMap((each) => each.split('/').map((_, i, names) => names.slice(i).join('/')))
  if (ends.includes(address.replace(/#\d+$/, ''))) return ': there are fewer of that name.'
  const meant = nearest(address, ends)
  return meant === undefined ? `: its steps are ${known.join(', ')}.` : `: did you mean ${shown(meant)}?`
}

/** A design with what `visit` returns for each step in its place. For a test that is one step. */
function rewritten(design: Design, visit: (step: Step, isTest: boolean) => readonly DesignNode[]): Design {
  const stepFor = (test: Step): Step => visit(test, true)[0] as Step
  const list = (nodes: readonly DesignNode[]): DesignNode[] => nodes.flatMap(nodesFor)
  const nodesFor = (node: DesignNode): readonly DesignNode[] => {
    switch (node.kind) {
      case 'step':
        return visit(node, false)
      case 'part':
        return [{ ...node, body: list(node.body) }]
      case 'branch':
        return [{ ...node, test: stepFor(node.test), cases: node.cases.map(list) }]
      case 'loop':
        return [{ ...node, test: node.test && stepFor(node.test), body: list(node.body) }]
      default:
        return [node]
    }
  }
  return {
    ...design,
    thread: list(design.thread),
    schedOut: list(design.schedOut),
    schedIn: list(design.schedIn),
    inject: list(design.inject),
    msi: list(design.msi),
    ...(design.save && { save: list(design.save) }),
    ...(design.restore && { restore: list(design.restore) }),
  }
}
