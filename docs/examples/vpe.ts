/** `npm run vpe`: where the MSIs of a device go while their vPE moves. */
import { commandLine, header } from '../../test/command-line.ts'
import { vpeMoves } from './vpe-moves.ts'

const help = `
npm run vpe   a GICv4.1 vPE moves between two redistributors while a device fires MSIs: where each one went

  --help   this
`

if (commandLine({ name: 'vpe', help, options: {} }, process.argv.slice(2))) {
  console.log(
    header('vpe: a vPE moves while a device fires MSIs', 'a line a step of software, and an MSI after it'),
  )
  console.log(vpeMoves().join('\n'))
}
