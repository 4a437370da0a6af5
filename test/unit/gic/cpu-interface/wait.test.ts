/** What ends a WFI or WFE that waits: as the scheduler of a machine asks the PE, and as an emulator asks the device. */
import { describe, expect, it } from 'vitest'
import { checkGicConfig } from '../../../../src/gic/config/config.ts'
import { Ich } from '../../../../src/gic/cpu-interface/ich.ts'
import { Pcpu, writeHcrEl2 } from '../../../../src/gic/cpu-interface/pcpu.ts'
import { VirtualInterface } from '../../../../src/gic/cpu-interface/virtual-interface.ts'
import { asPe } from '../../../../src/gic/records/pe.ts'
import { Gic, ICC_IGRPEN1_EL1, ICC_PMR_EL1 } from '../../../../src/index.ts'
import { GICD, IGROUPR, ISENABLER, redistributor, WAKER, wordOf } from '../../../kit/frames.ts'

const IMO_AND_FMO = 0x18
const pe = asPe(0)

describe('the end of a wait', () => {
  function waiting(instruction: 'wfi' | 'wfe') {
    const words = new Int32Array(64)
    const virtualInterface = new VirtualInterface(words, checkGicConfig({ cpus: 1 }))
    const [ich, pcpu] = [new Ich(words, virtualInterface), new Pcpu(words, virtualInterface)]
    pcpu.reset(pe)
    writeHcrEl2(words, pe, IMO_AND_FMO, 0)
    ich.writeHcr(words, pe, 1)
    ich.writeVmcr(words, pe, 0xff00_0003 | 0)
    pcpu.setExceptionLevel(pe, 1)
    expect(pcpu.wake(pe)).toBe(true)
    expect(pcpu.wfe(pe)).toBe(0)
    expect(pcpu[instruction](pe)).toBe(1)
    expect(pcpu.wake(pe)).toBe(false)
    const raise = () => ich.writeLr(pe, 0, 40, 0x5080_0000)
    return { pcpu, raise }
  }

  it('of a WFI comes with an interrupt, masked or not, and not with an event', () => {
    const { pcpu, raise } = waiting('wfi')
    pcpu.sendEvent(pe)
    expect(pcpu.wake(pe)).toBe(false)
    raise()
    expect([pcpu.wake(pe), pcpu.wake(pe)]).toEqual([true, true])
    // The event is still there.
    expect(pcpu.wfe(pe)).toBe(0)
  })

  it('of a WFE comes with an event, which it clears', () => {
    const { pcpu } = waiting('wfe')
    pcpu.sendEvent(pe)
    expect([pcpu.wake(pe), pcpu.wake(pe)]).toEqual([true, true])
    expect(pcpu.wfe(pe)).toBe(1)
  })

  it('of a WFE comes with an interrupt that PSTATE does not mask', () => {
    const { pcpu, raise } = waiting('wfe')
    raise()
    expect(pcpu.wake(pe)).toBe(false)
    pcpu.setMasks(pe, 0)
    expect(pcpu.wake(pe)).toBe(true)
  })

  it('comes with an exception to EL2', () => {
    const { pcpu } = waiting('wfi')
    pcpu.leaveGuest(pe)
    expect(pcpu.wake(pe)).toBe(true)
  })
})

describe('a CPU of the device that waits', () => {
  /** SPI 40 is enabled and routed to CPU 0, which is at EL1 with IRQs masked. */
  function machine(): Gic {
    const gic = new Gic({ cpus: 2 })
    gic.writeMmio(redistributor(0) + WAKER, 4, 0)
    gic.writeMmio(GICD, 4, 2)
    gic.writeMmio(wordOf(IGROUPR, 32), 4, 1 << 8)
    gic.writeMmio(wordOf(ISENABLER, 32), 4, 1 << 8)
    gic.writeSysreg(0, ICC_PMR_EL1, 0xf0)
    gic.writeSysreg(0, ICC_IGRPEN1_EL1, 1)
    gic.setExceptionLevel(0, 1)
    expect(gic.wfe(0)).toBe('completes')
    return gic
  }

  it('in WFI goes on when its IRQ rises, masked or not, and then does not wait', () => {
    const gic = machine()
    expect([gic.wake(0), gic.wfi(0), gic.wake(0)]).toEqual([true, 'waits', false])
    gic.setSpi(40, 1)
    expect(gic.line(0, 'irq')).toBe(1)
    expect(gic.wake(0)).toBe(true)
    gic.setSpi(40, 0)
    expect(gic.wake(0)).toBe(true)
  })

  it('in WFE goes on when an IRQ is there that it does not mask', () => {
    const gic = machine()
    expect(gic.wfe(0)).toBe('waits')
    gic.setSpi(40, 1)
    expect(gic.wake(0)).toBe(false)
    gic.setMasks(0, { irq: false, fiq: true })
    expect(gic.wake(0)).toBe(true)
  })

  it('in WFE goes on after SEV, which reaches every CPU', () => {
    const gic = machine()
    expect([gic.wfe(0), gic.wfe(1), gic.wake(0)]).toEqual(['waits', 'waits', false])
    gic.sev()
    expect([gic.wake(0), gic.wake(1)]).toEqual([true, true])
  })

  it('says so only of CPUs that exist', () => {
    expect(() => machine().wake(2)).toThrow(/cpu/)
  })
})
