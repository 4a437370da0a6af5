/**
 * Edits of a design: omit a step, swap two, replace one, insert one. A known bug is an edit of a good design, and so
 * is a baseline. A step is addressed by its path or the end of it, `wfi/saveVmcr`, with its number if a list has
 * several of that name: `wfi/preemptOff#1`. An address that matches no step, or several, is refused, and so is an
 * edit that does not change the compiled design.
 */
import { argumentString, shown } from '../../errors/arguments.ts'
import { nearest } from '../../errors/did-you-mean.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { checkDesign } from './check-design.ts'
import { checkNodes, checkStep, type Design, type DesignNode } from './design.ts'
import { compile } from './program.ts'
import type { Step } from './step.ts'

/** Finds the steps of a list, by path; the visitor may replace each by a list. */
type Visitor = (step: Step, path: string) => readonly DesignNode[]

/** An edited design; each call edits further. */
export class Edit {
  /** @internal */
  constructor(private readonly edited: Design) {}

  /**
   * The edited design, under a new name; without one it keeps that of the design which is edited, in reports and tables
   * too. Throws an `argument` error if a step is where it cannot work.
   */
  design(name = this.edited.name): Design {
    return checkDesign({ ...this.edited, name: argumentString('name', name) })
  }

  /** Omits a step. A test cannot be omitted, since something must choose. */
  omit(address: string): Edit {
    return this.at(address, (step) => (step.outcomes.length > 0 ? this.refuseTest(step) : []))
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
    return this.apply((step, path) =>
      path === first.path ? [second.step] : path === second.path ? [first.step] : [step],
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
    const names = new Set(addressesOf(this.edited).map((address) => address.replace(/.*\//, '')))
    if (names.has(name)) return
    throw new VgicError('argument', `${this.edited.name} has no step ${name}${instead(name, [...names])}`)
  }

  private refuseTest(step: Step): never {
    throw new VgicError('argument', `${step.name} is a test: replace it by one with the same outcomes.`)
  }

  private at(address: string, replaceBy: (step: Step) => readonly DesignNode[]): Edit {
    const { path } = this.find(address)
    return this.apply((step, at) => (at === path ? replaceBy(step) : [step]))
  }

  /** The one step whose path is the address or ends in it. */
  private find(address: string): { path: string; step: Step } {
    argumentString('address', address)
    const found: { path: string; step: Step }[] = []
    const whole: { path: string; step: Step }[] = []
    const isNumbered = /#\d+$/.test(address)
    visitAll(this.edited, (step, path) => {
      const name = isNumbered ? numbered(path) : path.replace(/#\d+/g, '')
      if (name === address) whole.push({ path, step })
      if (name === address || name.endsWith(`/${address}`)) found.push({ path, step })
      return [step]
    })
    if (whole.length === 1) return whole[0]
    if (found.length === 1) return found[0]
    throw new VgicError(
      'argument',
      found.length === 0
        ? `${this.edited.name} has no step ${address}${instead(address, addressesOf(this.edited))}`
        : `${found.length} places of ${this.edited.name} match ${address} (${found.map(({ path }) => path).join(', ')}): say more of the path.`,
    )
  }

  private apply(visit: Visitor): Edit {
    const edited = visitAll(this.edited, visit)
    const [before, after] = [compile(this.edited, true), compile(edited, true)]
    const same =
      before.table.length === after.table.length &&
      before.table.every((word, i) => word === after.table[i]) &&
      before.own.every((step, i) => step === after.own[i])
    if (same) throw new VgicError('argument', `The edit leaves ${this.edited.name} as it was.`)
    return editing(edited)
  }
}

/** While it is being edited, a design may be one that would be refused. */
const editing = (edited: Design): Edit => new Edit(edited)

/** Begins to edit a design. */
export const edit = (design: Design): Edit => editing(checkDesign(design))

/** All addresses of a design. */
function addressesOf(design: Design): string[] {
  const addresses = new Set<string>()
  visitAll(design, (step, path) => {
    addresses.add(path.replace(/#\d+/g, ''))
    return [step]
  })
  return [...addresses]
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

function visitAll(design: Design, visit: Visitor): Design {
  return {
    ...design,
    thread: visitList(design.thread, '', visit),
    schedOut: visitList(design.schedOut, 'schedOut/', visit),
    schedIn: visitList(design.schedIn, 'schedIn/', visit),
    inject: visitList(design.inject, 'inject/', visit),
    msi: visitList(design.msi, 'msi/', visit),
    ...(design.save && { save: visitList(design.save, 'save/', visit) }),
    ...(design.restore && { restore: visitList(design.restore, 'restore/', visit) }),
  }
}

/** A path with its number, `#1` included. */
const numbered = (path: string): string => (/#\d+$/.test(path) ? path : `${path}#1`)

/** Steps of one name in one list are told apart by `#n` in their paths, from the second on. */
function visitList(
  nodes: readonly DesignNode[],
  path: string,
  visit: Visitor,
  seen = new Map<string, number>(),
): DesignNode[] {
  const pathOf = (step: Step): string => {
    const plain = path + step.name
    const count = (seen.get(plain) ?? 0) + 1
    seen.set(plain, count)
    return count === 1 ? plain : `${plain}#${count}`
  }
  return nodes.flatMap((node): readonly DesignNode[] => {
    switch (node.kind) {
      case 'step':
        return visit(node, pathOf(node))
      case 'part':
        return [{ ...node, body: visitList(node.body, `${path}${node.name}/`, visit, seen) }]
      case 'branch': {
        const test = visitTest(node.test, pathOf(node.test), visit)
        return [{ ...node, test, cases: node.cases.map((branch) => visitList(branch, path, visit, seen)) }]
      }
      case 'loop': {
        const test = node.test && visitTest(node.test, pathOf(node.test), visit)
        return [{ ...node, test, body: visitList(node.body, path, visit, seen) }]
      }
      default:
        return [node]
    }
  })
}

/** A test can only be replaced by one test with as many outcomes. */
function visitTest(test: Step, path: string, visit: Visitor): Step {
  const [replaced, ...more] = visit(test, path)
  if (replaced?.kind === 'step' && more.length === 0 && replaced.outcomes.length === test.outcomes.length) {
    return replaced
  }
  throw new VgicError(
    'argument',
    `${path} is a test with outcomes ${test.outcomes.join(', ')}: replace it by a test with as many.`,
  )
}
