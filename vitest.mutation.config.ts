/** The tests that `npm run mutation` runs against each mutant. */
import { defineConfig, mergeConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import base from './vitest.config.ts'

/** The first test that fails ends a run, and most mutants fall to a unit test: the recordings, which take longest, go last. */
class RecordingsLast extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => Number(moduleId.includes('/test/mutation/'))
    return files.sort((a, b) => rank(a) - rank(b) || (a.moduleId < b.moduleId ? -1 : 1))
  }
}

export default mergeConfig(
  base,
  defineConfig({
    test: {
      // Besides the unit tests.
      include: ['test/mutation/**/*.test.ts'],
      // Random properties would make the score random; what runs in a program of its own sees no mutant.
      exclude: ['test/property/**', 'test/unit/conformance/**'],
      sequence: { sequencer: RecordingsLast },
    },
  }),
)
