/**
 * The translation cache of a VM's ITSs: which LPI a message means, so that it can be injected without the ITS's lock
 * (KVM's vgic_its_cache_translation). It holds a reference to each LPI; whatever can change a translation forgets all of
 * them. Its lock is never held over a yield point, so it needs no word: {@link TranslationCache.invalidate} gives back what
 * it has erased in one section.
 */
import {
  CACHED_DEVICE,
  CACHED_EVENT,
  CACHED_ITS,
  CACHED_LPI,
  CACHED_STRIDE,
  LPIS_CACHE_NEXT,
  type LpiLayout,
} from '../records/lpi-record.ts'
import type { Irq } from '../records/vgic-irq.ts'
import type { VgicLpis } from './vgic-lpis.ts'

export class TranslationCache {
  constructor(
    readonly words: Int32Array,
    readonly layout: LpiLayout,
    readonly lpis: VgicLpis,
  ) {}

  /** The LPI of a message; 0 if its translation is not cached. */
  find(its: number, deviceId: number, eventId: number): Irq | 0 {
    const { words, layout } = this
    const end = layout.translations + layout.translationCount * CACHED_STRIDE
    for (let at = layout.translations; at < end && words[at + CACHED_ITS] !== 0; at += CACHED_STRIDE) {
      if (
        words[at + CACHED_EVENT] === eventId &&
        words[at + CACHED_DEVICE] === deviceId &&
        words[at + CACHED_ITS] === its + 1
      )
        return this.lpis.at(words[at + CACHED_LPI])
    }
    return 0
  }

  /** Caches a translation, in place of the oldest if all entries are in use. */
  add(its: number, deviceId: number, eventId: number, irq: Irq): void {
    const { words, layout } = this
    if (layout.translationCount === 0 || this.find(its, deviceId, eventId) !== 0) return
    const next = words[layout.common + LPIS_CACHE_NEXT]
    const at = layout.translations + next * CACHED_STRIDE
    this.lpis.get(irq)
    if (words[at + CACHED_ITS] !== 0) this.lpis.put(this.lpis.at(words[at + CACHED_LPI]))
    words[at + CACHED_ITS] = its + 1
    words[at + CACHED_DEVICE] = deviceId
    words[at + CACHED_EVENT] = eventId
    words[at + CACHED_LPI] = this.lpis.slotOf(irq)
    words[layout.common + LPIS_CACHE_NEXT] = next + 1 === layout.translationCount ? 0 : next + 1
  }

  /** Forgets all of them. */
  invalidate(): void {
    const { words, layout } = this
    const first = layout.translations
    if (layout.translationCount === 0 || words[first + CACHED_ITS] === 0) return
    const end = first + layout.translationCount * CACHED_STRIDE
    let at = first
    for (; at < end && words[at + CACHED_ITS] !== 0; at += CACHED_STRIDE)
      this.lpis.put(this.lpis.at(words[at + CACHED_LPI]))
    words.fill(0, first, at)
    words[layout.common + LPIS_CACHE_NEXT] = 0
  }

  /** The LPI of the first translation; 0 if there is none. */
  first(): Irq | 0 {
    const { words, layout } = this
    if (layout.translationCount === 0 || words[layout.translations + CACHED_ITS] === 0) return 0
    return this.lpis.at(words[layout.translations + CACHED_LPI])
  }

  /** Erases the first translation to an LPI, without its reference. Returns whether there was one. */
  erase(irq: Irq): boolean {
    const { words, layout } = this
    const slot = this.lpis.slotOf(irq)
    const end = layout.translations + layout.translationCount * CACHED_STRIDE
    for (let at = layout.translations; at < end && words[at + CACHED_ITS] !== 0; at += CACHED_STRIDE) {
      if (words[at + CACHED_LPI] !== slot) continue
      words.copyWithin(at, at + CACHED_STRIDE, end)
      words.fill(0, end - CACHED_STRIDE, end)
      words[layout.common + LPIS_CACHE_NEXT] = this.count()
      return true
    }
    return false
  }

  private count(): number {
    const { words, layout } = this
    let n = 0
    while (n < layout.translationCount && words[layout.translations + n * CACHED_STRIDE + CACHED_ITS] !== 0)
      n++
    return n
  }
}
