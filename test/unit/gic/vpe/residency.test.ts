/** Which vPE is resident: GICR_VPROPBASER, GICR_VPENDBASER, Dirty and PendingLast. */
import { describe, expect, it } from 'vitest'
import { DIRTY, PENDING_LAST, place, VALID, VpeBoard, vpeBoard } from '../../../kit/vpe-board.ts'

const VLPI = 8192
const versions = ['4.0', '4.1'] as const

/** vPEs 1 and 2 on CPU 0, with events 0 and 1. */
const two = (options: Parameters<typeof vpeBoard>[0] = {}): VpeBoard =>
  vpeBoard(options)
    .mapVpe(1, 0)
    .mapVpe(2, 0)
    .mapVlpi(0, 1, VLPI)
    .mapVlpi(1, 2, VLPI + 1)

const vpendbaser = (board: VpeBoard, cpu = 0): bigint => board.gic.readMmio64(board.vlpi(cpu, 0x78))
const vpropbaser = (board: VpeBoard, cpu = 0): bigint => board.gic.readMmio64(board.vlpi(cpu, 0x70))

describe.each(versions)('a vPE on GICv%s', (version) => {
  it('that is resident has its interrupts presented, and one that is not does not (31, 33)', () => {
    const board = two({ version }).int(0).int(1)
    expect(board.virq()).toBe(0)
    board.load(1, 0)
    expect([board.virq(), board.hppi()]).toEqual([1, VLPI])
    expect(board.leave(0)).toBe(true)
    expect([board.virq(), board.hppi()]).toEqual([0, 1023])
    board.load(2, 0)
    expect(board.drain()).toEqual([VLPI + 1])
    expect(board.leave(0)).toBe(false)
    board.load(1, 0)
    expect(board.drain()).toEqual([VLPI])
    expect(board.unpredictable()).toEqual([])
  })

  it('has PendingLast tell whether anything enabled is pending when it leaves (34, 35, 36)', () => {
    const board = two({ version })
    const next = (): boolean => board.load(1, 0).leave(0)
    expect(next()).toBe(false)
    board.int(0)
    expect(next()).toBe(true)
    board.clear(0)
    expect(next()).toBe(false)
    board.configure(1, VLPI, 0xa0, false).int(0)
    expect(next()).toBe(false)
  })

  it('does not count what was acknowledged, and leaves the running priority to the CPU interface (44)', () => {
    const board = two({ version }).int(0).load(1, 0)
    expect(board.ack()).toBe(VLPI)
    expect(board.leave(0)).toBe(false)
    expect(board.running()).toBe(0xa0)
    board.int(1).load(2, 0)
    expect([board.virq(), board.hppi()]).toEqual([0, VLPI + 1])
    board.eoi(VLPI)
    expect([board.running(), board.virq()]).toEqual([0xff, 1])
  })

  it('does not look at VPMR for PendingLast (45)', () => {
    const board = two({ version }).int(0).load(1, 0).vmcr(0x0000_0003)
    expect(board.virq()).toBe(0)
    expect(board.leave(0)).toBe(true)
  })

  it('does not touch list registers when it leaves (33)', () => {
    const board = two({ version }).int(0).list(0, 40, 0x80).load(1, 0)
    board.leave(0)
    expect([board.virq(), board.hppi()]).toEqual([1, 40])
    expect(board.readList(0) >> 62n).toBe(1n)
  })

  it('takes what comes after it left, and has it at the next time', () => {
    const board = two({ version }).load(1, 0)
    expect(board.leave(0)).toBe(false)
    board.int(0).load(1, 0)
    expect(board.drain()).toEqual([VLPI])
  })

  it('keeps the register while Valid is set; another field written then is UNPREDICTABLE (43)', () => {
    const board = two({ version }).int(0).load(1, 0)
    const before = vpendbaser(board)
    board.startLoad(2, 0).wait()
    expect(vpendbaser(board)).toBe(before)
    expect(board.hppi()).toBe(VLPI)
    expect(board.unpredictable()).toContain('field-while-valid')
  })

  it('is taken by halves of GICR_VPENDBASER: the upper one has Valid', () => {
    const board = two({ version }).int(0)
    const at = board.vlpi(0, 0x78)
    if (version === '4.0') {
      board.gic.writeMmio64(board.vlpi(0, 0x70), BigInt(place.virtualConfiguration(1)) | 15n)
      board.gic.writeMmio(at, 4, place.virtualPending(1))
      board.gic.writeMmio(at + 4, 4, 0x8000_0000)
    } else {
      board.gic.writeMmio(at, 4, 1)
      board.gic.writeMmio(at + 4, 4, 0x8c00_0000)
    }
    expect(board.drain()).toEqual([VLPI])
    board.gic.writeMmio(at + 4, 4, 0)
    board.int(0)
    expect(board.virq()).toBe(0)
  })

  it('that leaves twice, or becomes resident twice, is as if once', () => {
    const board = two({ version }).int(0).load(1, 0).load(1, 0)
    expect(board.drain()).toEqual([VLPI])
    board.int(0).startPut(0).startPut(0).load(1, 0)
    expect(board.drain()).toEqual([VLPI])
  })

  it('is UNPREDICTABLE on two redistributors: the first keeps it', () => {
    const board = two({ version }).int(0).load(1, 0)
    if (version === '4.1') board.vmovp(1, 1)
    board.unpredictable()
    board.load(1, 1)
    expect(board.unpredictable()).toEqual(['resident-twice'])
    expect([board.virq(0), board.virq(1)]).toEqual([1, 0])
    expect(board.drain(0)).toEqual([VLPI])
    expect(board.leave(1)).toBe(false)
    expect(board.leave(0)).toBe(false)
  })

  it.each([
    ['zero', false],
    ['one', true],
  ] as const)(
    'has PendingLast of a disabled vLPI only by pendingLastDisabled: %s (36)',
    (pendingLastDisabled, last) => {
      const board = two({ version, choices: { pendingLastDisabled } })
      board.configure(1, VLPI, 0xa0, false).int(0)
      expect(board.load(1, 0).leave(0)).toBe(last)
      expect(board.clear(0).load(1, 0).leave(0)).toBe(false)
    },
  )

  it('is alone on its redistributor: another has its own at the same time', () => {
    const board = vpeBoard({ version }).mapVpe(1, 0).mapVpe(2, 1).mapVlpi(0, 1, VLPI).mapVlpi(1, 2, VLPI)
    board.load(1, 0).load(2, 1).int(1)
    expect([board.virq(0), board.virq(1)]).toEqual([0, 1])
    board.int(0)
    expect([board.drain(0), board.drain(1)]).toEqual([[VLPI], [VLPI]])
  })
})

describe('GICR_VPENDBASER of GICv4.1', () => {
  it('resets to nothing resident (30, 17)', () => {
    const board = new VpeBoard({ cpus: 1 })
    expect([vpendbaser(board), vpropbaser(board)]).toEqual([0n, 3n << 59n])
  })

  it('reads Valid, vPEID and the group enables as written while Valid is set (32)', () => {
    const board = two().load(2, 0, [1])
    const known = VALID | DIRTY | (3n << 58n) | 0xffffn
    expect(vpendbaser(board) & known).toBe(VALID | (1n << 58n) | 2n)
  })

  it('takes PendingLast written with Valid 0 to 1, whatever that means (46)', () => {
    const board = two().int(0).load(1, 0, [0, 1], PENDING_LAST)
    expect(board.drain()).toEqual([VLPI])
    expect(board.leave(0)).toBe(false)
  })

  it.each([
    ['zero', false],
    ['one', true],
  ] as const)(
    'has PendingLast of a disabled vSGI only by pendingLastDisabled: %s (36)',
    (pendingLastDisabled, last) => {
      const board = two({ choices: { pendingLastDisabled } })
      board.configureSgi(1, 4, { enabled: false }).sendSgi(1, 4).load(1, 0)
      expect(board.leave(0)).toBe(last)
    },
  )

  it.each([
    ['one', true, true],
    ['looked-up', false, true],
  ] as const)(
    'written PendingLast = 1 with Valid 1 to 0 reads by pendingLastWritten: %s (37)',
    (pendingLastWritten, none, some) => {
      const board = two({ choices: { pendingLastWritten } }).load(1, 0)
      expect(board.leave(0, { pendingLast: true })).toBe(none)
      board.int(0).load(1, 0)
      expect(board.leave(0, { pendingLast: true })).toBe(some)
    },
  )

  it.each([
    ['zero', false],
    ['one', true],
  ] as const)(
    'has PendingLast of groups that are not enabled by pendingLastOfGroup: %s (41)',
    (pendingLastOfGroup, last) => {
      const board = two({ choices: { pendingLastOfGroup } }).int(0).load(1, 0, [0])
      expect(board.virq()).toBe(0)
      expect(board.leave(0)).toBe(last)
      expect(board.load(1, 0).leave(0)).toBe(true)
    },
  )

  it.each([
    ['ignored', true],
    ['counts', false],
  ] as const)(
    'has PendingLast of a group that the guest disabled by pendingLastVeng: %s (45)',
    (pendingLastVeng, last) => {
      const board = two({ choices: { pendingLastVeng } }).int(0).load(1, 0).vmcr(0xff00_0001)
      expect(board.leave(0)).toBe(last)
    },
  )

  it.each([
    ['kept', [5]],
    ['lost', []],
  ] as const)(
    'keeps a vSGI of a group that is not enabled by vsgiOfDisabledGroup: %s (42)',
    (vsgiOfDisabledGroup, got) => {
      const board = two({ choices: { vsgiOfDisabledGroup } })
        .configureSgi(1, 5)
        .configureSgi(1, 6, { group: 0 })
      board.load(1, 0, [0]).sendSgi(1, 5).sendSgi(1, 6)
      expect([board.virq(), board.vfiq()]).toEqual([0, 1])
      board.leave(0)
      board.load(1, 0)
      expect(board.ack(0, 0)).toBe(6)
      board.eoi(6, 0, 0)
      expect(board.drain()).toEqual(got)
      // And one that is pending when the vPE becomes resident like that.
      board.leave(0)
      board.sendSgi(1, 5).load(1, 0, [0])
      board.leave(0)
      board.load(1, 0)
      expect(board.drain()).toEqual(got)
    },
  )

  it('does not make a vPE resident that is not mapped, or is mapped elsewhere (43)', () => {
    const board = two().mapVpe(3, 1).mapVlpi(2, 3, VLPI).int(2)
    board.load(9, 0)
    expect(board.unpredictable()).toEqual(['resident-unmapped'])
    expect([board.virq(), board.leave(0)]).toEqual([0, false])
    board.load(3, 0)
    expect(board.unpredictable()).toEqual(['resident-elsewhere'])
    expect([board.virq(), board.leave(0)]).toEqual([0, false])
    board.load(3, 1)
    expect(board.drain(1)).toEqual([VLPI])
  })

  it('reports Valid without a valid GICR_VPROPBASER, and the table changed while a vPE is resident (24)', () => {
    const board = two()
    board.gic.writeMmio64(board.vlpi(1, 0x70), 0n)
    board.load(1, 1)
    expect(board.unpredictable()).toEqual(['vpropbaser-invalid'])
    board.load(1, 0).gic.writeMmio64(board.vlpi(0, 0x70), 0n)
    expect(board.unpredictable()).toContain('vpropbaser-while-resident')
  })

  it('is Dirty from the write of Valid until that is done, and presents nothing meanwhile (31, 32)', () => {
    const board = two({ writeEffects: 'lagging' }).int(0).wait().startLoad(1, 0)
    expect([board.isDirty(0), board.virq()]).toEqual([true, 0])
    expect(board.gic.effects()).toEqual(['GICR_VPENDBASER[0].Dirty'])
    board.wait()
    expect([board.isDirty(0), board.virq()]).toEqual([false, 1])
    board.startPut(0)
    expect([board.isDirty(0), board.virq()]).toEqual([true, 0])
    board.wait()
    expect([board.isDirty(0), board.pendingLast(0)]).toEqual([false, true])
  })

  it('counts for PendingLast what comes while the vPE leaves, and then rings no doorbell (54)', () => {
    const board = two({ writeEffects: 'lagging' }).configureLpi(9000).unmapVpe(1)
    board.mapVpe(1, 0, { doorbell: 9000 }).wait().load(1, 0).startPut(0).int(0)
    board.gic.complete('ITS[0] command')
    board.wait()
    expect([board.pendingLast(0), board.doorbells()]).toEqual([true, []])
  })

  it('does what commands say to a vPE that becomes resident: none of it is lost while Dirty is set', () => {
    const board = two({ writeEffects: 'lagging' }).mapVlpi(2, 1, VLPI + 2)
    board.configureSgi(1, 1).configureSgi(1, 2).int(0).int(2).wait()
    board.sendSgi(1, 1).sendSgi(1, 2).startLoad(1, 0)
    expect(board.isDirty(0)).toBe(true)
    board.clear(0).vmovi(2, 2).clearSgi(1, 1).configureSgi(1, 2, { priority: 0x20 })
    while (board.gic.effects().includes('ITS[0] command')) board.gic.complete('ITS[0] command')
    expect(board.isDirty(0)).toBe(true)
    board.gic.writeMmio(board.vlpi(0, 0x80), 4, 1)
    board.gic.complete('GICR_VSGIPENDR[0].Busy')
    expect(board.gic.readMmio(board.vlpi(0, 0x88), 4)).toBe(4)
    board.wait()
    expect(board.ack()).toBe(2)
    expect(board.running()).toBe(0x20)
    board.eoi(2)
    expect(board.drain()).toEqual([])
    board.leave(0)
    board.configure(2, VLPI + 2).load(2, 0)
    expect(board.drain()).toEqual([VLPI + 2])
  })

  it('written while Dirty is set completes what is under way, and is reported (43)', () => {
    const board = two({ writeEffects: 'lagging' }).int(0).wait().startLoad(1, 0).startPut(0)
    expect(board.unpredictable()).toEqual(['valid-while-dirty'])
    board.startLoad(1, 0)
    expect(board.unpredictable()).toEqual(['valid-while-dirty'])
    board.wait()
    expect(board.drain()).toEqual([VLPI])
  })
})

describe('GICR_VPENDBASER of GICv4.0', () => {
  const board40 = (options = {}): VpeBoard => two({ version: '4.0', ...options })

  it('is Dirty while a vPE leaves, and not while it becomes resident', () => {
    const board = board40({ writeEffects: 'lagging' }).int(0).wait().startLoad(1, 0)
    expect([board.isDirty(0), board.virq()]).toEqual([false, 0])
    board.wait()
    expect(board.virq()).toBe(1)
    board.startPut(0)
    expect(board.isDirty(0)).toBe(true)
    board.wait()
    expect([board.isDirty(0), board.pendingLast(0)]).toEqual([false, true])
  })

  it('has the size that GICR_VPROPBASER says: vLPIs above it wait in the table', () => {
    const board = board40().mapVlpi(2, 1, 20_000).int(2).int(0)
    board.gic.writeMmio64(board.vlpi(0, 0x70), BigInt(place.virtualConfiguration(1)) | 13n)
    board.gic.writeMmio64(board.vlpi(0, 0x78), VALID | BigInt(place.virtualPending(1)))
    expect(board.drain()).toEqual([VLPI])
    board.leave(0)
    expect(board.inTable(1, 20_000)).toBe(true)
    board.load(1, 0)
    expect(board.drain()).toEqual([20_000])
  })

  it.each([
    ['arch', []],
    ['qemu-7.2', [9000]],
  ] as const)(
    'has IDAI say whether what software wrote is looked at, but with profile %s',
    (profile, got) => {
      const board = board40({ profile }).configure(1, 9000)
      board.ram.setBit(place.virtualPending(1), 9000)
      board.load(1, 0)
      expect(board.drain()).toEqual(got)
      board.leave(0)
      board.ram.setBit(place.virtualPending(1), 9001)
      board.configure(1, 9001).loadUnbelieved(1, 0)
      expect(board.drain()).toContain(9001)
    },
  )
})

describe('GICR_VPROPBASER of GICv4.1', () => {
  it('has Entry_Size fixed, and reads the rest as written (16, 18)', () => {
    const board = vpeBoard({ cpus: 1 })
    const written = VALID | (1n << 55n) | (1n << 53n) | 0x4200_0000n | 0x7fn
    board.gic.writeMmio64(board.vlpi(0, 0x70), written)
    expect(vpropbaser(board)).toBe(written | (3n << 59n))
    board.gic.writeMmio64(board.vlpi(0, 0x70), VALID | (3n << 53n) | (7n << 59n))
    expect(vpropbaser(board)).toBe(VALID | (2n << 53n) | (3n << 59n))
  })

  it.each([
    ['zero', 0n],
    ['as-written', 1n],
  ] as const)('reads Z by the choice vpropbaserZ: %s (25)', (vpropbaserZ, z) => {
    const board = vpeBoard({ cpus: 1, choices: { vpropbaserZ } })
    board.gic.writeMmio64(board.vlpi(0, 0x70), VALID | (1n << 52n) | 0x4200_0000n)
    expect((vpropbaser(board) >> 52n) & 1n).toBe(z)
  })

  it('has Valid cleared with no write pending in GICR_CTLR.RWP (26)', () => {
    const board = vpeBoard()
    board.gic.writeMmio64(board.vlpi(0, 0x70), 0n)
    expect(board.gic.readMmio(board.rd(0), 4) & 8).toBe(0)
    board.mapVpe(1, 0).load(1, 0)
    expect(board.unpredictable()).toContain('vpropbaser-invalid')
  })
})
