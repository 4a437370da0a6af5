/**
 * Whatever is passed to whatever public call: it is taken because it is right, or because it is what a guest may come
 * up with, or it is refused by a VgicError that says what to do. Nothing else is thrown, and nothing wrong is taken in
 * silence.
 */
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import * as vgic from 'vgic'
import * as benching from 'vgic/bench'
import * as exploring from 'vgic/explore'
import * as hyp from 'vgic/scenario'
import * as testing from 'vgic/testing'
import { describe, expect, it } from 'vitest'
import {
  bits64,
  boolean,
  callback,
  integer,
  type Kind,
  level,
  list,
  number,
  oneOf,
  only,
  optional,
  options,
  record,
  rest,
  text,
  wrong,
} from './argument-kinds.ts'
import { publicCalls } from './public-calls.ts'

/** A public call: what it takes, and how it is made. */
interface Row {
  readonly parameters: readonly Kind[]
  readonly call: (args: readonly unknown[]) => unknown
}
type Anything = (...args: never[]) => unknown

const call = (made: Anything, ...parameters: Kind[]): Row => ({
  parameters,
  call: (args) => made(...(args as never[])),
})

/** Methods of an object, which is new for each call. */
const methods = <T extends object>(
  owner: string,
  make: () => T,
  parameters: Readonly<Record<string, readonly Kind[]>>,
): Readonly<Record<string, Row>> =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, kinds]) => {
      const made = (args: readonly unknown[]): unknown => {
        const object = make()
        return Reflect.apply((object as Record<string, Anything>)[name], object, args)
      }
      return [`${owner}.${name}`, { parameters: kinds, call: made }]
    }),
  )

const { designs, steps } = hyp
const CPUS = 2
const ITS = 0x0808_0000
const cpu = integer(0, CPUS - 1)
const el = optional(integer(0, 2, 1))
/** What a guest comes up with: any number. */
const address = number(0x0800_0004)
const size = number(4)
const encoding = number(vgic.ICC_PMR_EL1)
/** Of a word of memory. */
const wordAddress: Kind = {
  right: () => 0x1000,
  takes: (value) => typeof value === 'number' && value >= 0 && value < 2 ** 52 && value % 4 === 0,
}
const half = integer(-0x8000_0000, 0xffff_ffff, 1)
const group = integer(0, 1)
const bytes = oneOf(4, 8, 1, 2)

const registerField = record({ name: text('Priority'), hi: integer(0, 63, 7), lo: integer(0, 63, 0) })
const view = record({ name: text('ICC_PMR_EL1'), fields: list(registerField) })
const register = record({ name: text('ICC_PMR_EL1'), views: list(view) })

const registerName: Kind = {
  right: () => 'ICC_PMR_EL1',
  takes: (value) => typeof value === 'string' && vgic.registers.names().includes(value),
}
const registerBits = bits64(1, 'number', 'bigint')
const version = optional(options({ version: optional(oneOf('4.1', '4.0')) }))
/** A plain object with some of these fields, each of at most so much. */
const fieldValues = (most: Readonly<Record<string, number>>): Kind => ({
  right: () => Object.fromEntries(Object.keys(most).map((name) => [name, 1])),
  takes: (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(value).every(([name, field]) => {
      const isInteger = typeof field === 'bigint' || Number.isInteger(field)
      return Object.hasOwn(most, name) && isInteger && field >= 0 && field <= most[name]
    }),
})

const region = options({ base: number(0x080a_0000), count: integer(1, 512, CPUS) })
const gicConfig = {
  version: optional(oneOf('3', '4.0', '4.1')),
  cpus: integer(1, 512, CPUS),
  affinities: optional(list(integer(0, 0xffff_ffff), 1)),
  spis: optional(integer(0, 988, 32)),
  listRegisters: optional(integer(1, 16, 4)),
  priorityBits: optional(integer(5, 8)),
  preemptionBits: optional(integer(5, 7)),
  intidBits: optional(oneOf(16, 24)),
  dvim: optional(oneOf(false, true)),
  gicd: optional(number(0x0800_0000)),
  gicr: optional(list(region)),
  securityStates: optional(oneOf(1)),
  writeEffects: optional(oneOf('at-once', 'lagging')),
  maintenanceInterrupt: optional(oneOf('at-once', 'lagging')),
  profile: optional(oneOf('arch', 'qemu-7.2')),
  choices: optional(
    options(
      Object.fromEntries(
        Object.entries(vgic.choiceValues).map(([name, values]) => [name, optional(oneOf(...values))]),
      ),
    ),
  ),
  lpis: optional({
    right: () => 0x1_0000,
    takes: (value) =>
      typeof value === 'number' && (value === 0 || (Number.isInteger(Math.log2(value)) && value <= 0x1_0000)),
  }),
  lpiRegisters: optional(oneOf(true)),
  directLpis: optional(boolean),
  its: optional(
    list(
      options({
        base: number(ITS),
        deviceBits: optional(integer(1, 32, 16)),
        eventBits: optional(integer(1, 32, 16)),
        collectionBits: optional(integer(1, 16, 8)),
        pta: optional(oneOf(0, 1)),
        vmovp: optional(oneOf(0, 1)),
        svpet: optional(oneOf(0, 1, 2, 3)),
        affinity: optional(integer(0, 0xffff_ffff, 0x100)),
      }),
    ),
  ),
  commonLpiAff: optional(oneOf(0, 1, 2, 3)),
  vpeBits: optional(integer(1, 16, 8)),
  unpredictable: optional(oneOf('ignore', 'pessimistic', 'report')),
  barriers: optional(oneOf('off', 'report')),
  memoryLines: optional(integer(0, 2 ** 20, 4)),
}
const { affinities: _, ...withoutAffinities } = gicConfig
const configOfGic = options(withoutAffinities)
const configOfCpus = (cpus: number): Kind =>
  options({
    ...withoutAffinities,
    cpus: optional(integer(1, 512, cpus)),
    affinities: optional({
      ...list(integer(0, 0xffff_ffff)),
      right: () => Array.from({ length: cpus }, (_, n) => n),
    }),
  })
const host: Kind = {
  right: () => ({ setLine: () => undefined }),
  takes: (value) => {
    if (value === undefined) return true
    if (typeof value !== 'object' || value === null) return false
    const { setLine } = value as vgic.GicHost
    return typeof setLine === 'function' || (setLine === undefined && Object.keys(value).length === 0)
  },
}

const newGic = (): vgic.Gic =>
  new vgic.Gic({ cpus: CPUS, its: [{ base: ITS }], memoryLines: 4, writeEffects: 'lagging' })
/** The name of an effect that is under way: SPI 32, enabled, was disabled. */
const effect: Kind = {
  right: () => 'GICR_WAKER[0]',
  takes: (value) => value === 'GICR_WAKER[0]',
}
const gicImage = only(() => newGic().snapshot())

// The hypervisor.

const stepFields = {
  kind: oneOf('step'),
  name: text('put'),
  op: integer(1, 127, steps.put.op),
  outcomes: list(text('no'), 0),
  ends: optional(oneOf(undefined, true)),
  writes: optional(oneOf('vcpu', 'thread', 'pe')),
  asks: optional(oneOf(undefined, 'runnable')),
}
const step = options(stepFields)
const yesOrNo = { ...options({ ...stepFields, outcomes: list(text('no'), 2) }), right: () => steps.runnable }
/** A list of steps: of a rest parameter one, of an option several. */
const body = rest(step)
const body0 = optional(list(step))
const design = options({
  name: text('a design'),
  thread: list(step),
  schedOut: list(step),
  schedIn: list(step),
  inject: list(step),
  words: optional(list(text('word'))),
})
const someDesign: Kind = {
  ...design,
  right: () => designs.wfiHandler,
  takes: (value) => value === designs.wfiHandler || design.takes(value),
}
const around = optional(options({ before: list(step), after: list(step) }))

const vcpus = integer(1, 255, CPUS)
const frames = optional(
  options({
    gicd: optional(number(0x0800_0000)),
    gicr: optional(list(region)),
    its: optional(number(0x0808_0000)),
  }),
)
const newVm = (): hyp.VirtualMachine =>
  new hyp.VirtualMachine({
    vcpus: CPUS,
    design: designs.wfiHandler,
    frames: { its: 0x0c00_0000 },
    memory: { read32: () => 0, write32: () => true },
  })
const vmImage = only(() => newVm().snapshot())
const registers = (saved: hyp.SavedRegisters): fc.Arbitrary<unknown> =>
  fc
    .tuple(fc.constantFrom(...Object.keys(saved), 'GICD_NONE'), wrong(text('0x0')))
    .map(([name, value]) => ({ ...saved, [name]: value }))
const lpiId = integer(8192, 0xffff)
const icidOfVm = integer(0, 0x1fff, 3)
const savedMappings = options({
  devices: list(
    options({
      id: integer(0, 0x1fff, 1),
      bits: integer(1, 16, 4),
      itt: oneOf('0x40300000'),
      events: list(options({ id: integer(0, 15), intid: lpiId, icid: optional(icidOfVm) })),
    }),
  ),
  collections: list(options({ icid: icidOfVm, vcpu: optional(cpu) })),
})
const pendingLpis = list(lpiId)
/** A saved VM with another value in a list of one that there is for each ITS, or for each vCPU. */
const inPlace = (of: hyp.SavedVgic, name: 'mappings' | 'pending', kind: Kind): fc.Arbitrary<unknown> =>
  wrong(kind).map((value) => ({ ...of, [name]: [value, ...of[name].slice(1)] }))
/** Whether a saved VM differs by what it may have in JSON in place of the guest's memory, and this is right. */
function takesSaved(of: hyp.SavedVgic, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { mappings, pending, ...rest } = value as hyp.SavedVgic
  const isSame = Object.entries(rest).every(([name, group]) =>
    isDeepStrictEqual(group, of[name as keyof hyp.SavedVgic]),
  )
  const areLists = Array.isArray(mappings) && Array.isArray(pending)
  return isSame && areLists && mappings.every(savedMappings.takes) && pending.every(pendingLpis.takes)
}
const saved = (of: hyp.SavedVgic): Kind => ({
  right: () => of,
  takes: (value) => takesSaved(of, value),
  nearly: fc.oneof(
    ...of.its.flatMap(() => [inPlace(of, 'mappings', savedMappings), inPlace(of, 'pending', pendingLpis)]),
    registers(of.dist).map((dist) => ({ ...of, dist })),
    ...of.its.map((first) =>
      registers(first).map((changed) => ({ ...of, its: [changed, ...of.its.slice(1)] })),
    ),
    registers(of.sysregs[0]).map((sysregs) => ({ ...of, sysregs: [sysregs, ...of.sysregs.slice(1)] })),
    fc
      .tuple(fc.constantFrom(...Object.keys(of), 'more'), wrong(text('0x0')))
      .map(([name, value]) => ({ ...of, [name]: value })),
  ),
})
/** A VM whose ITS is disabled and has tables with this in them. */
function savedWithIts(): hyp.SavedVgic {
  const vm = newVm()
  for (const offset of [0x100, 0x108]) vm.writeMmio(0, 0x0c00_0000 + offset, 8, (1n << 63n) | 0x4010_0000n)
  vm.stop()
  const { mappings: _none, pending: _no, ...registers } = vm.saveVgic()
  const mappings = [savedMappings.right() as hyp.SavedMappings]
  return { ...registers, mappings, pending: [[8192], []] }
}
/** Of an address that nothing but an access can have. */
const ipa = integer(0, 2 ** 52 - 1, 0x0800_0004)

// Scenarios.

const newScenario = (): hyp.Scenario => hyp.scenario('one vCPU').guest(0, (guest) => guest.hvc())
/** Writes one operation, by a list of each kind. */
const newList = (): hyp.OpList => {
  let inner: hyp.OpList | undefined
  hyp.scenario('a list').guest(0, (guest) => {
    inner = guest
  })
  if (!inner) throw new Error('the guest was not written')
  return inner
}
const newGuest = newList as () => hyp.GuestBuilder
const newDevice = (): hyp.DeviceBuilder => {
  let inner: hyp.DeviceBuilder | undefined
  hyp.scenario('a device').device('d', (device) => {
    inner = device
  })
  if (!inner) throw new Error('the device was not written')
  return inner
}
const newIts = (): hyp.GuestIts => newList().its()
/** A DeviceID or an EventID. */
const idOfMessage = integer(0, 0xffff_ffff, 7)
/** A collection's number, or a vCPU's. */
const icid = integer(0, 0xffff)
const ticks = integer(0, 0x3fff_ffff, 10)
const timer = oneOf('virtual', 'physical')
const mask = rest(oneOf('irq', 'fiq'))
const nothing = callback(() => undefined)
const registerNumber = integer(0, 0xffff_ffff, vgic.ICC_PMR_EL1)
const guestIntid = integer(0, 0xff_ffff, 40)

const newMachine = (): hyp.ScenarioMachine =>
  newScenario()
    .vm({ vcpus: CPUS })
    .device('d', (device) => device.pulse(40))
    .machine()
const machineImage = only(() => newMachine().snapshot())
const actor: Kind = {
  ...record({ kind: oneOf('vcpu'), index: cpu }),
  right: () => newMachine().actors[0],
}
const moment = optional(integer(0, Number.MAX_SAFE_INTEGER))
const part = options({ from: moment, to: moment })
const picture = options({
  from: moment,
  to: moment,
  violation: optional(
    record({ invariant: text('L1'), name: optional(text('lost-wake-up')), what: text('it sleeps') }),
  ),
})
const injecting: readonly unknown[] = [steps.queueInterrupt, steps.postRequest, steps.kickVcpu]
const injection: Kind = {
  right: () => [steps.queueInterrupt, steps.kickVcpu],
  takes: (value) =>
    Array.isArray(value) &&
    value.includes(steps.queueInterrupt) &&
    value.every((each) => injecting.includes(each)),
}
const newRun = (): hyp.Run => newScenario().vm({ vcpus: CPUS }).run()
const interrupt = (first: number, last: number): Kind =>
  options({
    intid: integer(first, last),
    vcpu: optional(number(0)),
    trigger: optional(oneOf('edge', 'level')),
    group: optional(group),
    priority: optional(integer(0, 255)),
    enabled: optional(boolean),
    physical: optional(first === 32 ? integer(32, 1019) : oneOf(undefined)),
  })
/** What a VM with an ITS may be told of its LPIs. */
const lpiSizes = {
  lpis: optional(integer(1, 0x1_0000, 8)),
  itsDevices: optional(integer(1, 0x1_0000, 2)),
  itsCollections: optional(integer(1, 0x1_0000, 4)),
  translations: optional(integer(0, 4096, 4)),
}

const latencies = options({
  exit: number(1),
  sysregRead: number(1),
  sysregWrite: number(1),
  mmioRead: number(1),
  mmioWrite: number(1),
  itsCommand: optional(number(1)),
  tableAccess: optional(number(1)),
})
const count = integer(0, Number.MAX_SAFE_INTEGER, 1)
const costRow = record({
  design: text('wfi-handler'),
  exit: text('wfi'),
  exits: count,
  sysregReads: count,
  sysregWrites: count,
  mmioReads: count,
  mmioWrites: count,
  polls: count,
  itsCommands: count,
  dirtyPolls: count,
  tableAccesses: count,
})

// What an own step can reach: it is asked in a directed yield, where there is everything to ask for.

const HANDLE = Symbol('the vCPU that the step was called with')
const handles = new Set<unknown>([HANDLE])
const handle: Kind = { right: () => HANDLE, takes: (value) => handles.has(value) }
const word: Kind = { ...oneOf('word') }

/** Does something in a step, and returns or throws what it does. */
function inStep(act: (context: hyp.StepContext, vcpu: number) => unknown): unknown {
  let outcome: (() => unknown) | undefined
  const ask = hyp.ownStep(
    'ask',
    (context, vcpu) => {
      for (const v of [vcpu, context.candidate(vcpu)]) handles.add(v)
      try {
        const result = act(context, vcpu)
        outcome ??= () => result
      } catch (error) {
        outcome ??= () => {
          throw error
        }
      }
      return 0
    },
    ['no', 'yes'],
  )
  const asking = hyp.defineDesign('asks', { wfi: [hyp.halt()], candidateCanRun: ask, words: ['word'] })
  hyp
    .scenario('a directed yield')
    .vm({ vcpus: 2 })
    .design(asking)
    .guest(0, (guest) => guest.wfi())
    .guest(1, (guest) =>
      guest
        .loop(20, (round) => round.hvc())
        .wfe()
        .wfe(),
    )
    .run({ steps: 2000 })
  if (!outcome) throw new Error('the step was not taken')
  return outcome()
}
inStep(() => undefined)

const contextRows = (parameters: Readonly<Record<string, readonly Kind[]>>): Readonly<Record<string, Row>> =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, kinds]) => [
      `StepContext.${name}`,
      {
        parameters: kinds,
        call: (args) =>
          inStep((context, vcpu) => {
            const given = args.map((arg) => (arg === HANDLE ? vcpu : arg))
            return Reflect.apply((context as unknown as Record<string, Anything>)[name], context, given)
          }),
      } satisfies Row,
    ]),
  )

// Exploring.

const broken = (): hyp.Scenario =>
  hyp
    .scenario('a stale shadow')
    .vm({ vcpus: 1, spis: 1 })
    .design(hyp.edit(designs.wfiHandler).omit('wfi/saveVmcr').design('stale'))
    .spi({ intid: 32 })
    .guest(0, (guest) =>
      guest
        .onIrq((handler) => handler.ack().eoi())
        .priorityMask(0)
        .priorityMask(0xf0)
        .unmask()
        .wfi(),
    )
    .device('nic', (device) => device.pulse(32))
const violation = exploring.explore(broken(), { preemptions: 1, ticks: 1 }).violation?.schedule ?? ''
const shard: Kind = {
  right: () => '0/2',
  takes: (value) => typeof value === 'string' && /^[0-2]\/3$|^[01]\/2$/.test(value),
}
const checkedInvariants = optional(list(oneOf(...Object.keys(exploring.invariants))))
const ownInvariant = options({
  name: text('none'),
  says: text(''),
  check: optional(callback(() => undefined)),
  atEnd: optional(callback(() => undefined)),
})
const ownInvariants = optional(
  list({
    ...ownInvariant,
    takes: (value) => {
      if (!ownInvariant.takes(value)) return false
      const { check, atEnd } = value as exploring.OwnInvariant
      return check !== undefined || atEnd !== undefined
    },
  }),
)
const symmetricPart: Kind = {
  right: () => [0, 'disk'],
  takes: (value) => [value].flat().every((one) => typeof one === 'number' || typeof one === 'string'),
  nearly: fc.constant([0, true]),
}
const budget = {
  preemptions: optional(integer(0, 255)),
  ticks: optional(integer(0, 255)),
  migrations: optional(integer(0, 255)),
}
const bounds = optional(
  options({
    ...budget,
    states: optional(integer(1, 429_496_729, 1000)),
    depth: optional(integer(1, 1_000_000, 1000)),
    invariants: checkedInvariants,
    own: ownInvariants,
    merge: optional(boolean),
    checkWrites: optional(boolean),
    raise: optional(boolean),
    shortest: optional(boolean),
    shard: optional(shard),
    exact: optional(boolean),
    // A reduced exploration takes neither L4 nor checks of one's own.
    reduce: optional({ ...boolean, right: () => false }),
    // One with symmetry needs a scenario that declares it.
    symmetry: optional(oneOf(false)),
    onProgress: optional(callback(() => undefined)),
    signal: optional(record({ aborted: boolean })),
    now: optional(callback(() => 0)),
  }),
)
const randomBounds = optional(
  options({
    ...budget,
    strategy: optional(oneOf('pct', 'uniform')),
    constraints: optional(integer(1, 16, 3)),
    length: optional(integer(1, 1_000_000, 50)),
    seed: optional(integer(0, 0x7fff_0000, 1)),
    runs: optional(integer(1, 0xffff, 3)),
    depth: optional(integer(1, 1_000_000, 100)),
    invariants: checkedInvariants,
    own: ownInvariants,
    checkWrites: optional(boolean),
    minimise: optional(boolean),
    shard: optional(shard),
  }),
)
const natural = integer(0, Number.MAX_SAFE_INTEGER, 1)
const report = record({
  complete: boolean,
  states: natural,
  transitions: natural,
  schedules: natural,
  omission: number(0),
  shard,
})
const reports: Kind = {
  ...list(report),
  takes: (value) => Array.isArray(value) && value.length === 1 && report.takes(value[0]),
}
/** With what the schedule violates among them. */
const violated: Kind = {
  ...list(oneOf('S11', ...Object.keys(exploring.invariants))),
  takes: (value) =>
    Array.isArray(value) && value.includes('S11') && value.every((id) => id in exploring.invariants),
}
const entry = options({
  id: text('00'),
  name: text('no bug'),
  story: text(''),
  invariant: oneOf(...Object.keys(exploring.invariants)),
  good: someDesign,
  bug: someDesign,
  scenario: callback((given: hyp.Design) => newScenario().design(given)),
  bounds,
})

const guestOptions = options({
  intids: optional(list(integer(16, 1019, 32))),
  vcpus: optional(integer(1, 255)),
  length: optional(integer(1, 1000, 6)),
})
const recordedAddress = integer(0, Number.MAX_SAFE_INTEGER, 0x0800_0004)
const vectors = testing.record(new vgic.Gic({ cpus: 1 })).jsonl()

const rows: Readonly<Record<string, Row>> = {
  describeRegister: call(vgic.describeRegister, view, half, optional(half)),
  extractField: call(vgic.extractField, registerField, half, half),
  ichApr: call(vgic.ichApr, group, integer(0, 3)),
  ichLr: call(vgic.ichLr, integer(0, 15)),
  intidName: call(vgic.intidName, number(40)),
  rangeOf: call(vgic.rangeOf, number(40)),
  dataAbortSyndrome: call(vgic.dataAbortSyndrome, bytes, boolean),
  ESR_EC: call(vgic.ESR_EC, number(0)),
  sysregSyndrome: call(vgic.sysregSyndrome, encoding, boolean),
  encodeSysreg: call(
    vgic.encodeSysreg,
    integer(0, 3),
    integer(0, 7),
    integer(0, 15),
    integer(0, 15),
    integer(0, 7),
  ),
  sysregName: call(vgic.sysregName, registerNumber),
  genericSysregName: call(vgic.genericSysregName, registerNumber),
  describeListRegister: call(vgic.describeListRegister, half, half),
  decode: call(vgic.decode, registerName, registerBits, version),
  encode: call(vgic.encode, registerName, fieldValues({ Priority: 0xff }), version),
  listRegister: call(
    vgic.listRegister,
    options({
      vintid: integer(0, 0xffff_ffff, 40),
      state: optional(oneOf('pending', 'active', 'pending+active', 'invalid')),
      priority: optional(integer(0, 255)),
      group: optional(group),
      hw: optional(oneOf(true, undefined)),
      pintid: optional(integer(0, 0x1fff)),
      eoi: optional(oneOf(undefined, false)),
    }),
  ),
  decodeCommand: call(vgic.decodeCommand, {
    ...list(bits64(3, 'number', 'bigint'), 4),
    takes: (value) =>
      Array.isArray(value) && value.length === 4 && value.every(bits64(3, 'number', 'bigint').takes),
  }),
  encodeCommand: call(
    vgic.encodeCommand,
    { right: () => 'INT', takes: (value) => value === 'INT' },
    fieldValues({ DeviceID: 0xffff_ffff, EventID: 0xffff_ffff }),
  ),
  ...methods('Registers', () => vgic.registers, {
    byName: [registerName],
    byEncoding: [only(() => vgic.ICC_PMR_EL1)],
    byOffset: [oneOf('GICD', 'GICR', 'GITS'), integer(0, 0xffff, 4)],
  }),
  'new RegisterValue': call(
    (...args) => String(new vgic.RegisterValue(...(args as [never, never, never]))),
    register,
    half,
    half,
  ),
  'Gic.complete': call((name) => {
    const gic = newGic()
    gic.writeMmio(0x080a_0014, 4, 0)
    gic.complete(name)
  }, effect),
  'new Gic': call((config, to) => new vgic.Gic(config, to), configOfGic, host),
  'Gic.from': call((image, to) => vgic.Gic.from(image, to), gicImage, host),
  ...methods('Gic', newGic, {
    restore: [gicImage],
    diff: [gicImage],
    claims: [address],
    readMmio: [address, size],
    readMmio64: [address],
    writeMmio: [address, size, number(1)],
    writeMmio64: [address, bits64(1n, 'bigint')],
    registerAt: [address],
    setSpi: [integer(32, 63), level],
    setPpi: [cpu, integer(16, 31), level],
    line: [cpu, oneOf('irq', 'fiq', 'virq', 'vfiq', 'wakeRequest', 'maintenance')],
    readSysreg: [cpu, encoding, el],
    readSysreg64: [cpu, encoding, el],
    writeSysreg: [cpu, encoding, { right: () => 1, takes: isWord }, el],
    writeSysreg64: [cpu, encoding, bits64(1n, 'bigint'), el],
    sendMsi: [integer(0, 0xffff_ffff, 7), integer(0, 0xffff_ffff, 3), optional(integer(0, 0))],
    explainMsi: [integer(0, 0xffff_ffff, 7), integer(0, 0xffff_ffff, 3), optional(integer(0, 0))],
    readMemory: [wordAddress],
    writeMemory: [wordAddress, { right: () => 1, takes: isWord }],
    inspectSysreg: [cpu, oneOf(vgic.ICC_PMR_EL1)],
    inspectCpu: [cpu],
    interrupt: [integer(0, 63), optional(cpu)],
    explain: [integer(0, 0xff_ffff, 40), optional(cpu)],
    setExceptionLevel: [cpu, integer(0, 2)],
    setMasks: [cpu, options({ irq: optional(boolean), fiq: optional(boolean) })],
    wfi: [cpu],
    wfe: [cpu],
    wake: [cpu],
  }),
  ...methods('DeviceBuilder', newDevice, {
    at: [integer(0, 2 ** 52)],
    raise: [integer(16, 1019, 40), optional(number(0))],
    lower: [integer(16, 1019, 40), optional(number(0))],
    pulse: [integer(16, 1019, 40), optional(number(0))],
    signal: [optional(number(0))],
    msi: [idOfMessage, idOfMessage, optional(integer(0, 7))],
  }),
  ...methods('DeviceBuilder', () => newDevice().save(), {
    restore: [optional(options({ into: optional(oneOf('fresh', 'same')) }))],
  }),
  ...methods('GuestIts', newIts, {
    boot: [integer(1, 255)],
    configure: [
      integer(8192, 0xffff, 8192),
      optional(options({ enabled: optional(boolean), priority: optional(integer(0, 255)) })),
    ],
    mapDevice: [idOfMessage],
    unmapDevice: [idOfMessage],
    mapCollection: [icid, icid],
    unmapCollection: [icid],
    mapEvent: [idOfMessage, idOfMessage, integer(0, 0xffff_ffff, 8192), icid],
    moveEvent: [idOfMessage, idOfMessage, icid],
    moveAll: [icid, icid],
    discard: [idOfMessage, idOfMessage],
    int: [idOfMessage, idOfMessage],
    clear: [idOfMessage, idOfMessage],
    invalidate: [idOfMessage, idOfMessage],
    invalidateAll: [icid],
    sync: [icid],
    enableLpis: [integer(0, 254), optional(boolean)],
  }),
  ...methods('GuestBuilder', newGuest, { onIrq: [nothing], onFiq: [nothing] }),
  ...methods('OpList', newList, {
    ack: [optional(group)],
    eoi: [optional(group)],
    on: [guestIntid, nothing],
    untilInterrupts: [integer(1, 0x7fff_ffff)],
    mask: [mask],
    unmask: [mask],
    write: [registerNumber, bits64(1, 'number', 'bigint')],
    read: [registerNumber],
    poll: [registerNumber, half, half],
    store: [
      { right: () => 0x4000_0000, takes: (value) => ipa.takes(value) && Number(value) % 4 === 0 },
      integer(0, 0xffff_ffff),
    ],
    its: [
      optional(
        options({
          frame: optional(integer(0, 2 ** 40, 0x0808_0000)),
          redistributors: optional(integer(0, 2 ** 40, 0x080a_0000)),
          memory: optional(integer(0, 2 ** 40, 0x4000_0000)),
        }),
      ),
    ],
    readMmio: [ipa, optional(bytes)],
    writeMmio: [ipa, bits64(1, 'number', 'bigint'), optional(bytes)],
    priorityMask: [integer(0, 255)],
    enableGroup: [group, optional(boolean)],
    sgi: [
      options({
        intid: integer(0, 15),
        vcpus: {
          ...list(integer(0, 254)),
          takes: (value) => value === 'others' || list(integer(0, 254)).takes(value),
        },
        group: optional(oneOf(1, 0, 'other')),
      }),
    ],
    quiesce: [integer(16, 1019, 40)],
    timer: [ticks, optional(timer)],
    stopTimer: [optional(timer)],
    wfit: [ticks],
    loop: [integer(1, 0x7fff_ffff), nothing],
  }),
  ...methods('ScenarioMachine', newMachine, {
    restore: [machineImage],
    restoreVgic: [saved(newMachine().saveVgic())],
    diff: [machineImage],
    stateOf: [actor],
    dueAt: [actor],
    step: [actor],
    trace: [actor],
    passTime: [integer(0, Number.MAX_SAFE_INTEGER)],
    counts: [cpu],
    explain: [guestIntid, optional(cpu)],
  }),
  ...methods('Run', newRun, {
    acknowledged: [cpu],
    eventsIn: [part],
    timeline: [optional(part)],
    explain: [guestIntid, optional(cpu)],
    counts: [cpu],
  }),
  toMermaid: call(hyp.toMermaid, only(newRun), optional(picture)),
  toPerfetto: call(hyp.toPerfetto, only(newRun), optional(picture)),
  toSvg: call(hyp.toSvg, only(newRun), optional(picture)),
  toVcd: call(hyp.toVcd, only(newRun), optional(picture)),
  scenario: call(hyp.scenario, text('a scenario')),
  ...methods('Scenario', newScenario, {
    vm: [
      options({
        vcpus,
        spis: optional(integer(0, 988)),
        timers: optional(boolean),
        haltPolling: optional(
          options({
            limit: optional(integer(0, 1_000_000)),
            growStart: optional(integer(0, 1_000_000)),
            grow: optional(integer(0, 1_000_000)),
            shrink: optional(integer(0, 1_000_000)),
          }),
        ),
        distributor: optional(oneOf('enabled', 'reset')),
        frames,
        wfiExits: optional(oneOf('always', 'shared')),
        vsgis: optional(boolean),
        strictNesting: optional(boolean),
        ...lpiSizes,
      }),
    ],
    design: [someDesign],
    spi: [interrupt(32, 1019)],
    ppi: [interrupt(16, 31)],
    sgi: [interrupt(0, 15)],
    vlpi: [
      options({
        device: integer(0, 0xfffe, 7),
        event: integer(0, 4095),
        intid: optional(lpiId),
        vcpu: optional(number(0)),
        priority: optional(integer(0, 255)),
      }),
    ],
    cpuInterface: [
      number(0),
      options({ priorityMask: optional(integer(0, 255)), groups: optional(list(group, 2)) }),
    ],
    guest: [number(0), nothing],
    device: [text('nic'), nothing],
    run: [optional(options({ steps: optional(integer(1, 0x7fff_ffff, 1000)) }))],
  }),
  'Scenario.symmetric': call((part) => newScenario().symmetric(part, 'nic'), symmetricPart),
  'Scenario.gic': call((config) => newScenario().gic(config).machine(), configOfCpus(1)),
  'baselines.fixed': call(hyp.baselines.fixed, someDesign),
  'baselines.kvm61': call(hyp.baselines.kvm61, someDesign),
  'baselines.kvm72': call(hyp.baselines.kvm72, someDesign),
  kvm61: call(hyp.kvm61, someDesign),
  kvm72: call(hyp.kvm72, someDesign),
  formatCost: call(hyp.formatCost, list(costRow), optional(latencies)),
  latencyOf: call(hyp.latencyOf, costRow, latencies),
  branch: call(hyp.branch, yesOrNo, options({ no: optional(list(step)), yes: optional(list(step)) })),
  forever: call(hyp.forever, body),
  ownStep: call(
    hyp.ownStep,
    text('own'),
    callback(() => 0),
    optional(list(text('no'))),
    optional(options({ asks: optional(oneOf(undefined, 'runnable')) })),
  ),
  part: call(hyp.part, text('part'), body),
  gicv4Part: call(hyp.gicv4Part, text('part'), body),
  unless: call(hyp.unless, yesOrNo, body),
  until: call(hyp.until, yesOrNo, body),
  when: call(hyp.when, yesOrNo, body),
  defineDesign: call(
    hyp.defineDesign,
    text('a design'),
    options({
      wfi: list(step),
      eret: body0,
      beforeEntry: body0,
      afterExit: body0,
      candidateCanRun: optional(yesOrNo),
      schedOut: body0,
      schedIn: body0,
      inject: optional(injection),
      save: optional(list(oneOf(hyp.steps.saveInterrupts, hyp.steps.saveTimers))),
      restore: optional(list(oneOf(hyp.steps.prepareVm, hyp.steps.restoreItsTables))),
      words: optional(list(text('word'))),
    }),
  ),
  halt: call(hyp.halt, optional(options({ around, aroundSleep: around, canRun: optional(yesOrNo) }))),
  edit: call(hyp.edit, someDesign),
  ...methods('Edit', () => hyp.edit(designs.wfiHandler), {
    design: [optional(text('edited'))],
    omit: [text('wfi/saveVmcr')],
    replace: [text('wfi/saveVmcr'), step],
    insertBefore: [text('wfi/saveVmcr'), body],
    insertAfter: [text('wfi/saveVmcr'), body],
    swap: [text('wfi/saveVmcr'), text('wfi/preemptOff')],
    replaceAll: [text('saveVmcr'), step],
    insertAfterAll: [text('saveVmcr'), body],
    omitAll: [text('saveVmcr')],
  }),
  ...contextRows({
    get: [handle, word],
    set: [handle, word, half],
    loaded: [handle],
    usedListRegisters: [handle],
    shadowVmcr: [handle],
    saveVmcr: [handle, optional(handle)],
    load: [handle],
    put: [handle],
    readElrsr: [handle],
    fold: [handle, half],
    runnable: [handle],
    checkBlock: [handle],
    candidate: [handle],
  }),
  'new VirtualMachine': call(
    (config) => new hyp.VirtualMachine(config),
    options({
      vcpus,
      spis: optional(integer(0, 988, 32)),
      timers: optional(boolean),
      frames,
      silicon: optional(configOfCpus(CPUS)),
      design: someDesign,
      ...lpiSizes,
    }),
  ),
  ...methods('VirtualMachine', newVm, {
    restore: [vmImage],
    diff: [vmImage],
    enter: [cpu],
    isInGuest: [cpu],
    exit: [cpu],
    preempt: [cpu],
    readMmio: [cpu, ipa, bytes],
    readMmio64: [cpu, ipa, optional(bytes)],
    writeMmio: [cpu, ipa, bytes, bits64(1, 'number', 'bigint')],
    readSysreg: [cpu, encoding],
    readSysreg64: [cpu, encoding],
    writeSysreg: [cpu, encoding, bits64(1, 'number', 'bigint')],
    wasUndefined: [cpu],
    wfi: [cpu],
    setLine: [integer(16, 63, 40), level, optional(cpu)],
    signalMsi: [integer(0, 0xffff_ffff), integer(0, 0xffff_ffff), optional(integer(0, 0))],
    setTimer: [cpu, timer, boolean],
    setMasks: [cpu, options({ irq: optional(boolean), fiq: optional(boolean) })],
    line: [cpu, oneOf('virq', 'vfiq')],
    listRegisters: [cpu],
    explain: [guestIntid, optional(cpu)],
    restoreVgic: [saved(savedWithIts())],
    nameOf: [address],
  }),
  explore: call(exploring.explore, only(newScenario), bounds),
  exploreRandom: call(exploring.exploreRandom, only(newScenario), randomBounds),
  invariantName: call(exploring.invariantName, text('S11')),
  mergeReports: call(exploring.mergeReports, reports),
  minimise: call(
    exploring.minimise,
    only(broken),
    only(() => violation),
    optional(options({ invariants: optional(violated), own: ownInvariants })),
  ),
  exhibit: call(exploring.exhibit, entry),
  arbitraries: call(
    testing.arbitraries,
    only(() => fc),
  ),
  ...methods('Arbitraries', () => testing.arbitraries(fc), {
    accesses: [only(newGic)],
    guests: [optional(guestOptions)],
    devices: [optional(guestOptions)],
  }),
  perform: call(
    testing.perform,
    only(newGic),
    only(() => ({ k: 'line', cpu: 0, intid: 40, level: 1 })),
  ),
  expectSameState: call(testing.expectSameState, only(newGic), only(newGic)),
  record: call(testing.record, only(newGic)),
  verify: call(testing.verify, {
    right: () => vectors,
    takes: (value) => typeof value === 'string' && value.trim() === '',
  }),
  ...methods('Recorder', () => testing.record(newGic()), {
    readMmio: [recordedAddress, bytes, optional(cpu)],
    writeMmio: [recordedAddress, bytes, bits64(1, 'number', 'bigint'), optional(cpu)],
    readSysreg: [cpu, oneOf(vgic.ICC_PMR_EL1), el],
    writeSysreg: [cpu, oneOf(vgic.ICC_PMR_EL1), bits64(1, 'number', 'bigint'), el],
    setSpi: [integer(32, 63), level],
    setPpi: [cpu, integer(16, 31), level],
  }),
  scenarioCase: call(benching.scenarioCase, only(newScenario)),
  explorationCase: call(benching.explorationCase, only(newScenario), bounds),
  'BenchCase.setup': call(
    benching.exitCases[0].setup,
    optional(
      options({
        design: optional(someDesign),
        timers: optional(boolean),
        listRegisters: optional(integer(1, 16, 4)),
      }),
    ),
  ),
  replay: call(
    exploring.replay,
    only(broken),
    only(() => violation),
    optional(
      options({ before: optional(integer(0, 1000, 3)), invariants: checkedInvariants, own: ownInvariants }),
    ),
  ),
  'new Exploration': call(
    (...args) => new exploring.Exploration(...(args as [never])),
    only(newScenario),
    bounds,
  ),
  ...methods('Exploration', () => new exploring.Exploration(newScenario()), {
    goOn: [integer(1, 0x3fff_ffff, 100)],
  }),
}

function isWord(value: unknown): boolean {
  return typeof value === 'number' && !(value > 0xffff_ffff || value < -0x8000_0000)
}

/** What the library calls, and what it throws. */
const notCalled = [
  'AccessListener.onAccess',
  'AccessListener.onGuestError',
  'ErrorListener.onError',
  'UnpredictableListener.onUnpredictable',
  'BarrierListener.onMissingBarrier',
  'GicHost.setLine',
  'GicMemory.read32',
  'GicMemory.write32',
  'new VgicError',
  'StopSignal.aborted',
  // Its errors are those of a promise; the checks are those of Exploration.
  'exploreAsync',
  'expectHolds',
  'new ExpectationError',
  'Comparable.diff',
]

describe('every public call', () => {
  const calls = publicCalls(['index', 'scenario', 'explore', 'testing', 'bench'])

  it('has a row here that says what it takes', () => {
    const names = calls.map(({ name }) => name).filter((name) => !notCalled.includes(name))
    expect(Object.keys(rows).sort()).toEqual(names.sort())
    for (const { name, parameters } of calls) {
      if (!notCalled.includes(name))
        expect([name, rows[name].parameters.length]).toEqual([name, parameters.length])
    }
  })
})

/** What became of a call. */
function outcome({ call }: Row, args: readonly unknown[]): 'taken' | 'refused' {
  try {
    call(args)
    return 'taken'
  } catch (error) {
    if (!(error instanceof vgic.VgicError)) throw error
    expect(error.message).toMatch(/^.+[.?]$/s)
    expect(error.message).not.toMatch(/\[object|\ba undefined|\bundefined has/)
    return 'refused'
  }
}

describe.each(Object.entries(rows))('%s', (_name, row) => {
  const right = (): unknown[] => row.parameters.map((kind) => kind.right())

  it('takes what is right', () => {
    expect(outcome(row, right())).toBe('taken')
  })

  it('refuses whatever else it is given', () => {
    const mistake = fc
      .nat(row.parameters.length - 1)
      .chain((i) => wrong(row.parameters[i]).map((value) => ({ i, value })))
    fc.assert(
      fc.property(mistake, ({ i, value }) => {
        const args = right()
        args[i] = value
        if (outcome(row, args) === 'taken') expect(row.parameters[i].takes(value)).toBe(true)
      }),
    )
  })

  it('refuses arguments that are all wrong, and none at all', () => {
    const mistakes = fc.tuple(...row.parameters.map(wrong))
    fc.assert(
      fc.property(fc.oneof(fc.constant([]), mistakes), (args) => {
        const taken = row.parameters.every(
          (kind, i) => (i >= args.length && kind.rest) || kind.takes(args[i]),
        )
        if (outcome(row, args) === 'taken') expect(taken).toBe(true)
      }),
    )
  })
})
