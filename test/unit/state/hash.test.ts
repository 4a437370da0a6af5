/** The hash of a state: what goes into it and what does not. */

import { Gic, HCR_EL2, ICC_PMR_EL1, ICH_HCR_EL2, ICH_VTR_EL2, ichLr } from 'vgic'
import { describe, expect, it } from 'vitest'
import { configWords } from '../../../src/gic/config/stored-config.ts'
import { hashWords } from '../../../src/state/hash.ts'
import { blankImage, HEADER } from '../../../src/state/image.ts'
import { Layout, recordType } from '../../../src/state/layout.ts'
import { MachineState } from '../../../src/state/machine-state.ts'

const PENDING = 0x5000_0000n << 32n
const IMO = 0x10
/** The words of the header and of a configuration with one redistributor region. */
const CONFIGURATION = HEADER.size + configWords(new Gic({ cpus: 1 }).config)

describe('the hash of a GIC', () => {
  it('is the same for two GICs in the reset state, and an unsigned number of 53 bits', () => {
    const hash = new Gic({ cpus: 2 }).hash()
    expect(new Gic({ cpus: 2 }).hash()).toBe(hash)
    expect(Number.isSafeInteger(hash) && hash >= 0).toBe(true)
  })

  it('changes with what is written, and comes back when it is taken back', () => {
    const gic = new Gic({ cpus: 1 })
    const hash = gic.hash()
    gic.writeSysreg64(0, ichLr(0), PENDING | 40n)
    expect(gic.hash()).not.toBe(hash)
    gic.writeSysreg64(0, ichLr(0), 0n)
    expect(gic.hash()).toBe(hash)
  })

  it('is of the configuration too', () => {
    const configs = [
      {},
      { version: '4.0' },
      { spis: 33 },
      { priorityBits: 6 },
      { profile: 'qemu-7.2' },
    ] as const
    const hashes = configs.map((config) => new Gic({ cpus: 1, ...config }).hash())
    expect(new Set(hashes).size).toBe(configs.length)
  })

  it('is blind to the last trap', () => {
    const gic = new Gic({ cpus: 1 })
    gic.writeSysreg64(0, ichLr(0), PENDING | 40n)
    const [hash, before] = [gic.hash(), gic.snapshot()]
    gic.readSysreg(0, 0x1234)
    expect(gic.lastTrap).not.toBe(0)
    expect([gic.hash(), gic.diff(before)]).toEqual([hash, []])
    expect(new Uint8Array(gic.snapshot())).not.toEqual(new Uint8Array(before))
  })

  it('is the same after two list registers were written in either order', () => {
    const [a, b] = [new Gic({ cpus: 1 }), new Gic({ cpus: 1 })]
    const first = (gic: Gic) => gic.writeSysreg64(0, ichLr(0), PENDING | 40n)
    const second = (gic: Gic) => gic.writeSysreg64(0, ichLr(3), (PENDING << 1n) | 41n)
    first(a)
    second(a)
    second(b)
    first(b)
    expect(a.hash()).toBe(b.hash())
    expect(a.diff(b.snapshot())).toEqual([])
  })

  it('is the same after two CPUs did their work in either order', () => {
    const [a, b] = [new Gic({ cpus: 2 }), new Gic({ cpus: 2 })]
    const work = (gic: Gic, cpu: number) => {
      gic.writeSysreg(cpu, ICH_HCR_EL2, 1)
      gic.writeSysreg(cpu, HCR_EL2, IMO)
      gic.setExceptionLevel(cpu, 1)
      gic.writeSysreg(cpu, ICC_PMR_EL1, 0xf0 - 8 * cpu)
      gic.wfi(cpu)
    }
    work(a, 0)
    work(a, 1)
    work(b, 1)
    work(b, 0)
    expect(a.hash()).toBe(b.hash())
    expect(a.diff(b.snapshot())).toEqual([])
  })

  it('tells whether the same thing happened on one CPU or the other', () => {
    const [a, b] = [new Gic({ cpus: 2 }), new Gic({ cpus: 2 })]
    a.writeSysreg64(0, ichLr(0), PENDING | 40n)
    b.writeSysreg64(1, ichLr(0), PENDING | 40n)
    expect(a.hash()).not.toBe(b.hash())
  })

  it('changes with every single bit of every word that a diff compares, and with no other', () => {
    const busy = new Gic({ cpus: 2, listRegisters: 3, spis: 40 })
    busy.writeSysreg64(1, ichLr(2), PENDING | 8192n)
    busy.readSysreg(0, ICH_VTR_EL2, 1)
    const before = busy.snapshot()
    // A GIC works in the buffer that it is given: changing the buffer changes the GIC.
    const image = busy.snapshot()
    const words = new Int32Array(image)
    const gic = Gic.from(image)
    const hash = gic.hash()
    const seen = new Set([hash])
    let flips = 0
    let blind = 0
    for (let at = CONFIGURATION; at < words.length; at++) {
      for (let bit = 0; bit < 32; bit++) {
        words[at] ^= 1 << bit
        const compared = gic.diff(before).length > 0
        if (compared) flips++
        else blind++
        if (compared) seen.add(gic.hash())
        else expect(gic.hash()).toBe(hash)
        words[at] ^= 1 << bit
      }
    }
    expect(seen.size).toBe(flips + 1)
    // At least HCR_EL2, ICH_HCR_EL2, ICH_VMCR_EL2, 8 active priority and 6 list register words a CPU.
    expect(flips).toBeGreaterThan(2 * 17 * 32)
    // At least the last trap and the upper half of the last read.
    expect(blind).toBeGreaterThanOrEqual(2 * 2 * 32)
  })
})

describe('the hash of a machine', () => {
  const classes = ['authoritative', 'derived', 'normalised', 'observational'] as const
  const all = recordType(
    'all',
    classes.map((name, at) => ({ name, at, class: name })),
  )
  const layout = new Layout([
    [HEADER, 1],
    [all, 1],
  ])

  it.each(classes)('and its diff and equality treat %s words alike', (name) => {
    const state = new MachineState('device', layout, blankImage('device', layout), HEADER.size)
    const before = state.snapshot()
    const hash = state.hash()
    state.words[layout.baseOf(all) + classes.indexOf(name)] = 1
    const isState = name === 'authoritative' || name === 'normalised'
    expect(state.hash() !== hash).toBe(isState)
    expect(state.equals(before)).toBe(!isState)
    expect(state.diff(before)).toEqual(isState ? [{ name: `all.${name}`, before: 0, after: 1 }] : [])
    state.restore(before)
    expect([state.hash(), state.equals(before), state.diff(before)]).toEqual([hash, true, []])
  })

  it('has two lanes that differ, also where nothing is hashed', () => {
    const lanes = new Int32Array(2)
    hashWords(new Int32Array(0), new Int32Array(0), lanes)
    expect(lanes[0]).not.toBe(lanes[1])
  })

  it('tells a zero word from none, and the order of words', () => {
    const lanesOf = (...words: number[]) => {
      const lanes = new Int32Array(2)
      hashWords(Int32Array.from(words), Int32Array.of(0, words.length), lanes)
      return [...lanes].join()
    }
    const all = [
      lanesOf(),
      lanesOf(0),
      lanesOf(0, 0),
      lanesOf(1, 2),
      lanesOf(2, 1),
      lanesOf(1),
      lanesOf(1, 0),
    ]
    expect(new Set(all).size).toBe(all.length)
  })
})
