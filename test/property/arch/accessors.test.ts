/**
 * Hot code reads registers with literal masks and shifts; people read the declarations. Here every such
 * accessor that the modules export is found by its name, `REGISTER_Field`, and held against the declaration.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { extractField, type Field, type RegisterView } from '../../../src/arch/field.ts'
import * as gicd from '../../../src/arch/gicd-registers.ts'
import * as gicr from '../../../src/arch/gicr-registers.ts'
import * as gits from '../../../src/arch/gits-registers.ts'
import * as hcrEl2 from '../../../src/arch/hcr-el2.ts'
import * as icc from '../../../src/arch/icc-registers.ts'
import * as ich from '../../../src/arch/ich-registers.ts'
import * as pcpu from '../../../src/gic/cpu-interface/pcpu.ts'

type Exports = Readonly<Record<string, unknown>>
type Accessor = number | ((word: number) => number)

/** Whose fields a prefix names. With `upper`, accessors take bits 63:32 as a word of their own. */
interface Owner {
  readonly views: readonly RegisterView[]
  readonly upper?: true
}

const viewsOf = (name: string): readonly RegisterView[] =>
  icc.iccRegisters.find((register) => register.name === name)?.views ?? []

const ichOwners: Readonly<Record<string, Owner>> = {
  HCR: { views: [ich.ICH_HCR_VIEW] },
  VTR: { views: [ich.ICH_VTR_VIEW] },
  MISR: { views: [ich.ICH_MISR_VIEW] },
  VMCR: { views: [ich.ICH_VMCR_VIEW] },
  LR: { views: [ich.ICH_LR_VIEW, ich.ICH_LR_HW_VIEW], upper: true },
}
const iccOwners: Readonly<Record<string, Owner>> = {
  CTLR: { views: [icc.ICV_CTLR_VIEW, ...viewsOf('ICC_CTLR_EL1')] },
}
const gicdOwners: Readonly<Record<string, Owner>> = {
  GICD_CTLR: { views: [gicd.GICD_CTLR_VIEW] },
  GICD_TYPER2: { views: [gicd.GICD_TYPER2_VIEW] },
  GICD_TYPER: { views: [gicd.GICD_TYPER_VIEW] },
}
const gicrOwners: Readonly<Record<string, Owner>> = {
  GICR_CTLR: { views: [gicr.GICR_CTLR_VIEW] },
  GICR_TYPER: { views: [gicr.GICR_TYPER_VIEW] },
  GICR_WAKER: { views: [gicr.GICR_WAKER_VIEW] },
  GICR_VPROPBASER_HIGH: { views: [gicr.GICR_VPROPBASER_V4_1_VIEW], upper: true },
  GICR_VPROPBASER: { views: [gicr.GICR_VPROPBASER_V4_1_VIEW] },
  GICR_VPENDBASER_HIGH: {
    views: [gicr.GICR_VPENDBASER_V4_1_VIEW, gicr.GICR_VPENDBASER_V4_0_VIEW],
    upper: true,
  },
  GICR_VPENDBASER: { views: [gicr.GICR_VPENDBASER_V4_1_VIEW] },
  GICR_VSGIPENDR: { views: [gicr.GICR_VSGIPENDR_VIEW] },
}
const gitsOwners: Readonly<Record<string, Owner>> = {
  GITS_CTLR: { views: [gits.GITS_CTLR_VIEW] },
  GITS_TYPER_HIGH: { views: [gits.GITS_TYPER_VIEW], upper: true },
  GITS_TYPER: { views: [gits.GITS_TYPER_VIEW] },
  GITS_CBASER_HIGH: { views: [gits.GITS_CBASER_VIEW], upper: true },
  GITS_CBASER: { views: [gits.GITS_CBASER_VIEW] },
  GITS_CWRITER: { views: [gits.GITS_CWRITER_VIEW] },
  GITS_CREADR: { views: [gits.GITS_CREADR_VIEW] },
  GITS_BASER_HIGH: { views: [gits.GITS_BASER_VIEW], upper: true },
  GITS_BASER: { views: [gits.GITS_BASER_VIEW] },
}
const pcpuOwners: Readonly<Record<string, Owner>> = {
  HCR_EL2: { views: [hcrEl2.HCR_EL2_VIEW] },
  DAIF: { views: [pcpu.DAIF_VIEW] },
}

/** Exports that look like accessors of a field but are values of one or part of one; each has its test below. */
const values = [
  'HCR_ONE_EOI',
  'LR_STATE',
  'LR_PENDING',
  'LR_ACTIVE',
  'LR_PRIORITY_SHIFT',
  'VMCR_VFIQEn',
  'GITS_TYPER_HIGH_SVPET_SHIFT',
  'GITS_CTLR_ITS_Number_SHIFT',
] as const
/** Exports that are no accessors at all. */
const others = ['iccRegisters', 'ichRegisters', 'ichLr', 'ichApr', 'listRegisterStates', 'listRegisterView']

/** The owner and the field's name behind `REGISTER_Field`; throws where no register has that prefix. */
function ownerOf(owners: Readonly<Record<string, Owner>>, name: string): [Owner, string] {
  for (const [prefix, owner] of Object.entries(owners)) {
    if (name.startsWith(`${prefix}_`)) return [owner, name.slice(prefix.length + 1)]
  }
  throw new Error(`${name} begins with no register that this test knows`)
}

/** The field behind an accessor, at the bits of the word that it takes; throws where no view has it. */
function fieldOf(owners: Readonly<Record<string, Owner>>, name: string): Field {
  const [{ views, upper }, wanted] = ownerOf(owners, name)
  const found = views.flatMap(({ fields }) => fields.filter((f) => f.name === wanted))
  const [first] = found
  if (!first) throw new Error(`${name} names no declared field`)
  if (found.some(({ hi, lo }) => hi !== first.hi || lo !== first.lo)) throw new Error(`${name} is ambiguous`)
  const base = upper ? 32 : 0
  return { ...first, hi: first.hi - base, lo: first.lo - base }
}

const isAccessor = (value: unknown): value is Accessor =>
  typeof value === 'number' || typeof value === 'function'

/** Everything that a module exports but encodings, views and what is listed above. */
function accessorsOf(module: Exports): [string, Accessor][] {
  const excepted: readonly string[] = [...values, ...others]
  const registers = new Map([...icc.iccRegisters, ...ich.ichRegisters].map((r) => [r.name, r.encoding]))
  return Object.entries(module).flatMap(([name, value]): [string, Accessor][] => {
    if (excepted.includes(name) || name.endsWith('_VIEW')) return []
    if (registers.has(name)) {
      expect(value).toBe(registers.get(name))
      return []
    }
    if (!isAccessor(value)) throw new Error(`${name} is neither an accessor nor a declaration`)
    return [[name, value]]
  })
}

const pcpuAccessors = Object.fromEntries(
  Object.entries({ ...hcrEl2, ...pcpu }).filter(
    ([name]) => /^(HCR_EL2|DAIF)_/.test(name) && name !== 'HCR_EL2_REGISTER',
  ),
)

describe.each([
  ['ICH_*', ichOwners, accessorsOf(ich)],
  ['ICC_*', iccOwners, accessorsOf(icc)],
  ['GICD_*', gicdOwners, accessorsOf(gicd)],
  ['GICR_*', gicrOwners, accessorsOf(gicr)],
  ['GITS_*', gitsOwners, accessorsOf(gits)],
  ['the PE', pcpuOwners, accessorsOf(pcpuAccessors)],
])('the accessors of %s', (_, owners, accessors) => {
  it('reach every register that they are known for', () => {
    const used = new Set(accessors.map(([name]) => ownerOf(owners, name)[0]))
    expect([...used]).toEqual(expect.arrayContaining(Object.values(owners)))
  })

  it.each(accessors)('%s agrees with the declaration', (name, accessor) => {
    const field = fieldOf(owners, name)
    expect(field.hi).toBeLessThan(32)
    if (typeof accessor === 'number') {
      const ones = 2 ** (field.hi - field.lo + 1) - 1
      expect(accessor >>> 0).toBe(ones * 2 ** field.lo)
      expect([accessor | 0, accessor >>> 0]).toContain(accessor)
    }
    const read = (word: number) =>
      typeof accessor === 'number' ? (word & accessor) >>> field.lo : accessor(word)
    fc.assert(
      fc.property(fc.integer(), (word) => {
        expect(read(word)).toBe(extractField(field, word, 0))
        expect(read(word >>> 0)).toBe(extractField(field, word, 0))
      }),
      { examples: [[0], [-1], [-0x80000000], [0x7fffffff]] },
    )
  })
})

describe('an export that this test cannot place', () => {
  it('is refused if no register has its prefix', () => {
    expect(() => fieldOf(ichOwners, 'APR_P')).toThrow('APR_P begins with no register')
  })

  it('is refused if its register has no such field', () => {
    expect(() => fieldOf(ichOwners, 'VMCR_VAckCtl')).toThrow('names no declared field')
    expect(() => fieldOf(pcpuOwners, 'HCR_EL2_RES0')).toThrow('names no declared field')
  })

  it('is refused if it is neither a number nor a function', () => {
    expect(() => accessorsOf({ HCR_Names: ['En'] })).toThrow('neither')
  })

  it('is refused if it is an encoding other than the declared one', () => {
    expect(() => accessorsOf({ ICC_PMR_EL1: 1 })).toThrow()
  })
})

describe('values that are named like accessors', () => {
  const { hi, lo } = fieldOf(ichOwners, 'LR_State')
  const upper = (word: number) => extractField({ name: 'State', hi: hi + 32, lo: lo + 32 }, 0, word)

  it('all exist', () => {
    expect(Object.keys({ ...ich, ...gits })).toEqual(expect.arrayContaining([...values]))
  })

  it('LR_STATE is the mask of State, LR_PENDING and LR_ACTIVE its values in place', () => {
    expect([ich.LR_STATE, ich.LR_PENDING, ich.LR_ACTIVE].map(upper)).toEqual([3, 1, 2])
    expect(ich.LR_STATE).toBe(ich.LR_PENDING | ich.LR_ACTIVE)
    expect(~ich.LR_STATE).toBe(0x3fffffff)
    expect(ich.listRegisterStates[upper(ich.LR_PENDING)]).toBe('pending')
    expect(ich.listRegisterStates[upper(ich.LR_ACTIVE)]).toBe('active')
    expect(ich.listRegisterStates[upper(ich.LR_STATE)]).toBe('pending+active')
    expect(ich.listRegisterStates[0]).toBe('invalid')
  })

  it('LR_PRIORITY_SHIFT is the least significant bit of Priority', () => {
    expect(ich.LR_PRIORITY_SHIFT).toBe(fieldOf(ichOwners, 'LR_Priority').lo)
  })

  it('GITS_CTLR_ITS_Number_SHIFT and GITS_TYPER_HIGH_SVPET_SHIFT are the least significant bits of theirs', () => {
    const lowest = (view: RegisterView, name: string) => view.fields.find((f) => f.name === name)?.lo
    expect(gits.GITS_CTLR_ITS_Number_SHIFT).toBe(lowest(gits.GITS_CTLR_VIEW, 'ITS_Number'))
    expect(32 + gits.GITS_TYPER_HIGH_SVPET_SHIFT).toBe(lowest(gits.GITS_TYPER_VIEW, 'SVPET'))
  })

  it('HCR_ONE_EOI counts one more in EOIcount, wraps within it and changes nothing else', () => {
    fc.assert(
      fc.property(fc.integer(), (hcr) => {
        const next = (hcr + ich.HCR_ONE_EOI) | 0
        expect(ich.HCR_EOIcount(next)).toBe((ich.HCR_EOIcount(hcr) + 1) % 32)
        expect(next & 0x7ffffff).toBe(hcr & 0x7ffffff)
      }),
      { examples: [[-1], [0xf8000001 | 0]] },
    )
  })

  it('VMCR_VFIQEn is RES1 with system registers and VFIQEn without', () => {
    const at = (view: RegisterView) => view.fields.find((f) => 2 ** f.lo === ich.VMCR_VFIQEn)
    expect(at(ich.ICH_VMCR_VIEW)).toMatchObject({ reserved: 'RES1', hi: 3 })
    expect(at(ich.ICH_VMCR_LEGACY_VIEW)).toMatchObject({ name: 'VFIQEn', hi: 3 })
  })
})
