/**
 * `npm run bench -- scale`: what grows with the size of a machine, and what does not. Each row is one operation at several
 * sizes, in time of the processor: medians of rounds, which take turns.
 */
import { ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1 } from 'vgic'
import {
  type Design,
  designs,
  kvm61,
  scenario,
  VirtualMachine,
  type VirtualMachineConfig,
} from 'vgic/scenario'
import type { Vcpu } from '../src/hyp/records/vcpu.ts'
import { VCPU_AP_FIRST, VCPU_AP_LAST } from '../src/hyp/records/vcpu-offsets.ts'
import { asIrq, IRQ_LINK } from '../src/hyp/records/vgic-irq.ts'
import { header } from '../test/command-line.ts'
import { HotPath, LPI, machineWithIts } from './hot-path.ts'
import { median } from './statistics.ts'

const GICD = 0x0800_0000
const GICR = 0x0900_0000
const GICR_STRIDE = 0x2_0000
const ROUNDS = 7
/** A round takes about so long. */
const ROUND_NS = 10e6

/** An operation at one size. */
type Operation = () => void

interface Row {
  readonly name: string
  readonly of: string
  readonly sizes: readonly number[]
  make(size: number): Operation
}

/** A VM whose guests have booted, with every SPI enabled, of descending priority, on vCPU 0. */
function booted(config: Partial<VirtualMachineConfig>): VirtualMachine {
  const { vcpus = 1, spis = 32 } = config
  const vm = new VirtualMachine({
    vcpus,
    spis,
    timers: false,
    design: designs.wfiFullPut,
    frames: { gicd: GICD, gicr: [{ base: GICR, count: vcpus }] },
    ...config,
  })
  vm.writeMmio(0, GICD, 4, 2)
  for (let word = 1; 32 * word < 32 + spis; word++) {
    vm.writeMmio(0, GICD + 0x80 + 4 * word, 4, 0xffff_ffff)
    vm.writeMmio(0, GICD + 0x100 + 4 * word, 4, 0xffff_ffff)
  }
  for (let word = 2; 16 * word < 32 + spis; word++) vm.writeMmio(0, GICD + 0xc00 + 4 * word, 4, 0xaaaa_aaaa)
  for (let intid = 32; intid < 32 + spis; intid++)
    vm.writeMmio(0, GICD + 0x400 + intid, 1, (31 - (intid & 31)) << 3)
  for (const vcpu of [0, vcpus - 1]) {
    vm.writeMmio(vcpu, GICR + GICR_STRIDE * vcpu + 0x1_0080, 4, 0xffff_ffff)
    vm.writeMmio(vcpu, GICR + GICR_STRIDE * vcpu + 0x1_0100, 4, 0xffff)
    vm.writeSysreg(vcpu, ICC_PMR_EL1, 0xff)
    vm.writeSysreg(vcpu, ICC_IGRPEN1_EL1, 1)
    vm.exit(vcpu)
  }
  return vm
}

/** An edge of the last SPI: entry, acknowledge, EOI and exit. */
function spi(vm: VirtualMachine, intid: number): Operation {
  return () => {
    vm.setLine(intid, 1)
    vm.setLine(intid, 0)
    vm.enter(0)
    vm.writeSysreg(0, ICC_EOIR1_EL1, vm.readSysreg(0, ICC_IAR1_EL1))
    vm.exit(0)
  }
}

/** An entry and an exit with as many SPIs pending, which come in an order that is bad for every sort. */
function pending(length: number, design: Design): Operation {
  const vm = booted({ spis: Math.max(length, 32), design, silicon: { listRegisters: 4 } })
  for (let intid = 32; intid < 32 + length; intid++) vm.setLine(intid, 1)
  const { words, vcpu } = { ...vm.hypervisor, vcpu: vm.hypervisor.vcpu(0) }
  vm.exit(0)
  return () => {
    split(words, vcpu)
    vm.enter(0)
    vm.exit(0)
  }
}

/** Puts every other interrupt on a vCPU's ap_list behind the rest. */
function split(words: Int32Array, v: Vcpu): void {
  let kept = v + VCPU_AP_FIRST
  let first = 0
  let moved = kept
  for (let irq = asIrq(words[kept]), n = 0; irq !== 0; irq = asIrq(words[irq + IRQ_LINK]), n++) {
    if (n % 2 === 0) {
      words[kept] = irq
      kept = irq + IRQ_LINK
    } else {
      if (first === 0) first = irq
      else words[moved] = irq
      moved = irq + IRQ_LINK
    }
  }
  words[kept] = first
  if (first === 0) return
  words[moved] = 0
  words[v + VCPU_AP_LAST] = moved - IRQ_LINK
}

/** A device's message: INT of the guest's ITS, and its LPI taken. */
function message(lpis: number): Operation {
  const path = new HotPath(machineWithIts(lpis))
  path.bootIts()
  return () => void path.run(LPI, 16)
}

const vcpuSizes = [1, 4, 16, 64, 255]
const spiSizes = [32, 128, 512, 987]
const lengths = [1, 4, 16, 64, 256, 987]

const rows: readonly Row[] = [
  {
    name: 'an SPI, taken and ended',
    of: 'vCPUs',
    sizes: vcpuSizes,
    make: (vcpus) => spi(booted({ vcpus }), 63),
  },
  {
    name: 'making a VM',
    of: 'vCPUs',
    sizes: vcpuSizes,
    make: (vcpus) => () =>
      void new VirtualMachine({
        vcpus,
        design: designs.wfiFullPut,
        frames: { gicd: GICD, gicr: [{ base: GICR, count: vcpus }] },
      }),
  },
  {
    name: 'making a scenario of as many CPUs',
    of: 'vCPUs',
    sizes: vcpuSizes,
    make: (vcpus) => () => void scenario('many').gic({ cpus: vcpus }).vm({ vcpus }).machine(),
  },
  {
    name: 'an SPI, taken and ended',
    of: 'SPIs',
    sizes: spiSizes,
    make: (spis) => spi(booted({ spis }), 31 + spis),
  },
  {
    name: 'an SPI, taken and ended',
    of: 'PEs',
    sizes: [1, 8, 64, 512],
    make: (cpus) => spi(booted({ silicon: { cpus } }), 63),
  },
  { name: '16 messages, taken and ended', of: 'LPIs', sizes: [64, 1024, 16_384, 65_536], make: message },
  {
    name: 'an entry and an exit',
    of: 'pending',
    sizes: lengths,
    make: (length) => pending(length, designs.wfiFullPut),
  },
  {
    name: 'an entry and an exit (kvm61)',
    of: 'pending',
    sizes: lengths,
    make: (length) => pending(length, kvm61(designs.wfiFullPut)),
  },
]

/** Nanoseconds of the processor that an operation takes, by size. */
function measure({ sizes, make }: Row): number[] {
  const all = sizes.map((size) => {
    const operation = make(size)
    const once = timeOf(operation, 20) / 20
    const times = Math.max(1, Math.ceil(ROUND_NS / Math.max(once, 1)))
    timeOf(operation, times)
    return { operation, times, rounds: [] as number[] }
  })
  for (let round = 0; round < ROUNDS; round++) {
    for (const { operation, times, rounds } of all) rounds.push(timeOf(operation, times) / times)
  }
  return all.map(({ rounds }) => median(rounds))
}

function timeOf(operation: Operation, times: number): number {
  const before = process.cpuUsage()
  for (let i = 0; i < times; i++) operation()
  const { user, system } = process.cpuUsage(before)
  return (user + system) * 1e3
}

const shown = (ns: number): string => (ns < 10_000 ? `${ns.toFixed(0)} ns` : `${(ns / 1000).toFixed(0)} us`)

export function benchScale(json: boolean): void {
  if (!json) {
    console.log(
      header('bench: what grows with a machine', `medians of ${ROUNDS} rounds, time of the processor`),
    )
  }
  const results = rows.map((row) => {
    const ns = measure(row)
    if (!json) {
      const cells = row.sizes.map((size, i) => `${size}: ${shown(ns[i])}`.padStart(16))
      console.log(`${row.name.padEnd(35)}${row.of.padEnd(8)}${cells.join('')}`)
    }
    return { name: row.name, of: row.of, sizes: row.sizes, ns }
  })
  if (json) console.log(JSON.stringify({ rows: results }, null, 2))
}
