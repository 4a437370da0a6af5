/**
 * A vPE is put, woken by its doorbell, and moved from CPU 0 to CPU 1, while a device fires one MSI after the other; and
 * where each of them went.
 */
import { VpeHost } from './vpe-host.ts'

const VPE = 5
const DOORBELL = 9000
const DEVICE = 7
/** Event n of the device is vLPI 8192 + n. */
const FIRST_VLPI = 8192

/** What software does, and an MSI after it. */
interface Step {
  readonly what: string
  /** Returns what came of it. */
  readonly act: (host: VpeHost) => string
}

const taken = (who: string, intids: readonly number[]): string =>
  `${who} takes ${intids.join(', ') || 'none'}`
const lastOf = (pending: boolean): string => `PendingLast = ${pending ? 1 : 0}`

const steps: readonly Step[] = [
  {
    what: 'the vPE is mapped to CPU 0',
    act: (host) => {
      host.mapVpe(VPE, 0, DOORBELL)
      for (let event = 0; event < steps.length; event++) host.mapEvent(DEVICE, event, VPE, FIRST_VLPI + event)
      return ''
    },
  },
  {
    what: 'it becomes resident',
    act: (host) => {
      host.load(VPE, 0)
      return taken('its guest', host.guestTakes(0))
    },
  },
  { what: 'it leaves', act: (host) => lastOf(host.put(VPE, 0)) },
  {
    what: 'it is there again',
    act: (host) => {
      host.load(VPE, 0)
      return taken('its guest', host.guestTakes(0))
    },
  },
  {
    what: 'its guest sleeps, it leaves',
    act: (host) => `${taken('the guest', host.guestTakes(0))}; ${lastOf(host.put(VPE, 0))}`,
  },
  { what: 'the host is busy', act: () => '' },
  { what: 'the host wakes the vCPU', act: (host) => taken('the host', host.hostTakes(0)) },
  {
    what: 'it moves to CPU 1',
    act: (host) => {
      host.moveVpe(VPE, 1, DOORBELL)
      return ''
    },
  },
  {
    what: 'it becomes resident there',
    act: (host) => {
      host.load(VPE, 1)
      return taken('its guest', host.guestTakes(1))
    },
  },
]

/** Where a vLPI is, by what a debugger can ask of a GIC. */
function whereIs({ gic }: VpeHost, vlpi: number): string {
  const { vpes } = gic.inspectTables()[0]
  const vpe = vpes.find(({ vlpis }) => vlpis.includes(vlpi))
  if (vpe === undefined) return 'nowhere'
  const { residentOn, doorbell, cpu } = vpe
  if (residentOn === undefined) {
    const rings =
      doorbell?.state === 'pending' ? `doorbell LPI ${doorbell.intid} on CPU ${cpu}` : 'no doorbell'
    return `virtual pending table, ${rings}`
  }
  return `presented on CPU ${residentOn}, virtual IRQ is ${gic.line(residentOn, 'virq') ? 'high' : 'low'}`
}

/** The story as a table of Markdown, a line a step. */
export function vpeMoves(): string[] {
  const host = new VpeHost(2)
  host.mapDevice(DEVICE)
  const rows = steps.map(({ what, act }, event) => {
    const came = act(host)
    host.gic.sendMsi(DEVICE, event)
    return `| ${what} | ${came} | ${FIRST_VLPI + event} | ${whereIs(host, FIRST_VLPI + event)} |`
  })
  return ['| what happens | what comes of it | then vLPI | goes to |', '|---|---|---|---|', ...rows]
}
