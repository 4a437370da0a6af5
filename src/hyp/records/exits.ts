/** Why a vCPU left the guest. */
export const EXIT_IRQ = 0
export const EXIT_WFI = 1
export const EXIT_WFE = 2
export const EXIT_SYSREG = 3
export const EXIT_HVC = 4
export const EXIT_SUSPEND = 5
export const EXIT_USERSPACE = 6
export const EXIT_OFF = 7
export const EXIT_MMIO = 8
/**
 * Their names, by value: host interrupt, WFx, trapped system register, HVC, PSCI CPU_SUSPEND, userspace, power off,
 * and an access to memory that is none, which the emulated GIC or userspace answers.
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
]
/** Name of an exit's cause. */
export type ExitName = 'irq' | 'wfi' | 'wfe' | 'sysreg' | 'hvc' | 'suspend' | 'userspace' | 'off' | 'mmio'
