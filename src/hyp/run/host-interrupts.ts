/**
 * The host's handling of the physical interrupts that are signalled to a PE. It takes an interrupt at once if the PE
 * is idle, or if its thread is at EL2 with interrupts on; otherwise when that thread turns interrupts on again. A
 * guest exits for it.
 */
import { FIRST_LPI, FIRST_SPI, INTID_NONE, type Intid } from '../../arch/intid.ts'
import { MAINTENANCE_PPI, type OutputLine } from '../../gic/cpu-interface/output-lines.ts'
import { GICR_BLOCK } from '../../gic/interrupts/physical-interrupts.ts'
import { LINE } from '../../gic/records/interrupts.ts'
import type { Pe } from '../../gic/records/pe.ts'
import { TICK_PPI } from '../host/host-gic.ts'
import { KICK_SGI } from '../host/kick.ts'
import type { Scheduler } from '../host/scheduler.ts'
import type { Seam } from '../host/seam.ts'
import { THREAD_IRQS_OFF, VCPU_THREAD, type Vcpu } from '../records/vcpu.ts'
import type { ApLists } from '../vgic/ap-list.ts'
import type { ArchTimers } from '../vgic/arch-timer.ts'
import type { MappedInterrupts } from '../vgic/mapped-interrupts.ts'
import type { VgicV4 } from '../vgic/vgic-v4.ts'

export class HostInterrupts {
  readonly words: Int32Array
  /** By CPU, 1 while an interrupt is being handled there, with PSTATE.I set; all 0 between steps. */
  private readonly handling: Uint8Array

  constructor(
    readonly seam: Seam,
    readonly scheduler: Scheduler,
    readonly apLists: ApLists,
    readonly timers: ArchTimers,
    readonly mapped: MappedInterrupts,
    /** Undefined without GICv4. */
    readonly v4: VgicV4 | undefined,
  ) {
    this.words = seam.words
    this.handling = new Uint8Array(seam.silicon.config.cpus)
  }

  /** An output of the GIC has changed. */
  setLine(cpu: number, line: OutputLine, level: 0 | 1): void {
    if (level === 0 || line !== 'irq') return
    const { words, seam, scheduler, apLists } = this
    const { silicon } = seam
    const pe = silicon.peOf(cpu)
    const v = scheduler.current(cpu)
    if (this.handling[cpu] !== 0 || silicon.pcpu.isInGuest(pe)) return
    // On an idle PE, the host's accesses count for the first vCPU.
    if (v === 0) this.take(apLists.vcpuOf(0), pe)
    else if ((words[v + VCPU_THREAD] & THREAD_IRQS_OFF) === 0) this.take(v, pe)
  }

  /**
   * Takes the interrupts that are signalled to a PE, one after another, for the vCPU whose thread is there. It stops
   * if the same interrupt is signalled again at once, which would be an endless storm: the maintenance interrupt, if
   * the list registers are not folded, which would make its line fall.
   */
  take(v: Vcpu, pe: Pe): void {
    const { seam } = this
    const cpu = seam.silicon.cpuOf(pe)
    this.handling[cpu] = 1
    let last = INTID_NONE
    while (seam.isSignalledAnother(pe, last)) {
      last = seam.takePhysical(v, pe)
      this.handle(v, pe, last)
    }
    this.handling[cpu] = 0
  }

  /** The host's tick, on the PE that a guest runs on. */
  tick(pe: Pe): void {
    this.seam.silicon.drivePpi(pe, TICK_PPI, true)
  }

  /** Whether a tick is pending that the host has not taken. */
  isTicking(pe: Pe): boolean {
    return (this.words[pe + GICR_BLOCK + LINE] & (1 << TICK_PPI)) !== 0
  }

  /** Handles an interrupt by its INTID; one that is mapped to a guest's stays active. */
  private handle(v: Vcpu, pe: Pe, intid: Intid): void {
    switch (intid) {
      case TICK_PPI:
        this.seam.silicon.drivePpi(pe, TICK_PPI, false)
        break
      case KICK_SGI:
      case MAINTENANCE_PPI:
        break
      default:
        // An LPI is not active, so that there is nothing to deactivate.
        if (intid >= FIRST_LPI) this.v4?.interrupt(v, intid)
        else if (intid >= FIRST_SPI) this.mapped.interrupt(intid)
        else this.timers.interrupt(v, intid)
        return
    }
    this.seam.deactivatePhysical(v, pe, intid)
  }
}
