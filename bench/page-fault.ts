/**
 * What a page fault takes: the first access to memory that the system has promised. On hardware it is a fraction of a
 * microsecond, in some virtual machines twenty, and then most of what new objects take.
 */

const PAGE = 4096
const PAGES = 2000

/** Microseconds that the first write to a page of new memory takes. */
export function pageFaultUs(): number {
  const memory = new Uint8Array(PAGES * PAGE)
  const start = performance.now()
  for (let page = 0; page < PAGES; page++) memory[page * PAGE] = 1
  return ((performance.now() - start) * 1000) / PAGES
}
