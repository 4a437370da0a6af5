/**
 * Random programs of a driver that owns memory, tables, command queue and registers of an ITS and of LPIs: one that
 * knows what it does, one that does not, and one that wants to do harm. Everything is small, so that programs meet.
 */
import fc from 'fast-check'
import {
  Gic,
  type GicConfig,
  type GicHost,
  ICC_EOIR1_EL1,
  ICC_IAR1_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
} from 'vgic'

export const GICD = 0x0800_0000
export const GITS = 0x0808_0000
const GICR = 0x080a_0000
const STRIDE = 0x2_0000

/** Memory in which the program's structures lie side by side, and over each other when they are written to excess. */
export const regions = {
  config: 0x4000_0000,
  pending: 0x4001_0000,
  devices: 0x4010_0000,
  collections: 0x4011_0000,
  queue: 0x4012_0000,
  itt: 0x4013_0000,
} as const
const VALID = 1n << 63n

export const configuration: fc.Arbitrary<GicConfig> = fc.record({
  cpus: fc.integer({ min: 1, max: 3 }),
  spis: fc.constant(32),
  lpis: fc.constantFrom(4, 64, 64, 2048, 0x1_0000),
  its: fc
    .record({
      deviceBits: fc.constantFrom(3, 16, 32),
      eventBits: fc.constantFrom(3, 16, 32),
      collectionBits: fc.constantFrom(2, 16),
      pta: fc.constantFrom<0 | 1>(0, 0, 1),
    })
    .map((limits) => [{ base: GITS, ...limits }]),
  directLpis: fc.boolean(),
  profile: fc.constantFrom('arch', 'arch', 'qemu-7.2'),
  choices: fc.record({ commandErrors: fc.constantFrom('ignored', 'stall') }),
  writeEffects: fc.constantFrom('at-once', 'at-once', 'lagging'),
})

const cpu = fc.nat(2)
const device = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(1, 1, 1, 1, 1, 0, 2, 7) },
  { weight: 1, arbitrary: fc.nat(0xffff_ffff) },
)
const event = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(0, 0, 1, 1, 2, 3, 7) },
  { weight: 1, arbitrary: fc.nat(0xffff_ffff) },
)
const icid = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(0, 0, 1, 1, 2, 3) },
  { weight: 1, arbitrary: fc.nat(0xffff) },
)
const intid = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(8192, 8193, 8195, 8224, 8255, 9300) },
  { weight: 1, arbitrary: fc.nat(0xffff_ffff) },
)
const valid = fc.constantFrom(true, true, true, false)
const word = fc.oneof(fc.nat(0xffff_ffff), fc.constantFrom(0, 1, 0xffff_ffff, 0x8000_0000, 0x4000_0000))
const priority = fc.constantFrom(0, 0x20, 0x80, 0xa0, 0xa4, 0xf8)

/** The doublewords of a command. */
const command = fc.oneof(
  { weight: 2, arbitrary: fc.tuple(fc.constant(0x09), icid, cpu, valid) },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constant(0x08), device, fc.constantFrom(0, 2, 2, 2, 15, 31), valid),
  },
  { weight: 3, arbitrary: fc.tuple(fc.constant(0x0a), device, event, intid, icid) },
  { weight: 1, arbitrary: fc.tuple(fc.constant(0x0b), device, intid, icid) },
  {
    weight: 5,
    arbitrary: fc.tuple(fc.constantFrom(0x03, 0x03, 0x04, 0x0c, 0x0f), device, event),
  },
  { weight: 2, arbitrary: fc.tuple(fc.constant(0x01), device, event, icid) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom(0x0d), icid) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom(0x05, 0x0e), cpu, cpu) },
)
type CommandFields = typeof command extends fc.Arbitrary<infer T> ? T : never

/** Where RDbase is for a CPU, whatever PTA says: sometimes wrong. */
const rdbase = (gic: Gic, n: number): bigint =>
  gic.config.its[0].pta === 1 ? BigInt(GICR + n * STRIDE) : BigInt(n) << 16n

function doublewords(gic: Gic, fields: CommandFields): bigint[] {
  const [opcode, ...rest] = fields
  const of = (n: number): bigint => BigInt(Number(rest[n] ?? 0))
  const valid = rest.at(-1) === true ? VALID : 0n
  const first = (of(0) << 32n) | BigInt(opcode)
  switch (opcode) {
    case 0x09:
      return [0x09n, 0n, rdbase(gic, Number(rest[1])) | of(0) | valid, 0n]
    case 0x08:
      return [first, of(1), BigInt(regions.itt) + (of(0) & 7n) * 0x100n + valid, 0n]
    case 0x0a:
      return [first, (of(2) << 32n) | of(1), of(3), 0n]
    case 0x05:
      return [0x05n, 0n, rdbase(gic, Number(rest[0])), 0n]
    case 0x0e:
      return [0x0en, 0n, rdbase(gic, Number(rest[0])), rdbase(gic, Number(rest[1]))]
    case 0x0d:
      return [0x0dn, 0n, of(0), 0n]
    default:
      return [first, of(1), of(2), 0n]
  }
}

export const step = fc.oneof(
  { weight: 12, arbitrary: fc.record({ k: fc.constant('command' as const), command }) },
  { weight: 6, arbitrary: fc.record({ k: fc.constant('msi' as const), device, event }) },
  {
    weight: 4,
    arbitrary: fc.record({
      k: fc.constant('configure' as const),
      intid: fc.constantFrom(8192, 8193, 8195, 8224, 8255, 9300),
      byte: fc.tuple(priority, fc.boolean()).map(([p, on]) => p | (on ? 1 : 0)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      k: fc.constant('poke' as const),
      region: fc.constantFrom(...Object.values(regions)),
      offset: fc.oneof(fc.nat(40), fc.nat(0x3fff)).map((n) => 4 * n),
      value: word,
    }),
  },
  { weight: 2, arbitrary: fc.record({ k: fc.constant('repair' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ k: fc.constant('enable' as const), cpu, value: fc.constantFrom(0, 1, 1, 1) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      k: fc.constant('bases' as const),
      cpu,
      bits: fc.constantFrom(12, 13, 13, 15, 31),
      ptz: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ k: fc.constant('its' as const), value: fc.constantFrom(0, 1, 1) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      k: fc.constant('register' as const),
      offset: fc.constantFrom(0, 0x80, 0x84, 0x88, 0x8c, 0x90, 0x100, 0x104, 0x108, 0x10c, 0x110, 0x1_0040),
      value: word,
    }),
  },
  { weight: 1, arbitrary: fc.record({ k: fc.constant('retry' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      k: fc.constant('direct' as const),
      cpu,
      offset: fc.constantFrom(0x40, 0x40, 0x48, 0xa0, 0xb0),
      intid,
    }),
  },
  { weight: 5, arbitrary: fc.record({ k: fc.constant('ack' as const), cpu }) },
  {
    weight: 1,
    arbitrary: fc.record({ k: fc.constant('gicd' as const), value: fc.constantFrom(0, 1, 2, 3, 3) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ k: fc.constant('waker' as const), cpu, value: fc.constantFrom(0, 0, 2) }),
  },
  { weight: 4, arbitrary: fc.record({ k: fc.constant('complete' as const), which: fc.nat(7) }) },
)
export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never
export const program = (length: number): fc.Arbitrary<Step[]> =>
  fc.array(step, { maxLength: length, size: 'max' })

/** What the driver writes memory with. */
export interface Store {
  read(address: number): number
  write(address: number, value: number): void
}

export const frameOf = (n: number): number => GICR + n * STRIDE

/** Everything set up, once more if need be: LPIs enabled, an ITS with flat tables and a queue of one page, collection n on CPU n. */
export function boot(gic: Gic, store: Store): void {
  gic.writeMmio(GITS, 4, 0)
  gic.writeMmio(GITS + 0x88, 4, 0)
  gic.writeMmio(GICD, 4, 3)
  // Before LPIs are enabled: a byte that changes afterwards may be read as it was or as it is.
  for (const n of [0, 1, 2]) configure(store, 8192 + n, 0xa1)
  for (let n = 0; n < gic.config.cpus; n++) {
    gic.writeMmio(frameOf(n) + 0x14, 4, 0)
    gic.writeSysreg(n, ICC_PMR_EL1, 0xff, 1)
    gic.writeSysreg(n, ICC_IGRPEN1_EL1, 1, 1)
    bases(gic, n, 15, false)
    gic.writeMmio(frameOf(n), 4, 1)
  }
  gic.writeMmio64(GITS + 0x100, VALID | BigInt(regions.devices))
  gic.writeMmio64(GITS + 0x108, VALID | BigInt(regions.collections))
  gic.writeMmio64(GITS + 0x80, VALID | BigInt(regions.queue))
  gic.writeMmio(GITS, 4, 1)
  for (let n = 0; n < gic.config.cpus; n++) send(gic, store, [0x09, n, n, true])
  send(gic, store, [0x08, 1, 2, true])
  for (const n of [0, 1, 2]) send(gic, store, [0x0a, 1, n, 8192 + n, n % gic.config.cpus])
  gic.completeWrites()
}

function bases(gic: Gic, n: number, bits: number, ptz: boolean): void {
  gic.writeMmio64(frameOf(n) + 0x70, BigInt(regions.config) | BigInt(bits))
  gic.writeMmio64(frameOf(n) + 0x78, BigInt(regions.pending + n * 0x1_0000) | (ptz ? 1n << 62n : 0n))
}

function configure(store: Store, lpi: number, byte: number): void {
  const at = regions.config + lpi - 8192
  const shift = 8 * (at % 4)
  const address = at - (at % 4)
  store.write(address, ((store.read(address) & ~(0xff << shift)) | (byte << shift)) >>> 0)
}

/** Puts a command where GITS_CWRITER says, as far as the driver knows, and moves it on. */
function send(gic: Gic, store: Store, fields: CommandFields): void {
  const writer = gic.readMmio(GITS + 0x88, 4) & 0xfe0
  for (const [i, value] of doublewords(gic, fields).entries()) {
    store.write(regions.queue + writer + 8 * i, Number(value & 0xffff_ffffn))
    store.write(regions.queue + writer + 8 * i + 4, Number((value >> 32n) & 0xffff_ffffn))
  }
  gic.writeMmio(GITS + 0x88, 4, (writer + 32) % 0x1000)
}

/** Does a step; returns what it reads. */
export function run(gic: Gic, store: Store, s: Step): unknown {
  const n = 'cpu' in s ? s.cpu % gic.config.cpus : 0
  switch (s.k) {
    case 'command':
      send(gic, store, s.command)
      return gic.readMmio64(GITS + 0x90)
    case 'msi':
      return gic.sendMsi(s.device, s.event)
    case 'configure':
      return configure(store, s.intid, s.byte)
    case 'poke':
      return store.write(s.region + s.offset, s.value)
    case 'enable':
      gic.writeMmio(frameOf(n), 4, s.value)
      return gic.readMmio(frameOf(n), 4)
    case 'bases':
      return bases(gic, n, s.bits, s.ptz)
    case 'its':
      gic.writeMmio(GITS, 4, s.value)
      return gic.readMmio(GITS, 4)
    case 'register':
      gic.writeMmio(GITS + s.offset, 4, s.value)
      return gic.readMmio(GITS + s.offset, 4)
    case 'repair':
      return boot(gic, store)
    case 'retry':
      return gic.writeMmio(GITS + 0x88, 4, gic.readMmio(GITS + 0x88, 4) | 1)
    case 'direct':
      return gic.writeMmio(frameOf(n) + s.offset, 4, s.intid)
    case 'ack': {
      const got = gic.readSysreg(n, ICC_IAR1_EL1, 1)
      if (got !== 1023) gic.writeSysreg(n, ICC_EOIR1_EL1, got, 1)
      return got
    }
    case 'gicd':
      return gic.writeMmio(GICD, 4, s.value)
    case 'waker':
      return gic.writeMmio(frameOf(n) + 0x14, 4, s.value)
    case 'complete': {
      const effects = gic.effects()
      if (effects.length > 0) gic.complete(effects[s.which % effects.length])
      return effects
    }
  }
}

/** Memory of a host: a map of words. */
export class HostMemory implements Store {
  words = new Map<number, number>()
  /** What the GIC has asked for. */
  accesses = 0

  read(address: number): number {
    return this.words.get(address) ?? 0
  }

  write(address: number, value: number): void {
    this.words.set(address, value)
  }

  read32(address: number): number {
    this.accesses++
    return this.read(address)
  }

  write32(address: number, value: number): void {
    this.accesses++
    this.write(address, value)
  }
}

export const gicOn = (memory: HostMemory, config: GicConfig, host: GicHost = {}): Gic =>
  new Gic(config, { memory, ...host })
