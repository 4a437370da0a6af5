/**
 * A host with one VM, put together over one state buffer: the silicon, the VM's vGIC and vCPUs with their
 * threads, and the guests. What moves it is the caller, a step of one vCPU at a time.
 */
import { FIRST_SPI } from '../arch/intid.ts'
import { type CheckedGicConfig, GIC_CONFIG, REGION, storeGicConfig } from '../gic/config.ts'
import { DAIF_F, DAIF_I } from '../gic/pcpu.ts'
import { Silicon, siliconRecords } from '../gic/silicon.ts'
import { blankImage, HEADER } from '../state/image.ts'
import { Layout, type RecordType, recordType } from '../state/layout.ts'
import { MachineState } from '../state/machine-state.ts'
import { ApLists } from './ap-list.ts'
import { compile, type Design, FIRST_PC } from './design.ts'
import { GUEST_PC, GUEST_RUNS, GUEST_WAITS, Guest, type GuestProgram } from './guest.ts'
import { RunLoop } from './run-loop.ts'
import { Seam } from './seam.ts'
import { VCPU_DAIF, VCPU_INDEX, VCPU_PC, VCPU_PE, VCPU_VMCR } from './vcpu.ts'
import { IRQ_EDGE, IRQ_ENABLED, IRQ_GROUP1, IRQ_PRIORITY_SHIFT, IRQ_TARGET_SHIFT } from './vgic-irq.ts'
import { VgicV3 } from './vgic-v3.ts'
import { placeOf, VM_ENABLED, type VmPlace, vmRecords } from './vm.ts'

/** How an interrupt of the VM is configured when the run begins. */
export interface InterruptSetup {
  readonly intid: number
  /** The vCPU whose private interrupt it is, or to which an SPI is routed. */
  readonly vcpu: number
  readonly edge: boolean
  readonly enabled: boolean
  readonly group: 0 | 1
  readonly priority: number
}

/** A VM as it is when the run begins. */
export interface VmSetup {
  readonly vcpus: number
  readonly spis: number
  readonly interrupts: readonly InterruptSetup[]
  /** The guest's ICH_VMCR_EL2, by vCPU. */
  readonly vmcr: readonly number[]
  readonly guests: readonly GuestProgram[]
}

/** The size of the VM, as an image stores it. */
const VM_CONFIG = recordType('vmConfig', [
  { name: 'vcpus', at: 0, class: 'authoritative' },
  { name: 'spis', at: 1, class: 'authoritative' },
])

export class Hypervisor {
  readonly state: MachineState
  readonly words: Int32Array
  readonly silicon: Silicon
  readonly seam: Seam
  readonly apLists: ApLists
  readonly runLoop: RunLoop
  readonly guest: Guest
  readonly place: VmPlace

  /** `more` are records of what surrounds the hypervisor; vCPU n's thread runs on CPU n. */
  constructor(
    readonly config: CheckedGicConfig,
    readonly setup: VmSetup,
    design: Design,
    more: readonly (readonly [RecordType, number])[],
  ) {
    const silicon = siliconRecords(config)
    const vm = vmRecords({ vcpus: setup.vcpus, spis: setup.spis, listRegisters: config.listRegisters })
    const layout = new Layout([
      [HEADER, 1],
      [GIC_CONFIG, 1],
      [REGION, config.gicr.length],
      [VM_CONFIG, 1],
      ...silicon.list,
      ...vm.list,
      ...more,
    ])
    this.state = new MachineState(
      'scenario',
      layout,
      blankImage('scenario', layout),
      layout.baseOf(silicon.pe),
    )
    this.words = this.state.words
    this.silicon = new Silicon(this.words, config, silicon, layout)
    this.place = placeOf(vm, layout, config.listRegisters)
    this.seam = new Seam(this.words, this.silicon)
    this.apLists = new ApLists(this.words, this.place)
    const vgic = new VgicV3(this.seam, this.apLists)
    this.runLoop = new RunLoop(compile(design), this.seam, this.apLists, vgic, setup.vcpus)
    this.guest = new Guest(this.words, this.silicon, {
      sendEvents: () => this.sendEvents(),
      lower: (v, intid) => this.apLists.inject(this.apLists.irqOf(v, intid), 0),
    })
    storeGicConfig(this.words, HEADER.size, config)
    this.words.set([setup.vcpus, setup.spis], layout.baseOf(VM_CONFIG))
    this.reset()
  }

  /** The record of a vCPU. */
  vcpu(index: number): number {
    return this.place.vcpus + index * this.place.vcpuSize
  }

  /** Does one operation of the guest of a vCPU that is in it. Returns the EXIT_ reason if it left, else -1. */
  stepGuest(v: number): number {
    const result = this.guest.step(v, this.setup.guests[this.words[v + VCPU_INDEX]])
    if (result === GUEST_RUNS || result === GUEST_WAITS) return -1
    this.runLoop.exit(v, result - 1)
    return result - 1
  }

  private sendEvents(): void {
    for (let cpu = 0; cpu < this.config.cpus; cpu++) this.silicon.pcpu.sendEvent(this.silicon.peOf(cpu))
  }

  private reset(): void {
    const { words, silicon, place, setup } = this
    silicon.reset()
    words[place.vm + VM_ENABLED] = 1
    for (let i = 0; i < setup.vcpus; i++) {
      const v = this.vcpu(i)
      words[v + VCPU_PC] = FIRST_PC
      words[v + VCPU_INDEX] = i
      words[v + VCPU_PE] = silicon.peOf(i)
      words[v + VCPU_VMCR] = setup.vmcr[i]
      words[v + VCPU_DAIF] = DAIF_I | DAIF_F
      words[v + GUEST_PC] = 0
      for (let intid = 0; intid < FIRST_SPI; intid++)
        words[this.apLists.irqOf(v, intid)] = i << IRQ_TARGET_SHIFT
    }
    for (const { intid, vcpu, edge, enabled, group, priority } of setup.interrupts) {
      words[this.apLists.irqOf(this.vcpu(vcpu), intid)] =
        (vcpu << IRQ_TARGET_SHIFT) |
        (priority << IRQ_PRIORITY_SHIFT) |
        (edge ? IRQ_EDGE : 0) |
        (enabled ? IRQ_ENABLED : 0) |
        (group === 1 ? IRQ_GROUP1 : 0)
    }
  }
}
