/**
 * Recordings of the silicon, replayed in this process: the conformance tests run them in a program of its own,
 * where no mutant is active.
 */
import { describe, expect, it } from 'vitest'
import { replayDrivers } from '../conformance/drivers.ts'
import { replayIch } from '../conformance/ich.ts'
import { replayPhys } from '../conformance/phys.ts'
import { readRecording } from '../conformance/recording.ts'

describe('the recording', () => {
  it.each([['phys', replayPhys] as const, ['ich', replayIch] as const, ['drivers', replayDrivers] as const])(
    '%s passes',
    (name, replay) => {
      const file = `test/fixtures/${name}.jsonl.gz`
      for (const { passed, failures } of replay(file, readRecording(file))) {
        expect(failures).toEqual([])
        expect(passed).toBeGreaterThan(0)
      }
    },
  )
})
