/** What the host hears: which outputs move, when, and in which order. */
import {
  Gic,
  HCR_EL2,
  ICC_IAR0_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICH_HCR_EL2,
  ICH_VMCR_EL2,
  ichLr,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { Board, type Change } from '../../../kit/board.ts'
import {
  GICD,
  IGROUPR,
  ISENABLER,
  ISPENDR,
  redistributor,
  sgiBase,
  WAKER,
  wordOf,
} from '../../../kit/frames.ts'
import { lr } from '../../../kit/virtual-interface.ts'

describe('setLine', () => {
  it('is called for a change only, once', () => {
    const board = new Board().booted()
    board.gic.setPpi(1, 27, 1)
    board.gic.setPpi(1, 30, 1)
    expect(board.heard()).toEqual(['1 irq'])
    board.gic.writeSysreg(1, ICC_PMR_EL1, 0, 1)
    board.gic.writeSysreg(1, ICC_PMR_EL1, 0, 1)
    expect(board.heard()).toEqual(['1 irq low'])
  })

  it('is called when an input that is masked is unmasked at any of its gates, and when it is masked there', () => {
    const board = new Board().booted()
    board.gic.setSpi(40, 1)
    expect(board.heard()).toEqual(['0 irq'])
    const gates: [() => void, () => void][] = [
      [() => board.set('ICENABLER', 40), () => board.set('ISENABLER', 40)],
      [() => board.gic.writeMmio(GICD, 4, 1), () => board.gic.writeMmio(GICD, 4, 2)],
      [
        () => board.gic.writeSysreg(0, ICC_IGRPEN1_EL1, 0, 1),
        () => board.gic.writeSysreg(0, ICC_IGRPEN1_EL1, 1, 1),
      ],
      [
        () => board.gic.writeSysreg(0, ICC_PMR_EL1, 0, 1),
        () => board.gic.writeSysreg(0, ICC_PMR_EL1, 0xf0, 1),
      ],
      [() => board.set('ISACTIVER', 40), () => board.set('ICACTIVER', 40)],
      [() => board.priority(40, 0xf8), () => board.priority(40, 0x80)],
      [() => board.route(40, 0x77), () => board.route(40, 0)],
      [() => board.gic.setSpi(40, 0), () => board.gic.setSpi(40, 1)],
    ]
    for (const [close, open] of gates) {
      close()
      open()
      expect(board.heard()).toEqual(['0 irq low', '0 irq'])
    }
  })

  it('is called after the access is complete: what it reads is the state after it, and it may call back', () => {
    const seen: unknown[] = []
    const gic: Gic = new Gic(
      { cpus: 2 },
      {
        setLine(cpu, line, level) {
          seen.push([cpu, line, level, gic.line(cpu, line), gic.readMmio(wordOf(ISPENDR, 32), 4)])
          // A device that answers at once: its line to CPU 1 follows CPU 0's interrupt.
          if (cpu === 0) gic.setPpi(1, 27, level)
        },
      },
    )
    gic.writeMmio(GICD, 4, 2)
    gic.writeMmio(wordOf(IGROUPR, 32), 4, 0x100)
    gic.writeMmio(wordOf(ISENABLER, 32), 4, 0x100)
    for (const cpu of [0, 1]) {
      gic.writeMmio(redistributor(cpu) + WAKER, 4, 0)
      gic.writeMmio(sgiBase(cpu) + IGROUPR, 4, 0xffff_ffff)
      gic.writeMmio(sgiBase(cpu) + ISENABLER, 4, 0xffff_ffff)
      gic.writeSysreg(cpu, ICC_PMR_EL1, 0xff, 1)
      gic.writeSysreg(cpu, ICC_IGRPEN1_EL1, 1, 1)
    }
    gic.setSpi(40, 1)
    gic.setSpi(40, 0)
    expect(seen).toEqual([
      [0, 'irq', 1, 1, 0x100],
      [1, 'irq', 1, 1, 0x100],
      [0, 'irq', 0, 0, 0],
      [1, 'irq', 0, 0, 0],
    ])
  })

  describe('that answers with an access of its own', () => {
    /** CPU 0 with SPI 40 pending in group 1, and a host that does `answer` when CPU 0's IRQ falls. */
    const answering = (answer: (gic: Gic) => void) => {
      const heard: Change[] = []
      const board = new Board({}, (change, gic) => {
        heard.push(change)
        if (change === '0 irq low') answer(gic)
      }).booted()
      board.gic.setSpi(40, 1)
      heard.length = 0
      return { board, heard }
    }

    it('hears of each change once, and last of the level that an output has', () => {
      // A higher group 0 interrupt takes the IRQ's place as FIQ; the host acknowledges it before it has heard of it.
      const { board, heard } = answering((gic) => gic.readSysreg(0, ICC_IAR0_EL1, 1))
      board.group0(41)
      board.priority(40, 0x80)
      board.gic.setSpi(41, 1)
      expect(heard).toEqual(['0 irq low'])
      expect([board.fiq(), board.running()]).toEqual([0, 0])
    })

    it('does not disturb the access that is under way: neither its upper half nor its syndrome', () => {
      const { board } = answering((gic) => {
        gic.readSysreg64(0, ichLr(0), 2)
        gic.readSysreg(1, ICH_HCR_EL2, 1)
        expect(gic.lastWasUndefined).toBe(true)
      })
      board.gic.writeSysreg64(0, ichLr(0), lr({ group: 1, priority: 0x80, vintid: 40 }), 2)
      expect(board.gic.readSysreg64(0, ICC_IAR1_EL1, 1)).toBe(40n)
      expect(board.gic.lastTrap).toBe(0)
    })

    it('takes a snapshot that continues as the GIC it is of', () => {
      let image: ArrayBuffer | undefined
      const { board } = answering((gic) => {
        image ??= gic.snapshot()
      })
      board.gic.setPpi(1, 27, 1)
      // Moves the outputs of two CPUs.
      board.gic.writeMmio(GICD, 4, 0)
      const copy = Gic.from(image as ArrayBuffer)
      expect([copy.line(0, 'irq'), copy.line(1, 'irq'), copy.hash()]).toEqual([0, 0, board.gic.hash()])
    })

    it('goes back to a snapshot', () => {
      let image: ArrayBuffer | undefined
      const { board, heard } = answering((gic) => gic.restore(image as ArrayBuffer))
      image = board.gic.snapshot()
      board.gic.writeMmio(GICD, 4, 0)
      expect(heard).toEqual(['0 irq low', '0 irq'])
      expect([board.irq(), board.gic.hash()]).toEqual([1, Gic.from(image).hash()])
    })
  })

  it('is called for the virtual lines of the PE whose registers were accessed', () => {
    const board = new Board().booted()
    board.gic.writeSysreg(2, HCR_EL2, 0x18, 2)
    board.gic.writeSysreg(2, ICH_HCR_EL2, 1, 2)
    board.gic.writeSysreg(2, ICH_VMCR_EL2, 0xf84c_000b, 2)
    board.gic.writeSysreg64(2, ichLr(0), lr({ group: 1, priority: 0x80, vintid: 40 }), 2)
    board.gic.writeSysreg64(2, ichLr(1), lr({ group: 0, priority: 0x40, vintid: 41 }), 2)
    expect(board.heard()).toEqual(['2 virq', '2 virq low', '2 vfiq'])
    expect([board.gic.line(2, 'virq'), board.gic.line(2, 'vfiq')]).toEqual([0, 1])
  })
})

it('an output that is none, or of no CPU, is refused', () => {
  const { gic } = new Board()
  expect(() => gic.line(0, 'nmi' as 'irq')).toThrow(
    'line must be "virq", "vfiq", "irq", "fiq", "wakeRequest" or "maintenance", but is "nmi".',
  )
  expect(() => gic.line(4, 'irq')).toThrow('cpu must be an integer from 0 to 3')
})

describe('a snapshot', () => {
  it('that is restored moves the outputs that differ, and only those', () => {
    const board = new Board().booted()
    board.gic.setPpi(1, 27, 1)
    const image = board.gic.snapshot()
    board.gic.setPpi(1, 27, 0)
    board.gic.setPpi(2, 27, 1)
    board.heard()
    board.gic.restore(image)
    expect(board.heard()).toEqual(['1 irq', '2 irq low'])
    board.gic.restore(image)
    expect(board.heard()).toEqual([])
  })

  it('that is opened tells its host of the outputs that are high', () => {
    const board = new Board().booted()
    board.gic.setPpi(1, 27, 1)
    const heard: unknown[] = []
    const gic = Gic.from(board.gic.snapshot(), { setLine: (...change) => heard.push(change) })
    expect(heard).toEqual([[1, 'irq', 1]])
    gic.setPpi(1, 27, 0)
    expect(heard.at(-1)).toEqual([1, 'irq', 0])
  })
})
