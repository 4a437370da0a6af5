/**
 * A VM's interrupts as Linux 6.1 shows them to userspace (test/fixtures/save-restore.json): guests and devices bring this
 * vGIC into the recorded states, it reads the same, its guest's memory has the same tables, and a second VM takes it over.
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
import { ItsRegisters, itsRegisters } from '../../../../src/hyp/userspace/its-registers.ts'
import { saveItsTables, savePendingTables } from '../../../../src/hyp/userspace/its-tables-save.ts'
import {
  UserspaceRegisters,
  userspaceDistributor,
  userspaceRedistributor,
} from '../../../../src/hyp/userspace/userspace-registers.ts'
import type { MemoryPool } from '../../../../src/state/memory-pool.ts'
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
  readonly its: Registers
  /** Doublewords by address, in memory order: the guest's tables, of which these parts are not zero. */
  readonly its_device_table: Registers
  readonly its_itts: readonly {
    readonly devid: number
    readonly itt: string
    readonly events: number
    readonly entries: Registers
  }[]
  readonly its_collection_table: Registers
  readonly lpi_config_table: Registers
  readonly lpi_pending_table_cpu0: Registers
  readonly lpi_pending_table_cpu1: Registers
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

/** A doubleword in memory order as two words. */
function halvesOf(doubleword: string): readonly [number, number] {
  const bytes = Buffer.from(doubleword, 'hex')
  return [bytes.readUInt32LE(0), bytes.readUInt32LE(4)]
}

/** The guest's memory. */
function poolOf({ silicon }: ScenarioMachine['hypervisor']): MemoryPool {
  if (silicon.pool) return silicon.pool
  throw new Error('no memory')
}

const QUEUE = 0x4222_0000

/** The commands that map what the recorded tables say. SYNCs fill the queue up to the recorded GITS_CWRITER. */
function* commands({ its, its_collection_table, its_itts }: Recorded): Generator<readonly bigint[]> {
  for (const entry of Object.values(its_collection_table)) {
    const [low, high] = halvesOf(entry)
    if (high >>> 31) yield [0x09n, 0n, (BigInt(high) << 32n) | BigInt(low)]
  }
  for (const { devid, itt, events } of its_itts)
    yield [(BigInt(devid) << 32n) | 0x08n, BigInt(Math.log2(events) - 1), (1n << 63n) | BigInt(itt)]
  for (const { devid, itt, entries } of its_itts) {
    for (const [address, entry] of Object.entries(entries)) {
      const [low, high] = halvesOf(entry)
      const event = BigInt(Number(address) - Number(itt)) / 8n
      const intid = BigInt((high & 0xffff) * 0x1_0000 + (low >>> 16))
      yield [(BigInt(devid) << 32n) | 0x0an, (intid << 32n) | event, BigInt(low & 0xffff)]
    }
  }
  for (let at = 0; at < Number(its['GITS_CWRITER']); at += 32) yield [0x05n]
}

/** What the guest of vCPU 0 has in memory before it enables its ITS. */
function setUpMemory({ hypervisor }: ScenarioMachine, state: Recorded): void {
  const pool = poolOf(hypervisor)
  for (const [address, entry] of Object.entries(state.lpi_config_table))
    for (const [i, half] of halvesOf(entry).entries()) pool.write32(Number(address) + 4 * i, half)
  let at = QUEUE
  for (const command of commands(state)) {
    if (at === QUEUE + word(state.its, 'GITS_CWRITER')) break
    for (const [i, doubleword] of command.entries()) {
      pool.write32(at + 8 * i, Number(doubleword & 0xffff_ffffn))
      pool.write32(at + 8 * i + 4, Number(doubleword >> 32n))
    }
    at += 32
  }
}

function setUpIts(list: OpList, { its }: Recorded): void {
  for (const [name, offset] of [
    ['GITS_CBASER', 0x80],
    ['GITS_BASER0', 0x100],
    ['GITS_BASER1', 0x108],
  ] as const)
    list.writeMmio(GITS + offset, BigInt(its[name]), 8)
  list.writeMmio(GITS, 1).writeMmio(GITS + 0x88, word(its, 'GITS_CWRITER'), 8)
}

/** Devices send the messages of the LPIs that are pending in the recorded tables. */
function sendMessages({ hypervisor }: ScenarioMachine, state: Recorded): void {
  const { its } = hypervisor.mmio.dist
  const isPending = (intid: number): boolean =>
    [state.lpi_pending_table_cpu0, state.lpi_pending_table_cpu1].some((table) =>
      Object.entries(table).some(([address, entry]) => {
        const byte = (intid >> 3) - (Number(address) & 0xffff)
        return byte >= 0 && byte < 8 && (Buffer.from(entry, 'hex')[byte] >> (intid & 7)) & 1
      }),
    )
  for (const { devid, itt, entries } of state.its_itts) {
    for (const [address, entry] of Object.entries(entries)) {
      const irq = its.translate(0, devid, (Number(address) - Number(itt)) / 8)
      const [low, high] = halvesOf(entry)
      if (irq !== 0 && isPending((high & 0xffff) * 0x1_0000 + (low >>> 16))) hypervisor.inject(irq, 1)
    }
  }
}

/** A VM like the recorded one. Its guests are done when they have exited to userspace once, vCPU 0 after a second time. */
function recordedVm(guests: readonly ((guest: GuestBuilder) => unknown)[]): Scenario {
  const s = scenario('save.c')
    .design(kvm61(designs.wfiHandler))
    .gic({ profile: 'qemu-7.2', listRegisters: 4, memoryLines: 128 })
    .vm({
      vcpus: 2,
      spis: 64,
      timers: true,
      distributor: 'reset',
      frames: { its: GITS },
      lpis: 16,
      itsDevices: 4,
    })
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
      setUpIts(guest, state)
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
  setUpMemory(machine, state)
  goTo(machine, 'vcpu0', 'GICD_CTLR := 0x2')
  goTo(machine, 'vcpu0', 'skipInstruction')
  goTo(machine, 'vcpu1', 'put')
  fire(machine, 'uart')
  for (let pulses = 0; pulses < 3; pulses++) fire(machine, 'nic')
  goTo(machine, 'vcpu0', 'virtual timer')
  happen(machine, 'virtual timer of vcpu0')
  goTo(machine, 'vcpu0', 'put')
  sendMessages(machine, state)
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

const offsetsOfIts = new Map([
  ...itsRegisters.map(({ name, offset }) => [name, offset] as const),
  ['GITS_BASER2', 0x110],
  ['GITS_PIDR2', 0xffe8],
])

/** The doublewords of `bytes` bytes of memory that are not zero, in memory order. */
function tableAt({ hypervisor }: ScenarioMachine, base: number, bytes: number): Registers {
  const pool = poolOf(hypervisor)
  const table: Record<string, string> = {}
  for (let at = base; at < base + bytes; at += 8) {
    const entry = Buffer.alloc(8)
    entry.writeInt32LE(pool.read32(at), 0)
    entry.writeInt32LE(pool.read32(at + 4), 4)
    if (entry.some((byte) => byte !== 0)) table[`0x${at.toString(16)}`] = entry.toString('hex')
  }
  return table
}

/** What userspace reads of a VM's ITS when it has saved its tables, and its guest's memory. */
function readIts(machine: ScenarioMachine, like: Recorded): Partial<Recorded> {
  savePendingTables(machine.hypervisor)
  saveItsTables(machine.hypervisor, 0)
  const registers = new ItsRegisters(machine.hypervisor)
  return {
    its: Object.fromEntries(
      Object.keys(like.its).map((name) => [
        name,
        `0x${registers.read(0, offsetsOfIts.get(name) ?? -1).toString(16)}`,
      ]),
    ),
    its_device_table: tableAt(machine, 0x4220_0000, 0x1_0000),
    its_itts: like.its_itts.map((itt) => ({
      ...itt,
      entries: tableAt(machine, Number(itt.itt), 8 * itt.events),
    })),
    its_collection_table: tableAt(machine, 0x4221_0000, 0x1_0000),
    lpi_config_table: tableAt(machine, 0x4200_0000, 0x40),
    lpi_pending_table_cpu0: tableAt(machine, 0x4210_0000, 0x1_0000),
    lpi_pending_table_cpu1: tableAt(machine, 0x4211_0000, 0x1_0000),
  }
}

/** The memory of one VM's guest is copied to another's. */
function copyMemory(from: ScenarioMachine, to: ScenarioMachine): void {
  const [source, copy] = [poolOf(from.hypervisor), poolOf(to.hypervisor)]
  for (let at = 0x4200_0000; at < 0x4240_0000; at += 4) copy.write32(at, source.read32(at))
}

/** A saved VM and its guest's memory go to another one. */
function migrate(from: ScenarioMachine, to: ScenarioMachine): void {
  const saved = from.saveVgic()
  copyMemory(from, to)
  to.restoreVgic(saved)
}

/** What userspace reads of a VM, in the form of the recording. */
function readAll(machine: ScenarioMachine, like: Recorded): Partial<Recorded> {
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
    ...readIts(machine, like),
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

/** What is read of a recorded state. */
const stateOf = (tag: number): Partial<Recorded> => {
  const { dist, redist, sysregs, level_info, its, ...tables } = recorded(tag)
  return {
    dist,
    redist,
    sysregs,
    level_info,
    its,
    its_device_table: tables.its_device_table,
    its_itts: tables.its_itts,
    its_collection_table: tables.its_collection_table,
    lpi_config_table: tables.lpi_config_table,
    lpi_pending_table_cpu0: tables.lpi_pending_table_cpu0,
    lpi_pending_table_cpu1: tables.lpi_pending_table_cpu1,
  }
}

describe('the recorded states', () => {
  it('1: everything outstanding', () => {
    expect(readAll(inState1(), recorded(1))).toEqual(stateOf(1))
  })

  it('2: vCPU 0 has acknowledged SPI 40 with EOImode 1, and dropped its priority', () => {
    const machine = toState2(inState1())
    expect(readAll(machine, recorded(2))).toEqual(stateOf(2))
  })

  it('101 and 102: put into a second VM', () => {
    const [first, second] = [inState1(), secondVm()]
    migrate(first, second)
    expect(readAll(second, recorded(101))).toEqual(stateOf(101))
    migrate(toState2(first), second)
    expect(readAll(second, recorded(102))).toEqual(stateOf(102))
  })

  it('the guests of the second VM go on as those of the first', () => {
    const [first, second] = [inState1(), secondVm()]
    migrate(first, second)
    const rest = (machine: ScenarioMachine, vcpu: string): number[] => acknowledged(go(machine, vcpu))
    expect(rest(first, 'vcpu0')).toContain(40)
    expect(rest(first, 'vcpu1')).toContain(41)
    const again = inState1()
    for (const vcpu of ['vcpu0', 'vcpu1']) expect(rest(second, vcpu)).toEqual(rest(again, vcpu))
    expect(second.saveVgic()).toEqual(again.saveVgic())
  })
})
