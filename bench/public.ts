/**
 * What users get: the work of the benchmark of exits through the public API, beside the internal path that it takes.
 * `VirtualMachine` with and without timers, and `scenario().run()`, with the events of its steps and without them.
 */
import { ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1, ICC_SGI1R_EL1 } from 'vgic'
import { designs, type GuestBuilder, type Scenario, scenario, VirtualMachine } from 'vgic/scenario'
import { header, Progress } from '../test/command-line.ts'
import { HotPath, machineOf } from './hot-path.ts'
import { median } from './statistics.ts'

const GICD = 0x0800_0000
const GICD_IGROUPR = GICD + 0x80
const GICD_ISENABLER = GICD + 0x100
const GICD_ICFGR = GICD + 0xc00
const GICR_SGI = 0x080b_0000
const VCPUS = 4
const SPIS = 64

/** The cases of a table, and the internal path's number for the same work: a thread that halts sleeps in all of them. */
const kinds = [
  { name: 'hypercall', internal: 1 },
  { name: 'spi', internal: 2 },
  { name: 'ipi', internal: 3 },
  { name: 'wfi', internal: 7 },
  { name: 'mmio_read_vgic', internal: 6 },
] as const
type Kind = (typeof kinds)[number]['name']

/** Runs iterations. */
type Path = (iterations: number) => void

/** The internal path. */
function internal(number: number): Path {
  const path = new HotPath(machineOf(4, designs.wfiFullPut, false))
  return (iterations) => void path.run(number, iterations)
}

/** A VM whose guests have booted: every interrupt enabled, in group 1, SPIs alternately edge and level. */
class PublicVm {
  readonly vm: VirtualMachine

  constructor(timers: boolean) {
    this.vm = new VirtualMachine({
      vcpus: VCPUS,
      spis: SPIS,
      timers,
      design: designs.wfiFullPut,
      silicon: { listRegisters: 4 },
    })
    const { vm } = this
    vm.writeMmio(0, GICD, 4, 2)
    for (let word = 1; word <= SPIS / 32; word++) {
      vm.writeMmio(0, GICD_IGROUPR + 4 * word, 4, 0xffff_ffff)
      vm.writeMmio(0, GICD_ISENABLER + 4 * word, 4, 0xffff_ffff)
    }
    for (let word = 2; word < 2 + SPIS / 16; word++) vm.writeMmio(0, GICD_ICFGR + 4 * word, 4, 0x2222_2222)
    for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
      vm.writeMmio(vcpu, GICR_SGI + 0x2_0000 * vcpu + 0x80, 4, 0xffff_ffff)
      vm.writeMmio(vcpu, GICR_SGI + 0x2_0000 * vcpu + 0x100, 4, 0xffff)
      vm.writeSysreg(vcpu, ICC_PMR_EL1, 0xf0)
      vm.writeSysreg(vcpu, ICC_IGRPEN1_EL1, 1)
      vm.exit(vcpu)
    }
  }

  run(kind: Kind, iterations: number): void {
    for (let i = 0; i < iterations; i++) this[kind](i)
  }

  hypercall(): void {
    this.vm.enter(0)
    this.vm.line(0, 'virq')
    this.vm.exit(0)
  }

  spi(i: number): void {
    const intid = 32 + (i & 63)
    this.vm.setLine(intid, 1)
    this.vm.enter(0)
    this.take(intid)
    this.vm.exit(0)
  }

  ipi(): void {
    this.vm.writeSysreg(0, ICC_SGI1R_EL1, 0x0100_0002)
    this.vm.enter(1)
    this.vm.line(1, 'virq')
    this.vm.writeSysreg(1, ICC_EOIR1_EL1, this.vm.readSysreg(1, ICC_IAR1_EL1))
    this.vm.exit(1)
  }

  wfi(i: number): void {
    const intid = 32 + (i & 63)
    if (this.vm.wfi(0)) throw new Error('the vCPU does not sleep')
    this.vm.setLine(intid, 1)
    this.vm.enter(0)
    this.take(intid)
  }

  mmio_read_vgic(i: number): void {
    this.vm.readMmio(0, GICD_ISENABLER + 4 + 4 * (i & 1), 4)
    this.vm.enter(0)
  }

  private take(intid: number): void {
    const { vm } = this
    vm.line(0, 'virq')
    const taken = vm.readSysreg(0, ICC_IAR1_EL1)
    if (taken !== intid) throw new Error(`the guest got ${taken} and not ${intid}`)
    vm.setLine(intid, 0)
    vm.writeSysreg(0, ICC_EOIR1_EL1, taken)
  }
}

const virtualMachine = (kind: Kind, timers: boolean): Path => {
  const vm = new PublicVm(timers)
  return (iterations) => vm.run(kind, iterations)
}

/** A guest of a scenario whose rounds do the same. */
const guests: Readonly<Record<Kind, (recipe: Scenario, rounds: number) => Scenario>> = {
  hypercall: (recipe, rounds) => recipe.guest(0, (guest) => guest.loop(rounds, (body) => body.hvc())),
  spi: (recipe, rounds) =>
    recipe.guest(0, (guest) => handled(guest).loop(rounds, (body) => body.writeMmio(GICD + 0x204, 2).hvc())),
  ipi: (recipe, rounds) =>
    recipe
      .guest(0, (guest) => handled(guest).loop(rounds, (body) => body.sgi({ intid: 2, vcpus: [1] })))
      .guest(1, (guest) => handled(guest).untilInterrupts(1)),
  wfi: (recipe, rounds) =>
    recipe.guest(0, (guest) =>
      guest
        .onIrq((list) => list.ack().stopTimer().eoi())
        .unmask()
        .loop(rounds, (body) => body.timer(100).wfi()),
    ),
  mmio_read_vgic: (recipe, rounds) =>
    recipe.guest(0, (guest) => guest.loop(rounds, (body) => body.readMmio(GICD_ISENABLER + 4))),
}

const handled = (guest: GuestBuilder): GuestBuilder => guest.onIrq((list) => list.ack().eoi()).unmask()

export function runOf(kind: Kind, iterations: number) {
  const recipe = scenario(kind)
    .vm({ vcpus: kind === 'ipi' ? 2 : 1, spis: 32, timers: kind === 'wfi' })
    .spi({ intid: 33 })
  return guests[kind](recipe, iterations).run({ steps: 0x7fff_ffff })
}

const SCALE = 8
const time = (path: () => void): number => {
  const before = process.cpuUsage()
  path()
  const { user, system } = process.cpuUsage(before)
  return (user + system) * 1e3
}

function nanoseconds(path: Path, iterations: number): number {
  for (let i = 0; i < 3; i++) path(iterations)
  return median(Array.from({ length: SCALE }, () => time(() => path(iterations)) / iterations))
}

export function benchPublic(): void {
  for (const { name, internal: number } of kinds) {
    const row = [
      nanoseconds(internal(number), 200_000),
      nanoseconds(virtualMachine(name, false), 100_000),
      nanoseconds(virtualMachine(name, true), 100_000),
    ]
    if (process.env['VM'] === undefined && name !== 'ipi') {
      row.push(nanoseconds((n) => void runOf(name, n), 10_000))
      let steps = 1
      row.push(
        nanoseconds((n) => {
          const run = runOf(name, n)
          steps = Math.min(run.steps, 100_000) / n
          void run.events
        }, 2000),
      )
      row.push(row[4] / steps)
    }
    console.log(name.padEnd(16), ...row.map((value) => value.toFixed(1).padStart(10)))
  }
}
void header
void Progress
