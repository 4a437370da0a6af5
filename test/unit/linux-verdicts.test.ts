/** The verdicts on Linux, which `npm run pages -- --check` compares docs/linux-7.2.md with. */
import { designs, kvm61, kvm72 } from 'vgic/scenario'
import { expect, it } from 'vitest'
import { linuxSituations } from '../../tools/linux-verdicts.ts'
import { judge } from '../../tools/verdicts.ts'

const named = (beginning: string) => linuxSituations.filter(({ name }) => name.startsWith(beginning))[0]

it.each([
  ['54 ', '**L3**', 'holds'],
  ['acknowledged on vCPU 0', 'S12', 'holds'],
  ['a guest enables group 0', 'holds', '**L4**'],
])('the verdicts tell one kernel from the other: %s', (beginning, old, late) => {
  const { scenario, bounds } = named(beginning)
  expect(judge(scenario(kvm61(designs.wfiHandler)), bounds)).toBe(old)
  expect(judge(scenario(kvm72(designs.wfiFullPut)), bounds)).toBe(late)
})
