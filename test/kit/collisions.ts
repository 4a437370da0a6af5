import type { ExactStates } from '../../src/explore/exact-states.ts'

/** States whose hashes agree with that of one that was kept before them, though they differ. */
export function collisions(states: ExactStates, hashOf: (state: Int32Array) => number): number {
  const hashes = new Set<number>()
  for (let number = 1; number <= states.count; number++) hashes.add(hashOf(states.read(number)))
  return states.count - hashes.size
}
