/** A run as text: what a person reads of it. */
import { ICC_PMR_EL1 } from 'vgic'
import { type Run, type Scenario, scenario } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { timeline } from '../../../src/scenario/timeline.ts'

/** An edge that waits at the first entry, taken by a guest that then ends. */
const small = (): Scenario =>
  scenario('small')
    .gic({ listRegisters: 2 })
    .spi({ intid: 40, priority: 0x80 })
    .guest(0, (guest) => guest.onIrq((handler) => handler.ack().eoi()).unmask())
    .device('uart', (device) => device.at(0).pulse(40))

const lines = (run: Run): string[] => run.timeline().split('\n')

describe('a timeline', () => {
  it('shows steps, accesses and list registers', () => {
    expect(small().run().timeline()).toMatchInlineSnapshot(`
      " time  actor  place  step
          0  uart          pulses SPI 40 · postRequest · kick
          3  vcpu0  load   preemptOff · load
                           -> ICH_VMCR_EL2    VPMR=0xf0 VBPR0=2 VBPR1=3 VENG1 VENG0
                           <- ICH_VTR_EL2     PRIbits=4 PREbits=4 IDbits=1 A3V nV4 TDS ListRegs=1
                           -> ICH_AP0R0_EL2   0
                           -> ICH_AP1R0_EL2   0
          5  vcpu0  load   trapDir
                           -> ICH_HCR_EL2     TDIR
          6  vcpu0  load   timerLoad · preemptOn
          8  vcpu0         signalPending? no
          9  vcpu0  entry  handleRequests · preemptOff · irqOff · flush
                           -> ICH_HCR_EL2     TDIR En
                           -> ICH_LR0_EL2     pending SPI 40 prio 0x80 group 1
         13  vcpu0  entry  publishInGuest · requestPending? no
         15  vcpu0         enters the guest
         16  vcpu0  guest  unmask irq fiq
         17  vcpu0  guest  takes a virtual IRQ
         18  vcpu0  guest  ack: ICC_IAR1_EL1 = SPI 40
                              LR0             pending => active  (SPI 40 prio 0x80 group 1)
         19  vcpu0  guest  eoi: ICC_EOIR1_EL1
                              LR0             active => invalid  (SPI 40 prio 0x80 group 1)
         20  vcpu0  guest  eret
         21  vcpu0  guest  (the guest is done) -> exit (off)
         22  vcpu0  exit   publishOutside · fold
                           <- ICH_ELRSR_EL2   Status=3
                           -> ICH_HCR_EL2     TDIR
                           -> ICH_LR0_EL2     empty
         24  vcpu0  exit   timerSync · irqOn · preemptOn
         27  vcpu0         exitReason? off
         28  vcpu0  off    preemptOff · put
                           <- ICH_VMCR_EL2    VPMR=0xf0 VBPR0=2 VBPR1=3 VENG1 VENG0
                           <- ICH_VTR_EL2     PRIbits=4 PREbits=4 IDbits=1 A3V nV4 TDS ListRegs=1
                           <- ICH_AP0R0_EL2   0
                           <- ICH_AP1R0_EL2   0
         30  vcpu0  off    stop"
    `)
  })

  it('begins with the names of its columns', () => {
    const [header] = lines(small().run())
    expect(header.trim().split(/\s+/)).toEqual(['time', 'actor', 'place', 'step'])
  })

  it('keeps its columns in place, however long an actor’s name or a place is', () => {
    const run = small()
      .device('a device with a long name', (device) => device.at(3).pulse(40))
      .guest(0, (guest) => guest.wfi().unmask())
      .run()
    const [header, ...rows] = lines(run)
    const column = (name: string): number => header.indexOf(name)
    for (const row of rows.filter((line) => /^ *\d/.test(line))) {
      expect(row.slice(0, column('actor'))).toMatch(/^ *\d+ {2}$/)
      const actor = row.slice(column('actor'), column('place')).trimEnd()
      expect(['vcpu0', 'uart', 'a device with a long name']).toContain(actor)
      expect(row[column('place') - 1]).toBe(' ')
      expect(row[column('step') - 1]).toBe(' ')
      expect(row[column('step')]).not.toBe(' ')
    }
  })

  it('has no space at the end of a line', () => {
    for (const line of lines(small().run())) expect(line).toBe(line.trimEnd())
  })

  it('has every step of the run: those of a line are joined by a dot', () => {
    const run = small().run()
    const told = lines(run)
      .filter((line) => /^ *\d/.test(line))
      .flatMap((line) => line.split(' · '))
    expect(told).toHaveLength(run.events.length)
    for (const [i, { what }] of run.events.entries()) expect(told[i].endsWith(what)).toBe(true)
  })

  it('shows the time at which the first step of a line was taken', () => {
    const run = small().run()
    const times = lines(run)
      .filter((line) => /^ *\d/.test(line))
      .map((line) => Number(line.slice(0, 5)))
    expect(times).toEqual([...times].sort((a, b) => a - b))
    for (const time of times) expect(run.events.map((event) => event.time)).toContain(time)
  })

  it('gives every operation of the guest a line', () => {
    const run = scenario('guest')
      .guest(0, (guest) => guest.loop(3, (list) => list.read(ICC_PMR_EL1)))
      .run()
    expect(lines(run).filter((line) => line.includes('read ICC_PMR_EL1'))).toHaveLength(3)
    expect(lines(run).filter((line) => line.includes('loop 3 times'))).toHaveLength(3)
  })

  it('decodes list registers: state, interrupt, priority, group, EOI request', () => {
    const text = scenario('contents')
      .spi({ intid: 40, trigger: 'level', priority: 0x48 })
      .spi({ intid: 41, group: 0 })
      .guest(0, (guest) => guest.ack().quiesce(40).eoi())
      .device('board', (device) => device.at(0).raise(40).at(0).pulse(41))
      .run()
      .timeline()
    expect(text).toContain('-> ICH_LR0_EL2     pending SPI 40 prio 0x48 group 1 EOI')
    expect(text).toContain('-> ICH_LR1_EL2     pending SPI 41 prio 0xa0 group 0')
    expect(text).toContain('LR0             pending => active  (SPI 40 prio 0x48 group 1 EOI)')
    expect(text).toContain('LR0             active => invalid  (SPI 40 prio 0x48 group 1 EOI)')
    expect(text).toContain('<- ICH_LR0_EL2     invalid SPI 40 prio 0x48 group 1 EOI')
    expect(text).toContain('-> ICH_LR0_EL2     empty')
  })

  it('decodes the other registers by their fields', () => {
    const text = scenario('VMCR')
      .cpuInterface(0, { priorityMask: 0x80, groups: [1] })
      .run()
      .timeline()
    expect(text).toMatch(/-> ICH_VMCR_EL2 {4}VPMR=0x80 .*VENG1/)
    expect(text).not.toContain('VENG0')
  })

  it('tells which interrupt the guest acknowledged, and when it was none', () => {
    const text = scenario('acknowledge')
      .guest(0, (guest) =>
        guest
          .sgi({ intid: 3, vcpus: [0] })
          .ack()
          .ack(0),
      )
      .run()
      .timeline()
    expect(text).toContain('ack: ICC_IAR1_EL1 = SGI 3')
    expect(text).toContain('ack: ICC_IAR0_EL1 = special 1023')
  })

  it('is the same for two runs of one scenario', () => {
    const s = small()
    expect(s.run().timeline()).toBe(s.run().timeline())
  })

  it('of a run of one step has one', () => {
    const run = small().run({ steps: 1 })
    expect(lines(run)).toEqual([' time  actor  place  step', '    0  uart          pulses SPI 40'])
  })

  it('tells the three steps of an injection on one line', () => {
    const run = small().run({ steps: 3 })
    expect(lines(run).slice(1)).toEqual(['    0  uart          pulses SPI 40 · postRequest · kick'])
  })
})

describe('a timeline of nothing', () => {
  it('has its header', () => {
    expect(timeline([])).toBe(' time  actor  place  step')
  })
})

describe('the events behind it', () => {
  it('count the time in steps, from 0', () => {
    const { events, machine } = small().run()
    expect(events.map(({ time }) => time)).toEqual(events.map((_, i) => i))
    expect(machine.time).toBe(events.length)
  })

  it('of a vCPU that does nothing are its load, one entry and exit, and its put', () => {
    const run = scenario('nothing').run()
    const places = run.events.map(({ place }) => place).filter((place, i, all) => place !== all[i - 1])
    expect(places).toEqual(['load', '', 'entry', '', 'guest', 'exit', '', 'off'])
    expect(run.end).toBe('done')
  })

  it('have as many accesses as the counts say', () => {
    const run = small().run()
    const accesses = run.events.flatMap((event) => event.accesses)
    const total = (count: 'sysregReads' | 'sysregWrites'): number =>
      run.cost().reduce((sum, row) => sum + row[count], 0)
    expect(accesses.filter(({ direction }) => direction === 'read')).toHaveLength(total('sysregReads'))
    expect(accesses.filter(({ direction }) => direction === 'write')).toHaveLength(total('sysregWrites'))
    expect(accesses.length).toBeGreaterThan(10)
  })

  it('tell a redistributor’s register by its name and address, and as many as the counts say', () => {
    const run = scenario('timers')
      .vm({ vcpus: 1, timers: true })
      .guest(0, (guest) => guest.timer(500).wfi())
      .run()
    const mmio = run.events.flatMap(({ accesses }) => accesses).filter(({ kind }) => kind === 'mmio')
    const frame = 0x080a_0000 + 0x1_0000
    expect(new Set(mmio.map(({ name, register }) => `${name} ${(register - frame).toString(16)}`))).toEqual(
      new Set(['GICR_ICACTIVER0 380', 'GICR_ISACTIVER0 300']),
    )
    const total = (count: 'mmioReads' | 'mmioWrites'): number =>
      run.cost().reduce((sum, row) => sum + row[count], 0)
    expect(mmio.filter(({ direction }) => direction === 'read')).toHaveLength(total('mmioReads'))
    expect(mmio.filter(({ direction }) => direction === 'write')).toHaveLength(total('mmioWrites'))
    expect(run.timeline()).toContain('-> GICR_ISACTIVER0 0x8000000')
  })
})
