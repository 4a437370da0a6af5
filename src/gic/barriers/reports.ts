/** Reports of missing barriers: which rules were broken is of the state, and the host hears of each. */
import { EventQueue } from '../config/event-queue.ts'
import {
  type BarrierListener,
  type BarrierRule,
  barrierRuleNames,
  type MissingBarrierEvent,
} from '../config/missing-barriers.ts'
import { BARRIERS_SEEN } from './barrier-records.ts'

/** Whom a report concerns. */
export interface Concerned {
  readonly cpu?: number | undefined
  readonly its?: number | undefined
}

export class Reports {
  private readonly events = new EventQueue<MissingBarrierEvent>((event) =>
    this.host.onMissingBarrier?.(event),
  )

  constructor(
    readonly words: Int32Array,
    /** The record BARRIERS. */
    readonly at: number,
    readonly host: BarrierListener,
  ) {}

  report(rule: BarrierRule, access: string, { cpu, its }: Concerned, what: string): void {
    this.words[this.at + BARRIERS_SEEN] |= 1 << barrierRuleNames.indexOf(rule)
    if (this.host.onMissingBarrier) this.events.add({ rule, access, cpu, its, what })
  }

  /** Which rules were broken. */
  get seen(): readonly BarrierRule[] {
    return barrierRuleNames.filter((_, n) => (this.words[this.at + BARRIERS_SEEN] >>> n) & 1)
  }

  /** Tells the host. */
  deliver(): void {
    this.events.deliver()
  }
}
