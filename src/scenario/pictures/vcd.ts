/**
 * A run as a value change dump (IEEE 1364, "Value change dump files"), which GTKWave and Surfer open: the lines of PEs,
 * their list registers by field, what runs on them, and the interrupts that the hypervisor has in memory. A step of
 * virtual time is a nanosecond.
 */
import { LR_Group, LR_HW, LR_Priority, LR_State } from '../../arch/ich-registers.ts'
import type { Run } from '../run.ts'
import {
  type MachineSample,
  type PeSample,
  type PictureOptions,
  record,
  titleOf,
  type VcpuSample,
} from './samples.ts'

/** A variable of the dump. */
interface Signal {
  readonly scope: string
  readonly name: string
  readonly bits: number
  readonly value: (after: MachineSample) => number
}

const wire = (scope: string, name: string, value: (after: MachineSample) => boolean): Signal => ({
  scope,
  name,
  bits: 1,
  value: (after) => (value(after) ? 1 : 0),
})

const vector = (
  scope: string,
  name: string,
  bits: number,
  value: (after: MachineSample) => number,
): Signal => ({ scope, name, bits, value })

/** The threads' states in the order of their numbers. */
const threadStates: readonly VcpuSample[] = ['host', 'guest', 'asleep', 'no cpu', 'ended']

/**
 * A run as a value change dump. `thread` is 0 for the hypervisor, 1 for the guest, 2 asleep, 3 without a CPU, 4 ended;
 * `state` of a list register is that of `ICH_LR<n>_EL2`: 1 pending, 2 active, 3 both;
 * `vpe_residency` on GICv4 is 0 for no vPE, 1 for one that becomes resident, 2 resident, 3 that leaves.
 */
export function toVcd(run: Run, options: PictureOptions = {}): string {
  const { samples, interrupts, violation } = record(run, options)
  const first = samples[0]
  const signals = first === undefined ? [] : signalsOf(first.after, interrupts)
  const told = signals.filter(
    ({ scope, value }) => !scope.startsWith('irq_') || samples.some(({ after }) => value(after) !== 0),
  )
  const ids = told.map((_, n) => idOf(n))
  const lines = [
    '$version vgic $end',
    ...(violation ? [`$comment violated: ${titleOf(violation)}, ${violation.what} $end`] : []),
    '$timescale 1 ns $end',
    '$scope module vgic $end',
    ...declarations(told, ids),
    '$upscope $end',
    '$enddefinitions $end',
  ]
  let last: readonly number[] | undefined
  for (const { event, after } of samples) {
    const values = told.map(({ value }) => value(after))
    const changes = told.flatMap(({ bits }, n) =>
      last?.[n] === values[n] ? [] : [change(bits, values[n], ids[n])],
    )
    if (changes.length > 0) {
      lines.push(`#${event.time + 1}`)
      lines.push(...(last ? changes : ['$dumpvars', ...changes, '$end']))
    }
    last = values
  }
  const end = samples.at(-1)
  if (end) lines.push(`#${end.event.time + 2}`)
  return `${lines.join('\n')}\n`
}

/** Of variables in the same scope the declarations are together. */
function declarations(signals: readonly Signal[], ids: readonly string[]): string[] {
  return signals.flatMap(({ scope, name, bits }, n) => [
    ...(signals[n - 1]?.scope === scope ? [] : [`$scope module ${scope} $end`]),
    `$var ${bits === 1 ? 'wire' : 'reg'} ${bits} ${ids[n]} ${name} $end`,
    ...(signals[n + 1]?.scope === scope ? [] : ['$upscope $end']),
  ])
}

const change = (bits: number, value: number, id: string): string =>
  bits === 1 ? `${value}${id}` : `b${value.toString(2)} ${id}`

/** The identifier code of a variable: printable characters. */
function idOf(n: number): string {
  const digits = 94
  const char = String.fromCharCode(33 + (n % digits))
  return n < digits ? char : char + idOf(Math.floor(n / digits) - 1)
}

function signalsOf({ pes, vcpus }: MachineSample, interrupts: readonly string[]): Signal[] {
  return [
    ...pes.flatMap((pe, cpu) => peSignals(pe, cpu)),
    ...vcpus.map((_, index) =>
      vector(`vcpu${index}`, 'thread', 3, (after) => threadStates.indexOf(after.vcpus[index])),
    ),
    ...interrupts.flatMap((name, i) => {
      const scope = `irq_${name.replaceAll(' ', '_')}`
      return (['line', 'pending', 'active'] as const).map((what) =>
        wire(scope, what, (after) => after.interrupts[i][what]),
      )
    }),
  ]
}

function peSignals({ listRegisters, vpe }: PeSample, cpu: number): Signal[] {
  const scope = `cpu${cpu}`
  const pe = (after: MachineSample): PeSample => after.pes[cpu]
  const lr = (n: number, field: (high: number, low: number) => number) => (after: MachineSample) => {
    const [low, high] = pe(after).listRegisters[n]
    return field(high, low)
  }
  return [
    wire(scope, 'occupied', (after) => pe(after).vcpu >= 0),
    vector(scope, 'vcpu', 9, (after) => Math.max(0, pe(after).vcpu)),
    wire(scope, 'in_guest', (after) => pe(after).inGuest),
    wire(scope, 'irq', (after) => pe(after).irq),
    wire(scope, 'fiq', (after) => pe(after).fiq),
    wire(scope, 'virq', (after) => pe(after).virq),
    wire(scope, 'vfiq', (after) => pe(after).vfiq),
    ...(vpe === undefined
      ? []
      : [
          vector(scope, 'vpe_residency', 2, (after) => pe(after).vpe?.residency ?? 0),
          vector(scope, 'vpeid', 16, (after) => pe(after).vpe?.vpeid ?? 0),
        ]),
    ...listRegisters.flatMap((_, n) => [
      vector(scope, `lr${n}_state`, 2, lr(n, LR_State)),
      vector(
        scope,
        `lr${n}_vintid`,
        24,
        lr(n, (_high, low) => low & 0xff_ffff),
      ),
      vector(scope, `lr${n}_priority`, 8, lr(n, LR_Priority)),
      vector(
        scope,
        `lr${n}_group`,
        1,
        lr(n, (high) => (high & LR_Group ? 1 : 0)),
      ),
      vector(
        scope,
        `lr${n}_hw`,
        1,
        lr(n, (high) => (high & LR_HW ? 1 : 0)),
      ),
    ]),
  ]
}
