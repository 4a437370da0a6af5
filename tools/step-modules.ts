/** What is generated from the rows of steps.ts: the steps' numbers as literals, and the switch that does them. */
import type { StepRow } from '../src/hyp/run/step.ts'

const HEAD = '/** Generated from the rows of steps.ts by `npm run generate:steps`. */\n'

/** `STEP_POLL_AGAIN` of `pollAgain?`. */
const constantOf = ({ step }: StepRow): string =>
  `STEP_${step.name.replace(/\?$/, '').replaceAll(/[A-Z]/g, '_$&').toUpperCase()}`

/** The module of literals, which esbuild inlines. */
export const stepNumbers = (rows: readonly StepRow[]): string =>
  HEAD + rows.map((row) => `export const ${constantOf(row)} = ${row.step.op}\n`).join('')

/** The module with the switch. A method that does not exist, or returns something else, is a type error there. */
export const stepDispatch = (
  rows: readonly StepRow[],
): string => `${HEAD}import * as op from './step-numbers.ts'
import type { ThreadSteps } from './thread-steps.ts'

/** Does the step of a number for a vCPU and returns its result. */
export function performStep(steps: ThreadSteps, step: number, v: number): number {
  switch (step) {
${rows.map(caseOf).join('')}    default:
      return steps.own(step, v)
  }
}
`

function caseOf(row: StepRow): string {
  const { does, step } = row
  if (does === undefined) return ''
  const results = step.outcomes.length
  const call = `steps.${does}(v)`
  const body =
    results === 0
      ? [call, 'return 0']
      : [results === 2 && step.outcomes[1] === 'yes' ? `return ${call} ? 1 : 0` : `return ${call}`]
  return [`case op.${constantOf(row)}:`, ...body.map((line) => `  ${line}`)]
    .map((line) => `    ${line}\n`)
    .join('')
}
