/** Which superinstructions a run can take at once, since it is known how many rows they have taken. */
import { baselines, type Design, designs, edit, kvm61, kvm72, ownStep, steps, when } from 'vgic/scenario'
import { describe, expect, it } from 'vitest'
import { asPc } from '../../../../src/hyp/records/vcpu.ts'
import { waysOf } from '../../../../src/hyp/run/counted-rows.ts'
import { compile } from '../../../../src/hyp/run/program.ts'
import { fuse, fusedAt, rowsOf } from '../../../../src/hyp/run/superinstructions.ts'

/** The names of a design's superinstructions that can, or cannot, be counted. */
function superinstructionsOf(design: Design, counted: boolean): string[] {
  const program = compile(design)
  fuse(program)
  const found = [...program.steps.keys()].flatMap((pc) => {
    const name = fusedAt(program.table, asPc(pc))?.name
    const isCounted = waysOf(program, rowsOf(program, pc)) !== undefined
    return name !== undefined && isCounted === counted ? [name] : []
  })
  return [...new Set(found)]
}

describe('how many rows a superinstruction has taken is known', () => {
  it.each(Object.entries(designs).filter(([name]) => name !== 'runLoopLoad'))(
    'in %s: of all but the commands of an ITS, which the ghosts follow',
    (_, design) => {
      for (const each of [baselines.fixed(design), kvm61(design), kvm72(design)])
        expect(superinstructionsOf(each, false).filter((name) => !name.startsWith('command'))).toEqual([])
    },
  )

  it('but not where a design asks a question on its way into the guest: others may follow', () => {
    expect(superinstructionsOf(designs.runLoopLoad, false)).toEqual(['entryAround', 'command'])
  })

  it('with steps of a design’s own on the way, and rows of each', () => {
    const note = ownStep('note', () => 0)
    const design = edit(designs.wfiFullPut).insertAfter('exit/fold', note).design('noting')
    const program = compile(design)
    fuse(program)
    const exit = [...program.steps.keys()].find(
      (pc) => fusedAt(program.table, asPc(pc))?.name === 'exitAround',
    )
    const rows = rowsOf(program, exit ?? 0).map((pc) => program.paths[pc])
    expect(rows).toEqual([
      'exit/publishOutside',
      'exit/fold',
      'exit/note',
      'exit/timerSync',
      'exit/irqOn',
      'exit/preemptOn',
      'exitReason?',
    ])
    expect(superinstructionsOf(design, true)).toContain('exitAround')
  })

  it('but not where a question of its own is on the way', () => {
    const whether = ownStep('whether?', () => 0, ['no', 'yes'])
    const design = edit(designs.wfiFullPut)
      .insertAfter('exit/fold', when(whether, steps.saveVmcr))
      .design('asking')
    expect(superinstructionsOf(design, false)).toEqual(['exitAround', 'command'])
  })
})
