/** Whatever is done to an image, it opens or is refused with a `VgicError`: no other error, no endless loop. */
import fc from 'fast-check'
import { Gic, type GicConfig } from 'vgic'
import { describe, expect, it } from 'vitest'
import { VgicError } from '../../../src/errors/vgic-error.ts'
import { configWords } from '../../../src/gic/config/stored-config.ts'
import { HEADER, IMAGE_VERSION } from '../../../src/state/image.ts'

const config = {
  version: '4.0',
  cpus: 3,
  dvim: true,
  gicr: [
    { base: 0x4000_0000, count: 1 },
    { base: 0x5_0000_0000, count: 2 },
  ],
} as const satisfies GicConfig
const original = new Gic(config).snapshot()
/** The header and the configuration. */
const fixed = HEADER.size + configWords(new Gic(config).config)

/** The code with which an image is refused, or undefined if it opens. Any other error fails the test. */
function refusal(open: () => unknown): string | undefined {
  try {
    open()
    return undefined
  } catch (error) {
    if (!(error instanceof VgicError)) throw error
    expect(error.message).toMatch(/^[A-Z].{20,}\.$/)
    return error.code
  }
}

/** A word as corruption leaves it: anything, something near, or one bit flipped. */
const corruption = fc.oneof(
  fc.record({ at: fc.nat(fixed - 1), value: fc.integer() }),
  fc.record({ at: fc.nat(fixed - 1), value: fc.integer({ min: -2, max: 600 }) }),
  fc.record({ at: fc.nat(fixed - 1), flip: fc.nat(31) }),
)
const corruptions = fc.array(corruption, { minLength: 1, maxLength: 4 })

function corrupted(changes: readonly { at: number; value?: number; flip?: number }[]): ArrayBuffer {
  const image = original.slice(0)
  const words = new Int32Array(image)
  for (const { at, value, flip } of changes) words[at] = value ?? words[at] ^ (1 << (flip ?? 0))
  return image
}

describe('an image', () => {
  it('of random bytes is foreign', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 512 }), (bytes) => {
        const image = bytes.slice().buffer
        expect(refusal(() => Gic.from(image))).toBe('image-foreign')
        expect(refusal(() => new Gic(config).restore(image))).toBe('image-foreign')
      }),
    )
  })

  it('of random bytes behind a true magic and version is refused too', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 512 }), (bytes) => {
        const image = bytes.slice(0, bytes.length - (bytes.length % 8)).buffer
        new Int32Array(image).set(new Int32Array(original, 0, 2))
        expect(refusal(() => Gic.from(image))).toBe('image-truncated')
      }),
    )
  })

  it('that was cut or lengthened is truncated, and foreign only where it is no whole number of pairs', () => {
    const gic = new Gic(config)
    for (let bytes = 8; bytes <= original.byteLength + 64; bytes++) {
      if (bytes === original.byteLength) continue
      const other = new Uint8Array(bytes)
      other.set(new Uint8Array(original).subarray(0, bytes))
      const codes = [refusal(() => Gic.from(other.buffer)), refusal(() => gic.restore(other.buffer))]
      if (bytes % 8 === 0) expect(codes).toEqual(['image-truncated', 'image-truncated'])
      else for (const code of codes) expect(['image-truncated', 'image-foreign']).toContain(code)
    }
  })

  it('that was cut and whose header agrees is refused', () => {
    for (let words = 2; words < original.byteLength / 4; words += 2) {
      const image = original.slice(0, words * 4)
      if (words > 3) new Int32Array(image)[3] = words
      expect(['image-truncated', 'image-foreign']).toContain(refusal(() => Gic.from(image)))
    }
  })

  it('with corrupt leading words opens as a machine that works, or is refused with the code for the word', () => {
    fc.assert(
      fc.property(corruptions, (changes) => {
        const image = corrupted(changes)
        const words = new Int32Array(image.slice(0))
        const before = new Int32Array(original)
        const code = refusal(() => {
          const gic = Gic.from(image)
          // Its configuration is one that can be asked for, of a machine of this size.
          expect(new Gic(gic.config).snapshot().byteLength).toBe(image.byteLength)
          expect(Gic.from(gic.snapshot()).config).toEqual(gic.config)
        })
        const expected =
          words[0] !== before[0]
            ? ['image-foreign']
            : words[1] !== IMAGE_VERSION
              ? ['image-version']
              : words[3] !== before[3]
                ? ['image-truncated']
                : words[2] !== before[2]
                  ? ['image-mismatch']
                  : [undefined, 'image-foreign', 'image-truncated']
        expect(expected).toContain(code)
      }),
      { numRuns: 2000 },
    )
  })

  it('with any corrupt leading word is not restored', () => {
    fc.assert(
      fc.property(corruptions, (changes) => {
        const image = corrupted(changes)
        const gic = new Gic(config)
        const isSame = new Int32Array(image, 0, fixed).every(
          (word, at) => word === new Int32Array(original)[at],
        )
        expect(refusal(() => gic.restore(image)) === undefined).toBe(isSame)
        expect(gic.diff(original)).toEqual([])
      }),
    )
  })
})
