/**
 * Effects that lag (`writeEffects` and `maintenanceInterrupt: 'lagging'`), by name, so that they can be completed one by one
 * in every order that the architecture allows. The blocks carry them out.
 */
import type { Its } from './its/its.ts'
import type { Silicon } from './silicon.ts'

/** An effect that may complete next. */
interface Effect {
  readonly name: string
  complete(): void
}

function effectsOf(silicon: Silicon): Effect[] {
  const { config, distributor, its } = silicon
  const cpus = Array.from({ length: config.cpus }, (_, cpu) => cpu)
  return [
    ...when(distributor.isWritePending, 'GICD_CTLR.RWP', () => distributor.completeWrites()),
    ...cpus.flatMap((cpu) => effectsOfCpu(silicon, cpu)),
    ...its.flatMap(effectsOfIts),
    ...effectsOfDoorbells(silicon),
  ]
}

const when = (isPending: boolean, name: string, complete: () => void): Effect[] =>
  isPending ? [{ name, complete }] : []

function effectsOfCpu(silicon: Silicon, cpu: number): Effect[] {
  const { redistributor, lpis, residency, vpes, lines } = silicon
  const pe = silicon.peOf(cpu)
  return [
    ...when(redistributor.isDisablingPending(pe), `GICR_CTLR[${cpu}].RWP`, () =>
      redistributor.completeDisabling(pe),
    ),
    ...when(redistributor.isHandshakePending(pe), `GICR_WAKER[${cpu}]`, () =>
      redistributor.completeHandshake(pe),
    ),
    ...when(lpis?.isLagging(cpu) ?? false, `GICR_CTLR[${cpu}].EnableLPIs`, () => lpis?.complete(cpu)),
    ...when(residency?.isLagging(cpu) ?? false, `GICR_VPENDBASER[${cpu}].Dirty`, () =>
      residency?.complete(cpu),
    ),
    ...when(lines.isMaintenanceLagging(pe), `maintenance interrupt[${cpu}]`, () =>
      lines.completeMaintenance(pe),
    ),
    ...when(vpes?.isQueryPending(cpu) ?? false, `GICR_VSGIPENDR[${cpu}].Busy`, () =>
      vpes?.completeQuery(cpu),
    ),
  ]
}

function effectsOfDoorbells({ vpes }: Silicon): Effect[] {
  if (!vpes) return []
  const { doorbells } = vpes
  return Array.from({ length: doorbells.count }, (_, n) => ({
    name: `doorbell ${doorbells.intidOf(n)} at ${doorbells.cpuOf(n)}`,
    complete: () => doorbells.deliver(n),
  }))
}

function effectsOfIts(its: Its): Effect[] {
  const { number, messages } = its
  const command = when(its.isCommandReady, `ITS[${number}] command`, () => its.queue.step())
  const translations = Array.from({ length: messages.count }, (_, n) => ({
    name: `ITS[${number}] MSI ${messages.deviceIdOf(n) >>> 0} ${messages.eventIdOf(n) >>> 0}`,
    complete: () => its.translateMessage(n),
  }))
  return [...command, ...translations]
}

/** The names of the effects that may complete next. */
export const pendingEffects = (silicon: Silicon): string[] => effectsOf(silicon).map(({ name }) => name)

/** Completes the first pending effect with this name; false if there is none. */
export function completeEffect(silicon: Silicon, name: string): boolean {
  const effect = effectsOf(silicon).find((each) => each.name === name)
  effect?.complete()
  return effect !== undefined
}
