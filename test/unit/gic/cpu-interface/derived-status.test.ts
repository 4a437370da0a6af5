/** What is derived from list registers when several are written in a row, as a hypervisor's flush and fold do. */
import { describe, expect, it } from 'vitest'
import { checkGicConfig } from '../../../../src/gic/config/config.ts'
import { clearLr, Ich, lrAt, setLrStatus } from '../../../../src/gic/cpu-interface/ich.ts'
import { VirtualInterface } from '../../../../src/gic/cpu-interface/virtual-interface.ts'
import { asPe } from '../../../../src/gic/records/pe.ts'

const pe = asPe(0)

describe('ICH_ELRSR_EL2 after list registers were written in a row', () => {
  it.each([1, 4, 15, 16])('of the first %i of 16', (count) => {
    const words = new Int32Array(64)
    const virtualInterface = new VirtualInterface(words, checkGicConfig({ cpus: 1, listRegisters: 16 }))
    const ich = new Ich(words, virtualInterface)
    let status = 0
    for (let n = 0; n < count; n++) status |= ich.fillLr(words, pe, n, 32 + n, 0x5000_0000)
    setLrStatus(words, pe, count, status)
    expect(virtualInterface.elrsr(pe)).toBe(0xffff & ~((1 << count) - 1))
    for (let n = 0; n < count; n++) clearLr(words, lrAt(pe, n))
    setLrStatus(words, pe, count, 0)
    expect(virtualInterface.elrsr(pe)).toBe(0xffff)
  })
})
