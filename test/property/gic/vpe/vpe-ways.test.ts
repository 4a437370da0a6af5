/**
 * GICv4.1: two ways to one state. Devices send, clear, move and configure vLPIs and vSGIs of vPEs that stay on their
 * redistributor and are never resident; and they do the same to vPEs that a hypervisor makes resident, moves, unmaps and
 * maps again, and saves and restores into another machine, whenever it likes. In the end both have the same interrupts
 * pending, for the same vPE and in the same order (rules 31, 33, 39, 52, 65, 81, 82, 85, 107, 120 to 128, 132, 135), and so
 * has a model of a few lines.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { NONE, place, VpeBoard, VpeRam } from '../../../kit/vpe-board.ts'

const VLPI = 8192
const VPES = [1, 2, 3]
const EVENTS = 6
const SGIS = [0, 3, 15]
/** Each event is known to one ITS. */
const itsOf = (event: number): number => event & 1
const ITSS = [{ base: 0 }, { base: 0 }]

interface Sent {
  readonly k: string
  readonly vpe: number
  readonly event: number
  readonly sgi: number
  readonly its: number
  readonly enabled: boolean
  readonly group: 0 | 1
  readonly priority: number
}
interface Way {
  readonly k: string
  readonly vpe: number
  readonly cpu: number
  readonly groups: readonly (0 | 1)[]
}
type Step = Sent | Way
const isSent = (step: Step): step is Sent => 'event' in step

const vpe = fc.constantFrom(...VPES)
const priority = fc.constantFrom(0x20, 0x80, 0x80, 0xa0, 0xf0)
const sent = (...kinds: string[]): fc.Arbitrary<Sent> =>
  fc.record({
    k: fc.constantFrom(...kinds),
    vpe,
    event: fc.nat(EVENTS - 1),
    sgi: fc.constantFrom(...SGIS),
    its: fc.nat(1),
    enabled: fc.boolean(),
    group: fc.constantFrom<0 | 1>(0, 1),
    priority,
  })
const way = (...kinds: string[]): fc.Arbitrary<Way> =>
  fc.record({
    k: fc.constantFrom(...kinds),
    vpe,
    cpu: fc.nat(1),
    groups: fc.constantFrom<readonly (0 | 1)[]>([0, 1], [0, 1], [1], [0], []),
  })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: sent('int', 'msi', 'sgi', 'sgi') },
  { weight: 2, arbitrary: sent('clear', 'clearSgi', 'vmovi') },
  { weight: 3, arbitrary: sent('vsgi', 'inv', 'vinvall', 'invlpir', 'invallr') },
  { weight: 6, arbitrary: way('load', 'load', 'put') },
  { weight: 3, arbitrary: way('complete') },
  { weight: 2, arbitrary: way('vmovp', 'remap', 'query') },
  { weight: 1, arbitrary: way('transplant', 'snapshot') },
)

interface Sgi {
  readonly enabled: boolean
  readonly group: 0 | 1
  readonly priority: number
}
const OFF: Sgi = { enabled: false, group: 0, priority: 0 }

/** What a few lines say of the vPEs. */
class Model {
  readonly pending = new Map(VPES.map((id) => [id, new Set<number>()]))
  readonly targets = Array.from({ length: EVENTS }, (_, n) => VPES[n % VPES.length])

  of(id: number): Set<number> {
    return this.pending.get(id) ?? new Set()
  }

  do({ k, vpe: id, event, sgi }: Sent): void {
    const vlpi = VLPI + event
    const target = this.targets[event]
    if (k === 'int' || k === 'msi') this.of(target).add(vlpi)
    else if (k === 'sgi') this.of(id).add(sgi)
    else if (k === 'clear') this.of(target).delete(vlpi)
    else if (k === 'clearSgi') this.of(id).delete(sgi)
    else if (k === 'vmovi') {
      this.targets[event] = id
      if (this.of(target).delete(vlpi)) this.of(id).add(vlpi)
    }
  }

  sgis(id: number): number {
    return SGIS.reduce((bits, sgi) => bits | (this.of(id).has(sgi) ? 1 << sgi : 0), 0)
  }
}

/** A machine, and what its driver knows. */
class Machine {
  board: VpeBoard
  readonly homes = new Map(VPES.map((id) => [id, id & 1]))
  private readonly phases = new Map(
    VPES.map((id) => [id, 'away' as 'away' | 'entering' | 'resident' | 'leaving']),
  )
  private readonly sgis = new Map(VPES.map((id) => [id, SGIS.map((): Sgi => OFF)]))
  /** Of each vLPI of each vPE, which its configuration table has. */
  private readonly targets = Array.from({ length: EVENTS }, (_, n) => VPES[n % VPES.length])

  constructor(private readonly lagging: boolean) {
    this.board = this.booted(new VpeRam())
    for (const id of VPES) {
      this.mapVpe(id, true)
      for (let n = 0; n < EVENTS; n++) this.board.configure(id, VLPI + n)
    }
    this.mapEvents()
  }

  private booted(ram: VpeRam): VpeBoard {
    const writeEffects = this.lagging ? 'lagging' : 'at-once'
    return new VpeBoard({ writeEffects, lpis: 1024, its: ITSS }, ram).booted()
  }

  private home(id: number): number {
    return this.homes.get(id) ?? 0
  }

  private mapVpe(id: number, ptz: boolean): void {
    this.board.mapVpe(id, this.home(id), { ptz }).mapVpe(id, this.home(id), { its: 1, alloc: false })
    this.settle()
  }

  private mapEvents(): void {
    for (const [n, id] of this.targets.entries())
      this.board.send(
        itsOf(n),
        0x2an | (1n << 32n),
        (BigInt(id) << 32n) | BigInt(n),
        (1023n << 32n) | BigInt(VLPI + n),
      )
    this.settle()
  }

  /** Commands are carried out and messages translated; what the hypervisor has begun with VPENDBASER may go on. */
  private settle(): void {
    const { gic } = this.board
    for (;;) {
      const effect = gic.effects().find((name) => !name.includes('VPENDBASER'))
      if (effect === undefined) return
      gic.complete(effect)
    }
  }

  send(s: Sent): void {
    const { board } = this
    const at = itsOf(s.event)
    const vlpi = VLPI + s.event
    const id = this.targets[s.event]
    switch (s.k) {
      case 'int':
        board.int(s.event, at)
        break
      case 'msi':
        board.gic.sendMsi(1, s.event, at)
        break
      case 'sgi':
        board.sendSgi(s.vpe, s.sgi, s.its)
        break
      case 'clear':
        board.clear(s.event, at)
        break
      case 'clearSgi':
        board.clearSgi(s.vpe, s.sgi)
        break
      case 'vmovi':
        board.vmovi(s.event, s.vpe, undefined, at)
        this.targets[s.event] = s.vpe
        break
      case 'vsgi': {
        const known = this.sgis.get(s.vpe) ?? []
        known[SGIS.indexOf(s.sgi)] = s
        board.configureSgi(s.vpe, s.sgi, s, s.its)
        break
      }
      default:
        board.configure(id, vlpi, s.priority, s.enabled)
        if (s.k === 'inv') board.inv(s.event, at)
        else if (s.k === 'vinvall') board.vinvall(id, s.its)
        else if (s.k === 'invlpir') board.invlpir(this.home(id), id, vlpi)
        else board.invallr(this.home(id), id)
    }
    this.settle()
  }

  /** What the hypervisor does, if it may. */
  go({ k, vpe: id, cpu, groups }: Way, model: Model): void {
    const { board } = this
    const phase = this.phases.get(id)
    if (k === 'complete') this.complete(cpu)
    else if (k === 'snapshot') board.gic.restore(board.gic.snapshot())
    else if (k === 'query') {
      board.gic.writeMmio(board.vlpi(this.home(id), 0x80), 4, id)
      this.settle()
      expect(board.gic.readMmio(board.vlpi(this.home(id), 0x88), 4)).toBe(model.sgis(id))
    } else if (k === 'transplant') this.transplant(model)
    else if (k === 'put' && phase === 'resident') {
      board.startPut(this.home(id))
      this.phases.set(id, 'leaving')
      if (!this.lagging) this.complete(this.home(id))
    } else if (phase !== 'away') return
    else if (k === 'load' && this.on(this.home(id)) === undefined) {
      board.startLoad(id, this.home(id), groups)
      this.phases.set(id, 'entering')
      if (!this.lagging) this.complete(this.home(id))
    } else if (k === 'vmovp') {
      board.vmovp(id, cpu, { its: cpu })
      this.homes.set(id, cpu)
      this.settle()
    } else if (k === 'remap') {
      this.unmap(id, model)
      this.homes.set(id, cpu)
      this.mapVpe(id, false)
    }
  }

  private on(cpu: number): number | undefined {
    return VPES.find((id) => this.home(id) === cpu && this.phases.get(id) !== 'away')
  }

  private complete(cpu: number): void {
    const id = this.on(cpu)
    if (id === undefined) return
    if (this.lagging) {
      const effect = this.board.gic.effects().find((name) => name.includes(`VPENDBASER[${cpu}]`))
      if (effect !== undefined) this.board.gic.complete(effect)
    }
    expect(this.board.isDirty(cpu)).toBe(false)
    const phase = this.phases.get(id)
    if (phase === 'entering') this.phases.set(id, 'resident')
    else if (phase === 'leaving') this.phases.set(id, 'away')
  }

  allAway(): void {
    for (const cpu of [0, 1])
      for (let id = this.on(cpu); id !== undefined; id = this.on(cpu)) {
        if (this.phases.get(id) === 'resident') this.go({ k: 'put', vpe: id, cpu, groups: [] }, new Model())
        this.complete(cpu)
      }
  }

  /** VMAPP with V = 0, after which the table has what is pending. */
  private unmap(id: number, model: Model): void {
    this.board.unmapVpe(id, { its: 1, alloc: false }).unmapVpe(id)
    this.settle()
    for (let n = 0; n < EVENTS; n++)
      expect([id, n, this.board.inTable(id, VLPI + n)]).toEqual([id, n, model.of(id).has(VLPI + n)])
  }

  /**
   * KVM's save and restore: what vSGIs are pending is asked, the vPEs are unmapped, and another machine with the same memory
   * maps them with PTZ = 0, configures the vSGIs and sends again those that were pending.
   */
  private transplant(model: Model): void {
    this.allAway()
    const pending = VPES.map((id) => this.board.pendingSgis(id, this.home(id)))
    for (const id of VPES) this.unmap(id, model)
    for (const its of [0, 1]) this.board.gic.writeMmio(this.board.gits(0, its), 4, 0)
    expect(this.problems()).toEqual([])
    const ram = new VpeRam()
    ram.words = new Map(this.board.ram.words)
    for (const its of [0, 1]) for (let n = 0; n < 0x1000; n += 4) ram.write32(place.itt(its, 1) + n, 0)
    this.board = this.booted(ram)
    for (const [i, id] of VPES.entries()) {
      this.mapVpe(id, false)
      for (const [j, known] of (this.sgis.get(id) ?? []).entries()) {
        if (known !== OFF) this.board.configureSgi(id, SGIS[j], known)
        this.settle()
        if ((pending[i] >>> SGIS[j]) & 1) this.board.sendSgi(id, SGIS[j])
      }
    }
    this.mapEvents()
  }

  /** What a vPE takes when all is enabled, of each group with the priorities in which it comes; and GICR_VSGIPENDR. */
  taken(id: number): unknown {
    const { board } = this
    this.allAway()
    const cpu = this.home(id)
    const sgis = board.pendingSgis(id, cpu)
    board.load(id, cpu)
    const enabled = [0, 1].map((group) => this.drain(cpu, group as 0 | 1))
    this.board.leave(cpu)
    for (let n = 0; n < EVENTS; n++) board.configure(id, VLPI + n, 0xa0)
    for (const sgi of SGIS) board.configureSgi(id, sgi)
    board.vinvall(id).wait().load(id, cpu)
    const others = this.drain(cpu, 1)
    board.leave(cpu)
    return { sgis, enabled, others }
  }

  private drain(cpu: number, group: 0 | 1): string[] {
    const taken: string[] = []
    for (let intid = this.board.ack(cpu, group); intid !== NONE; intid = this.board.ack(cpu, group)) {
      taken.push(`${intid} at 0x${this.board.running(cpu).toString(16)}`)
      this.board.eoi(intid, cpu, group)
    }
    return taken
  }

  problems(): string[] {
    return [...this.board.errors(), ...this.board.unpredictable()]
  }
}

/** The INTIDs in what was taken, in their order. */
const intidsOf = (taken: unknown): number[] =>
  [...JSON.stringify(taken).matchAll(/"(\d+) at/g)].map(([, intid]) => Number(intid)).sort((a, b) => a - b)

describe.each([
  ['at once', false],
  ['when the hypervisor waits for it', true],
] as const)('vPEs whose residency changes %s', (_, lagging) => {
  it('have what they would have had if they had never been resident, moved, unmapped or saved', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const [busy, quiet] = [new Machine(lagging), new Machine(false)]
        const model = new Model()
        for (const each of steps) {
          if (!isSent(each)) {
            busy.go(each, model)
            continue
          }
          model.do(each)
          for (const machine of [busy, quiet]) machine.send(each)
        }
        for (const id of VPES) {
          const taken = quiet.taken(id)
          expect([id, busy.taken(id)]).toEqual([id, taken])
          expect([id, intidsOf(taken)]).toEqual([id, [...model.of(id)].sort((a, b) => a - b)])
        }
        expect([busy.problems(), quiet.problems()]).toEqual([[], []])
      }),
      { numRuns: lagging ? 150 : 100 },
    )
  })
})
