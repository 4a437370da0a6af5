/**
 * vPEs against a model of sets: a hypervisor that does all it must does what it does in any order, effects come in any
 * order, and nothing that became pending is lost, comes twice, or comes to another vPE; PendingLast and doorbells tell
 * what they promise.
 */
import fc from 'fast-check'
import { Gic } from 'vgic'
import { describe, expect, it } from 'vitest'
import { NONE, VpeBoard } from '../../../kit/vpe-board.ts'

const VLPI = 8192
const BELL = 9000
const VPES = [1, 2, 3]
const EVENTS = 5
/** SGIs of each vPE that are used. */
const SGIS = [0, 9]

const cpu = fc.nat(1)
const vpe = fc.constantFrom(...VPES)
const event = fc.nat(EVENTS - 1)

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ k: fc.constantFrom('int', 'msi'), event }) },
  { weight: 4, arbitrary: fc.record({ k: fc.constant('sgi'), vpe, sgi: fc.constantFrom(...SGIS) }) },
  { weight: 1, arbitrary: fc.record({ k: fc.constantFrom('clear'), event }) },
  { weight: 1, arbitrary: fc.record({ k: fc.constant('clearSgi'), vpe, sgi: fc.constantFrom(...SGIS) }) },
  { weight: 2, arbitrary: fc.record({ k: fc.constant('vmovi'), event, vpe }) },
  { weight: 2, arbitrary: fc.record({ k: fc.constant('vmovp'), vpe, cpu }) },
  { weight: 6, arbitrary: fc.record({ k: fc.constant('load'), vpe }) },
  { weight: 6, arbitrary: fc.record({ k: fc.constant('put'), cpu, doorbell: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      k: fc.constantFrom('vinvall', 'invlpir', 'invallr'),
      vpe,
      event,
      enabled: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      k: fc.constant('vsgi'),
      vpe,
      sgi: fc.constantFrom(...SGIS),
      enabled: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ k: fc.constant('invdb'), vpe, enabled: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ k: fc.constant('ack'), cpu }) },
  { weight: 3, arbitrary: fc.record({ k: fc.constant('host'), cpu }) },
  { weight: 10, arbitrary: fc.record({ k: fc.constant('complete'), which: fc.nat(7) }) },
  { weight: 1, arbitrary: fc.record({ k: fc.constant('snapshot') }) },
) as fc.Arbitrary<Step>

interface Step {
  readonly k: string
  readonly event: number
  readonly vpe: number
  readonly cpu: number
  readonly sgi: number
  readonly doorbell: boolean
  readonly enabled: boolean
  readonly which: number
}

type Phase = 'away' | 'entering' | 'resident' | 'leaving'
type Bell = 'idle' | 'requested' | 'rung'

/** What there is of a vPE. */
interface Vpe {
  readonly id: number
  readonly pending: Set<number>
  /** Those that are disabled in memory, or by VSGI. */
  readonly disabled: Set<number>
  home: number
  phase: Phase
  bell: Bell
  wantsBell: boolean
  /** The byte of the doorbell. */
  bellEnabled: boolean
  /** INVDBs that are under way. */
  staleBell: number
  /** Invalidations that are under way: until then a byte may be as it was. */
  stale: number
  /** Moves that are. */
  moves: number
}

/** Steps that GICv4.0 has not. */
const ONLY_V41 = new Set(['sgi', 'clearSgi', 'vsgi', 'invlpir', 'invallr', 'invdb'])

class Machine {
  readonly board: VpeBoard
  private readonly vpes: ReadonlyMap<number, Vpe>
  /** By event. */
  private readonly targets: number[]
  /** What the commands in the queue will do. */
  private readonly commands: Array<() => unknown> = []

  /** GICv4.0: doorbells of events, as `CPU INTID`: those under way, and those that are pending. */
  private readonly ringing: string[] = []
  private readonly rung = new Set<string>()

  constructor(
    private readonly version: '4.0' | '4.1',
    private readonly lagging: boolean,
  ) {
    const writeEffects = lagging ? 'lagging' : 'at-once'
    this.board = new VpeBoard({ version, writeEffects, lpis: 1024 }).booted()
    this.targets = Array.from({ length: EVENTS }, (_, n) => VPES[n % VPES.length])
    this.vpes = new Map(VPES.map((id) => [id, this.mapped(id)]))
    for (const [n, id] of this.targets.entries())
      this.board.configureLpi(BELL + n).mapVlpi(n, id, VLPI + n, { doorbell: BELL + n })
    for (const id of VPES) {
      for (let n = 0; n < EVENTS; n++) this.board.configure(id, VLPI + n)
      if (this.isV41) for (const sgi of SGIS) this.board.configureSgi(id, sgi)
    }
    this.board.wait()
  }

  private get isV41(): boolean {
    return this.version === '4.1'
  }

  private mapped(id: number): Vpe {
    const home = id & 1
    this.board.configureLpi(BELL + id).mapVpe(id, home, { doorbell: BELL + id })
    return {
      id,
      home,
      pending: new Set(),
      disabled: new Set(),
      phase: 'away',
      bell: 'idle',
      wantsBell: false,
      bellEnabled: true,
      staleBell: 0,
      stale: 0,
      moves: 0,
    }
  }

  private vpe(id: number): Vpe {
    const found = this.vpes.get(id)
    if (!found) throw new Error(`no vPE ${id}`)
    return found
  }

  /** The vPE that is on a CPU. */
  private on(at: number): Vpe | undefined {
    return [...this.vpes.values()].find(({ home, phase }) => home === at && phase !== 'away')
  }

  /** A command was sent. */
  private queued(effect: () => unknown): void {
    if (this.lagging) this.commands.push(effect)
    else effect()
  }

  private makePending(target: Vpe, intid: number): void {
    const isNew = !target.pending.has(intid)
    target.pending.add(intid)
    if (
      isNew &&
      this.isV41 &&
      target.phase === 'away' &&
      target.bell === 'requested' &&
      !target.disabled.has(intid)
    )
      target.bell = 'rung'
  }

  private message(n: number): void {
    const target = this.vpe(this.targets[n])
    const isNew = !target.pending.has(VLPI + n)
    this.makePending(target, VLPI + n)
    if (isNew && !this.isV41 && target.phase === 'away') this.ring(`${target.home} ${BELL + n}`)
  }

  private ring(bell: string): void {
    if (this.lagging) this.ringing.push(bell)
    else this.rung.add(bell)
  }

  do(s: Step): unknown {
    const { board } = this
    if (!this.isV41 && ONLY_V41.has(s.k)) return undefined
    switch (s.k) {
      case 'int':
        board.int(s.event)
        return this.queued(() => this.message(s.event))
      case 'msi':
        // Where there is no room for another, the oldest is translated at once.
        if (board.gic.effects().filter((name) => name.includes('MSI')).length === 16) return undefined
        board.gic.sendMsi(1, s.event)
        if (!this.lagging) this.message(s.event)
        return undefined
      case 'sgi':
        board.sendSgi(s.vpe, s.sgi)
        return this.makePending(this.vpe(s.vpe), s.sgi)
      case 'clear':
        board.clear(s.event)
        return this.queued(() => this.vpe(this.targets[s.event]).pending.delete(VLPI + s.event))
      case 'clearSgi':
        board.clearSgi(s.vpe, s.sgi)
        return this.queued(() => this.vpe(s.vpe).pending.delete(s.sgi))
      case 'vmovi':
        board.vmovi(s.event, s.vpe)
        return this.queued(() => this.moveEvent(s.event, s.vpe))
      case 'vmovp':
        return this.move(this.vpe(s.vpe), s.cpu)
      case 'load':
        return this.load(this.vpe(s.vpe))
      case 'put':
        return this.put(s.cpu, s.doorbell)
      case 'vinvall':
      case 'invlpir':
      case 'invallr':
        return this.configure(s.k, this.vpe(s.vpe), VLPI + s.event, s.enabled)
      case 'vsgi':
        board.configureSgi(s.vpe, s.sgi, { enabled: s.enabled })
        return this.queued(() => this.enable(this.vpe(s.vpe), s.sgi, s.enabled))
      case 'invdb':
        return this.configureBell(this.vpe(s.vpe), s.enabled)
      case 'ack':
        return this.acknowledge(s.cpu)
      case 'host':
        return this.host(s.cpu)
      case 'complete': {
        const effects = board.gic.effects()
        if (effects.length > 0) this.complete(effects[s.which % effects.length])
        return undefined
      }
      default:
        return this.snapshot()
    }
  }

  private enable(target: Vpe, intid: number, enabled: boolean): void {
    if (enabled) target.disabled.delete(intid)
    else target.disabled.add(intid)
  }

  private moveEvent(n: number, to: number): void {
    const from = this.targets[n]
    this.targets[n] = to
    if (from !== to && this.vpe(from).pending.delete(VLPI + n)) this.makePending(this.vpe(to), VLPI + n)
  }

  /** A vPE is moved while it is not resident, and not made resident before that is done. */
  private move(target: Vpe, to: number): void {
    if (target.phase !== 'away' || target.moves > 0) return
    target.moves++
    this.board.vmovp(target.id, to, this.isV41 ? { doorbell: BELL + target.id } : {})
    this.queued(() => {
      target.moves--
      target.home = to
    })
  }

  private load(target: Vpe): void {
    if (target.phase !== 'away' || target.moves > 0 || this.on(target.home)) return
    this.board.startLoad(target.id, target.home)
    target.phase = 'entering'
    if (!this.lagging) this.completeResidency(target.home)
  }

  private put(at: number, doorbell: boolean): void {
    const target = this.on(at)
    if (target?.phase !== 'resident') return
    this.board.startPut(at, { doorbell })
    target.phase = 'leaving'
    target.wantsBell = doorbell
    if (!this.lagging) this.completeResidency(at)
  }

  private completeResidency(at: number): void {
    const target = this.on(at)
    if (!target) throw new Error(`no vPE on CPU ${at}`)
    if (target.phase === 'entering') {
      target.phase = 'resident'
      target.bell = 'idle'
      return
    }
    target.phase = 'away'
    const last = this.board.pendingLast(at)
    if (target.stale === 0)
      expect([target.id, 'PendingLast', last]).toEqual([target.id, 'PendingLast', this.hasEnabled(target)])
    target.bell = this.isV41 && !last && target.wantsBell ? 'requested' : 'idle'
  }

  private hasEnabled({ pending, disabled }: Vpe): boolean {
    return [...pending].some((intid) => !disabled.has(intid))
  }

  /** A byte of the table is changed, and invalidated. */
  private configure(by: string, target: Vpe, intid: number, enabled: boolean): void {
    const { board } = this
    board.configure(target.id, intid, 0xa0, enabled)
    this.enable(target, intid, enabled)
    if (by === 'invlpir') board.invlpir(target.home, target.id, intid)
    else if (by === 'invallr') board.invallr(target.home, target.id)
    else {
      target.stale++
      board.vinvall(target.id)
      this.queued(() => target.stale--)
    }
  }

  /** A doorbell is enabled or disabled where its vPE is, also one that has rung. */
  private configureBell(target: Vpe, enabled: boolean): void {
    this.board.configureLpi(BELL + target.id, 0xa0, enabled).invdb(target.id)
    target.bellEnabled = enabled
    target.staleBell++
    this.queued(() => target.staleBell--)
  }

  /** The host answers the doorbells that are signalled: all that are enabled, unless one has still to come. */
  private host(at: number): void {
    for (const intid of this.board.doorbells(at)) this.answer(at, intid)
    if (this.board.gic.effects().some((name) => name.startsWith('doorbell'))) return
    for (const { id, bell, home, bellEnabled, staleBell, moves } of this.vpes.values())
      if (this.isV41 && home === at && bellEnabled && staleBell === 0 && moves === 0)
        expect([id, bell]).not.toEqual([id, 'rung'])
  }

  private acknowledge(at: number): void {
    const target = this.on(at)
    const intid = this.board.ack(at)
    if (intid === NONE) {
      if (target?.phase === 'resident' && target.stale === 0) expect(this.hasEnabled(target)).toBe(false)
      return
    }
    this.board.eoi(intid, at)
    expect([target?.phase, intid, target?.pending.delete(intid)]).toEqual(['resident', intid, true])
  }

  /** A doorbell was acknowledged: it rings no more. */
  private answer(at: number, intid: number): void {
    if (!this.isV41) {
      expect([at, intid, this.rung.delete(`${at} ${intid}`)]).toEqual([at, intid, true])
      return
    }
    const target = this.vpe(intid - BELL)
    expect([intid, target.bell, target.home]).toEqual([intid, 'rung', at])
    if (target.staleBell === 0) expect([intid, target.bellEnabled]).toEqual([intid, true])
    target.bell = 'idle'
  }

  private complete(name: string): void {
    this.board.gic.complete(name)
    const message = /MSI \d+ (\d+)$/.exec(name)
    const bell = /^doorbell (\d+) at (\d+)$/.exec(name)
    const residency = /VPENDBASER\[(\d+)\]/.exec(name)
    if (message) this.message(Number(message[1]))
    else if (bell) this.deliver(`${bell[2]} ${bell[1]}`)
    else if (residency) this.completeResidency(Number(residency[1]))
    else if (name.includes('command')) this.commands.shift()?.()
  }

  private deliver(bell: string): void {
    const at = this.ringing.indexOf(bell)
    if (at < 0) return
    this.ringing.splice(at, 1)
    this.rung.add(bell)
  }

  /** A machine that is made of the image is the same, effects that are under way with it. */
  private snapshot(): void {
    const { gic, host } = this.board
    const image = gic.snapshot()
    const copy = Gic.from(image.slice(0), host)
    expect(copy.effects()).toEqual(gic.effects())
    expect(copy.diff(image)).toEqual([])
    for (const line of ['virq', 'vfiq', 'irq'] as const)
      for (const at of [0, 1]) expect(copy.line(at, line)).toBe(gic.line(at, line))
    gic.restore(image)
  }

  /** All effects come, all doorbells are answered, and every vPE is looked at with all enabled. */
  finish(): void {
    const { board } = this
    for (let effects = board.gic.effects(); effects.length > 0; effects = board.gic.effects())
      this.complete(effects[0])
    for (const at of [0, 1]) this.host(at)
    if (this.isV41) for (const each of this.vpes.values()) this.configureBell(each, true)
    while (this.commands.length > 0) this.complete(board.gic.effects()[0])
    for (const at of [0, 1]) this.host(at)
    expect([...this.rung, ...this.ringing]).toEqual([])
    for (const each of this.vpes.values()) expect([each.id, each.bell]).not.toEqual([each.id, 'rung'])
    for (const at of [0, 1]) board.leave(at)
    for (const { id, home, pending } of this.vpes.values()) {
      for (let n = 0; n < EVENTS; n++) board.configure(id, VLPI + n)
      if (this.isV41) for (const sgi of SGIS) board.configureSgi(id, sgi)
      board.wait().load(id, home)
      expect([id, board.drain(home).sort((a, b) => a - b)]).toEqual([id, [...pending].sort((a, b) => a - b)])
      board.leave(home)
    }
    expect([board.errors(), board.unpredictable()]).toEqual([[], []])
  }
}

describe.each([
  ['4.0', 'at once', false],
  ['4.0', 'in any order', true],
  ['4.1', 'at once', false],
  ['4.1', 'in any order', true],
] as const)('vPEs of GICv%s whose effects come %s', (version, _, lagging) => {
  it('lose nothing, have nothing twice, and ring as promised', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
        const machine = new Machine(version, lagging)
        for (const s of steps) machine.do(s)
        machine.finish()
      }),
      { numRuns: lagging ? 200 : 80 },
    )
  })
})
