/**
 * What users get: the work of the benchmark's cases by the public API. `vm` is VirtualMachine, without and with timers;
 * `run` is a run of a scenario that nobody asks for its events, an iteration is a round of its guest; `events` is one that
 * is asked, an iteration is a step, which is taken once to run it and once to tell of it. A guest's access by
 * VirtualMachine is one as on silicon: it looks whether it calls for maintenance, as the internal cases do not.
 */
import { ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1, ICC_SGI1R_EL1 } from 'vgic'
import { designs, type GuestBuilder, type Run, type Scenario, scenario, VirtualMachine } from 'vgic/scenario'

const GICD = 0x0800_0000
const GICD_IGROUPR = GICD + 0x80
const GICD_ISENABLER = GICD + 0x100
const GICD_ICFGR = GICD + 0xc00
const GICR_SGI = 0x080b_0000
const GICR_STRIDE = 0x2_0000
const VCPUS = 4
const SPIS = 64
/** The most steps of a run. */
const MOST = 0x7fff_ffff

/** Something that can be measured: runs iterations, `timed` is what runs them, and returns a checksum. */
export interface Measurable {
  /** It makes machines, and events; after a collection that is asked for, V8 would have little room for new objects. */
  readonly makesObjects?: true
  run(scenario: number, iterations: number, timed: (iterate: () => number) => number): number
}

const kinds = ['hypercall', 'spi', 'ipi', 'wfi', 'mmio_read_vgic'] as const
type Kind = (typeof kinds)[number]

/** A VM whose guests have booted: every interrupt enabled, in group 1, SPIs alternately edge and level. */
class Vm implements Measurable {
  private readonly vm: VirtualMachine

  constructor(
    private readonly kind: Kind,
    timers: boolean,
  ) {
    const design = designs.wfiFullPut
    this.vm = new VirtualMachine({ vcpus: VCPUS, spis: SPIS, timers, design, silicon: { listRegisters: 4 } })
    this.boot()
  }

  private boot(): void {
    const { vm } = this
    vm.writeMmio(0, GICD, 4, 2)
    for (let word = 1; word <= SPIS / 32; word++) {
      vm.writeMmio(0, GICD_IGROUPR + 4 * word, 4, 0xffff_ffff)
      vm.writeMmio(0, GICD_ISENABLER + 4 * word, 4, 0xffff_ffff)
    }
    for (let word = 2; word < 2 + SPIS / 16; word++) vm.writeMmio(0, GICD_ICFGR + 4 * word, 4, 0x2222_2222)
    for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
      vm.writeMmio(vcpu, GICR_SGI + GICR_STRIDE * vcpu + 0x80, 4, 0xffff_ffff)
      vm.writeMmio(vcpu, GICR_SGI + GICR_STRIDE * vcpu + 0x100, 4, 0xffff)
      vm.writeSysreg(vcpu, ICC_PMR_EL1, 0xf0)
      vm.writeSysreg(vcpu, ICC_IGRPEN1_EL1, 1)
      vm.exit(vcpu)
    }
  }

  run(_scenario: number, iterations: number, timed: (iterate: () => number) => number): number {
    return timed(() => {
      let sum = 0
      for (let i = 0; i < iterations; i++) sum = (sum + this[this.kind](i)) | 0
      return sum
    })
  }

  hypercall(): number {
    this.vm.enter(0)
    const virq = this.vm.line(0, 'virq')
    this.vm.exit(0)
    return virq
  }

  spi(i: number): number {
    const intid = 32 + (i & 63)
    this.vm.setLine(intid, 1)
    this.vm.enter(0)
    const taken = this.take(intid)
    this.vm.exit(0)
    return taken
  }

  ipi(i: number): number {
    const { vm } = this
    vm.writeSysreg(0, ICC_SGI1R_EL1, 2 | ((i & 15) << 24))
    vm.enter(1)
    const virq = vm.line(1, 'virq')
    const intid = vm.readSysreg(1, ICC_IAR1_EL1)
    vm.writeSysreg(1, ICC_EOIR1_EL1, intid)
    vm.exit(1)
    return virq + intid
  }

  wfi(i: number): number {
    const intid = 32 + (i & 63)
    const isAwake = this.vm.wfi(0) ? 1 : 0
    this.vm.setLine(intid, 1)
    this.vm.enter(0)
    return isAwake + this.take(intid)
  }

  mmio_read_vgic(i: number): number {
    const value = this.vm.readMmio(0, GICD_ISENABLER + 4 + 4 * (i & 1), 4)
    this.vm.enter(0)
    return value
  }

  /** The guest takes an SPI whose device lowers its line before the EOI. */
  private take(intid: number): number {
    const { vm } = this
    const virq = vm.line(0, 'virq')
    const taken = vm.readSysreg(0, ICC_IAR1_EL1)
    if (taken !== intid) throw new Error(`The guest has acknowledged ${taken}, not ${intid}.`)
    vm.setLine(intid, 0)
    vm.writeSysreg(0, ICC_EOIR1_EL1, taken)
    return virq + taken
  }
}

const handling = (guest: GuestBuilder): GuestBuilder => guest.onIrq((list) => list.ack().eoi()).unmask()

/** Guests whose rounds do as much. There is one vCPU: it sends an IPI to itself. */
const guests = {
  hypercall: (guest, rounds) => guest.loop(rounds, (body) => body.hvc()),
  ipi: (guest, rounds) => handling(guest).loop(rounds, (body) => body.sgi({ intid: 2, vcpus: [0] })),
  wfi: (guest, rounds) =>
    guest
      .onIrq((list) => list.ack().stopTimer().eoi())
      .unmask()
      .loop(rounds, (body) => body.timer(100).wfi()),
  mmio_read_vgic: (guest, rounds) => guest.loop(rounds, (body) => body.readMmio(GICD_ISENABLER + 4)),
} as const satisfies Partial<Record<Kind, (guest: GuestBuilder, rounds: number) => GuestBuilder>>
type RunKind = keyof typeof guests
const runKinds = Object.keys(guests) as RunKind[]

function recipeOf(kind: RunKind, rounds: number): Scenario {
  return scenario(kind)
    .gic({ listRegisters: 4 })
    .vm({ vcpus: 1, spis: 32, timers: kind === 'wfi' })
    .design(designs.wfiFullPut)
    .guest(0, (guest) => guests[kind](guest, rounds))
}

const checksumOf = (run: Run): number => run.machine.hash() % 0x8000_0000

/** A run of as many rounds. */
const runs = (kind: RunKind): Measurable => ({
  makesObjects: true,
  run: (_, rounds, timed) =>
    timed(() => (rounds === 0 ? 0 : checksumOf(recipeOf(kind, rounds).run({ steps: MOST })))),
})

/** The events of as many steps. */
const events = (kind: RunKind): Measurable => ({
  makesObjects: true,
  run: (_, steps, timed) =>
    timed(() => (steps === 0 ? 0 : recipeOf(kind, steps).run({ steps }).events.length)),
})

/** A case, with the internal one that does the same. */
interface PublicCase {
  readonly name: string
  readonly iterations: number
  readonly internal: string
  make(): Measurable
}

const iterationsOf: Readonly<Record<Kind, number>> = {
  hypercall: 1_000_000,
  spi: 200_000,
  ipi: 200_000,
  wfi: 100_000,
  mmio_read_vgic: 400_000,
}
/** A run tells of 100,000 steps at most. */
const EVENTS = 50_000

/** `VirtualMachine` has no halt polling: its WFI sleeps, and its thread takes a PE again. */
const internalOf = (kind: Kind): string => (kind === 'wfi' ? 'wfi-asleep' : kind)

const all: readonly PublicCase[] = [
  ...[false, true].flatMap((timers) =>
    kinds.map((kind) => ({
      name: `${timers ? 'vm-timers' : 'vm'}/${kind}`,
      iterations: iterationsOf[kind],
      internal: internalOf(kind),
      make: () => new Vm(kind, timers),
    })),
  ),
  ...runKinds.map((kind) => ({
    name: `run/${kind}`,
    iterations: iterationsOf[kind],
    internal: internalOf(kind),
    make: () => runs(kind),
  })),
  ...runKinds.map((kind) => ({
    name: `events/${kind}`,
    iterations: EVENTS,
    internal: internalOf(kind),
    make: () => events(kind),
  })),
]

/** Numbers from here on are public cases. */
const FIRST = 100

export const publicScenarios = all.map(({ name, iterations, internal }, i) => ({
  number: FIRST + i,
  name,
  iterations,
  ...(name.startsWith('events/') ? {} : { internal }),
}))

/** The machine of a public case; undefined for the number of an internal one. */
export const publicPath = (scenario: number): Measurable | undefined => all[scenario - FIRST]?.make()
