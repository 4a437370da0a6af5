/** Registers and commands by name, encoding and offset, their values from fields and back. */
import {
  decode,
  decodeCommand,
  encode,
  encodeCommand,
  encodeSysreg,
  Gic,
  HCR_EL2,
  HCR_EL2_FMO,
  HCR_EL2_IMO,
  ICC_IAR1_EL1,
  iccRegisters,
  ichLr,
  ichRegisters,
  icvRegisters,
  listRegister,
  type RegisterFrame,
  registers,
} from 'vgic'
import { describe, expect, it } from 'vitest'
import { itsCommands } from '../../../src/arch/its-commands.ts'
import { GICD, redistributor } from '../../kit/frames.ts'

/** Above the redistributors: an ITS of GICv4.1 has three frames. */
const ITS = 0x0900_0000

describe('registers', () => {
  it('are found by name, encoding and offset', () => {
    expect(registers.byName('ICH_VMCR_EL2').access).toBe('RW')
    expect(registers.byEncoding(encodeSysreg(3, 0, 12, 12, 0)).name).toBe('ICC_IAR1_EL1')
    expect(registers.byEncoding(HCR_EL2).name).toBe('HCR_EL2')
    expect(registers.byOffset('GICD', 0x104)).toMatchObject({ name: 'GICD_ISENABLER1', offset: 0x104 })
    expect(registers.byOffset('GICR', 0x1_0080).name).toBe('GICR_IGROUPR0')
    expect(registers.byOffset('GITS', 0x114)).toMatchObject({ name: 'GITS_BASER2', offset: 0x110 })
  })

  it('are found by every name that names() has, and are called so', () => {
    const names = registers.names()
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) expect(registers.byName(name).name).toBe(name)
    for (const each of [...iccRegisters, ...ichRegisters, ...icvRegisters])
      expect(registers.byName(each.name)).toEqual(each)
  })

  it('of a number that there is not are refused', () => {
    for (const name of [
      'GICD_ISENABLER32',
      'GICD_IROUTER31',
      'GITS_BASER8',
      'GICD_ISENABLER01',
      'GICD_ISENABLER',
    ])
      expect(() => registers.byName(name), name).toThrow('There is no register')
    expect(() => registers.byName('ICH_VMCR_EL1')).toThrow('did you mean ICH_VMCR_EL2?')
    expect(() => registers.byOffset('GICD', 0x44)).toThrow('GICD has no register at offset 0x44.')
  })

  it.each([
    ['GICD', GICD, 0x1_0000],
    ['GICR', redistributor(0), 0x4_0000],
    ['GITS', ITS, 0x3_0000],
  ] as const)('of %s are those of the device, at its offsets', (frame: RegisterFrame, base, size) => {
    const gic = new Gic({ version: '4.1', cpus: 1, spis: 988, lpis: 64, its: [{ base: ITS }] })
    const absent = new Set<string>()
    for (let offset = 0; offset < size; offset += 4) {
      let known: string | undefined
      try {
        known = registers.byOffset(frame, offset).name
      } catch {
        known = undefined
      }
      const there = gic.registerAt(base + offset)
      // GICD_IROUTER0 to 31 are a gap that the device's row covers.
      if (there !== known && !/^GICD_IROUTER\d$|^GICD_IROUTER[12]\d$|^GICD_IROUTER3[01]$/.test(there ?? ''))
        absent.add(`${there} / ${known}`)
    }
    // Direct LPIs are an option of the configuration.
    expect([...absent]).toEqual(
      frame === 'GICR' ? ['undefined / GICR_SETLPIR', 'undefined / GICR_CLRLPIR'] : [],
    )
  })

  it('have fields that tile them', () => {
    for (const name of registers.names()) {
      for (const { width, fields } of registers.byName(name).views) {
        let next = width - 1
        for (const { hi, lo } of fields) {
          expect([name, hi]).toEqual([name, next])
          next = lo - 1
        }
        expect([name, next]).toEqual([name, -1])
      }
    }
  })
})

describe('a value in words', () => {
  it('prints its fields, by the view that it selects itself', () => {
    expect(String(decode('ICH_LR0_EL2', 0x50a0000000000028n))).toBe(
      'ICH_LR0_EL2 0x50a0000000000028 (pending SPI 40 prio 0xa0 group 1)',
    )
    expect(String(decode('ICH_LR0_EL2', 0x5000_0000_ffff_ffffn))).toContain('(pending LPI 4294967295 prio')
    expect(String(decode('ICC_PMR_EL1', -1))).toBe('ICC_PMR_EL1 0xffffffffffffffff (Priority=0xff)')
    expect(String(decode('GICD_ISENABLER1', 0x8000_0100))).toBe(
      'GICD_ISENABLER1 0x80000100 (INTID63 INTID40)',
    )
    expect(decode('GICD_IPRIORITYR10', 0xa0).fields['INTID40']).toBe(0xa0)
    expect(decode('GICD_IROUTER40', 0x1_0000_0203n).fields).toMatchObject({ Aff3: 1, Aff1: 2, Aff0: 3 })
  })

  it('has the fields of the version that is asked for', () => {
    const bit62 = 1n << 62n
    expect(String(decode('GICR_VPENDBASER', bit62))).toContain('(Doorbell)')
    expect(String(decode('GICR_VPENDBASER', bit62, { version: '4.0' }))).toContain('(IDAI)')
  })

  it('is plain data as JSON', () => {
    expect(JSON.parse(JSON.stringify(decode('GICD_CTLR', 0x12)))).toEqual({
      name: 'GICD_CTLR',
      value: '0x12',
      fields: { RWP: 0, nASSGIreq: 0, E1NWF: 0, DS: 0, ARE: 1, EnableGrp1: 1, EnableGrp0: 0 },
    })
  })

  it('takes signed and unsigned numbers, and no more bits than the register has', () => {
    expect(decode('GICD_CTLR', -1).value).toBe(0xffff_ffffn)
    expect(decode('ICH_LR0_EL2', -1n).value).toBe(0xffff_ffff_ffff_ffffn)
    expect(() => decode('GICD_CTLR', 2 ** 32)).toThrow('at most the 32 bits of GICD_CTLR')
  })

  it('is made of its fields, with RES1 as it is to be written', () => {
    expect(encode('ICH_VMCR_EL2', { VPMR: 0xf0, VENG1: 1 })).toBe(0xf000_000an)
    expect(encode('HCR_EL2', { IMO: 1, FMO: 1 })).toBe(BigInt(HCR_EL2_IMO | HCR_EL2_FMO))
    expect(() => encode('ICH_VMCR_EL2', { VPNR: 1 })).toThrow('did you mean VPMR?')
    expect(() => encode('ICH_VMCR_EL2', { VPMR: 256 })).toThrow('must be from 0 to 0xff, but is 0x100.')
    expect(() => encode('GICD_CTLR', { RES0: 1 })).toThrow('has no field "RES0"')
  })

  it('of every register is what its fields make', () => {
    for (const name of registers.names()) {
      const fields = decode(name, 0x5a5a_5a5a).fields
      const again = decode(name, encode(name, fields)).fields
      expect([name, again]).toEqual([name, fields])
    }
  })
})

describe('a list register', () => {
  it('is what the hardware takes and gives back', () => {
    const gic = new Gic({ cpus: 1 })
    const value = listRegister({ vintid: 40, priority: 0xa0, pintid: 41 })
    gic.writeSysreg64(0, ichLr(0), value, 2)
    expect(gic.readSysreg64(0, ichLr(0), 2)).toBe(value)
    expect(String(gic.inspectSysreg(0, ichLr(0)))).toContain(
      '(pending SPI 40 prio 0xa0 group 1 -> pINTID 41)',
    )
  })

  it('says what excludes what', () => {
    expect(listRegister({ vintid: 8192, state: 'active', eoi: true })).toBe(0x9000_0200_0000_2000n)
    expect(() => listRegister({ vintid: 1, pintid: 1, eoi: true })).toThrow(
      'eoi is for list registers without',
    )
    expect(() => listRegister({ vintid: 1, pintid: 1, hw: false })).toThrow('pintid needs hw: true')
  })
})

describe('a command', () => {
  it('is its doublewords in words, and they are it', () => {
    const fields = { DeviceID: 42, Size: 4, ITT_addr: 0x4010_00, V: 1 }
    const mapd = encodeCommand('MAPD', fields)
    expect(mapd).toEqual([0x2a_0000_0008n, 4n, (1n << 63n) | (0x4010_00n << 8n), 0n])
    expect(decodeCommand(mapd).fields).toEqual(fields)
    expect(String(decodeCommand(mapd))).toBe('MAPD DeviceID=0x2a Size=4 ITT_addr=0x401000 V')
    expect(JSON.parse(JSON.stringify(decodeCommand(mapd)))).toMatchObject({ name: 'MAPD', fields })
  })

  it('of any name is found by its opcode', () => {
    for (const { name } of itsCommands) expect(decodeCommand(encodeCommand(name, {})).name).toBe(name)
    expect(() => decodeCommand([0x77n, 0n, 0n, 0n])).toThrow('is the opcode of no command')
    expect(() => encodeCommand('MAPT', {})).toThrow('did you mean')
    expect(() => encodeCommand('INT', { EventId: 1 })).toThrow('did you mean EventID?')
  })
})

it('an encoding is the number that the build makes of it', () => {
  expect(ICC_IAR1_EL1).toBe(encodeSysreg(3, 0, 12, 12, 0))
})
