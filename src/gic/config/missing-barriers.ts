/**
 * What a driver has to wait for, or to ask for, before it may rely on an effect, and did not: the rules of
 * docs/gicv4-barriers.md, of which a host hears where `barriers` is `'report'`.
 */

/** A rule of docs/gicv4-barriers.md. */
export type BarrierRule = `B${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14 | 15 | 16 | 17}`

/** The rules, each with what was left out. The numbers are those of docs/gicv4-barriers.md. */
export const barrierRules: Readonly<Record<BarrierRule, string>> = {
  B1: 'a mapping is used before a SYNC or VSYNC has followed it',
  B2: 'an interrupt comes after a move that no SYNC or VSYNC has followed',
  B3: 'a configuration byte that was changed in memory is used without an invalidation',
  B4: 'an interrupt comes after an invalidation that no SYNC or VSYNC has followed',
  B5: 'an interrupt comes after GICR_INVLPIR or GICR_INVALLR before GICR_SYNCR.Busy was read as 0',
  B6: 'a vPE is made resident before a VSYNC has followed a command about it',
  B7: 'a vSGI is sent before a VSYNC has followed a command about it or its vPE',
  B8: 'a doorbell is requested before a VSYNC has followed its INVDB',
  B9: 'a guest is entered before GICR_VPENDBASER.Dirty was read as 0',
  B10: 'GICR_VPENDBASER.Valid is changed again before Dirty was read as 0',
  B11: 'a command moves or unmaps a vPE that has left before Dirty was read as 0',
  B12: 'an ITT is given to another device before a SYNC has followed its unmapping',
  B13: 'a virtual pending table is given to another vPE before a VSYNC has followed its unmapping',
  B14: 'an interrupt that was disabled is configured before RWP was read as 0',
  B15: 'the distributor is configured after a group was disabled, before RWP was read as 0',
  B16: 'tables of LPIs are changed after LPIs were disabled, before RWP was read as 0',
  B17: 'GICR_VPROPBASER is written again after Valid was cleared, before RWP was read as 0',
}

/** In the order of their numbers. */
export const barrierRuleNames = Object.keys(barrierRules) as readonly BarrierRule[]

/** A barrier that a driver left out, as {@link GicHost.onMissingBarrier} hears of it. */
export interface MissingBarrierEvent {
  /** Which rule; {@link barrierRules} has it in words. */
  readonly rule: BarrierRule
  /** What relied on the effect: the register that was accessed, the command, or `ERET`. */
  readonly access: string
  /** The CPU whose redistributor it concerns, if any. */
  readonly cpu: number | undefined
  /** The ITS that it concerns, by its place in the configuration, if any. */
  readonly its: number | undefined
  /** What was relied on, for people. */
  readonly what: string
}

/** Who hears of it. */
export interface BarrierListener {
  /**
   * A driver relied on an effect without what the architecture asks for first, where `barriers` is `'report'`. It is
   * called after the access or the message is complete, once for each effect.
   */
  onMissingBarrier?(event: MissingBarrierEvent): void
}
