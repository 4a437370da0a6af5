/** Pictures of a run: what other tools open has in it what the run did. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { explore, replay } from 'vgic/explore'
import { type Run, scenario, type TraceEvent, toMermaid, toPerfetto, toSvg, toVcd } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { pictureFiles } from '../../../tools/pictures.ts'
import makeStale, { bounds } from '../../fixtures/stale-shadow.mjs'
import { vlpiScenario } from '../../kit/direct.ts'
import { droppedByPerfetto, readByDevTools } from '../../kit/trace-readers.ts'

/** What vcd-parser makes of a dump. */
interface Dump {
  readonly timescale: string
  readonly endtime: string
  readonly signal: readonly {
    readonly name: string
    readonly size: number
    readonly wave: readonly (readonly [time: string, value: string])[]
  }[]
}
const vcd = createRequire(import.meta.url)('vcd-parser') as { parse(text: string): Promise<Dump> }

/** Two vCPUs on two PEs; one interrupts the other, and a device both. */
const busy = (): Run =>
  scenario('busy')
    .gic({ cpus: 2, listRegisters: 2 })
    .vm({ vcpus: 2, spis: 2 })
    .spi({ intid: 32 })
    .spi({ intid: 33, priority: 0x40, trigger: 'level' })
    .guest(0, (g) =>
      g
        .onIrq((h) => h.ack().eoi())
        .unmask()
        .wfi()
        .wfi(),
    )
    .guest(1, (g) => g.sgi({ intid: 1, vcpus: [0] }).hvc())
    .device('nic', (d) => d.at(40).pulse(32))
    .device('disk; #1', (d) => d.at(60).raise(33).at(80).lower(33))
    .run()

function broken() {
  const { violation } = explore(makeStale(), bounds)
  if (!violation) throw new Error('the design is good')
  return { violation, run: replay(makeStale(), violation.schedule) }
}

const accessesOf = (run: Run) => run.events.flatMap(({ accesses }) => accesses)

describe('trace events', () => {
  const run = busy()
  const { traceEvents } = toPerfetto(run)
  const slices = traceEvents.filter(({ ph }) => ph === 'X')
  const named = (name: string): TraceEvent[] => traceEvents.filter((event) => event.name === name)

  it('are what the format says: numbers, known phases, and a name for each track', () => {
    expect(JSON.parse(JSON.stringify(toPerfetto(run)))).toEqual(toPerfetto(run))
    const tracks = new Set(named('thread_name').map(({ pid, tid }) => `${pid}.${tid}`))
    for (const { ph, pid, tid, ts, dur, name } of traceEvents) {
      expect(['M', 'X', 'i']).toContain(ph)
      expect([pid, tid, ts].every(Number.isInteger) && name !== '').toBe(true)
      if (ph === 'X') expect(Number(dur) > 0 && tracks.has(`${pid}.${tid}`)).toBe(true)
    }
  })

  it('have a track number of their own in each group, by which alone trace_processor names threads', () => {
    const tids = named('thread_name').map(({ tid }) => tid)
    expect(new Set(tids).size).toBe(tids.length)
    expect(tids).not.toContain(0)
  })

  it('are all kept by trace_processor, however many accesses a step has', () => {
    expect(droppedByPerfetto(traceEvents)).toEqual([])
    // With 7 bits of preemption a load writes eight registers of active priorities: ten accesses. A tenth of a step at
    // time 129 was rounded down to end after the next one begins.
    const loads = scenario('wide registers')
      .gic({ priorityBits: 7, preemptionBits: 7 })
      .vm({ vcpus: 1, spis: 1 })
      .spi({ intid: 32 })
      .guest(0, (g) =>
        g
          .onIrq((h) => h.ack().eoi())
          .unmask()
          .wfi(),
      )
      .device('nic', (d) => d.at(113).pulse(32))
      .run()
    expect(loads.events.filter(({ accesses }) => accesses.length === 10).map(({ time }) => time)).toContain(
      129,
    )
    expect(droppedByPerfetto(toPerfetto(loads).traceEvents)).toEqual([])
  })

  it('would be dropped if they overlapped', () => {
    const slice = { ph: 'X', name: 'x', pid: 1, tid: 1 } as const
    const [first, inside, across] = [
      [0, 10],
      [2, 3],
      [8, 3],
    ].map(([ts, dur]) => ({ ...slice, ts, dur }))
    expect(droppedByPerfetto([first, inside, across])).toEqual([across])
    expect(droppedByPerfetto([first, inside, { ...across, tid: 2 }])).toEqual([])
    expect(
      droppedByPerfetto([
        { ...slice, ts: 64.4, dur: 0.2 },
        { ...slice, ts: 64.6, dur: 0.2 },
      ]),
    ).toHaveLength(1)
  })

  it('are read by the trace engine of Chrome DevTools: its threads, with the slices in each, nested', async () => {
    const threads = await readByDevTools(traceEvents)
    expect(threads.map(({ name }) => name)).toEqual(named('thread_name').map(({ args }) => args?.['name']))
    for (const { pid, tid, entries, depth } of threads) {
      const written = slices.filter((slice) => slice.pid === pid && slice.tid === tid)
      expect(entries.map(({ name, ts, dur }) => [ts, name, dur])).toEqual(
        written.map(({ name, ts, dur }) => [ts, name, dur]),
      )
      expect(depth).toBe(written.some(({ cat }) => cat === 'access') ? 2 : 1)
    }
  })

  it('have every step and every access of the run', () => {
    expect(slices.filter(({ cat }) => cat === 'step').map(({ name, ts }) => [ts, name])).toEqual(
      run.events.map(({ time, what }) => [time * 1000, what]),
    )
    const accesses = slices.filter(({ cat }) => cat === 'access')
    expect(accesses.map(({ name }) => name)).toEqual(
      accessesOf(run).map(({ direction, name }) => `${direction} ${name}`),
    )
    expect(accesses.some(({ args }) => String(args?.['value']).startsWith('pending SPI 32'))).toBe(true)
  })

  it('show which vCPU runs on which PE, and when it is in its guest', () => {
    const pes = slices.filter(({ cat }) => cat === 'pe')
    const entries = run.events.filter(({ what }) => what === 'enters the guest')
    const inGuest = pes.filter(({ name }) => name.endsWith('in its guest'))
    expect(inGuest.map(({ ts, name }) => [ts, name]).sort()).toEqual(
      entries.map(({ time, actor }) => [(time + 1) * 1000, `${actor.name} in its guest`]).sort(),
    )
  })

  it('mark the step that violates an invariant', () => {
    const { run: replayed, violation } = broken()
    const marks = toPerfetto(replayed, { violation }).traceEvents.filter(({ ph }) => ph === 'i')
    expect(marks).toMatchObject([
      {
        name: 'violated: stale-shadow (S11)',
        s: 'g',
        ts: replayed.machine.time * 1000,
        args: { what: violation.what },
      },
    ])
  })
})

describe('a value change dump', () => {
  it('is read by another parser, with the lines and list registers as the run had them', async () => {
    const run = busy()
    const { signal, timescale } = await vcd.parse(toVcd(run))
    expect(timescale).toBe('1 ns')
    const wave = (name: string) => signal.find((each) => each.name === `vgic.${name}`)?.wave ?? []
    /** The value at a time: that of the last change until then. */
    const at = (name: string, time: number): number => {
      const last = wave(name)
        .filter(([when]) => Number(when) <= time)
        .at(-1)
      return Number.parseInt(last?.[1] ?? '', 2)
    }
    let acknowledged = 0
    for (const { time, actor, what, listRegisters, acknowledged: intid } of run.events) {
      if (actor.kind !== 'vcpu' || actor.index !== 0) continue
      for (const { number, after } of listRegisters) {
        expect([what, at(`cpu0.lr${number}_state`, time + 1)]).toEqual([what, after[1] >>> 30])
        expect(at(`cpu0.lr${number}_vintid`, time + 1)).toBe(after[0])
      }
      if (what === 'enters the guest') expect(at('cpu0.in_guest', time + 1)).toBe(1)
      if (intid !== undefined && intid < 1020) {
        acknowledged++
        expect(at('cpu0.virq', time)).toBe(1)
      }
    }
    expect(acknowledged).toBeGreaterThan(1)
    expect(wave('irq_SPI_33.line').map(([, value]) => value)).toEqual(['0', '1', '0'])
    expect(signal.some(({ name }) => name.includes('SGI_15'))).toBe(false)
  })

  it('declares each variable once, and has changes in order of time', async () => {
    const text = toVcd(busy())
    const ids = [...text.matchAll(/^\$var \w+ \d+ (\S+) /gm)].map(([, id]) => id)
    expect(new Set(ids).size).toBe(ids.length)
    const times = [...text.matchAll(/^#(\d+)$/gm)].map(([, time]) => Number(time))
    expect(times).toEqual([...new Set(times)].sort((a, b) => a - b))
  })
})

describe('a sequence diagram', () => {
  it('has an arrow for each access, between participants that it declares', () => {
    const run = busy()
    const lines = toMermaid(run).split('\n')
    const ids = lines.flatMap((line) => /^ {2}participant (\w+) as /.exec(line)?.[1] ?? [])
    const arrows = lines.flatMap((line) => {
      const [, from, to] = /^ {2}(\w+)--?>>(\w+): ./.exec(line) ?? []
      return from === undefined ? [] : [[from, to]]
    })
    expect(arrows.flat().every((id) => ids.includes(id))).toBe(true)
    expect(arrows.filter((ends) => ends.includes('silicon'))).toHaveLength(accessesOf(run).length)
    const kinds = /^(sequenceDiagram$| {2}(participant \w+ as |Note over \w+: |\w+--?>>\w+: ))/
    for (const line of lines) expect(line).toMatch(kinds)
  })

  it('has nothing that Mermaid would interpret in its texts', () => {
    const text = toMermaid(busy())
    expect(text).toContain('disk#59; #35;1')
    expect(text.replaceAll(/#\d+;|<br\/>|-?->>/g, '')).not.toMatch(/[#;<>]/)
  })

  it('ends with the violation', () => {
    const { run, violation } = broken()
    expect(toMermaid(run, { violation }).split('\n').at(-1)).toContain(
      'violated stale-shadow (S11): vcpu0 asks',
    )
  })
})

describe('an SVG picture', () => {
  it('is XML whose elements nest, with a box for each step', () => {
    const run = busy()
    const text = toSvg(run)
    const open: string[] = []
    for (const [, closes, name, alone] of text.matchAll(/<(\/?)([a-z]+)(?:[^<>"]|"[^"<>]*")*?(\/?)>/g)) {
      if (closes) expect(open.pop()).toBe(name)
      else if (!alone) open.push(name)
    }
    expect(open).toEqual([])
    expect(text.match(/<rect class="(host|guest|device|environment)"/g)).toHaveLength(run.events.length)
    expect(text).toContain('disk; #1')
  })

  it('marks the step that violates an invariant, and says what is wrong', () => {
    const { run, violation } = broken()
    const text = toSvg(run, { violation })
    expect(text.match(/<rect class="broken"/g)).toHaveLength(1)
    expect(text).toContain(violation.what)
  })
})

describe('a machine with GICv4', () => {
  it.each(['4.0', '4.1'] as const)('shows what is resident where, with GICv%s', async (version) => {
    const run = vlpiScenario(version).run()
    const { traceEvents } = toPerfetto(run)
    const resident = traceEvents.filter(({ cat }) => cat === 'vpe')
    const loads = accessesOf(run).filter(
      ({ name, direction, high }) => name === 'GICR_VPENDBASER' && direction === 'write' && high < 0,
    )
    expect(loads.length).toBeGreaterThan(0)
    expect(resident).toHaveLength(loads.length)
    expect(resident[0].name).toMatch(
      version === '4.1' ? /^vPE \d+ resident$/ : /^vPE at 0x[0-9a-f]+ resident$/,
    )
    const { signal } = await vcd.parse(toVcd(run))
    const residency = signal.find(({ name }) => name === 'vgic.cpu0.vpe_residency')
    expect(residency?.wave.filter(([, value]) => value === '10')).toHaveLength(loads.length)
    expect(toSvg(run)).toContain('cpu0 vPE')
  })

  it('has no track for vPEs without it', () => {
    expect(toPerfetto(busy()).traceEvents.some(({ pid }) => pid === 3)).toBe(false)
    expect(toVcd(busy())).not.toContain('vpe')
  })
})

describe('a picture', () => {
  it('of a part has that part only', () => {
    const run = busy()
    const [from, to] = [40, 60]
    const steps = toPerfetto(run, { from, to }).traceEvents.filter(({ cat }) => cat === 'step')
    expect(steps).toHaveLength(run.eventsIn({ from, to }).length)
    expect(toVcd(run, { from: 1e6 })).toContain('$enddefinitions')
    expect(toMermaid(run, { from: 1e6 })).toContain('participant silicon')
    expect(toSvg(run, { from: 1e6 })).toContain('</svg>')
  })

  it('leaves the run as it was', () => {
    const run = busy()
    const before = run.machine.hash()
    for (const draw of [toMermaid, toPerfetto, toSvg, toVcd]) draw(run)
    expect(run.machine.hash()).toBe(before)
  })

  it.each(pictureFiles().map(({ path, text }) => [path, text]))('of the docs is fresh: %s', (path, text) => {
    expect(readFileSync(path, 'utf8'), 'npm run pages').toBe(text)
  })
})
