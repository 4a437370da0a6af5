/**
 * Whatever a hypervisor does to vPEs, to their registers, commands and tables: nothing throws or hangs, all that is
 * derived is what is recomputed, and a snapshot at any moment goes on as the machine does. Two vPEs that take turns on
 * one redistributor see nothing of each other.
 */
import fc from 'fast-check'
import { Gic, type GicConfig, ICH_HCR_EL2, ICH_VMCR_EL2, ichLr } from 'vgic'
import { describe, expect, it } from 'vitest'
import { NONE, place, VpeBoard, VpeRam } from '../../../kit/vpe-board.ts'

const VLPI = 8192
const versions = ['4.0', '4.1'] as const

const word = fc.oneof(
  fc.nat(0xffff_ffff),
  fc.constantFrom(
    0,
    1,
    2,
    0xffff_ffff,
    0x8000_0000,
    0x8c00_0001,
    0x4000_0000,
    place.vpes(),
    place.virtualPending(1),
  ),
)
const cpu = fc.nat(1)
const its = fc.nat(1)
const vpe = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(1, 1, 2, 2, 3, 0) },
  { weight: 1, arbitrary: fc.nat(0xffff) },
)
const id = fc.oneof({ weight: 12, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.nat(0xffff_ffff) })
const intid = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(8192, 8193, 8223, 8224, 9000, 9001, NONE, 3) },
  { weight: 1, arbitrary: fc.nat(0xffff_ffff) },
)
const table = fc.constantFrom(
  place.vpes(),
  place.itsVpes(0),
  place.itsVpes(1),
  place.virtualPending(1),
  place.virtualPending(1) + 0x400,
  place.virtualConfiguration(1),
  place.itt(0, 1),
  place.queue(0),
)

interface Step {
  readonly k: string
  readonly cpu: number
  readonly its: number
  readonly vpe: number
  readonly id: number
  readonly intid: number
  readonly flag: boolean
  readonly size: number
  readonly offset: number
  readonly word: number
  readonly other: number
  readonly table: number
}

const kinds = [
  ...['map', 'map', 'unmap', 'mapVlpi', 'mapVlpi', 'vmovi', 'vmovp', 'vmovp', 'int', 'int', 'msi', 'clear'],
  ...[
    'discard',
    'inv',
    'vinvall',
    'vsync',
    'invdb',
    'vsgi',
    'clearSgi',
    'sgi',
    'load',
    'load',
    'load',
    'put',
    'put',
  ],
  ...[
    'query',
    'invlpir',
    'invallr',
    'command',
    'vlpiFrame',
    'frame',
    'gits',
    'poke',
    'poke',
    'hcr',
    'vmcr',
    'list',
  ],
  ...['ack', 'ack', 'host', 'complete', 'complete', 'complete', 'configure', 'repair'],
]
const step: fc.Arbitrary<Step> = fc.record({
  k: fc.constantFrom(...kinds),
  cpu,
  its,
  vpe,
  id,
  intid,
  flag: fc.boolean(),
  size: fc.constantFrom(15, 15, 13, 12, 31, 0),
  offset: fc.nat(15),
  word,
  other: word,
  table,
})

const configuration: fc.Arbitrary<Partial<GicConfig>> = fc.record({
  version: fc.constantFrom(...versions, '4.1'),
  lpis: fc.constantFrom(64, 1024),
  vpeBits: fc.constantFrom(16, 16, 3),
  its: fc
    .record({ vmovp: fc.constantFrom<0 | 1>(0, 1), svpet: fc.constantFrom<0 | 1>(0, 1, 1) })
    .map((each) => [
      { base: 0, ...each },
      { base: 0, ...each },
    ]),
  unpredictable: fc.constantFrom('ignore', 'report', 'pessimistic'),
  writeEffects: fc.constantFrom('at-once', 'lagging'),
  profile: fc.constantFrom('arch', 'qemu-7.2'),
  choices: fc.record({
    commandErrors: fc.constantFrom('ignored', 'ignored', 'stall'),
    doorbellOfEnabled: fc.constantFrom('silent', 'rings'),
    vsgiOfDisabledGroup: fc.constantFrom('kept', 'lost'),
  }),
}) as fc.Arbitrary<Partial<GicConfig>>

const FRAME_OFFSETS = [0x0, 0x14, 0x70, 0x74, 0x78, 0x7c, 0xa0, 0xb0]
const VLPI_OFFSETS = [0x70, 0x74, 0x78, 0x7c, 0x80, 0x84, 0x88, 0x8c]
const GITS_OFFSETS = [0x0, 0x80, 0x84, 0x88, 0x90, 0x100, 0x110, 0x114, 0x2_0020, 0x2_0024, 0x1_0040]

/** Does a step; what it reads. */
function run(board: VpeBoard, s: Step): unknown {
  const { gic } = board
  const more = { its: s.its }
  switch (s.k) {
    case 'map':
      return board
        .mapVpe(s.vpe, s.cpu, { ...more, doorbell: s.intid, alloc: s.flag, ptz: s.offset > 3, size: s.size })
        .isIdle()
    case 'unmap':
      return board.unmapVpe(s.vpe, { ...more, alloc: s.flag }).isIdle()
    case 'mapVlpi':
      board.send(
        s.its,
        (1n << 32n) | 0x2an,
        (BigInt(s.vpe) << 32n) | BigInt(s.id),
        BigInt(s.intid) | (9000n << 32n),
      )
      return board.isIdle(s.its)
    case 'vmovi':
      return board.vmovi(s.id, s.vpe, s.flag ? s.intid : undefined, s.its).isIdle()
    case 'vmovp':
      return board
        .vmovp(s.vpe, s.cpu, {
          ...more,
          ...(s.flag && { doorbell: s.intid }),
          list: s.offset & 3,
          sequence: s.offset >> 3,
        })
        .isIdle()
    case 'int':
      return board.int(s.id, s.its).isIdle()
    case 'msi':
      return gic.sendMsi(1, s.id)
    case 'clear':
      return board.clear(s.id, s.its).isIdle()
    case 'discard':
      return board.discard(s.id, s.its).isIdle()
    case 'inv':
      return board.inv(s.id, s.its).isIdle()
    case 'vinvall':
      return board.vinvall(s.vpe, s.its).isIdle()
    case 'vsync':
      return board.vsync(s.vpe, s.its).isIdle()
    case 'invdb':
      return board.invdb(s.vpe, s.its).isIdle()
    case 'vsgi':
      return board
        .configureSgi(s.vpe, s.offset, { enabled: s.flag, group: s.cpu === 0 ? 0 : 1 }, s.its)
        .isIdle()
    case 'clearSgi':
      return board.clearSgi(s.vpe, s.offset).isIdle()
    case 'sgi':
      return board.sendSgi(s.vpe, s.offset, s.its).isIdle()
    case 'load':
      return board.startLoad(s.vpe % 4, s.cpu, s.flag ? [0, 1] : [1]).isDirty(s.cpu)
    case 'put':
      return board.startPut(s.cpu, { doorbell: s.flag, pendingLast: s.offset === 0 }).pendingLast(s.cpu)
    case 'query':
      gic.writeMmio(board.vlpi(s.cpu, 0x80), 4, s.vpe)
      return gic.readMmio(board.vlpi(s.cpu, 0x88), 4)
    case 'invlpir':
      return board.invlpir(s.cpu, s.vpe, s.intid).virq(s.cpu)
    case 'invallr':
      return board.invallr(s.cpu, s.vpe).virq(s.cpu)
    case 'command': {
      const half = (low: number, high: number): bigint => BigInt(low) | (BigInt(high) << 32n)
      board.send(
        s.its,
        half(0x20 + s.offset, s.id),
        half(s.word, s.vpe),
        half(s.other, s.word),
        half(s.word, s.intid),
      )
      return board.isIdle(s.its)
    }
    case 'vlpiFrame':
      return write(gic, board.vlpi(s.cpu, VLPI_OFFSETS[s.offset % VLPI_OFFSETS.length]), s)
    case 'frame':
      return write(gic, board.rd(s.cpu) + FRAME_OFFSETS[s.offset % FRAME_OFFSETS.length], s)
    case 'gits':
      return write(gic, board.gits(GITS_OFFSETS[s.offset % GITS_OFFSETS.length], s.its), s)
    case 'poke':
      return board.ram.write32(s.table + 4 * (s.id % 64), s.word)
    case 'hcr':
      return board.hcr(s.word & 0x81ff, s.cpu).readHcr(s.cpu)
    case 'vmcr':
      return gic.writeSysreg(s.cpu, ICH_VMCR_EL2, s.word, 2)
    case 'list':
      return gic.writeSysreg64(s.cpu, ichLr(s.offset & 3), (BigInt(s.word) << 32n) | BigInt(s.intid), 2)
    case 'ack': {
      const got = [board.ack(s.cpu, 1), board.ack(s.cpu, 0)]
      if (s.flag) for (const [n, each] of got.entries()) board.eoi(each, s.cpu, n === 0 ? 1 : 0)
      return got
    }
    case 'host':
      return board.doorbells(s.cpu)
    case 'configure':
      return board.configure(1 + (s.vpe & 1), VLPI + s.offset, 0xa0, s.flag).virq()
    case 'complete': {
      const effects = gic.effects()
      if (effects.length > 0) gic.complete(effects[s.offset % effects.length])
      return effects
    }
    default:
      return repair(board)
  }
}

function write(gic: Gic, address: number, { flag, word, other }: Step): unknown {
  if (!flag) {
    gic.writeMmio(address, 4, word)
    return gic.readMmio(address, 4)
  }
  gic.writeMmio64(address - (address % 8), BigInt(word) | (BigInt(other) << 32n))
  return gic.readMmio64(address - (address % 8))
}

/** A driver that knows what it does comes, and sets all up once more. */
function repair(board: VpeBoard): void {
  board.gic.writeSysreg(0, ICH_HCR_EL2, 1, 2)
  if (board.isV41) for (const each of [0, 1]) board.vpropbaser(each)
  for (const each of [1, 2]) board.mapVpe(each, each & 1, { doorbell: 9000 }).mapVlpi(each, each, VLPI + each)
}

const program = (length: number): fc.Arbitrary<Step[]> => fc.array(step, { maxLength: length, size: 'max' })

const booted = (config: Partial<GicConfig>): VpeBoard => {
  const board = new VpeBoard(config).booted()
  repair(board)
  return board
}

const lines = ({ gic }: { gic: Gic }): number[] =>
  [0, 1].flatMap((n) => (['irq', 'virq', 'vfiq', 'maintenance'] as const).map((line) => gic.line(n, line)))

const contents = ({ words }: VpeRam): unknown[] => [...words].sort(([a], [b]) => a - b)

class CountingRam extends VpeRam {
  accesses = 0

  override read32(address: number): number {
    this.accesses++
    return super.read32(address)
  }

  override write32(address: number, value: number): void {
    this.accesses++
    super.write32(address, value)
  }
}

describe('a hostile hypervisor', () => {
  it('makes nothing throw, and all that is derived is what is recomputed', () => {
    fc.assert(
      fc.property(configuration, program(60), (config, steps) => {
        const board = booted(config)
        for (const s of steps) {
          run(board, s)
          const image = board.gic.snapshot()
          const recomputed = Gic.from(image.slice(0), { memory: board.ram }).snapshot()
          if (!Buffer.from(recomputed).equals(Buffer.from(image)))
            expect(board.gic.diff(recomputed)).toBe('equal')
        }
        // And nothing hangs that is waited for.
        board.wait()
        board.gic.inspectTables()
        board.gic.explainMsi(1, 0)
      }),
      { numRuns: 150 },
    )
  })

  it('that goes back to a snapshot, amid effects that lag, goes on identically with the memory of then', () => {
    fc.assert(
      fc.property(configuration, program(30), program(30), program(30), (config, before, other, after) => {
        const board = booted({ ...config, writeEffects: 'lagging' })
        const history = (steps: readonly Step[]): unknown[] => [
          ...steps.map((s) => [run(board, s), ...lines(board)]),
          board.gic.hash(),
          contents(board.ram),
        ]
        history(before)
        const image = board.gic.snapshot()
        const words = new Map(board.ram.words)
        const offsets = board.offsets.slice()
        const once = history(after)
        history(other)
        board.ram.words = words
        board.offsets.splice(0, offsets.length, ...offsets)
        board.gic.restore(image)
        expect(board.gic.diff(image)).toEqual([])
        expect(history(after)).toEqual(once)
      }),
      { numRuns: 60 },
    )
  })

  it('has a write of GITS_CWRITER read and write no more memory than its commands need', () => {
    fc.assert(
      fc.property(configuration, program(40), (config, steps) => {
        const ram = new CountingRam()
        const board = new VpeBoard(config, ram).booted()
        repair(board)
        for (const s of steps) {
          ram.accesses = 0
          run(board, s)
          // At most a queue of 128 commands, each of which may go through a table of 1,024 vLPIs.
          expect(ram.accesses).toBeLessThan(128 * 2 * 300)
        }
      }),
      { numRuns: 40 },
    )
  })
})

describe.each(versions)('two vPEs that take turns on one redistributor of GICv%s', (version) => {
  const turn = fc.record({
    vpe: fc.constantFrom(1, 2),
    /** Events that come before and in the turn: 0 and 1 are vPE 1's, 2 and 3 vPE 2's. */
    before: fc.array(fc.nat(3), { maxLength: 3 }),
    within: fc.array(fc.nat(3), { maxLength: 3 }),
    sgis: fc.array(fc.tuple(fc.constantFrom(1, 2), fc.nat(15)), { maxLength: 3 }),
    takes: fc.nat(4),
    enabled: fc.boolean(),
  })

  it('see what they see each on its own', () => {
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 20, size: 'max' }), (turns) => {
        const seen = [1, 2].map((homeOf2) => {
          const homes = [0, 0, homeOf2 - 1]
          const board = new VpeBoard({ version, lpis: 1024 }).booted()
          for (const each of [1, 2]) board.mapVpe(each, homes[each], { doorbell: 9000 + each })
          for (const n of [0, 1, 2, 3]) board.mapVlpi(n, 1 + (n >> 1), VLPI + (n & 1))
          if (version === '4.1')
            for (const each of [1, 2]) for (let sgi = 0; sgi < 16; sgi++) board.configureSgi(each, sgi)
          return turns.map(({ vpe: who, before, within, sgis, takes, enabled }) => {
            const at = homes[who]
            for (const n of before) board.int(n)
            board.configure(who, VLPI, 0x80, enabled).vinvall(who).load(who, at)
            for (const n of within) board.int(n)
            if (version === '4.1') for (const [to, sgi] of sgis) board.sendSgi(to, sgi)
            const taken: number[] = []
            for (let n = 0; n < takes; n++) {
              taken.push(board.ack(at))
              if (taken[n] !== NONE) board.eoi(taken[n], at)
            }
            return [who, taken, board.leave(at)]
          })
        })
        expect(seen[0]).toEqual(seen[1])
      }),
      { numRuns: 80 },
    )
  })
})
