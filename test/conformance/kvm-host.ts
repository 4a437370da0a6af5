/** What the recordings of KVM say of their host: which Linux it is, and on which silicon it ran. */
import { type ProfileName, profiles } from 'vgic'
import { type Design, designs, kvm61, kvm72 } from 'vgic/scenario'
import { RecordingError, type Trace } from './recording.ts'

/**
 * By the Linux that was recorded, the design that is to do the same. 6.1.187 has the flag already; that shows with GICv4
 * only.
 */
const LINUX: Readonly<Record<string, Design>> = {
  '6.1': kvm61(designs.wfiFlag),
  '7.2': kvm72(designs.wfiFullPut),
}
/** The Linux of a recording that names none. */
const DEFAULT = '6.1'

/** The host of a trace. */
export interface Host {
  readonly design: Design
  readonly profile: ProfileName
  /** Whether each entry of suite `kvm` says why the guest left after it. */
  readonly tellsExits: boolean
  /** Whether its CPU faults on an access to device memory that is not aligned to its size. */
  readonly faultsUnaligned: boolean
}

/**
 * The host of a trace, with its silicon unless another profile is `chosen`. Throws for a host that is not one which there
 * is a baseline of, and for silicon which there is no profile of: their answers are others.
 */
export function hostOf(file: string, { line, config }: Trace, chosen?: ProfileName): Host {
  const { kernel, silicon } = config
  const refuse = (reason: string) => new RecordingError(file, line, reason)
  const release = /\b\d+\.\d+\b/.exec(String(kernel))?.[0] ?? DEFAULT
  if (!Object.hasOwn(LINUX, release)) {
    const known = Object.keys(LINUX).join(' and ')
    throw refuse(`config.kernel is Linux ${release}, but this version has the vGIC of Linux ${known} only`)
  }
  if (typeof silicon !== 'string' || !Object.hasOwn(profiles, silicon)) {
    const names = Object.keys(profiles).join(', ')
    throw refuse(`config.silicon is ${JSON.stringify(silicon)}, but this version's profiles are ${names}`)
  }
  return {
    design: LINUX[release],
    profile: chosen ?? (silicon as ProfileName),
    tellsExits: release !== DEFAULT,
    faultsUnaligned: silicon.startsWith('qemu-11.1'),
  }
}
