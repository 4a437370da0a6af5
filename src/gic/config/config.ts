/** The configuration of a GIC: a plain object, which is checked and completed here. */
import { FIRST_SPECIAL, FIRST_SPI } from '../../arch/intid.ts'
import {
  configBoolean,
  configInteger,
  configList,
  configOneOf,
  configOptions,
  type Fields,
  shown,
  shownInHex,
} from '../../errors/arguments.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { COMMON_AFFINITY, defaultAffinity } from './affinities.ts'
import { chooseFrom, type ProfileName, type SiliconChoices } from './choices.ts'
import { checkIts, type ItsConfig, itsSize } from './its-config.ts'

/** A contiguous region of redistributors, one for each of `count` CPUs in order. */
export interface RedistributorRegion {
  /** Physical address, 64 KiB aligned. */
  readonly base: number
  /** Number of redistributors in it. */
  readonly count: number
}

/** The configuration of a GIC. Every field but `cpus` has a default. */
export interface GicConfig {
  /** Architecture version; default `'3'`. See docs/gicv4.md for what the others add. */
  readonly version?: '3' | '4.0' | '4.1'
  /** Number of PEs, 1 to 512. */
  readonly cpus: number
  /**
   * The affinity of each PE as one 32-bit number, Aff3.Aff2.Aff1.Aff0 from bit 31 down, all different. By default CPU
   * n has 0.0.(n / 16).(n % 16). An Aff0 above 15 gives the GIC range selector support (RSS).
   */
  readonly affinities?: readonly number[]
  /** Number of SPIs, 0 to 988; default 32. */
  readonly spis?: number
  /** List registers of a PE, 1 to 16; default 4. */
  readonly listRegisters?: number
  /** Priority bits, 5 to 8; default 5. */
  readonly priorityBits?: number
  /** Preemption bits of both CPU interfaces, 5 to 7 and not above `priorityBits`; default 5. */
  readonly preemptionBits?: number
  /** Bits of an INTID at the CPU interface, 16 or 24; default 24. */
  readonly intidBits?: 16 | 24
  /** Whether ICH_HCR_EL2.DVIM exists; default false. It needs version 4.0 or 4.1. */
  readonly dvim?: boolean
  /** Physical address of the distributor; default 0x0800_0000. */
  readonly gicd?: number
  /** Redistributor regions, in the order of the CPUs; default one at 0x080a_0000. */
  readonly gicr?: readonly RedistributorRegion[]
  /**
   * Number of LPIs, 0 or a power of two up to 2^24: INTIDs 8192 and up. INTIDs have 16 bits, or as many as there are
   * LPIs for: with 65,536 the LPIs are 8192 to 65,535. Default 65,536 with an ITS or `directLpis`, which are the
   * sources of LPIs, otherwise 0.
   */
  readonly lpis?: number
  /**
   * Whether GICD_TYPER and GICR_TYPER report LPIs, and the LPI registers exist. Always true with LPIs. Without LPIs
   * because `lpis` was left out, the default is true: as on silicon whose ITS is not used, the registers keep what is
   * written, and no LPI becomes pending. With `lpis: 0` the default is false.
   */
  readonly lpiRegisters?: boolean
  /** Whether GICR_SETLPIR, CLRLPIR, INVLPIR, INVALLR and SYNCR exist; default false. */
  readonly directLpis?: boolean
  /** Interrupt Translation Services, up to 8; default none. */
  readonly its?: readonly ItsConfig[]
  /**
   * GICR_TYPER.CommonLPIAff: which redistributors share the configuration of LPIs and, on GICv4.1, the vPE configuration
   * table. 0: all; 1, the default: those of one Aff3; 2: of one Aff3.Aff2; 3: of one Aff3.Aff2.Aff1.
   */
  readonly commonLpiAff?: 0 | 1 | 2 | 3
  /** Bits of a vPEID on GICv4, 1 to 16; default 16. GICD_TYPER2 shows them on GICv4.1. */
  readonly vpeBits?: number
  /**
   * What becomes of software's UNPREDICTABLE uses of GICv4. `'ignore'`, the default: what is written at each of them,
   * which is the mildest outcome. `'pessimistic'`: the worst that the architecture allows and the model knows.
   * `'report'`: as `'ignore'`, and {@link GicHost.onUnpredictable} hears of it. docs/gicv4-unpredictable.md has them all.
   */
  readonly unpredictable?: 'ignore' | 'pessimistic' | 'report'
  /**
   * Whether a driver is told that relies on an effect without the SYNC, VSYNC, invalidation, RWP or Dirty poll that the
   * architecture asks for: `'report'` tells {@link GicHost.onMissingBarrier}, by the rules of docs/gicv4-barriers.md.
   * Default `'off'`, which costs nothing.
   */
  readonly barriers?: 'off' | 'report'
  /**
   * Lines of 64 bytes of memory that the GIC itself keeps, up to 2^20; default 0: memory is the host's. Lines that are
   * all zero need none. See {@link Gic.writeMemory}.
   */
  readonly memoryLines?: number
  /** Security states; only one is modelled: GICD_CTLR.DS reads as one. */
  readonly securityStates?: 1
  /**
   * When a register write whose effect a driver has to wait for takes effect: disabling interrupts or groups (RWP),
   * EnableLPIs, GICR_WAKER; and when an ITS carries out commands and translates messages. `'at-once'`, the default, or
   * `'lagging'`: one by one when {@link Gic.complete}, or all when {@link Gic.completeWrites} is called.
   */
  readonly writeEffects?: 'at-once' | 'lagging'
  /**
   * When a PE's maintenance interrupt, PPI 25, rises: with the access of the guest that causes it, `'at-once'`, the
   * default; or `'lagging'`: when that effect is completed, as with `writeEffects`, until which the guest goes on. It falls
   * at once.
   */
  readonly maintenanceInterrupt?: 'at-once' | 'lagging'
  /** The set of implementation choices; default `'arch'`. */
  readonly profile?: ProfileName
  /** Single choices that replace the profile's. */
  readonly choices?: Partial<SiliconChoices>
}

/** A configuration that was checked and completed. */
export interface CheckedGicConfig
  extends Required<Omit<GicConfig, 'profile' | 'choices' | 'securityStates' | 'its'>> {
  /** The profile's choices, with the single ones that replace them. */
  readonly choices: SiliconChoices
  /** The ITSs, completed. */
  readonly its: readonly Required<ItsConfig>[]
}

export const versions = ['3', '4.0', '4.1'] as const
export const effects = ['at-once', 'lagging'] as const
export const policies = ['ignore', 'pessimistic', 'report'] as const
export const barrierReports = ['off', 'report'] as const
const FRAME = 0x1_0000
/** Size in bytes of the distributor's frame. */
export const GICD_SIZE = FRAME
/** Size in bytes of one redistributor's frames: RD_base and SGI_base, and on GICv4 two for VLPIs. */
export const redistributorSize = (version: CheckedGicConfig['version']): number =>
  version === '3' ? 2 * FRAME : 4 * FRAME
/** Highest physical address plus one: 52 bits. */
const ADDRESS_END = 2 ** 52

/** Checks a configuration and fills in its defaults. Throws a `config` error that names the field and its bounds. */
export function checkGicConfig(config: GicConfig): CheckedGicConfig {
  configOptions('The configuration of a GIC', config, gicFields)
  const version = configOneOf('version', config.version ?? '3', versions)
  const cpus = configInteger('cpus', config.cpus, 1, 512)
  const affinities = checkAffinities(cpus, config.affinities)
  const securityStates: unknown = config.securityStates ?? 1
  if (securityStates !== 1) {
    throw new VgicError(
      'config',
      `securityStates must be 1, but is ${shown(securityStates)}: this GIC has one Security state (GICD_CTLR.DS = 1). Leave the field out.`,
    )
  }
  const writeEffects = configOneOf('writeEffects', config.writeEffects ?? 'at-once', effects)
  const maintenanceInterrupt = configOneOf(
    'maintenanceInterrupt',
    config.maintenanceInterrupt ?? 'at-once',
    effects,
  )
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
  const intidBits = configOneOf<16 | 24>('intidBits', config.intidBits ?? 24, [16, 24])
  const dvim = configBoolean('dvim', config.dvim ?? false)
  if (dvim && version === '3') {
    throw new VgicError(
      'config',
      'dvim must be false with version 3: only GICv4 injects interrupts directly.',
    )
  }
  const its = checkIts(config.its, version)
  const directLpis = configBoolean('directLpis', config.directLpis ?? false)
  const lpis = checkLpis(config.lpis ?? (its.length > 0 || directLpis ? 0x1_0000 : 0), intidBits)
  if (lpis === 0 && (its.length > 0 || directLpis)) {
    throw new VgicError(
      'config',
      'lpis must not be 0 with an ITS or with directLpis: leave it out for 65536.',
    )
  }
  const checked = {
    version,
    cpus,
    affinities,
    spis: configInteger('spis', config.spis ?? 32, 0, FIRST_SPECIAL - FIRST_SPI),
    listRegisters: configInteger('listRegisters', config.listRegisters ?? 4, 1, 16),
    priorityBits,
    preemptionBits,
    intidBits,
    dvim,
    gicd: config.gicd ?? 0x0800_0000,
    gicr: checkRegions(config.gicr ?? [{ base: 0x080a_0000, count: cpus }]),
    lpis,
    lpiRegisters: checkLpiRegisters(config, lpis),
    directLpis,
    its,
    commonLpiAff: configInteger('commonLpiAff', config.commonLpiAff ?? 1, 0, 3) as 0 | 1 | 2 | 3,
    vpeBits: configInteger('vpeBits', config.vpeBits ?? 16, 1, 16),
    unpredictable: configOneOf('unpredictable', config.unpredictable ?? 'ignore', policies),
    barriers: configOneOf('barriers', config.barriers ?? 'off', barrierReports),
    memoryLines: configInteger('memoryLines', config.memoryLines ?? 0, 0, 2 ** 20),
    writeEffects,
    maintenanceInterrupt,
    choices: chooseFrom(config.profile ?? 'arch', config.choices ?? {}),
  } satisfies CheckedGicConfig
  checkFrames(checked, 'cpus', itsFrames(checked))
  checkSize(checked)
  return checked
}

/**
 * A GIC's buffer holds a quarter of a byte for each LPI and CPU, and a byte for each LPI and group of redistributors with
 * a common configuration; on GICv4 a byte and a quarter more for each virtual LPI of the vPE that is resident on a CPU.
 */
function checkSize(config: CheckedGicConfig): void {
  const { lpis, cpus, version } = config
  const groups = new Set(lpiGroups(config)).size
  const most = 2 ** Math.floor(Math.log2(2 ** 30 / (cpus * (version === '3' ? 0.25 : 1.5) + groups)))
  if (lpis <= most) return
  throw new VgicError('config', `lpis must be at most ${most} with ${cpus} cpus, but is ${lpis}.`)
}

/** The group of redistributors with a common LPI configuration that a CPU is in, from 0 on, by CPU: CommonLPIAff. */
export function lpiGroups({
  affinities,
  commonLpiAff,
}: Pick<CheckedGicConfig, 'affinities' | 'commonLpiAff'>): number[] {
  const common = affinities.map((affinity) => affinity & COMMON_AFFINITY[commonLpiAff])
  const values = [...new Set(common)]
  return common.map((value) => values.indexOf(value))
}

function checkLpiRegisters({ lpis, lpiRegisters = lpis !== 0 }: GicConfig, number: number): boolean {
  if (typeof lpiRegisters !== 'boolean' || (number > 0 && !lpiRegisters)) {
    throw new VgicError(
      'config',
      `lpiRegisters must be true or, with lpis: 0, false, but is ${shown(lpiRegisters)}.`,
    )
  }
  return lpiRegisters
}

function checkLpis(lpis: number, intidBits: 16 | 24): number {
  const most = 2 ** intidBits
  if (lpis === 0 || (Number.isInteger(lpis) && Number.isInteger(Math.log2(lpis)) && lpis <= most)) return lpis
  throw new VgicError(
    'config',
    `lpis must be 0 or a power of two up to ${most}, as intidBits is ${intidBits}, but is ${shown(lpis)}.`,
  )
}

/** The fields of a configuration. */
export const gicFields: Fields<GicConfig> = {
  version: true,
  cpus: true,
  affinities: true,
  spis: true,
  listRegisters: true,
  priorityBits: true,
  preemptionBits: true,
  intidBits: true,
  dvim: true,
  gicd: true,
  gicr: true,
  securityStates: true,
  writeEffects: true,
  maintenanceInterrupt: true,
  profile: true,
  choices: true,
  lpis: true,
  lpiRegisters: true,
  directLpis: true,
  its: true,
  commonLpiAff: true,
  vpeBits: true,
  unpredictable: true,
  barriers: true,
  memoryLines: true,
}

/** A checked copy of the regions of redistributors; {@link checkFrames} checks their addresses. */
export function checkRegions(gicr: readonly RedistributorRegion[]): readonly RedistributorRegion[] {
  const regions = configList('gicr', gicr, REGIONS)
  if (regions.length > 512) {
    throw new VgicError('config', `gicr must be an array of ${REGIONS}, but has ${regions.length}.`)
  }
  return regions.map((region, i) => {
    const { base, count } = configOptions(`gicr[${i}]`, region, { base: true, count: true })
    return { base, count }
  })
}
const REGIONS = '1 to 512 regions { base, count }'

function checkAffinities(cpus: number, affinities: readonly number[] | undefined): readonly number[] {
  if (affinities === undefined) return Array.from({ length: cpus }, (_, cpu) => defaultAffinity(cpu))
  const given = configList('affinities', affinities, 'numbers')
  if (given.length !== cpus) {
    throw new VgicError(
      'config',
      `affinities must be an array of ${cpus} numbers, one for each of cpus, but has ${given.length}.`,
    )
  }
  const values = given.map((value, cpu) => configInteger(`affinities[${cpu}]`, value, 0, 0xffff_ffff))
  const twice = values.findIndex((value, cpu) => values.indexOf(value) !== cpu)
  if (twice < 0) return values
  throw new VgicError(
    'config',
    `affinities must all be different, but affinities[${twice}] and affinities[${values.indexOf(values[twice])}] are both 0x${values[twice].toString(16)}.`,
  )
}

/** A frame, with the name of its configuration field. */
export interface Frame {
  readonly name: string
  readonly base: number
  readonly size: number
}

const itsFrames = ({ its, version }: Pick<CheckedGicConfig, 'its' | 'version'>): Frame[] =>
  its.map(({ base }, i) => ({ name: `its[${i}].base`, base, size: itsSize(version) }))

const redistributorFrames = ({ version, gicr }: Pick<CheckedGicConfig, 'version' | 'gicr'>): Frame[] =>
  gicr.map(({ base, count }, i) => ({
    name: `gicr[${i}].base`,
    base,
    size: count * redistributorSize(version),
  }))

/** All frames of a GIC. */
export const framesOf = (config: CheckedGicConfig): readonly Frame[] => [
  { name: 'gicd', base: config.gicd, size: GICD_SIZE },
  ...redistributorFrames(config),
  ...itsFrames(config),
]

/** Throws a `config` error for frames that overlap or have an impossible address, and for too few redistributors. */
export function checkFrames(
  { version, cpus, gicd, gicr }: Pick<CheckedGicConfig, 'version' | 'cpus' | 'gicd' | 'gicr'>,
  owners = 'cpus',
  others: readonly Frame[] = [],
): void {
  let redistributors = 0
  for (const [i, { count }] of gicr.entries()) {
    redistributors += configInteger(`gicr[${i}].count`, count, 1, 512)
  }
  const frames = [
    { name: 'gicd', base: gicd, size: GICD_SIZE },
    ...others,
    ...redistributorFrames({ version, gicr }),
  ]
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
        `${name} must be a multiple of 0x10000 from 0 to 2^52 less the frame's size, but is ${shownInHex(base)}.`,
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
