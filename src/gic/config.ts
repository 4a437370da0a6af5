/**
 * What a GIC is configured to: a plain object for people, checked and completed here, and stored in every
 * image, from which the same configuration is read back.
 */
import { FIRST_SPECIAL, FIRST_SPI } from '../arch/intid.ts'
import { recordType, type WordDeclaration } from '../state/layout.ts'
import { configInteger, VgicError } from '../state/vgic-error.ts'
import { type Choices, choiceNames, choiceValues, chooseFrom, type ProfileName } from './choices.ts'

/** A contiguous region of redistributors, one for each of `count` CPUs in order. */
export interface RedistributorRegion {
  /** Physical address, 64 KiB aligned. */
  readonly base: number
  /** How many redistributors lie in it. */
  readonly count: number
}

/** What can be configured. Everything but `cpus` has a default. */
export interface GicConfig {
  /** Architecture version; default `'3'`. Of GICv4, this release has what the virtual CPU interface shows of it. */
  readonly version?: '3' | '4.0' | '4.1'
  /** Number of PEs, 1 to 512. CPU n has affinity 0.0.(n / 16).(n % 16). */
  readonly cpus: number
  /** Number of SPIs, 0 to 988; default 32. */
  readonly spis?: number
  /** List registers a PE, 1 to 16; default 4. */
  readonly listRegisters?: number
  /** Priority bits of the virtual CPU interface, 5 to 8; default 5. */
  readonly priorityBits?: number
  /** Preemption bits of the virtual CPU interface, 5 to 7 and not above `priorityBits`; default 5. */
  readonly preemptionBits?: number
  /** Bits of an INTID at the CPU interface, 16 or 24; default 24. */
  readonly intidBits?: 16 | 24
  /** Whether ICH_HCR_EL2.DVIM exists; default false. It needs version 4.0 or 4.1. */
  readonly dvim?: boolean
  /** Physical address of the distributor; default 0x0800_0000. */
  readonly gicd?: number
  /** Redistributor regions, in the order of the CPUs; default one at 0x080a_0000. */
  readonly gicr?: readonly RedistributorRegion[]
  /** Set of implementation choices; default `'arch'`. */
  readonly profile?: ProfileName
  /** Single choices in place of the profile's. */
  readonly choices?: Partial<Choices>
}

/** A configuration that was checked and completed. */
export interface CheckedGicConfig extends Required<Omit<GicConfig, 'profile' | 'choices'>> {
  /** The profile's choices with the replaced ones in place. */
  readonly choices: Choices
}

const versions = ['3', '4.0', '4.1'] as const
const FRAME = 0x1_0000
/** Bytes of a distributor. */
export const GICD_SIZE = FRAME
/** Bytes of one redistributor: RD_base and SGI_base, and on GICv4 two VLPI frames. */
export const redistributorSize = (version: CheckedGicConfig['version']): number =>
  version === '3' ? 2 * FRAME : 4 * FRAME
/** Highest physical address plus one: 52 bits. */
const ADDRESS_END = 2 ** 52

/** Checks a configuration and fills in its defaults. Throws a `config` error that names the field and its bounds. */
export function checkGicConfig(config: GicConfig): CheckedGicConfig {
  if (typeof config !== 'object' || config === null) {
    throw new VgicError(
      'config',
      `A GIC needs a configuration object, such as { cpus: 1 }, but got ${String(config)}.`,
    )
  }
  const version = config.version ?? '3'
  if (!versions.includes(version)) {
    throw new VgicError('config', `version must be one of ${versions.join(', ')}, but is ${String(version)}.`)
  }
  const cpus = configInteger('cpus', config.cpus, 1, 512)
  const priorityBits = configInteger('priorityBits', config.priorityBits ?? 5, 5, 8)
  const preemptionBits = configInteger(
    'preemptionBits',
    config.preemptionBits ?? Math.min(priorityBits, 5),
    5,
    7,
  )
  if (preemptionBits > priorityBits) {
    throw new VgicError(
      'config',
      `preemptionBits must be at most priorityBits, which is ${priorityBits}, but is ${preemptionBits}.`,
    )
  }
  const intidBits = config.intidBits ?? 24
  if (intidBits !== 16 && intidBits !== 24) {
    throw new VgicError('config', `intidBits must be 16 or 24, but is ${String(intidBits)}.`)
  }
  const dvim = config.dvim ?? false
  if (typeof dvim !== 'boolean') {
    throw new VgicError('config', `dvim must be true or false, but is ${String(dvim)}.`)
  }
  if (dvim && version === '3') {
    throw new VgicError(
      'config',
      'dvim must be false with version 3: only GICv4 injects interrupts directly.',
    )
  }
  const gicr = config.gicr ?? [{ base: 0x080a_0000, count: cpus }]
  if (
    !Array.isArray(gicr) ||
    gicr.length < 1 ||
    gicr.length > 512 ||
    gicr.some((r) => typeof r !== 'object' || r === null)
  ) {
    throw new VgicError('config', 'gicr must be a list of 1 to 512 regions { base, count }.')
  }
  const checked = {
    version,
    cpus,
    spis: configInteger('spis', config.spis ?? 32, 0, FIRST_SPECIAL - FIRST_SPI),
    listRegisters: configInteger('listRegisters', config.listRegisters ?? 4, 1, 16),
    priorityBits,
    preemptionBits,
    intidBits,
    dvim,
    gicd: config.gicd ?? 0x0800_0000,
    gicr: gicr.map(({ base, count }) => ({ base, count })),
    choices: chooseFrom(config.profile ?? 'arch', config.choices ?? {}),
  } satisfies CheckedGicConfig
  checkFrames(checked)
  return checked
}

/** A frame by the name of its field. */
interface Frame {
  readonly name: string
  readonly base: number
  readonly size: number
}

/** Throws a `config` error for frames that overlap or lie where none can, or too few redistributors. */
export function checkFrames(
  { version, cpus, gicd, gicr }: Pick<CheckedGicConfig, 'version' | 'cpus' | 'gicd' | 'gicr'>,
  owners = 'cpus',
  others: readonly Frame[] = [],
): void {
  const frames = [{ name: 'gicd', base: gicd, size: GICD_SIZE }, ...others]
  let redistributors = 0
  for (const [i, { base, count }] of gicr.entries()) {
    configInteger(`gicr[${i}].count`, count, 1, 512)
    frames.push({ name: `gicr[${i}].base`, base, size: count * redistributorSize(version) })
    redistributors += count
  }
  if (redistributors < cpus) {
    throw new VgicError(
      'config',
      `gicr must have room for ${cpus} redistributors, one for each of ${owners}, but has room for ${redistributors}.`,
    )
  }
  for (const { name, base, size } of frames) {
    if (!Number.isInteger(base) || base % FRAME !== 0 || base < 0 || base + size > ADDRESS_END) {
      throw new VgicError(
        'config',
        `${name} must be a multiple of 0x10000 from 0 to 2^52 less the frame's size, but is ${String(base)}.`,
      )
    }
  }
  frames.sort((a, b) => a.base - b.base)
  for (let i = 1; i < frames.length; i++) {
    const [below, above] = [frames[i - 1], frames[i]]
    if (below.base + below.size > above.base) {
      throw new VgicError(
        'config',
        `${above.name} must be at or above 0x${(below.base + below.size).toString(16)}, where ${below.name} ends, but is 0x${above.base.toString(16)}.`,
      )
    }
  }
}

const fixed = (names: readonly string[]): WordDeclaration[] =>
  names.map((name, at) => ({ name, at, class: 'authoritative' as const }))

/** The configuration's scalar words; regions follow it, in {@link REGION} records. */
export const GIC_CONFIG = recordType(
  'gicConfig',
  fixed([
    'version',
    'cpus',
    'spis',
    'listRegisters',
    'priorityBits',
    'preemptionBits',
    'intidBits',
    'dvim',
    'gicd',
    'gicdHigh',
    'regions',
    ...choiceNames.map((name) => `choices.${name}`),
  ]),
)
/** One redistributor region of the configuration. */
export const REGION = recordType('gicrRegion', fixed(['base', 'baseHigh', 'count']))

const HIGH = 0x1_0000_0000

/** Stores a configuration in its records at word `at`. */
export function storeGicConfig(words: Int32Array, at: number, config: CheckedGicConfig): void {
  words.set(
    [
      versions.indexOf(config.version),
      config.cpus,
      config.spis,
      config.listRegisters,
      config.priorityBits,
      config.preemptionBits,
      config.intidBits,
      config.dvim ? 1 : 0,
      (config.gicd % HIGH) | 0,
      Math.floor(config.gicd / HIGH),
      config.gicr.length,
      ...choiceNames.map((name) => (choiceValues[name] as readonly string[]).indexOf(config.choices[name])),
    ],
    at,
  )
  for (const [i, { base, count }] of config.gicr.entries()) {
    words.set([(base % HIGH) | 0, Math.floor(base / HIGH), count], at + GIC_CONFIG.size + i * REGION.size)
  }
}

/** Reads a configuration back from its records at word `at`; an image that holds none throws. */
export function loadGicConfig(words: Int32Array, at: number): CheckedGicConfig {
  const corrupt = () =>
    new VgicError('image-foreign', 'The image holds no valid configuration: pass what snapshot() returned.')
  const end = at + GIC_CONFIG.size
  if (words.length < end) throw corrupt()
  const [
    version,
    cpus,
    spis,
    listRegisters,
    priorityBits,
    preemptionBits,
    intidBits,
    dvim,
    low,
    high,
    regions,
  ] = words.subarray(at, end)
  const stored = words.subarray(at + 11, end)
  if (regions < 1 || regions > 512 || words.length < end + regions * REGION.size) throw corrupt()
  const address = (lo: number, hi: number) => (lo >>> 0) + hi * HIGH
  const gicr = Array.from({ length: regions }, (_, i) => {
    const region = end + i * REGION.size
    return { base: address(words[region], words[region + 1]), count: words[region + 2] }
  })
  const choices = Object.fromEntries(choiceNames.map((name, i) => [name, choiceValues[name][stored[i]]]))
  let config: CheckedGicConfig
  try {
    config = checkGicConfig({
      version: versions[version],
      cpus,
      spis,
      listRegisters,
      priorityBits,
      preemptionBits,
      intidBits: intidBits as 16 | 24,
      dvim: dvim === 1,
      gicd: address(low, high),
      gicr,
      choices: choices as Partial<Choices>,
    })
  } catch {
    throw corrupt()
  }
  // Only what storeGicConfig writes is a configuration: not an index that stands for none, nor a set padding word.
  const canonical = new Int32Array(end + regions * REGION.size - at)
  storeGicConfig(canonical, 0, config)
  if (canonical.some((word, i) => word !== words[at + i])) throw corrupt()
  return config
}
