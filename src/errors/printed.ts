/** Helpers for the short forms in which machines print. */

/** `1 CPU`, `2 CPUs`. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`

const MOST = 8

/** The names of some things, at most {@link MOST} of them: `cpu0, cpu1 and 510 more`. */
export function listed<T>(things: readonly T[], nameOf: (thing: T) => string): string {
  const names = things.slice(0, MOST).map(nameOf).join(', ')
  return things.length <= MOST ? names : `${names} and ${things.length - MOST} more`
}

/** `0xa0`; a negative number as the 32-bit word that it stands for. */
export const hex = (value: number | bigint): string =>
  `0x${(typeof value === 'number' && value < 0 ? value >>> 0 : value).toString(16)}`
