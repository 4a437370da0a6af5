/** Suggestions for misspelt names. */

/** The edit distance of two words: letters inserted, deleted or changed. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, i) => i)
  for (const [i, letter] of [...one].entries()) {
    const next = [i + 1]
    for (let j = 0; j < other.length; j++) {
      const changed = row[j] + (letter === other[j] ? 0 : 1)
      next.push(Math.min(changed, row[j + 1] + 1, next[j] + 1))
    }
    row = next
  }
  return row[other.length]
}

/** Longer names are not compared: they are no misspellings. */
const LONGEST = 40
/** The least length of a name for being part of another to count; shorter ones are by chance. */
const SHORTEST_PART = 3

/**
 * The known name that is most like `name`, case aside, if at most two letters in five differ or one contains the
 * other.
 */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (name.length > LONGEST) return undefined
  const wrong = name.toLowerCase()
  let best: string | undefined
  let least = Number.POSITIVE_INFINITY
  for (const candidate of known) {
    const right = candidate.toLowerCase()
    const length = Math.min(wrong.length, right.length)
    const isPart = length >= SHORTEST_PART && (wrong.includes(right) || right.includes(wrong))
    const steps = distance(wrong, right)
    const isNear = steps * 5 <= Math.max(wrong.length, right.length) * 2
    if ((isPart || isNear) && steps < least) {
      best = candidate
      least = steps
    }
  }
  return best
}
