/** A variant of vgic-its-commands.ts that only the baseline `kvm61` has. */
import { COMMAND_ADDRESS, COMMAND_opcode, ITS_MAPC } from '../../arch/its-commands.ts'
import { ITS_COMMAND } from '../records/its-record.ts'
import type { VgicItsCommands } from './vgic-its-commands.ts'

/** `execute`, where MAPC with V = 0 wants an RDbase that names a vCPU, too (Linux before 6.7). */
export function executeCheckingTarget(commands: VgicItsCommands, n: number): void {
  const record = commands.its.recordOf(n)
  const command = record + ITS_COMMAND
  const isMapc = COMMAND_opcode(commands.words[command]) === ITS_MAPC
  if (isMapc && commands.targetOf(command, COMMAND_ADDRESS) < 0) commands.advance(record)
  else commands.execute(n)
}
