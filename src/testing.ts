/**
 * vgic/testing: assertions for test runners, arbitraries for fast-check, golden vectors for RTL and other models.
 *
 * @module vgic/testing
 */
export {
  type Arbitraries,
  arbitraries,
  type GicAccess,
  type GuestOptions,
  type LineLevel,
  type MmioAccess,
  perform,
  type SysregAccess,
  type WriteDevice,
  type WriteGuest,
} from './testing/arbitraries.ts'
export { type Comparable, ExpectationError, expectHolds, expectSameState } from './testing/expectations.ts'
export {
  Recorder,
  record,
  type VectorDifference,
  type VectorOp,
  type VectorResult,
  verify,
} from './testing/vectors.ts'
