/**
 * The declarations of the system registers against `registers.json`, an inventory of the same registers that
 * was collected from other sources and cross-checked between them.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Field, RegisterView } from '../../../src/arch/field.ts'
import { GICD_CTLR_VIEW, GICD_TYPER_VIEW } from '../../../src/arch/gicd-registers.ts'
import {
  GICR_CTLR_VIEW,
  GICR_PENDBASER_VIEW,
  GICR_PROPBASER_VIEW,
  GICR_TYPER_VIEW,
  GICR_WAKER_VIEW,
} from '../../../src/arch/gicr-registers.ts'
import {
  GITS_BASER_VIEW,
  GITS_CBASER_VIEW,
  GITS_CREADR_VIEW,
  GITS_CTLR_VIEW,
  GITS_CWRITER_VIEW,
  GITS_TYPER_VIEW,
} from '../../../src/arch/gits-registers.ts'
import { HCR_EL2_VIEW } from '../../../src/arch/hcr-el2.ts'
import { ICV_CTLR_VIEW, iccRegisters } from '../../../src/arch/icc-registers.ts'
import { ichApr, ichLr, ichRegisters } from '../../../src/arch/ich-registers.ts'
import { icvRegisters } from '../../../src/arch/icv-registers.ts'
import { encodeSysreg, type SystemRegister } from '../../../src/arch/sysreg.ts'

type InventoryField = readonly [name: string, hi: number, lo: number, qualifier?: string]
type Encoding = readonly [number, number, number, number, number]

interface InventoryRow {
  readonly n: string
  readonly enc: Encoding
  readonly a: 'RW' | 'RO' | 'WO'
  readonly f?: readonly InventoryField[]
  readonly reset?: string
  readonly feat?: string
  readonly notes?: readonly string[]
}

interface MmioInventoryRow {
  readonly n: string
  readonly w: number
  readonly f?: readonly InventoryField[]
  readonly views?: Readonly<Record<string, readonly InventoryField[]>>
}

interface Inventory {
  readonly gicd: readonly MmioInventoryRow[]
  readonly gicr_rd: readonly MmioInventoryRow[]
  readonly gits: readonly MmioInventoryRow[]
  readonly icc: readonly InventoryRow[]
  readonly ich: readonly InventoryRow[]
  readonly icv: {
    readonly regs: readonly string[]
    readonly common: readonly string[]
    readonly no_icv: readonly string[]
    readonly alias: Readonly<Record<string, string>>
    readonly ICV_CTLR_EL1: readonly InventoryField[]
  }
  readonly related: {
    readonly HCR_EL2: Readonly<Record<string, number | readonly string[]>>
    readonly ISR_EL1: { readonly enc: Encoding } & Readonly<Record<string, unknown>>
  }
}

const inventory = JSON.parse(
  readFileSync(new URL('../../fixtures/registers.json', import.meta.url), 'utf8'),
) as Inventory

const features: Readonly<Record<string, string>> = {
  'v3.3': 'FEAT_GICv3_NMI',
  'v3.3 NMI': 'FEAT_GICv3_NMI',
  'v4.1': 'FEAT_GICv4p1',
}

/** `Priority 55:48`, with the extension it needs and, in a writable register, whether it is read-only. */
const line = (name: string, hi: number, lo: number, feature?: string, readOnly = false): string =>
  `${name} ${hi}:${lo}${feature ? ` ${feature}` : ''}${readOnly ? ' RO' : ''}`

function inventoryFields(row: InventoryRow): string[] | undefined {
  const layout = row.notes?.find((note) => note.startsWith('layout='))?.slice('layout='.length)
  const fields = row.f ?? inventory.ich.find(({ n }) => n === layout)?.f
  return fields
    ?.map(([name, hi, lo, q = '']) => line(name, hi, lo, features[q], row.a === 'RW' && /^RO\b/.test(q)))
    .sort()
}

/** The named fields of all views of a register, each once. */
function declaredFields({ views, access }: SystemRegister): string[] {
  const named = views.flatMap(({ fields }) => fields.filter(({ reserved }) => !reserved))
  const lines = named.map((f) => line(f.name, f.hi, f.lo, f.feature, access === 'RW' && f.readOnly === true))
  return [...new Set(lines)].sort()
}

const declared = new Map([...iccRegisters, ...ichRegisters].map((register) => [register.name, register]))

function declarationOf(name: string): SystemRegister {
  const register = declared.get(name)
  if (!register) throw new Error(`${name} is not declared`)
  return register
}

describe.each([
  ['ICC', inventory.icc],
  ['ICH', inventory.ich],
])('the %s registers', (_, rows) => {
  it.each(rows)('$n has the encoding, access and fields of the inventory', (row) => {
    const register = declarationOf(row.n)
    expect(register.encoding).toBe(encodeSysreg(...row.enc))
    expect(register.access).toBe(row.a)
    expect(register.feature).toBe(row.feat === undefined ? undefined : features[row.feat])
    const fields = inventoryFields(row)
    if (fields) expect(declaredFields(register)).toEqual(fields)
  })

  it('reset to the numbers that the inventory gives', () => {
    const numbers = rows.flatMap(({ n, reset }) => {
      const number = /^(0x[0-9a-f]+|\d+)\b/i.exec(reset ?? '')
      return number ? [[n, Number(number[0])] as const] : []
    })
    expect(numbers.length).toBeGreaterThan(10)
    expect(numbers.map(([n]) => [n, declarationOf(n).reset])).toEqual(numbers)
  })
})

describe('the memory-mapped registers', () => {
  const { gicd, gicr_rd, gits } = inventory
  it.each([
    [GICD_CTLR_VIEW, gicd],
    [GICD_TYPER_VIEW, gicd],
    [GICR_CTLR_VIEW, gicr_rd],
    [GICR_TYPER_VIEW, gicr_rd],
    [GICR_WAKER_VIEW, gicr_rd],
    [GICR_PROPBASER_VIEW, gicr_rd],
    [GICR_PENDBASER_VIEW, gicr_rd],
    [GITS_CTLR_VIEW, gits],
    [GITS_TYPER_VIEW, gits],
    [GITS_CBASER_VIEW, gits],
    [GITS_CWRITER_VIEW, gits],
    [GITS_CREADR_VIEW, gits],
    [GITS_BASER_VIEW, gits],
  ])('$name has the bits of the inventory', ({ name, width, fields }: RegisterView, rows) => {
    const row = rows.find(({ n }) => n === name)
    const listed = (row?.f ?? row?.views?.['single'] ?? []).filter(([field]) => !field.startsWith('impdef'))
    expect(width).toBe(row?.w)
    expect(
      fields
        .filter(({ reserved }) => !reserved)
        .map((f) => line(f.name, f.hi, f.lo))
        .sort(),
    ).toEqual(listed.map(([field, hi, lo]) => line(field, hi, lo)).sort())
    // Most significant first, each bit once.
    let above: number = width
    for (const { hi, lo } of fields) {
      expect(hi).toBe(above - 1)
      above = lo
    }
    expect(above).toBe(0)
  })
})

describe('nothing else is declared', () => {
  const besides = (registers: readonly SystemRegister[], rows: readonly InventoryRow[]) =>
    registers.map(({ name }) => name).filter((name) => !rows.some(({ n }) => n === name))

  it('besides ISR_EL1, the register of the PE that shows what the GIC signals', () => {
    expect(besides(iccRegisters, inventory.icc)).toEqual(['ISR_EL1'])
    expect(besides(ichRegisters, inventory.ich)).toEqual([])
    const { enc, src: _, ...bits } = inventory.related.ISR_EL1
    const isr = declarationOf('ISR_EL1')
    expect(isr.encoding).toBe(encodeSysreg(...enc))
    expect(isr.access).toBe('RO')
    const named = isr.views[0].fields.filter(({ reserved }) => !reserved)
    expect(Object.fromEntries(named.map(({ name, lo }) => [name, lo]))).toEqual(bits)
  })

  it('and no encoding is declared twice', () => {
    const encodings = [...iccRegisters, ...ichRegisters].map(({ encoding }) => encoding)
    expect(new Set(encodings).size).toBe(encodings.length)
  })

  it('and the helpers for numbered registers give the declared encodings', () => {
    for (let n = 0; n < 16; n++) expect(ichLr(n)).toBe(declarationOf(`ICH_LR${n}_EL2`).encoding)
    for (let n = 0; n < 4; n++) {
      expect(ichApr(0, n)).toBe(declarationOf(`ICH_AP0R${n}_EL2`).encoding)
      expect(ichApr(1, n)).toBe(declarationOf(`ICH_AP1R${n}_EL2`).encoding)
    }
  })

  it('and ICH_LR<n>_EL2 has pINTID where it stands for a physical interrupt, EOI where it does not', () => {
    const [software, hardware] = declarationOf('ICH_LR0_EL2').views
    const at = (fields: readonly Field[] | undefined, bit: number) =>
      fields?.find(({ hi, lo }) => bit <= hi && bit >= lo)?.name
    expect(at(hardware?.fields, 41)).toBe('pINTID')
    expect(at(software.fields, 41)).toBe('EOI')
    expect(at(software.fields, 44)).toBe('RES0')
  })
})

describe('the ICV registers', () => {
  const names = inventory.icv.regs.flatMap((name) =>
    name.includes('<0..3>') ? [0, 1, 2, 3].map((n) => name.replace('<0..3>', String(n))) : [name],
  )
  const virtual = new Map(icvRegisters.map((register) => [register.name, register]))

  it('are those of the inventory, without SGI and SRE registers', () => {
    expect([...virtual.keys()].sort()).toEqual([...names].sort())
    for (const part of inventory.icv.no_icv) expect(virtual.has(`ICV_${part}_EL1`)).toBe(false)
  })

  it.each(names)('%s has the encoding and access of its ICC twin, and the right group', (name) => {
    const register = virtual.get(name)
    const twin = declarationOf(name.replace('ICV_', 'ICC_'))
    expect(register).toMatchObject({ encoding: twin.encoding, access: twin.access })
    expect(register?.views.map((v) => v.name)).toEqual([name])
    const short = name.slice('ICV_'.length, -'_EL1'.length)
    const group = /^AP([01])R/.exec(short)?.[1] ?? /([01])$/.exec(short)?.[1]
    expect(register?.group).toBe(inventory.icv.common.includes(short) ? 'common' : Number(group))
  })

  it('have the fields of their ICC twins, but ICV_CTLR_EL1 lacks the priority mask hint', () => {
    for (const register of icvRegisters) {
      // The virtual running priority has no Security state to tell apart, and so no NMI_NS.
      if (['ICV_CTLR_EL1', 'ICV_RPR_EL1'].includes(register.name)) continue
      expect(declaredFields(register)).toEqual(
        declaredFields(declarationOf(register.name.replace('ICV_', 'ICC_'))),
      )
    }
    const ctlr = virtual.get('ICV_CTLR_EL1')
    expect(ctlr?.views).toEqual([ICV_CTLR_VIEW])
    const row: InventoryRow = {
      n: 'ICV_CTLR_EL1',
      enc: [3, 0, 12, 12, 4],
      a: 'RW',
      f: inventory.icv.ICV_CTLR_EL1,
    }
    expect(ctlr && declaredFields(ctlr)).toEqual(inventoryFields(row))
  })

  it('live where the inventory says', () => {
    const where: Record<string, string> = {}
    for (const [short, place] of Object.entries(inventory.icv.alias)) {
      // ICV_CTLR_EL1 has a field each in ICH_VMCR_EL2, and so no one place.
      if (short.includes('.')) continue
      const [register = '', field] = place.split('.')
      if (!register.endsWith('n')) where[`${short}_EL1`] = `ICH_${register}_EL2.${field}`
      else
        for (const n of [0, 1, 2, 3])
          where[short.replace(/n$/, `${n}_EL1`)] = register.replace(/n$/, `${n}_EL2`)
    }
    const aliases = icvRegisters.flatMap(({ name, alias }) => (alias === undefined ? [] : [[name, alias]]))
    expect(Object.fromEntries(aliases)).toEqual(where)
  })

  it('live in registers and fields that are declared', () => {
    for (const { alias } of icvRegisters) {
      if (alias === undefined) continue
      const [register = '', field] = alias.split('.')
      const names = declarationOf(register).views[0].fields.map(({ name }) => name)
      if (field !== undefined) expect(names).toContain(field)
    }
  })
})

describe('HCR_EL2', () => {
  it('has what matters to a GIC where the inventory has it', () => {
    const { src: _, ...bits } = inventory.related.HCR_EL2
    expect(Object.keys(bits)).toHaveLength(9)
    const declared = HCR_EL2_VIEW.fields.map(({ name, hi, lo }) => [name, hi, lo])
    expect(declared).toEqual(expect.arrayContaining(Object.entries(bits).map(([name, n]) => [name, n, n])))
  })
})
