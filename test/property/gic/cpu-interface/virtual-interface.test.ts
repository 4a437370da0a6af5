/** The library against the reference model of the virtual CPU interface, access by access. */
import fc from 'fast-check'
import { type Gic, HCR_EL2 } from 'vgic'
import { describe, expect, it } from 'vitest'
import { type Outcome, VirtualInterfaceModel } from './virtual-interface-model.ts'
import {
  ACTIVE,
  type Access,
  configuration,
  encodingOf,
  encodings,
  Guest,
  gicOf,
  perform,
  program,
  run,
} from './virtual-interface-programs.ts'

const UNDEFINED = 0x0200_0000
/** What can be read without changing anything, at EL1 and at EL2. */
const observed = Object.keys(encodings)
  .filter((name) => !/^IAR|^EOIR|DIR$|SGI/.test(name))
  .flatMap((reg) => [1, 2].map((el) => ({ k: 'read' as const, el, reg, name: `${reg} at EL${el}` })))

function performOnModel(model: VirtualInterfaceModel, access: Access): Outcome {
  if (access.k === 'activate') {
    for (let n = 0; n < 32; n++) if ((access.bits >>> n) & 1) model.setActive(32 * access.word + n)
    return { kind: 'done', value: 0n }
  }
  if (typeof access.reg === 'number') return { kind: 'undefined' }
  return access.k === 'read'
    ? model.read(access.el, access.reg)
    : model.write(access.el, access.reg, access.value)
}

/** ESR_EL2 of a trapped access: EC 0x18 and IL; Op0, Op2, Op1, CRn, CRm from the encoding, and the direction. */
function syndrome(encoding: number, isRead: boolean): number {
  const [op0, op1, crn, crm, op2] = [
    encoding >> 14,
    (encoding >> 11) & 7,
    (encoding >> 7) & 15,
    (encoding >> 3) & 15,
    encoding & 7,
  ]
  return 0x6200_0000 + (op0 << 20) + (op2 << 17) + (op1 << 14) + (crn << 10) + (crm << 1) + (isRead ? 1 : 0)
}

function expected(outcome: Outcome, access: Access): readonly [bigint, number] {
  if (outcome.kind === 'done') return [outcome.value, 0]
  if (outcome.kind === 'undefined' || access.k === 'activate') return [0n, UNDEFINED]
  return [0n, syndrome(encodingOf(access.reg), access.k === 'read')]
}

/** What is visible and not the same in the library and in the model: this is looked at after every access. */
function differences(gic: Gic, model: VirtualInterfaceModel): string[] {
  const found: string[] = []
  const compare = (what: string, ours: unknown, theirs: unknown): void => {
    if (ours !== theirs) found.push(`${what} is ${ours}, in the model ${theirs}`)
  }
  for (const access of observed) {
    const [value, trap] = perform(gic, access)
    const outcome = model.read(access.el, access.reg)
    compare(
      access.name,
      trap === 0 ? value : trap === UNDEFINED ? 'undefined' : 'trapped',
      outcome.kind === 'done' ? outcome.value : outcome.kind,
    )
  }
  compare('virq', gic.line(0, 'virq') === 1, model.line(1))
  compare('vfiq', gic.line(0, 'vfiq') === 1, model.line(0))
  compare('maintenance', gic.line(0, 'maintenance') === 1, model.maintenance)
  for (const [word, address] of ACTIVE.entries()) {
    const set = Array.from({ length: 32 }, (_, n) => (model.physicallyActive.has(32 * word + n) ? 2 ** n : 0))
    compare(
      `ISACTIVER${word}`,
      gic.readMmio(address, 4),
      set.reduce((sum, value) => sum + value),
    )
  }
  return found
}

describe('the virtual CPU interface', () => {
  it('agrees with the reference model in every answer and in all state after every access', () => {
    fc.assert(
      fc.property(configuration, program(120), (config, steps) => {
        const gic = gicOf(config)
        const model = new VirtualInterfaceModel(config)
        const guest = new Guest()
        expect(differences(gic, model)).toEqual([])
        for (const step of steps) {
          const access = guest.accessOf(gic, step)
          const outcome = performOnModel(model, access)
          const [value, trap] = perform(gic, access)
          expect([value, trap]).toEqual(expected(outcome, access))
          guest.sees(access, value, trap)
          expect(differences(gic, model)).toEqual([])
        }
      }),
      { numRuns: 300 },
    )
  })

  it('never has both virtual lines up, unless HCR_EL2.VI or VF raises one', () => {
    fc.assert(
      fc.property(configuration, program(40), (config, steps) => {
        const gic = gicOf(config)
        const guest = new Guest()
        for (const step of steps) {
          run(gic, guest, step)
          if (gic.readSysreg(0, HCR_EL2, 2) & 0xc0) continue
          expect(gic.line(0, 'virq') & gic.line(0, 'vfiq')).toBe(0)
        }
      }),
    )
  })
})
