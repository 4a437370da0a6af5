/** The PE: which interrupt lines it samples, and what its WFI and WFE do. */
import { Gic, HCR_EL2, ICC_IAR1_EL1, ICH_HCR_EL2, ICH_VMCR_EL2, ISR_EL1, ichLr } from 'vgic'
import { describe, expect, it } from 'vitest'
import { lr } from '../../../kit/virtual-interface.ts'

const FMO = 0x08
const IMO = 0x10
const TWI = 0x2000
const TWE = 0x4000
/** ESR_EL2 of a WFI: EC 1, IL, CV with condition 0xe (always). A WFE has TI = 1. */
const ESR_WFI = 0x07e0_0000
const ESR_WFE = 0x07e0_0001

type Pending = 'none' | 'irq' | 'fiq'

/** A CPU at an exception level with HCR_EL2 as given, and a virtual interrupt pending in a list register or not. */
function machine(el: 0 | 1 | 2, hcrEl2: number, pending: Pending = 'none'): Gic {
  const gic = new Gic({ cpus: 2 })
  gic.writeSysreg(0, HCR_EL2, hcrEl2, 2)
  gic.writeSysreg(0, ICH_HCR_EL2, 1, 2)
  gic.writeSysreg64(0, ICH_VMCR_EL2, 0xff00_0003n, 2)
  if (pending !== 'none') setPending(gic, pending)
  gic.setExceptionLevel(0, el)
  // The exception return to EL1 or EL0 has set the event register.
  if (el < 2) expect(gic.wfe(0)).toBe('completes')
  return gic
}
function setPending(gic: Gic, pending: Pending): void {
  const register = { group: pending === 'irq' ? 1 : 0, priority: 0x80, vintid: 40 } as const
  gic.writeSysreg64(0, ichLr(0), pending === 'none' ? 0n : lr(register), 2)
}
const masks = [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
] as const

describe('HCR_EL2', () => {
  it('is 0 after reset and reads as it was written, all 64 bits, on each CPU its own', () => {
    const gic = new Gic({ cpus: 2 })
    expect(gic.readSysreg64(0, HCR_EL2, 2)).toBe(0n)
    for (let bit = 0n; bit < 64n; bit++) {
      gic.writeSysreg64(0, HCR_EL2, 1n << bit, 2)
      expect(gic.readSysreg64(0, HCR_EL2, 2)).toBe(1n << bit)
      expect(gic.readSysreg(0, HCR_EL2, 2)).toBe(Number((1n << bit) & 0xffff_ffffn))
    }
    expect(gic.readSysreg64(1, HCR_EL2, 2)).toBe(0n)
  })

  it('keeps RW and VM when a hypervisor reads it, sets TWI and writes it back', () => {
    const gic = new Gic({ cpus: 1 })
    gic.writeSysreg64(0, HCR_EL2, 0x2_8000_003fn, 2)
    gic.writeSysreg64(0, HCR_EL2, gic.readSysreg64(0, HCR_EL2, 2) | 0x2000n, 2)
    expect(gic.readSysreg64(0, HCR_EL2, 2)).toBe(0x2_8000_203fn)
    expect(gic.wfi(0)).toBe('waits')
  })

  it('is zero-extended by a write of 32 bits', () => {
    const gic = new Gic({ cpus: 1 })
    gic.writeSysreg64(0, HCR_EL2, -1n, 2)
    gic.writeSysreg(0, HCR_EL2, 0x8000_0001, 2)
    expect(gic.readSysreg64(0, HCR_EL2, 2)).toBe(0x8000_0001n)
  })

  it('reads as 0, upper half too, and keeps its value where the access is UNDEFINED', () => {
    const gic = new Gic({ cpus: 1 })
    gic.writeSysreg64(0, HCR_EL2, -1n, 2)
    gic.writeSysreg64(0, HCR_EL2, 0n, 1)
    expect([gic.readSysreg64(0, HCR_EL2, 1), gic.lastWasUndefined]).toEqual([0n, true])
    expect(gic.readSysreg64(0, HCR_EL2, 2)).toBe(0xffff_ffff_ffff_ffffn)
  })

  it('is in images, hashes and differences as a whole', () => {
    const gic = new Gic({ cpus: 1 })
    const before = gic.snapshot()
    const hash = gic.hash()
    gic.writeSysreg64(0, HCR_EL2, 1n << 34n, 2)
    expect(gic.hash()).not.toBe(hash)
    expect(gic.diff(before)).toEqual([{ name: expect.any(String), field: 'E2H', before: 0, after: 1 }])
    expect(Gic.from(gic.snapshot()).readSysreg64(0, HCR_EL2, 2)).toBe(1n << 34n)
  })
})

describe('HCR_EL2.VI and VF', () => {
  /** Bits of HCR_EL2 that make a virtual interrupt pending and those that route it, and ISR_EL1's bit. */
  const both = [
    { name: 'VI', virtual: 0x80, routes: IMO, isr: 0x80, line: 'virq' },
    { name: 'VF', virtual: 0x40, routes: FMO, isr: 0x40, line: 'vfiq' },
  ] as const
  const cases = both.flatMap((one) =>
    ([0, 1, 2] as const).flatMap((el) =>
      [0, IMO, FMO, IMO | FMO].map((routing) => ({ ...one, el, routing })),
    ),
  )

  it.each(cases)(
    '$name at EL$el with routing $routing is pending for the PE below EL2 where it is routed',
    ({ virtual, routes, isr, el, routing }) => {
      const gic = machine(el, routing | virtual)
      const sampled = el < 2 && (routing & routes) !== 0
      if (el > 0) expect(gic.readSysreg(0, ISR_EL1)).toBe(sampled ? isr : 0)
      expect(gic.wfi(0)).toBe(sampled ? 'completes' : 'waits')
      expect(gic.wake(0)).toBe(sampled)
    },
  )

  it.each(both)('$name ends a WFI that waits, and a WFE only where PSTATE does not mask it', (one) => {
    for (const masked of [false, true]) {
      for (const wait of ['wfi', 'wfe'] as const) {
        const gic = machine(1, IMO | FMO)
        gic.setMasks(0, { irq: masked, fiq: masked })
        expect([gic[wait](0), gic.wake(0)]).toEqual(['waits', false])
        gic.writeSysreg(0, HCR_EL2, IMO | FMO | one.virtual, 2)
        expect(gic.wake(0)).toBe(wait === 'wfi' || !masked)
      }
    }
  })

  it.each(both)(
    '$name is nothing to an application of the hypervisor, which HCR_EL2.TGE says',
    ({ virtual }) => {
      const gic = machine(0, 0x800_0000 | IMO | FMO | virtual)
      expect([gic.wfi(0), gic.wake(0)]).toEqual(['waits', false])
      gic.writeSysreg(0, HCR_EL2, IMO | FMO | virtual, 2)
      expect(gic.wake(0)).toBe(true)
    },
  )

  it.each(both)('$name keeps a WFI from trapping', ({ virtual }) => {
    const gic = machine(1, IMO | FMO | TWI | virtual)
    expect(gic.wfi(0)).toBe('completes')
    gic.writeSysreg(0, HCR_EL2, IMO | FMO | TWI, 2)
    expect(gic.wfi(0)).toBe('traps')
  })

  it.each(both)('$name moves the output $line and no other, of its CPU alone', ({ virtual, line }) => {
    const heard: string[] = []
    const gic = new Gic({ cpus: 2 }, { setLine: (cpu, name, level) => heard.push(`${cpu} ${name} ${level}`) })
    gic.writeSysreg(1, HCR_EL2, IMO | FMO | virtual, 2)
    expect([gic.line(1, 'virq'), gic.line(1, 'vfiq')]).toEqual(line === 'virq' ? [1, 0] : [0, 1])
    gic.writeSysreg(1, HCR_EL2, IMO | FMO, 2)
    expect(heard).toEqual([`1 ${line} 1`, `1 ${line} 0`])
  })

  it('do not make an interrupt that could be acknowledged, nor hide one of a list register', () => {
    const gic = machine(1, IMO | FMO | 0xc0)
    expect(gic.readSysreg(0, ICC_IAR1_EL1)).toBe(1023)
    setPending(gic, 'irq')
    expect(gic.readSysreg(0, ICC_IAR1_EL1)).toBe(40)
    expect(gic.readSysreg(0, ISR_EL1)).toBe(0xc0)
  })
})

describe('the virtual interrupt lines', () => {
  const cases = ([0, 1, 2] as const).flatMap((el) =>
    [0, IMO, FMO, IMO | FMO].flatMap((hcrEl2) =>
      (['none', 'irq', 'fiq'] as const).map((pending) => ({ el, hcrEl2, pending })),
    ),
  )

  it.each(cases)(
    'reach a PE at EL$el with HCR_EL2 = $hcrEl2 and $pending pending only below EL2 and where they are routed',
    ({ el, hcrEl2, pending }) => {
      const gic = machine(el, hcrEl2, pending)
      // The GIC drives its lines whatever the PE does with them.
      expect(gic.line(0, 'virq')).toBe(pending === 'irq' ? 1 : 0)
      expect(gic.line(0, 'vfiq')).toBe(pending === 'fiq' ? 1 : 0)
      const sampled =
        el < 2 && ((pending === 'irq' && (hcrEl2 & IMO) !== 0) || (pending === 'fiq' && (hcrEl2 & FMO) !== 0))
      if (el > 0) {
        expect(gic.readSysreg(0, ISR_EL1)).toBe(!sampled ? 0 : pending === 'irq' ? 0x80 : 0x40)
      }
      expect(gic.wfi(0)).toBe(sampled ? 'completes' : 'waits')
    },
  )

  it('ISR_EL1 does not look at PSTATE', () => {
    const gic = machine(1, IMO | FMO, 'irq')
    for (const [irq, fiq] of masks) {
      gic.setMasks(0, { irq, fiq })
      expect(gic.readSysreg(0, ISR_EL1)).toBe(0x80)
    }
  })

  it('ISR_EL1 read by the hypervisor shows no virtual interrupt', () => {
    const gic = machine(2, IMO | FMO, 'irq')
    expect([gic.readSysreg(0, ISR_EL1), gic.readSysreg(0, ISR_EL1, 1)]).toEqual([0, 0x80])
  })
})

describe('WFI', () => {
  it('of a guest completes with a virtual interrupt pending, though PSTATE masks it and TWI is set', () => {
    for (const pending of ['irq', 'fiq'] as const) {
      for (const [irq, fiq] of masks) {
        const gic = machine(1, IMO | FMO | TWI, pending)
        gic.setMasks(0, { irq, fiq })
        expect(gic.wfi(0)).toBe('completes')
        expect(gic.lastTrap).toBe(0)
      }
    }
  })

  it('traps only when it would sleep and TWI is set', () => {
    for (const el of [0, 1] as const) {
      const gic = machine(el, IMO | FMO | TWI)
      expect(gic.wfi(0)).toBe('traps')
      expect(gic.lastTrap).toBe(ESR_WFI)
      expect(gic.lastWasUndefined).toBe(false)
      setPending(gic, 'irq')
      expect(gic.wfi(0)).toBe('completes')
    }
  })

  it('waits otherwise', () => {
    for (const twe of [0, TWE]) {
      const gic = machine(1, IMO | FMO | twe)
      expect(gic.wfi(0)).toBe('waits')
      expect(gic.lastTrap).toBe(0)
    }
  })

  it('of the hypervisor waits: TWI traps only from below EL2, and virtual interrupts do not wake EL2', () => {
    expect(machine(2, IMO | FMO | TWI, 'irq').wfi(0)).toBe('waits')
  })

  it('is not completed by an interrupt that the priority mask hides, or whose group is disabled', () => {
    const gic = machine(1, IMO | FMO | TWI, 'irq')
    gic.writeSysreg64(0, ICH_VMCR_EL2, 0x8000_0003n, 2)
    expect(gic.wfi(0)).toBe('traps')
    gic.writeSysreg64(0, ICH_VMCR_EL2, 0xff00_0001n, 2)
    expect(gic.wfi(0)).toBe('traps')
    gic.writeSysreg64(0, ICH_VMCR_EL2, 0xff00_0002n, 2)
    expect(gic.wfi(0)).toBe('completes')
  })

  it('after the acknowledge would sleep again', () => {
    const gic = machine(1, IMO | FMO | TWI, 'irq')
    expect(gic.wfi(0)).toBe('completes')
    expect(gic.readSysreg(0, ICC_IAR1_EL1)).toBe(40)
    expect(gic.wfi(0)).toBe('traps')
  })

  it('leaves the event register alone', () => {
    const gic = machine(1, IMO | FMO)
    gic.sev()
    expect(gic.wfi(0)).toBe('waits')
    expect(gic.wfe(0)).toBe('completes')
  })
})

describe('WFE', () => {
  it('completes with the event register set, and clears it', () => {
    for (const el of [0, 1, 2] as const) {
      const gic = machine(el, IMO | FMO | TWE)
      gic.sev()
      gic.sev()
      expect(gic.wfe(0)).toBe('completes')
      expect(gic.lastTrap).toBe(0)
      expect(gic.wfe(0)).toBe(el === 2 ? 'waits' : 'traps')
    }
  })

  it('traps when it would sleep and TWE is set, with TI = 1', () => {
    const gic = machine(1, IMO | FMO | TWE)
    expect(gic.wfe(0)).toBe('traps')
    expect(gic.lastTrap).toBe(ESR_WFE)
    expect(gic.wfi(0)).toBe('waits')
  })

  it('waits otherwise', () => {
    for (const twi of [0, TWI]) expect(machine(1, IMO | FMO | twi).wfe(0)).toBe('waits')
  })

  it('is completed by a virtual interrupt only where PSTATE does not mask it', () => {
    for (const pending of ['irq', 'fiq'] as const) {
      for (const [irq, fiq] of masks) {
        const gic = machine(1, IMO | FMO | TWE, pending)
        gic.setMasks(0, { irq, fiq })
        expect(gic.wfe(0)).toBe((pending === 'irq' ? irq : fiq) ? 'traps' : 'completes')
      }
    }
  })

  it('is masked after reset: PSTATE.I and F are set', () => {
    expect(machine(1, IMO | FMO | TWE, 'irq').wfe(0)).toBe('traps')
  })
})

describe('the event register', () => {
  it('is clear after reset', () => {
    expect(new Gic({ cpus: 1 }).wfe(0)).toBe('waits')
  })

  it('is set on every CPU by SEV', () => {
    const gic = new Gic({ cpus: 3 })
    gic.sev()
    expect([0, 1, 2].map((cpu) => gic.wfe(cpu))).toEqual(['completes', 'completes', 'completes'])
    expect([0, 1, 2].map((cpu) => gic.wfe(cpu))).toEqual(['waits', 'waits', 'waits'])
  })

  it('is set by the exception return into the guest, of that CPU alone', () => {
    const gic = new Gic({ cpus: 2 })
    gic.setExceptionLevel(0, 1)
    expect(gic.wfe(0)).toBe('completes')
    expect(gic.wfe(0)).toBe('waits')
    expect(gic.wfe(1)).toBe('waits')
  })

  it('is not set where the exception level stays what it is', () => {
    const gic = machine(1, IMO | FMO)
    gic.setExceptionLevel(0, 1)
    expect(gic.wfe(0)).toBe('waits')
  })

  it('is not set by an exception to EL2, and survives it', () => {
    const gic = machine(1, IMO | FMO)
    gic.setExceptionLevel(0, 2)
    expect(gic.wfe(0)).toBe('waits')
    gic.setExceptionLevel(0, 1)
    gic.setExceptionLevel(0, 2)
    expect(gic.wfe(0)).toBe('completes')
  })
})

describe('the exception level', () => {
  it('is 2 after reset, and decides where an access without a level is made', () => {
    const gic = machine(2, IMO | FMO, 'irq')
    expect(gic.readSysreg(0, ICH_HCR_EL2)).toBe(1)
    expect(gic.lastTrap).toBe(0)
    gic.setExceptionLevel(0, 1)
    expect(gic.readSysreg(0, ICH_HCR_EL2)).toBe(0)
    expect(gic.lastWasUndefined).toBe(true)
    expect(gic.readSysreg(0, ICC_IAR1_EL1)).toBe(40)
    gic.setExceptionLevel(0, 0)
    expect(gic.readSysreg(0, ICC_IAR1_EL1)).toBe(0)
    expect(gic.lastWasUndefined).toBe(true)
  })
})
