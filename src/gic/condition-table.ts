/** The conditions of an explanation, and how they are printed. */
interface Condition {
  readonly name: string
  readonly holds: boolean
  readonly detail: string
}

/** A condition, with the reason that an explanation gives if this is the first that does not hold. */
export interface ReasonedCondition<Reason extends string> extends Condition {
  readonly reason: Reason
}

/** Makes one. */
export const link = <Reason extends string>(
  name: string,
  holds: boolean,
  detail: string,
  reason: Reason,
): ReasonedCondition<Reason> => ({ name, holds, detail, reason })

/** What an explanation says, and its conditions below; the first that does not hold stands out. */
export function conditionTable(verdict: string, conditions: readonly Condition[]): string {
  const width = Math.max(...conditions.map(({ name }) => name.length))
  const broken = conditions.findIndex(({ holds }) => !holds)
  const rows = conditions.map(({ name, holds, detail }, i) => {
    const mark = holds ? 'yes' : i === broken ? 'NO ' : 'no '
    return `  ${name.padEnd(width)}  ${mark}  ${detail}`
  })
  return [verdict, ...rows].join('\n')
}
