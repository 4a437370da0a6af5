/** How registers are declared: their views tile the register, and print and give their fields. */
import { describe, expect, it } from 'vitest'
import {
  describeRegister,
  extractField,
  field,
  type RegisterView,
  res0,
  view,
} from '../../../src/arch/field.ts'
import { HCR_EL2_REGISTER, HCR_EL2_VIEW } from '../../../src/arch/hcr-el2.ts'
import { ICV_CTLR_VIEW, iccRegisters } from '../../../src/arch/icc-registers.ts'
import {
  ICH_HCR_VIEW,
  ICH_LR_HW_VIEW,
  ICH_LR_VIEW,
  ICH_VMCR_LEGACY_VIEW,
  ICH_VMCR_VIEW,
  ICH_VTR_VIEW,
  ichRegisters,
} from '../../../src/arch/ich-registers.ts'
import { icvRegisters } from '../../../src/arch/icv-registers.ts'
import type { SystemRegister } from '../../../src/arch/sysreg.ts'
import { DAIF_VIEW } from '../../../src/gic/cpu-interface/pcpu.ts'

/** What is wrong with a view; nothing if its lines cover its bits once each, from the top down. */
function faults({ name, width, fields }: RegisterView): string[] {
  const found: string[] = []
  let next = width - 1
  for (const { name: line, hi, lo, reserved } of fields) {
    if (hi !== next) found.push(`${name}.${line} begins at bit ${hi}, not ${next}`)
    if (lo > hi) found.push(`${name}.${line} ends above where it begins`)
    if (reserved ? line !== reserved : /^RES[01]$/.test(line)) found.push(`${name}.${line} misnamed`)
    next = lo - 1
  }
  if (next !== -1) found.push(`${name} ends at bit ${next + 1}`)
  const names = fields.filter(({ reserved }) => !reserved).map((f) => f.name)
  if (new Set(names).size !== names.length) found.push(`${name} has a name twice`)
  return found
}

describe('the lines of a view cover each bit once, in descending order', () => {
  const lists: [string, readonly SystemRegister[]][] = [
    ['ICC', iccRegisters],
    ['ICV', icvRegisters],
    ['ICH', ichRegisters],
    ['HCR_EL2', [HCR_EL2_REGISTER]],
  ]

  it.each(lists)('in every view of every %s register', (_, registers) => {
    const views = registers.flatMap((register) => register.views)
    expect(views.length).toBeGreaterThanOrEqual(registers.length)
    expect(views.flatMap(faults)).toEqual([])
  })

  it.each(lists)('and every view of an %s register has its name and its 64 bits', (_, registers) => {
    for (const { name, views } of registers) {
      for (const v of views) expect([v.name, v.width]).toEqual([name, 64])
    }
  })

  it('in the views that belong to no list', () => {
    expect([DAIF_VIEW, HCR_EL2_VIEW, ICV_CTLR_VIEW, ICH_LR_VIEW, ICH_LR_HW_VIEW].flatMap(faults)).toEqual([])
  })

  it('and a view that does not is caught', () => {
    expect(faults(view('GAP', 32, [res0(31, 9), field('A', 7, 0)]))).toHaveLength(1)
    expect(faults(view('OVERLAP', 32, [res0(31, 8), field('A', 8, 0)]))).toHaveLength(1)
    expect(faults(view('SHORT', 32, [res0(31, 1)]))).toHaveLength(1)
    expect(faults(view('NARROW', 64, [res0(31, 0)]))).toHaveLength(1)
    expect(faults(view('TWICE', 32, [field('A', 31, 16), field('A', 15, 0)]))).toHaveLength(1)
  })
})

describe('ICH_VMCR_EL2', () => {
  it('has VFIQEn and VAckCtl only in the view without system registers', () => {
    const name = (v: RegisterView, bit: number) => v.fields.find(({ hi }) => hi === bit)?.name
    expect([name(ICH_VMCR_VIEW, 3), name(ICH_VMCR_VIEW, 2)]).toEqual(['RES1', 'RES0'])
    expect([name(ICH_VMCR_LEGACY_VIEW, 3), name(ICH_VMCR_LEGACY_VIEW, 2)]).toEqual(['VFIQEn', 'VAckCtl'])
    const rest = (v: RegisterView) => v.fields.filter(({ hi }) => hi !== 2 && hi !== 3)
    expect(rest(ICH_VMCR_LEGACY_VIEW)).toEqual(rest(ICH_VMCR_VIEW))
  })
})

describe('a field', () => {
  it('of one bit needs only that bit', () => {
    expect(field('En', 0)).toEqual({ name: 'En', hi: 0, lo: 0 })
    expect(res0(9)).toEqual({ name: 'RES0', hi: 9, lo: 9, reserved: 'RES0' })
  })

  it('is extracted from either half, whatever the sign of the words', () => {
    expect(extractField(field('VPMR', 31, 24), 0xf8000000 | 0, 0)).toBe(0xf8)
    expect(extractField(field('VPMR', 31, 24), 0xf8000000, 0)).toBe(0xf8)
    expect(extractField(field('State', 63, 62), 0, 0xc0000000 | 0)).toBe(3)
    expect(extractField(field('vINTID', 31, 0), -1, 0)).toBe(0xffffffff)
    expect(extractField(field('Priority', 55, 48), -1, 0x00a0_0000)).toBe(0xa0)
  })

  it('that lies across the halves is put together', () => {
    expect(extractField(field('Address', 51, 12), 0x89abc000 | 0, 0xf5670123 | 0)).toBe(0x7012389abc)
    expect(extractField(field('Across', 32, 31), 0x80000000 | 0, 1)).toBe(3)
  })
})

describe('a description', () => {
  it('names the fields that are not zero, from the top, values above 9 in hexadecimal', () => {
    expect(describeRegister(ICH_VMCR_VIEW, 0xf84c000b | 0)).toBe('VPMR=0xf8 VBPR0=2 VBPR1=3 VENG1 VENG0')
    expect(describeRegister(ICH_HCR_VIEW, 0x48000c03)).toBe('EOIcount=9 TALL0 TC UIE En')
    expect(describeRegister(ICH_HCR_VIEW, 0x50000001)).toBe('EOIcount=0xa En')
    expect(describeRegister(ICH_VTR_VIEW, 0x90b80003 | 0)).toBe(
      'PRIbits=4 PREbits=4 IDbits=1 A3V nV4 TDS ListRegs=3',
    )
  })

  it('reads the upper half too', () => {
    expect(describeRegister(ICH_LR_HW_VIEW, 40, 0x70a00028)).toBe(
      'State=1 HW Group Priority=0xa0 pINTID=0x28 vINTID=0x28',
    )
    expect(describeRegister(ICH_LR_VIEW, 3, 0x80000200 | 0)).toBe('State=2 EOI vINTID=3')
  })

  it('leaves reserved bits out', () => {
    expect(describeRegister(ICH_VMCR_VIEW, 0xc)).toBe('0')
    expect(describeRegister(ICH_VMCR_LEGACY_VIEW, 0xc)).toBe('VFIQEn VAckCtl')
  })

  it('of a zero register is 0', () => {
    expect(describeRegister(DAIF_VIEW, 0)).toBe('0')
  })
})
