/**
 * The whole device as plain data, for logs, bug reports and comparisons by eye. Registers are values in hexadecimal by
 * name; decode() has their fields. Nothing is read that changes by being read.
 */

import { joined } from '../arch/doubleword.ts'
import { HCR_EL2 } from '../arch/hcr-el2.ts'
import * as icc from '../arch/icc-registers.ts'
import * as ich from '../arch/ich-registers.ts'
import type { Encoding } from '../arch/sysreg.ts'
import { hex } from '../errors/printed.ts'
import type { OutputLine } from './cpu-interface/output-lines.ts'
import { PCPU_TRAP } from './cpu-interface/pcpu.ts'
import { CpuState } from './cpu-state.ts'
import { pendingEffects } from './effects.ts'
import { affinityText } from './explain-interrupt.ts'
import { type InterruptState, noticedSpis, pendingLpis, privateInterrupts } from './interrupt-state.ts'
import { type ItsContents, inspectTables } from './its/inspect-tables.ts'
import type { Silicon } from './silicon.ts'

/** Values in hexadecimal, by the registers' names: `{ GICD_CTLR: '0x52' }`. */
export type DumpedRegisters = Readonly<Record<string, string>>

/** A CPU of a {@link GicDump}. */
export interface CpuDump {
  /** Its number. */
  readonly cpu: number
  /** Aff3 to Aff0: `0.0.0.1`. */
  readonly affinity: string
  /** Its exception level. */
  readonly el: number
  /** PSTATE.I and F. */
  readonly masks: Readonly<Record<'irq' | 'fiq', boolean>>
  /** Whether it waits in a WFI or WFE. */
  readonly waits: boolean
  /** The outputs that are high. */
  readonly outputs: readonly OutputLine[]
  /** Whether its redistributor sleeps, and forwards no interrupt to it. */
  readonly asleep: boolean
  /** The redistributor's registers. */
  readonly redistributor: DumpedRegisters
  /** The physical CPU interface: ICC_ registers. */
  readonly cpuInterface: DumpedRegisters
  /** HCR_EL2 and the ICH_ registers; list registers that are empty are left out. */
  readonly virtualInterface: DumpedRegisters
  /** The SGIs and PPIs that are enabled, pending, active or have their line high. */
  readonly interrupts: readonly InterruptState[]
  /** The LPIs that are pending. */
  readonly lpis: readonly InterruptState[]
}

/** An ITS of a {@link GicDump}. */
export interface ItsDump extends ItsContents {
  /** Its registers; tables that there are not are left out. */
  readonly registers: DumpedRegisters
}

/** A GIC as plain data, which {@link Gic.dump} returns. */
export interface GicDump {
  /** Architecture version. */
  readonly version: '3' | '4.0' | '4.1'
  /** The distributor's registers. */
  readonly distributor: DumpedRegisters
  /** By number. */
  readonly cpus: readonly CpuDump[]
  /** The SPIs that are enabled, pending, active or have their line high. */
  readonly spis: readonly InterruptState[]
  /** In the order of the configuration. */
  readonly its: readonly ItsDump[]
  /** The effects that are under way. */
  readonly effects: readonly string[]
}

const GICD_REGISTERS: readonly Place[] = [
  ['GICD_CTLR', 0x0],
  ['GICD_TYPER', 0x4],
  ['GICD_TYPER2', 0xc],
]
const GICR_REGISTERS: readonly Place[] = [
  ['GICR_CTLR', 0x0],
  ['GICR_TYPER', 0x8, 8],
  ['GICR_WAKER', 0x14],
  ['GICR_PROPBASER', 0x70, 8],
  ['GICR_PENDBASER', 0x78, 8],
]
const VLPI_REGISTERS: readonly Place[] = [
  ['GICR_VPROPBASER', 0x2_0070, 8],
  ['GICR_VPENDBASER', 0x2_0078, 8],
]
const GITS_REGISTERS: readonly Place[] = [
  ['GITS_CTLR', 0x0],
  ['GITS_TYPER', 0x8, 8],
  ['GITS_CBASER', 0x80, 8],
  ['GITS_CWRITER', 0x88, 8],
  ['GITS_CREADR', 0x90, 8],
]
const GITS_BASERS: readonly Place[] = Array.from({ length: 8 }, (_, n) => [
  `GITS_BASER${n}`,
  0x100 + 8 * n,
  8,
])

/** Name and offset, and the bytes if they are not 4. */
type Place = readonly [name: string, offset: number, bytes?: 8]
/** Name and encoding. */
type Named = readonly [name: string, encoding: Encoding]

/** Those that a read does not change. */
const ICC_REGISTERS: readonly Named[] = [
  ['ICC_PMR_EL1', icc.ICC_PMR_EL1],
  ['ICC_RPR_EL1', icc.ICC_RPR_EL1],
  ['ICC_IGRPEN0_EL1', icc.ICC_IGRPEN0_EL1],
  ['ICC_IGRPEN1_EL1', icc.ICC_IGRPEN1_EL1],
  ['ICC_CTLR_EL1', icc.ICC_CTLR_EL1],
  ['ICC_BPR0_EL1', icc.ICC_BPR0_EL1],
  ['ICC_BPR1_EL1', icc.ICC_BPR1_EL1],
  ['ICC_HPPIR0_EL1', icc.ICC_HPPIR0_EL1],
  ['ICC_HPPIR1_EL1', icc.ICC_HPPIR1_EL1],
]
const ICH_REGISTERS: readonly Named[] = [
  ['HCR_EL2', HCR_EL2],
  ['ICH_HCR_EL2', ich.ICH_HCR_EL2],
  ['ICH_VMCR_EL2', ich.ICH_VMCR_EL2],
  ['ICH_MISR_EL2', ich.ICH_MISR_EL2],
  ['ICH_EISR_EL2', ich.ICH_EISR_EL2],
  ['ICH_ELRSR_EL2', ich.ICH_ELRSR_EL2],
]
/** As many of each group as the preemption bits ask for; their encodings follow each other. */
const activePriorities = (prefix: 'ICC' | 'ICH', count: number): Named[] =>
  ([0, 1] as const).flatMap((group) =>
    Array.from({ length: count }, (_, n): Named => {
      if (prefix === 'ICH') return [`ICH_AP${group}R${n}_EL2`, ich.ichApr(group, n)]
      return [`ICC_AP${group}R${n}_EL1`, (group === 0 ? icc.ICC_AP0R0_EL1 : icc.ICC_AP1R0_EL1) + n]
    }),
  )
const listRegisters = (count: number): Named[] =>
  Array.from({ length: count }, (_, n) => [`ICH_LR${n}_EL2`, ich.ichLr(n)])

/** Dumps the silicon. */
export function dump(silicon: Silicon): GicDump {
  const { config, its } = silicon
  return {
    version: config.version,
    distributor: mapped(silicon, config.gicd, GICD_REGISTERS),
    cpus: Array.from({ length: config.cpus }, (_, cpu) => cpuDump(silicon, cpu)),
    spis: noticedSpis(silicon),
    its: its.map((each, n) => {
      const { base } = config.its[n]
      const tables = nonZero(mapped(silicon, base, GITS_BASERS))
      return { registers: { ...mapped(silicon, base, GITS_REGISTERS), ...tables }, ...inspectTables(each) }
    }),
    effects: pendingEffects(silicon),
  }
}

function cpuDump(silicon: Silicon, cpu: number): CpuDump {
  const { config, mmio, physical } = silicon
  const { el, masks, waits, outputs, asleep } = new CpuState(silicon, cpu)
  const rd = mmio.rdBase(cpu)
  const { activePriorityRegisters } = silicon.virtualInterface
  const places = config.version === '3' ? GICR_REGISTERS : [...GICR_REGISTERS, ...VLPI_REGISTERS]
  return {
    cpu,
    affinity: affinityText(physical.affinities.values[cpu]),
    el,
    masks,
    waits,
    outputs,
    asleep,
    redistributor: mapped(silicon, rd, places),
    cpuInterface: system(silicon, cpu, [
      ...ICC_REGISTERS,
      ...activePriorities('ICC', activePriorityRegisters),
    ]),
    virtualInterface: {
      ...system(silicon, cpu, [...ICH_REGISTERS, ...activePriorities('ICH', activePriorityRegisters)]),
      ...nonZero(system(silicon, cpu, listRegisters(config.listRegisters))),
    },
    interrupts: privateInterrupts(silicon, cpu),
    lpis: pendingLpis(silicon, cpu),
  }
}

const wide = (low: number, high: number): string => hex(high === 0 ? low : joined(low, high))

function mapped({ mmio }: Silicon, base: number, places: readonly Place[]): DumpedRegisters {
  return Object.fromEntries(
    places.map(([name, offset, bytes = 4]) => {
      const high = bytes === 8 ? mmio.readHigh(base + offset) : 0
      return [name, wide(mmio.peek(base + offset, bytes), high)]
    }),
  )
}

/** Reads at EL2, where an ICC_ name is the physical interface and no trap applies. */
function system({ systemRegisters, words, physical }: Silicon, cpu: number, named: readonly Named[]) {
  const pe = physical.peOf(cpu)
  const trap = words[pe + PCPU_TRAP]
  const values = named.map(([name, encoding]) => {
    const low = systemRegisters.read(pe, encoding, 2)
    return [name, wide(low, systemRegisters.readHigh(pe, encoding))]
  })
  words[pe + PCPU_TRAP] = trap
  return Object.fromEntries(values) as DumpedRegisters
}

const nonZero = (registers: DumpedRegisters): DumpedRegisters =>
  Object.fromEntries(Object.entries(registers).filter(([, value]) => value !== '0x0'))
