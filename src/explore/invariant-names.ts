/** Plain names of the catalogue's invariants, and of S23 and S24, which are not in it: what is wrong if one breaks. */
import { argumentString } from '../errors/arguments.ts'

const names: Readonly<Record<string, string>> = {
  S1: 'vpe-resident-elsewhere',
  S2: 'entered-unloaded',
  S3: 'resident-while-waiting',
  S4: 'valid-cleared-while-dirty',
  S5: 'command-for-unmapped-vpe',
  S6: 'pending-last-lost',
  S7: 'doorbell-while-running',
  S8: 'intid-in-two-list-registers',
  S9: 'physical-active-mismatch',
  S10: 'stopped-vcpu-runs',
  S11: 'stale-shadow',
  S12: 'wrong-deactivation',
  S13: 'acknowledged-twice',
  S14: 'stale-translation',
  S15: 'freed-lpi-reachable',
  S16: 'lpi-reference-count',
  S17: 'list-and-owner-differ',
  S18: 'target-and-collection-differ',
  S19: 'pending-without-one-owner',
  S20: 'question-with-side-effect',
  S21: 'request-unseen',
  S22: 'wrong-context',
  S23: 'exit-unhandled',
  S24: 'doorbell-not-asked-for',
  L1: 'lost-wake-up',
  L2: 'lost-doorbell',
  L3: 'lost-interrupt',
  L4: 'livelock',
  L5: 'stuck-active',
  L6: 'stuck-thread',
  R1: 'image-differs-from-state',
  R2: 'restored-state-differs',
  R3: 'restored-unreachable-state',
  R4: 'half-restored',
  R5: 'image-inconsistent',
}

/** The plain name of an invariant: `stale-shadow` for S11. */
export const invariantName = (id: string): string => names[argumentString('id', id)] ?? id
