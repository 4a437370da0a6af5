/**
 * Recordings of the silicon, replayed in this process: the conformance tests run them in a program of its own, where no
 * mutant is active. Each trace is a test.
 */
import { describe, expect, it } from 'vitest'
import { replayDrivers } from '../conformance/drivers.ts'
import { replayIch } from '../conformance/ich.ts'
import { replayIts } from '../conformance/its.ts'
import { replayPhys } from '../conformance/phys.ts'
import { readRecording } from '../conformance/recording.ts'

describe.each([
  ['phys', replayPhys] as const,
  ['ich', replayIch] as const,
  ['its', replayIts] as const,
  ['drivers', replayDrivers] as const,
])('the recording %s', (name, replay) => {
  const file = `test/fixtures/${name}.jsonl.gz`
  it.each(readRecording(file).map((trace) => [trace.line, trace] as const))('line %i passes', (_, trace) => {
    for (const { failures } of replay(file, [trace])) expect(failures).toEqual([])
  })
})
