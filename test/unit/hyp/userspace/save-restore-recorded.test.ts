/**
 * A VM's interrupts as Linux 6.1 shows them to userspace (test/fixtures/save-restore.json, without the ITS): guests and
 * devices bring this vGIC into the recorded states, it reads the same, and a second VM takes it over.
 */
import { readFileSync } from 'node:fs'
import { ICC_CTLR_EL1, ICC_DIR_EL1, ICC_EOIR1_EL1, iccRegisters, VgicError } from 'vgic'
import {
  designs,
  type GuestBuilder,
  kvm61,
  type OpList,
  type Scenario,
  type ScenarioMachine,
  scenario,
} from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import {
  UserspaceRegisters,
  userspaceDistributor,
  userspaceRedistributor,
} from '../../../../src/hyp/userspace/userspace-registers.ts'
import { acknowledged, fire, go, goTo, happen } from '../../../kit/driving.ts'
import {
  GICD,
  GITS,
  ICFGR,
  IGROUPR,
  IPRIORITYR,
  IROUTER,
  ISACTIVER,
  ISENABLER,
  ISPENDR,
  redistributor,
  sgiBase,
} from '../../../kit/frames.ts'
import { EOI_MODE_1, self } from '../../../kit/guest-lists.ts'

type Registers = Readonly<Record<string, string>>

/** A state as recorded; the values are hexadecimal, or `error E...`. */
interface Recorded {
  readonly tag: number
  readonly dist: Registers
  readonly redist: readonly Registers[]
  readonly sysregs: readonly Registers[]
  readonly level_info: readonly Registers[]
}

const { states } = JSON.parse(
  readFileSync(new URL('../../../fixtures/save-restore.json', import.meta.url), 'utf8'),
) as { readonly states: readonly Recorded[] }

function recorded(tag: number): Recorded {
  const state = states.find((one) => one.tag === tag)
  if (!state) throw new Error(`no state ${tag}`)
  return state
}

const word = (registers: Registers, name: string): number => Number(registers[name])

/** Writes the words of a run of registers that differ from their reset value, as a driver sets them up. */
function writeRun(
  list: OpList,
  base: number,
  registers: Registers,
  name: string,
  from: number,
  to: number,
): void {
  for (let at = from; at < to; at += 4)
    list.writeMmio(base + at, word(registers, `${name}+0x${at.toString(16)}`))
}

/** What the guest of vCPU 0 writes before interrupts come: the distributor's configuration. */
function setUpDistributor(list: OpList, { dist }: Recorded): void {
  writeRun(list, GICD + IGROUPR, dist, 'GICD_IGROUPR', 4, 12)
  writeRun(list, GICD + ICFGR, dist, 'GICD_ICFGR', 8, 24)
  writeRun(list, GICD + IPRIORITYR, dist, 'GICD_IPRIORITYR', 0x20, 0x60)
  writeRun(list, GICD + ISENABLER, dist, 'GICD_ISENABLER', 4, 12)
  for (let spi = 33; spi < 96; spi += 2) list.writeMmio(GICD + IROUTER + 8 * spi, 1, 8)
  list.writeMmio(GICD, 2)
}

/** And each guest to its redistributor and CPU interface. */
function setUpRedistributor(list: OpList, { redist }: Recorded, vcpu: number): void {
  const base = redistributor(vcpu)
  const registers = redist[vcpu]
  writeRun(list, sgiBase(vcpu) + IPRIORITYR, registers, 'GICR_IPRIORITYR', 0, 0x20)
  list.writeMmio(sgiBase(vcpu) + ISENABLER, word(registers, 'GICR_ISENABLER0+0x0'))
  list.writeMmio(base + 0x70, word(registers, 'GICR_PROPBASER+0x0') & ~0x180, 8)
  list.writeMmio(base + 0x78, word(registers, 'GICR_PENDBASER+0x0') & ~0x180, 8)
  list.writeMmio(base, 1)
}

/** A VM like the recorded one. Its guests are done when they have exited to userspace once, vCPU 0 after a second time. */
function recordedVm(guests: readonly ((guest: GuestBuilder) => unknown)[]): Scenario {
  const s = scenario('save.c')
    .design(kvm61(designs.wfiHandler))
    .gic({ profile: 'qemu-7.2', listRegisters: 4 })
    .vm({ vcpus: 2, spis: 64, timers: true, distributor: 'reset', frames: { its: GITS } })
  for (const vcpu of [0, 1])
    s.ppi({ intid: 27, vcpu, enabled: false, priority: 0 }).ppi({
      intid: 30,
      vcpu,
      enabled: false,
      priority: 0,
    })
  for (const vcpu of [0, 1]) for (let intid = 0; intid < 16; intid++) s.sgi({ intid, vcpu, priority: 0 })
  s.cpuInterface(0, { groups: [1] }).cpuInterface(1, { groups: [1], priorityMask: 0x80 })
  for (const [vcpu, guest] of guests.entries()) s.guest(vcpu, guest)
  return s
    .device('uart', (device) => device.raise(34))
    .device('nic', (device) => device.pulse(40).pulse(41).pulse(50))
}

/** What the guests do after their exit to userspace, in the second VM too. */
const goesOn: readonly ((list: OpList) => OpList)[] = [
  (list) =>
    list
      .write(ICC_CTLR_EL1, EOI_MODE_1)
      .ack()
      .eoi()
      .userspace()
      .dir()
      .loop(8, (body) => body.ack().eoi().dir()),
  (list) =>
    list
      .write(ICC_EOIR1_EL1, 3)
      .write(ICC_DIR_EL1, 3)
      .loop(6, (body) => body.ack().eoi().dir()),
]

/** Brings a VM into the first recorded state. */
function inState1(): ScenarioMachine {
  const state = recorded(1)
  const machine = recordedVm([
    (guest) => {
      setUpDistributor(guest, state)
      setUpRedistributor(guest, state, 0)
      guest
        .writeMmio(GICD + ISPENDR + 4, 1) // SPI 32: pending by software
        .writeMmio(GICD + ISACTIVER + 8, 1) // SPI 64: active
        .sgi(self(2))
        .sgi(self(9))
        .timer(0)
        .userspace()
      goesOn[0](guest)
    },
    (guest) => {
      setUpRedistributor(guest, state, 1)
      const own = { vcpus: [1] }
      guest
        .write(ICC_CTLR_EL1, EOI_MODE_1)
        .sgi({ ...own, intid: 3 })
        .ack()
        .sgi({ ...own, intid: 3 })
        .sgi({ ...own, intid: 4 })
        .userspace()
      goesOn[1](guest)
    },
  ]).machine()
  goTo(machine, 'vcpu0', 'GICD_CTLR := 0x2')
  goTo(machine, 'vcpu0', 'skipInstruction')
  goTo(machine, 'vcpu1', 'put')
  fire(machine, 'uart')
  for (let pulses = 0; pulses < 3; pulses++) fire(machine, 'nic')
  goTo(machine, 'vcpu0', 'virtual timer')
  happen(machine, 'virtual timer of vcpu0')
  goTo(machine, 'vcpu0', 'put')
  return machine
}

/** vCPU 0 goes on to its second exit to userspace. */
function toState2(machine: ScenarioMachine): ScenarioMachine {
  goTo(machine, 'vcpu0', 'ack:')
  goTo(machine, 'vcpu0', 'put')
  return machine
}

/** A second VM, stopped, whose guests are where the first one's are in state 1, with its timer expired as theirs. */
function secondVm(): ScenarioMachine {
  const machine = recordedVm([
    (guest) => goesOn[0](guest.timer(0).userspace()),
    (guest) => goesOn[1](guest.userspace()),
  ]).machine()
  goTo(machine, 'vcpu0', 'virtual timer')
  happen(machine, 'virtual timer of vcpu0')
  for (const vcpu of ['vcpu0', 'vcpu1']) goTo(machine, vcpu, 'put')
  return machine
}

/** The offset of `GICD_ISPENDR+0x4` in its frame. */
function offsetOf(map: typeof userspaceDistributor, key: string): number {
  const [name, at] = key.split('+')
  if (/PIDR/.test(name)) return 0xffd0 + Number(at)
  if (name === 'GICD_IROUTER32') return IROUTER + 8 * 32 + Number(at)
  const row = map.rows.find((one) => one.name === name)
  if (!row) throw new Error(`no register ${name}`)
  return row.offset + Number(at)
}

const encodings = new Map(iccRegisters.map(({ name, encoding }) => [name, encoding]))

/** What userspace reads of a VM, in the form of the recording. */
function readAll(machine: ScenarioMachine, like: Recorded): Omit<Recorded, 'tag'> {
  const registers = new UserspaceRegisters(machine.hypervisor)
  const hex = (read: () => number): string => {
    try {
      return `0x${read().toString(16)}`
    } catch (error) {
      if (error instanceof VgicError) return `error ${error.code}`
      throw error
    }
  }
  const each = (keys: Registers, read: (key: string) => number): Registers =>
    Object.fromEntries(Object.keys(keys).map((key) => [key, hex(() => read(key))]))
  return {
    dist: each(like.dist, (key) => registers.readDistributor(offsetOf(userspaceDistributor, key))),
    redist: like.redist.map((keys, vcpu) =>
      each(keys, (key) => registers.readRedistributor(vcpu, offsetOf(userspaceRedistributor, key))),
    ),
    sysregs: like.sysregs.map((keys, vcpu) =>
      each(keys, (key) => registers.readSysreg(vcpu, encodings.get(key) ?? 0)),
    ),
    level_info: like.level_info.map((keys, vcpu) =>
      each(keys, (key) => registers.readLevels(vcpu, Number(key.slice('intid'.length)))),
    ),
  }
}

/** Everything of a recorded state but its tag and the ITS. */
const withoutIts = ({ dist, redist, sysregs, level_info }: Recorded): Omit<Recorded, 'tag'> => ({
  dist,
  redist,
  sysregs,
  level_info,
})

describe('the recorded states', () => {
  it('1: everything outstanding', () => {
    expect(readAll(inState1(), recorded(1))).toEqual(withoutIts(recorded(1)))
  })

  it('2: vCPU 0 has acknowledged SPI 40 with EOImode 1, and dropped its priority', () => {
    const machine = toState2(inState1())
    expect(readAll(machine, recorded(2))).toEqual(withoutIts(recorded(2)))
  })

  it('101 and 102: put into a second VM', () => {
    const [first, second] = [inState1(), secondVm()]
    second.restoreVgic(first.saveVgic())
    expect(readAll(second, recorded(101))).toEqual(withoutIts(recorded(101)))
    second.restoreVgic(toState2(first).saveVgic())
    expect(readAll(second, recorded(102))).toEqual(withoutIts(recorded(102)))
  })

  it('the guests of the second VM go on as those of the first', () => {
    const [first, second] = [inState1(), secondVm()]
    second.restoreVgic(first.saveVgic())
    const rest = (machine: ScenarioMachine, vcpu: string): number[] => acknowledged(go(machine, vcpu))
    expect(rest(first, 'vcpu0')).toContain(40)
    expect(rest(first, 'vcpu1')).toContain(41)
    const again = inState1()
    for (const vcpu of ['vcpu0', 'vcpu1']) expect(rest(second, vcpu)).toEqual(rest(again, vcpu))
    expect(second.saveVgic()).toEqual(again.saveVgic())
  })
})
