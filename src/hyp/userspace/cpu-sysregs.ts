/**
 * The registers of KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS: a vCPU's ICC_* registers as userspace reads and writes them.
 * They show the shadows of ICH_VMCR_EL2 and of the active priorities, which are the whole CPU interface state of a
 * vCPU that is not loaded. Registers that have no state (IAR, EOIR, RPR, ...) are not among them.
 */
import {
  CTLR_CBPR,
  CTLR_EOImode,
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
import { VCPU_AP0R, VCPU_AP1R, VCPU_VMCR, type Vcpu } from '../records/vcpu.ts'

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
  read: (vmcr: number, vtr: number) => number,
  mask: number,
  bits: (value: number, vmcr: number) => number,
  takes: (value: number, vcpu: VcpuInterface) => boolean = () => true,
): CpuSysreg => ({
  encoding,
  name: registerByEncoding(encoding).name,
  exists: always,
  read: (vcpu) => read(vmcrOf(vcpu), vcpu.vtr) >>> 0,
  write: (vcpu, value) => {
    if (!takes(value, vcpu)) return false
    const vmcr = vmcrOf(vcpu)
    vcpu.words[vcpu.v + VCPU_VMCR] = (vmcr & ~mask) | (bits(value, vmcr) & mask)
    return true
  },
})

const VPMR = 0xff00_0000 | 0
const VBPR0 = 7 << 21
const VBPR1 = 7 << 18
const SRE_FIXED = 7
const CTLR_A3V = 0x8000

/** ICC_CTLR_EL1's read-only fields: A3V, 24 or 16 INTID bits, and the priority bits. */
const ctlrFixed = (vtr: number): number => CTLR_A3V | (((vtr >>> 23) & 7) << 11) | (VTR_PRIbits(vtr) << 8)

const CTLR_WRITABLE = CTLR_EOImode | CTLR_CBPR

/** `ICC_AP<group>R<n>_EL1`: 1, 2 or 4 exist for 5, 6 or 7 preemption bits. */
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
  ofVmcr(
    ICC_CTLR_EL1,
    (vmcr, vtr) => ctlrFixed(vtr) | ctlrOf(vmcr),
    CTLR_CONTROLS,
    controlsOfCtlr,
    (value, { vtr }) => (value & ~CTLR_WRITABLE) === ctlrFixed(vtr),
  ),
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
