/**
 * The registers of KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS: a vCPU's ICC_* registers as userspace reads and writes them.
 * They show the shadows of ICH_VMCR_EL2 and of the active priorities, which are the whole CPU interface state of a
 * vCPU that is not loaded. Registers that have no state (IAR, EOIR, RPR, ...) are not among them.
 */
import {
  ICC_AP0R0_EL1,
  ICC_AP1R0_EL1,
  ICC_BPR0_EL1,
  ICC_BPR1_EL1,
  ICC_CTLR_EL1,
  ICC_IGRPEN0_EL1,
  ICC_IGRPEN1_EL1,
  ICC_PMR_EL1,
  ICC_SRE_EL1,
} from '../../arch/icc-registers.ts'
import {
  VMCR_VBPR0,
  VMCR_VCBPR,
  VMCR_VENG0,
  VMCR_VENG1,
  VMCR_VPMR,
  VTR_PREbits,
  VTR_PRIbits,
} from '../../arch/ich-registers.ts'
import { registerByEncoding } from '../../arch/register-value.ts'
import type { Encoding } from '../../arch/sysreg.ts'
import { VgicError } from '../../errors/vgic-error.ts'
import { bpr1Of, CTLR_CONTROLS, controlsOfCtlr, ctlrOf } from '../../gic/cpu-interface/common-registers.ts'
import { VCPU_AP0R, VCPU_AP1R, VCPU_CTLR_LESS, VCPU_VMCR, type Vcpu } from '../records/vcpu.ts'

/** What the registers need of a vCPU's CPU interface. */
export interface VcpuInterface {
  readonly words: Int32Array
  /** The vCPU's record. */
  readonly v: Vcpu
  /** ICH_VTR_EL2 of the host. */
  readonly vtr: number
}

/** A register of the group. `write` returns whether the register takes the value. */
export interface CpuSysreg {
  readonly encoding: Encoding
  readonly name: string
  /** Whether it exists with the host's preemption bits. */
  readonly exists: (vtr: number) => boolean
  read(vcpu: VcpuInterface): number
  write(vcpu: VcpuInterface, value: number): boolean
}

const always = (): boolean => true

const vmcrOf = ({ words, v }: VcpuInterface): number => words[v + VCPU_VMCR]

/** A register whose state is fields of ICH_VMCR_EL2, with this mask. */
const ofVmcr = (
  encoding: Encoding,
  read: (vmcr: number) => number,
  mask: number,
  bits: (value: number, vmcr: number) => number,
): CpuSysreg => ({
  encoding,
  name: registerByEncoding(encoding).name,
  exists: always,
  read: (vcpu) => read(vmcrOf(vcpu)) >>> 0,
  write: (vcpu, value) => {
    const vmcr = vmcrOf(vcpu)
    vcpu.words[vcpu.v + VCPU_VMCR] = (vmcr & ~mask) | (bits(value, vmcr) & mask)
    return true
  },
})

const VPMR = 0xff00_0000 | 0
const VBPR0 = 7 << 21
const VBPR1 = 7 << 18
const SRE_FIXED = 7
/** Fields of ICC_CTLR_EL1 that are read-only for a guest. */
const CTLR_PRI_BITS = 0x700
const CTLR_ID_BITS = 0x3800
const CTLR_SEIS = 0x4000
const CTLR_A3V = 0x8000

/** Those of the host: A3V, 24 or 16 INTID bits, and the priority bits. There are no SEIs. */
const hostCtlr = (vtr: number): number => CTLR_A3V | (((vtr >>> 23) & 7) << 11) | (VTR_PRIbits(vtr) << 8)

/** Those of a vCPU, which may have fewer bits. */
const ctlrFixed = ({ words, v, vtr }: VcpuInterface): number => hostCtlr(vtr) - words[v + VCPU_CTLR_LESS]

/** A vCPU gets the priority bits or the INTID bits of a value, if it has as many. */
function lowerBits(vcpu: VcpuInterface, field: number, value: number): boolean {
  const less = (ctlrFixed(vcpu) & field) - (value & field)
  if (less < 0) return false
  vcpu.words[vcpu.v + VCPU_CTLR_LESS] += less
  return true
}

/**
 * A VM that comes from another host may have fewer priority and INTID bits, from now on; SEIS and A3V must be the host's. As
 * in KVM what comes before the field that is refused was taken by then, and other bits mean nothing.
 */
function writeCtlr(vcpu: VcpuInterface, value: number): boolean {
  if (!lowerBits(vcpu, CTLR_PRI_BITS, value) || !lowerBits(vcpu, CTLR_ID_BITS, value)) return false
  if ((value ^ hostCtlr(vcpu.vtr)) & (CTLR_SEIS | CTLR_A3V)) return false
  vcpu.words[vcpu.v + VCPU_VMCR] = (vmcrOf(vcpu) & ~CTLR_CONTROLS) | controlsOfCtlr(value)
  return true
}

/** `ICC_AP<group>R<n>_EL1`: 1, 2 or 4 exist for 5, 6 or 7 preemption bits of the host, whatever ICC_CTLR_EL1 says. */
const activePriorities = (first: number, at: number): CpuSysreg[] =>
  [0, 1, 2, 3].map((n) => ({
    encoding: first + n,
    name: registerByEncoding(first + n).name,
    exists: (vtr) => n < 1 << (VTR_PREbits(vtr) - 4),
    read: ({ words, v }) => words[v + at + n] >>> 0,
    write: ({ words, v }, value) => {
      words[v + at + n] = value | 0
      return true
    },
  }))

/**
 * The registers in the order in which they are restored. With CBPR set, ICC_BPR1_EL1 reads as ICC_BPR0_EL1 plus 1 and
 * takes no other value.
 */
export const cpuSysregs: readonly CpuSysreg[] = [
  {
    encoding: ICC_SRE_EL1,
    name: 'ICC_SRE_EL1',
    exists: always,
    read: () => SRE_FIXED,
    write: (_vcpu, value) => (value & 1) === 1,
  },
  {
    encoding: ICC_CTLR_EL1,
    name: 'ICC_CTLR_EL1',
    exists: always,
    read: (vcpu) => ctlrFixed(vcpu) | ctlrOf(vmcrOf(vcpu)),
    write: writeCtlr,
  },
  ofVmcr(
    ICC_PMR_EL1,
    (vmcr) => VMCR_VPMR(vmcr),
    VPMR,
    (value) => value << 24,
  ),
  ofVmcr(
    ICC_BPR0_EL1,
    (vmcr) => VMCR_VBPR0(vmcr),
    VBPR0,
    (value) => value << 21,
  ),
  ofVmcr(ICC_BPR1_EL1, bpr1Of, VBPR1, (value, vmcr) => (vmcr & VMCR_VCBPR ? vmcr : value << 18)),
  ofVmcr(
    ICC_IGRPEN0_EL1,
    (vmcr) => (vmcr & VMCR_VENG0 ? 1 : 0),
    VMCR_VENG0,
    (value) => (value & 1 ? VMCR_VENG0 : 0),
  ),
  ofVmcr(
    ICC_IGRPEN1_EL1,
    (vmcr) => (vmcr & VMCR_VENG1 ? 1 : 0),
    VMCR_VENG1,
    (value) => (value & 1 ? VMCR_VENG1 : 0),
  ),
  ...activePriorities(ICC_AP0R0_EL1, VCPU_AP0R),
  ...activePriorities(ICC_AP1R0_EL1, VCPU_AP1R),
]

/**
 * Finds a register by its encoding. Throws ENOENT for one that is not in the group, EINVAL for one that this silicon
 * lacks.
 */
export function cpuSysreg(encoding: Encoding, vtr: number): CpuSysreg {
  const register = cpuSysregs.find((one) => one.encoding === encoding)
  if (!register) {
    throw new VgicError(
      'ENOENT',
      `${encoding} is not a register of CPU_SYSREGS: use the encoding of one that has state.`,
    )
  }
  if (register.exists(vtr)) return register
  throw new VgicError(
    'EINVAL',
    `${register.name} does not exist with ${VTR_PREbits(vtr) + 1} preemption bits.`,
  )
}
