/** What a host may watch: every access, and what a guest does wrong in silence. */
import {
  type AccessEvent,
  Gic,
  type GicConfig,
  type GuestErrorEvent,
  HCR_EL2,
  ICC_IAR1_EL1,
  ICC_PMR_EL1,
  ICC_SGI1R_EL1,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { GICD, GICR, ONES } from '../../kit/frames.ts'
import { gits, ItsBoard, its, Ram } from './its/its-board.ts'

function watched(config: Partial<GicConfig> = {}) {
  const accesses: AccessEvent[] = []
  const errors: GuestErrorEvent[] = []
  const gic = new Gic(
    { cpus: 2, ...config },
    { onAccess: (event) => accesses.push(event), onGuestError: (event) => errors.push(event) },
  )
  return { gic, accesses, errors }
}

describe('an access that is watched', () => {
  it('is told with its register and its value', () => {
    const { gic, accesses } = watched()
    gic.writeMmio(GICD + 0x104, 4, 0x8000_0100)
    gic.readMmio(GICD + 0x104, 4)
    gic.writeMmio64(GICD + 0x6000 + 8 * 40, 0x1_0000_0203n)
    gic.readMmio64(GICD + 0x6000 + 8 * 40)
    gic.readMmio(GICR + 0x2_0008, 8)
    const told = accesses.map((event) => ({ ...event, size: event.kind === 'mmio' ? event.size : 0 }))
    expect(told).toMatchObject([
      { kind: 'mmio', access: 'write', address: GICD + 0x104, size: 4, name: 'GICD_ISENABLER1' },
      { access: 'read', address: GICD + 0x104, size: 4, value: 0x8000_0100n, name: 'GICD_ISENABLER1' },
      { access: 'write', address: GICD + 0x6140, size: 8, value: 0x1_0000_0203n, name: 'GICD_IROUTER40' },
      { access: 'read', address: GICD + 0x6140, size: 8, value: 0x1_0000_0203n, name: 'GICD_IROUTER40' },
      { access: 'read', address: GICR + 0x2_0008, size: 8, value: 0x1_0100_0111n, name: 'GICR_TYPER' },
    ])
  })

  it('is told for system registers with what it trapped to', () => {
    const { gic, accesses } = watched()
    gic.writeSysreg(1, ICC_PMR_EL1, 0xf0, 1)
    gic.writeSysreg64(0, HCR_EL2, 0x10n, 2)
    gic.writeSysreg64(0, ICC_SGI1R_EL1, 1n << 40n, 1)
    const trap = gic.lastTrap
    gic.readSysreg(1, ICC_IAR1_EL1, 1)
    gic.readSysreg(0, 0xffff, 1)
    expect(trap).not.toBe(0)
    expect(accesses).toMatchObject([
      { kind: 'sysreg', access: 'write', cpu: 1, name: 'ICC_PMR_EL1', value: 0xf0n, trap: 0 },
      { access: 'write', cpu: 0, name: 'HCR_EL2', value: 0x10n },
      { access: 'write', name: 'ICC_SGI1R_EL1', value: 1n << 40n, trap },
      { access: 'read', cpu: 1, name: 'ICC_IAR1_EL1', value: 1023n },
      { access: 'read', cpu: 0, name: 'S3_7_C15_C15_7', value: 0n, trap: 1 << 25 },
    ])
  })

  it('is told after its outputs, and the host may make accesses then', () => {
    const told: string[] = []
    const gic = new Gic(
      { cpus: 1 },
      {
        setLine: (_cpu, line, level) => told.push(`${line} ${level}`),
        onAccess: ({ name, access }) => {
          told.push(`${access} ${name}`)
          if (name === 'GICR_WAKER' && access === 'write') gic.readSysreg(0, ICC_PMR_EL1, 1)
        },
      },
    )
    gic.writeMmio(GICD, 4, 2)
    gic.writeMmio(GICD + 0x84, 4, ONES)
    gic.writeMmio(GICD + 0x104, 4, ONES)
    gic.setSpi(40, 1)
    told.splice(0)
    gic.writeMmio(GICR + 0x14, 4, 0)
    expect(told).toEqual(['wakeRequest 0', 'write GICR_WAKER', 'read ICC_PMR_EL1'])
  })

  it('keeps its own syndrome, whatever the host accesses when it is told', () => {
    const gic: Gic = new Gic(
      { cpus: 2 },
      { onAccess: ({ name }) => name !== 'ICC_PMR_EL1' && gic.readSysreg(1, ICC_PMR_EL1, 1) },
    )
    gic.readSysreg(0, 0xffff, 1)
    expect([gic.lastTrap, gic.lastWasUndefined]).toEqual([1 << 25, true])
  })

  it('is not told if it is to no frame of the GIC', () => {
    const { gic, accesses, errors } = watched()
    gic.readMmio(0x4000_0000, 4)
    gic.writeMmio(0x4000_0001, 4, 0)
    expect([accesses, errors]).toEqual([[], []])
  })

  it('leaves the state as it is unwatched', () => {
    const [{ gic }, other] = [watched(), new Gic({ cpus: 2 })]
    for (const each of [gic, other]) {
      each.writeMmio(GICD, 4, 3)
      each.readSysreg(0, ICC_IAR1_EL1, 1)
      each.readMmio(GICD + 1, 2)
    }
    expect(gic.hash()).toBe(other.hash())
    expect(gic.snapshot()).toEqual(other.snapshot())
  })
})

describe("a guest's error", () => {
  it.each([
    ['no-register', (gic: Gic) => gic.readMmio(GICD + 0x40, 4)],
    ['no-register', (gic: Gic) => gic.writeMmio(GICR + 0x40, 8, 8192)],
    ['size', (gic: Gic) => gic.writeMmio(GICD + 0x104, 1, 1)],
    ['size', (gic: Gic) => gic.readMmio(GICD, 8)],
    ['size', (gic: Gic) => gic.readMmio(GICD, 3)],
    ['unaligned', (gic: Gic) => gic.readMmio(GICD + 0x102, 4)],
    ['read-only', (gic: Gic) => gic.writeMmio(GICD + 4, 4, 0)],
    ['read-only', (gic: Gic) => gic.writeMmio64(GICR + 8, 0n)],
    ['gicv2', (gic: Gic) => gic.writeMmio(GICD + 0x820, 4, 0x0101_0101)],
    ['gicv2', (gic: Gic) => gic.writeMmio(GICD + 0xf00, 4, 0)],
  ] as const)('%s', (error, access) => {
    const { gic, errors } = watched()
    access(gic)
    expect(errors).toMatchObject([{ kind: 'access', error }])
  })

  it('says what it is', () => {
    const { gic, errors } = watched()
    gic.writeMmio(GICD + 0x820, 4, 1)
    expect(errors).toMatchObject([
      {
        access: 'write',
        name: 'GICD_ITARGETSR8',
        value: 1n,
        what: 'write of 4 bytes at GICD_ITARGETSR8 (0x8000820): a register of GICv2, which does nothing under affinity routing (GICD_CTLR.ARE is 1).',
      },
    ])
  })

  it.each([-1, -8, Number.NEGATIVE_INFINITY, Number.NaN, 0, 0.5, 16])(
    'may have any size, as %d: nothing comes of it',
    (size) => {
      const { gic, accesses, errors } = watched()
      expect(gic.readMmio(GICD, size)).toBe(0)
      gic.writeMmio(GICD, size, 0xffff_ffff)
      expect(errors).toMatchObject([{ error: 'size' }, { error: 'size' }])
      expect(accesses).toMatchObject([{ value: 0n }, { value: 0xffff_ffffn }])
    },
  )

  it('is none of what one Security state or a missing feature makes RAZ/WI, nor of what a driver does right', () => {
    const { gic, errors } = watched()
    gic.writeMmio(GICD + 0xd04, 4, ONES)
    gic.writeMmio(GICD + 0x10, 4, ONES)
    gic.readMmio(GICD + 0xffe8, 4)
    gic.readMmio(GICR + 8, 4)
    gic.writeMmio(GICD + 0x428, 1, 0xa0)
    expect(errors).toEqual([])
  })

  it('is a command that the ITS refuses, of which onError hears too', () => {
    const errors: GuestErrorEvent[] = []
    const board = new ItsBoard({}, undefined, (own) => {
      return new Gic(
        { cpus: 2, spis: 64, its: [{ base: 0x0808_0000 }] },
        { ...own.host, onGuestError: (event) => errors.push(event) },
      )
    }).booted()
    board.send(its.mapd(1, 31))
    expect(errors).toMatchObject([{ kind: 'command', name: 'MAPD_ITTSIZE_OOR' }])
    expect(board.gic.readMmio(gits.CREADR, 4)).toBeGreaterThan(0)
  })
})

describe('a host that watches something', () => {
  type Listeners = Parameters<typeof Gic.from>[1]
  const board = (listeners: Listeners): ItsBoard => {
    const ram = new Ram()
    const host = { memory: ram, ...listeners }
    return new ItsBoard(
      {},
      ram,
      () => new Gic({ cpus: 2, spis: 64, its: [{ base: gits.CTLR }] }, host),
    ).booted()
  }
  /** A command that the ITS refuses, a message that it drops, and an access that memory refuses. */
  const fail = (made: ItsBoard): void => {
    made.send(its.discard(1, 9))
    made.gic.sendMsi(5, 0)
    made.ram.refuses = () => true
    made.send(its.sync(0))
  }

  it('hears of errors of each kind with onError, also without onGuestError', () => {
    const kinds: string[] = []
    fail(board({ onError: ({ kind }) => kinds.push(kind) }))
    expect(kinds).toEqual(['command', 'msi', 'memory'])
  })

  it('hears of commands alone with onGuestError, also without onError', () => {
    const errors: string[] = []
    fail(board({ onGuestError: (event) => errors.push(event.kind) }))
    expect(errors).toEqual(['command'])
  })

  it('may watch nothing', () => {
    const made = board({})
    expect(() => fail(made)).not.toThrow()
    expect(() =>
      new ItsBoard({ unpredictable: 'report' }).booted().gic.writeMmio(made.redistributor(0), 4, 0),
    ).not.toThrow()
  })

  it.each([
    [1, 0xa8n],
    [2, 0xa5a8n],
    [4, 0xffff_a5a8n],
  ] as const)('is told the %i bytes that are written, and no more', (size, value) => {
    const { gic, accesses } = watched()
    gic.writeMmio(GICD + 0x420, size, 0xffff_a5a8)
    expect(accesses).toMatchObject([{ size, value }])
  })
})
