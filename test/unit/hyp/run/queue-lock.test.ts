/** A vCPU that writes a register of an ITS waits while another one carries out commands of its queue: cmd_lock. */
import { type Design, designs, kvm61, kvm72 } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { RandomNumbers } from '../../../../src/explore/random-numbers.ts'
import { ITS_QUEUE_LOCK } from '../../../../src/hyp/records/its-record.ts'
import { commanding } from '../../../kit/commanding.ts'

const kernels: readonly (readonly [string, Design])[] = [
  ['fixed', designs.wfiFlag],
  ['kvm61', kvm61(designs.wfiFlag)],
  ['kvm72', kvm72(designs.wfiFullPut)],
]

describe('the lock of a queue', () => {
  it.each(kernels)('is not taken from the vCPU that has it, in %s', (_name, design) => {
    const numbers = new RandomNumbers(1)
    let changes = 0
    for (let walk = 0; walk < 20; walk++) {
      const machine = commanding().design(design).machine().internals
      const { words, mmio } = machine.hypervisor
      const lock = mmio.dist.its.recordOf(0) + ITS_QUEUE_LOCK
      for (let step = 0; step < 3000; step++) {
        const ready = machine.actors.filter((actor) => machine.stateOf(actor) === 'ready')
        if (ready.length === 0) break
        const owner = words[lock]
        machine.step(ready[numbers.below(ready.length)])
        if (words[lock] === owner) continue
        changes++
        expect(Math.min(owner, words[lock])).toBe(0)
      }
    }
    expect(changes).toBeGreaterThan(100)
  })
})
