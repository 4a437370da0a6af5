/** A thread's way to where it parks: in its guest, asleep, at the head of its loop, without a PE, ended. */
import type { ScenarioMachine } from 'vgic/scenario'
import { VCPU_NOTIFIER, VCPU_PC, VCPU_PE, type Vcpu } from '../../src/hyp/records/vcpu.ts'
import { TABLE_SHIFT } from '../../src/hyp/run/program.ts'
import type { RunLoop } from '../../src/hyp/run/run-loop.ts'
import { STEP_POLL_AGAIN } from '../../src/hyp/run/step-numbers.ts'
import { THREAD_POLLS, THREAD_STEPS, THREAD_WAITS_FOR_VCPUS } from '../../src/hyp/run/thread-states.ts'

/** Takes single steps of a thread up to where it parks: what `run` promises, said another way. */
export function stepToPark({ hypervisor }: ScenarioMachine, v: Vcpu): number {
  const { words, runLoop } = hypervisor
  while (words[v + VCPU_NOTIFIER] !== 0) runLoop.step(v)
  // One that has got its PE back may still have to wait for whoever stops the VM.
  const state = runLoop.threadState(v)
  if (words[v + VCPU_PE] === 0 || state === THREAD_WAITS_FOR_VCPUS) return state
  do {
    const pc = words[v + VCPU_PC]
    runLoop.step(v)
    if (words[v + VCPU_PC] < pc && isAtLook(runLoop, words[v + VCPU_PC])) return THREAD_POLLS
  } while (
    runLoop.threadState(v) === THREAD_STEPS &&
    (words[v + VCPU_NOTIFIER] !== 0 || words[v + VCPU_PC] !== runLoop.head)
  )
  return runLoop.threadState(v)
}

/** Whether a look of halt polling is next: a loop goes back there after one in vain. */
const isAtLook = ({ table }: RunLoop, pc: number): boolean => table[pc << TABLE_SHIFT] === STEP_POLL_AGAIN

export const runToPark = ({ hypervisor }: ScenarioMachine, v: Vcpu): number => hypervisor.runLoop.run(v)
