/** The configuration of an ITS, which is checked and completed here. */

import { configInteger, configList, configOptions, type Fields } from '../../errors/arguments.ts'
import { VgicError } from '../../errors/vgic-error.ts'

/** The configuration of an ITS. Every field but `base` has a default. */
export interface ItsConfig {
  /**
   * Physical address of its frames, 64 KiB aligned: the control frame, behind it that of GITS_TRANSLATER and, on GICv4.1,
   * that of GITS_SGIR.
   */
  readonly base: number
  /** Bits of a DeviceID, 1 to 32; default 16. */
  readonly deviceBits?: number
  /** Bits of an EventID, 1 to 32; default 16. */
  readonly eventBits?: number
  /** Bits of a collection's ID, 1 to 16; default 16. */
  readonly collectionBits?: number
  /**
   * GITS_TYPER.PTA: whether RDbase in commands is a redistributor's Processor_Number (0) or its address (1); default
   * 0.
   */
  readonly pta?: 0 | 1
  /**
   * GITS_TYPER.VMOVP on GICv4: whether a VMOVP goes to one ITS, 1, or to all in its ITSList, 0; default 1.
   */
  readonly vmovp?: 0 | 1
  /**
   * GITS_TYPER.SVPET on GICv4.1: with which redistributors the ITS shares its vPE table. 0: with none; 1, the default:
   * those of one Aff3; 2: of one Aff3.Aff2; 3: of one Aff3.Aff2.Aff1.
   */
  readonly svpet?: 0 | 1 | 2 | 3
  /** GITS_MPIDR on GICv4.1: Aff3.Aff2.Aff1 of the redistributors meant, in bits 31:8; default 0. */
  readonly affinity?: number
}

const FRAME = 0x1_0000
/** Bytes of the frames of an ITS. */
export const itsSize = (version: '3' | '4.0' | '4.1'): number => (version === '4.1' ? 3 : 2) * FRAME
/** ITSs that a GIC can have. */
export const MOST_ITSS = 8

/** Checks a list of ITSs and fills in the defaults. Where their frames may be is not checked here. */
export function checkIts(
  its: readonly ItsConfig[] | undefined,
  version: '3' | '4.0' | '4.1',
): Required<ItsConfig>[] {
  if (its === undefined) return []
  const list = configList('its', its, `up to ${MOST_ITSS} ITSs { base }`)
  if (list.length > MOST_ITSS) {
    throw new VgicError(
      'config',
      `its must be an array of up to ${MOST_ITSS} ITSs { base }, but has ${list.length}.`,
    )
  }
  return list.map((each, i) => {
    const given = configOptions(`its[${i}]`, each, itsFields)
    const { base, deviceBits, eventBits, collectionBits, pta } = given
    return {
      base,
      deviceBits: configInteger(`its[${i}].deviceBits`, deviceBits ?? 16, 1, 32),
      eventBits: configInteger(`its[${i}].eventBits`, eventBits ?? 16, 1, 32),
      collectionBits: configInteger(`its[${i}].collectionBits`, collectionBits ?? 16, 1, 16),
      pta: configInteger(`its[${i}].pta`, pta ?? 0, 0, 1) === 1 ? 1 : 0,
      ...checkVirtual(`its[${i}]`, given, version),
    }
  })
}

/** What is about vPEs, which only GICv4 has. */
function checkVirtual(
  name: string,
  { vmovp = 1, svpet = 1, affinity = 0 }: ItsConfig,
  version: '3' | '4.0' | '4.1',
): Pick<Required<ItsConfig>, 'vmovp' | 'svpet' | 'affinity'> {
  configInteger(`${name}.vmovp`, vmovp, 0, 1)
  configInteger(`${name}.svpet`, svpet, 0, 3)
  return {
    vmovp: version === '3' ? 0 : vmovp,
    svpet: version === '4.1' ? svpet : 0,
    affinity: configInteger(`${name}.affinity`, affinity, 0, 0xffff_ffff),
  }
}

const itsFields: Fields<ItsConfig> = {
  base: true,
  deviceBits: true,
  eventBits: true,
  collectionBits: true,
  pta: true,
  vmovp: true,
  svpet: true,
  affinity: true,
}
