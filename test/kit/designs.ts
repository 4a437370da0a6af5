/** Lists of designs for tests. */
import { baselines, type Design, designs, kvm61, type Scenario, scenario } from 'vgic/scenario'

interface Named {
  readonly name: string
  readonly design: Design
}

export const allDesigns: readonly Named[] = Object.entries(designs).map(([name, design]) => ({
  name,
  design,
}))

export const bothBaselines: readonly Named[] = [
  { name: 'fixed', design: baselines.fixed(designs.wfiHandler) },
  { name: 'kvm61', design: kvm61(designs.wfiHandler) },
]

export const onFixed = (name: string): Scenario => scenario(name).design(baselines.fixed(designs.wfiHandler))
export const onKvm61 = (name: string): Scenario => scenario(name).design(kvm61(designs.wfiHandler))
