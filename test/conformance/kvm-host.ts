/** What the recordings of KVM say of their host: which Linux it is, and on which silicon it ran. */
import { type ProfileName, profiles } from 'vgic'
import { RecordingError, type Trace } from './recording.ts'

/** The Linux that the baseline `kvm61` is. */
const LINUX = '6.1'

/**
 * The silicon profile of a trace, unless another one is `chosen`. Throws for a host that is not the one which there is a
 * baseline of, and for silicon which there is no profile of: their answers are others.
 */
export function hostOf(file: string, { line, config }: Trace, chosen?: ProfileName): ProfileName {
  const { kernel, silicon } = config
  const refuse = (reason: string) => new RecordingError(file, line, reason)
  const release = /\b\d+\.\d+\b/.exec(String(kernel))?.[0]
  if (release !== undefined && release !== LINUX) {
    throw refuse(`config.kernel is Linux ${release}, but this version has the vGIC of Linux ${LINUX} only`)
  }
  if (typeof silicon !== 'string' || !Object.hasOwn(profiles, silicon)) {
    const names = Object.keys(profiles).join(', ')
    throw refuse(`config.silicon is ${JSON.stringify(silicon)}, but this version's profiles are ${names}`)
  }
  return chosen ?? (silicon as ProfileName)
}
