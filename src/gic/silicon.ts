/**
 * The silicon of a machine: its blocks over one state buffer. It knows no hypervisor. The record of a PE holds
 * what belongs to one CPU, from PSTATE to list registers, so that one word offset is the handle to all of it.
 */
import type { Layout, RecordType } from '../state/layout.ts'
import { recordType } from '../state/layout.ts'
import type { CheckedGicConfig } from './config.ts'
import { Ich } from './ich.ts'
import { Icv } from './icv.ts'
import { Mmio } from './mmio.ts'
import { Pcpu, pcpuWords } from './pcpu.ts'
import { distributorRecord, PhysicalInterrupts, redistributorWords } from './physical-interrupts.ts'
import { SystemRegisters } from './system-registers.ts'
import { VirtualInterface, virtualInterfaceWords } from './virtual-interface.ts'

/** The record types of a configuration's silicon, and how many of each there are. */
export interface SiliconRecords {
  readonly pe: RecordType
  readonly distributor: RecordType
  readonly list: readonly (readonly [RecordType, number])[]
}

export function siliconRecords(config: CheckedGicConfig): SiliconRecords {
  const pe = recordType('pe', pcpuWords, virtualInterfaceWords(config.listRegisters), redistributorWords)
  const distributor = distributorRecord(config.spis)
  return {
    pe,
    distributor,
    list: [
      [pe, config.cpus],
      [distributor, 1],
    ],
  }
}

export class Silicon {
  readonly virtualInterface: VirtualInterface
  readonly physical: PhysicalInterrupts
  readonly ich: Ich
  readonly icv: Icv
  readonly pcpu: Pcpu
  readonly systemRegisters: SystemRegisters
  readonly mmio: Mmio
  /** The record of CPU 0, and the distance to the next CPU's. */
  readonly peBase: number
  readonly peSize: number

  constructor(
    readonly words: Int32Array,
    readonly config: CheckedGicConfig,
    records: SiliconRecords,
    layout: Layout,
  ) {
    this.peBase = layout.baseOf(records.pe)
    this.peSize = records.pe.size
    this.physical = new PhysicalInterrupts(words, layout.baseOf(records.distributor), config.spis)
    this.virtualInterface = new VirtualInterface(words, config)
    this.ich = new Ich(words, this.virtualInterface)
    this.icv = new Icv(words, this.virtualInterface, this.physical)
    this.pcpu = new Pcpu(words, this.virtualInterface)
    this.systemRegisters = new SystemRegisters(words, this)
    this.mmio = new Mmio(
      words,
      config,
      this.physical,
      (cpu) => this.peOf(cpu),
      (pe) => this.cpuOf(pe),
    )
  }

  /** Puts a zeroed image into the reset state. */
  reset(): void {
    for (let cpu = 0; cpu < this.config.cpus; cpu++) {
      this.pcpu.reset(this.peOf(cpu))
      this.virtualInterface.reset(this.peOf(cpu))
    }
  }

  /** The CPU of a record. */
  cpuOf(pe: number): number {
    return (pe - this.peBase) / this.peSize
  }

  /** The record of a CPU. */
  peOf(cpu: number): number {
    return this.peBase + cpu * this.peSize
  }
}
