/**
 * The demo's story of one vLPI and a WFI whose thread is preempted: how `wfi-handler` loses the wake-up, by the schedule
 * that the explorer finds, and what `wfi-flag` does in the same moment.
 */
import { explore, type Report, replay } from 'vgic/explore'
import { type Design, type Scenario, type StepEvent, scenario } from 'vgic/scenario'

/** A guest waits for a vLPI that a device sends once, at any time. */
export function oneVlpi(design: Design): Scenario {
  return scenario('a vLPI ends a WFI')
    .gic({ version: '4.1', cpus: 1, listRegisters: 1 })
    .vm({ vcpus: 1, spis: 0, lpis: 1, itsDevices: 1, itsCollections: 1 })
    .design(design)
    .vlpi({ device: 7, event: 0, intid: 8192 })
    .guest(0, (guest) =>
      guest
        .onIrq((handler) => handler.ack().eoi())
        .unmask()
        .wfi(),
    )
    .device('nic', (device) => device.msi(7, 0))
}

/** Whether a guest waits for ever, in any interleaving with one preemption at most; if so, the shortest. */
export function exploreVlpi(design: Design): Report {
  return explore(oneVlpi(design), { preemptions: 1, shortest: true, invariants: ['L1'] })
}

/** The steps of a schedule that the exploration has found. */
export const stepsOf = (design: Design, schedule: string): readonly StepEvent[] =>
  replay(oneVlpi(design), schedule).events

/** The thread is preempted as it goes to sleep; the message comes when it sleeps. */
export function preemptedAsItSleeps(design: Design): readonly StepEvent[] {
  const machine = oneVlpi(design).machine()
  const steps: StepEvent[] = []
  const [thread, nic] = machine.actors
  const preemption = machine.environment.find(({ kind }) => kind === 'preempt')
  const isReady = (actor = thread) => machine.stateOf(actor) === 'ready'
  const goesOn = (isFar: (step: StepEvent) => boolean) => {
    while (isReady() && !steps.slice(-1).some(isFar)) steps.push(machine.trace(thread))
  }
  goesOn(({ what }) => what === 'runnable? no')
  if (preemption) steps.push(machine.trace(preemption))
  goesOn(() => false)
  while (isReady(nic)) steps.push(machine.trace(nic))
  goesOn(({ what }) => what.startsWith('eoi'))
  return steps
}

/** A part of a story: where it begins, and what there is to say about it. */
interface Chapter {
  readonly begins: (step: StepEvent) => boolean
  readonly says: string
}

const waits: readonly Chapter[] = [
  {
    begins: () => true,
    says: 'The thread loads the vCPU, and with it its vPE: Valid is set. What comes for it now goes straight to the guest.\nNo software sees it, and none has to.',
  },
  {
    begins: ({ place, what }) => place === 'guest' && what.startsWith('wfi'),
    says: 'The guest waits. The handler puts the vPE: Valid is cleared, and a doorbell asked for, so that whatever comes from\nhere on wakes this thread.',
  },
  {
    begins: ({ place }) => place === 'wfi/halt',
    says: 'Is anything pending? No: PendingLast was 0. So the thread will sleep.',
  },
]

const isPreemption: Chapter['begins'] = ({ actor }) => actor.kind === 'preempt'
const hasCpu: Chapter['begins'] = ({ what }) => what.startsWith('gets cpu')
const sleeps: Chapter['begins'] = ({ what }) => what === 'sleep'
const isMessage: Chapter['begins'] = ({ actor }) => actor.kind === 'device'

/** What becomes of it with `wfi-handler`. */
export const loses: readonly Chapter[] = [
  ...waits,
  {
    begins: isPreemption,
    says: 'One step before it does, another thread gets the CPU. schedOut puts the vPE, which is away already: nothing to do.',
  },
  {
    begins: hasCpu,
    says: 'The CPU is back, and schedIn does what it does for every thread: it loads. The vPE is resident again, and a vPE that\nis resident rings no doorbell.',
  },
  {
    begins: sleeps,
    says: 'The thread sleeps, as it had decided. schedOut puts the vPE as at any preemption, without a doorbell. PendingLast\nis 1 then, which means that nobody knows; but the question has been asked.',
  },
  {
    begins: isMessage,
    says: 'The device sends its message. The vLPI is pending in the memory of a vPE that is away, and nothing rings.',
  },
]

/** With `wfi-flag`, from the preemption on. */
export const keeps: readonly Chapter[] = [
  {
    begins: isPreemption,
    says: 'The same moment, another design: before its put the handler has set a flag, that this vCPU waits.',
  },
  {
    begins: hasCpu,
    says: 'The CPU is back. schedIn looks at the flag, and leaves the vPE away, with its doorbell asked for.',
  },
  { begins: sleeps, says: 'The thread sleeps. schedOut finds nothing to put.' },
  {
    begins: isMessage,
    says: 'The device sends its message, and the doorbell rings: its handler sets pending_last, and wakes the thread.',
  },
  {
    begins: ({ what }) => what === 'runnable? yes',
    says: 'Is anything pending? Yes. The flag is cleared, the vPE is made resident, and the guest goes on.',
  },
  { begins: ({ what }) => what.startsWith('takes'), says: 'And the guest has its interrupt.' },
]

/** The chapters one after another, each with its steps below it. */
export function told(chapters: readonly Chapter[], steps: readonly StepEvent[]): string {
  const begins: number[] = []
  for (const chapter of chapters) {
    const after = begins.at(-1) ?? -1
    begins.push(steps.findIndex((step, at) => at > after && chapter.begins(step)))
  }
  return chapters
    .map(({ says }, i) => [says, '', ...lines(steps.slice(begins[i], begins[i + 1])), ''].join('\n'))
    .join('\n')
}

/** A line for each place, with the accesses to the one register that the story is about. */
function lines(steps: readonly StepEvent[]): string[] {
  const found: string[] = []
  let isOpen = ''
  for (const { time, actor, place, what, accesses } of steps) {
    const where = `${actor.name.padEnd(14)}  ${place}`
    const hero = accesses.filter(({ name }) => name === 'GICR_VPENDBASER')
    if (where === isOpen) found.push(`${found.pop()} · ${what}`)
    else found.push(`${String(time).padStart(5)}  ${where.padEnd(31)}  ${what}`)
    for (const { direction, name, text } of hero)
      found.push(`${' '.repeat(40)}${direction === 'read' ? '<-' : '->'} ${name}  ${text || '0'}`)
    isOpen = hero.length === 0 && place !== 'guest' ? where : ''
  }
  return found
}
