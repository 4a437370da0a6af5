/** Scenarios whose vCPUs or devices are symmetric, and say so. */
import fc from 'fast-check'
import { ICC_CTLR_EL1 } from 'vgic'
import { type Design, designs, edit, kvm61, kvm72, type OpList, type Scenario, scenario } from 'vgic/scenario'

/** What each vCPU does: `sgi` is to the others by name, `others` to all others, `split` sets EOImode. */
const ops = [
  'wfi',
  'hvc',
  'mask',
  'sgi',
  'others',
  'suspend',
  'wfe',
  'wfe',
  'userspace',
  'timer',
  'wfit',
  'sev',
  'split',
] as const

/** What each device does to its SPI, or to the thread of its vCPU. */
const acts = ['pulse', 'pulse', 'raise', 'lower', 'signal'] as const

export interface Symmetric {
  readonly design: string
  readonly vcpus: number
  /** As many CPUs as vCPUs, or one. */
  readonly alone: boolean
  readonly timers: boolean
  readonly listRegisters: number
  /** Devices of each vCPU. */
  readonly devices: number
  readonly level: boolean
  readonly priorities: readonly number[]
  readonly handler: readonly ('nest' | 'dir')[]
  readonly ops: readonly (typeof ops)[number][]
  readonly acts: readonly (typeof acts)[number][]
  /** Whether vCPUs change places with their devices, or each vCPU's devices among themselves. */
  readonly swapsVcpus: boolean
  /** Whether there is a vLPI, too; only where vCPUs stay. */
  readonly vlpi: boolean
}

/** Without those that have steps of their own. */
const sound = Object.values(designs).filter(({ name }) => !name.startsWith('vmcr-on-demand'))

export const mutants: readonly Design[] = [
  edit(designs.wfiHandler).omit('inject/postRequest').design('no request'),
  edit(designs.wfiHandler).omit('wfi/saveVmcr').design('no sync'),
  edit(designs.wfiHandler).omit('exit/irqOn').design('interrupts stay off'),
  edit(designs.wfiFullPut).omit('schedOut/put').design('no put'),
]

const byName = new Map(
  [...sound, ...mutants, ...sound.map(kvm61), ...sound.map(kvm72)].map((one) => [one.name, one]),
)

/** With at most so many vCPUs, operations and acts. */
export const symmetricScenarios = (vcpus: number, most: number): fc.Arbitrary<Symmetric> =>
  fc.record({
    design: fc.constantFrom(...byName.keys()),
    vcpus: fc.constantFrom(1, 2, 2, vcpus),
    alone: fc.boolean(),
    timers: fc.boolean(),
    listRegisters: fc.constantFrom(2, 4),
    devices: fc.integer({ min: 1, max: 2 }),
    level: fc.boolean(),
    priorities: fc.array(fc.constantFrom(0x80, 0xa0), { minLength: 2, maxLength: 2 }),
    handler: fc.subarray(['nest' as const, 'dir' as const]),
    ops: fc.array(fc.constantFrom(...ops), { minLength: 1, maxLength: most }),
    acts: fc.array(fc.constantFrom(...acts), { minLength: 1, maxLength: most }),
    swapsVcpus: fc.constantFrom(true, true, false),
    vlpi: fc.boolean(),
  })

const FIRST = 40

export function cookSymmetric(one: Symmetric): Scenario {
  const { design, vcpus, alone, timers, listRegisters, level, priorities, swapsVcpus } = one
  const swaps = vcpus > 1 && swapsVcpus
  const gicv4 = one.vlpi && !swaps ? ({ version: '4.1', writeEffects: 'lagging' } as const) : {}
  const recipe = scenario('symmetric')
    .gic({ ...gicv4, cpus: alone ? vcpus : 1, listRegisters })
    .vm({ vcpus, spis: 16, timers, haltPolling: { limit: 2 } })
    .design(byName.get(design) ?? designs.wfiFullPut)
  const devices = swaps ? one.devices : 2
  const all = Array.from({ length: vcpus }, (_, v) => {
    const names = Array.from({ length: devices }, (__, d) => {
      const [name, intid] = [`nic${v}.${d}`, FIRST + devices * v + d]
      const priority = priorities[swaps ? d : 0]
      recipe.spi({ intid, vcpu: v, priority, trigger: level ? 'level' : 'edge' })
      recipe.device(name, (device) => {
        for (const act of one.acts) device[act](act === 'signal' ? v : intid)
      })
      return name
    })
    recipe.guest(v, (guest) => {
      guest.onIrq((handler) => handle(handler, one)).unmask()
      if (timers) guest.timer(20)
      for (const op of one.ops) write(guest, op, v, one)
      return guest
    })
    return names
  })
  if (one.vlpi && !swaps)
    recipe
      .vlpi({ device: 7, event: 0, intid: 8192, vcpu: 0 })
      .device('assigned', (device) => device.msi(7, 0))
  if (swaps) return recipe.symmetric(...all.map((names, v) => [v, ...names]))
  for (const names of all) recipe.symmetric(...names)
  return recipe
}

function handle(list: OpList, { handler, timers }: Symmetric): void {
  list.ack()
  if (timers) list.stopTimer()
  if (handler.includes('nest')) list.unmask().hvc().mask()
  list.eoi()
  if (handler.includes('dir')) list.dir()
}

function write(
  list: OpList,
  op: (typeof ops)[number],
  v: number,
  { vcpus, timers, swapsVcpus }: Symmetric,
): void {
  switch (op) {
    case 'mask':
      list.priorityMask(0x90)
      break
    case 'sgi':
      list.sgi({
        intid: 1,
        vcpus: Array.from({ length: vcpus }, (_, n) => n).filter((n) => n !== v || vcpus === 1),
      })
      break
    case 'others':
      list.sgi({ intid: 2, vcpus: 'others' })
      break
    case 'timer':
      if (timers) list.timer(5, 'physical')
      break
    case 'wfit':
      list.wfit(5)
      break
    case 'split':
      list.write(ICC_CTLR_EL1, 2)
      break
    case 'wfe':
      if (vcpus < 3 || !swapsVcpus) list.wfe()
      break
    default:
      list[op]()
  }
}
