/** Encodings of system registers, and the syndromes of accesses and waits that trap. */
import { describe, expect, it } from 'vitest'
import { HCR_EL2 } from '../../../src/arch/hcr-el2.ts'
import {
  ICC_DIR_EL1,
  ICC_IAR1_EL1,
  ICC_PMR_EL1,
  ICC_SGI1R_EL1,
  iccRegisters,
} from '../../../src/arch/icc-registers.ts'
import { ICH_VMCR_EL2, ichLr, ichRegisters } from '../../../src/arch/ich-registers.ts'
import { sysregName } from '../../../src/arch/register-value.ts'
import { ESR_EC, ESR_UNDEFINED, ESR_WFE, ESR_WFI, sysregSyndrome } from '../../../src/arch/syndrome.ts'
import { encodeSysreg, genericSysregName } from '../../../src/arch/sysreg.ts'

describe('a system register encoding', () => {
  it('is op0:op1:CRn:CRm:op2 in 2, 3, 4, 4 and 3 bits', () => {
    expect(encodeSysreg(3, 0, 12, 12, 0)).toBe(0b11_000_1100_1100_000)
    expect(encodeSysreg(3, 7, 15, 15, 7)).toBe(0xffff)
    expect(encodeSysreg(0, 0, 0, 0, 0)).toBe(0)
  })

  it('is what KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS calls the register', () => {
    // Documentation/virt/kvm/devices/arm-vgic-v3.rst: bits 15:0 of the attribute are Op0|Op1|CRn|CRm|Op2.
    expect(ICC_PMR_EL1).toBe(0xc230)
    expect(ICC_IAR1_EL1).toBe(0xc660)
    expect(ICH_VMCR_EL2).toBe(0xe65f)
    expect(ichLr(0)).toBe(0xe660)
    expect(ichLr(8)).toBe(0xe668)
    expect(ichLr(15)).toBe(0xe66f)
  })

  it('has a generic name that the assembler takes', () => {
    expect(genericSysregName(ICC_IAR1_EL1)).toBe('S3_0_C12_C12_0')
    expect(genericSysregName(ICH_VMCR_EL2)).toBe('S3_4_C12_C11_7')
    expect(genericSysregName(encodeSysreg(2, 7, 1, 14, 5))).toBe('S2_7_C1_C14_5')
  })

  it('has its register’s name, and the generic one where no register of the GIC is', () => {
    for (const { name, encoding } of [...iccRegisters, ...ichRegisters])
      expect(sysregName(encoding)).toBe(name)
    expect(sysregName(HCR_EL2)).toBe('HCR_EL2')
    expect(sysregName(encodeSysreg(2, 7, 1, 14, 5))).toBe('S2_7_C1_C14_5')
  })

  it('is recovered from the generic name, for every register', () => {
    for (const { encoding } of [...iccRegisters, ...ichRegisters]) {
      const parts =
        /^S(\d)_(\d)_C(\d+)_C(\d+)_(\d)$/.exec(genericSysregName(encoding))?.slice(1).map(Number) ?? []
      const [op0 = 0, op1 = 0, crn = 0, crm = 0, op2 = 0] = parts
      expect(encodeSysreg(op0, op1, crn, crm, op2)).toBe(encoding)
    }
  })
})

describe('a syndrome', () => {
  const rt = (n: number) => n << 5

  it('of a trapped MRS of ICC_IAR1_EL1 is what a hypervisor reads in ESR_EL2', () => {
    expect(sysregSyndrome(ICC_IAR1_EL1, true)).toBe(0x62303019)
  })

  it('of a trapped MSR of ICC_SGI1R_EL1 from X2 is so too, with Rt put in', () => {
    expect(sysregSyndrome(ICC_SGI1R_EL1, false) | rt(2)).toBe(0x623a3056)
  })

  it('of a trapped MSR of ICC_DIR_EL1 from X0 has op2 in bits 19:17 and direction 0', () => {
    // EC 0x18, IL, op0 3, op2 1, op1 0, CRn 12, CRm 11, write.
    expect(sysregSyndrome(ICC_DIR_EL1, false)).toBe(0x62323016)
  })

  it('of every register is unsigned, of EC 0x18, with IL and without Rt', () => {
    for (const { encoding } of [...iccRegisters, ...ichRegisters]) {
      const [read, write] = [sysregSyndrome(encoding, true), sysregSyndrome(encoding, false)]
      expect(read - write).toBe(1)
      expect(ESR_EC(read)).toBe(0x18)
      expect((read >>> 25) & 1).toBe(1)
      expect((read >>> 5) & 0x1f).toBe(0)
      const parts = [
        (read >>> 20) & 3,
        (read >>> 14) & 7,
        (read >>> 10) & 15,
        (read >>> 1) & 15,
        (read >>> 17) & 7,
      ]
      const [op0 = 0, op1 = 0, crn = 0, crm = 0, op2 = 0] = parts
      expect(encodeSysreg(op0, op1, crn, crm, op2)).toBe(encoding)
    }
  })

  it('of WFI and WFE is EC 1 with IL, CV, condition "always" and TI', () => {
    const always = 0x0400_0000 + 0x0200_0000 + 0x0100_0000 + 0x00e0_0000
    expect(ESR_WFI).toBe(always)
    expect(ESR_WFE).toBe(always + 1)
    expect([ESR_EC(ESR_WFI), ESR_EC(ESR_WFE)]).toEqual([1, 1])
  })

  it('of an UNDEFINED instruction is EC 0 with IL alone', () => {
    expect(ESR_UNDEFINED).toBe(0x0200_0000)
    expect(ESR_EC(ESR_UNDEFINED)).toBe(0)
  })

  it('gives its class also where it comes as a negative 32-bit number', () => {
    expect(ESR_EC((0x3c << 26) | 0)).toBe(0x3c)
  })
})
