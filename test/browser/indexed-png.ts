/** A PNG with a palette of 256 colours, which is half as large as a screenshot, or less. */
import { crc32, deflateSync } from 'node:zlib'
import type { Browser } from 'playwright-core'

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
const COLOURS = 256
/** 8 bits per pixel, colour type 3; its methods for compression, filters and interlacing are the only ones, or none. */
const INDEXED = [8, 3, 0, 0, 0]

/** Colours nearer than this, squared, need not both be in the palette: rare ones are worth their place only if no other is like them. */
const ALIKE = 200

/** How far two colours are from each other: their red, green and blue, squared. */
const distance = (one: number, other: number): number =>
  [16, 8, 0].reduce((sum, shift) => sum + (((one >> shift) & 0xff) - ((other >> shift) & 0xff)) ** 2, 0)

const nearest = (colours: readonly number[], colour: number): number =>
  colours.reduce(
    (best, other, i) => (distance(other, colour) < distance(colours[best], colour) ? i : best),
    0,
  )

/** The colours of a picture, the most frequent first. */
function paletteOf(pixels: readonly number[]): number[] {
  const counts = new Map<number, number>()
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1)
  const colours: number[] = []
  for (const [colour] of [...counts].sort(([, one], [, other]) => other - one)) {
    if (colours.length < COLOURS && colours.every((other) => distance(other, colour) >= ALIKE))
      colours.push(colour)
  }
  return colours
}

/** Encodes pixels, each a number `0xRRGGBB`. */
function encode(width: number, pixels: readonly number[]): Buffer {
  const colours = paletteOf(pixels)
  const indices = new Map(colours.map((colour, i) => [colour, i]))
  const height = pixels.length / width
  // Each row begins with its filter: none.
  const rows = Buffer.alloc(height * (width + 1))
  for (const [i, pixel] of pixels.entries()) {
    const index = indices.get(pixel) ?? nearest(colours, pixel)
    indices.set(pixel, index)
    rows[i + Math.floor(i / width) + 1] = index
  }
  return Buffer.concat([
    Buffer.from(SIGNATURE),
    chunk('IHDR', Buffer.concat([big(width), big(height), Buffer.from(INDEXED)])),
    chunk(
      'PLTE',
      Buffer.from(colours.flatMap((colour) => [colour >> 16, (colour >> 8) & 0xff, colour & 0xff])),
    ),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(type: string, data: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type), data])
  return Buffer.concat([big(data.length), typed, big(crc32(typed))])
}

function big(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** Encodes a PNG anew; Chromium decodes it. */
export async function indexedPng(browser: Browser, png: Buffer): Promise<Buffer> {
  const page = await browser.newPage()
  const { width, pixels } = await page.evaluate<{ width: number; pixels: number[] }>(`(async () => {
    const file = await fetch('data:image/png;base64,${png.toString('base64')}')
    const bitmap = await createImageBitmap(await file.blob())
    const { width, height } = bitmap
    const context = new OffscreenCanvas(width, height).getContext('2d')
    context.drawImage(bitmap, 0, 0)
    const { data } = context.getImageData(0, 0, width, height)
    const pixel = (_, i) => (data[4 * i] << 16) | (data[4 * i + 1] << 8) | data[4 * i + 2]
    return { width, pixels: Array.from({ length: width * height }, pixel) }
  })()`)
  await page.close()
  return encode(width, pixels)
}
