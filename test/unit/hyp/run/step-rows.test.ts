/** A step is a row: its number, the dispatch and what other modules know of it follow.  */
import { designs, kvm61, kvm72, steps } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { compile } from '../../../../src/hyp/run/program.ts'
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

  it('of the museum are in no design and no baseline; those of Linux are in its baselines alone', () => {
    const library = Object.values(designs)
    const stepsOf = (all: typeof library): ReadonlySet<string> =>
      new Set(all.flatMap((design) => compile(design, true).steps.map((step) => step?.name ?? '')))
    const [good, linux] = [stepsOf(library), stepsOf(library.flatMap((each) => [kvm61(each), kvm72(each)]))]
    const inLinux = (of: 'linux' | 'museum'): (string | boolean)[][] =>
      stepRows.flatMap(({ of: whose, step: { name } }) => (whose === of ? [[name, linux.has(name)]] : []))
    expect(stepRows.filter(({ of, step }) => of && good.has(step.name))).toEqual([])
    expect(inLinux('museum').filter(([, is]) => is)).toEqual([])
    expect(inLinux('linux').filter(([, is]) => !is)).toEqual([])
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
