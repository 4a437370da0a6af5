/**
 * Recordings of KVM, replayed in this process: the conformance tests run them in a program of its own, where no mutant is
 * active. Each trace is a test.
 */
import { describe, expect, it } from 'vitest'
import { replayKvm } from '../conformance/kvm.ts'
import { replayKvmWfi } from '../conformance/kvm-wfi.ts'
import { readRecording } from '../conformance/recording.ts'

describe.each([
  ['kvm-wfi', replayKvmWfi] as const,
  ['kvm-lr', replayKvm] as const,
  ['kvm-vgic', replayKvm] as const,
])('the recording %s', (name, replay) => {
  const file = `test/fixtures/${name}.jsonl.gz`
  it.each(readRecording(file).map((trace) => [trace.line, trace] as const))('line %i passes', (_, trace) => {
    for (const { failures } of replay(file, [trace])) expect(failures).toEqual([])
  })
})
