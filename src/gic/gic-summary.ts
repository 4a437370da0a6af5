/** A summary of a GIC: as data, and as a line. */
import { counted, listed } from '../errors/printed.ts'
import { type OutputLine, outputLines } from './cpu-interface/output-lines.ts'
import { CpuState } from './cpu-state.ts'
import type { Silicon } from './silicon.ts'

/** A summary of a GIC, which {@link Gic.toJSON} returns. */
export interface GicSummary {
  /** Architecture version, from the configuration. */
  readonly version: '3' | '4.0' | '4.1'
  /** Number of PEs, from the configuration. */
  readonly cpus: number
  /** Number of SPIs, from the configuration. */
  readonly spis: number
  /** List registers of a PE, from the configuration. */
  readonly listRegisters: number
  /** The CPUs whose redistributors sleep and forward nothing to them (GICR_WAKER). */
  readonly asleep: readonly number[]
  /** By output, the CPUs at which it is high. */
  readonly high: Readonly<Partial<Record<OutputLine, readonly number[]>>>
}

/** The summary of a GIC. */
export function summaryOf(silicon: Silicon): GicSummary {
  const { version, cpus, spis, listRegisters } = silicon.config
  const states = Array.from({ length: cpus }, (_, cpu) => new CpuState(silicon, cpu))
  const cpusThat = (holds: (state: CpuState) => boolean) => states.filter(holds).map(({ cpu }) => cpu)
  const high = outputLines.map((line) => [line, cpusThat(({ outputs }) => outputs.includes(line))] as const)
  return {
    version,
    cpus,
    spis,
    listRegisters,
    asleep: cpusThat(({ asleep }) => asleep),
    high: Object.fromEntries(high.filter(([, cpus]) => cpus.length > 0)),
  }
}

/** The summary in a line. */
export function printedSummary(summary: GicSummary): string {
  const { version, cpus, spis, asleep, high } = summary
  const parts = Object.entries({ asleep, ...high }).flatMap(([what, numbers]) =>
    numbers.length === 0 ? [] : [`${what}: ${listed(numbers, (cpu) => `cpu${cpu}`)}`],
  )
  const what = `Gic (version ${version}, ${counted(cpus, 'CPU')}, ${counted(spis, 'SPI')})`
  return parts.length === 0 ? what : `${what}: ${parts.join('; ')}`
}
