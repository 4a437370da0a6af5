/**
 * The choices of an implementation: where the architecture leaves one, or where implementations are known to differ
 * and both can be defended. Each has a name and is read in one place of the silicon; profiles are sets of them. Plain
 * bugs of an implementation are not choices, except those on which a recorded hypervisor depends: without them its
 * recordings could not be judged.
 */
import { configOneOf, configOptions, type Fields } from '../../errors/arguments.ts'

/** The choices of the silicon. */
export interface SiliconChoices {
  /**
   * What a list register with an LPI becomes when it is acknowledged. `invalid`: LPIs have no active state
   * (IHI 0069, "LPIs"). `active`: it stays until the EOI, as on QEMU 7.2, and a further MSI makes it
   * pending and active.
   */
  readonly lpiActive: 'invalid' | 'active'
  /**
   * What the pending group priority is compared with to decide on preemption. `running`: the running
   * priority as the active priorities registers recorded it. `running-masked`: the running priority with
   * the pending interrupt's group mask applied, as QEMU 7.2 does. They differ only when the two groups use
   * different binary points, or when a binary point was written since the acknowledge.
   */
  readonly preemptMask: 'running' | 'running-masked'
  /**
   * Which group's enable ICH_MISR_EL2.VGrp0D follows, with ICH_HCR_EL2.VGrp0DIE. `group-0`: ICH_VMCR_EL2.VENG0, as the
   * architecture says. `group-1`: VENG1, a bug of QEMU: with a guest that enables group 0 alone, a hypervisor that sets
   * VGrp0DIE takes maintenance interrupts without end.
   */
  readonly misrVgrp0d: 'group-0' | 'group-1'
  /**
   * Whether an EOIR in EOImode 1 counts in ICH_HCR_EL2.EOIcount, if no list register has its INTID. `not-counted`: it
   * drops the priority, and only the DIR deactivates and counts. `counted`: both count, a bug of QEMU.
   */
  readonly eoicountInEoimode1: 'not-counted' | 'counted'
  /**
   * What a pending interrupt of a group that the CPU interface disables (`ICC_IGRPEN<n>_EL1`) does to pending ones of
   * the other group. `not-forwarded`: nothing, it is not forwarded to the CPU interface. `hides`: if it has the
   * higher priority, HPPIR and IAR return 1023 and nothing is signalled, as on QEMU 7.2.
   */
  readonly disabledGroup: 'not-forwarded' | 'hides'
  /**
   * What GICD_TYPER.ITLinesNumber says. `all`: all INTIDs that exist. `one-block-less`: 32 fewer, as on QEMU 7.2, whose
   * GICD_TYPER leaves out the private ones.
   */
  readonly itLinesNumber: 'all' | 'one-block-less'
  /**
   * Which bits `GICD_IPRIORITYR<n>` and `GICR_IPRIORITYR<n>` implement. `implemented`: as many as the CPU interface;
   * the others are RAZ/WI. `eight-bits`: all, interrupts are ordered by them, and one of priority 0xff is never
   * pending for a CPU interface, as on QEMU 7.2.
   */
  readonly distributorPriority: 'implemented' | 'eight-bits'
  /**
   * What GICR_WAKER does. `holds`: while the PE sleeps, no interrupt is forwarded to it, and one that would be raises a
   * wake request. `ignored`: the register reads back and has no effect, as on QEMU 7.2; the power management of a PE is
   * IMPLEMENTATION DEFINED. Guests that never write GICR_WAKER, as kvm-unit-tests do not, get interrupts with `ignored`
   * only.
   */
  readonly waker: 'holds' | 'ignored'
  /**
   * What ICC_SGI1R_EL1 does to a target whose SGI is in group 0, with one Security state. `ignored`: nothing; the
   * register generates group 1 SGIs, as its description says and as on QEMU 7.2. `forwarded`: the SGI is made
   * pending, as in Linux KVM's vGIC; GICR_NSACR, which forbids it to the Non-secure side of two Security states, does
   * not exist. Software that uses the register for the SGI's group sees no difference.
   */
  readonly sgi1rGroup0: 'ignored' | 'forwarded'
  /**
   * What the SGI registers do with a range selector that is not supported (CONSTRAINED UNPREDICTABLE). `ignored`: it
   * is taken as 0, as on QEMU 7.2. `no-target`: no PE is targeted.
   */
  readonly sgiRangeSelector: 'ignored' | 'no-target'
  /**
   * Whether redistributors cache the configuration of LPIs. `cached`: a byte is read when an LPI is first used, and a
   * change of it in memory has no effect before INV, INVALL, GICR_INVLPIR or GICR_INVALLR. `uncached`: it is read
   * again whenever the LPI is made pending, as QEMU 7.2 does, but not while the LPI stays pending.
   */
  readonly lpiConfig: 'cached' | 'uncached'
  /**
   * What setting GICR_PENDBASER.PTZ does. `honoured`: the pending table is not read when EnableLPIs is set next, and
   * the bit reads as zero. `ignored`: the table is always read, and the bit reads as written, as on QEMU 7.2.
   * So it is with GICR_VPENDBASER.IDAI and the virtual pending tables of GICv4.0.
   */
  readonly pendingTableZero: 'honoured' | 'ignored'
  /**
   * What a command error does. `ignored`: the command has no effect, the host is notified, and the queue goes on, as
   * on QEMU 7.2. `stall`: the queue stops at the command with GITS_CREADR.Stalled set until software writes
   * GITS_CWRITER.Retry. Where memory refuses an access, the queue always stalls.
   */
  readonly commandErrors: 'ignored' | 'stall'
  /**
   * Which bits of GITS_CWRITER and GITS_CREADR are implemented. `architected`: the offset and GITS_CREADR.Stalled;
   * GITS_CREADR is read only. `as-written`: all bits but Retry and Stalled, and GITS_CREADR can be written, as on
   * QEMU 7.2. Only the offset has an effect.
   */
  readonly queueRegisters: 'architected' | 'as-written'
  /**
   * Which of a resident vPE's interrupts and of the list registers' wins where both have one priority. `list-register`:
   * that of the list register, as on QEMU 7.2. `direct`: the vPE's. IMPLEMENTATION DEFINED (rule 141).
   */
  readonly directPriority: 'list-register' | 'direct'
  /**
   * Whether a vLPI that is disabled rings its doorbell on GICv4.0. `rings`: the redistributor does not know the
   * configuration of a vPE that is not resident, as on QEMU 7.2. `silent`: it goes by the configuration table that its
   * GICR_VPROPBASER names at the time.
   */
  readonly doorbellOfDisabled: 'rings' | 'silent'
  /** Whether a message for a vLPI that is pending already rings its doorbell on GICv4.0. `rings`: as on QEMU 7.2. */
  readonly doorbellOfPending: 'silent' | 'rings'
  /**
   * Whether VMOVI of a pending vLPI to a vPE that is not resident rings a doorbell on GICv4.0. `rings`: as on QEMU 7.2.
   */
  readonly doorbellOfMoved: 'silent' | 'rings'
  /**
   * Whether a pending vLPI or vSGI that is enabled rings the default doorbell that waits for an interrupt, on GICv4.1
   * (rule 57). `silent`: it did not become pending.
   */
  readonly doorbellOfEnabled: 'silent' | 'rings'
  /** What VMOVP with DB = 0 does to a pending default doorbell (rule 66). `stays`: it is pending where it was. */
  readonly doorbellOfMovedVpe: 'stays' | 'moves'
  /**
   * What GICR_VPENDBASER.PendingLast reads as if all that is pending is disabled (rule 36). `one` is deprecated.
   */
  readonly pendingLastDisabled: 'zero' | 'one'
  /**
   * What GICR_VPENDBASER.PendingLast reads as if it was written 1 with Valid 1 to 0 on GICv4.1 (rule 37). `one`: the GIC
   * does not look. `looked-up`: as if it had been written 0, but no doorbell is requested.
   */
  readonly pendingLastWritten: 'one' | 'looked-up'
  /** What it reads as if all that is pending is in groups with VGrpNEn = 0 (rule 41). */
  readonly pendingLastOfGroup: 'zero' | 'one'
  /** Whether ICH_VMCR_EL2.VENGn = 0 keeps a group out of PendingLast on GICv4.1 (rule 45). */
  readonly pendingLastVeng: 'ignored' | 'counts'
  /**
   * What becomes of a vSGI that comes for a resident vPE in a group with VGrpNEn = 0 (rule 42). `kept`: it stays pending.
   * `lost`: as was seen on a GIC-700.
   */
  readonly vsgiOfDisabledGroup: 'kept' | 'lost'
  /** Whether the vSGIs of a vPE outlive VMAPP with V = 0 where it is mapped again with PTZ = 0 (rule 87). */
  readonly vsgiAcrossUnmap: 'kept' | 'lost'
  /** What GITS_SGIR does while the ITS is disabled (rule 136). */
  readonly sgirWhileDisabled: 'ignored' | 'taken'
  /**
   * What VPT_size of VMAPP is on GICv4.1 (rule 94). `minus-one`: bits of a vINTID less one, 5 bits wide, as Linux has it.
   * `bits`: their number, as Gunyah has it.
   */
  readonly vptSize: 'minus-one' | 'bits'
  /** What a write of GICD_CTLR does that disables all groups and changes nASSGIreq (rule 5). */
  readonly nassgireqOnDisable: 'taken' | 'kept'
  /** What GICR_VPROPBASER.Z reads as (rule 25). */
  readonly vpropbaserZ: 'zero' | 'as-written'
}

/** Every choice with its values; a value's index is how an image stores it. */
export const choiceValues: { readonly [K in keyof SiliconChoices]: readonly SiliconChoices[K][] } = {
  lpiActive: ['invalid', 'active'],
  preemptMask: ['running', 'running-masked'],
  misrVgrp0d: ['group-0', 'group-1'],
  eoicountInEoimode1: ['not-counted', 'counted'],
  disabledGroup: ['not-forwarded', 'hides'],
  itLinesNumber: ['all', 'one-block-less'],
  distributorPriority: ['implemented', 'eight-bits'],
  waker: ['holds', 'ignored'],
  sgi1rGroup0: ['ignored', 'forwarded'],
  sgiRangeSelector: ['ignored', 'no-target'],
  lpiConfig: ['cached', 'uncached'],
  pendingTableZero: ['honoured', 'ignored'],
  commandErrors: ['ignored', 'stall'],
  queueRegisters: ['architected', 'as-written'],
  directPriority: ['list-register', 'direct'],
  doorbellOfDisabled: ['rings', 'silent'],
  doorbellOfPending: ['silent', 'rings'],
  doorbellOfMoved: ['silent', 'rings'],
  doorbellOfEnabled: ['silent', 'rings'],
  doorbellOfMovedVpe: ['stays', 'moves'],
  pendingLastDisabled: ['zero', 'one'],
  pendingLastWritten: ['one', 'looked-up'],
  pendingLastOfGroup: ['zero', 'one'],
  pendingLastVeng: ['ignored', 'counts'],
  vsgiOfDisabledGroup: ['kept', 'lost'],
  vsgiAcrossUnmap: ['kept', 'lost'],
  sgirWhileDisabled: ['ignored', 'taken'],
  vptSize: ['minus-one', 'bits'],
  nassgireqOnDisable: ['taken', 'kept'],
  vpropbaserZ: ['zero', 'as-written'],
}
/** The names of the choices, in the order in which an image stores them. */
export const choiceNames = Object.keys(choiceValues) as readonly (keyof SiliconChoices)[]

/** The name of a profile. */
export type ProfileName = 'arch' | 'qemu-7.2' | 'qemu-11.1' | 'qemu-11.1-fixed'

/** What is open in the architecture's text about vPEs. */
const ARCH_VPES = {
  directPriority: 'list-register',
  doorbellOfDisabled: 'rings',
  doorbellOfPending: 'silent',
  doorbellOfMoved: 'silent',
  doorbellOfEnabled: 'silent',
  doorbellOfMovedVpe: 'stays',
  pendingLastDisabled: 'zero',
  pendingLastWritten: 'one',
  pendingLastOfGroup: 'zero',
  pendingLastVeng: 'ignored',
  vsgiOfDisabledGroup: 'kept',
  vsgiAcrossUnmap: 'kept',
  sgirWhileDisabled: 'ignored',
  vptSize: 'minus-one',
  nassgireqOnDisable: 'taken',
  vpropbaserZ: 'zero',
} as const satisfies Partial<SiliconChoices>

/** What QEMU 7.2's GICv3 does. */
const QEMU_7_2: SiliconChoices = {
  lpiActive: 'active',
  preemptMask: 'running-masked',
  misrVgrp0d: 'group-1',
  eoicountInEoimode1: 'counted',
  disabledGroup: 'hides',
  itLinesNumber: 'one-block-less',
  distributorPriority: 'eight-bits',
  waker: 'ignored',
  sgi1rGroup0: 'ignored',
  sgiRangeSelector: 'ignored',
  lpiConfig: 'uncached',
  pendingTableZero: 'ignored',
  commandErrors: 'ignored',
  queueRegisters: 'as-written',
  ...ARCH_VPES,
  doorbellOfPending: 'rings',
  doorbellOfMoved: 'rings',
}

/**
 * QEMU 11.1's GICv3 on a CPU without FEAT_GICv3_NMI. Bit 59 of its list registers reads as zero, as in every profile
 * here: none keeps RES0 bits of a list register.
 */
const QEMU_11_1: SiliconChoices = { ...QEMU_7_2, itLinesNumber: 'all' }

/** Named sets of choices. `arch` is the default. */
export const profiles: Readonly<Record<ProfileName, SiliconChoices>> = {
  /** The plain reading of the architecture. */
  arch: {
    lpiActive: 'invalid',
    preemptMask: 'running',
    misrVgrp0d: 'group-0',
    eoicountInEoimode1: 'not-counted',
    disabledGroup: 'not-forwarded',
    itLinesNumber: 'all',
    distributorPriority: 'implemented',
    waker: 'holds',
    sgi1rGroup0: 'ignored',
    sgiRangeSelector: 'ignored',
    lpiConfig: 'cached',
    pendingTableZero: 'honoured',
    commandErrors: 'ignored',
    queueRegisters: 'architected',
    ...ARCH_VPES,
  },
  'qemu-7.2': QEMU_7_2,
  'qemu-11.1': QEMU_11_1,
  /**
   * QEMU 11.1 with the two deviations corrected that Linux 7.2 runs into: it takes VGrp0D and EOIcount to be what the
   * architecture says. Its recordings were made on that.
   */
  'qemu-11.1-fixed': { ...QEMU_11_1, misrVgrp0d: 'group-0', eoicountInEoimode1: 'not-counted' },
}

const choiceFields = Object.fromEntries(choiceNames.map((name) => [name, true])) as Fields<SiliconChoices>

/** A profile's choices with single ones replaced. Throws a `config` error for a name or value that does not exist. */
export function chooseFrom(profile: ProfileName, replaced: Partial<SiliconChoices>): SiliconChoices {
  configOneOf('profile', profile, Object.keys(profiles) as ProfileName[])
  configOptions('choices', replaced, choiceFields)
  const given = Object.entries(replaced).filter(([, value]) => value !== undefined)
  for (const [name, value] of given) {
    configOneOf<string>(`choices.${name}`, value, choiceValues[name as keyof SiliconChoices])
  }
  return { ...profiles[profile], ...Object.fromEntries(given) }
}
