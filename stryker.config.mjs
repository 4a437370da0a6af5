import { fileURLToPath } from 'node:url'

/** About how many mutants of each file are tried; all of them unless it is set. */
const sample = process.env['SAMPLE']

/**
 * `npm run mutation`: which changes of the sources no test notices (docs/testing.md).
 *
 * What runs when a module is loaded (tables of registers, declarations of fields) is left out: each of its mutants
 * would need a run of everything.
 */
export default {
  testRunner: 'in-one-bundle',
  plugins: ['./build/test/mutation/runner.js'],
  inOneBundle: {
    // Random properties would make the score random; what runs in a program of its own, or is about the playground, sees
    // no mutant; the two long ones take their time for a few mutants.
    without: [
      'test/package/',
      'test/property/',
      'test/unit/conformance/',
      'test/unit/explore/mutants.test.ts',
      'test/unit/playground.test.ts',
      'test/unit/scenario/long-runs.test.ts',
    ],
    slowest: Number(process.env['SLOWEST'] ?? 10),
    sample: Number(sample ?? 1e9),
    durations: fileURLToPath(new URL('reports/mutation/durations.json', import.meta.url)),
  },
  mutate: ['src/gic/**/*.ts', 'src/hyp/**/*.ts'],
  coverageAnalysis: 'perTest',
  ignoreStatic: true,
  concurrency: 2,
  // A later run would take those that are not in the sample for tried.
  incremental: sample === undefined,
  incrementalFile: 'reports/mutation/incremental.json',
  reporters: ['progress-append-only', 'clear-text', 'json'],
  jsonReporter: { fileName: 'reports/mutation/mutation.json' },
  clearTextReporter: { allowColor: false, reportTests: false, logTests: false },
  ignorePatterns: ['dist', 'build', 'coverage', 'docs/api', 'reports'],
  tempDirName: '.stryker-tmp',
  // The runner ends tests that loop by itself.
  timeoutMS: 600_000,
  dryRunTimeoutMinutes: 60,
}
