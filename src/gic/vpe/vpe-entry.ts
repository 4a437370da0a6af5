/**
 * The entry of a vPE in GICv4.1's vPE configuration table, 32 bytes. What it looks like is IMPLEMENTATION DEFINED:
 *
 * | word | |
 * |---|---|
 * | 0 | what ITSs know of the vPE: the CPU, bits 15:0, and which of them have it mapped, bits 23:16; see its/vpe-entries.ts |
 * | 1 | allocated 31, a doorbell is requested 30, for group 1 29, for group 0 28, VPT_size 20:16, the CPU 15:0 |
 * | 2, 3 | the address of the virtual pending table |
 * | 4, 5 | the address of the virtual LPI configuration table |
 * | 6 | the INTID of the default doorbell |
 * | 7 | 0 |
 *
 * ITSs and redistributors share a table, or each have one; then the words that are the other's are 0. Software may have
 * written anything into a table: what is read is checked.
 */
export const VPE_ENTRY_SHIFT = 5

/** Byte offsets; the word at 0 is the ITSs'. */
export const ENTRY_FLAGS = 4
export const ENTRY_VPT = 8
export const ENTRY_VCONF = 16
export const ENTRY_DOORBELL = 24

/** Fields of the word at ENTRY_FLAGS. */
export const VPE_ALLOCATED = 0x80000000 | 0
export const VPE_REQUESTED = 0x40000000
export const VPE_REQUESTED_GROUP_1 = 0x20000000
export const VPE_REQUESTED_GROUP_0 = 0x10000000
/** All three. */
export const VPE_REQUEST = 0x70000000
export const entrySize = (flags: number): number => (flags >>> 16) & 0x1f
export const entryCpu = (flags: number): number => flags & 0xffff
