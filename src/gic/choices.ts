/**
 * Where the architecture leaves a choice, or where implementations are known to differ and both sides can be
 * defended: one named choice each, collected in profiles. Each is read in one place of the silicon.
 * Plain bugs of an implementation are not choices.
 */
import { VgicError } from '../state/vgic-error.ts'

/** The choices of the silicon. */
export interface Choices {
  /**
   * What a list register with an LPI becomes when it is acknowledged. `invalid`: LPIs have no active state
   * (IHI 0069, "LPIs"). `active`: it stays until the EOI, as on QEMU 7.2, and a further MSI makes it
   * pending and active.
   */
  readonly lpiActive: 'invalid' | 'active'
  /**
   * What the pending group priority is compared with to decide on preemption. `running`: the running
   * priority as the active priorities registers recorded it. `running-masked`: the running priority with
   * the pending interrupt's group mask applied, as QEMU 7.2 does. They differ only when the two groups use
   * different binary points, or when a binary point was written since the acknowledge.
   */
  readonly preemptMask: 'running' | 'running-masked'
}

/** Every choice with its values; a value's index is how an image stores it. */
export const choiceValues: { readonly [K in keyof Choices]: readonly Choices[K][] } = {
  lpiActive: ['invalid', 'active'],
  preemptMask: ['running', 'running-masked'],
}
/** The names of the choices, in the order in which an image stores them. */
export const choiceNames = Object.keys(choiceValues) as readonly (keyof Choices)[]

/** The name of a profile. */
export type ProfileName = 'arch' | 'qemu-7.2'

/** Named sets of choices. `arch` is the default. */
export const profiles: Readonly<Record<ProfileName, Choices>> = {
  /** The plain reading of the architecture. */
  arch: { lpiActive: 'invalid', preemptMask: 'running' },
  /** What QEMU 7.2's GICv3 does. */
  'qemu-7.2': { lpiActive: 'active', preemptMask: 'running-masked' },
}

/** A profile's choices with single ones replaced. Throws a `config` error for a name or value that does not exist. */
export function chooseFrom(profile: ProfileName, replaced: Partial<Choices>): Choices {
  if (!Object.hasOwn(profiles, profile)) {
    throw new VgicError(
      'config',
      `profile must be one of ${Object.keys(profiles).join(', ')}, but is ${String(profile)}.`,
    )
  }
  for (const [name, value] of Object.entries(replaced)) {
    const values: readonly string[] | undefined = Object.hasOwn(choiceValues, name)
      ? choiceValues[name as keyof Choices]
      : undefined
    if (!values) {
      throw new VgicError('config', `choices has no ${name}; it has ${choiceNames.join(', ')}.`)
    }
    if (!values.includes(value)) {
      throw new VgicError(
        'config',
        `choices.${name} must be one of ${values.join(', ')}, but is ${String(value)}.`,
      )
    }
  }
  return { ...profiles[profile], ...replaced }
}
