/**
 * Every register of the distributor, a redistributor and an ITS in `registers.json`, an inventory that was collected from
 * other sources: it is where the inventory has it, or this GIC does not have it and it is RAZ/WI.
 */
import { readFileSync } from 'node:fs'
import { Gic } from 'vgic'
import { describe, expect, it } from 'vitest'
import { GICD, GITS, ONES, redistributor, sgiBase } from '../../../kit/frames.ts'

interface Row {
  readonly n: string
  readonly o: string
  readonly a: string
  readonly idx?: string
  readonly stride?: number
}

const inventory = JSON.parse(
  readFileSync(new URL('../../../fixtures/registers.json', import.meta.url), 'utf8'),
) as Record<'gicd' | 'gicr_rd' | 'gicr_sgi' | 'gits' | 'gits_translation', readonly Row[]>

/** What this GIC is without, and the registers that it therefore does not have. */
const without: Readonly<Record<string, RegExp>> = {
  'message-based SPIs (GICD_TYPER.MBIS = 0)': /^GICD_(SET|CLR)SPI_N?SR$|^GICD_SEIR$/,
  'extended SPIs and PPIs (GICD_TYPER.ESPI = 0, GICR_TYPER.PPInum = 0)': /nE$/,
  'non-maskable interrupts (GICD_TYPER.NMI = 0)': /^GIC[DR]_INMIR0?$/,
  'memory partitioning (GICR_TYPER.MPAM = 0, GITS_TYPER.MPAM = 0)': /^(GICR|GITS)_(MPAMIDR|PARTIDR)$/,
  'moves of LPIs by a redistributor (IMPLEMENTATION DEFINED)': /^GICR_(MOVLPIR|MOVALLR)$/,
  'syndromes of unmapped messages (GITS_TYPER.UMSI = 0)': /^GITS_(STATUSR|UMSIR)$/,
}
/** There, and RAZ/WI: optional, of GICv2, of two Security states, or of v4.1. */
const RAZ_WI = /_(STATUSR|MPIDR|TYPER2|ITARGETSR|SGIR|CPENDSGIR|SPENDSGIR|IGRPMODR0?|NSACR)$/
/** Writable, but all ones change nothing after reset: they clear, or set what is set. */
const UNCHANGED = /_IC(ENABLE|PEND|ACTIVE)R|_WAKER$|^GICR_ICFGR0$|^GITS_BASER$/
/** Written, they do something to LPIs, here to none that there is, and they read as zero. */
const WRITE_ONLY = /^GICR_(SETLPIR|CLRLPIR|INVLPIR|INVALLR)$|^GITS_TRANSLATER$/

describe.each([
  ['gicd', GICD],
  ['gicr_rd', redistributor(0)],
  ['gicr_sgi', sgiBase(0)],
  ['gits', GITS],
  ['gits_translation', GITS + 0x1_0000],
] as const)('every register of %s', (frame, base) => {
  it.each(inventory[frame].map((row) => [row.n, row] as const))('%s', (name, { o, a, idx, stride = 4 }) => {
    const [first, last] = (idx ?? '0..0').split('..').map(Number)
    // The inventory has GICD_IROUTER<n> where INTID 0 would be.
    const begin = base + Number(o) + (name === 'GICD_IROUTER' ? stride * first : 0)
    const isAbsent = Object.values(without).some((names) => names.test(name))
    const isFixed = isAbsent || RAZ_WI.test(name)
    for (const n of new Set([first, last])) {
      const gic = new Gic({ cpus: 1, spis: 988, lpis: 64, directLpis: true, its: [{ base: GITS }] })
      const address = begin + stride * (n - first)
      expect(gic.registerAt(address)).toBe(isAbsent ? undefined : idx === undefined ? name : `${name}${n}`)
      const [before, value] = [gic.hash(), gic.readMmio(address, 4)]
      gic.writeMmio(address, 4, ONES)
      const isWriteOnly = WRITE_ONLY.test(name)
      if (isFixed || isWriteOnly) expect([value, gic.readMmio(address, 4)]).toEqual([0, 0])
      if (isFixed || a === 'RO') expect([gic.readMmio(address, 4), gic.hash()]).toEqual([value, before])
      else if (n === last && !isWriteOnly && !UNCHANGED.test(name)) expect(gic.hash()).not.toBe(before)
    }
  })
})
