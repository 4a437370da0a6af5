/** Which actors can step in the state that the machine is in: all of it asked at once, since much is the same for many. */
import { DEVICE_PC } from '../scenario/device-offsets.ts'
import { type Actor, actorKinds, type Machine } from '../scenario/machine.ts'

/** Actors of a set: a bit each. */
export const ACTORS_OF_SET = 32

/** Words of an actor that is, or acts on, a vCPU, and of an effect: what `Machine.canStep` is told of it, and its budget. */
const BIT = 0
const KIND = 1
const INDEX = 2
const DETAIL = 3
const USE = 4
const ACTOR_WORDS = 5
/** Words of a device: its bit; where its program counter is; where that stops. */
const DEVICE_AT = 1
const DEVICE_END = 2
const DEVICE_WORDS = 3

/** A set, by what there is to ask. */
interface ActorSet {
  /** The bits of those whose steps are bounded. */
  readonly bounded: number
  /** Devices that can step unless they are done. */
  readonly devices: Int32Array
  /** Those that are, or act on, a vCPU, by vCPU. */
  readonly ofVcpus: Int32Array
  /** All others. */
  readonly others: Int32Array
}

export class ReadyActors {
  private readonly sets: readonly ActorSet[]

  /** `uses`: by actor, the shift of its byte in a budget; -1 if it is not bounded. */
  constructor(
    private readonly machine: Machine,
    actors: readonly Actor[],
    uses: Int8Array,
  ) {
    const numbers = [...actors.keys()]
    this.sets = numbers
      .filter((actor) => actor % ACTORS_OF_SET === 0)
      .map((first) => setOf(machine, actors, uses, numbers.slice(first, first + ACTORS_OF_SET)))
  }

  /** The bits of the actors from `first` on, as many as a set has, whose steps are bounded. */
  boundedFrom(first: number): number {
    return this.sets[first / ACTORS_OF_SET].bounded
  }

  /** The bits of those from `first` on that can step, and that a budget does not keep from it. */
  from(first: number, budget: number): number {
    const { devices, ofVcpus, others } = this.sets[first / ACTORS_OF_SET]
    let ready = this.ofVcpus(ofVcpus, budget)
    const { words } = this.machine.hypervisor
    for (let table = devices, at = 0; at < table.length; at += DEVICE_WORDS)
      if (words[table[at + DEVICE_AT]] < table[at + DEVICE_END]) ready |= table[at + BIT]
    return others.length === 0 ? ready : ready | this.others(others)
  }

  private ofVcpus(table: Int32Array, budget: number): number {
    const { machine } = this
    let ready = 0
    let vcpu = -1
    let thread = 0
    for (let at = 0; at < table.length; at += ACTOR_WORDS) {
      const use = table[at + USE]
      if (use >= 0 && ((budget >> use) & 0xff) === 0) continue
      const index = table[at + INDEX]
      if (index !== vcpu) {
        vcpu = index
        thread = machine.threadOf(index)
      }
      if (machine.canStep(table[at + KIND], index, table[at + DETAIL], thread) === true)
        ready |= table[at + BIT]
    }
    return ready
  }

  private others(table: Int32Array): number {
    let ready = 0
    for (let at = 0; at < table.length; at += ACTOR_WORDS)
      if (this.machine.canStep(table[at + KIND], table[at + INDEX], table[at + DETAIL], 0))
        ready |= table[at + BIT]
    return ready
  }
}

function setOf(
  machine: Machine,
  actors: readonly Actor[],
  uses: Int8Array,
  numbers: readonly number[],
): ActorSet {
  const { deviceSteps } = machine
  const bitOf = (actor: number): number => 1 << (actor % ACTORS_OF_SET)
  const bounded = numbers.filter((actor) => uses[actor] >= 0)
  const isPlain = (actor: number): boolean =>
    actors[actor].kind === 'device' && deviceSteps.endOf(actors[actor].index) >= 0
  const plain = numbers.filter(isPlain)
  const isOther = (actor: number): boolean =>
    actors[actor].kind === 'device' || actors[actor].kind === 'effect'
  const rows = (some: readonly number[]): Int32Array =>
    Int32Array.from(
      some.flatMap((actor) => {
        const { kind, index, detail } = actors[actor]
        return [bitOf(actor), actorKinds[kind], index, detail, uses[actor]]
      }),
    )
  return {
    bounded: bounded.reduce((bits, actor) => bits | bitOf(actor), 0),
    devices: Int32Array.from(
      plain.flatMap((actor) => {
        const { index } = actors[actor]
        return [bitOf(actor), deviceSteps.recordOf(index) + DEVICE_PC, deviceSteps.endOf(index)]
      }),
    ),
    ofVcpus: rows(
      numbers.filter((actor) => !isOther(actor)).sort((a, b) => actors[a].index - actors[b].index),
    ),
    others: rows(numbers.filter((actor) => isOther(actor) && !isPlain(actor))),
  }
}
