/** The distributor and redistributors as a guest sees them: the registers, and what Linux's KVM chooses. */

import {
  ICC_AP0R0_EL1,
  ICC_AP0R1_EL1,
  ICC_ASGI1R_EL1,
  ICC_IAR1_EL1,
  ICC_PMR_EL1,
  ICC_SGI0R_EL1,
  ICC_SGI1R_EL1,
} from 'vgic'
import { designs, kvm61, kvm72, type VirtualMachine } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { sendSgi } from '../../../../src/hyp/vgic/vgic-sgi.ts'
import { bothBaselines } from '../../../kit/designs.ts'
import {
  GICD,
  GICR,
  GITS,
  ICENABLER,
  ICFGR,
  ICPENDR,
  IGROUPR,
  IPRIORITYR,
  IROUTER,
  ISACTIVER,
  ISENABLER,
  ISPENDR,
  redistributor,
  SGI_BASE,
  sgiBase,
  wordOf,
} from '../../../kit/frames.ts'
import { acknowledge, boot, enable, isSet, vmOf, wordsChangedBy } from '../../../kit/vm.ts'

const ALL = 0xffff_ffff
const allBaselines = [designs.wfiHandler, kvm61(designs.wfiHandler), kvm72(designs.wfiFullPut)]
const kvm = (): VirtualMachine => vmOf({ vcpus: 4, spis: 224, frames: { its: GITS }, timers: true })

describe('after reset a guest reads', () => {
  it.each([
    ['GICD_CTLR', GICD, 0x50],
    ['GICD_TYPER', GICD + 0x4, 0x7a_0007],
    ['GICD_IIDR', GICD + 0x8, 0x4b00_343b],
    ['GICD_TYPER2', GICD + 0xc, 0],
    ['GICD_STATUSR', GICD + 0x10, ALL],
    ['GICD_IGROUPR0', GICD + IGROUPR, 0],
    ['GICD_IGROUPR1', GICD + IGROUPR + 4, ALL],
    ['GICD_ISENABLER0', GICD + ISENABLER, 0],
    ['GICD_ISENABLER1', GICD + ISENABLER + 4, 0],
    ['GICD_IPRIORITYR8', GICD + IPRIORITYR + 32, 0],
    ['GICD_ICFGR1', GICD + ICFGR + 4, 0],
    ['GICD_ICFGR2', GICD + ICFGR + 8, 0xaaaa_aaaa],
    ['GICD_PIDR2', GICD + 0xffe8, 0x3b],
    ['GICD_PIDR0', GICD + 0xffe0, 0],
    ['GICR_CTLR', GICR, 6],
    ['GICR_IIDR', GICR + 0x4, 0x4b00_043b],
    ['GICR_WAKER', GICR + 0x14, 0],
    ['GICR_PIDR2', GICR + 0xffe8, 0x3b],
    ['GICR_IGROUPR0', GICR + SGI_BASE + IGROUPR, ALL],
    ['GICR_ISENABLER0', GICR + SGI_BASE + ISENABLER, 0xffff],
    ['GICR_ICFGR0', GICR + SGI_BASE + ICFGR, 0xaaaa_aaaa],
    ['GICR_ICFGR1', GICR + SGI_BASE + ICFGR + 4, 0],
    ['GITS_CTLR', GITS, 0x8000_0000],
    ['GITS_IIDR', GITS + 0x4, 0x4b00_043b],
    ['GITS_PIDR4', GITS + 0xffd0, 0x40],
  ])('%s', (_name, address, value) => {
    expect(kvm().readMmio(1, address, 4)).toBe(value)
  })

  it.each([
    ['GICR_PROPBASER', GICR + 0x70, 0x580n],
    ['GICR_PENDBASER', GICR + 0x78, 0x580n],
    ['GITS_TYPER', GITS + 0x8, 0x1_ef71n],
    ['GITS_BASER0', GITS + 0x100, 0x1907_0000_0000_0600n],
    ['GITS_BASER1', GITS + 0x108, 0x1c07_0000_0000_0600n],
    ['GITS_BASER2', GITS + 0x110, 0n],
    ['GICD_IROUTER40', GICD + IROUTER + 8 * 40, 0n],
  ])('%s', (_name, address, value) => {
    expect(kvm().readMmio64(1, address)).toBe(value)
  })
})

describe('GICD_CTLR', () => {
  it.each([1, 3, 0x13, 0x53, ALL])('written as 0x%s keeps EnableGrp1 only', (value) => {
    const vm = kvm()
    vm.writeMmio(0, GICD, 4, value)
    expect(vm.readMmio(3, GICD, 4)).toBe(value & 2 ? 0x52 : 0x50)
  })
})

describe('GICD_TYPER.ITLinesNumber (hard case 26)', () => {
  it.each([
    [0, 0],
    [1, 1],
    [32, 1],
    [33, 2],
    [224, 7],
    [987, 31],
  ])('counts the 32 private INTIDs and rounds up: %i SPIs', (spis, lines) => {
    expect(vmOf({ spis }).readMmio(0, GICD + 4, 4)).toBe((9 << 19) | lines)
  })

  it('says LPIs and 16 ID bits only with an ITS', () => {
    expect(vmOf({ frames: { its: GITS } }).readMmio(0, GICD + 4, 4)).toBe(0x7a_0002)
    expect(vmOf().readMmio(0, GICD + 4, 4)).toBe((9 << 19) | 2)
  })
})

describe('extended-range registers (hard case 27)', () => {
  it.each([0x1000, 0x1200, 0x1600, 0x2000, 0x3000, 0x8000, 0xa000])('at GICD + 0x%s are RES0', (offset) => {
    const vm = kvm()
    vm.writeMmio(0, GICD + offset, 4, ALL)
    expect(vm.readMmio(0, GICD + offset, 4)).toBe(0)
  })
})

describe('the ends of the register ranges (hard case 28)', () => {
  it('the last SPI has its bits, and what follows it reads as zero and ignores writes', () => {
    const vm = vmOf({ spis: 40 })
    vm.writeMmio(0, GICD + ISENABLER + 8, 4, ALL)
    expect(vm.readMmio(0, GICD + ISENABLER + 8, 4)).toBe(0xff)
    vm.writeMmio(0, GICD + ISENABLER + 12, 4, ALL)
    expect(vm.readMmio(0, GICD + ISENABLER + 12, 4)).toBe(0)
    vm.writeMmio(0, GICD + IPRIORITYR + 71, 1, 0xff)
    expect(vm.readMmio(0, GICD + IPRIORITYR + 68, 4)).toBe(0xf800_0000)
    vm.writeMmio(0, GICD + IPRIORITYR + 72, 4, ALL)
    expect(vm.readMmio(0, GICD + IPRIORITYR + 72, 4)).toBe(0)
    vm.writeMmio(0, GICD + IROUTER + 8 * 71, 8, 1)
    expect(vm.readMmio64(0, GICD + IROUTER + 8 * 71)).toBe(1n)
    vm.writeMmio(0, GICD + IROUTER + 8 * 72, 8, 1)
    expect(vm.readMmio64(0, GICD + IROUTER + 8 * 72)).toBe(0n)
  })

  it('so has one of any number of SPIs, however many bits of its register are left', () => {
    for (const spis of [33, 34, 35, 36]) {
      const vm = vmOf({ spis })
      const bits = 2 ** (spis - 32) - 1
      vm.writeMmio(0, GICD + ISENABLER + 8, 4, ALL)
      expect(vm.readMmio(0, GICD + ISENABLER + 8, 4)).toBe(bits)
      vm.writeMmio(0, GICD + ICENABLER + 8, 4, 2 ** (spis - 33))
      expect(vm.readMmio(0, GICD + ISENABLER + 8, 4)).toBe(bits - 2 ** (spis - 33))
    }
  })

  it('SPI 1019 is the last that can be', () => {
    const vm = vmOf({ spis: 988 })
    vm.writeMmio(0, GICD + ISENABLER + 124, 4, ALL)
    expect(vm.readMmio(0, GICD + ISENABLER + 124, 4)).toBe(0x0fff_ffff)
    vm.writeMmio(0, GICD + IROUTER + 8 * 1019, 8, 1)
    expect(vm.readMmio64(0, GICD + IROUTER + 8 * 1019)).toBe(1n)
  })

  it('nothing in the frames makes the VM leave for userspace, and what lies beyond them does', () => {
    const vm = vmOf()
    for (const address of [GICD + 0x14, GICD + 0xbffc, GICD + 0xfffc, GICR + 0xfffc, GICR + 0x1_fffc])
      expect(vm.readMmio(0, address, 4)).toBe(0)
    expect(vm.cost().find(({ exit }) => exit === 'mmio')?.sysregReads).toBe(0)
    expect(vm.readMmio(0, GICR + 2 * 0x2_0000, 4)).toBe(0)
    vm.writeMmio(0, GICD - 4, 4, 1)
    expect(vm.cost().find(({ exit }) => exit === 'mmio')?.sysregReads).toBeGreaterThan(0)
  })

  it.each([
    [GICD, 1],
    [GICD, 2],
    [GICD, 8],
    [GICD + 4, 1],
    [GICD + ISENABLER + 4, 8],
    [GICD + ISENABLER + 5, 1],
    [GICD + IPRIORITYR + 32, 2],
    [GICD + IPRIORITYR + 32, 8],
    [GICD + IPRIORITYR + 33, 4],
    [GICD + IROUTER + 8 * 40 + 4, 8],
  ])('an access that 0x%s does not have reads zero and is ignored: %i bytes', (address, size) => {
    const vm = vmOf()
    vm.writeMmio(0, GICD + ISENABLER + 4, 4, ALL)
    vm.writeMmio(0, GICD + IPRIORITYR + 32, 4, ALL)
    vm.writeMmio(0, GICD + IROUTER + 8 * 40, 8, 1)
    const before = vm.snapshot()
    vm.writeMmio(0, address, size, 0)
    expect(vm.readMmio64(0, address, size)).toBe(0n)
    expect(vm.diff(before)).toEqual([])
  })

  it.each(allBaselines)(
    'an access to the active state of no interrupt does not stop the VM: $name',
    (design) => {
      const vm = vmOf({ spis: 40, design })
      expect(vm.enter(0) && vm.enter(1)).toBe(true)
      for (const register of [ISACTIVER, ISACTIVER + 12, ISACTIVER + 124]) {
        expect(vm.readMmio(0, GICD + register, 4)).toBe(0)
        vm.writeMmio(0, GICD + register, 4, ALL)
        expect([register, vm.isInGuest(1)]).toEqual([register, true])
      }
      vm.readMmio(0, GICD + ISACTIVER + 8, 4)
      expect(vm.isInGuest(1)).toBe(false)
    },
  )
})

describe('where the frames are', () => {
  it('above 4 GiB too, told apart from what has the same lower half of its address', () => {
    const high = 0x2_0000_0000
    const gicr = [{ base: high + GICR, count: 2 }]
    const vm = vmOf({ frames: { gicd: high + GICD, gicr, its: high + GITS } })
    const pidr2 = [GICD, redistributor(1), GITS].map((frame) => frame + 0xffe8)
    expect(pidr2.map((address) => vm.readMmio(0, high + address, 4))).toEqual([0x3b, 0x3b, 0x3b])
    expect(pidr2.map((address) => vm.readMmio(0, address, 4))).toEqual([0, 0, 0])
    expect(pidr2.map((address) => vm.readMmio(0, 2 * high + address, 4))).toEqual([0, 0, 0])
  })
})

describe('a read', () => {
  it('of 32 bits gives 32 bits, and one of nothing gives none of what was read before', () => {
    const vm = vmOf()
    expect(vm.readMmio64(0, redistributor(1) + 8)).toBe(0x1_0000_0110n)
    expect(vm.readMmio64(0, redistributor(1) + 8, 4)).toBe(0x110n)
    expect(vm.readMmio64(0, redistributor(1) + 8)).toBe(0x1_0000_0110n)
    expect(vm.readMmio64(0, 0x1000)).toBe(0n)
  })
})

describe('priorities', () => {
  it('have five bits, in words and in bytes', () => {
    const vm = vmOf()
    vm.writeMmio(0, GICD + IPRIORITYR + 32, 4, ALL)
    expect(vm.readMmio(0, GICD + IPRIORITYR + 32, 4)).toBe(0xf8f8_f8f8)
    vm.writeMmio(1, sgiBase(0) + IPRIORITYR + 5, 1, 0x5f)
    expect(vm.readMmio(0, sgiBase(0) + IPRIORITYR + 4, 4)).toBe(0x5800)
    expect(vm.readMmio(0, sgiBase(0) + IPRIORITYR + 5, 1)).toBe(0x58)
    expect(vm.readMmio(0, sgiBase(1) + IPRIORITYR + 4, 4)).toBe(0)
  })
})

describe('the redistributors', () => {
  it('are each their vCPU’s: affinity, number, and Last on the last one only', () => {
    const vm = vmOf({ vcpus: 18 })
    expect(vm.readMmio64(0, redistributor(0) + 8)).toBe(0n)
    expect(vm.readMmio64(0, redistributor(3) + 8)).toBe(0x3_0000_0300n)
    expect(vm.readMmio64(0, redistributor(17) + 8)).toBe(0x101_0000_1110n)
    expect(vm.readMmio(0, redistributor(17) + 0xc, 4)).toBe(0x101)
  })

  it('lie in several regions, and Last is where the next one would follow and there is none', () => {
    const gicr = [
      { base: 0x0900_0000, count: 1 },
      { base: 0x0902_0000, count: 1 },
      { base: 0x0a00_0000, count: 3 },
    ]
    const vm = vmOf({ vcpus: 4, frames: { gicr } })
    const last = (address: number) => vm.readMmio(0, address + 8, 4) & 0x10
    expect([0x0900_0000, 0x0902_0000, 0x0a00_0000, 0x0a02_0000].map(last)).toEqual([0, 0x10, 0, 0x10])
    expect(vm.readMmio(0, 0x0a04_0000, 4)).toBe(0)
    vm.writeMmio(0, 0x0a02_0000 + SGI_BASE + ICENABLER, 4, 0x8000)
    expect(vm.readMmio(3, 0x0a02_0000 + SGI_BASE + ISENABLER, 4)).toBe(0x7fff)
    expect(vm.readMmio(3, 0x0a00_0000 + SGI_BASE + ISENABLER, 4)).toBe(0xffff)
  })

  it.each([
    [{ gicr: [{ base: GICR, count: 1 }] }, 'one for each of vcpus, but has room for 1'],
    [{ gicr: [] }, 'one for each of vcpus, but has room for 0'],
    [{ gicr: [{ base: GICD + 0x8000, count: 2 }] }, 'must be a multiple of 0x10000'],
    [{ gicr: [{ base: GICD, count: 2 }] }, 'must be at or above'],
    [{ its: GICR + 0x2_0000 }, 'its must be at or above 0x80e0000'],
  ])('hard case 30: %j has no room for the vCPUs, and says so', (frames, message) => {
    expect(() => vmOf({ frames })).toThrow(expect.objectContaining({ code: 'config' }))
    expect(() => vmOf({ frames })).toThrow(message)
  })
})

describe('LPI registers', () => {
  it('GICR_PROPBASER is one for all vCPUs, GICR_PENDBASER each its own', () => {
    const vm = kvm()
    vm.writeMmio(0, redistributor(2) + 0x70, 8, 0xffff_ffff_ffff_ffffn)
    vm.writeMmio(0, redistributor(2) + 0x78, 8, 0xffff_ffff_ffff_ffffn)
    expect(vm.readMmio64(1, redistributor(1) + 0x70)).toBe(0x000f_ffff_ffff_ff9fn)
    expect(vm.readMmio64(1, redistributor(2) + 0x78)).toBe(0x000f_ffff_ffff_0f80n)
    expect(vm.readMmio64(1, redistributor(1) + 0x78)).toBe(0x580n)
    vm.writeMmio(0, redistributor(1) + 0x70, 8, 0)
    expect(vm.readMmio64(1, redistributor(2) + 0x70)).toBe(0x180n)
  })

  it('hard case 29: 64-bit registers accept two 32-bit halves', () => {
    const vm = kvm()
    vm.writeMmio(0, redistributor(0) + 0x70, 4, 0x5000_078f)
    vm.writeMmio(0, redistributor(0) + 0x74, 4, 0x1)
    expect(vm.readMmio64(0, redistributor(0) + 0x70)).toBe(0x1_5000_078fn)
    expect(vm.readMmio(0, redistributor(0) + 0x74, 4)).toBe(1)
    vm.writeMmio(0, GICD + IROUTER + 8 * 40, 4, 3)
    vm.writeMmio(0, GICD + IROUTER + 8 * 40 + 4, 4, ALL)
    expect(vm.readMmio64(0, GICD + IROUTER + 8 * 40)).toBe(3n)
  })

  it('can be enabled only with an ITS, and the tables stay as they are from then on', () => {
    const without = vmOf()
    without.writeMmio(0, GICR, 4, 1)
    expect(without.readMmio(0, GICR, 4)).toBe(6)
    const vm = kvm()
    vm.writeMmio(0, GICR, 4, 1)
    expect(vm.readMmio(0, GICR, 4)).toBe(7)
    expect(vm.readMmio(0, redistributor(1), 4)).toBe(6)
    vm.writeMmio(0, GICR + 0x70, 8, 0)
    vm.writeMmio(0, GICR + 0x78, 8, 0)
    expect(vm.readMmio64(0, GICR + 0x70)).toBe(0x580n)
    expect(vm.readMmio64(0, GICR + 0x78)).toBe(0x580n)
  })
})

describe('GICD_IROUTER', () => {
  it('keeps Aff2.Aff1.Aff0, also of a vCPU that does not exist', () => {
    const vm = vmOf()
    vm.writeMmio(0, GICD + IROUTER + 8 * 40, 8, 0xffff_ffff_ffff_ffffn)
    expect(vm.readMmio64(0, GICD + IROUTER + 8 * 40)).toBe(0xff_ffffn)
    vm.writeMmio(0, GICD + IROUTER + 8 * 31, 8, 1)
    expect(vm.readMmio64(0, GICD + IROUTER + 8 * 31)).toBe(0n)
  })
})

describe('the route of an SPI', () => {
  const routeOf = (vm: VirtualMachine, intid: number): bigint => vm.readMmio64(0, GICD + IROUTER + 8 * intid)
  const target = (vm: VirtualMachine, intid: number): string | undefined =>
    vm.explain(intid).conditions.find(({ name }) => name === 'target')?.detail

  it('can be chosen from the first SPI to the last, and for no other INTID', () => {
    const vm = vmOf({ spis: 40 })
    for (const intid of [31, 32, 71, 72]) vm.writeMmio(0, GICD + IROUTER + 8 * intid, 8, 1)
    expect([31, 32, 33, 70, 71, 72].map((intid) => routeOf(vm, intid))).toEqual([0n, 1n, 0n, 0n, 1n, 0n])
    expect([32, 33, 71].map((intid) => target(vm, intid))).toEqual([
      'GICD_IROUTER32 names vcpu1',
      'GICD_IROUTER33 names vcpu0',
      'GICD_IROUTER71 names vcpu1',
    ])
  })

  it.each([
    ['that of the vCPU after the last', 2],
    ['an Aff0 of 16', 0x10],
    ['an Aff1 that none has', 0x100],
    ['an Aff2', 0x1_0000],
  ])('goes to nobody by %s', (_, affinity) => {
    const vm = boot(vmOf({ vcpus: 2 }))
    vm.writeMmio(0, GICD + IROUTER + 8 * 40, 8, affinity)
    enable(vm, 40)
    vm.setLine(40, 1)
    expect(target(vm, 40)).toBe('GICD_IROUTER40 names no vCPU')
    expect([0, 1].map((vcpu) => acknowledge(vm, vcpu))).toEqual([1023, 1023])
  })

  it('goes to vCPU 16 by Aff1 1', () => {
    const vm = vmOf({ vcpus: 17 })
    vm.writeMmio(0, GICD + IROUTER + 8 * 40, 8, 0x100)
    expect(target(vm, 40)).toBe('GICD_IROUTER40 names vcpu16')
  })
})

describe('the trigger of an interrupt', () => {
  it('can be chosen for SPIs, not for SGIs and PPIs', () => {
    const vm = vmOf()
    vm.writeMmio(0, GICD + ICFGR + 8, 4, 0x5555_5557)
    expect(vm.readMmio(0, GICD + ICFGR + 8, 4)).toBe(2)
    for (const register of [0, 4]) vm.writeMmio(0, sgiBase(0) + ICFGR + register, 4, register === 0 ? 0 : ALL)
    expect(vm.readMmio(0, sgiBase(0) + ICFGR, 4)).toBe(0xaaaa_aaaa)
    expect(vm.readMmio(0, sgiBase(0) + ICFGR + 4, 4)).toBe(0)
  })

  it.each([40, 70, 95])(
    'of SPI %i set to edge hides a line that is high, which is pending again when it is set back',
    (intid) => {
      const vm = vmOf()
      const configure = (value: number): void => vm.writeMmio(0, GICD + ICFGR + 4 * (intid >> 4), 4, value)
      configure(0)
      vm.setLine(intid, 1)
      expect(isSet(vm, ISPENDR, intid)).toBe(true)
      configure(ALL)
      expect(isSet(vm, ISPENDR, intid)).toBe(false)
      configure(0)
      expect(isSet(vm, ISPENDR, intid)).toBe(true)
      vm.setLine(intid, 0)
      expect(isSet(vm, ISPENDR, intid)).toBe(false)
      configure(ALL)
      vm.setLine(intid, 1)
      vm.setLine(intid, 0)
      configure(0)
      vm.writeMmio(0, wordOf(ICPENDR, intid), 4, ALL)
      expect(isSet(vm, ISPENDR, intid)).toBe(false)
    },
  )
})

describe('userspace lines', () => {
  it('an edge stays pending when its line falls, a level does not, and ICPENDR clears the edge only', () => {
    const vm = vmOf()
    vm.writeMmio(0, GICD + ICFGR + 8, 4, 2 << 16)
    for (const intid of [40, 41]) vm.setLine(intid, 1)
    vm.writeMmio(0, GICD + ICPENDR + 4, 4, 0x300)
    expect(vm.readMmio(0, GICD + ISPENDR + 4, 4)).toBe(0x200)
    for (const intid of [40, 41]) vm.setLine(intid, 0)
    vm.setLine(40, 1)
    vm.setLine(40, 0)
    expect(vm.readMmio(0, GICD + ISPENDR + 4, 4)).toBe(0x100)
  })

  it('a PPI is its vCPU’s', () => {
    const vm = vmOf()
    vm.setLine(20, 1, 1)
    expect(vm.readMmio(0, sgiBase(1) + ISPENDR, 4)).toBe(0x10_0000)
    expect(vm.readMmio(0, sgiBase(0) + ISPENDR, 4)).toBe(0)
  })

  it('does not take what has no line', () => {
    const vm = vmOf({ timers: true })
    for (const intid of [15, 96, 1020, 3.5])
      expect(() => vm.setLine(intid, 1)).toThrow(expect.objectContaining({ code: 'argument' }))
    expect(() => vm.setLine(27, 1)).toThrow('PPI 27 belongs to a timer: use setTimer.')
    expect(() => vm.setLine(40, 2 as 1)).toThrow(expect.objectContaining({ code: 'argument' }))
    expect(() => vm.setLine(40, 1, 2)).toThrow(expect.objectContaining({ code: 'argument' }))
  })
})

describe('SGIs', () => {
  const pending = (vm: VirtualMachine, vcpu: number) => vm.readMmio(0, sgiBase(vcpu) + ISPENDR, 4)

  it('hard case 9: ICC_SGI1R_EL1 reaches an SGI that its target has in group 0; the others no group 1 one', () => {
    const vm = vmOf({ vcpus: 3 })
    vm.writeMmio(0, sgiBase(1) + IGROUPR, 4, 0xffff_fffe)
    for (const register of [ICC_SGI1R_EL1, ICC_SGI0R_EL1, ICC_ASGI1R_EL1]) {
      vm.writeMmio(0, sgiBase(1) + ICPENDR, 4, ALL)
      vm.writeSysreg(0, register, 0x0000_0002)
      vm.writeSysreg(0, register, 0x0100_0002)
      expect(pending(vm, 1)).toBe(register === ICC_SGI1R_EL1 ? 3 : 1)
      expect(pending(vm, 2)).toBe(0)
    }
  })

  it('with IRM go to all but the sender, and by affinity to the cluster that is named', () => {
    const vm = vmOf({ vcpus: 18 })
    vm.writeSysreg(16, ICC_SGI1R_EL1, (1n << 40n) | (5n << 24n))
    expect(Array.from({ length: 18 }, (_, vcpu) => pending(vm, vcpu) !== 0)).toEqual(
      Array.from({ length: 18 }, (_, vcpu) => vcpu !== 16),
    )
    vm.writeSysreg(0, ICC_SGI1R_EL1, (1n << 16n) | (6n << 24n) | 3n)
    expect([pending(vm, 0), pending(vm, 1), pending(vm, 16), pending(vm, 17)]).toEqual([
      0x20, 0x20, 0x40, 0x60,
    ])
  })

  it.each([
    ['the vCPU after the last', 0n, 4n],
    ['one of another cluster', 1n << 16n, 1n],
    ['one of another Aff2', 1n << 32n, 1n],
    ['one of another Aff3', 1n << 48n, 1n],
    ['nobody', 0n, 0n],
  ])('to %s change nothing of the VM', (_, affinity, targets) => {
    const { hypervisor } = vmOf()
    const value = affinity | targets | (5n << 24n)
    const [low, high] = [Number(value & 0xffff_ffffn), Number(value >> 32n)]
    const send = () => sendSgi(hypervisor.apLists, hypervisor.vcpu(0), low, high, 0, null)
    expect(wordsChangedBy(hypervisor, send)).toEqual([])
  })

  it('are enabled at reset, can be disabled, and wait then', () => {
    const vm = boot(vmOf())
    vm.writeMmio(0, sgiBase(1) + ICENABLER, 4, 8)
    vm.writeSysreg(0, ICC_SGI1R_EL1, 0x0300_0002)
    expect(acknowledge(vm, 1)).toBe(1023)
    vm.writeMmio(0, sgiBase(1) + ISENABLER, 4, 8)
    expect(acknowledge(vm, 1)).toBe(3)
  })
})

describe('one group enable', () => {
  it.each(bothBaselines)(
    'EnableGrp1 gates both groups, and EnableGrp0 does not exist: $name',
    ({ design }) => {
      const vm = boot(vmOf({ design }))
      vm.writeMmio(0, sgiBase(0) + IGROUPR, 4, 0)
      vm.writeMmio(0, GICD, 4, 1)
      vm.writeMmio(0, sgiBase(0) + ISPENDR, 4, 1)
      vm.enter(0)
      expect(vm.listRegisters(0).hcr).toBe(0)
      vm.writeMmio(0, GICD, 4, 2)
      vm.writeMmio(0, sgiBase(0) + ISENABLER, 4, 1)
      vm.enter(0)
      expect(vm.listRegisters(0).lr[0]).toBe(0x4000_0000_0000_0000n)
    },
  )
})

describe('active state', () => {
  it('is set and cleared by writes, and shows in the list registers of its vCPU', () => {
    const vm = boot(vmOf())
    vm.writeMmio(0, GICD + ISACTIVER + 4, 4, 0x100)
    vm.enter(0)
    expect(vm.listRegisters(0).lr[0]).toBe(0x9000_0000_0000_0028n)
    vm.writeMmio(1, GICD + ISACTIVER + 0x80 + 4, 4, 0x100)
    vm.enter(0)
    expect(vm.listRegisters(0).lr[0]).toBe(0n)
  })
})

describe('a VM that runs its guests elsewhere', () => {
  it('takes back its own images, and none of a VM with another design or other frames', () => {
    const vm = boot(vmOf())
    const image = vm.snapshot()
    vm.writeMmio(0, GICD, 4, 0)
    vm.restore(image)
    expect(vm.readMmio(0, GICD, 4)).toBe(0x52)
    for (const other of [vmOf({ design: bothBaselines[1].design }), vmOf({ frames: { gicd: 0x0700_0000 } })])
      expect(() => other.restore(image)).toThrow(expect.objectContaining({ code: 'image-mismatch' }))
  })

  it('refuses what no guest can do', () => {
    const vm = vmOf()
    const refused = (act: () => unknown) => expect(act).toThrow(expect.objectContaining({ code: 'argument' }))
    refused(() => vm.readMmio(2, GICD, 4))
    refused(() => vm.readMmio(0, -4, 4))
    refused(() => vm.readMmio(0, 2 ** 52, 4))
    refused(() => vm.readMmio(0, GICD, 3))
    expect(vm.wfi(1)).toBe(false)
    refused(() => vm.readMmio(1, GICD, 4))
  })

  it('reads all 64 bits of a system register, and has its side effects once', () => {
    const vm = boot(vmOf())
    enable(vm, 40)
    vm.setLine(40, 1)
    expect(vm.readSysreg64(0, ICC_PMR_EL1)).toBe(0xf0n)
    expect([vm.readSysreg64(0, ICC_IAR1_EL1), vm.readSysreg64(0, ICC_IAR1_EL1)]).toEqual([40n, 1023n])
    expect(vm.readSysreg64(0, ICC_SGI1R_EL1)).toBe(0n)
    expect(vm.wasUndefined(0)).toBe(true)
  })

  it('goes on at its WFI with an interrupt pending, masked or not, and sleeps without one', () => {
    const vm = boot(vmOf())
    enable(vm, 40)
    vm.setLine(40, 1)
    expect([vm.enter(0), vm.line(0, 'virq'), vm.wfi(0), vm.isInGuest(0)]).toEqual([true, 1, true, true])
    expect(acknowledge(vm, 0)).toBe(40)
    expect([vm.wfi(0), vm.isInGuest(0), vm.line(0, 'virq')]).toEqual([false, false, 0])
    expect(() => vm.readSysreg64(0, ICC_PMR_EL1)).toThrow(
      'vCPU 0 sleeps in its WFI: ask enter() before its guest',
    )
  })

  it('says which system registers are UNDEFINED', () => {
    const vm = vmOf()
    vm.readSysreg(0, ICC_AP0R1_EL1)
    expect(vm.wasUndefined(0)).toBe(true)
    vm.readSysreg(0, ICC_AP0R0_EL1)
    expect(vm.wasUndefined(0)).toBe(false)
  })

  it.each([0, 1])('names the registers: of GICR %i too', (vcpu) => {
    const vm = vmOf({ frames: { its: GITS } })
    expect(vm.nameOf(GICD + ISENABLER + 4)).toBe('GICD_ISENABLER1')
    expect(vm.nameOf(sgiBase(vcpu) + ISPENDR)).toBe('GICR_ISPENDR0')
    expect(vm.nameOf(redistributor(vcpu) + 0x74)).toBe('GICR_PROPBASER')
    expect(vm.nameOf(GITS + 0x108)).toBe('GITS_BASER1')
    expect(vm.nameOf(GICD + 0x20)).toBeUndefined()
    expect(vm.nameOf(0)).toBeUndefined()
  })
})
