/**
 * The virtual CPU interface once more, as plainly as it can be said: BigInt, objects and sets, written from the
 * rules of IHI 0069 and not from the library. Where the architecture leaves the outcome open it does what
 * DEVIATIONS.md lists as the choices of both sides.
 *
 * The physical CPU interface stands beside it with nothing pending, for the accesses that reach it: it is the same but
 * for what ends an interrupt.
 */

/** What a machine is configured to. */
export interface ModelConfig {
  readonly version: '3' | '4.0' | '4.1'
  readonly spis: number
  readonly listRegisters: number
  readonly priorityBits: number
  readonly preemptionBits: number
  readonly intidBits: 16 | 24
  readonly dvim: boolean
  readonly lpiActive: 'invalid' | 'active'
  readonly preemptMask: 'running' | 'running-masked'
}

/** What an access is answered with. */
export type Outcome =
  | { readonly kind: 'done'; readonly value: bigint }
  | { readonly kind: 'undefined' | 'trapped' }

interface ListRegister {
  pending: boolean
  active: boolean
  hw: boolean
  group: 0 | 1
  priority: number
  /** Bits 44:32: pINTID, or EOI in its bit 9. */
  middle: number
  vintid: number
}

const UNDEFINED: Outcome = { kind: 'undefined' }
const TRAPPED: Outcome = { kind: 'trapped' }
const done = (value: bigint | number | boolean): Outcome => ({ kind: 'done', value: BigInt(value) })
const bit = (value: bigint, n: number): boolean => ((value >> BigInt(n)) & 1n) === 1n
const bits = (value: bigint, hi: number, lo: number): number =>
  Number((value >> BigInt(lo)) & ((1n << BigInt(hi - lo + 1)) - 1n))
const isSpecial = (intid: number): boolean => intid >= 1020 && intid <= 1023
const isLpi = (intid: number): boolean => intid >= 8192
const SPURIOUS = 1023
const IDLE = 0xff

export class VirtualInterfaceModel {
  private readonly hcr = {
    En: false,
    UIE: false,
    LRENPIE: false,
    NPIE: false,
    VGrp0EIE: false,
    VGrp0DIE: false,
    VGrp1EIE: false,
    VGrp1DIE: false,
    vSGIEOICount: false,
    TC: false,
    TALL0: false,
    TALL1: false,
    TSEI: false,
    TDIR: false,
    DVIM: false,
    EOIcount: 0,
  }
  private readonly vmcr = { VPMR: 0, VBPR0: 0, VBPR1: 0, VEOIM: false, VCBPR: false, VENG: [false, false] }
  /** Active preemption levels by group. */
  private readonly levels = [new Set<number>(), new Set<number>()] as const
  private readonly lrs: ListRegister[]
  private hcrEl2 = 0n
  /** Physical interrupts that are active: SGIs and PPIs of this PE, and SPIs. */
  readonly physicallyActive = new Set<number>()

  /** The physical interface of a virtual one. */
  private readonly physical: VirtualInterfaceModel | undefined

  constructor(
    readonly config: ModelConfig,
    /** The virtual interface that this is the physical one of. */
    private readonly virtual?: VirtualInterfaceModel,
  ) {
    this.physical = virtual ? undefined : new VirtualInterfaceModel(config, this)
    // All its accesses reach it.
    if (virtual) this.hcrEl2 = 0x18n
    this.lrs = Array.from({ length: config.listRegisters }, () => this.listRegisterOf(0n))
    this.write(2, 'ICH_VMCR', 0n)
  }

  read(el: number, name: string): Outcome {
    return this.access(el, name, true, 0n)
  }

  write(el: number, name: string, value: bigint): Outcome {
    return this.access(el, name, false, value)
  }

  setActive(intid: number): void {
    if (intid < 32 + this.config.spis) this.physicallyActive.add(intid)
  }

  /** The virtual interrupt line of a group: an interrupt is signalled, or HCR_EL2.VF or VI is set. */
  line(group: 0 | 1): boolean {
    return this.signalled()?.group === group || bit(this.hcrEl2, group === 0 ? 6 : 7)
  }

  get maintenance(): boolean {
    return this.hcr.En && this.misr() !== 0n
  }

  private access(el: number, name: string, isRead: boolean, value: bigint): Outcome {
    if (el === 0) return UNDEFINED
    const listRegister = /^ICH_LR(\d+)$/.exec(name)
    const activePriorities = /^(ICH|ICC)_AP([01])R([0-3])$/.exec(name)
    if (activePriorities) {
      const [, side, group, n] = activePriorities
      if (Number(n) >= 2 ** (this.config.preemptionBits - 5)) return UNDEFINED
      if (side === 'ICH') {
        if (el < 2) return UNDEFINED
      } else {
        const traps = group === '0' ? this.hcr.TALL0 : this.hcr.TALL1
        const elsewhere = this.elsewhere(el, traps, group === '0' ? [3] : [4], name, isRead, value)
        if (elsewhere) return elsewhere
      }
      return this.activePriorities(group === '0' ? 0 : 1, Number(n), isRead, value)
    }
    if (listRegister) {
      const n = Number(listRegister[1])
      if (el < 2 || n >= this.lrs.length) return UNDEFINED
      if (isRead) return done(this.valueOf(this.lrs[n]))
      this.lrs[n] = this.listRegisterOf(value)
      return done(0)
    }
    if (name === 'ISR') {
      if (!isRead) return UNDEFINED
      const irq = el === 1 && bit(this.hcrEl2, 4) && !bit(this.hcrEl2, 27) && this.line(1)
      const fiq = el === 1 && bit(this.hcrEl2, 3) && !bit(this.hcrEl2, 27) && this.line(0)
      return done((irq ? 0x80 : 0) + (fiq ? 0x40 : 0))
    }
    if (name === 'SRE') return done(isRead ? 7 : 0)
    if (name.startsWith('ICH_') || name === 'HCR_EL2') {
      return el < 2 ? UNDEFINED : this.hypervisorAccess(name, isRead, value)
    }
    return this.guestAccess(el, name, isRead, value)
  }

  /** An access to an ICC_* name that does not reach the virtual interface: trapped, or the physical interface's. */
  private elsewhere(
    el: number,
    traps: boolean,
    routes: readonly number[],
    name: string,
    isRead: boolean,
    value: bigint,
  ): Outcome | undefined {
    if (el < 2 && traps) return TRAPPED
    if (el < 2 && routes.some((n) => bit(this.hcrEl2, n))) return undefined
    return this.physical?.access(1, name, isRead, value)
  }

  private hypervisorAccess(name: string, isRead: boolean, value: bigint): Outcome {
    if (name === 'HCR_EL2') {
      if (isRead) return done(this.hcrEl2)
      this.hcrEl2 = value
      return done(0)
    }
    if (name === 'ICH_HCR') return isRead ? done(this.readHcr()) : this.writeHcr(value)
    if (name === 'ICH_VMCR') return isRead ? done(this.readVmcr()) : this.writeVmcr(value)
    if (!isRead) return UNDEFINED
    if (name === 'ICH_VTR') return done(this.vtr())
    if (name === 'ICH_MISR') return done(this.misr())
    const asked = this.lrs.map((lr) => !lr.pending && !lr.active && !lr.hw && (lr.middle & 0x200) !== 0)
    if (name === 'ICH_EISR') return done(bitmap(asked))
    if (name === 'ICH_ELRSR')
      return done(bitmap(this.lrs.map((lr, n) => !lr.pending && !lr.active && !asked[n])))
    return UNDEFINED
  }

  private guestAccess(el: number, name: string, isRead: boolean, value: bigint): Outcome {
    const readable = /^(IAR|HPPIR|BPR|IGRPEN)[01]$|^(RPR|PMR|CTLR)$/.test(name)
    const writable = /^(EOIR|BPR|IGRPEN)[01]$|^(DIR|PMR|CTLR|SGI0R|SGI1R|ASGI1R)$/.test(name)
    if (isRead ? !readable : !writable) return UNDEFINED
    if (name.includes('SGI')) {
      // An SGI of the physical interface stays pending: nothing is enabled there.
      if (this.virtual) return done(0)
      return this.elsewhere(el, this.hcr.TC, [3, 4], name, isRead, value) ?? TRAPPED
    }
    const suffix = /^(?:IAR|HPPIR|BPR|IGRPEN|EOIR)([01])$/.exec(name)
    const common = this.hcr.TC || (name === 'DIR' && this.hcr.TDIR)
    const traps = suffix ? (suffix[1] === '0' ? this.hcr.TALL0 : this.hcr.TALL1) : common
    const routes = suffix ? (suffix[1] === '0' ? [3] : [4]) : [3, 4]
    const elsewhere = this.elsewhere(el, traps, routes, name, isRead, value)
    if (elsewhere) return elsewhere
    const group = suffix?.[1] === '1' ? 1 : 0
    return isRead ? done(this.guestRead(name, group)) : this.guestWrite(name, group, value)
  }

  private guestRead(name: string, group: 0 | 1): number {
    const { vmcr, config } = this
    switch (name) {
      case 'IAR0':
      case 'IAR1':
        return this.acknowledge(group)
      case 'HPPIR0':
      case 'HPPIR1': {
        const highest = this.highestPending()
        return highest?.group === group ? highest.vintid : SPURIOUS
      }
      case 'RPR':
        return this.running()
      case 'PMR':
        return vmcr.VPMR
      case 'BPR0':
        return vmcr.VBPR0
      case 'BPR1':
        return vmcr.VCBPR ? Math.min(vmcr.VBPR0 + 1, 7) : vmcr.VBPR1
      case 'CTLR':
        return (
          0x8000 +
          (config.intidBits === 24 ? 0x800 : 0) +
          (config.priorityBits - 1) * 0x100 +
          (vmcr.VEOIM ? 2 : 0) +
          (vmcr.VCBPR ? 1 : 0)
        )
      default:
        return vmcr.VENG[group] ? 1 : 0
    }
  }

  private guestWrite(name: string, group: 0 | 1, value: bigint): Outcome {
    const { vmcr } = this
    if (name === 'EOIR0' || name === 'EOIR1') this.endOfInterrupt(this.intidOf(value), group)
    else if (name === 'DIR') this.deactivateInterrupt(this.intidOf(value))
    else if (name === 'PMR') vmcr.VPMR = this.implemented(bits(value, 7, 0))
    else if (name === 'BPR0') vmcr.VBPR0 = this.binaryPoint(0, bits(value, 2, 0))
    else if (name === 'BPR1') {
      if (!vmcr.VCBPR) vmcr.VBPR1 = this.binaryPoint(1, bits(value, 2, 0))
    } else if (name === 'CTLR') {
      vmcr.VEOIM = bit(value, 1)
      vmcr.VCBPR = bit(value, 0)
    } else vmcr.VENG[group] = bit(value, 0)
    return done(0)
  }

  /** The highest priority pending interrupt of the enabled groups. */
  private highestPending(): ListRegister | undefined {
    const candidates = this.lrs.filter((lr) => lr.pending && !lr.active && this.vmcr.VENG[lr.group])
    const best = Math.min(...candidates.map(({ priority }) => priority))
    return candidates.find(({ priority }) => priority === best)
  }

  /** The pending interrupt that is signalled to the guest. */
  private signalled(): ListRegister | undefined {
    if (!this.hcr.En) return undefined
    const highest = this.highestPending()
    if (!highest || highest.priority >= this.vmcr.VPMR) return undefined
    const running = this.running()
    if (running === IDLE) return highest
    const against =
      this.config.preemptMask === 'running-masked' ? this.groupPriority(running, highest.group) : running
    return this.groupPriority(highest.priority, highest.group) < against ? highest : undefined
  }

  private acknowledge(group: 0 | 1): number {
    const lr = this.signalled()
    if (lr?.group !== group) return SPURIOUS
    lr.pending = false
    if (isSpecial(lr.vintid)) return lr.vintid
    lr.active = !isLpi(lr.vintid) || this.config.lpiActive === 'active'
    this.levels[group].add(this.groupPriority(lr.priority, group) / 2 ** (8 - this.config.preemptionBits))
    return lr.vintid
  }

  private endOfInterrupt(intid: number, group: 0 | 1): void {
    if (isSpecial(intid)) return
    const dropped = this.running()
    if (dropped === IDLE) return
    if (this.virtual) {
      this.endPhysical(intid, group, dropped, this.virtual)
      return
    }
    const level = dropped / 2 ** (8 - this.config.preemptionBits)
    if (!this.levels[1].delete(level)) this.levels[0].delete(level)
    const lr = this.activeOne(intid)
    const deactivates = !this.vmcr.VEOIM || isLpi(intid)
    if (!deactivates) return
    if (!lr) {
      if (!isLpi(intid)) this.count(intid)
    } else if (lr.group === group && this.groupPriority(lr.priority, group) === dropped) this.deactivate(lr)
  }

  /** On the physical interface the group of the highest active priority must be the register's. */
  private endPhysical(
    intid: number,
    group: 0 | 1,
    dropped: number,
    { physicallyActive }: VirtualInterfaceModel,
  ): void {
    const level = dropped / 2 ** (8 - this.config.preemptionBits)
    if (this.levels[group].delete(level) && !this.vmcr.VEOIM) physicallyActive.delete(intid)
  }

  private deactivateInterrupt(intid: number): void {
    if (!this.vmcr.VEOIM || intid >= 1020) return
    if (this.virtual) {
      this.virtual.physicallyActive.delete(intid)
      return
    }
    const lr = this.activeOne(intid)
    if (lr) this.deactivate(lr)
    else this.count(intid)
  }

  private activeOne(intid: number): ListRegister | undefined {
    return this.lrs.find((lr) => lr.active && lr.vintid === intid)
  }

  private deactivate(lr: ListRegister): void {
    lr.active = false
    if (lr.hw) this.physicallyActive.delete(lr.middle)
  }

  private count(intid: number): void {
    if (intid < 16 && this.hcr.vSGIEOICount) return
    this.hcr.EOIcount = (this.hcr.EOIcount + 1) % 32
  }

  private running(): number {
    const active = [...this.levels[0], ...this.levels[1]]
    return active.length === 0 ? IDLE : Math.min(...active) * 2 ** (8 - this.config.preemptionBits)
  }

  /** Group 0 keeps bits 7 to BPR0 + 1 of a priority; group 1 bits 7 to BPR1, or with CBPR as group 0. */
  private groupPriority(priority: number, group: 0 | 1): number {
    const { VBPR0, VBPR1, VCBPR } = this.vmcr
    const least = 2 ** (group === 0 || VCBPR ? VBPR0 + 1 : VBPR1)
    return Math.floor(priority / least) * least
  }

  private binaryPoint(group: 0 | 1, value: number): number {
    return Math.max(value, 7 - this.config.preemptionBits + group)
  }

  private implemented(priority: number): number {
    const least = 2 ** (8 - this.config.priorityBits)
    return Math.floor(priority / least) * least
  }

  private intidOf(value: bigint): number {
    return bits(value, this.config.intidBits - 1, 0)
  }

  private activePriorities(group: 0 | 1, n: number, isRead: boolean, value: bigint): Outcome {
    const levels = this.levels[group]
    let word = 0n
    for (let i = 0; i < 32; i++) {
      if (levels.has(32 * n + i)) word |= 1n << BigInt(i)
      if (isRead) continue
      if (bit(value, i)) levels.add(32 * n + i)
      else levels.delete(32 * n + i)
    }
    return done(isRead ? word : 0)
  }

  private listRegisterOf(value: bigint): ListRegister {
    return {
      pending: bit(value, 62),
      active: bit(value, 63),
      hw: bit(value, 61),
      group: bit(value, 60) ? 1 : 0,
      priority: this.implemented(bits(value, 55, 48)),
      middle: bits(value, 44, 32),
      vintid: this.intidOf(value),
    }
  }

  private valueOf(lr: ListRegister): bigint {
    const top = (lr.active ? 8 : 0) + (lr.pending ? 4 : 0) + (lr.hw ? 2 : 0) + lr.group
    return (
      (BigInt(top) << 60n) | (BigInt(lr.priority) << 48n) | (BigInt(lr.middle) << 32n) | BigInt(lr.vintid)
    )
  }

  private misr(): bigint {
    const { hcr, vmcr, lrs } = this
    return bitmap([
      lrs.some((lr) => !lr.pending && !lr.active && !lr.hw && (lr.middle & 0x200) !== 0),
      hcr.UIE && lrs.filter((lr) => lr.pending || lr.active).length < 2,
      hcr.LRENPIE && hcr.EOIcount > 0,
      hcr.NPIE && !lrs.some((lr) => lr.pending && !lr.active),
      hcr.VGrp0EIE && vmcr.VENG[0],
      hcr.VGrp0DIE && !vmcr.VENG[0],
      hcr.VGrp1EIE && vmcr.VENG[1],
      hcr.VGrp1DIE && !vmcr.VENG[1],
    ])
  }

  private vtr(): bigint {
    const { priorityBits, preemptionBits, intidBits, version, dvim, listRegisters } = this.config
    const id = intidBits === 24 ? 1 : 0
    const nV4 = version === '3' ? 1 : 0
    const fields = [priorityBits - 1, preemptionBits - 1, id, 0, 1, nV4, 1, Number(dvim), listRegisters - 1]
    const shifts = [29, 26, 23, 22, 21, 20, 19, 18, 0]
    return fields.reduce((value, field, i) => value | (BigInt(field) << BigInt(shifts[i])), 0n)
  }

  private readHcr(): bigint {
    const { hcr } = this
    const low = [
      hcr.En,
      hcr.UIE,
      hcr.LRENPIE,
      hcr.NPIE,
      hcr.VGrp0EIE,
      hcr.VGrp0DIE,
      hcr.VGrp1EIE,
      hcr.VGrp1DIE,
    ]
    const high = [hcr.vSGIEOICount, false, hcr.TC, hcr.TALL0, hcr.TALL1, hcr.TSEI, hcr.TDIR, hcr.DVIM]
    return bitmap([...low, ...high]) | (BigInt(hcr.EOIcount) << 27n)
  }

  private writeHcr(value: bigint): Outcome {
    const names = ['En', 'UIE', 'LRENPIE', 'NPIE', 'VGrp0EIE', 'VGrp0DIE', 'VGrp1EIE', 'VGrp1DIE'] as const
    for (const [n, name] of names.entries()) this.hcr[name] = bit(value, n)
    for (const [n, name] of (['TC', 'TALL0', 'TALL1', 'TSEI', 'TDIR'] as const).entries()) {
      this.hcr[name] = bit(value, 10 + n)
    }
    this.hcr.vSGIEOICount = this.config.version === '4.1' && bit(value, 8)
    this.hcr.DVIM = this.config.dvim && bit(value, 15)
    this.hcr.EOIcount = bits(value, 31, 27)
    return done(0)
  }

  private readVmcr(): bigint {
    const { VPMR, VBPR0, VBPR1, VEOIM, VCBPR, VENG } = this.vmcr
    const points = (BigInt(VPMR) << 24n) | (BigInt(VBPR0) << 21n) | (BigInt(VBPR1) << 18n)
    // Bit 3, VFIQEn, is RES1 while the guest uses system registers.
    return points | (VEOIM ? 0x200n : 0n) | (VCBPR ? 0x10n : 0n) | 0x8n | bitmap(VENG)
  }

  private writeVmcr(value: bigint): Outcome {
    this.vmcr.VPMR = this.implemented(bits(value, 31, 24))
    this.vmcr.VBPR0 = this.binaryPoint(0, bits(value, 23, 21))
    this.vmcr.VBPR1 = this.binaryPoint(1, bits(value, 20, 18))
    this.vmcr.VEOIM = bit(value, 9)
    this.vmcr.VCBPR = bit(value, 4)
    this.vmcr.VENG = [bit(value, 0), bit(value, 1)]
    return done(0)
  }
}

function bitmap(flags: readonly boolean[]): bigint {
  return flags.reduce((value, flag, n) => (flag ? value | (1n << BigInt(n)) : value), 0n)
}
