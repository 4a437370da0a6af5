/** A GIC with the two kinds of software that use the virtual CPU interface: a guest, and its hypervisor. */
import {
  Gic,
  type GicConfig,
  HCR_EL2,
  ICC_BPR0_EL1,
  ICC_BPR1_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICH_HCR_EL2,
  ichLr,
} from 'vgic'

/** ICH_LR<n>_EL2.State. */
export const states = { invalid: 0n, pending: 1n, active: 2n, 'pending+active': 3n } as const

/** The fields of a list register. A field that is left out is 0, except `state`, which is pending. */
export interface ListRegister {
  readonly state?: keyof typeof states
  readonly hw?: boolean
  readonly group?: 0 | 1
  readonly priority?: number
  readonly pintid?: number
  /** Bit 41: asks for an EOI maintenance interrupt. */
  readonly eoi?: boolean
  readonly vintid?: number
}

/** The 64 bits of a list register. */
export function lr({
  state = 'pending',
  hw = false,
  group = 0,
  priority = 0,
  pintid = 0,
  eoi = false,
  vintid = 0,
}: ListRegister): bigint {
  return (
    (states[state] << 62n) |
    (BigInt(hw) << 61n) |
    (BigInt(group) << 60n) |
    (BigInt(priority) << 48n) |
    (BigInt(eoi) << 41n) |
    (BigInt(pintid) << 32n) |
    BigInt(vintid)
  )
}

/** Software on one CPU at one exception level. */
export class Software {
  constructor(
    private readonly gic: Gic,
    private readonly cpu: number,
    readonly el: number,
  ) {}

  read(register: number): bigint {
    return this.gic.readSysreg64(this.cpu, register, this.el)
  }

  write(register: number, value: bigint | number): void {
    this.gic.writeSysreg64(this.cpu, register, BigInt(value), this.el)
  }

  /** The syndrome of a read; 0 if it succeeds. */
  syndromeOfRead(register: number): number {
    this.read(register)
    return this.gic.lastTrap
  }

  /** The syndrome of a write; 0 if it succeeds. */
  syndromeOfWrite(register: number, value: bigint | number = 0n): number {
    this.write(register, value)
    return this.gic.lastTrap
  }
}

export class Machine {
  readonly gic: Gic
  readonly guest: Software
  readonly hypervisor: Software

  /** Sets HCR_EL2.IMO and FMO: the guest's ICC_* accesses are to the virtual CPU interface. */
  constructor(
    config: Partial<GicConfig> = {},
    readonly cpu = 0,
  ) {
    this.gic = new Gic({ cpus: cpu + 1, ...config })
    this.guest = new Software(this.gic, cpu, 1)
    this.hypervisor = new Software(this.gic, cpu, 2)
    this.hypervisor.write(HCR_EL2, 0x18)
  }

  /** The hypervisor enables the interface; the guest enables both groups, unmasks all, and splits as finely as it can. */
  enabled(): this {
    this.hypervisor.write(ICH_HCR_EL2, 1)
    this.guest.write(ICC_PMR_EL1, 0xff)
    this.guest.write(ICC_BPR0_EL1, 0)
    this.guest.write(ICC_BPR1_EL1, 0)
    this.guest.write(ICC_IGRPEN0_EL1, 1)
    this.guest.write(ICC_IGRPEN1_EL1, 1)
    return this
  }

  /** The hypervisor writes list registers 0, 1, and so on. */
  list(...registers: readonly ListRegister[]): this {
    for (const [n, register] of registers.entries()) this.hypervisor.write(ichLr(n), lr(register))
    return this
  }

  /** The state of a list register. */
  state(n: number): keyof typeof states {
    const state = this.hypervisor.read(ichLr(n)) >> 62n
    const found = Object.entries(states).find(([, value]) => value === state)
    return found?.[0] as keyof typeof states
  }

  /** The virtual interrupt lines. */
  get lines(): { readonly virq: boolean; readonly vfiq: boolean } {
    return { virq: this.gic.line(this.cpu, 'virq') === 1, vfiq: this.gic.line(this.cpu, 'vfiq') === 1 }
  }

  get maintenance(): boolean {
    return this.gic.line(this.cpu, 'maintenance') === 1
  }
}

export const NO_LINE = { virq: false, vfiq: false } as const
export const VIRQ = { virq: true, vfiq: false } as const
export const VFIQ = { virq: false, vfiq: true } as const

/** The INTID that IAR and HPPIR return when no interrupt is pending. */
export const SPURIOUS = 1023n
/** ESR_ELx of an UNDEFINED instruction. */
export const UNDEFINED = 0x0200_0000
