/** Designs of one's own: defineDesign with own steps and words, and edits, which refuse what does nothing. */
import { VgicError } from 'vgic'
import {
  type Design,
  defineDesign,
  designs,
  edit,
  halt,
  kvm61,
  kvm72,
  type OpList,
  ownStep,
  part,
  type Scenario,
  type Step,
  type StepContext,
  scenario,
  steps,
  when,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { compile } from '../../../../src/hyp/run/program.ts'
import { fire, go, goTo, isReady } from '../../../kit/driving.ts'
import { handle } from '../../../kit/guest-lists.ts'

const paths = (design: Design): string[] => compile(design).paths.slice(1)
const waits = (design: Design): Scenario =>
  scenario('waits')
    .design(design)
    .spi({ intid: 40 })
    .guest(0, (guest) => guest.onIrq(handle).unmask().hvc().wfi())
    .device('uart', (device) => device.pulse(40))

function thrown(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    expect(error).toBeInstanceOf(VgicError)
    if (error instanceof VgicError) {
      expect(error.code).toBe('argument')
      return error.message
    }
  }
  throw new Error('nothing was thrown')
}

describe('defineDesign', () => {
  const count = ownStep('count', (context, vcpu) => {
    context.set(vcpu, 'exits', context.get(vcpu, 'exits') + 1)
    return 0
  })
  const often = ownStep('often?', (context, vcpu) => (context.get(vcpu, 'exits') > 2 ? 1 : 0), ['no', 'yes'])

  it('with a step and a word of one’s own runs as any design', () => {
    const seen: number[] = []
    const look = ownStep('look', (context, vcpu) => {
      seen.push(context.get(vcpu, 'exits'))
      return 0
    })
    const design = defineDesign('counts its exits', {
      wfi: [steps.preemptOff, steps.saveVmcr, steps.preemptOn, halt(), steps.clearUnhalt],
      afterExit: [count],
      beforeEntry: [look],
      words: ['exits'],
    })
    const run = waits(design).run()
    expect(run.acknowledged(0)).toEqual([40])
    expect(run.end).toBe('done')
    expect(seen).toEqual([0, 1, 2])
    expect(run.cost().map(({ design: name }) => name)).toContain('counts its exits')
  })

  it('keeps a word for each vCPU, and in the state', () => {
    const design = defineDesign('words', { wfi: [halt()], afterExit: [count], words: ['unused', 'exits'] })
    const machine = scenario('two')
      .design(design)
      .vm({ vcpus: 2 })
      .guest(0, (guest) => guest.hvc().hvc())
      .machine()
    const fresh = machine.hash()
    const image = machine.snapshot()
    go(machine, 'vcpu0')
    const changed = machine.diff(image).filter(({ name }) => name.includes('own.'))
    expect(changed.map(({ name, after }) => `${name}: ${after}`)).toEqual(['vcpu[0].own.exits: 3'])
    machine.restore(image)
    expect(machine.hash()).toBe(fresh)
  })

  it('with a question of one’s own goes where its answer leads', () => {
    const design = defineDesign('asks', {
      wfi: [halt()],
      afterExit: [count, when(often, part('enough', steps.saveVmcr))],
      words: ['exits'],
    })
    const run = scenario('asks')
      .design(design)
      .guest(0, (guest) => guest.loop(5, (list: OpList) => list.hvc()))
      .run()
    const answers = run.events.filter(({ what }) => what.startsWith('often?')).map(({ what }) => what)
    expect(answers).toEqual(['often? no', 'often? no', ...Array.from({ length: 4 }, () => 'often? yes')])
    expect(run.cost().find(({ exit }) => exit === 'hvc')?.sysregReads).toBe(3)
  })

  it('gives its steps the machine as far as a step may reach it', () => {
    const told: Record<string, unknown>[] = []
    const tell = ownStep('tell', (context: StepContext, vcpu) => {
      told.push({
        loaded: context.loaded(vcpu),
        used: context.usedListRegisters(vcpu),
        vmcr: context.shadowVmcr(vcpu) >>> 24,
        runnable: context.runnable(vcpu),
        checkBlock: context.checkBlock(vcpu),
        elrsr: context.readElrsr(vcpu),
      })
      return 0
    })
    const design = defineDesign('tells', { wfi: [halt()], afterExit: [tell] })
    const run = scenario('tells')
      .design(design)
      .guest(0, (guest) =>
        guest
          .priorityMask(0xb0)
          .sgi({ intid: 1, vcpus: [0] })
          .hvc()
          .ack()
          .hvc(),
      )
      .run()
    const [, pending, active] = told
    expect(told).toHaveLength(4)
    expect(pending).toEqual({
      loaded: true,
      used: 1,
      // The shadow is what the last load had.
      vmcr: 0xf0,
      // What is in list registers is not in the interrupt's word.
      runnable: false,
      checkBlock: false,
      elrsr: 0xe,
    })
    expect(active).toMatchObject({ used: 1, runnable: false, elrsr: 0xe })
    expect(run.end).toBe('done')
  })

  it('refuses a result that the step does not have', () => {
    for (const result of [1, -1, 0.5, Number.NaN]) {
      const wrong = ownStep('wrong', () => result)
      const design = defineDesign('wrong result', { wfi: [halt()], afterExit: [wrong] })
      expect(thrown(() => waits(design).run())).toBe(
        `Step wrong returned ${result}: return the index of one of its outcomes, 0 if it has none.`,
      )
    }
  })

  it('belongs to the machine: an image of one whose step does something else is refused', () => {
    const machineWith = (result: number) => {
      const body = result === 0 ? () => 0 : () => 1
      const step = ownStep('asks?', body, ['no', 'yes'])
      return waits(defineDesign('asks', { wfi: [halt()], afterExit: [step] })).machine()
    }
    const image = machineWith(0).snapshot()
    expect(() => machineWith(0).restore(image)).not.toThrow()
    expect(() => machineWith(1).restore(image)).toThrow(expect.objectContaining({ code: 'image-mismatch' }))
  })

  it('refuses a word that the design does not have', () => {
    const design = defineDesign('no words', { wfi: [halt()], afterExit: [count] })
    expect(thrown(() => waits(design).run())).toBe(
      "The design has no word exits: add it to the design's words.",
    )
  })

  it('can order an injection otherwise', () => {
    const design = defineDesign('kicks first', {
      wfi: [halt()],
      inject: [steps.queueInterrupt, steps.kickVcpu, steps.postRequest],
    })
    const machine = waits(design).machine()
    expect(fire(machine, 'uart').map(({ what }) => what)).toEqual(['pulses SPI 40', 'kick', 'postRequest'])
  })

  it('can do without notifiers of its own', () => {
    const design = defineDesign('bare', { wfi: [halt()] })
    expect(paths(design).filter((path) => path.startsWith('sched'))).toEqual([
      'schedOut/put',
      'schedOut/giveUpCpu',
      'schedIn/load',
      'schedIn/trapDir',
      'schedIn/timerLoad',
      'schedIn/resume',
    ])
    const same = defineDesign('bare', { wfi: [halt()], schedIn: [], schedOut: [] })
    expect(paths(same).filter((path) => path.startsWith('sched'))).toEqual([
      'schedOut/giveUpCpu',
      'schedIn/resume',
    ])
  })
})

describe('an image', () => {
  it('of another design is refused', () => {
    const image = waits(designs.wfiFlag).machine().snapshot()
    expect(() => waits(designs.wfiHandler).machine().restore(image)).toThrow(VgicError)
    expect(() => waits(kvm61(designs.wfiFlag)).machine().restore(image)).toThrow(VgicError)
    const machine = waits(designs.wfiFlag).machine()
    machine.restore(image)
    expect(machine.hash()).toBe(waits(designs.wfiFlag).machine().hash())
  })
})

describe('an edit', () => {
  const design = designs.wfiFlag

  it('omits a step', () => {
    const edited = edit(design).omit('wfi/saveVmcr').design('no sync')
    expect(edited.name).toBe('no sync')
    expect(paths(edited)).toEqual(paths(design).filter((path) => path !== 'wfi/saveVmcr'))
    expect(paths(design)).toContain('wfi/saveVmcr')
  })

  it('swaps two, wherever they are', () => {
    const at = paths(design)
    const edited = paths(edit(design).swap('entry/publishInGuest', 'entry/flush').design())
    const [a, b] = [at.indexOf('entry/flush'), at.indexOf('entry/publishInGuest')]
    expect([edited[a], edited[b]]).toEqual(['entry/publishInGuest', 'entry/flush'])
    expect(edited).toHaveLength(at.length)
  })

  it('replaces a step, and a test by a test', () => {
    const edited = edit(design)
      .replace('wfi/saveVmcr', steps.put)
      .replace('wfe/dyRunnable?', steps.candidateRunnable)
      .design()
    expect(paths(edited)).toContain('wfi/put')
    expect(paths(edited)).toContain('wfe/candidateRunnable?')
    expect(paths(edited)).not.toContain('wfe/dyRunnable?')
  })

  it('puts steps before and after one', () => {
    const mark = ownStep('mark', () => 0)
    const edited = paths(
      edit(design).insertBefore('entry/flush', mark).insertAfter('exit/fold', steps.saveVmcr, mark).design(),
    )
    expect(edited[edited.indexOf('entry/flush') - 1]).toBe('entry/mark')
    const fold = edited.indexOf('exit/fold')
    expect(edited.slice(fold + 1, fold + 3)).toEqual(['exit/saveVmcr', 'exit/mark'])
  })

  it('reaches the scheduler’s lists and the injection', () => {
    const edited = edit(design).omit('schedOut/put').swap('inject/queue', 'inject/kick').design()
    expect(paths(edited).filter((path) => /^(schedOut|inject)/.test(path))).toEqual([
      'schedOut/giveUpCpu',
      'inject/kick',
      'inject/postRequest',
      'inject/queue',
    ])
  })

  it('of all steps of a name', () => {
    expect(
      paths(edit(design).omitAll('trapDir').design()).filter((path) => path.endsWith('trapDir')),
    ).toEqual([])
    const edited = paths(edit(design).replaceAll('fold', steps.foldIgnoringEoiCount).design())
    expect(edited.filter((path) => path.endsWith('/fold'))).toEqual([])
    expect(edited.filter((path) => path.endsWith('foldIgnoringEoiCount'))).toHaveLength(2)
  })

  it('tells steps of one name and place apart by a number', () => {
    const message = thrown(() => edit(design).omit('wfi/preemptOff'))
    expect(message).toBe(
      '2 places of wfi-flag match wfi/preemptOff: say which of wfi/preemptOff#1, wfi/preemptOff#2.',
    )
  })

  it('omits a question of a design that nothing depends on, and no test', () => {
    const asks = ownStep('asks?', () => 0, ['no', 'yes'])
    const asking = edit(design).insertBefore('entry/flush', asks)
    expect(paths(asking.omit('entry/asks?').design('as before'))).toEqual(paths(design))
    expect(thrown(() => edit(design).omit('signalPending?'))).toMatch(/is a test: replace it by one with/)
  })

  it('takes that number in an address, which the first has too', () => {
    const at = paths(design)
    const [first, second] = [at.indexOf('wfi/preemptOff'), at.lastIndexOf('wfi/preemptOff')]
    for (const [address, place] of [
      ['wfi/preemptOff#1', first],
      ['wfi/preemptOff#2', second],
    ] as const) {
      const edited = paths(edit(design).replace(address, steps.clearUnhalt).design())
      expect(edited[place]).toBe('wfi/clearUnhalt')
    }
    expect(paths(edit(design).omit('wfi/saveVmcr#1').design())).not.toContain('wfi/saveVmcr')
    expect(thrown(() => edit(design).omit('wfi/preemptOff#3'))).toBe(
      'wfi-flag has no step wfi/preemptOff#3: there are fewer of that name.',
    )
    expect(thrown(() => edit(design).omit('timerLoad#1'))).toMatch(/^5 places of wfi-flag match timerLoad#1/)
  })

  it('refuses an address that no step has, and says which there are', () => {
    const message = thrown(() => edit(design).omit('disableTheTick'))
    expect(message).toMatch(
      /^wfi-flag has no step disableTheTick: its steps are load\/preemptOff, load\/load, /,
    )
    const addressable = paths(design).filter((path) => !/(giveUpCpu|resume)(#\d+)?$/.test(path))
    for (const path of addressable) expect(message).toContain(path)
  })

  it.each([
    ['wfi/saveVcmr', ': did you mean "wfi/saveVmcr"?'],
    ['savevmcr', ': did you mean "saveVmcr"?'],
    ['runnable', ': did you mean "runnable?"?'],
    [
      'schedIn',
      ', but a part: its steps are schedIn/load, schedIn/trapDir, schedIn/vpeLoadUnlessWaiting, schedIn/timerLoad.',
    ],
  ])('says what was meant by %s', (address, says) => {
    expect(thrown(() => edit(design).omit(address))).toBe(`wfi-flag has no step ${address}${says}`)
  })

  it('refuses a name that no step has, where it is to change all of that name', () => {
    const says = 'wfi-flag has no step saveVmrc: did you mean "saveVmcr"?'
    for (const change of [
      () => edit(design).replaceAll('saveVmrc', steps.put),
      () => edit(design).insertAfterAll('saveVmrc', steps.put),
      () => edit(design).omitAll('saveVmrc'),
    ]) {
      expect(thrown(change)).toBe(says)
    }
  })

  it('takes an address as whole parts of a path', () => {
    expect(thrown(() => edit(design).omit('aveVmcr'))).toContain('has no step aveVmcr')
    expect(thrown(() => edit(design).omit('fi/saveVmcr'))).toContain('has no step fi/saveVmcr')
    expect(thrown(() => edit(design).omit(''))).toContain('has no step')
  })

  it('refuses an address that several steps have, and lists them', () => {
    expect(thrown(() => edit(design).omit('timerLoad'))).toBe(
      '5 places of wfi-flag match timerLoad: say which of load/timerLoad, signal/timerLoad, userspace/timerLoad, mmio/timerLoad, schedIn/timerLoad.',
    )
  })

  it('refuses what changes nothing', () => {
    for (const call of [
      () => edit(design).replace('wfi/saveVmcr', steps.saveVmcr),
      () => edit(design).replaceAll('saveVmcr', steps.saveVmcr),
      () => edit(design).insertAfter('wfi/saveVmcr'),
      () => edit(design).swap('wfi/saveVmcr', 'wfi/saveVmcr'),
      () => edit(design).swap('load/preemptOff', 'entry/preemptOff'),
    ]) {
      expect(thrown(call)).toBe('The edit leaves wfi-flag as it was.')
    }
  })

  it('refuses to replace a test by a step, or by one with other outcomes', () => {
    for (const by of [steps.put, steps.exitReason, ownStep('which?', () => 0, ['a', 'b', 'c'])]) {
      expect(thrown(() => edit(design).replace('wfi/halt/pollAgain?', by))).toBe(
        'wfi/halt/pollAgain? is a test with outcomes no, yes: replace it by a test with as many.',
      )
    }
  })

  it('refuses to omit a test, or to put a step in its place by a swap', () => {
    expect(thrown(() => edit(design).omit('entry/requestPending?'))).toBe(
      'requestPending? is a test: replace it by one with the same outcomes.',
    )
    expect(thrown(() => edit(design).swap('entry/requestPending?', 'entry/flush'))).toContain('is a test')
    expect(thrown(() => edit(design).omitAll('runnable?'))).toContain('is a test')
    expect(thrown(() => edit(design).insertBefore('entry/requestPending?', steps.saveVmcr))).toContain(
      'is a test',
    )
  })

  it('leaves the design that it began with alone, and each stage too', () => {
    const before = paths(design)
    const first = edit(design).omit('wfi/saveVmcr')
    const second = first.omit('suspend/saveVmcr')
    expect(paths(design)).toEqual(before)
    expect(paths(first.design())).toHaveLength(before.length - 1)
    expect(paths(second.design())).toHaveLength(before.length - 2)
  })

  it('of a good design runs with its bug: no last look loses a wake-up', () => {
    const never = ownStep('never?', () => 0, ['no', 'yes'])
    const buggy = edit(designs.wfiFlag).replace('wfi/halt/sleep/runnable?', never).design('no last look')
    const lost = (of: Design): number => {
      const machine = waits(of).machine()
      const start = machine.snapshot()
      const total = go(machine, 'vcpu0').length
      let count = 0
      for (let moment = 0; moment <= total; moment++) {
        machine.restore(start)
        go(machine, 'vcpu0', undefined, moment)
        fire(machine, 'uart')
        const events = go(machine, 'vcpu0', undefined, 500)
        if (!events.some(({ acknowledged }) => acknowledged === 40)) count++
      }
      return count
    }
    expect(lost(buggy)).toBeGreaterThan(0)
    expect(lost(designs.wfiFlag)).toBe(0)
  })
})

describe('a baseline of a design that was edited before', () => {
  const edited = (name: string, by: Step): Design =>
    edit(designs.wfiFlag).replaceAll(name, by).design('edited')

  it.each<readonly [string, string, (design: Design) => Design, Design]>([
    ['executeCommand', 'kvm61', kvm61, edited('executeCommand', steps.executeCommandForAll)],
    ['fold', 'kvm72', kvm72, edited('fold', steps.foldUnheld)],
    ['load/load', 'kvm72', kvm72, edited('load', steps.loadAgain)],
    ['signal/timerLoad', 'kvm72', kvm72, edit(designs.wfiFlag).omit('signal/timerLoad').design('edited')],
  ])('is refused if the baseline edits the step %s that is gone: %s', (name, baseline, apply, design) => {
    expect(() => apply(design)).toThrow(
      new VgicError(
        'argument',
        `${design.name} has no step ${name}, which ${baseline} edits: apply ${baseline} first, and edit what it returns.`,
      ),
    )
  })

  it.each<readonly [string, string, (design: Design) => Design, Design]>([
    ['flushActiveFirst', 'flush', kvm61, kvm61(designs.wfiFlag)],
    ['flushWritingHcr', 'flush', kvm61, kvm72(designs.wfiFlag)],
    ['foldIgnoringEoiCount', 'fold', kvm72, edited('fold', steps.foldIgnoringEoiCount)],
  ])('is refused if it has %s in place of %s', (name, missing, apply, design) => {
    expect(thrown(() => apply(design))).toBe(
      `${design.name} has ${name} in place of ${missing}, as a baseline has it: apply one only, before other edits.`,
    )
  })

  it('is refused if it has a step of its own by the name of one that the baseline edits', () => {
    const own = ownStep('put', () => 0)
    const design = edit(designs.wfiFullPut).insertAfter('exit/fold', own).design('edited')
    for (const [baseline, apply] of Object.entries({ kvm61, kvm72 }))
      expect(thrown(() => apply(design))).toBe(
        `edited has a step put of its own: ${baseline} edits the library's of that name, so call it otherwise.`,
      )
  })

  it('does without the steps that no Linux has', () => {
    const design = edit(designs.wfiFlag).omitAll('timerSync').omitAll('reevaluate').design('edited')
    for (const baseline of [kvm61, kvm72])
      expect(paths(baseline(design))).toEqual(paths(baseline(designs.wfiFlag)))
  })
})

describe('kvm61', () => {
  it.each(Object.entries(designs))('is an edit that every design can have: %s', (_, design) => {
    const old = kvm61(design)
    expect(old.name).toBe(`${design.name} (kvm61)`)
    const names = new Set(paths(old).map((path) => path.split('/').at(-1)))
    for (const gone of ['flush', 'fold', 'trapDir', 'dyRunnable?']) expect(names).not.toContain(gone)
    for (const there of ['flushActiveFirst', 'foldIgnoringEoiCount']) expect(names).toContain(there)
    expect(names.has('candidateRunnable?')).toBe(design !== designs.vmcrOnDemand)
  })

  it('evaluates a candidate that runs, where a good design does not', () => {
    const scan = (design: Design): string[] => {
      const machine = scenario('neighbour')
        .design(design)
        .vm({ vcpus: 2 })
        .spi({ intid: 40, vcpu: 1 })
        .guest(0, (guest) => guest.wfe().wfe().hvc())
        .guest(1, (guest) => guest.wfi())
        .device('uart', (device) => device.pulse(40))
        .machine()
      go(machine, 'vcpu1')
      goTo(machine, 'vcpu0', 'candidateBlocked? yes')
      fire(machine, 'uart')
      expect(isReady(machine, 'vcpu1')).toBe(true)
      const { what } = goTo(
        machine,
        'vcpu0',
        design === designs.wfiFlag ? 'dyRunnable?' : 'candidateRunnable?',
      )[0]
      return [what]
    }
    expect(scan(designs.wfiFlag)).toEqual(['dyRunnable? no'])
    expect(scan(kvm61(designs.wfiFlag))).toEqual(['candidateRunnable? yes'])
  })
})
