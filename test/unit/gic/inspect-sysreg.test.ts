/** A system register as a value, for a debugger: what it reads, and none of what a read does. */
import { Gic, HCR_EL2, ICC_IAR1_EL1, ICC_PMR_EL1, ICC_SGI1R_EL1, ICH_HCR_EL2, ichLr } from 'vgic'
import { describe, expect, it } from 'vitest'
import { Board } from '../../kit/board.ts'

describe('a register that is inspected', () => {
  it('has its value, both halves of it, without the side effects of a read', () => {
    const board = new Board({ cpus: 2 }).booted()
    const { gic } = board
    gic.setPpi(1, 27, 1)
    gic.writeSysreg64(1, ichLr(0), 0x9050_0000_0000_0028n, 2)
    const before = gic.hash()
    expect(gic.inspectSysreg(1, ICC_IAR1_EL1).value).toBe(27n)
    expect(gic.inspectSysreg(1, ICC_PMR_EL1).value).toBe(0xf8n)
    expect(gic.inspectSysreg(1, ichLr(0)).value).toBe(0x9050_0000_0000_0028n)
    expect([gic.hash(), board.irq(1)]).toEqual([before, 1])
  })

  it('is refused where an access would trap or is UNDEFINED', () => {
    const gic = new Gic({ cpus: 1 })
    const refusal = /^ICC_PMR_EL1 cannot be read now: the access would trap or is UNDEFINED\.$/
    gic.writeSysreg(0, HCR_EL2, 0x18, 2)
    gic.writeSysreg(0, ICH_HCR_EL2, 0x400, 2)
    expect(() => gic.inspectSysreg(0, ICC_PMR_EL1)).toThrow(refusal)
    expect(() => gic.inspectSysreg(0, ichLr(15))).toThrow('ICH_LR15_EL2 cannot be read now')
    expect(() => gic.inspectSysreg(0, ICC_SGI1R_EL1)).toThrow('ICC_SGI1R_EL1 cannot be read now')
    gic.writeSysreg(0, ICH_HCR_EL2, 0, 2)
    expect(gic.inspectSysreg(0, ICC_PMR_EL1).value).toBe(0n)
  })
})
