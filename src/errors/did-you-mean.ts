/** What a misspelt name was meant to be. */

/** How many letters must be put in, left out or changed to make one word of another. */
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

/** Longer names are nobody's slip of the pen. */
const LONGEST = 40
/** Of a name that is part of another, or has another in it: shorter ones are so by chance. */
const SHORTEST_PART = 3

/** Of some names the one that a name nearly is, case apart: two letters in five differ, or one is part of the other. */
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
