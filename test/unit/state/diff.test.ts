/** A diff says what changed between two states, in the names of registers and fields. */

import {
  type Difference,
  Gic,
  HCR_EL2,
  ICC_CTLR_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICH_AP1R0_EL2,
  ICH_HCR_EL2,
  ICH_VMCR_EL2,
  ichApr,
  ichLr,
} from 'vgic'
import { beforeEach, describe, expect, it } from 'vitest'
import { field, res0, view } from '../../../src/arch/field.ts'
import { blankImage, HEADER } from '../../../src/state/image.ts'
import { Layout, recordType } from '../../../src/state/layout.ts'
import { MachineState } from '../../../src/state/machine-state.ts'
import { ISACTIVER, sgiBase, wordOf } from '../../kit/frames.ts'

const IMO = 0x10
const GICD_ISACTIVER1 = wordOf(ISACTIVER, 32)
const GICD_IROUTER72 = 0x0800_6240
const GICD_IPRIORITYR16 = 0x0800_0440
const GICR_ISACTIVER0 = sgiBase(0) + ISACTIVER
const GICR_IPRIORITYR5 = 0x080b_0414

let gic: Gic
beforeEach(() => {
  gic = new Gic({ cpus: 2 })
  for (const cpu of [0, 1]) {
    gic.writeSysreg(cpu, HCR_EL2, IMO)
    gic.writeSysreg(cpu, ICH_HCR_EL2, 1)
    gic.setExceptionLevel(cpu, 1)
  }
})

/** What an action changes. */
function changes(act: () => void): Difference[] {
  const before = gic.snapshot()
  act()
  return gic.diff(before)
}

const LR2 = 'pe[0].ICH_LR2_EL2'

describe('a diff', () => {
  it('of equal states is empty', () => {
    expect(changes(() => {})).toEqual([])
  })

  it('after a write to ICC_PMR_EL1 is VPMR of ICH_VMCR_EL2 and nothing else', () => {
    expect(changes(() => gic.writeSysreg(0, ICC_PMR_EL1, 0xf0))).toEqual([
      { name: 'pe[0].ICH_VMCR_EL2', field: 'VPMR', before: 0, after: 0xf0 },
    ])
    expect(changes(() => gic.writeSysreg(0, ICC_PMR_EL1, 0x80))).toEqual([
      { name: 'pe[0].ICH_VMCR_EL2', field: 'VPMR', before: 0xf0, after: 0x80 },
    ])
    expect(changes(() => gic.writeSysreg(0, ICC_PMR_EL1, 0x80))).toEqual([])
  })

  it('names the CPU, also where there is only one', () => {
    expect(changes(() => gic.writeSysreg(1, ICC_IGRPEN1_EL1, 1))).toEqual([
      { name: 'pe[1].ICH_VMCR_EL2', field: 'VENG1', before: 0, after: 1 },
    ])
    const single = new Gic({ cpus: 1 })
    const before = single.snapshot()
    single.writeSysreg(0, ICH_HCR_EL2, 3)
    expect(single.diff(before).map(({ name, field }) => `${name}.${field}`)).toEqual([
      'pe[0].ICH_HCR_EL2.UIE',
      'pe[0].ICH_HCR_EL2.En',
      // UIE with no list register in use: the maintenance interrupt.
      'pe[0].GICR input lines 0 to 31.undefined',
    ])
  })

  it('gives each field of a register an entry, from the top', () => {
    const written = changes(() => gic.writeSysreg(0, ICH_VMCR_EL2, 0xf84c000b, 2))
    expect(written).toEqual([
      { name: 'pe[0].ICH_VMCR_EL2', field: 'VPMR', before: 0, after: 0xf8 },
      { name: 'pe[0].ICH_VMCR_EL2', field: 'VENG1', before: 0, after: 1 },
      { name: 'pe[0].ICH_VMCR_EL2', field: 'VENG0', before: 0, after: 1 },
    ])
  })

  it('names the fields of a list register in both halves', () => {
    const pending40 = (0x50a0_0000n << 32n) | 40n
    expect(changes(() => gic.writeSysreg64(0, ichLr(2), pending40, 2))).toEqual([
      { name: LR2, field: 'vINTID', before: 0, after: 40 },
      { name: LR2, field: 'State', before: 0, after: 1 },
      { name: LR2, field: 'Group', before: 0, after: 1 },
      { name: LR2, field: 'Priority', before: 0, after: 0xa0 },
    ])
    const active41 = (0xb0a0_0028n << 32n) | 41n
    expect(changes(() => gic.writeSysreg64(0, ichLr(2), active41, 2))).toEqual([
      { name: LR2, field: 'vINTID', before: 40, after: 41 },
      { name: LR2, field: 'State', before: 1, after: 2 },
      { name: LR2, field: 'HW', before: 0, after: 1 },
      { name: LR2, field: 'pINTID', before: 0, after: 40 },
    ])
  })

  it('of an acknowledge is the state of the list register and an active priority', () => {
    gic.writeSysreg(0, ICH_VMCR_EL2, 0xf84c000b, 2)
    gic.writeSysreg64(0, ichLr(2), (0x50a0_0000n << 32n) | 40n, 2)
    const intids: number[] = []
    expect(changes(() => intids.push(gic.readSysreg(0, ICC_IAR1_EL1)))).toEqual([
      { name: 'pe[0].ICH_AP1R0_EL2', before: 0, after: 1 << (0xa0 >> 3) },
      { name: LR2, field: 'State', before: 1, after: 2 },
    ])
    expect(intids).toEqual([40])
  })

  it('gives words without fields as unsigned numbers', () => {
    gic = new Gic({ cpus: 2, preemptionBits: 7, priorityBits: 7 })
    expect(changes(() => gic.writeSysreg(1, ICH_AP1R0_EL2, 0x80000000, 2))).toEqual([
      { name: 'pe[1].ICH_AP1R0_EL2', before: 0, after: 0x80000000 },
    ])
    expect(changes(() => gic.writeSysreg(0, ichApr(0, 3), 1, 2))).toEqual([
      { name: 'pe[0].ICH_AP0R3_EL2', before: 0, after: 1 },
    ])
  })

  it('names what the distributor and a redistributor hold', () => {
    expect(changes(() => gic.writeMmio(GICD_ISACTIVER1, 4, 0x100))).toEqual([
      { name: 'GICD_ISACTIVER1', before: 0, after: 0x100 },
    ])
    expect(changes(() => gic.writeMmio(GICR_ISACTIVER0, 4, 0x8000_0000))).toEqual([
      { name: 'pe[0].GICR_ISACTIVER0', before: 0, after: 0x8000_0000 },
    ])
    expect(changes(() => gic.writeMmio(GICR_IPRIORITYR5, 4, 0xa0))).toEqual([
      { name: 'pe[0].GICR_IPRIORITYR5', before: 0, after: 0xa0 },
    ])
  })

  it('names a register of any block of SPIs by its own number', () => {
    gic = new Gic({ cpus: 2, spis: 64 })
    expect(changes(() => gic.writeMmio64(GICD_IROUTER72, 1n))).toEqual([
      { name: 'GICD_IROUTER72', field: 'Aff0', before: 0, after: 1 },
    ])
    expect(changes(() => gic.writeMmio(GICD_IPRIORITYR16, 4, 0x80))).toEqual([
      { name: 'GICD_IPRIORITYR16', before: 0, after: 0x80 },
    ])
    expect(changes(() => gic.setSpi(95, 1))).toEqual([
      { name: 'GICD input lines 64 to 95', before: 0, after: 0x8000_0000 },
    ])
  })

  it('names the physical CPU interface’s registers, which share a word', () => {
    gic = new Gic({ cpus: 1 })
    const written = changes(() => {
      gic.writeSysreg(0, ICC_PMR_EL1, 0xf0)
      gic.writeSysreg(0, ICC_CTLR_EL1, 2)
      gic.writeSysreg(0, ICC_IGRPEN1_EL1, 1)
    })
    expect(written).toEqual([
      { name: 'pe[0].ICC_PMR_EL1', before: 0, after: 0xf0 },
      { name: 'pe[0].ICC_CTLR_EL1.EOImode', before: 0, after: 1 },
      { name: 'pe[0].ICC_IGRPEN1_EL1', before: 0, after: 1 },
    ])
  })

  it('names the state of a PE', () => {
    expect(changes(() => gic.setMasks(0, { irq: false, fiq: true }))).toEqual([
      { name: 'pe[0].PSTATE', field: 'I', before: 1, after: 0 },
    ])
    expect(changes(() => gic.writeSysreg(0, HCR_EL2, 0x2008, 2))).toEqual([
      { name: 'pe[0].HCR_EL2', field: 'TWI', before: 0, after: 1 },
      { name: 'pe[0].HCR_EL2', field: 'IMO', before: 1, after: 0 },
      { name: 'pe[0].HCR_EL2', field: 'FMO', before: 0, after: 1 },
    ])
  })

  it('leaves out what only observes: the last trap', () => {
    expect(changes(() => gic.readSysreg(0, ICH_VMCR_EL2, 1))).toEqual([])
    expect(gic.lastTrap).not.toBe(0)
  })

  it('comes in the order of the layout', () => {
    const all = changes(() => {
      gic.writeMmio(GICD_ISACTIVER1, 4, 1)
      gic.writeSysreg(1, ICC_PMR_EL1, 0x80)
      gic.writeSysreg64(0, ichLr(1), 3n, 2)
      gic.writeSysreg(0, ICC_PMR_EL1, 0x80)
    })
    expect(all.map(({ name }) => name)).toEqual([
      'pe[0].ICH_VMCR_EL2',
      'pe[0].ICH_LR1_EL2',
      'pe[1].ICH_VMCR_EL2',
      'GICD_ISACTIVER1',
    ])
  })
})

describe('a diff of wide words', () => {
  const base = view('BASE', 64, [field('Valid', 63), res0(62, 52), field('Address', 51, 12), res0(11, 0)])
  const record = recordType('its', [
    { name: 'BASER', at: 0, wide: true, class: 'authoritative', view: base },
    { name: 'COMMAND', at: 2, wide: true, class: 'authoritative' },
  ])
  const layout = new Layout([
    [HEADER, 1],
    [record, 1],
  ])
  const state = new MachineState('device', layout, blankImage('device', layout), HEADER.size)
  const at = layout.baseOf(record)

  it('names a half where there are no fields', () => {
    const before = state.snapshot()
    state.words.set([1, 2], at + 2)
    expect(state.diff(before)).toEqual([
      { name: 'its.COMMAND', before: 0, after: 1 },
      { name: 'its.COMMAND (63:32)', before: 0, after: 2 },
    ])
  })

  it('gives a field that lies in both halves an entry for each', () => {
    const before = state.snapshot()
    state.words.set([0x5000, 0x80000001 | 0], at)
    expect(state.diff(before)).toEqual([
      { name: 'its.BASER', field: 'Address', before: 0, after: 5 },
      { name: 'its.BASER', field: 'Valid', before: 0, after: 1 },
      { name: 'its.BASER', field: 'Address', before: 0, after: 1 },
    ])
  })

  it('shows reserved bits that differ, for no difference goes unnamed', () => {
    const before = state.snapshot()
    state.words[at] |= 1
    expect(state.diff(before)).toEqual([{ name: 'its.BASER', field: 'RES0', before: 0, after: 1 }])
  })
})
