/**
 * Uses of GICv4 that the architecture calls UNPREDICTABLE, and what becomes of them: the policy `unpredictable`. A host
 * hears of them when the access is complete. docs/gicv4-unpredictable.md has both outcomes of each.
 */
import type { GicConfig } from './config.ts'
import { EventQueue } from './event-queue.ts'

/** What software did. docs/gicv4-unpredictable.md says what each of them is. */
export type UnpredictableRule =
  | 'valid-while-dirty'
  | 'field-while-valid'
  | 'vpropbaser-while-resident'
  | 'vpropbaser-invalid'
  | 'resident-unmapped'
  | 'resident-elsewhere'
  | 'resident-twice'
  | 'map-mapped'
  | 'map-without-allocation'
  | 'unmap-resident'
  | 'move-resident'
  | 'command-unmapped'
  | 'ptz-not-zero'
  | 'vpropbaser-differs'
  | 'list-register-direct'

/** By number. */
export const unpredictableRules: readonly UnpredictableRule[] = [
  'valid-while-dirty',
  'field-while-valid',
  'vpropbaser-while-resident',
  'vpropbaser-invalid',
  'resident-unmapped',
  'resident-elsewhere',
  'resident-twice',
  'map-mapped',
  'map-without-allocation',
  'unmap-resident',
  'move-resident',
  'command-unmapped',
  'ptz-not-zero',
  'vpropbaser-differs',
  'list-register-direct',
]

/** An UNPREDICTABLE use, as {@link GicHost.onUnpredictable} hears of it. */
export interface UnpredictableEvent {
  /** What software did. */
  readonly rule: UnpredictableRule
  /** The register that was written, the command that was carried out, or the interrupt that came: `vLPI`, `vSGI`. */
  readonly access: string
  /** The CPU whose redistributor it concerns; undefined for a vPE that is mapped to none. */
  readonly cpu: number | undefined
}

/** Who hears of it. */
export interface UnpredictableListener {
  /**
   * Software did what the architecture calls UNPREDICTABLE, where `unpredictable` is `'report'`. It is called after the
   * access is complete.
   */
  onUnpredictable?(event: UnpredictableEvent): void
}

export class Unpredictable {
  /** Whether the outcome is the worst that the model knows. */
  readonly isPessimistic: boolean
  /** Whether anybody wants to know: what costs something to find out is not looked for otherwise. */
  readonly isWatched: boolean
  private readonly reports: boolean
  private readonly events = new EventQueue<UnpredictableEvent>((event) => this.host.onUnpredictable?.(event))

  constructor(
    readonly words: Int32Array,
    /** The word that has which there were. */
    private readonly at: number,
    policy: Required<GicConfig>['unpredictable'],
    readonly host: UnpredictableListener,
  ) {
    this.isPessimistic = policy === 'pessimistic'
    this.isWatched = policy !== 'ignore'
    this.reports = policy === 'report'
  }

  /** Returns whether the outcome is to be the worst. */
  use(rule: UnpredictableRule, access: string, cpu: number | undefined): boolean {
    if (this.isWatched) this.words[this.at] |= 1 << unpredictableRules.indexOf(rule)
    if (this.reports && this.host.onUnpredictable && !this.isOtherHalf(rule, access))
      this.events.add({ rule, access, cpu })
    return this.isPessimistic
  }

  /** Whether it is the other half of a register that is written as a whole. */
  private isOtherHalf(rule: UnpredictableRule, access: string): boolean {
    const { last } = this.events
    return access.startsWith('GICR_') && last?.rule === rule && last.access === access
  }

  /** Tells the host. */
  deliver(): void {
    this.events.deliver()
  }

  /** Which there were. */
  get seen(): readonly UnpredictableRule[] {
    return unpredictableRules.filter((_, rule) => (this.words[this.at] >>> rule) & 1)
  }
}
