/** What `npm run bench` and `vgic bench` both say of the benchmark of exits. */
import { caseNames } from './exits.ts'

const COLUMNS = 110

/** The names of the cases, in indented lines. */
export function caseList(indent: number): string {
  const line = new RegExp(`\\S.{0,${COLUMNS - indent - 2}}(?:,|$)`, 'g')
  const lines = caseNames.join(', ').match(line) ?? []
  return lines.map((names) => ' '.repeat(indent) + names).join('\n')
}

export const REMARKS = `A whole run takes 70 to 90 s. On Linux, what is compared is kept on one processor by taskset, except the cases
of run/ and events/. "(3 machines)" is a case beside machines of two other designs.`
