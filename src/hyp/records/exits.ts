/** The reasons for a vCPU's exit from its guest. */
export const EXIT_IRQ = 0
export const EXIT_WFI = 1
export const EXIT_WFE = 2
export const EXIT_SYSREG = 3
export const EXIT_HVC = 4
export const EXIT_SUSPEND = 5
export const EXIT_USERSPACE = 6
export const EXIT_OFF = 7
export const EXIT_MMIO = 8
export const EXIT_ERET = 9
/**
 * The names of the reasons, by value: interrupt of the host, WFI, WFE, trapped system register access, HVC, PSCI
 * CPU_SUSPEND, exit to userspace, power off, an access to an address without memory, which the emulated GIC or
 * userspace handles, and the ERET of a guest hypervisor to its own guest.
 */
export const exitNames: readonly ExitName[] = [
  'irq',
  'wfi',
  'wfe',
  'sysreg',
  'hvc',
  'suspend',
  'userspace',
  'off',
  'mmio',
  'eret',
]
/** The name of an exit's reason. */
export type ExitName =
  | 'irq'
  | 'wfi'
  | 'wfe'
  | 'sysreg'
  | 'hvc'
  | 'suspend'
  | 'userspace'
  | 'off'
  | 'mmio'
  | 'eret'
