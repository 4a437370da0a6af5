/**
 * `npm run mutation`: which changes of the sources no test notices. The tests are those of vitest.mutation.config.ts.
 *
 * What runs when a module is loaded (tables of registers, declarations of fields) is left out: each of its mutants
 * would need a run of everything.
 */
export default {
  testRunner: 'vitest',
  vitest: { configFile: 'vitest.mutation.config.ts', related: false },
  mutate: ['src/gic/**/*.ts', 'src/hyp/**/*.ts'],
  coverageAnalysis: 'perTest',
  ignoreStatic: true,
  concurrency: 2,
  incremental: true,
  incrementalFile: 'reports/mutation/incremental.json',
  reporters: ['progress-append-only', 'clear-text', 'json'],
  jsonReporter: { fileName: 'reports/mutation/mutation.json' },
  clearTextReporter: { allowColor: false, reportTests: false, logTests: false },
  ignorePatterns: ['dist', 'build', 'coverage', 'docs/api', 'reports'],
  tempDirName: '.stryker-tmp',
  // Beyond what the tests of a mutant took without it, and half of that again: mutants that loop cost most of the time.
  timeoutMS: 15_000,
}
