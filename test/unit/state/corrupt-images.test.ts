import { Gic, type GicConfig, ichLr, VgicError } from 'vgic'
import { describe, expect, it } from 'vitest'
import { icvRegisters } from '../../../src/arch/icv-registers.ts'
import { configWords } from '../../../src/gic/config/stored-config.ts'
import { HEADER } from '../../../src/state/image.ts'

describe('an image', () => {
  const original = new Gic({ cpus: 1, version: '4.1' }).snapshot()
  const fixed = HEADER.size + configWords(Gic.from(original).config)
  it.each(Array.from({ length: fixed }, (_, at) => at))(
    'with another word %i is refused or is of another whole configuration',
    (at) => {
      for (const value of [-1, 2, 3, 99, 0x7fffffff]) {
        const image = original.slice(0)
        new Int32Array(image)[at] = value
        const leading = new Int32Array(image.slice(0, fixed * 4))
        let gic: Gic
        try {
          gic = Gic.from(image)
        } catch (error) {
          expect(error).toBeInstanceOf(VgicError)
          continue
        }
        // What opens is what a GIC of that configuration would have stored.
        expect(new Int32Array(new Gic(gic.config).snapshot(), 0, fixed)).toEqual(leading)
      }
    },
  )

  it('of every GIC that can be made opens', () => {
    const gicr = Array.from({ length: 513 }, (_, i) => ({ base: 0x1000_0000 + i * 0x2_0000, count: 1 }))
    let gic: Gic
    try {
      gic = new Gic({ cpus: 1, gicr })
    } catch (error) {
      expect(error).toMatchObject({ code: 'config' })
      return
    }
    expect(Gic.from(gic.snapshot()).config).toEqual(gic.config)
  })

  it('keeps lastTrap', () => {
    const gic = new Gic({ cpus: 2 })
    gic.readSysreg(1, 0x1234)
    expect(Gic.from(gic.snapshot()).lastTrap).toBe(gic.lastTrap)
  })
  it('inspectSysreg keeps lastTrap', () => {
    const gic = new Gic({ cpus: 2 })
    gic.readSysreg(1, 0x1234)
    const before = gic.lastTrap
    gic.inspectSysreg(0, ichLr(0))
    expect(gic.lastTrap).toBe(before)
  })
})

it.each([
  ['no configuration', undefined],
  ['null', null],
  ['gicr that is no list', { cpus: 1, gicr: 5 }],
  ['a region that is no object', { cpus: 1, gicr: [null] }],
  ['dvim that is no boolean', { cpus: 1, version: '4.1', dvim: 'no' }],
])('%s is refused with a config error', (_, config) => {
  expect(() => new Gic(config as unknown as GicConfig)).toThrow(VgicError)
})

it('ICV_RPR_EL1 has NMI and no NMI_NS', () => {
  const rpr = icvRegisters.find(({ name }) => name === 'ICV_RPR_EL1')
  expect(rpr?.views[0].fields.filter(({ reserved }) => !reserved).map(({ name }) => name)).toEqual([
    'NMI',
    'Priority',
  ])
})
