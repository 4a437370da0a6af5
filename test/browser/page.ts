/** The demo's scenarios as a web page runs them, and Node to compare with: what they show, as text. */
import { designs } from 'vgic/scenario'
import { exploreWfi, sleepAndWake } from '../../docs/examples/demo-scenarios.ts'

export function demo(): string {
  const run = sleepAndWake(designs.wfiFullPut)
  const explored = [designs.wfiFullPut, designs.hooksAfterPoll].map((design) => {
    const { states, transitions, complete, violation } = exploreWfi(design)
    return `${design.name}: ${violation?.invariant ?? (complete ? 'complete' : 'not decided')} in ${states} states, ${transitions} transitions`
  })
  return [run.timeline(), `${run.end}: ${run.acknowledged(0).join(', ')}`, ...explored].join('\n')
}
