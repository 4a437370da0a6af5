/**
 * The host as the physical GIC's CPU: what it does with the interrupts that are signalled to a PE. It takes one at
 * once when its thread there, or nobody, is on the PE at EL2 with interrupts on; otherwise where that thread turns
 * them on again, which a guest leaves for.
 */
import { FIRST_SPI, INTID_NONE, type Intid } from '../../arch/intid.ts'
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
  ) {
    this.words = seam.words
    this.handling = new Uint8Array(seam.silicon.config.cpus)
  }

  /** An output of the GIC has moved. */
  setLine(cpu: number, line: OutputLine, level: 0 | 1): void {
    if (level === 0 || line !== 'irq') return
    const { words, seam, scheduler, apLists } = this
    const { silicon } = seam
    const pe = silicon.peOf(cpu)
    const v = scheduler.current(cpu)
    if (this.handling[cpu] !== 0 || silicon.pcpu.isInGuest(pe)) return
    // On a PE that nobody has, what the host does counts for the first vCPU.
    if (v === 0) this.take(apLists.vcpuOf(0), pe)
    else if ((words[v + VCPU_THREAD] & THREAD_IRQS_OFF) === 0) this.take(v, pe)
  }

  /**
   * Takes what is signalled to a PE, for the vCPU whose thread is there, one interrupt after another. One that comes
   * again as soon as it was dealt with would never cease; here the host goes on then. So it is with the maintenance
   * interrupt of a host that has not folded back the list registers, which is what makes its line fall.
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

  /** Whether a tick has come that the host has not taken. */
  isTicking(pe: Pe): boolean {
    return (this.words[pe + GICR_BLOCK + LINE] & (1 << TICK_PPI)) !== 0
  }

  /** What an interrupt is for; one that stands for a guest's is left active. */
  private handle(v: Vcpu, pe: Pe, intid: Intid): void {
    switch (intid) {
      case TICK_PPI:
        this.seam.silicon.drivePpi(pe, TICK_PPI, false)
        break
      case KICK_SGI:
      case MAINTENANCE_PPI:
        break
      default:
        if (intid >= FIRST_SPI) this.mapped.interrupt(intid)
        else this.timers.interrupt(v, intid)
        return
    }
    this.seam.deactivatePhysical(v, pe, intid)
  }
}
