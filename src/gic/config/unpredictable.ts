/**
 * Uses of GICv4 that the architecture calls UNPREDICTABLE, and what becomes of them: the policy `unpredictable`. A host
 * hears of them when the access is complete. The rules are those of docs/gicv4.md.
 */
import type { GicConfig } from './config.ts'

/** What software did. The numbers are those of rules in docs/gicv4.md. */
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
]

/** An UNPREDICTABLE use, as {@link GicHost.onUnpredictable} hears of it. */
export interface UnpredictableEvent {
  /** What software did. */
  readonly rule: UnpredictableRule
  /** The register that was written, or the command that was carried out. */
  readonly access: string
  /** The CPU whose redistributor it concerns. */
  readonly cpu: number
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
  private readonly reports: boolean
  /** Of the access under way only; empty between accesses. */
  private readonly events: UnpredictableEvent[] = []

  constructor(
    readonly words: Int32Array,
    /** The word that has which there were. */
    private readonly at: number,
    policy: Required<GicConfig>['unpredictable'],
    readonly host: UnpredictableListener,
  ) {
    this.isPessimistic = policy === 'pessimistic'
    this.reports = policy === 'report'
  }

  /** Returns whether the outcome is to be the worst. */
  use(rule: UnpredictableRule, access: string, cpu: number): boolean {
    if (this.reports) {
      this.words[this.at] |= 1 << unpredictableRules.indexOf(rule)
      if (this.host.onUnpredictable) this.events.push({ rule, access, cpu })
    }
    return this.isPessimistic
  }

  /** Tells the host. */
  deliver(): void {
    while (this.events.length > 0) {
      const event = this.events.shift()
      if (event) this.host.onUnpredictable?.(event)
    }
  }

  /** Which there were. */
  get seen(): readonly UnpredictableRule[] {
    return unpredictableRules.filter((_, rule) => (this.words[this.at] >>> rule) & 1)
  }
}
