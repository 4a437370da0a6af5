/**
 * A restore of the VM by the userspace that has saved it, a step at a time in the order of the design's `restore` list. The
 * image is in the machine, from the step that saves the interrupts to the end of the restore: the values of the registers, and
 * what is in JSON otherwise. What the ITSs have mapped is in the guest's memory. The VM is stopped all the time, and so are
 * the devices, as those of a VM that moves to another host are. The vCPUs' own registers and timers, and the guest's memory,
 * which a VMM moves too, stay where they are.
 *
 * A restore that is refused ends there, as QEMU does: the VM is entered no more.
 */

import { halves, joined } from '../arch/doubleword.ts'
import { hex } from '../errors/printed.ts'
import { isErrno } from '../errors/vgic-error.ts'
import type { CheckedGicConfig } from '../gic/config/config.ts'
import { Hypervisor, type VmSetup } from '../hyp/hypervisor.ts'
import { DEVICE_ID } from '../hyp/records/lpi-record.ts'
import { IRQ_LATCH } from '../hyp/records/vgic-irq.ts'
import type { Design } from '../hyp/run/design.ts'
import { type NextPc, TABLE_SHIFT } from '../hyp/run/program.ts'
import * as op from '../hyp/run/step-numbers.ts'
import { restoreItsTables } from '../hyp/userspace/its-tables-restore.ts'
import { eventsOf, slotsOf } from '../hyp/userspace/its-tables-save.ts'
import {
  restoreItsTablesInPlace,
  restoreItsTablesTargeted,
  restoreItsTablesTrusting,
  restoreRedistributorsInMemory,
} from '../hyp/userspace/restore-museum.ts'
import {
  type Image,
  isControl,
  makeFresh,
  resetItss,
  restoreCpuInterfaces,
  restoreItsControl,
  restoreRegisters,
} from '../hyp/userspace/restore-parts.ts'
import {
  groupsOf,
  isWide,
  isWritten,
  type Path,
  readRegisters,
  type SavedGroups,
  type SavedVgic,
} from '../hyp/userspace/save-restore.ts'
import { DEVICE_TABLE } from '../hyp/vgic/vgic-its.ts'
import { type RecordType, recordType } from '../state/layout.ts'
import { offsetOf, type Rows, wordsOf } from '../state/rows.ts'
import { edgeWords, type Ghosts } from './ghosts.ts'
import { mostNumbers, NumbersReader, numbersOf } from './image-numbers.ts'

/** Into which VM an image goes. */
export type RestoredVm = 'fresh' | 'same'

/** A register in an image. */
interface ImageRegister {
  readonly path: Path
  /** Of which vCPU or ITS. */
  readonly number: number
  readonly name: string
}

/** What an image has room for. */
interface ImageSize {
  /** A word each, two of a wide one. */
  readonly registers: readonly ImageRegister[]
  readonly numbers: number
  readonly edges: number
  readonly lpis: number
}

/** Where its words begin; the first is the state. */
const EVENTS = 1
const REGISTERS = 2

const NONE = 0
/** Saved, and to be restored. */
const KEPT = 1
/** The restore has begun. */
const UNDER_WAY = 2
/** The restore was refused. */
const REFUSED = 3

const imageRows = {
  IMAGE_STATE: {
    name: 'state',
    class: 'normalised',
    by: [],
    says: 'Whether there is an image.',
    means: (state) => ['none', 'kept', 'being restored', 'refused'][state],
  },
  IMAGE_EVENTS: {
    name: 'events',
    class: 'normalised',
    by: [],
    says: 'A digest of which events were mapped, to what, and whether it was pending.',
  },
  IMAGE_REGISTERS: {
    name: '<n>',
    n: (i, _index, { registers }) => nameOf(registers[i]),
    count: ({ registers }) => registers.length,
    class: 'normalised',
    by: [],
    says: 'Registers. Of those with 64 bits the lower half comes first.',
  },
  IMAGE_NUMBERS: {
    name: 'mappings <n>',
    count: ({ numbers }) => numbers,
    class: 'normalised',
    by: [],
    says: 'What is in JSON: image-numbers.ts.',
  },
  IMAGE_EDGES: {
    name: 'edges <n>',
    count: ({ edges }) => edges,
    class: 'normalised',
    by: [],
    says: 'Outstanding edges of private interrupts and SPIs (ghosts.ts) while they are in the image.',
  },
  IMAGE_LPI_EDGES: {
    name: 'edge of an LPI <n>',
    count: ({ lpis }) => lpis,
    class: 'normalised',
    by: [],
    says: 'INTIDs of the LPIs with outstanding edges.',
  },
} as const satisfies Rows<ImageSize>

const nameOf = ({ path, number, name }: ImageRegister): string =>
  path === 'dist' ? name : `${name} of ${path === 'its' ? 'ITS ' : 'vcpu'}${number}`

/** The record of an image, whose registers are those of a VM that is made for that. */
export function imageSize(config: CheckedGicConfig, setup: VmSetup, design: Design): ImageSize {
  const { lpis, frames } = setup
  const registers = groupsOf(new Hypervisor(config, setup, design, [], 0)).flatMap(
    ({ path, number, group }) =>
      group.names.filter(isKept).flatMap((name): ImageRegister[] => {
        const register = { path, number, name }
        return isWide(name) ? [register, register] : [register]
      }),
  )
  return {
    registers,
    numbers: mostNumbers(setup),
    edges: edgeWords(setup),
    lpis: (frames.its ?? []).length === 0 ? 0 : lpis.lpis,
  }
}

/** Of two registers that read alike the one that is written. */
const isKept = (name: string): boolean => isWritten(name) || name === 'GITS_CTLR'

export const imageRecord = (size: ImageSize): RecordType => recordType('image', wordsOf(imageRows, size))

/** What each step does. */
const parts: Readonly<Record<number, (hypervisor: Hypervisor, image: Image) => void>> = {
  [op.STEP_RESTORE_CONTROL]: (hypervisor, image) => restoreRegisters(hypervisor, image, 'dist', isControl),
  [op.STEP_RESTORE_REDISTRIBUTORS]: (hypervisor, image) => restoreRegisters(hypervisor, image, 'redist'),
  [op.STEP_RESTORE_REDISTRIBUTORS_IN_MEMORY]: restoreRedistributorsInMemory,
  [op.STEP_RESTORE_DISTRIBUTOR]: (hypervisor, image) =>
    restoreRegisters(hypervisor, image, 'dist', (name) => !isControl(name)),
  [op.STEP_RESTORE_LINES]: (hypervisor, image) => restoreRegisters(hypervisor, image, 'level_info'),
  [op.STEP_RESTORE_CPU_INTERFACES]: restoreCpuInterfaces,
  [op.STEP_RESTORE_ITS_REGISTERS]: (hypervisor, image) => restoreRegisters(hypervisor, image, 'its'),
  [op.STEP_RESTORE_ITS_TABLES]: (hypervisor, image) => restoreItsTables(hypervisor, image),
  [op.STEP_RESTORE_ITS_TABLES_IN_PLACE]: restoreItsTablesInPlace,
  [op.STEP_RESTORE_ITS_TABLES_TRUSTING]: restoreItsTablesTrusting,
  [op.STEP_RESTORE_ITS_TABLES_TARGETED]: restoreItsTablesTargeted,
  [op.STEP_RESTORE_ITS_CONTROL]: restoreItsControl,
}

export class Restores {
  private readonly words: Int32Array
  private readonly numbers: number
  private readonly edges: number
  private readonly lpiEdges: number

  constructor(
    private readonly hypervisor: Hypervisor,
    private readonly ghosts: Ghosts,
    /** The record of the image. */
    private readonly at: number,
    private readonly size: ImageSize,
  ) {
    this.words = hypervisor.words
    this.numbers = at + offsetOf(imageRows, 'IMAGE_NUMBERS', size)
    this.edges = at + offsetOf(imageRows, 'IMAGE_EDGES', size)
    this.lpiEdges = at + offsetOf(imageRows, 'IMAGE_LPI_EDGES', size)
  }

  /** Whether a save has left an image. */
  get isKept(): boolean {
    return this.words[this.at] !== NONE
  }

  /** Whether the VM is entered no more, since its restore was refused. */
  get isRefused(): boolean {
    return this.words[this.at] === REFUSED
  }

  /** Keeps what was saved. */
  keep(saved: SavedVgic): void {
    const { words, size } = this
    this.forget()
    words[this.at] = KEPT
    words[this.at + EVENTS] = this.digest()
    let at = this.at + REGISTERS
    for (const { path, number, name } of distinct(size.registers)) {
      const [low, high] = halves(BigInt(registersOf(saved, path, number)[name]))
      words[at++] = low
      if (isWide(name)) words[at++] = high
    }
    words.set(numbersOf(saved), this.numbers)
  }

  /** The image. */
  read(): Image {
    const { words, size, hypervisor } = this
    const { vcpuCount, itsCount } = hypervisor.layout
    const none = (length: number): Record<string, string>[] => Array.from({ length }, () => ({}))
    const image: SavedGroups = {
      dist: {},
      redist: none(vcpuCount),
      sysregs: none(vcpuCount),
      level_info: none(vcpuCount),
      its: none(itsCount),
    }
    let at = this.at + REGISTERS
    for (const { path, number, name } of distinct(size.registers)) {
      const value = isWide(name) ? joined(words[at++], words[at++]) : words[at++] >>> 0
      Object.assign(registersOf(image, path, number), { [name]: hex(value) })
    }
    return { ...image, ...new NumbersReader(words, this.numbers).read(itsCount, vcpuCount) }
  }

  /** Takes the step at a program counter. With one that is refused the restore ends. */
  step(pc: NextPc, into: RestoredVm): void {
    const { words, ghosts } = this
    if (words[this.at] === KEPT) ghosts.hideEdges(this.edges, this.lpiEdges)
    words[this.at] = UNDER_WAY
    if (this.take(pc, into) === undefined) return
    this.forget()
    words[this.at] = REFUSED
  }

  /** Takes the step at a program counter: why it is refused; undefined if it is not. */
  take(pc: NextPc, into: RestoredVm): string | undefined {
    const { hypervisor } = this
    const step = hypervisor.runLoop.program.table[pc << TABLE_SHIFT]
    try {
      if (step === op.STEP_PREPARE_VM) (into === 'fresh' ? makeFresh : resetItss)(hypervisor)
      else parts[step]?.(hypervisor, this.read())
      return undefined
    } catch (error) {
      if (isErrno(error)) return error.message
      throw error
    }
  }

  /** The restore is done. */
  finish(): void {
    this.ghosts.showEdges(this.edges, this.lpiEdges)
    this.forget()
  }

  /** There is no image any more. */
  forget(): void {
    this.words.fill(0, this.at, this.lpiEdges + this.size.lpis)
  }

  /** A register that reads otherwise than it was saved, or a word on what the ITSs have mapped; undefined if all is as saved. */
  differing(image: Image, events: number): string | undefined {
    const now = readRegisters(this.hypervisor)
    for (const register of this.size.registers) {
      const { path, number, name } = register
      const [was, is] = [registersOf(image, path, number)[name], registersOf(now, path, number)[name]]
      if (was !== is) return `${nameOf(register)} was ${was}, and is ${is}`
    }
    return this.digest() === events
      ? undefined
      : 'the ITSs have other events mapped than were saved, or others are pending'
  }

  /** The digest of the image: see {@link differing}. */
  get events(): number {
    return this.words[this.at + EVENTS]
  }

  /** A digest of the events that are mapped in a collection, which an image has. */
  private digest(): number {
    const { words, hypervisor } = this
    const { its } = hypervisor.mmio.dist
    let digest = 0
    const add = (value: number): void => {
      digest = (Math.imul(digest, 31) + value) | 0
    }
    for (let n = 0; n < hypervisor.layout.itsCount; n++) {
      for (const device of slotsOf(its, n, DEVICE_TABLE)) {
        for (const event of eventsOf(its, device)) {
          const collection = its.collectionOf(event)
          if (collection === 0) continue
          const irq = its.lpiOf(event)
          for (const value of [n, words[its.devices.recordOf(device) + DEVICE_ID], its.eventIdOf(event)])
            add(value)
          for (const value of [its.lpis.intidOf(irq), its.targetOf(collection), words[irq] & IRQ_LATCH])
            add(value)
        }
      }
    }
    return digest
  }
}

/** Each register once. */
const distinct = (registers: readonly ImageRegister[]): readonly ImageRegister[] =>
  registers.filter((register, i) => register !== registers[i - 1])

const registersOf = (groups: SavedGroups, path: Path, number: number): Readonly<Record<string, string>> =>
  path === 'dist' ? groups.dist : groups[path][number]
