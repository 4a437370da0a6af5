/** A step is a row: its number, the dispatch and what other modules know of it follow.  */
import { steps } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { STEP_OWN } from '../../../../src/hyp/run/step.ts'
import { stepRows } from '../../../../src/hyp/run/steps.ts'

describe('the rows of the steps', () => {
  it('have a name and a number of their own each, below those of designs', () => {
    const names = stepRows.map(({ step }) => step.name)
    expect(new Set(names).size).toBe(names.length)
    expect(stepRows.map(({ step }) => step.op)).toEqual(stepRows.map((_, i) => i + 1))
    expect(stepRows.length).toBeLessThan(STEP_OWN)
  })

  it('say who does each: a method, or the injection, message, save or restore of a device', () => {
    const without = stepRows.filter(({ does }) => does === undefined)
    expect(without.map(({ step, stands }) => [step.name, stands])).toEqual([
      ['queue', 'inject'],
      ['queueQuietly', 'inject'],
      ['queueCountedHere', 'inject'],
      ['postRequest', 'inject'],
      ['kick', 'inject'],
      ['translate', 'msi'],
      ['translateUnheld', 'msi'],
      ['dropReference', 'msi'],
      ['decrementReference', 'msi'],
      ['eraseByNumber', 'msi'],
      ['saveInterrupts', 'save'],
      ['saveInterruptsByOffset', 'save'],
      ['saveInterruptsAsGuest', 'save'],
      ['saveTimers', 'save'],
      ['prepareVm', 'restore'],
      ['restoreControl', 'restore'],
      ['restoreRedistributors', 'restore'],
      ['restoreRedistributorsInMemory', 'restore'],
      ['restoreDistributor', 'restore'],
      ['restoreLines', 'restore'],
      ['restoreCpuInterfaces', 'restore'],
      ['restoreItsRegisters', 'restore'],
      ['restoreItsTables', 'restore'],
      ['restoreItsTablesInPlace', 'restore'],
      ['restoreItsTablesTrusting', 'restore'],
      ['restoreItsTablesTargeted', 'restore'],
      ['restoreItsControl', 'restore'],
    ])
  })

  it('are all public but those that are put at the end of notifiers', () => {
    const wanted = stepRows.filter(({ stands }) => stands !== 'end').map(({ step }) => step.name)
    expect(
      Object.values(steps)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(wanted.sort())
  })
})
