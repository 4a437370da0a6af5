/** Variants of vgic-its-commands.ts that only the museum's designs have (src/explore/museum), with a known bug each. */
import {
  COMMAND_ADDRESS_2,
  COMMAND_DEVICE_ID,
  COMMAND_opcode,
  ITS_DISCARD,
  ITS_MAPD,
  ITS_MOVALL,
} from '../../arch/its-commands.ts'
import { ITS_COMMAND } from '../records/its-record.ts'
import type { VgicItsCommands } from './vgic-its-commands.ts'

/** `execute`, where MOVALL moves the LPIs of all vCPUs. */
export function executeForAll(commands: VgicItsCommands, n: number): void {
  const { words } = commands
  const record = commands.its.recordOf(n)
  const command = record + ITS_COMMAND
  if (COMMAND_opcode(words[command]) !== ITS_MOVALL) {
    commands.execute(n)
    return
  }
  const to = commands.targetOf(command, COMMAND_ADDRESS_2)
  for (let from = 0; to >= 0 && from < commands.its.apLists.layout.vcpuCount; from++)
    commands.count(n, commands.its.moveAll(from, to))
  commands.advance(record)
}

/** `execute`, where DISCARD and MAPD clear no entry of the guest's tables. */
export function executeOnly(commands: VgicItsCommands, n: number): void {
  const { words, its } = commands
  const record = its.recordOf(n)
  const command = record + ITS_COMMAND
  const opcode = COMMAND_opcode(words[command])
  const device = its.findDevice(n, words[command + COMMAND_DEVICE_ID])
  if (opcode === ITS_DISCARD && commands.eventOf(n, command) !== 0)
    its.freeEvent(commands.eventOf(n, command))
  else if (opcode === ITS_MAPD && !commands.isValid(command) && device !== 0) its.freeDevice(device)
  else {
    commands.execute(n)
    return
  }
  commands.advance(record)
}
