/** The registers of the ITS that a guest sees: what they hold, and when they can be written. */
import type { VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { GITS } from '../../../kit/frames.ts'
import { vmOf } from '../../../kit/vm.ts'

const CTLR = GITS
const CBASER = GITS + 0x80
const CWRITER = GITS + 0x88
const CREADR = GITS + 0x90
const BASER0 = GITS + 0x100
const BASER1 = GITS + 0x108
const BASER2 = GITS + 0x110
const QUIESCENT = 0x8000_0000
const ENABLED = 1
const VALID = 1n << 63n
const ALL = 0xffff_ffff_ffff_ffffn

const kvm = (): VirtualMachine => vmOf({ frames: { its: GITS } })
const write = (vm: VirtualMachine, address: number, value: bigint): void => vm.writeMmio(0, address, 8, value)
const read = (vm: VirtualMachine, address: number): bigint => vm.readMmio64(1, address)

/** As a driver sets it up: a queue of one page, and both tables. */
function setUp(vm: VirtualMachine): VirtualMachine {
  for (const register of [CBASER, BASER0, BASER1]) write(vm, register, VALID | 0x10_0000n)
  return vm
}

describe('a GITS_BASER<n>', () => {
  it('has a fixed type, entries of 8 bytes and pages of 64 KiB; collections have a flat table', () => {
    const vm = kvm()
    for (const register of [BASER0, BASER1, BASER2]) write(vm, register, ALL)
    expect([BASER0, BASER1, BASER2].map((register) => read(vm, register))).toEqual([
      0xf907_ffff_ffff_feffn,
      0xbc07_ffff_ffff_feffn,
      0n,
    ])
    for (const register of [BASER0, BASER1, BASER2]) write(vm, register, 0n)
    expect([BASER0, BASER1, BASER2].map((register) => read(vm, register))).toEqual([
      0x1907_0000_0000_0200n,
      0x1c07_0000_0000_0200n,
      0n,
    ])
  })

  it('hard case 29: accepts two 32-bit halves, each of which leaves the other', () => {
    const vm = kvm()
    vm.writeMmio(0, BASER1 + 4, 4, 0x8000_0012)
    expect(read(vm, BASER1)).toBe(0x9c07_0012_0000_0600n)
    vm.writeMmio(0, BASER1, 4, 0x3400_0000)
    expect(read(vm, BASER1)).toBe(0x9c07_0012_3400_0200n)
    expect(read(vm, BASER0)).toBe(0x1907_0000_0000_0600n)
  })
})

describe('GITS_BASER2 to GITS_BASER7', () => {
  it.each([4, 8] as const)('are no tables: what is written there by %i bytes changes no register', (size) => {
    const vm = setUp(kvm())
    write(vm, CWRITER, 0x40n)
    const all = [CTLR, CBASER, CWRITER, CREADR, BASER0, BASER1]
    const before = all.map((register) => read(vm, register))
    for (let register = BASER2; register < BASER2 + 0x30; register += size)
      vm.writeMmio(0, register, size, size === 4 ? 0xffff_ffff : ALL)
    expect(all.map((register) => read(vm, register))).toEqual(before)
    for (let register = BASER2; register < BASER2 + 0x30; register += 8) expect(read(vm, register)).toBe(0n)
  })
})

describe('GITS_CBASER', () => {
  it.each([
    ['has what is written but for the low bits of the address', ALL, 0xff1f_ffff_ffff_0fffn],
    ['has device memory as write-back', 1n << 59n, 3n << 59n],
    ['has non-cacheable memory as it is', 2n << 59n, 2n << 59n],
    ['has an outer cacheability as the inner one', (3n << 59n) | (2n << 53n), 3n << 59n],
    [
      'has an outer cacheability of non-cacheable as it is',
      (3n << 59n) | (1n << 53n),
      (3n << 59n) | (1n << 53n),
    ],
    ['has outer shareable memory as inner shareable', (3n << 59n) | 0x800n, (3n << 59n) | 0x400n],
    ['has inner shareable memory as it is', (3n << 59n) | 0x400n, (3n << 59n) | 0x400n],
  ])('%s', (_what, value, kept) => {
    const vm = kvm()
    write(vm, CBASER, value)
    expect(read(vm, CBASER)).toBe(kept)
  })
})

it('GITS_CBASER accepts two 32-bit halves, each of which leaves the other and the queue’s beginning', () => {
  const vm = kvm()
  vm.writeMmio(0, CBASER, 4, 0x10_0003)
  expect(read(vm, CBASER)).toBe((1n << 59n) * 3n + 0x10_0003n)
  vm.writeMmio(0, CBASER + 4, 4, 0x8000_0012)
  expect(read(vm, CBASER)).toBe(VALID | (3n << 59n) | 0x12_0010_0003n)
  vm.writeMmio(0, CBASER, 4, 0x20_0000)
  expect(read(vm, CBASER)).toBe(VALID | (3n << 59n) | 0x12_0020_0000n)
  expect([read(vm, CREADR), read(vm, CWRITER)]).toEqual([0n, 0n])
})

describe('GITS_CWRITER', () => {
  it('holds an offset of a command within the queue; past its end it is ignored, and GITS_CREADR is read only', () => {
    const vm = setUp(kvm())
    write(vm, CWRITER, 0xfffn)
    expect(read(vm, CWRITER)).toBe(0xfe0n)
    write(vm, CWRITER, 0x1000n)
    expect(read(vm, CWRITER)).toBe(0xfe0n)
    write(vm, CBASER, VALID | 0x10_0001n)
    write(vm, CWRITER, 0x1020n)
    expect(read(vm, CWRITER)).toBe(0x1020n)
    vm.writeMmio(0, CWRITER + 4, 4, 0x20)
    expect(read(vm, CWRITER)).toBe(0x1020n)
    write(vm, CREADR, 0x40n)
    expect(read(vm, CREADR)).toBe(0n)
  })

  it('away from GITS_CREADR leaves the ITS not quiescent', () => {
    const vm = setUp(kvm())
    expect(vm.readMmio(0, CTLR, 4)).toBe(QUIESCENT)
    write(vm, CWRITER, 0x20n)
    expect(vm.readMmio(0, CTLR, 4)).toBe(0)
  })
})

describe('the ITS', () => {
  it.each([
    ['without a queue', CBASER],
    ['without a table of devices', BASER0],
    ['without a table of collections', BASER1],
  ])('cannot be enabled %s', (_what, missing) => {
    const vm = setUp(kvm())
    write(vm, missing, 0x10_0000n)
    vm.writeMmio(0, CTLR, 4, ENABLED)
    expect(vm.readMmio(0, CTLR, 4)).toBe(QUIESCENT)
    write(vm, missing, VALID)
    vm.writeMmio(0, CTLR, 4, 0xffff_fffe)
    expect(vm.readMmio(0, CTLR, 4)).toBe(QUIESCENT)
    vm.writeMmio(0, CTLR, 4, ENABLED)
    expect(vm.readMmio(0, CTLR, 4)).toBe(QUIESCENT + ENABLED)
  })

  it('keeps its queue and tables while it is enabled, and lets go of them afterwards', () => {
    const vm = setUp(kvm())
    const registers = [CBASER, BASER0, BASER1]
    const before = registers.map((register) => read(vm, register))
    vm.writeMmio(0, CTLR, 4, ENABLED)
    for (const register of registers) write(vm, register, 0n)
    expect(registers.map((register) => read(vm, register))).toEqual(before)
    vm.writeMmio(0, CTLR, 4, 0)
    for (const register of registers) write(vm, register, 0n)
    expect(registers.map((register) => read(vm, register) & VALID)).toEqual([0n, 0n, 0n])
  })

  it('is two frames, and a vCPU’s writes to that of translations are ignored; around them is userspace’s', () => {
    const its = 0x0a00_0000
    const vm = vmOf({ frames: { its } })
    const crossings = (): number => vm.cost().find(({ exit }) => exit === 'mmio')?.sysregReads ?? 0
    vm.writeMmio(0, its + 0x1_0040, 4, 1)
    expect([vm.readMmio(0, its, 4), vm.readMmio(0, its + 0x1_fffc, 4)]).toEqual([QUIESCENT, 0])
    expect(crossings()).toBe(0)
    vm.readMmio(0, its - 4, 4)
    const before = crossings()
    expect(before).toBeGreaterThan(0)
    vm.readMmio(0, its + 0x2_0000, 4)
    expect(crossings()).toBeGreaterThan(before)
  })

  it('is nowhere unless the VM has one: what lies there is userspace’s', () => {
    const vm = vmOf()
    expect(vm.readMmio(0, GITS + 0xffe8, 4)).toBe(0)
    expect(vm.cost().find(({ exit }) => exit === 'mmio')?.sysregReads).toBeGreaterThan(0)
    expect([vm.nameOf(GITS), kvm().nameOf(GITS), kvm().nameOf(GITS + 0x108)]).toEqual([
      undefined,
      'GITS_CTLR',
      'GITS_BASER1',
    ])
  })
})
