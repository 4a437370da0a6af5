/** A queue that is too much for one access: how far an access goes, and which goes on with it. */
import { Gic, type GicConfig } from 'vgic'
import { describe, expect, it } from 'vitest'
import { VALID, type VpeBoard, vpeBoard } from '../../../kit/vpe-board.ts'
import { GICD, GICR, gits, ItsBoard, its, SPURIOUS } from './its-board.ts'

/** Pages and commands of the largest queue. */
const PAGES = 256
const FULL = (PAGES * 0x1000) / 32
const LPIS = 0x1_0000
const QUIESCENT = 0x8000_0000

/** LPIs 8192 and 8193 are events 0 and 1 of device 1, and go to CPU 0; the first is pending. The queue is of 1 MiB. */
function board(config: Partial<GicConfig> = {}, enabled = true): ItsBoard {
  const made = new ItsBoard({ lpis: LPIS, ...config }).wake().enableLpis().enableIts(PAGES)
  for (const n of [0, 1]) made.send(its.mapc(n, n)).configure(8192 + n, 0xa0, enabled || n === 1)
  made.send(its.mapd(1, 4), its.mapti(1, 0, 8192, 0), its.mapti(1, 1, 8193, 0), its.int(1, 0))
  made.gic.completeWrites()
  return made
}

/** Where the next command is, from the beginning of the queue, which no access finds out. */
const done = ({ gic }: ItsBoard): number => Number(gic.dump().its[0].registers['GITS_CREADR']) / 32

/** MOVALLs there and back, so many that no access carries them out; the last command makes LPI 8193 pending. */
function paused(config: Partial<GicConfig> = {}, moves = 1000, enabled = true): ItsBoard {
  const made = board(config, enabled)
  for (let n = 0; n < moves; n++) made.put(n % 2 === 0 ? its.movall(0, 1) : its.movall(1, 0))
  return made.send(its.int(1, 1))
}

/** Reads GITS_CREADR until it is where GITS_CWRITER is; what it says each time. */
function poll({ gic }: ItsBoard): number[] {
  const seen: number[] = []
  for (;;) {
    const creadr = gic.readMmio(gits.CREADR, 4)
    if (creadr === seen.at(-1)) throw new Error(`GITS_CREADR stays at ${creadr}.`)
    seen.push(creadr)
    if (creadr === gic.readMmio(gits.CWRITER, 4)) return seen
  }
}

describe('a full queue of MOVALLs', () => {
  it('is carried out by the write of GITS_CWRITER and the accesses that follow it, each command once and in order', () => {
    const made = paused({}, FULL - 8)
    const first = 6
    let accesses = 1
    for (; done(made) !== FULL - 1; accesses++) {
      const at = done(made)
      const isMoved = (at - first) % 2 === 1
      expect(made.hppi(0)).toBe(isMoved ? SPURIOUS : 8192)
      expect(made.hppi(1)).toBe(isMoved ? 8192 : SPURIOUS)
      expect(made.creadr).toBe(32 * at)
      expect(done(made)).toBeGreaterThan(at)
    }
    expect(accesses).toBeGreaterThan(20)
    expect(made.drain()).toEqual([8192, 8193])
    expect(made.errors()).toEqual([])
  })

  it('of few LPIs is carried out at once', () => {
    const made = paused({ lpis: 256 }, FULL - 8)
    expect(done(made)).toBe(FULL - 1)
  })
})

describe('a queue that is paused', () => {
  it('is not quiescent until it is done', () => {
    const made = paused()
    expect(made.gic.readMmio(gits.CTLR, 4)).toBe(1)
    poll(made)
    expect(made.gic.readMmio(gits.CTLR, 4)).toBe(QUIESCENT + 1)
  })

  it.each<readonly [string, (made: ItsBoard) => unknown]>([
    ['a read of GITS_CREADR', ({ gic }) => gic.readMmio64(gits.CREADR)],
    ['a read of a register that does not change', ({ gic }) => gic.readMmio(gits.IIDR, 4)],
    ['a read where there is no register', ({ gic }) => gic.readMmio(gits.CTLR + 0x40, 4)],
    ['a write of GITS_CTLR', ({ gic }) => gic.writeMmio(gits.CTLR, 4, 1)],
    ['a write of GITS_CWRITER', ({ gic }) => gic.writeMmio64(gits.CWRITER, 32n * 1006n)],
    ['a write that is ignored', ({ gic }) => gic.writeMmio64(gits.CBASER, 0n)],
  ])('goes on with %s, as far as the access before went', (_access, access) => {
    const made = paused()
    const first = done(made)
    access(made)
    const second = done(made) - first
    expect(second).toBeGreaterThan(100)
    access(made)
    expect(done(made) - first).toBe(2 * second)
  })

  it('goes on with no access to another frame, no message and nothing that people look at', () => {
    const made = paused()
    const { gic } = made
    const at = done(made)
    gic.readMmio(GICD, 4)
    gic.writeMmio(GICD, 4, 2)
    gic.readMmio(GICR, 4)
    gic.writeMmio(gits.TRANSLATER, 4, 0)
    gic.readMmio(gits.TRANSLATER, 4)
    gic.sendMsi(1, 0)
    gic.explainMsi(1, 0)
    gic.explain(8192, 0)
    expect(gic.registerAt(gits.CREADR)).toBe('GITS_CREADR')
    expect(done(made)).toBe(at)
  })

  it('raises the line of a CPU with the read that carries out what raises it', () => {
    // LPI 8192 is disabled: the last command makes pending what raises a line.
    const made = paused({}, 1000, false)
    const lines: string[] = []
    const setLine = (cpu: number, line: string, level: 0 | 1): void => {
      lines.push(`${line} ${cpu} ${level}`)
    }
    const gic = Gic.from(made.gic.snapshot(), { ...made.host, setLine })
    let reads = 0
    for (; lines.length === 0 && reads < 100; reads++)
      expect(gic.readMmio(gits.CREADR, 4)).toBeLessThan(32 * 1007)
    expect(reads).toBeGreaterThan(1)
    expect(gic.readMmio(gits.CREADR, 4)).toBe(32 * 1007)
    expect(lines).toEqual(['irq 0 1'])
  })

  it('is the same after a snapshot, and goes on the same', () => {
    const made = paused()
    const image = made.gic.snapshot()
    const other = new ItsBoard({}, made.ram, (its) => Gic.from(image.slice(0), its.host))
    expect(poll(other)).toEqual(poll(made))
    expect(other.gic.hash()).toBe(made.gic.hash())
    made.gic.restore(image)
    expect(done(made)).toBeLessThan(1006)
    poll(made)
    expect(other.gic.hash()).toBe(made.gic.hash())
  })

  it('is an effect that is pending, and carried out by completeWrites', () => {
    const made = paused()
    expect([made.gic.writesPending, made.gic.effects()]).toEqual([true, ['ITS[0] command']])
    made.gic.completeWrites()
    expect([made.gic.writesPending, done(made)]).toEqual([false, 1007])
  })

  it('goes on when the ITS is enabled again, and not while it is disabled', () => {
    const made = paused()
    made.gic.writeMmio(gits.CTLR, 4, 0)
    const at = done(made)
    expect(made.gic.readMmio(gits.CTLR, 4)).toBe(QUIESCENT)
    expect(done(made)).toBe(at)
    made.gic.writeMmio(gits.CTLR, 4, 1)
    expect(done(made)).toBeGreaterThan(at)
    poll(made)
  })
})

describe('a queue that is not paused', () => {
  it('stays as it is where GITS_CREADR is written as on QEMU, whatever is read', () => {
    const made = board({ choices: { queueRegisters: 'as-written' } })
    made.gic.writeMmio(gits.CREADR, 4, 0)
    made.gic.readMmio(gits.CREADR, 4)
    expect(done(made)).toBe(0)
  })

  it('goes on with no access where effects lag', () => {
    const made = paused({ writeEffects: 'lagging' })
    const at = done(made)
    made.gic.readMmio(gits.CREADR, 4)
    expect(done(made)).toBe(at)
  })
})

/** Commands of a queue of 4 KiB. */
const PAGE_FULL = 0x1000 / 32 - 1

describe('VMAPP of GICv4.1 that reads a virtual pending table', () => {
  it('is counted by the words that it reads', () => {
    const made = vpeBoard({ lpis: 2 ** 20 }).mapVpe(1, 0)
    const { gic, ram } = made
    const vmapp = [0x129n, 1n << 32n, VALID, BigInt(0x4400_0000 + 0x1_0000) | 19n]
    const reads = ram.reads
    for (let n = 1; n < PAGE_FULL; n++) made.put(0, ...vmapp)
    made.send(0, ...vmapp)
    expect(ram.reads - reads).toBeLessThan(1.1 * 2 ** 20)
    const seen: number[] = []
    while (!made.isIdle()) seen.push(ram.reads)
    expect(made.errors()).toEqual([])
    expect(seen.length).toBe(3)
    expect(gic.writesPending).toBe(false)
  })
})

describe('a VMOVP that waits for another ITS', () => {
  const VLPI = 8192
  const movall = (from: bigint, to: bigint): bigint[] => [0x0en, 0n, from << 16n, to << 16n]

  /** Both ITSs have mapped vPE 1. The queue of ITS 1 is paused in MOVALLs; the VMOVP is behind them. */
  function waiting(): VpeBoard {
    const its = [0, 1].map(() => ({ base: 0, vmovp: 0 as const }))
    const made = vpeBoard({ lpis: 2 ** 20, its })
    made.mapVpe(1, 0).mapVpe(1, 0, { its: 1, alloc: false }).mapVlpi(0, 1, VLPI)
    // A physical LPI, which the MOVALLs move.
    made.configureLpi(9000).send(0, (1n << 32n) | 0x0an, (9000n << 32n) | 5n)
    made.int(5).int(0)
    for (let n = 0; n < 100; n++) made.put(1, ...(n % 2 === 0 ? movall(0n, 1n) : movall(1n, 0n)))
    return made.vmovp(1, 1, { its: 1, list: 0b11, sequence: 7 })
  }

  const done = ({ gic }: VpeBoard, n: number): number =>
    Number(gic.dump().its[n].registers['GITS_CREADR']) / 32

  it('goes on with accesses to its own frame, as the other does', () => {
    const made = waiting()
    const before = done(made, 1)
    made.vmovp(1, 1, { list: 0b11, sequence: 7 })
    expect(done(made, 1)).toBeGreaterThan(before)
    let reads = 0
    while (!made.isIdle(0)) expect(reads++).toBeLessThan(10)
    expect(reads).toBeGreaterThan(3)
    expect(made.isIdle(1)).toBe(true)
    expect([made.errors(), made.unpredictable()]).toEqual([[], []])
    made.load(1, 1)
    expect(made.drain(1)).toEqual([VLPI])
  })
})
