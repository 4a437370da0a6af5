/** The cases of the benchmark of exits that do not go by the public API. What they do is in hot-path.ts. */

/** A case of the benchmark, with the iterations of a round: 20 to 40 ms. */
export interface BenchCase {
  readonly number: number
  readonly name: string
  readonly iterations: number
  /** Of a case by the public API: the internal one that does the same. */
  readonly internal?: string
  /** It makes objects, which V8 collects in other threads meanwhile: it is not kept on one processor. */
  readonly makesObjects?: true
}

/** The yardstick's cases, by its numbers. */
export const withTwin: readonly BenchCase[] = [
  { number: 1, name: 'hypercall', iterations: 2_000_000 },
  { number: 2, name: 'spi', iterations: 300_000 },
  { number: 3, name: 'ipi', iterations: 250_000 },
  { number: 4, name: 'wfi', iterations: 150_000 },
  { number: 5, name: 'overflow', iterations: 40_000 },
  { number: 6, name: 'mmio_read_vgic', iterations: 400_000 },
]
/**
 * The WFI of a thread that sleeps, so that the scheduler takes its PE and gives it one again: the yardstick's looks twice at
 * whether the vCPU may go on, as halt polling does.
 */
export const asleep: BenchCase = { number: 7, name: 'wfi-asleep', iterations: 150_000 }
/**
 * Those that the yardstick does not have. A guest that sends INT to its ITS and takes the LPI, as kvm-unit-tests'
 * micro-benchmark `lpi` does (7,129 instructions on Linux 6.1). And on GICv4.1, where every vCPU has a vPE: a hypercall, which
 * should cost what it does on GICv3; an IPI by a vSGI and a device's vLPI, neither of which makes the target exit; and a WFI
 * that puts and loads the vPE and that a vLPI's doorbell ends.
 */
export const withoutTwin: readonly BenchCase[] = [
  asleep,
  { number: 8, name: 'lpi', iterations: 30_000 },
  { number: 9, name: 'hypercall-v4', iterations: 2_000_000 },
  { number: 10, name: 'ipi_hw', iterations: 100_000 },
  { number: 11, name: 'vlpi', iterations: 60_000 },
  { number: 12, name: 'wfi-v4', iterations: 8_000 },
]
/** What VirtualMachine, and a scenario's run, do inside: the guest's accesses go through its PE; and in VMs with timers. */
export const throughPe: readonly BenchCase[] = [
  { number: 13, name: 'hypercall-pe', iterations: 1_500_000 },
  { number: 14, name: 'spi-pe', iterations: 200_000 },
  { number: 15, name: 'ipi-pe', iterations: 200_000 },
  { number: 16, name: 'wfi-asleep-pe', iterations: 80_000 },
  { number: 17, name: 'wfi-timer-pe', iterations: 60_000 },
  { number: 18, name: 'hypercall-timers', iterations: 1_500_000 },
  { number: 19, name: 'spi-timers', iterations: 200_000 },
  { number: 20, name: 'ipi-timers', iterations: 200_000 },
  { number: 21, name: 'wfi-asleep-timers', iterations: 80_000 },
  { number: 22, name: 'mmio_read_vgic-timers', iterations: 400_000 },
]
