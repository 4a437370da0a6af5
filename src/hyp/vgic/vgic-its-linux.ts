/** A variant of vgic-its-commands.ts that only the baseline `kvm61` has. */
import { COMMAND_ADDRESS, COMMAND_opcode, ITS_INVALL, ITS_MAPC } from '../../arch/its-commands.ts'
import { ITS_COMMAND } from '../records/its-record.ts'
import type { VgicItsCommands } from './vgic-its-commands.ts'
import { AS_MADE } from './vgic-lpis.ts'

/**
 * `execute`, where MAPC with V = 0 wants an RDbase that names a vCPU, too (Linux before 6.7), and INVALL goes through the
 * LPIs in the order in which they were made (before 6.9).
 */
export function executeAsLinux61(commands: VgicItsCommands, n: number): void {
  const { words, its } = commands
  const record = its.recordOf(n)
  const command = record + ITS_COMMAND
  const opcode = COMMAND_opcode(words[command])
  if (opcode === ITS_INVALL) {
    commands.count(n, its.invalidateAll(commands.collectionTarget(n, command), AS_MADE))
  } else if (opcode !== ITS_MAPC || commands.targetOf(command, COMMAND_ADDRESS) >= 0) {
    commands.execute(n)
    return
  }
  commands.advance(record)
}
