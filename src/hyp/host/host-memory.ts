/**
 * Where the host keeps its tables. The host's memory and its guest's are one pool of lines; the guest does not reach the
 * part that is the host's.
 */

/** The part of memory that is the host's. */
export const HOST_MEMORY = { base: 0x1000_0000, size: 0x0800_0000 } as const

const { base } = HOST_MEMORY
/** A table has pages of 64 KiB. */
export const HOST_PAGE = 0x1_0000

/** The configuration of LPIs: GICR_PROPBASER. */
export const LPI_CONFIGURATION = base
export const COLLECTION_TABLE = base + 0x2_0000
export const VPE_TABLE = base + 0x3_0000
/** Of 4 KiB. */
export const COMMAND_QUEUE = base + 0x4_0000
/** The ITT of the device that stands for doorbells. */
export const PROXY_ITT = base + 0x5_0000
/** The configuration of the VM's vLPIs. */
export const VLPI_CONFIGURATION = base + 0x6_0000
/** Of eight pages. */
export const DEVICE_TABLE = base + 0x8_0000
/** The ITTs of devices, a page each. */
export const ITTS = base + 0x10_0000
/** The pending tables of LPIs, a page a CPU. */
export const PENDING_TABLES = base + 0x200_0000
/** For how many devices there are ITTs. */
export const ITT_COUNT = (PENDING_TABLES - ITTS) / HOST_PAGE
/** The virtual pending tables, a page a vPE. */
export const VIRTUAL_PENDING_TABLES = base + 0x500_0000
