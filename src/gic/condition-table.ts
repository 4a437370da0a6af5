/** How an explanation is printed: what it says, and its conditions below; the first that does not hold stands out. */
interface Condition {
  readonly name: string
  readonly holds: boolean
  readonly detail: string
}

export function conditionTable(verdict: string, conditions: readonly Condition[]): string {
  const width = Math.max(...conditions.map(({ name }) => name.length))
  const broken = conditions.findIndex(({ holds }) => !holds)
  const rows = conditions.map(({ name, holds, detail }, i) => {
    const mark = holds ? 'yes' : i === broken ? 'NO ' : 'no '
    return `  ${name.padEnd(width)}  ${mark}  ${detail}`
  })
  return [verdict, ...rows].join('\n')
}
