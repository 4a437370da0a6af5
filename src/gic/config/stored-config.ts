/**
 * How a configuration is stored in every image, from which it is read back: what is said of it (config.ts) as words. A
 * field of the configuration is one line here.
 */
import { VgicError } from '../../errors/vgic-error.ts'
import { type RecordType, recordType } from '../../state/layout.ts'
import { type WordRow, wordsOf } from '../../state/rows.ts'
import { defaultAffinity } from './affinities.ts'
import { choiceNames, choiceValues, type SiliconChoices } from './choices.ts'
import {
  barrierReports,
  type CheckedGicConfig,
  checkGicConfig,
  effects,
  policies,
  type RedistributorRegion,
  versions,
} from './config.ts'
import { type ItsConfig, MOST_ITSS } from './its-config.ts'

const HIGH = 0x1_0000_0000

/** How a field is stored: as one word or, if `wide`, as two. */
interface Stored<T> {
  readonly wide?: true
  readonly toNumber: (value: T) => number
  /** What was stored, unchecked. */
  readonly fromNumber: (number: number) => T
}

const integer = <T extends number = number>(): Stored<T> => ({
  toNumber: (value) => value,
  fromNumber: (number) => number as T,
})
const address: Stored<number> = { ...integer(), wide: true }
const flag: Stored<boolean> = { toNumber: Number, fromNumber: (number) => number === 1 }
const oneOf = <T>(values: readonly T[]): Stored<T> => ({
  toNumber: (value) => values.indexOf(value),
  fromNumber: (number) => values[number],
})

type Fields<T> = { readonly [name in keyof T]: Stored<T[name]> }

/** A record whose words are the fields of an object. */
class StoredObject<T extends object> {
  readonly record: RecordType

  constructor(
    name: string,
    private readonly fields: Fields<T>,
    prefix = `${name}.`,
  ) {
    const rows: Record<string, WordRow> = {}
    for (const field of Object.keys(fields)) {
      const wide = fields[field as keyof T].wide && { wide: true as const }
      rows[field] = { name: field, class: 'authoritative', by: [], says: field, ...wide }
    }
    this.record = recordType({ name, prefix }, wordsOf(rows, undefined))
  }

  get size(): number {
    return this.record.size
  }

  store(words: Int32Array, at: number, value: T): void {
    for (const [field, offset] of this.offsets()) {
      const number = this.fields[field].toNumber(value[field])
      words[at + offset] = number | 0
      if (this.fields[field].wide) words[at + offset + 1] = Math.floor(number / HIGH)
    }
  }

  load(words: Int32Array, at: number): T {
    const values = this.offsets().map(([field, offset]) => {
      const { wide, fromNumber } = this.fields[field]
      const high = wide ? words[at + offset + 1] * HIGH : 0
      return [field, fromNumber((words[at + offset] >>> 0) + high)]
    })
    return Object.fromEntries(values) as T
  }

  private offsets(): [keyof T, number][] {
    return this.record.words.map(({ name, at }) => [name as keyof T, at])
  }
}

/** The fields that are not lists. */
type Scalars = Omit<CheckedGicConfig, 'gicr' | 'its' | 'affinities' | 'choices'>

/** How long the lists are, which follow in records of their own; no affinities if they are the default. */
interface Lengths {
  readonly regions: number
  readonly itss: number
  readonly ownAffinities: number
}

const scalars = new StoredObject<Scalars & Lengths>('gicConfig', {
  version: oneOf(versions),
  cpus: integer(),
  spis: integer(),
  listRegisters: integer(),
  priorityBits: integer(),
  preemptionBits: integer(),
  intidBits: integer(),
  dvim: flag,
  gicd: address,
  writeEffects: oneOf(effects),
  maintenanceInterrupt: oneOf(effects),
  lpis: integer(),
  lpiRegisters: flag,
  directLpis: flag,
  memoryLines: integer(),
  commonLpiAff: integer(),
  vpeBits: integer(),
  unpredictable: oneOf(policies),
  barriers: oneOf(barrierReports),
  regions: integer(),
  itss: integer(),
  ownAffinities: integer(),
})

const choices = new StoredObject<SiliconChoices>(
  'choices',
  Object.fromEntries(
    choiceNames.map((name) => [name, oneOf<string>(choiceValues[name])]),
  ) as unknown as Fields<SiliconChoices>,
  'gicConfig.choices.',
)

const region = new StoredObject<RedistributorRegion>('gicrRegion[<n>]', { base: address, count: integer() })

const itsConfig = new StoredObject<Required<ItsConfig>>('itsConfig', {
  base: address,
  deviceBits: integer(),
  eventBits: integer(),
  collectionBits: integer(),
  pta: integer(),
  vmovp: integer(),
  svpet: integer(),
  affinity: integer(),
})

const cpuAffinity = new StoredObject<{ readonly affinity: number }>('affinity[<n>]', { affinity: integer() })

const hasDefaultAffinities = ({ affinities }: CheckedGicConfig): boolean =>
  affinities.every((affinity, cpu) => affinity === defaultAffinity(cpu))

const lengthsOf = (config: CheckedGicConfig): Lengths => ({
  regions: config.gicr.length,
  itss: config.its.length,
  ownAffinities: hasDefaultAffinities(config) ? 0 : config.cpus,
})

const recordsOf = ({ regions, itss, ownAffinities }: Lengths): readonly (readonly [RecordType, number])[] => [
  [scalars.record, 1],
  [choices.record, 1],
  [region.record, regions],
  [itsConfig.record, itss],
  [cpuAffinity.record, ownAffinities],
]

/** The records of a configuration, and how many of each there are. */
export const configRecords = (config: CheckedGicConfig): readonly (readonly [RecordType, number])[] =>
  recordsOf(lengthsOf(config))

const wordsOfRecords = (lengths: Lengths): number =>
  recordsOf(lengths).reduce((words, [{ size }, count]) => words + count * size, 0)

/** How many words a configuration is stored in. */
export const configWords = (config: CheckedGicConfig): number => wordsOfRecords(lengthsOf(config))

/** Where the records of each kind begin, from word `at` on. */
function placesOf({ regions, itss }: Lengths, at: number) {
  const choicesAt = at + scalars.size
  const regionsAt = choicesAt + choices.size
  const itssAt = regionsAt + regions * region.size
  return { choicesAt, regionsAt, itssAt, affinitiesAt: itssAt + itss * itsConfig.size }
}

/** Stores a configuration in its records at word `at`. */
export function storeGicConfig(words: Int32Array, at: number, config: CheckedGicConfig): void {
  const lengths = lengthsOf(config)
  const { choicesAt, regionsAt, itssAt, affinitiesAt } = placesOf(lengths, at)
  scalars.store(words, at, { ...config, ...lengths })
  choices.store(words, choicesAt, config.choices)
  for (const [i, each] of config.gicr.entries()) region.store(words, regionsAt + i * region.size, each)
  for (const [i, its] of config.its.entries()) itsConfig.store(words, itssAt + i * itsConfig.size, its)
  if (lengths.ownAffinities === 0) return
  for (const [cpu, affinity] of config.affinities.entries())
    cpuAffinity.store(words, affinitiesAt + cpu * cpuAffinity.size, { affinity })
}

/**
 * Reads a configuration back from its records at word `at`. Throws an `image-foreign` error if there is no valid one.
 */
export function loadGicConfig(words: Int32Array, at: number): CheckedGicConfig {
  if (words.length < at + scalars.size) throw corrupt()
  const { regions, itss, ownAffinities, ...fields } = scalars.load(words, at)
  const lengths = { regions, itss, ownAffinities }
  if (regions < 1 || regions > 512 || ownAffinities > 512 || itss > MOST_ITSS) throw corrupt()
  const size = wordsOfRecords(lengths)
  if (words.length < at + size) throw corrupt()
  const { choicesAt, regionsAt, itssAt, affinitiesAt } = placesOf(lengths, at)
  const list = <T extends object>(stored: StoredObject<T>, from: number, length: number): T[] =>
    Array.from({ length }, (_, i) => stored.load(words, from + i * stored.size))
  const affinities = list(cpuAffinity, affinitiesAt, ownAffinities).map(({ affinity }) => affinity)
  let config: CheckedGicConfig
  try {
    config = checkGicConfig({
      ...fields,
      gicr: list(region, regionsAt, regions),
      its: list(itsConfig, itssAt, itss),
      ...(ownAffinities === 0 ? {} : { affinities }),
      choices: choices.load(words, choicesAt),
    })
  } catch {
    throw corrupt()
  }
  // Only the words that storeGicConfig writes are valid: no index without a meaning, no padding that is not zero.
  if (configWords(config) !== size) throw corrupt()
  const canonical = new Int32Array(size)
  storeGicConfig(canonical, 0, config)
  if (canonical.some((word, i) => word !== words[at + i])) throw corrupt()
  return config
}

const corrupt = (): VgicError =>
  new VgicError('image-foreign', 'The image holds no valid configuration: pass what snapshot() returned.')
