/**
 * An image: the bytes of a machine. Its first record is a header with magic, format version and length; then comes
 * the configuration, which determines the layout of the rest. A machine is made only by opening an image; a new
 * machine opens its reset image. Words are in the platform's byte order, which is little-endian for every current
 * JavaScript engine.
 */
import { shown } from '../errors/arguments.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { HEADER_KIND, HEADER_LENGTH, HEADER_MAGIC, HEADER_VERSION } from './image-offsets.ts'
import { type Layout, recordType } from './layout.ts'
import { type Rows, wordsOf } from './rows.ts'

/** 'vgic' in ASCII, the first word of every image. */
const MAGIC = 0x63696776
/** Version of the format: changes whenever a layout does. */
export const IMAGE_VERSION = 15

export const headerRows = {
  HEADER_MAGIC: { name: 'magic', class: 'authoritative', by: [], says: "'vgic' in ASCII." },
  HEADER_VERSION: { name: 'version', class: 'authoritative', by: [], says: 'The version of the format.' },
  HEADER_KIND: { name: 'kind', class: 'authoritative', by: [], says: 'What it is an image of.' },
  HEADER_LENGTH: { name: 'words', class: 'authoritative', by: [], says: 'How many words the image has.' },
} as const satisfies Rows

/** The first record of every machine. */
export const HEADER = recordType('image', wordsOf(headerRows, undefined))

/** The kinds of machines, with their numbers in the header. */
export const imageKinds = { device: 1, scenario: 2 } as const
/** The kind of machine that an image holds. */
export type ImageKind = keyof typeof imageKinds

/** A new image of a layout: its header, and zeros. */
export function blankImage(kind: ImageKind, layout: Layout): ArrayBuffer {
  const words = new Int32Array(layout.length)
  words[HEADER_MAGIC] = MAGIC
  words[HEADER_VERSION] = IMAGE_VERSION
  words[HEADER_KIND] = imageKinds[kind]
  words[HEADER_LENGTH] = layout.length
  return words.buffer
}

/**
 * An image as callers pass it: a snapshot's buffer, or a view of its bytes, such as a Node `Buffer` read from a file.
 */
export type ImageBytes = ArrayBuffer | ArrayBufferView

/** The buffer of an image; a copy if the image is a view. */
function bufferOf(image: ImageBytes): ArrayBuffer {
  if (image instanceof ArrayBuffer) return image
  if (ArrayBuffer.isView(image)) {
    const bytes = new Uint8Array(image.byteLength)
    bytes.set(new Uint8Array(image.buffer, image.byteOffset, image.byteLength))
    return bytes.buffer
  }
  throw new VgicError(
    'image-foreign',
    `An image must be an ArrayBuffer, such as snapshot() returns, or a Uint8Array of its bytes, but is ${shown(image)}.`,
  )
}

/**
 * The words of an image, after checking its magic, version and kind, and its length against its header. Throws a
 * `VgicError` with an `image-` code otherwise.
 */
export function openImage(kind: ImageKind, image: ImageBytes): Int32Array<ArrayBuffer> {
  const buffer = bufferOf(image)
  const headerBytes = HEADER.size * 4
  if (buffer.byteLength < 8 || new Int32Array(buffer, 0, 1)[0] !== MAGIC) {
    throw new VgicError('image-foreign', 'The buffer is not a vgic image: pass what snapshot() returned.')
  }
  const version = new Int32Array(buffer, 0, 2)[HEADER_VERSION]
  if (version !== IMAGE_VERSION) {
    throw new VgicError(
      'image-version',
      `The image has format version ${version}, this library reads version ${IMAGE_VERSION}: use the library that wrote it.`,
    )
  }
  const header = new Int32Array(buffer, 0, Math.min(headerBytes, buffer.byteLength) >> 2)
  if (header.length < HEADER.size || header[HEADER_LENGTH] * 4 !== buffer.byteLength) {
    throw new VgicError(
      'image-truncated',
      `The image has ${buffer.byteLength} bytes, but its header says ${header.length < HEADER.size ? 'more' : header[HEADER_LENGTH] * 4}: it is truncated or not whole.`,
    )
  }
  if (header[HEADER_KIND] !== imageKinds[kind]) {
    throw new VgicError(
      'image-mismatch',
      `The image does not hold a ${kind}: open it with the class that wrote it.`,
    )
  }
  return new Int32Array(buffer)
}

/** Throws an `image-truncated` error unless `image` is as long as the layout that follows from its configuration. */
export function checkLength(image: ArrayBuffer, layout: Layout): void {
  if (image.byteLength === layout.length * 4) return
  throw new VgicError(
    'image-truncated',
    `The image has ${image.byteLength} bytes, but its configuration needs ${layout.length * 4}: it is truncated or not whole.`,
  )
}
