/** What a scenario declares to be symmetric: vCPUs and devices that could change places without anybody's notice. */
import { argumentList, argumentString } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'

/** A vCPU by its index, a device by its name, or several that change places together. */
export type SymmetricPart = number | string | readonly (number | string)[]

/** The indices of what changes place together. */
export interface SymmetricMember {
  readonly vcpus: readonly number[]
  readonly devices: readonly number[]
}

/** Members with as many vCPUs and devices each, in the order in which they stand for one another. */
export type SymmetricGroup = readonly SymmetricMember[]

/** More would cost more to look up than they save. */
const MOST_PERMUTATIONS = 24

/** Throws an `argument` error for what is no part. */
export function checkSymmetricPart(name: string, part: SymmetricPart): void {
  if (typeof part === 'number' || typeof part === 'string') return
  for (const one of argumentList(name, part, 'indices of vCPUs and names of devices')) {
    if (typeof one !== 'number') argumentString(name, one)
  }
}

/** Throws a `scenario` error for parts that the scenario does not have, that are named twice, or that do not match. */
export function symmetricGroups(
  declared: readonly (readonly SymmetricPart[])[],
  vcpus: number,
  devices: readonly string[],
): SymmetricGroup[] {
  const named = new Set<number | string>()
  const member = (part: SymmetricPart): SymmetricMember => {
    const parts = typeof part === 'object' ? part : [part]
    for (const one of parts) {
      checkPart(one, vcpus, devices)
      if (named.has(one)) refuse(`symmetric() names ${nameOf(one)} twice: name each part once.`)
      named.add(one)
    }
    return {
      vcpus: parts.filter((one) => typeof one === 'number'),
      devices: parts.filter((one) => typeof one === 'string').map((name) => devices.indexOf(name)),
    }
  }
  const groups = declared.map((parts) => parts.map(member))
  for (const [first, ...others] of groups) {
    for (const { vcpus: own, devices: driven } of others) {
      if (own.length === first.vcpus.length && driven.length === first.devices.length) continue
      refuse(
        'The parts of symmetric() must have as many vCPUs and as many devices each: add what is missing.',
      )
    }
  }
  const permutations = groups.reduce((product, { length }) => product * factorial(length), 1)
  if (permutations > MOST_PERMUTATIONS)
    refuse(
      `What symmetric() declares has ${permutations} permutations, but ${MOST_PERMUTATIONS} are the most: declare fewer parts.`,
    )
  return groups
}

function checkPart(part: number | string, vcpus: number, devices: readonly string[]): void {
  if (typeof part === 'number') {
    if (Number.isInteger(part) && part >= 0 && part < vcpus) return
    refuse(`symmetric() names vCPU ${part}, but the VM has ${vcpus}: raise vcpus.`)
  }
  const count = devices.filter((name) => name === part).length
  if (count === 1) return
  refuse(`symmetric() names device ${part}, of which there are ${count}: name one that there is once.`)
}

const nameOf = (part: number | string): string =>
  typeof part === 'number' ? `vCPU ${part}` : `device ${part}`

const factorial = (n: number): number => (n < 2 ? 1 : n * factorial(n - 1))

function refuse(message: string): never {
  throw new VgicError('scenario', message)
}
