/**
 * Recordings of KVM, replayed in this process: the conformance tests run them in a program of its own, where no
 * mutant is active.
 */
import { describe, expect, it } from 'vitest'
import { replayKvm } from '../conformance/kvm.ts'
import { replayKvmWfi } from '../conformance/kvm-wfi.ts'
import { readRecording } from '../conformance/recording.ts'

describe('the recording', () => {
  it.each([
    ['kvm-wfi', replayKvmWfi] as const,
    ['kvm-lr', replayKvm] as const,
    ['kvm-vgic', replayKvm] as const,
  ])('%s passes', (name, replay) => {
    const file = `test/fixtures/${name}.jsonl.gz`
    for (const { passed, failures } of replay(file, readRecording(file))) {
      expect(failures).toEqual([])
      expect(passed).toBeGreaterThan(0)
    }
  })
})
