/** I work on KVM, and have an idea for its WFI path. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { decode } from 'vgic'
import { exhibit, explore, exploreAsync, museum, type OwnInvariant, replay } from 'vgic/explore'
import {
  defineDesign,
  designs,
  formatCost,
  halt,
  ownStep,
  toMermaid,
  toPerfetto,
  toSvg,
  toVcd,
} from 'vgic/scenario'
import { ExpectationError, expectHolds } from 'vgic/testing'
import { bounds, noRead, wake } from './designs.ts'

test('the idea saves a register access, and an exploration refutes it', () => {
  const costOf = (design: typeof noRead) =>
    wake(design)
      .run()
      .cost()
      .find(({ exit }) => exit === 'wfi')
  assert.equal(costOf(designs.wfiHandler)?.sysregReads, (costOf(noRead)?.sysregReads ?? 0) + 1)
  assert.match(formatCost(wake(noRead).run().cost()), /^no read before the halt\n/)

  const { verdict, violation, shortest } = explore(wake(noRead), { ...bounds, shortest: true })
  assert.equal(verdict, 'violated')
  assert.equal(shortest, true)
  assert.equal(violation?.name, 'stale-shadow')
  assert.equal(violation.interventions, 1)
})

test('the counterexample replays as a timeline, whose last line says what is broken, and why', () => {
  const { violation } = explore(wake(noRead), { ...bounds, shortest: true })
  assert.ok(violation)
  const run = replay(wake(noRead), violation.schedule)
  assert.equal(run.end, 'violated')
  assert.match(
    run.timeline(),
    /\n\nviolated: stale-shadow \(S11\)\. .* Here: vcpu0 asks with priority mask 0x0/,
  )

  // Just before, the mask in memory is that of the put, and the guest's is in the hardware.
  const before = replay(wake(noRead), violation.schedule, { before: violation.steps - 1 })
  const [vcpu] = before.machine.inspect().vcpus
  const priorityMask = (vmcr = '') => decode('ICH_VMCR_EL2', BigInt(vmcr)).fields['VPMR']
  assert.deepEqual([priorityMask(vcpu?.shadowVmcr), priorityMask(vcpu?.liveVmcr)], [0, 0xf0])
  assert.ok(run.events.some((event) => event.type === 'preempt' && event.vcpu === 0))
})

test('it is drawn for a mail, for Perfetto and for GTKWave, with the step marked', () => {
  const { violation } = explore(wake(noRead), bounds)
  assert.ok(violation)
  const run = replay(wake(noRead), violation)
  assert.match(toSvg(run), /class="broken"/)
  assert.match(toMermaid(run), /^sequenceDiagram\n/)
  assert.match(toVcd(run), /\$enddefinitions/)
  const marks = toPerfetto(run).traceEvents.filter(({ cat }) => cat === 'violation')
  assert.deepEqual(
    marks.map(({ name }) => name),
    ['violated: stale-shadow (S11)'],
  )
})

test('the command finds it, too, and replays its token', () => {
  const vgic = fileURLToPath(new URL('../node_modules/.bin/vgic', import.meta.url))
  const file = fileURLToPath(new URL('designs.js', import.meta.url))
  const found = spawnSync(vgic, ['explore', file, '--shortest'], { encoding: 'utf8' })
  assert.equal(found.status, 1)
  assert.match(found.stdout, /^violated: stale-shadow \(S11\)\..*\n.*\nafter \d+ steps, the fewest/)
  const [, token = ''] = /vgic replay .* '(.+)'/.exec(found.stdout) ?? []
  const timeline = execFileSync(vgic, ['replay', file, token], { encoding: 'utf8' })
  assert.match(timeline, /\nviolated: stale-shadow \(S11\)\./)
})

test('a design with steps of its own holds, which my test suite keeps', async () => {
  const save = ownStep('saveAndCount', (machine, vcpu) => {
    machine.saveVmcr(vcpu)
    machine.set(vcpu, 'saves', machine.get(vcpu, 'saves') + 1)
    return 0
  })
  const counted = defineDesign('saves before each halt', { wfi: [save, halt()], words: ['saves'] })
  const report = await expectHolds(wake(counted), { preemptions: 1, invariants: ['L1', 'L6'] })
  assert.equal(report.verdict, 'holds')
  await assert.rejects(expectHolds(wake(noRead), bounds), (error) => {
    assert.ok(error instanceof ExpectationError)
    assert.match(error.message, /violated: stale-shadow \(S11\)/)
    return true
  })
})

test('an invariant of my own is checked after each step', () => {
  const neverSleeps: OwnInvariant = {
    name: 'never-sleeps',
    says: 'The vCPU never sleeps.',
    check: (machine) =>
      machine.actors.some((actor) => actor.kind === 'vcpu' && machine.stateOf(actor) === 'asleep')
        ? 'it sleeps'
        : undefined,
  }
  const { violation } = explore(wake(designs.wfiFlag), { own: [neverSleeps] })
  assert.deepEqual([violation?.name, violation?.what], ['never-sleeps', 'it sleeps'])
})

test('a long exploration says how far it is, and ends when I abort it', async () => {
  const aborter = new AbortController()
  const seen: number[] = []
  const report = await exploreAsync(wake(designs.wfiFlag), {
    preemptions: 9,
    ticks: 9,
    signal: aborter.signal,
    now: () => performance.now(),
    onProgress: ({ states }) => {
      seen.push(states)
      aborter.abort()
    },
  })
  assert.equal(seen.length, 1)
  assert.deepEqual([report.verdict, report.bound], ['bounded', 'signal'])
  assert.ok(report.covered && report.elapsed !== undefined)
})

test('the museum has the known bug that my idea is like', () => {
  const entry = museum.find(({ invariant }) => invariant === 'S11')
  assert.ok(entry)
  const { bug, good, behaves } = exhibit(entry)
  assert.equal(bug.violation?.invariant, 'S11')
  assert.equal(good.verdict, 'holds')
  assert.equal(behaves, true)
})
