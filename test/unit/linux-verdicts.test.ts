/** The verdicts on Linux, which `npm run pages -- --check` compares docs/linux-7.2.md with. */
import { designs, kvm61, kvm72 } from 'vgic/scenario'
import { expect, it } from 'vitest'
import { linuxSituation } from '../../tools/linux-verdicts.ts'
import { judge } from '../../tools/verdicts.ts'

it.each([
  ['54 ', '**L3**', 'holds'],
  ['acknowledged on vCPU 0', 'S12', 'holds'],
  ['a level that stays high', 'S12', '**L1**'],
  ['a guest enables group 0', 'holds', '**L4**'],
])('the verdicts tell one kernel from the other: %s', (beginning, old, late) => {
  const { scenario, bounds } = linuxSituation(beginning)
  expect(judge(scenario(kvm61(designs.wfiHandler)), bounds)).toBe(old)
  expect(judge(scenario(kvm72(designs.wfiFullPut)), bounds)).toBe(late)
})
