/**
 * SGIs that hardware delivers (vSGIs, GICv4.1): while the guest has GICD_CTLR.nASSGIreq set the pending state of its SGIs is
 * in its vPEs, and their configuration is told to the host's ITS.
 */
import { COMMAND_VSGI_Clear, COMMAND_VSGI_Enable, COMMAND_VSGI_Group } from '../../arch/its-commands.ts'
import type { ItsVpes } from '../host/its-vpes.ts'
import { privateIrq, VCPU_INDEX, type Vcpu } from '../records/vcpu.ts'
import { IRQ_ENABLED, IRQ_GROUP1, IRQ_LATCH, type Irq, irqPriority } from '../records/vgic-irq.ts'
import { VM_NASSGIREQ } from '../records/vm.ts'
import type { ApLists } from './ap-list.ts'

const SGIS = 16

export class Vsgis {
  private readonly words: Int32Array
  private readonly vm: number

  constructor(
    private readonly vpes: ItsVpes,
    private readonly apLists: ApLists,
  ) {
    this.words = apLists.words
    this.vm = apLists.layout.vm
  }

  /** GICD_CTLR.nASSGIreq has changed: vgic_v4_configure_vsgis. All SGIs become vSGIs, or software's again. */
  configure(direct: boolean): void {
    const { apLists } = this
    this.words[this.vm + VM_NASSGIREQ] = direct ? 1 : 0
    for (let i = 0; i < apLists.layout.vcpuCount; i++) {
      const v = apLists.vcpuOf(i)
      if (direct) this.enable(v)
      else this.disable(v)
    }
  }

  private enable(v: Vcpu): void {
    const { words } = this
    for (let sgi = 0; sgi < SGIS; sgi++) {
      const irq = privateIrq(v, sgi)
      this.update(v, sgi)
      if ((words[irq] & IRQ_LATCH) === 0) continue
      words[irq] &= ~IRQ_LATCH
      this.send(this.apLists.accessing, v, sgi)
    }
  }

  /** A VSGI either configures or clears, so there are two. */
  private disable(v: Vcpu): void {
    const { words, vpes, apLists } = this
    const vpe = words[v + VCPU_INDEX]
    const pending = vpes.pendingSgis(apLists.accessing, vpe)
    for (let sgi = 0; sgi < SGIS; sgi++) {
      const irq = privateIrq(v, sgi)
      vpes.configureSgi(apLists.accessing, vpe, sgi, 0)
      vpes.configureSgi(apLists.accessing, vpe, sgi, COMMAND_VSGI_Clear)
      if ((pending >>> sgi) & 1) apLists.store(irq, words[irq] | IRQ_LATCH)
    }
  }

  /** Whether an interrupt is a vSGI: an SGI while GICD_CTLR.nASSGIreq is set. */
  isVsgi(v: Vcpu, irq: Irq): boolean {
    if (this.words[this.vm + VM_NASSGIREQ] === 0) return false
    return irq >= privateIrq(v, 0) && irq < privateIrq(v, SGIS)
  }

  /** The configuration of a vSGI is that of its word. */
  update(v: Vcpu, sgi: number): void {
    const word = this.words[privateIrq(v, sgi)]
    const fields =
      (word & IRQ_ENABLED ? COMMAND_VSGI_Enable : 0) |
      (word & IRQ_GROUP1 ? COMMAND_VSGI_Group : 0) |
      ((irqPriority(word) >> 4) << 20)
    this.vpes.configureSgi(this.apLists.accessing, this.words[v + VCPU_INDEX], sgi, fields)
  }

  /** A vSGI of `v` becomes pending, by what `by` does. */
  send(by: Vcpu, v: Vcpu, sgi: number): void {
    this.vpes.sendSgi(by, this.words[v + VCPU_INDEX], sgi)
  }

  clear(v: Vcpu, sgi: number): void {
    this.vpes.configureSgi(this.apLists.accessing, this.words[v + VCPU_INDEX], sgi, COMMAND_VSGI_Clear)
  }

  /** Which vSGIs of a vCPU are pending, a bit each. */
  pending(v: Vcpu): number {
    return this.vpes.pendingSgis(this.apLists.accessing, this.words[v + VCPU_INDEX])
  }
}
