/** ICH_ELRSR_EL2 and ICH_EISR_EL2: which list registers the hypervisor may use, and which ask to be looked at. */
import { ICH_EISR_EL2, ICH_ELRSR_EL2, ICH_HCR_EL2, ICH_MISR_EL2, ichLr } from 'vgic'
import { describe, expect, it } from 'vitest'
import { type ListRegister, lr, Machine } from '../../../kit/virtual-interface.ts'

function machine(config: object): Machine {
  const m = new Machine(config)
  m.hypervisor.write(ICH_HCR_EL2, 1)
  return m
}

describe('hard case 15: ICH_ELRSR_EL2 and ICH_EISR_EL2', () => {
  const kinds: { register: ListRegister; empty: boolean; ended: boolean }[] = [
    { register: { state: 'invalid' }, empty: true, ended: false },
    { register: { state: 'invalid', vintid: 40, priority: 0x80, group: 1 }, empty: true, ended: false },
    { register: { state: 'invalid', eoi: true }, empty: false, ended: true },
    { register: { state: 'invalid', hw: true }, empty: true, ended: false },
    // Bit 41 of a list register with HW is a bit of pINTID.
    { register: { state: 'invalid', hw: true, pintid: 0x200 }, empty: true, ended: false },
    { register: { state: 'invalid', hw: true, eoi: true }, empty: true, ended: false },
    ...(['pending', 'active', 'pending+active'] as const).flatMap((state) =>
      [false, true].map((eoi) => ({ register: { state, eoi }, empty: false, ended: false })),
    ),
    { register: { state: 'active', hw: true, pintid: 40 }, empty: false, ended: false },
  ]

  it.each(kinds)('of $register: ELRSR $empty, EISR $ended', ({ register, empty, ended }) => {
    for (const n of [0, 7, 15]) {
      const m = machine({ listRegisters: 16 })
      m.hypervisor.write(ichLr(n), lr(register))
      const bit = 1n << BigInt(n)
      expect(m.hypervisor.read(ICH_ELRSR_EL2)).toBe(0xffffn ^ (empty ? 0n : bit))
      expect(m.hypervisor.read(ICH_EISR_EL2)).toBe(ended ? bit : 0n)
      expect(m.hypervisor.read(ICH_MISR_EL2)).toBe(ended ? 1n : 0n)
    }
  })

  it.each(Array.from({ length: 16 }, (_, i) => i + 1))(
    'have one bit for each of %i list registers',
    (count) => {
      const m = machine({ listRegisters: count })
      const all = (1n << BigInt(count)) - 1n
      expect(m.hypervisor.read(ICH_ELRSR_EL2)).toBe(all)
      for (let n = 0; n < count; n++) m.hypervisor.write(ichLr(n), lr({ state: 'invalid', eoi: true }))
      expect(m.hypervisor.read(ICH_ELRSR_EL2)).toBe(0n)
      expect(m.hypervisor.read(ICH_EISR_EL2)).toBe(all)
    },
  )
})
