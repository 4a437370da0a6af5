/** A step is a row: its number, the dispatch and what other modules know of it follow.  */
import { explore } from 'vgic/explore'
import { type Design, designs, edit, type GuestBuilder, kvm61, kvm72, scenario, steps } from 'vgic/scenario'
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

describe('the rows of an access that the VM is stopped for', () => {
  const ICPENDR1 = 0x0800_0284
  const ICACTIVER1 = 0x0800_0384
  /** What is violated if vCPU 1 makes an access while an edge of SPI 32 may be in a list register of vCPU 0. */
  const violated = (design: Design, access: (guest: GuestBuilder) => unknown): string | undefined =>
    explore(
      scenario('an access to an SPI')
        .gic({ cpus: 2 })
        .vm({ vcpus: 2, spis: 1 })
        .design(design)
        .spi({ intid: 32, trigger: 'edge', vcpu: 0 })
        .guest(0, (guest) => guest.hvc().hvc())
        .guest(1, (guest) => access(guest.hvc()))
        .device('nic', (nic) => nic.raise(32)),
    ).violation?.invariant

  it('say whether it completes the guest’s access: an edge that ICPENDR has cleared is not lost (L3)', () => {
    for (const { step, does, of, endsAccess } of stepRows) {
      const same = stepRows.filter((other) => does !== undefined && other.does === does && other.of === of)
      expect([step.name, same.every((other) => other.endsAccess === endsAccess)]).toEqual([step.name, true])
    }
    const { accessOutside } = steps
    const early = edit(designs.wfiHandler).replace('mmio/accessStopped', accessOutside).design('early')
    expect(violated(early, (guest) => guest.writeMmio(ICPENDR1, 1))).toBe('S10')
  })

  it('say what it needs, in the baselines too: without the stop it is S23', () => {
    const unstopped = (design: Design): Design =>
      edit(design).omit('mmio/stopVcpus').omit('mmio/resumeVcpus').design('unstopped')
    const deactivate = (guest: GuestBuilder): unknown => guest.writeMmio(ICACTIVER1, 1)
    for (const design of [designs.wfiHandler, kvm61(designs.wfiHandler), kvm72(designs.wfiHandler)]) {
      expect([design.name, violated(design, deactivate)]).toEqual([design.name, undefined])
      expect([design.name, violated(unstopped(design), deactivate)]).toEqual([design.name, 'S23'])
    }
  })
})
