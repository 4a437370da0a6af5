/** Memory that a machine keeps itself: a pool of lines in its buffer. */
import { Gic, VgicError } from 'vgic'
import { describe, expect, it } from 'vitest'
import { GITS } from '../gic/its/its-board.ts'

const gicOf = (memoryLines: number) => new Gic({ cpus: 1, lpis: 64, its: [{ base: GITS }], memoryLines })
const HIGH = 2 ** 51 + 2 ** 33

describe('memory of the GIC’s own', () => {
  it('reads as zero until it is written, at addresses of 52 bits', () => {
    const gic = gicOf(4)
    for (const address of [0, 60, 64, 0xffff_fffc, HIGH, 2 ** 52 - 4]) expect(gic.readMemory(address)).toBe(0)
    for (const [i, address] of [0, 60, 0xffff_fffc, HIGH, 2 ** 52 - 4].entries()) {
      gic.writeMemory(address, 0xffff_fff0 + i)
    }
    expect([0, 60, 0xffff_fffc, HIGH, 2 ** 52 - 4, 64, HIGH + 4].map((a) => gic.readMemory(a))).toEqual([
      0xffff_fff0, 0xffff_fff1, 0xffff_fff2, 0xffff_fff3, 0xffff_fff4, 0, 0,
    ])
  })

  it('is in the image and in the hash, whatever order it was written in', () => {
    const writes: readonly (readonly [number, number])[] = [
      [0x8000_0040, 1],
      [HIGH, 2],
      [0x100, 3],
      [0x104, 4],
    ]
    const one = gicOf(4)
    const other = gicOf(4)
    for (const [address, value] of writes) one.writeMemory(address, value)
    for (const [address, value] of [...writes].reverse()) {
      other.writeMemory(address, 9)
      other.writeMemory(address, value)
    }
    expect(new Int32Array(one.snapshot())).toEqual(new Int32Array(other.snapshot()))
    expect(Gic.from(one.snapshot()).readMemory(HIGH)).toBe(2)
    const empty = gicOf(4)
    expect(one.hash()).not.toBe(empty.hash())
    // What is zero again needs no line, and leaves nothing behind.
    for (const [address] of writes) one.writeMemory(address, 0)
    expect(new Int32Array(one.snapshot())).toEqual(new Int32Array(empty.snapshot()))
  })

  it('that is full is the owner’s error, and a refusal for what a guest makes the GIC write', () => {
    const gic = gicOf(2)
    gic.writeMemory(0, 1)
    gic.writeMemory(64, 1)
    gic.writeMemory(68, 1)
    const full = () => gic.writeMemory(128, 1)
    expect(full).toThrow(VgicError)
    expect(full).toThrow(
      'All 2 lines of the GIC’s memory are in use: give it more with memoryLines.'.replace('’', "'"),
    )
    expect(() => gic.writeMemory(128, 0)).not.toThrow()
    // The queue is in line 0, and the collection table would be a third one.
    gic.writeMmio64(GITS + 0x108, 0x8000_0000_0005_0200n)
    gic.writeMmio64(GITS + 0x80, 0x8000_0000_0000_0000n)
    gic.writeMmio(GITS, 4, 1)
    gic.writeMemory(0, 0x09)
    gic.writeMemory(20, 0x8000_0000)
    gic.writeMmio(GITS + 0x88, 4, 32)
    expect(gic.readMmio(GITS + 0x90, 4)).toBe(1)
    gic.writeMemory(64, 0)
    gic.writeMemory(68, 0)
    gic.writeMmio(GITS + 0x88, 4, 32 | 1)
    expect(gic.readMmio(GITS + 0x90, 4)).toBe(32)
  })

  it('is accessed by words at multiples of 4, and only where there is some', () => {
    const gic = gicOf(1)
    for (const address of [1, -4, 2 ** 52, 0.5, Number.NaN]) {
      expect(() => gic.readMemory(address)).toThrow('address must be a multiple of 4 from 0 to 2^52')
    }
    expect(() => gicOf(0).readMemory(0)).toThrow('This GIC has no memory of its own')
    expect(() => gicOf(-1)).toThrow('memoryLines must be an integer from 0 to 1048576')
    const memory = { read32: () => 0, write32: () => true }
    expect(() => new Gic({ cpus: 1, memoryLines: 1 }, { memory })).toThrow('host.memory must be left out')
  })
})
