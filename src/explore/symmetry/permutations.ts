/**
 * The permutations of what a scenario declares to be symmetric. From where the vCPUs and devices go follows where CPUs
 * and SPIs go: a CPU goes with the vCPUs that begin on it, an SPI with the device that drives it.
 */
import { FIRST_SPI, intidName } from '../../arch/intid.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { VCPU_LAST_CPU } from '../../hyp/records/vcpu.ts'
import type { Machine } from '../../scenario/machine.ts'
import type { SymmetricGroup } from '../../scenario/symmetric.ts'

/** By index, what takes the place of what: vCPU n goes to where vCPU `vcpus[n]` is. */
export interface Permutation {
  readonly vcpus: Int32Array
  readonly cpus: Int32Array
  readonly devices: Int32Array
  /** By INTID; SGIs and PPIs stay. */
  readonly intids: Int32Array
}

/** All but the one that leaves everything in its place. */
export function permutationsOf(machine: Machine): Permutation[] {
  const { symmetric, setup, devices } = machine
  const unmoved = { vcpus: identity(setup.vcpus), devices: identity(devices.length) }
  const all = symmetric.reduce(
    (before, group) =>
      before.flatMap((one) => orders([...group.keys()]).map((order) => moved(one, group, order))),
    [unmoved],
  )
  return all.slice(1).map((one) => ({
    ...one,
    cpus: cpusOf(machine, one.vcpus),
    intids: intidsOf(machine, one.devices),
  }))
}

type Moves = Pick<Permutation, 'vcpus' | 'devices'>

/** The orders of some things, as they are first. */
function orders(things: readonly number[]): number[][] {
  if (things.length === 0) return [[]]
  return things.flatMap((first) =>
    orders(things.filter((other) => other !== first)).map((rest) => [first, ...rest]),
  )
}

function moved({ vcpus, devices }: Moves, group: SymmetricGroup, order: readonly number[]): Moves {
  const result = { vcpus: vcpus.slice(), devices: devices.slice() }
  for (const [i, from] of group.entries()) {
    const to = group[order[i]]
    for (const [n, vcpu] of from.vcpus.entries()) result.vcpus[vcpu] = to.vcpus[n]
    for (const [n, device] of from.devices.entries()) result.devices[device] = to.devices[n]
  }
  return result
}

function cpusOf({ hypervisor }: Machine, vcpus: Int32Array): Int32Array {
  const { words, config } = hypervisor
  const cpuOf = (vcpu: number): number => words[hypervisor.vcpu(vcpu) + VCPU_LAST_CPU]
  const cpus = new Int32Array(config.cpus).fill(-1)
  for (const [vcpu, to] of vcpus.entries()) {
    const cpu = cpuOf(vcpu)
    if (cpus[cpu] >= 0 && cpus[cpu] !== cpuOf(to))
      refuse(`vCPUs that begin on cpu${cpu} would go to different CPUs: declare all that share a CPU.`)
    cpus[cpu] = cpuOf(to)
  }
  return cpus.map((to, cpu) => (to < 0 ? cpu : to))
}

function intidsOf({ devices, setup }: Machine, moves: Int32Array): Int32Array {
  const intids = identity(FIRST_SPI + setup.spis)
  const known = new Set<number>()
  for (const [device, to] of moves.entries()) {
    for (const [n, { intid }] of devices[device].steps.entries()) {
      const other = devices[to].steps[n]?.intid
      if (other === undefined || intid < FIRST_SPI || other < FIRST_SPI) continue
      if (known.has(intid) && intids[intid] !== other)
        refuse(`${intidName(intid)} would become two others: let each device drive SPIs of its own.`)
      known.add(intid)
      intids[intid] = other
    }
  }
  return intids
}

const identity = (length: number): Int32Array => Int32Array.from({ length }, (_, i) => i)

function refuse(message: string): never {
  throw new VgicError('scenario', `What symmetric() declares is not: ${message}`)
}
