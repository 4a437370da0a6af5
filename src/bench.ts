/**
 * vgic/bench: what an exit, a scenario and an exploration cost, as functions for benchmark suites.
 *
 * @module vgic/bench
 */
export {
  type BenchCase,
  type BenchOptions,
  type BenchRun,
  exitCases,
  explorationCase,
  scenarioCase,
} from './bench/cases.ts'
