/**
 * What ends a WFI or WFE that waits. The device's API does not say it: the scheduler of the machine that a PE
 * belongs to asks, and so these tests speak to the PE directly.
 */
import { describe, expect, it } from 'vitest'
import { checkGicConfig } from '../../src/gic/config.ts'
import { Ich } from '../../src/gic/ich.ts'
import { Pcpu } from '../../src/gic/pcpu.ts'
import { VirtualInterface } from '../../src/gic/virtual-interface.ts'

const IMO_AND_FMO = 0x18

describe('the end of a wait', () => {
  function waiting(instruction: 'wfi' | 'wfe') {
    const words = new Int32Array(64)
    const virtualInterface = new VirtualInterface(words, checkGicConfig({ cpus: 1 }))
    const [ich, pcpu] = [new Ich(words, virtualInterface), new Pcpu(words, virtualInterface)]
    pcpu.reset(0)
    pcpu.writeHcrEl2(0, IMO_AND_FMO)
    ich.writeHcr(words, 0, 1)
    ich.writeVmcr(0, 0xff00_0003 | 0)
    pcpu.setExceptionLevel(0, 1)
    expect(pcpu.wake(0)).toBe(true)
    expect(pcpu.wfe(0)).toBe(0)
    expect(pcpu[instruction](0)).toBe(1)
    expect(pcpu.wake(0)).toBe(false)
    const raise = () => ich.writeLr(0, 0, 40, 0x5080_0000)
    return { pcpu, raise }
  }

  it('of a WFI comes with an interrupt, masked or not, and not with an event', () => {
    const { pcpu, raise } = waiting('wfi')
    pcpu.sendEvent(0)
    expect(pcpu.wake(0)).toBe(false)
    raise()
    expect([pcpu.wake(0), pcpu.wake(0)]).toEqual([true, true])
    // The event is still there.
    expect(pcpu.wfe(0)).toBe(0)
  })

  it('of a WFE comes with an event, which it clears', () => {
    const { pcpu } = waiting('wfe')
    pcpu.sendEvent(0)
    expect([pcpu.wake(0), pcpu.wake(0)]).toEqual([true, true])
    expect(pcpu.wfe(0)).toBe(1)
  })

  it('of a WFE comes with an interrupt that PSTATE does not mask', () => {
    const { pcpu, raise } = waiting('wfe')
    raise()
    expect(pcpu.wake(0)).toBe(false)
    pcpu.setMasks(0, 0)
    expect(pcpu.wake(0)).toBe(true)
  })

  it('comes with an exception to EL2', () => {
    const { pcpu } = waiting('wfi')
    pcpu.leaveGuest(0)
    expect(pcpu.wake(0)).toBe(true)
  })
})
