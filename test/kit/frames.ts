/** Addresses of the frames, the silicon's and a guest's, and offsets of their registers. */
export const GICD = 0x0800_0000
export const GITS = 0x0808_0000
export const GICR = 0x080a_0000
export const GICR_STRIDE = 0x2_0000
export const SGI_BASE = 0x1_0000
export const ONES = 0xffff_ffff

/** Offsets in GICR. */
export const WAKER = 0x14

/** Offsets that are the same in GICD and from SGI_base. */
export const IGROUPR = 0x80
export const ISENABLER = 0x100
export const ICENABLER = 0x180
export const ISPENDR = 0x200
export const ICPENDR = 0x280
export const ISACTIVER = 0x300
export const ICACTIVER = 0x380
export const IPRIORITYR = 0x400
export const ICFGR = 0xc00
/** Offsets in GICD, for INTID 0. */
export const IROUTER = 0x6000

/** Bits of GICR_VPENDBASER. The first is also that of other registers, of table entries and of commands. */
export const VALID = 1n << 63n
export const DOORBELL = 1n << 62n
export const PENDING_LAST = 1n << 61n
export const DIRTY = 1n << 60n

/** The registers with a bit for each interrupt. */
export const bitmaps = { IGROUPR, ISENABLER, ICENABLER, ISPENDR, ICPENDR, ISACTIVER, ICACTIVER } as const
export type Bitmap = keyof typeof bitmaps

/** RD_base and SGI_base of a CPU or vCPU. */
export const redistributor = (n: number): number => GICR + n * GICR_STRIDE
export const sgiBase = (n: number): number => redistributor(n) + SGI_BASE
/** The register with an SPI's bit, for registers of one bit for each interrupt. */
export const wordOf = (offset: number, intid: number): number => GICD + offset + 4 * (intid >> 5)
export const bitOf = (intid: number): number => 2 ** (intid & 31)
