/** What wrong use is told: the sentence names what was passed, its type where that is wrong, and what to do. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import {
  choiceValues,
  encodeSysreg,
  Gic,
  ICC_PMR_EL1,
  ICC_SGI1R_EL1,
  ichLr,
  VgicError,
  type VgicErrorCode,
} from 'vgic'
import { explore, replay } from 'vgic/explore'
import {
  defineDesign,
  designs,
  edit,
  halt,
  ownStep,
  part,
  scenario,
  steps,
  VirtualMachine,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { nearest } from '../../src/errors/did-you-mean.ts'

type Case = readonly [what: string, call: () => unknown, code: VgicErrorCode, message: string]

const gic = new Gic({ cpus: 2 })
/** Any argument in the place of one that has another type. */
const as = (value: unknown): never => value as never

const refused = (cases: readonly Case[]): void => {
  it.each(cases)('%s', (_what, call, code, message) => {
    expect(call).toThrow(new VgicError(code, message))
  })
}

/** Those that docs/embedding.md shows. */
const embedding: readonly Case[] = [
  [
    'a bigint for an address',
    () => gic.readMmio(as(0x0800_0000n), 4),
    'argument',
    'address must be a number, but is 134217728n.',
  ],
  [
    'a level of a wrong type',
    () => gic.setSpi(33, as(undefined)),
    'argument',
    'level must be 0, 1, false or true, but is undefined.',
  ],
  [
    'an SPI of a GIC without any',
    () => new Gic({ cpus: 1, spis: 0 }).setSpi(32, 1),
    'argument',
    'This GIC has no SPIs: raise spis in its configuration.',
  ],
  [
    'a misspelt register',
    () => gic.readSysreg(0, as(undefined)),
    'argument',
    "encoding must be a number, one of this library's ICC_ and ICH_ constants or what encodeSysreg() returns, but is undefined.",
  ],
  [
    'IRM in ICC_SGI1R_EL1 by the 32-bit call',
    () => gic.writeSysreg(0, ICC_SGI1R_EL1, 2 ** 40, 1),
    'argument',
    'value must be below 2^32, but is 1099511627776: writeSysreg64 writes all 64 bits, of a bigint.',
  ],
  [
    'a function for the host',
    () =>
      new Gic(
        { cpus: 1 },
        as(() => undefined),
      ),
    'argument',
    'host must be an object whose setLine is a function (cpu, line, level), but is a function. Leave it out for none.',
  ],
  [
    'a misspelt field',
    () => new Gic(as({ cpus: 1, numSpis: 64 })),
    'config',
    'The configuration of a GIC has no numSpis: did you mean spis?',
  ],
  [
    'a file that is not an image',
    () => Gic.from(new Uint8Array(64)),
    'image-foreign',
    'The buffer is not a vgic image: pass what snapshot() returned.',
  ],
]

describe('an embedder is told of', () => {
  refused(embedding)

  it('what docs/embedding.md says', () => {
    const text = readFileSync(fileURLToPath(new URL('../../docs/embedding.md', import.meta.url)), 'utf8')
    for (const [what, , code, message] of embedding)
      expect(text).toContain(`| ${what} | \`${code}\` | ${message} |`)
  })

  refused([
    [
      'a CPU as a string',
      () => gic.wfi(as('0')),
      'argument',
      'cpu must be an integer from 0 to 1, but is "0".',
    ],
    [
      'a level as a bigint',
      () => gic.setPpi(0, 27, as(0n)),
      'argument',
      'level must be 0, 1, false or true, but is 0n.',
    ],
    [
      'a size that is left out',
      () => gic.readMmio(0, as(undefined)),
      'argument',
      'size must be a number, but is undefined.',
    ],
    [
      'a value of more than 64 bits',
      () => gic.writeSysreg64(0, ichLr(0), 1n << 64n),
      'argument',
      'value must be a bigint of at most 64 bits, but is 18446744073709551616n.',
    ],
    [
      'a host that never hears',
      () => new Gic({ cpus: 1 }, as({ setline: () => undefined })),
      'argument',
      'host must be an object whose setLine is a function (cpu, line, level), but has setline. Leave it out for none.',
    ],
    [
      'a setLine that is no function, beside other fields',
      () => new Gic({ cpus: 1 }, as({ setLine: 1, cpus: [] })),
      'argument',
      'host must be an object whose setLine is a function (cpu, line, level), but has setLine: 1. Leave it out for none.',
    ],
    [
      'a host of several fields, none of which the GIC knows',
      () => new Gic({ cpus: 1 }, as({ setline: () => undefined, cpus: [] })),
      'argument',
      'host must be an object whose setLine is a function (cpu, line, level), but has setline, cpus. Leave it out for none.',
    ],
    [
      'an onError that is no function',
      () => new Gic({ cpus: 1 }, as({ onError: 'log' })),
      'argument',
      'host.onError must be a function (event), but is "log".',
    ],
    [
      'a memory beside memory of its own',
      () =>
        new Gic(
          { cpus: 1, lpis: 64, memoryLines: 1 },
          { memory: { read32: () => 0, write32: () => undefined } },
        ),
      'argument',
      'host.memory must be left out where memoryLines gives the GIC its own.',
    ],
    [
      'a PSTATE mask that is no boolean',
      () => gic.setMasks(0, as({ fiq: 1 })),
      'argument',
      'fiq must be true or false, but is 1.',
    ],
    [
      'a host of a class that has no setLine',
      () => new Gic({ cpus: 1 }, as(new (class Host {})())),
      'argument',
      'host must be an object whose setLine is a function (cpu, line, level), but has none. Leave it out for none.',
    ],
    [
      'no configuration',
      () => new Gic(as(undefined)),
      'config',
      'The configuration of a GIC must be a plain object with version, cpus, affinities, spis, listRegisters, priorityBits, preemptionBits, intidBits, dvim, gicd, gicr, securityStates, writeEffects, maintenanceInterrupt, profile, choices, lpis, lpiRegisters, directLpis, its, commonLpiAff, vpeBits, unpredictable, barriers, memoryLines, but is undefined.',
    ],
    [
      'a profile in the place of choices',
      () => new Gic({ cpus: 1, choices: as('qemu-7.2') }),
      'config',
      `choices must be a plain object with ${Object.keys(choiceValues).join(', ')}, but is "qemu-7.2".`,
    ],
    [
      'options that are null',
      () => new Gic({ cpus: 1, choices: as(null) }),
      'config',
      'The configuration of a GIC must not have null as choices: leave out what is not given.',
    ],
    [
      'an option that is null within another',
      () => new Gic({ cpus: 1, its: [{ base: 0x0808_0000 }, { base: as(null) }] }),
      'config',
      'its[1] must not have null as base: leave out what is not given.',
    ],
    [
      'a misspelt value',
      () => new Gic({ cpus: 1, profile: as('qemu7.2') }),
      'config',
      'profile must be "arch", "qemu-7.2", "qemu-11.1" or "qemu-11.1-fixed", but is "qemu7.2": did you mean "qemu-7.2"?',
    ],
    [
      'a field of a region that it does not have',
      () => new Gic({ cpus: 1, gicr: as([{ base: 0x080a_0000, count: 1, stride: 0x2_0000 }]) }),
      'config',
      'gicr[0] has no stride; it has base, count.',
    ],
    [
      'a list register that there is not',
      () => ichLr(16),
      'argument',
      'n must be an integer from 0 to 15, but is 16.',
    ],
    [
      'a part of an encoding that has no such value',
      () => encodeSysreg(4, 0, 0, 0, 0),
      'argument',
      'op0 must be an integer from 0 to 3, but is 4.',
    ],
  ])

  it('nothing, where a host needs no more than setLine, or there is none', () => {
    class Machine {
      setLine(): void {}
    }
    for (const host of [new Machine(), { setLine: () => undefined, cpus: [] }, {}, undefined])
      expect(new Gic({ cpus: 1 }, host).line(0, 'irq')).toBe(0)
  })

  it('nothing, where a guest came up with any number', () => {
    for (const number of [Number.NaN, -1, 0.5, 2 ** 53, Number.POSITIVE_INFINITY]) {
      expect(gic.readMmio(number, 4)).toBe(0)
      expect(gic.readMmio(0x0800_0004, number)).toBe(0)
      expect(gic.readSysreg(0, number)).toBe(0)
      expect(gic.lastWasUndefined).toBe(true)
    }
    gic.writeSysreg(0, ICC_PMR_EL1, -1, 2)
    expect(gic.readSysreg(0, ICC_PMR_EL1, 2)).toBe(0xf8)
  })
})

const one = () => scenario('one vCPU')
const vm = (spis: number) => new VirtualMachine({ vcpus: 1, spis, design: designs.wfiHandler })

describe('whoever names what is not there is told of', () => {
  const withItss = () =>
    new VirtualMachine({
      vcpus: 2,
      spis: 32,
      design: designs.wfiHandler,
      frames: { its: [0x0c00_0000, 0x0c02_0000] },
    })
  const ofGic = () => new Gic({ cpus: 2, its: [{ base: 0x0c00_0000 }, { base: 0x0c10_0000 }] })
  const framed = (its: unknown) =>
    new VirtualMachine({ vcpus: 1, spis: 0, design: designs.wfiHandler, frames: { its: as(its) } })

  refused([
    ...[2, -1, 0.5, '1', undefined].map(
      (vcpu): Case => [
        `vCPU ${String(vcpu)}`,
        () => withItss().enter(as(vcpu)),
        'argument',
        `vcpu must be an integer from 0 to 1, but is ${typeof vcpu === 'string' ? '"1"' : String(vcpu)}.`,
      ],
    ),
    [
      'an address below 0',
      () => withItss().readMmio(0, -1, 4),
      'argument',
      'address must be an integer from 0 to 4503599627370495, but is -1.',
    ],
    [
      'an address of 53 bits',
      () => withItss().writeMmio(0, 2 ** 52, 4, 0),
      'argument',
      'address must be an integer from 0 to 4503599627370495, but is 4503599627370496.',
    ],
    [
      'a DeviceID of 33 bits',
      () => withItss().signalMsi(2 ** 32, 0),
      'argument',
      'deviceId must be an integer from 0 to 4294967295, but is 4294967296.',
    ],
    [
      'a negative EventID',
      () => withItss().signalMsi(0, -1),
      'argument',
      'eventId must be an integer from 0 to 4294967295, but is -1.',
    ],
    [
      'the ITS behind the last',
      () => withItss().signalMsi(0, 0, 2),
      'argument',
      'its must be an integer from 0 to 1, but is 2.',
    ],
    [
      'an ITS of a VM that has none',
      () => vm(0).signalMsi(0, 0),
      'argument',
      'This VM has no ITS: give it one with frames: { its: address }.',
    ],
    [
      'ITSs that are in each other',
      () => framed([0x0c00_0000, 0x0c01_0000]),
      'config',
      'its[1] must be at or above 0xc020000, where its[0] ends, but is 0xc010000.',
    ],
    [
      'an ITS in the distributor',
      () => framed(0x0800_0000),
      'config',
      'its must be at or above 0x8010000, where gicd ends, but is 0x8000000.',
    ],
    [
      'nine ITSs',
      () => framed(Array.from({ length: 9 }, (_, n) => 0x0c00_0000 + n * 0x2_0000)),
      'config',
      'frames.its must be an address or up to 8 addresses, but has 9.',
    ],
    [
      'a DeviceID of a GIC',
      () => ofGic().sendMsi(-1, 0),
      'argument',
      'deviceId must be an integer from 0 to 4294967295, but is -1.',
    ],
    [
      'an EventID of a GIC',
      () => ofGic().sendMsi(0, 2 ** 32),
      'argument',
      'eventId must be an integer from 0 to 4294967295, but is 4294967296.',
    ],
    [
      'EL3',
      () => ofGic().readSysreg(0, ICC_PMR_EL1, as(3)),
      'argument',
      'el must be an integer from 0 to 2, but is 3.',
    ],
    [
      'a third CPU',
      () => ofGic().readSysreg(2, ICC_PMR_EL1, 1),
      'argument',
      'cpu must be an integer from 0 to 1, but is 2.',
    ],
  ])
})

describe('whoever writes a scenario is told of', () => {
  refused([
    [
      'a misspelt priority',
      () => one().spi(as({ intid: 40, prio: 1 })),
      'config',
      'spi has no prio: did you mean priority?',
    ],
    [
      'a misspelt number of list registers',
      () => one().gic(as({ listRegister: 16 })),
      'config',
      'gic has no listRegister: did you mean listRegisters?',
    ],
    ['CPUs of a VM', () => one().vm(as({ cpus: 2 })), 'config', 'vm has no cpus: did you mean vcpus?'],
    [
      'a field that nothing is like',
      () => one().cpuInterface(0, as({ binaryPoint: 3 })),
      'config',
      'cpuInterface has no binaryPoint; it has priorityMask, groups.',
    ],
    [
      'a guest that is not written',
      () => one().guest(0, as(undefined)),
      'argument',
      'write must be a function (guest) => ..., which writes what the guest does, but is undefined.',
    ],
    [
      'a vCPU as a string',
      () => one().guest(as('0'), () => undefined),
      'argument',
      'vcpu must be a number, but is "0".',
    ],
    [
      'a mask that there is not',
      () => one().guest(0, (guest) => guest.mask(as('serror'))),
      'argument',
      'mask must be "irq" or "fiq", but is "serror".',
    ],
    [
      'an SPI of a VM without any',
      () =>
        one()
          .vm({ vcpus: 1, spis: 0 })
          .device('d', (device) => device.raise(32))
          .run(),
      'scenario',
      'Device d names SPI 32, but the VM has no SPIs: raise spis.',
    ],
    [
      'a restore of nothing that was saved',
      () => one().device('vmm', (device) => device.restore()),
      'scenario',
      'restore() restores what was saved right before it: call save().restore().',
    ],
    [
      'a restore into what there is not',
      () => one().device('vmm', (device) => device.save().restore({ into: as('another') })),
      'argument',
      'into must be "fresh" or "same", but is "another".',
    ],
    [
      'a restore of a VM with assigned devices',
      () =>
        scenario('vLPIs')
          .gic({ version: '4.1' })
          .vlpi({ device: 7, event: 0, intid: 8192 })
          .design(designs.wfiFlag)
          .device('vmm', (device) => device.save().restore())
          .machine(),
      'scenario',
      "Device vmm restores a VM with vLPIs, which are the host's to set up: leave out vlpi(), or restore().",
    ],
    [
      'a scenario without a design',
      () => one().design(as(undefined)),
      'argument',
      'design must be a design, such as designs.wfiHandler or what defineDesign() returns, but is undefined.',
    ],
    [
      'a VM without a design',
      () => new VirtualMachine(as({ vcpus: 1 })),
      'argument',
      'design must be a design, such as designs.wfiHandler or what defineDesign() returns, but is undefined.',
    ],
    [
      'an actor of a larger machine',
      () => one().machine().stateOf({ kind: 'vcpu', index: 1, detail: 0, name: 'vcpu1' }),
      'argument',
      "actor must be one of this machine's actors or of its environment, but is an object.",
    ],
    [
      'a register that a saved VM lacks',
      () => {
        const larger = vm(64)
        const smaller = vm(32)
        smaller.stop()
        larger.stop()
        larger.restoreVgic(smaller.saveVgic())
      },
      'argument',
      'dist has no GICD_IGROUPR2, which this VM has: restore it to a VM of the size that it was saved from.',
    ],
  ])
})

describe('whoever writes a design is told of', () => {
  const takes = (act: Parameters<typeof ownStep>[1]): unknown =>
    scenario('an own step')
      .design(defineDesign('own', { wfi: [halt()], afterExit: [ownStep('own', act)] }))
      .guest(0, (guest) => guest.hvc())
      .run()

  refused([
    [
      'a WFI that is missing',
      () => defineDesign('d', as({})),
      'argument',
      'wfi must be an array of steps, but is undefined.',
    ],
    [
      'a step that the library does not have',
      () => defineDesign('d', { wfi: [halt(), as((steps as Record<string, unknown>)['clearUnhalted'])] }),
      'argument',
      'wfi[1] must be a step, or what part(), when(), branch() and the like return, but is undefined.',
    ],
    [
      'a list in the place of its steps',
      () => part('entry', as([steps.flush])),
      'argument',
      'entry[0] must be a step, or what part(), when(), branch() and the like return, but is an array: spread it.',
    ],
    [
      'a misspelt notifier',
      () => defineDesign('d', as({ wfi: [halt()], schedout: [] })),
      'argument',
      'A design has no schedout: did you mean schedOut?',
    ],
    [
      'a step without a function',
      () => ownStep('own', as(undefined)),
      'argument',
      'perform of own must be a function (context, vcpu) => outcome, but is undefined.',
    ],
    [
      'nothing to edit',
      () => edit(as(undefined)),
      'argument',
      'design must be a design, such as designs.wfiHandler or what defineDesign() returns, but is undefined.',
    ],
    [
      'a vCPU that is no handle',
      () => takes((context) => context.shadowVmcr(as(0))),
      'argument',
      'vcpu must be the handle that the step was called with, or one that candidate() returns, but is 0.',
    ],
    [
      'a candidate outside of a directed yield',
      () => takes((context, vcpu) => context.candidate(vcpu)),
      'argument',
      'vcpu0 has no candidate: call candidate() after noCandidate has said no.',
    ],
    [
      "a device's step in a vCPU's thread",
      () => defineDesign('d', { wfi: [halt(), part('notify', steps.kickVcpu)] }),
      'argument',
      'd has kick in the wrong list: it belongs into inject: only an injection has an interrupt.',
    ],
    [
      "userspace's step in a vCPU's thread",
      () => defineDesign('d', { wfi: [halt(), steps.saveTimers] }),
      'argument',
      'd has saveTimers in the wrong list: it belongs into save: userspace does it.',
    ],
    [
      "a thread's step in a save",
      () => defineDesign('d', { wfi: [halt()], save: [steps.saveInterrupts, steps.put] }),
      'argument',
      'd has put in save: a save is made of saveInterrupts and saveTimers.',
    ],
    [
      "userspace's step of a restore in a save",
      () => defineDesign('d', { wfi: [halt()], save: [steps.restoreLines] }),
      'argument',
      'd has restoreLines in save: a save is made of saveInterrupts and saveTimers.',
    ],
    [
      'a list that has itself in it',
      () => {
        const body: ReturnType<typeof part>[] = []
        body.push({ kind: 'part', name: 'again', body })
        defineDesign('d', { wfi: body })
      },
      'argument',
      'again[0] is nested too deep: a list must not have itself in it.',
    ],
  ])
})

describe('whoever explores is told of', () => {
  const s = one().guest(0, (guest) => guest.hvc())
  refused([
    [
      'a misspelt bound',
      () => explore(s, as({ preemption: 1 })),
      'argument',
      'bounds has no preemption: did you mean preemptions?',
    ],
    [
      'no scenario',
      () => explore(as(undefined)),
      'argument',
      'scenario must be what scenario() returns, but is undefined.',
    ],
    [
      'what is no scenario',
      () => explore(as({})),
      'argument',
      'scenario must be what scenario() returns, but is an object.',
    ],
    [
      'no schedule',
      () => replay(s, as(undefined)),
      'argument',
      'schedule must be a string, such as violation.schedule, but is undefined.',
    ],
    [
      'a bound that is null',
      () => explore(s, as({ ticks: null })),
      'argument',
      'bounds must not have null as ticks: leave out what is not given.',
    ],
  ])
})

describe('what a name was meant to be', () => {
  it.each([
    ['preemption', 'preemptions'],
    ['PREEMPTIONS', 'preemptions'],
    ['tick', 'ticks'],
    ['tikcs', 'ticks'],
    ['maxDepth', 'depth'],
    ['migrate', 'migrations'],
    ['x', undefined],
    ['', undefined],
    ['toString', undefined],
    ['a'.repeat(1000), undefined],
  ])('%s: %s', (name, meant) => {
    expect(nearest(name, ['preemptions', 'ticks', 'migrations', 'states', 'depth'])).toBe(meant)
  })
})
