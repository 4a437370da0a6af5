/** The baseline kvm72: the facts of Linux 7.2's recordings (traces/KVM-CHOICES-7.2.md, by their numbers). */
import {
  ICC_CTLR_EL1,
  ICC_DIR_EL1,
  ICC_EOIR1_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_SGI1R_EL1,
} from 'vgic'
import {
  type Design,
  designs,
  kvm61,
  kvm72,
  type Scenario,
  scenario,
  type VirtualMachine,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import {
  HCR_LRENPIE,
  HCR_NPIE,
  HCR_TDIR,
  HCR_UIE,
  HCR_vSGIEOICount,
} from '../../../../src/arch/ich-registers.ts'
import { exhibit, museum } from '../../../../src/explore/museum/museum.ts'
import { isAsleep, VCPU_THREAD } from '../../../../src/hyp/records/vcpu.ts'
import { linuxSituation } from '../../../../tools/linux-verdicts.ts'
import { allDesigns } from '../../../kit/designs.ts'
import { acknowledged, fire, go, goTo } from '../../../kit/driving.ts'
import { GICD, ISACTIVER, sgiBase, wordOf } from '../../../kit/frames.ts'
import { busy } from '../../../kit/guest-lists.ts'
import { acknowledge, boot, enable, end, setTrigger, vmOf } from '../../../kit/vm.ts'
import { explore } from '../../explore/checked.ts'

const linux: Design = kvm72(designs.wfiFullPut)
const vm = (): VirtualMachine => boot(vmOf({ design: linux }))
const hcrOf = (machine: VirtualMachine, vcpu: number): number => {
  machine.exit(vcpu)
  machine.enter(vcpu)
  return machine.listRegisters(vcpu).hcr
}
const trapsDir = (machine: VirtualMachine): boolean[] =>
  [0, 1].map((vcpu) => (hcrOf(machine, vcpu) & HCR_TDIR) !== 0)
const setEoiMode1 = (machine: VirtualMachine): void => {
  for (const vcpu of [0, 1]) machine.writeSysreg(vcpu, ICC_CTLR_EL1, 2)
}
/** vCPU 0 has acknowledged SPI 40, and dropped its priority, in EOImode 1. */
function dropped(): VirtualMachine {
  const machine = vm()
  setEoiMode1(machine)
  enable(machine, 40)
  machine.setLine(40, 1)
  expect(acknowledge(machine, 0)).toBe(40)
  machine.writeSysreg(0, ICC_EOIR1_EL1, 40)
  return machine
}
const isActive = (machine: VirtualMachine): boolean =>
  (machine.readMmio(1, wordOf(ISACTIVER, 40), 4) & 0x100) !== 0
/** SGIs to vCPU 0. */
function sendSgis(machine: VirtualMachine, count: number): void {
  machine.writeMmio(0, sgiBase(0) + 0x100, 4, 0xffff)
  for (let sgi = 0; sgi < count; sgi++) {
    machine.writeMmio(0, sgiBase(0) + 0x400 + sgi, 1, 0xf0 - 16 * (sgi + 1))
    machine.writeSysreg(0, ICC_SGI1R_EL1, (BigInt(sgi) << 24n) | 1n)
  }
}
const activeSgis = (machine: VirtualMachine): number => machine.readMmio(0, sgiBase(0) + ISACTIVER, 4)

describe('kvm72', () => {
  it.each(allDesigns)('is an edit that every design can have: $name', ({ design }) => {
    expect(kvm72(design).name).toBe(`${design.name} (kvm72)`)
  })

  it('writes ICH_HCR_EL2 at every entry, with the switch of each group that there can be (facts 2, 8)', () => {
    const machine = vmOf({ design: linux })
    expect(hcrOf(machine, 0)).toBe(0x151)
    machine.writeSysreg(0, ICC_IGRPEN1_EL1, 1)
    expect(hcrOf(machine, 0)).toBe(0x191)
    machine.writeSysreg(0, ICC_IGRPEN0_EL1, 1)
    expect(hcrOf(machine, 0)).toBe(0x1a1)
    sendSgis(boot(machine), 1)
    expect(hcrOf(machine, 0) & HCR_vSGIEOICount).toBe(0)
  })

  it('presents a pending interrupt whatever is active: six nested SGIs are all acknowledged (fact 14)', () => {
    const machine = vm()
    for (let sgi = 0; sgi < 6; sgi++) {
      sendSgis(machine, 0)
      machine.writeMmio(0, sgiBase(0) + 0x400 + sgi, 1, 0xe0 - 16 * sgi)
      machine.writeSysreg(0, ICC_SGI1R_EL1, (BigInt(sgi) << 24n) | 1n)
      expect(acknowledge(machine, 0)).toBe(sgi)
    }
    expect(activeSgis(machine)).toBe(0x3f)
    expect(hcrOf(machine, 0) & (HCR_UIE | HCR_NPIE | HCR_LRENPIE)).toBe(HCR_UIE | HCR_LRENPIE)
    for (let sgi = 5; sgi >= 0; sgi--) {
      end(machine, 0, sgi)
      expect(activeSgis(machine)).toBe((1 << sgi) - 1)
    }
  })

  it('traps ICC_DIR_EL1 while a level-sensitive SPI is in flight, and no longer (fact 16)', () => {
    const machine = vm()
    setTrigger(machine, 40, 'level')
    enable(machine, 40)
    expect(trapsDir(machine)).toEqual([false, false])
    machine.setLine(40, 1)
    expect(trapsDir(machine)).toEqual([true, true])
    expect(acknowledge(machine, 0)).toBe(40)
    machine.setLine(40, 0)
    expect(trapsDir(machine)).toEqual([true, true])
    end(machine, 0, 40)
    expect(trapsDir(machine)).toEqual([false, false])
  })

  it('traps it for ever after an edge-triggered SPI (fact 17)', () => {
    const machine = vm()
    enable(machine, 40)
    machine.setLine(40, 1)
    machine.setLine(40, 0)
    expect(acknowledge(machine, 0)).toBe(40)
    end(machine, 0, 40)
    expect(trapsDir(machine)).toEqual([true, true])
  })

  it('makes a vCPU that runs enter anew when the first SPI comes for another (fact 16)', () => {
    const machine = vm()
    enable(machine, 40)
    machine.enter(1)
    machine.setLine(40, 1)
    machine.enter(1)
    expect(machine.listRegisters(1).hcr & HCR_TDIR).not.toBe(0)
  })

  it('wakes the vCPUs that sleep when the first SPI comes, for nothing unless it is theirs', () => {
    const machine = vm()
    enable(machine, 40)
    enable(machine, 41)
    const { hypervisor } = machine
    const sleeps = (): boolean => isAsleep(hypervisor.words[hypervisor.vcpu(1) + VCPU_THREAD])
    expect(machine.wfi(1)).toBe(false)
    machine.setLine(40, 1)
    expect(sleeps()).toBe(false)
    expect(machine.enter(1)).toBe(false)
    expect(sleeps()).toBe(true)
    machine.setLine(41, 1)
    expect(sleeps()).toBe(true)
    expect(acknowledge(machine, 0)).toBe(40)
  })

  it('deactivates by DIR what another vCPU has acknowledged, unless EOImode is 0 (facts 18, 19)', () => {
    for (const isMode1 of [true, false]) {
      const machine = dropped()
      if (!isMode1) machine.writeSysreg(1, ICC_CTLR_EL1, 0)
      machine.writeSysreg(1, ICC_DIR_EL1, 40)
      expect(isActive(machine)).toBe(!isMode1)
    }
  })

  it.each([
    { value: 0x28n, deactivates: true },
    // Linux takes bits 12:10 to be the number of a CPU, as on GICv2, and all others to be the INTID's.
    { value: 0x428n, deactivates: true },
    { value: 0x1828n, deactivates: true },
    { value: 0x0100_0028n, deactivates: false },
    { value: 0x8000_0028n, deactivates: false },
    { value: 0x1_0000_0028n, deactivates: false },
  ])('takes of a trapped DIR the INTID that Linux takes: $value', ({ value, deactivates }) => {
    const machine = dropped()
    expect(trapsDir(machine)[0]).toBe(true)
    machine.writeSysreg(0, ICC_DIR_EL1, value)
    expect(isActive(machine)).toBe(!deactivates)
  })

  it('deactivates what is in a list register of another vCPU as a write of ICACTIVER does: it stays pending and in flight', () => {
    const machine = vm()
    const ispendr = wordOf(0x200, 40)
    setEoiMode1(machine)
    setTrigger(machine, 40, 'level')
    machine.writeMmio(0, GICD + 0x6000 + 8 * 40, 8, 1)
    enable(machine, 40)
    machine.writeMmio(0, ispendr, 4, 0x100)
    expect(acknowledge(machine, 1)).toBe(40)
    machine.writeSysreg(1, ICC_EOIR1_EL1, 40)
    machine.writeMmio(0, ispendr, 4, 0x100)
    machine.enter(1)
    machine.writeSysreg(0, ICC_DIR_EL1, 40)
    expect(trapsDir(machine)).toEqual([true, true])
    expect(machine.readMmio(0, ispendr, 4)).toBe(0x100)
    expect(acknowledge(machine, 1)).toBe(40)
  })

  it.each([false, true])(
    'samples the line of a timer that DIR deactivates, trapped: %s (entry 60)',
    (isTrapped) => {
      const run = scenario('reloaded')
        .design(linux)
        .vm({ vcpus: 1, timers: true })
        .spi({ intid: 40 })
        .guest(0, (guest) =>
          (isTrapped ? guest.wfi().ack().eoi() : guest)
            .write(ICC_CTLR_EL1, 2)
            .onIrq((list) => list.ack().userspace().stopTimer().eoi().dir())
            .timer(5)
            .unmask()
            .loop(20, (list) => list.hvc()),
        )
        .device('nic', (device) => (isTrapped ? device.pulse(40) : device))
        .run({ steps: 5000 })
      expect(run.acknowledged(0)).toEqual(isTrapped ? [40, 27] : [27])
      expect(run.cost().find(({ exit }) => exit === 'sysreg')?.exits ?? 0).toBe(isTrapped ? 1 : 0)
    },
  )

  it.each([
    { name: 'kvm61', design: kvm61(designs.wfiHandler) },
    { name: 'kvm72', design: linux },
  ])(
    'does not sample the line of a timer whose interrupt was handled within one entry: $name',
    ({ design }) => {
      const machine = boot(vmOf({ design, timers: true }))
      const enableTimer = () => machine.writeMmio(0, sgiBase(1) + 0x100, 4, 1 << 27)
      enableTimer()
      for (const vcpu of [0, 1]) machine.setTimer(vcpu, 'virtual', true)
      expect(machine.readSysreg(1, ICC_IAR1_EL1)).toBe(27)
      machine.setTimer(1, 'virtual', false)
      machine.writeSysreg(1, ICC_EOIR1_EL1, 27)
      // The line that Linux takes there is that of vCPU 0's timer, which executes the access.
      enableTimer()
      machine.exit(1)
      machine.enter(1)
      expect(machine.listRegisters(1).lr[0]).toBe(0x7000_001b_0000_001bn)
    },
  )

  it('does not kick a vCPU that runs for a DIR of what is on its ap_list and in no list register', () => {
    const machine = boot(vmOf({ design: linux, silicon: { listRegisters: 1 } }))
    setEoiMode1(machine)
    enable(machine, 40)
    machine.setLine(40, 1)
    expect(acknowledge(machine, 0)).toBe(40)
    machine.writeSysreg(0, ICC_EOIR1_EL1, 40)
    sendSgis(machine, 1)
    machine.enter(0)
    expect(Number(BigInt.asUintN(32, machine.listRegisters(0).lr[0] ?? 0n))).toBe(0)
    const { seam } = machine.hypervisor
    let kicks = 0
    seam.observer = (_, isRead, register) => {
      if (register === ICC_SGI1R_EL1 && !isRead) kicks++
    }
    machine.writeSysreg(1, ICC_DIR_EL1, 40)
    seam.observer = null
    expect(kicks).toBe(0)
    expect(machine.isInGuest(0)).toBe(true)
    expect(isActive(machine)).toBe(false)
  })

  it('prunes the ap_list of that vCPU before it enters: what belongs to another vCPU waits for that', () => {
    const machine = vm()
    setEoiMode1(machine)
    setTrigger(machine, 40, 'level')
    enable(machine, 40)
    machine.setLine(40, 1)
    expect(acknowledge(machine, 0)).toBe(40)
    machine.writeSysreg(0, ICC_EOIR1_EL1, 40)
    machine.preempt(0)
    machine.writeMmio(1, GICD + 0x6000 + 8 * 40, 8, 1)
    machine.writeSysreg(1, ICC_DIR_EL1, 40)
    expect(acknowledge(machine, 1)).toBe(1023)
    machine.enter(0)
    expect(acknowledge(machine, 1)).toBe(40)
  })

  it.each([
    { when: 'a DIR after it has taken its requests', what: 'handleRequestsPruning', stops: false },
    { when: 'one for which the VM was stopped', what: 'enters the guest', stops: true },
  ])('does so, too, for $when', ({ what, stops }) => {
    const machine = scenario('shared')
      .design(linux)
      .vm({ vcpus: 2 })
      .spi({ intid: 40, trigger: 'level' })
      .guest(0, (guest) => busy(guest.write(ICC_CTLR_EL1, 2).wfi().ack().eoi().hvc()))
      .guest(1, (guest) =>
        guest
          .onIrq((list) => list.ack().eoi())
          .unmask()
          .write(ICC_CTLR_EL1, 2)
          .writeMmio(GICD + 0x6000 + 8 * 40, 1)
          .write(ICC_DIR_EL1, 40)
          .wfi(),
      )
      .device('nic', (device) => device.raise(40))
      .machine()
    go(machine, 'vcpu0')
    fire(machine, 'nic')
    goTo(machine, 'vcpu0', 'exitReason? hvc')
    goTo(machine, 'vcpu0', what)
    const events = go(machine, 'vcpu1')
    for (const vcpu of ['vcpu0', 'vcpu1', 'vcpu0']) events.push(...go(machine, vcpu, undefined, 30))
    events.push(...go(machine, 'vcpu1'))
    expect(events.some((event) => event.what === 'deactivateStopped')).toBe(stops)
    expect(acknowledged(events)).toEqual([40])
  })

  it('deactivates the physical interrupt of a timer whose interrupt is only pending: the host takes it again', () => {
    const machine = boot(vmOf({ design: linux, timers: true }))
    setEoiMode1(machine)
    // From the first edge on every DIR exits.
    enable(machine, 40)
    machine.setLine(40, 1)
    machine.writeMmio(0, sgiBase(0) + 0x100, 4, 1 << 27)
    machine.setTimer(0, 'virtual', true)
    machine.enter(0)
    const { seam } = machine.hypervisor
    const ofTimer: string[] = []
    seam.observer = (_, isRead, register, value) => {
      if (value !== 27) return
      if (register === ICC_DIR_EL1 && !isRead) ofTimer.push('deactivated')
      if (register === ICC_IAR1_EL1 && isRead) ofTimer.push('acknowledged')
    }
    machine.writeSysreg(0, ICC_DIR_EL1, 27)
    seam.observer = null
    expect(ofTimer).toEqual(['deactivated', 'acknowledged'])
    machine.enter(0)
    expect(machine.listRegisters(0).lr).toContain(0x7000_001b_0000_001bn)
  })

  it('puts twice and loads twice around a WFI that sleeps (fact 5)', () => {
    const run = scenario('two puts')
      .design(linux)
      .vm({ vcpus: 1 })
      .spi({ intid: 40 })
      .guest(0, (guest) =>
        guest
          .onIrq((list) => list.ack().eoi())
          .unmask()
          .wfi(),
      )
      .device('nic', (device) => device.pulse(40))
      .run()
    const wfi = run.cost().find(({ exit }) => exit === 'wfi')
    // Exit: VMCR, MISR. Two puts of VTR, AP0R0, AP1R0, and two loads that read VTR.
    expect(wfi?.sysregReads).toBe(2 + 2 * 3 + 2)
    // HCR at the exit and at the entry, a list register, and two loads of VMCR, AP0R0, AP1R0.
    expect(wfi?.sysregWrites).toBe(2 + 1 + 2 * 3)
  })
})

describe('kvm72 explored', () => {
  const groupZero = (profile: 'qemu-11.1' | 'qemu-11.1-fixed'): Scenario =>
    linuxSituation('a guest enables group 0').scenario(linux).gic({ cpus: 1, profile })

  it('never executes another instruction on QEMU 11.1 after it has enabled group 0 alone (fact 25)', () => {
    expect(explore(groupZero('qemu-11.1')).violation).toMatchObject({
      invariant: 'L4',
      what: expect.stringContaining('repeat forever'),
    })
    expect(explore(groupZero('qemu-11.1-fixed'))).toMatchObject({ complete: true })
  })

  const interrupted: readonly string[] = ['01', '13', '21']
  it.each(museum.filter(({ id }) => interrupted.includes(id)))('is immune to $id $name', (entry) => {
    const { good } = exhibit({ ...entry, good: linux })
    expect(good).toMatchObject({ complete: true })
  })

  it('deactivates what is in a list register of a vCPU that runs: the VM is stopped for it', () => {
    const shared = linuxSituation('acknowledged on vCPU 0').scenario(linux)
    expect(explore(shared, { preemptions: 0, invariants: ['S12', 'S17', 'S19', 'S23', 'L6'] })).toMatchObject(
      {
        complete: true,
      },
    )
  })
})
