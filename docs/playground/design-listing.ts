/** A design as lines, and on which of them a step is. */
import type { Design, DesignNode, OwnStep } from 'vgic/scenario'
import type { DesignLine } from './messages.ts'

/** A line that knows its step. */
interface ListedLine extends DesignLine {
  /** As events and inspections have it: `wfi/halt/sleep/setSleeping`; empty of a line that is no step. */
  readonly path: string
  /** A step of the design's own. */
  readonly own?: OwnStep
}

const LISTS = ['thread', 'schedOut', 'schedIn', 'inject', 'msi'] as const

/** All lists of a design. */
export function listingOf(design: Design): ListedLine[] {
  return LISTS.flatMap((list) => {
    const prefix = list === 'thread' ? '' : `${list}/`
    return [heading(0, `${list}:`), ...linesOf(design[list], prefix, 1)]
  })
}

const heading = (depth: number, text: string): ListedLine => ({ depth, text, path: '' })

const linesOf = (nodes: readonly DesignNode[], path: string, depth: number): ListedLine[] =>
  nodes.flatMap((node) => nodeLines(node, path, depth))

function nodeLines(node: DesignNode, path: string, depth: number): ListedLine[] {
  switch (node.kind) {
    case 'step':
      return [
        {
          depth,
          text: node.name,
          path: path + node.name,
          step: node.name,
          ...('perform' in node && { own: node as OwnStep }),
        },
      ]
    case 'part': {
      const lines = [
        heading(depth, `${node.name}:`),
        ...linesOf(node.body, `${path}${node.name}/`, depth + 1),
      ]
      return node.gicv4 ? lines.map((line) => ({ ...line, gicv4: true })) : lines
    }
    case 'branch':
      return [
        ...nodeLines(node.test, path, depth),
        ...node.cases.flatMap((body, i) => caseLines(node.test.outcomes[i], body, path, depth + 1)),
      ]
    case 'loop': {
      if (!node.test) return [heading(depth, 'forever'), ...linesOf(node.body, path, depth + 1)]
      const [test] = nodeLines(node.test, path, depth)
      const until = `until ${test.text} ${node.test.outcomes[node.leaveOn]}`
      return [{ ...test, text: until }, ...linesOf(node.body, path, depth + 1)]
    }
    default:
      return [heading(depth, node.kind === 'leave' ? 'leave the loop' : 'restart the loop')]
  }
}

/** A case that is a part of its own name has one heading. */
function caseLines(outcome: string, body: readonly DesignNode[], path: string, depth: number): ListedLine[] {
  if (body.length === 0) return []
  const [first] = body
  if (body.length === 1 && first.kind === 'part' && first.name === outcome)
    return nodeLines(first, path, depth)
  return [heading(depth, `${outcome}:`), ...linesOf(body, path, depth + 1)]
}

/**
 * The line of a step at a path. A path may have several: steps of one name in one list. Then it is the first behind the line of the
 * step before, since lists are taken from top to bottom, or else the first.
 */
export function lineOf(listing: readonly ListedLine[], path: string, before: number): number | undefined {
  const behind = listing.findIndex((line, i) => i > before && line.path === path)
  if (behind >= 0) return behind
  const first = listing.findIndex((line) => line.path === path)
  return first < 0 ? undefined : first
}
