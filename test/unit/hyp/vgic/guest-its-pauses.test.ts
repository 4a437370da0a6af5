/** A queue that is too much for one access of a guest: how far an access goes, and who goes on with it. */
import { type Design, designs, kvm61, kvm72 } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { ITS_CREADR } from '../../../../src/hyp/records/its-record.ts'
import { GICD, GITS, redistributor, VALID } from '../../../kit/frames.ts'
import {
  bootedIts,
  GITS_CBASER,
  GITS_CREADR,
  GITS_CTLR,
  GITS_CWRITER,
  type ItsGuest,
  type ItsOptions,
  queueOf,
  restoredTo,
  slotsInUse,
} from '../../../kit/guest-its.ts'

/** What an access goes through, and commands of the largest queue. */
const MOST = 2 ** 20
const FULL = 0x10_0000 / 32

type Command = readonly bigint[]

const device = (opcode: bigint, id: number): bigint => (BigInt(id) << 32n) | opcode
const mapd = (id: number): Command => [device(0x08n, id), 15n, VALID | 0x4300_0000n]
const mapti = (id: number, event: number, intid = 8192 + event, icid = 0): Command => [
  device(0x0an, id),
  (BigInt(intid) << 32n) | BigInt(event),
  BigInt(icid),
]
const mapc = (icid: number, vcpu: number): Command => [
  0x09n,
  0n,
  VALID | (BigInt(vcpu) << 16n) | BigInt(icid),
]
const unmapc = (icid: number): Command => [0x09n, 0n, BigInt(icid)]
const int = (id: number, event: number): Command => [device(0x03n, id), BigInt(event)]
const invall = (icid: number): Command => [0x0dn, 0n, BigInt(icid)]
const movall = (from: number, to: number): Command => [0x0en, 0n, BigInt(from) << 16n, BigInt(to) << 16n]

/** A driver with a queue of 1 MiB, which puts many commands into it before it writes GITS_CWRITER. */
class Driver {
  private offset = 0

  constructor(readonly guest: ItsGuest) {
    guest.setRegister(0, GITS_CTLR, 0)
    guest.setRegister(0, GITS_CBASER, VALID | BigInt(queueOf()) | 0xffn)
    guest.setRegister(0, GITS_CTLR, 1)
  }

  put(commands: Iterable<Command>): this {
    for (const command of commands) {
      for (let i = 0; i < 4; i++) this.guest.ram.write64(queueOf() + this.offset + 8 * i, command[i] ?? 0n)
      this.offset = (this.offset + 32) % (32 * FULL)
    }
    return this
  }

  submit(): this {
    this.guest.setRegister(0, GITS_CWRITER, this.offset)
    return this
  }

  send(...commands: readonly Command[]): this {
    return this.put(commands).submit()
  }

  /** Reads GITS_CREADR until all is done; every value that differs from the one before, in commands from `from` on. */
  poll(from: number): number[] {
    const seen: number[] = []
    for (;;) {
      const creadr = Number(this.guest.register(0, GITS_CREADR))
      const done = (creadr / 32 - from + FULL) % FULL
      if (seen.at(-1) === done) throw new Error(`GITS_CREADR stays at ${creadr}.`)
      seen.push(done)
      if (creadr === this.offset) return seen
    }
  }

  /** Commands that are carried out, from the beginning of the queue, which no access finds out. */
  get done(): number {
    const { hypervisor } = this.guest.vm
    return hypervisor.words[hypervisor.mmio.dist.its.recordOf(0) + ITS_CREADR] / 32
  }

  /** Where the next command is put, in commands. */
  get at(): number {
    return this.offset / 32
  }
}

/** LPIs that device 1 has mapped, all of collection 0, which goes to vCPU 0. */
function driving(lpis: number, options: ItsOptions = {}): Driver {
  const driver = new Driver(bootedIts({ lpis, itsCollections: 4, ...options }))
  driver.put([mapd(1)])
  for (let event = 0; event < lpis; event++) {
    driver.put([mapti(1, event)])
    if (event % 0x4000 === 0) driver.submit()
  }
  return driver.submit()
}

const times = (n: number, command: Command): Command[] => Array.from({ length: n }, () => command)

describe('a full queue of INVALLs', () => {
  it('is carried out by the write of GITS_CWRITER and the reads of GITS_CREADR that follow it, the last command last', () => {
    const driver = driving(1024)
    const { guest, at } = driver
    guest.configure(8192)
    driver.put(times(FULL - 2, invall(0))).send(int(1, 0))
    expect(guest.acknowledge(0)).toBe(1023)
    const each = MOST / 1024
    expect(driver.poll(at)).toEqual([...Array.from({ length: 31 }, (_, n) => each * (n + 1)), FULL - 1])
    expect(guest.acknowledge(0)).toBe(8192)
    expect(guest.acknowledge(0)).toBe(1023)
  })

  it('of few LPIs is carried out at once', () => {
    const driver = driving(31)
    const { at } = driver
    driver.put(times(FULL - 1, invall(0))).submit()
    expect(driver.poll(at)).toEqual([FULL - 1])
  })
})

const kernels: readonly (readonly [string, Design])[] = [
  ['wfiHandler', designs.wfiHandler],
  ['kvm61', kvm61(designs.wfiFlag)],
  ['kvm72', kvm72(designs.wfiFullPut)],
]

describe.each(kernels)('a queue that is paused, with %s', (_name, design) => {
  const lpis = 2 ** 15
  /** 32 INVALLs are as much as an access does. Between them DISCARD and MAPTI change what is mapped. */
  const paused = (): Driver => {
    const driver = driving(lpis, { design })
    for (let n = 0; n < 100; n++) driver.put([invall(0), [device(0x0fn, 1), BigInt(n)]])
    return driver.submit()
  }

  it('has carried out each command before GITS_CREADR once, and none behind', () => {
    const driver = paused()
    const first = driver.at - 200
    let accesses = 1
    for (; driver.done !== driver.at; accesses++) {
      expect(accesses).toBeLessThan(5)
      const discarded = Math.floor((driver.done - first) / 2)
      expect(slotsInUse(driver.guest)).toMatchObject({ lpis: lpis - discarded, events: lpis - discarded })
      driver.guest.register(0, GITS_CREADR)
    }
    expect(accesses).toBe(4)
    expect(slotsInUse(driver.guest).events).toBe(lpis - 100)
  })

  it('is not quiescent, and a read of GITS_CREADR says how far it was before it goes on', () => {
    const driver = paused()
    const { vm } = driver.guest
    const { done } = driver
    expect(vm.readMmio(0, GITS + GITS_CREADR, 4) / 32).toBe(done)
    const after = driver.done
    expect(after).toBeGreaterThan(done)
    expect(vm.readMmio(1, GITS + GITS_CTLR, 4)).toBe(1)
    expect(driver.done).toBeGreaterThan(after)
    driver.poll(0)
    expect(vm.readMmio(1, GITS + GITS_CTLR, 4)).toBe(0x8000_0001)
  })

  it.each<readonly [string, (guest: ItsGuest, vcpu: number) => unknown]>([
    ['a read of GITS_CREADR', ({ vm }, vcpu) => vm.readMmio64(vcpu, GITS + GITS_CREADR)],
    ['a read of a register that does not change', ({ vm }, vcpu) => vm.readMmio(vcpu, GITS + 0xffe8, 4)],
    ['a write of GITS_CTLR', ({ vm }, vcpu) => vm.writeMmio(vcpu, GITS + GITS_CTLR, 4, 1)],
    ['a write that is ignored', ({ vm }, vcpu) => vm.writeMmio(vcpu, GITS + GITS_CBASER, 8, 0)],
  ])('goes on with %s, of any vCPU', (_access, access) => {
    for (const vcpu of [0, 1]) {
      const driver = paused()
      const { done } = driver
      access(driver.guest, vcpu)
      expect(driver.done).toBeGreaterThan(done)
    }
  })

  it('goes on with no access to another frame, and with no message', () => {
    const driver = paused()
    const { vm } = driver.guest
    const before = driver.done
    vm.readMmio(0, GICD, 4)
    vm.writeMmio(0, GICD, 4, 2)
    vm.readMmio(1, redistributor(0), 4)
    vm.writeMmio(0, GITS + 0x1_0040, 4, 200)
    vm.readMmio(0, GITS + 0x1_0040, 4)
    driver.guest.msi(1, 200)
    expect(driver.done).toBe(before)
  })

  it('is the same after a snapshot, and goes on the same', () => {
    const driver = paused()
    const image = driver.guest.vm.snapshot()
    const at = driver.done
    const end = (): [number[], number] => {
      const seen = driver.poll(0)
      return [seen, driver.guest.vm.hash()]
    }
    const expected = end()
    driver.guest.vm.restore(image)
    expect(driver.done).toBe(at)
    expect(end()).toEqual(expected)
    expect(slotsInUse(driver.guest).events).toBe(lpis - 100)
  })
})

describe('a queue that is paused', () => {
  it('goes on when the ITS is enabled again, and not while it is disabled', () => {
    const driver = driving(2 ** 15)
    driver.put(times(100, invall(0))).submit()
    const { guest } = driver
    guest.setRegister(0, GITS_CTLR, 0)
    const { done } = driver
    guest.register(0, GITS_CREADR)
    expect(driver.done).toBe(done)
    guest.setRegister(0, GITS_CTLR, 1)
    expect(driver.done).toBe(done + 32)
    driver.poll(0)
  })

  it('is restored by userspace, and carried out there', () => {
    const driver = driving(2 ** 15)
    const { guest } = driver
    guest.configure(8192)
    driver.put(times(100, invall(0))).send(int(1, 0))
    const other = restoredTo(guest, { lpis: 2 ** 15, itsCollections: 4 })
    for (let reads = 0; reads < 3; reads++) other.register(0, GITS_CREADR)
    expect(other.register(0, GITS_CREADR)).toBe(BigInt(32 * driver.at))
    expect(other.acknowledge(0)).toBe(8192)
  })

  it('leaves other ITSs alone', () => {
    const driver = driving(2 ** 15, { itss: 2 })
    const { guest } = driver
    driver.put(times(100, invall(0))).submit()
    const before = driver.done
    guest.register(1, GITS_CREADR)
    guest.mapd(3, 4, true, 1)
    expect(driver.done).toBe(before)
    expect(guest.register(1, GITS_CREADR)).toBe(guest.register(1, GITS_CWRITER))
    driver.poll(0)
  })
})

describe('what an access goes through is counted', () => {
  const lpis = 2 ** 15
  it.each<readonly [string, Command, number]>([
    ['INVALL', invall(0), 32],
    ['INVALL of a collection without LPIs', invall(1), 32],
    ['INVALL of a collection that is not mapped', invall(3), 200],
    ['MOVALL', movall(0, 1), 32],
    ['MOVALL to where they are', movall(1, 1), 200],
    ['MAPC of a collection that is mapped', mapc(0, 1), 32],
    ['MAPC with V = 0 of one that is not mapped', unmapc(3), 200],
    ['MAPC of a vCPU that does not exist', mapc(0, 77), 200],
    ['INT', int(1, 0), 200],
    ['SYNC', [0x05n, 0n, 0n], 200],
  ])('%s', (_name, command, most) => {
    const driver = driving(lpis)
    const { at } = driver
    driver.put(times(200, command)).submit()
    expect(driver.done - at).toBe(most)
    driver.poll(at)
  })

  it('also in a large translation cache', () => {
    const driver = driving(4, { translations: 4096 })
    const { at } = driver
    driver.put(times(1000, int(1, 0))).submit()
    expect(driver.done - at).toBe(MOST / 4096)
    driver.poll(at)
  })
})

describe('a collection table that is replaced', () => {
  it('takes every event out of its collection', () => {
    const guest = bootedIts({ lpis: 0x1_0000, itsCollections: 0x1_0000 })
    const driver = new Driver(guest)
    guest.setRegister(0, GITS_CTLR, 0)
    guest.setRegister(0, 0x108, VALID | 0x5000_0000n | 0x3fn)
    guest.setRegister(0, GITS_CTLR, 1)
    driver.put([mapd(1)])
    for (let icid = 0; icid < 20_000; icid++) driver.put([mapc(icid, 1)])
    driver.send(mapti(1, 0, 8192, 7), mapti(1, 1, 8193, 9), mapti(1, 2, 8194, 19_999))
    expect(slotsInUse(guest)).toMatchObject({ collections: 20_000, events: 3 })
    guest.setRegister(0, GITS_CTLR, 0)
    guest.setRegister(0, 0x108, 0)
    expect(slotsInUse(guest)).toMatchObject({ collections: 0, events: 3 })
    const { its } = guest.vm.hypervisor.mmio.dist
    expect([1, 2, 3].map((slot) => its.collectionOf(slot))).toEqual([0, 0, 0])
  })
})
