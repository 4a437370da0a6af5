/** The example of a vPE that moves, as docs/gicv4.md prints it. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { vpeMoves } from '../../../../docs/examples/vpe-moves.ts'

it('a vPE moves while a device fires MSIs, and each goes where docs/gicv4.md says', () => {
  const lines = vpeMoves()
  expect(lines).toHaveLength(11)
  expect(readFileSync('docs/gicv4.md', 'utf8')).toContain(lines.join('\n'))
})
