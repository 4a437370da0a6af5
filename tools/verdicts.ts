/**
 * What the explorer says of each design with GICv4: the table in docs/the-wfi-problem.md. One vCPU waits in a WFI for a
 * vLPI, in situations that make that harder one after another, on GICv4.0 and on GICv4.1.
 */
import { type Bounds, explore, type InvariantId } from 'vgic/explore'
import { type Design, designs, kvm61, kvm72, type Scenario, scenario } from 'vgic/scenario'
import { tableOf, withPart } from './page-part.ts'

/** The page that has the table. */
export const VERDICTS = 'docs/the-wfi-problem.md'

/** What is wrong for the guest; the other invariants are rules that keep it from happening. */
const OUTCOMES: readonly InvariantId[] = ['L1', 'L3', 'L4', 'L6']

export const versions = ['4.0', '4.1'] as const
type Version = (typeof versions)[number]

/** What makes a WFI hard. */
export interface Situation {
  readonly name: string
  readonly cpus: number
  /** An SPI that the guest's mask hides wakes the thread in vain. */
  readonly inVain?: boolean
  /** GICR_VPENDBASER.Dirty, doorbells and messages lag: each is complete at any later step. */
  readonly lagging?: boolean
  readonly bounds: Bounds
}

export const situations: readonly Situation[] = [
  { name: 'nothing else', cpus: 1, bounds: {} },
  { name: 'woken in vain', cpus: 1, inVain: true, bounds: {} },
  { name: 'preempted', cpus: 1, bounds: { preemptions: 1 } },
  { name: 'migrated', cpus: 2, bounds: { preemptions: 1, migrations: 1 } },
  { name: 'effects lag', cpus: 1, lagging: true, bounds: {} },
  {
    name: 'all of it',
    cpus: 2,
    inVain: true,
    lagging: true,
    bounds: { preemptions: 1, migrations: 1 },
  },
]

/** All designs; of those that Linux has had, as it has them. */
export const judged: readonly Design[] = [
  ...Object.values(designs),
  kvm61(designs.wfiHandler),
  kvm72(designs.wfiFullPut),
]

/** One WFI and one vLPI, with one look of halt polling before the sleep. */
export function waitForVlpi(
  design: Design,
  version: Version,
  { cpus, inVain, lagging }: Situation,
): Scenario {
  const recipe = scenario('a vCPU waits for a vLPI')
    .gic({ version, cpus, listRegisters: 1, writeEffects: lagging ? 'lagging' : 'at-once' })
    .vm({ vcpus: 1, spis: 1, haltPolling: { limit: 1 }, lpis: 1, itsDevices: 1, itsCollections: 1 })
    .design(design)
    .vlpi({ device: 7, event: 0, intid: 8192 })
    .spi({ intid: 32, priority: 0xf8 })
    .guest(0, (g) =>
      g
        .onIrq((h) => h.ack().eoi())
        .unmask()
        .wfi(),
    )
    .device('nic', (d) => d.msi(7, 0))
  return inVain ? recipe.device('uart', (d) => d.pulse(32)) : recipe
}

/** The verdict on a design in a situation: {@link judge}. */
export const verdictOf = (design: Design, version: Version, situation: Situation): string =>
  judge(waitForVlpi(design, version, situation), situation.bounds)

/** `holds`; or the rule that is broken although nothing is lost; or what happens to the guest, in bold, and that rule. */
export function judge(recipe: Scenario, { invariants: _, ...bounds }: Bounds): string {
  const { bound, violation } = explore(recipe, bounds)
  if (bound) throw new Error(`${recipe.name} does not end: raise its bound ${bound}`)
  if (!violation) return 'holds'
  const outcome = explore(recipe, { ...bounds, invariants: OUTCOMES }).violation?.invariant
  if (outcome === violation.invariant) return `**${outcome}**`
  return outcome ? `**${outcome}**, by ${violation.invariant}` : violation.invariant
}

/** The verdicts of a design, a cell for each situation; one for both versions where they agree. */
const cellsOf = (design: Design): string[] =>
  situations.map((situation) => {
    const [old, late] = versions.map((version) => verdictOf(design, version, situation))
    return old === late ? old : `4.0: ${old}; 4.1: ${late}`
  })

/** The table, in Markdown; `progress` hears of each design before it is explored. */
export function verdictTable(progress: (design: string) => void = () => {}): string {
  const head = ['design', ...situations.map(({ name }) => name)]
  const rows = judged.map((design) => {
    progress(design.name)
    return [`\`${design.name}\``, ...cellsOf(design)]
  })
  return tableOf([head, ...rows])
}

/** The page with the table updated. */
export const withVerdicts = (page: string, table: string): string => withPart(page, 'verdicts', table)
