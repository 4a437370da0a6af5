/**
 * The modules of constants that are generated from rows. Each imports nothing, so that esbuild inlines the numbers.
 */

import { barrierCpuRows, barrierRows, commandNoteRows } from '../src/gic/barriers/barrier-records.ts'
import { memoryRows } from '../src/gic/config/memory.ts'
import { itsRows as gitsRows } from '../src/gic/its/its-records.ts'
import { lpiCacheRows, lpiCommonRows, lpiRedistributorRows } from '../src/gic/lpi/lpi-records.ts'
import { distributorRows, pendingSummaryRows, spiBlockRows } from '../src/gic/records/interrupts.ts'
import { interfaceConstants, peRows } from '../src/gic/records/pe.ts'
import { pstateConstants } from '../src/gic/records/pstate.ts'
import { vpeCommonRows, vpeRows } from '../src/gic/vpe/vpe-records.ts'
import { costRows } from '../src/hyp/records/cost-row.ts'
import { guestRows } from '../src/hyp/records/guest-record.ts'
import { hostRows } from '../src/hyp/records/host-record.ts'
import { itsRows } from '../src/hyp/records/its-record.ts'
import { forwardRows, hostItsRows, vpeRows as itsVpeRows } from '../src/hyp/records/its-vpe.ts'
import {
  itsCollectionRows,
  itsDeviceRows,
  itsEventRows,
  lpiListRows,
  lpiRows,
  translationRows,
} from '../src/hyp/records/lpi-record.ts'
import { threadBits, vcpuRows } from '../src/hyp/records/vcpu.ts'
import { vgicIrqBits } from '../src/hyp/records/vgic-irq.ts'
import { mappedRows, vmRows } from '../src/hyp/records/vm.ts'
import { deviceRows } from '../src/scenario/device-record.ts'
import { headerRows } from '../src/state/image.ts'
import { memoryLineRows, memoryPoolRows } from '../src/state/memory-pool.ts'
import { bitConstants, type Constant, offsetConstants, sizeConstant } from '../src/state/rows.ts'
import { stepModules } from './step-modules.ts'

/** The line width in columns. */
const WIDTH = 110

export interface GeneratedModule {
  readonly path: string
  readonly constants: readonly Constant[]
  readonly text: string
}

const among = (constants: readonly Constant[], rows: object): Constant[] =>
  constants.filter(({ name }) => name in rows)
const notAmong = (constants: readonly Constant[], rows: object): Constant[] =>
  constants.filter(({ name }) => !(name in rows))

/** The words of a guest are in the record of its vCPU. */
const vcpu = offsetConstants(vcpuRows)
/** What program counters mean is no matter of offsets. */
const device = deviceRows({ stepOf: () => undefined, stepAt: () => '' })

export const generatedModules: readonly GeneratedModule[] = [
  generated('src/state/image-offsets.ts', 'image.ts', [offsets(offsetConstants(headerRows))]),
  generated('src/state/memory-pool-offsets.ts', 'memory-pool.ts', [
    offsets(offsetConstants(memoryPoolRows)),
    offsets([...offsetConstants(memoryLineRows), sizeConstant('LINE_SIZE', memoryLineRows)]),
  ]),
  generated('src/gic/config/memory-offsets.ts', 'memory.ts', [offsets(offsetConstants(memoryRows))]),
  generated('src/gic/records/pe-offsets.ts', 'pe.ts', [
    offsets(offsetConstants(peRows)),
    offsets(interfaceConstants()),
  ]),
  generated('src/gic/records/pstate-bits.ts', 'pstate.ts', [bits(pstateConstants())]),
  generated('src/gic/records/interrupts-offsets.ts', 'interrupts.ts', [
    offsets([...offsetConstants(spiBlockRows), sizeConstant('SPI_BLOCK_WORDS', spiBlockRows)]),
    offsets(offsetConstants(distributorRows)),
    offsets(offsetConstants(pendingSummaryRows)),
  ]),
  generated('src/gic/vpe/vpe-offsets.ts', 'vpe-records.ts', [
    offsets(offsetConstants(vpeRows)),
    offsets(offsetConstants(vpeCommonRows)),
  ]),
  generated('src/gic/lpi/physical-lpi-offsets.ts', 'lpi-records.ts', [
    offsets(offsetConstants(lpiRedistributorRows)),
    offsets(offsetConstants(lpiCacheRows)),
    offsets(offsetConstants(lpiCommonRows)),
  ]),
  generated('src/gic/its/gits-offsets.ts', 'its-records.ts', [offsets(offsetConstants(gitsRows))]),
  generated('src/gic/barriers/barrier-offsets.ts', 'barrier-records.ts', [
    offsets(offsetConstants(barrierRows)),
    offsets([...offsetConstants(commandNoteRows), sizeConstant('COMMAND_NOTE', commandNoteRows)]),
    offsets(offsetConstants(barrierCpuRows)),
  ]),
  generated('src/hyp/records/vcpu-offsets.ts', 'vcpu.ts', [
    offsets(notAmong(vcpu, guestRows)),
    bits(bitConstants(threadBits)),
  ]),
  generated('src/hyp/records/guest-offsets.ts', 'guest-record.ts', [offsets(among(vcpu, guestRows))]),
  generated('src/hyp/records/vm-offsets.ts', 'vm.ts', [
    offsets(offsetConstants(vmRows)),
    offsets([...offsetConstants(mappedRows), sizeConstant('MAPPED_STRIDE', mappedRows)]),
  ]),
  generated('src/hyp/records/its-offsets.ts', 'its-record.ts', [offsets(offsetConstants(itsRows))]),
  generated('src/hyp/records/lpi-offsets.ts', 'lpi-record.ts', [
    ...[itsDeviceRows, itsEventRows, itsCollectionRows, lpiListRows].map((rows) =>
      offsets(offsetConstants(rows)),
    ),
    offsets([...offsetConstants(translationRows), sizeConstant('CACHED_STRIDE', translationRows)]),
    offsets(offsetConstants(lpiRows)),
  ]),
  generated('src/hyp/records/its-vpe-offsets.ts', 'its-vpe.ts', [
    offsets([...offsetConstants(itsVpeRows), sizeConstant('VPE_STRIDE', itsVpeRows)]),
    offsets([...offsetConstants(forwardRows), sizeConstant('FORWARD_STRIDE', forwardRows)]),
    offsets(offsetConstants(hostItsRows)),
  ]),
  generated('src/hyp/records/cost-offsets.ts', 'cost-row.ts', [
    offsets([...offsetConstants(costRows), sizeConstant('COST_STRIDE', costRows)]),
  ]),
  generated('src/hyp/records/host-offsets.ts', 'host-record.ts', [offsets(offsetConstants(hostRows))]),
  generated('src/scenario/device-offsets.ts', 'device-record.ts', [
    offsets([...offsetConstants(device), sizeConstant('DEVICE_WORDS', device)]),
  ]),
  generated('src/hyp/records/vgic-irq-bits.ts', 'vgic-irq.ts', [bits(bitConstants(vgicIrqBits))]),
  ...stepModules,
]

interface Group {
  readonly constants: readonly Constant[]
  readonly write: (value: number) => string
}

function offsets(constants: readonly Constant[]): Group {
  return { constants, write: String }
}

function bits(constants: readonly Constant[]): Group {
  return { constants, write: (value) => (value < 0 ? `${hex(value)} | 0` : hex(value)) }
}

function hex(value: number): string {
  return value === 0 ? '0' : `0x${(value >>> 0).toString(16)}`
}

function generated(path: string, from: string, groups: readonly Group[]): GeneratedModule {
  const constants = groups.flatMap((group) => group.constants)
  const names = new Set(constants.map(({ name }) => name))
  if (names.size < constants.length) throw new Error(`${path} would have two constants of one name`)
  const lines = groups.map((group) => group.constants.flatMap((constant) => declaration(constant, group)))
  const text = [
    `// Generated by \`npm run generate\` from ${from}: do not edit.`,
    '',
    lines.flat().join('\n'),
    '',
  ]
  return { path, constants, text: text.join('\n') }
}

function declaration({ name, value, says }: Constant, { write }: Group): string[] {
  const statement = `export const ${name} = ${name.endsWith('_SHIFT') ? value : write(value)}`
  return says === undefined ? [statement] : [...comment(says), statement]
}

function comment(says: string): string[] {
  if (says.length + '/**  */'.length <= WIDTH) return [`/** ${says} */`]
  const lines = ['']
  for (const word of says.split(' ')) {
    const line = lines[lines.length - 1]
    if (line.length + word.length + ' * '.length > WIDTH) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return ['/**', ...lines.map((line) => ` * ${line}`), ' */']
}
