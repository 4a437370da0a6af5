/** Memory that the GIC keeps itself, for who has none to give it. */
import { Gic, VgicError } from 'vgic'
import { describe, expect, it } from 'vitest'

const withLines = (memoryLines: number): Gic => new Gic({ cpus: 1, lpis: 64, memoryLines })

describe('the memory of a GIC', () => {
  it('reads zero until it is written, and words as unsigned', () => {
    const gic = withLines(2)
    expect(gic.readMemory(0x4000_0000)).toBe(0)
    gic.writeMemory(0x4000_0000, 0xffff_fffe)
    gic.writeMemory(2 ** 52 - 4, 7)
    expect([0x4000_0000, 0x4000_0004, 2 ** 52 - 4].map((address) => gic.readMemory(address))).toEqual([
      0xffff_fffe, 0, 7,
    ])
  })

  it('is in the image', () => {
    const gic = withLines(2)
    gic.writeMemory(0x1000, 5)
    expect(Gic.from(gic.snapshot()).readMemory(0x1000)).toBe(5)
  })

  it('says when all of its lines are in use', () => {
    const gic = withLines(2)
    gic.writeMemory(0, 1)
    gic.writeMemory(0x10_0000, 2)
    expect(() => gic.writeMemory(0x20_0000, 3)).toThrow(
      new VgicError('memory', "All 2 lines of the GIC's memory are in use: give it more with memoryLines."),
    )
    expect([gic.readMemory(0), gic.readMemory(0x10_0000), gic.readMemory(0x20_0000)]).toEqual([1, 2, 0])
  })

  it.each([1, -4, 2 ** 52, 4.5])('has no word at %d', (address) => {
    const refusal = new VgicError(
      'argument',
      `address must be a multiple of 4 from 0 to 2^52, but is ${address}.`,
    )
    expect(() => withLines(1).readMemory(address)).toThrow(refusal)
    expect(() => withLines(1).writeMemory(address, 0)).toThrow(refusal)
  })

  it('has words of 32 bits', () => {
    expect(() => withLines(1).writeMemory(0, 2 ** 32)).toThrow('a word of memory has 32 bits.')
  })

  it('is not there unless it is asked for', () => {
    const none = 'This GIC has no memory of its own: access the memory that you gave it, or set memoryLines.'
    for (const gic of [new Gic({ cpus: 1 }), new Gic({ cpus: 1, lpis: 64 })])
      expect(() => gic.readMemory(0)).toThrow(new VgicError('argument', none))
  })
})
