/** What opens as an image and what does not, and with which code it is refused. */

import { Gic } from 'vgic'
import { describe, expect, it } from 'vitest'
import { VgicError, type VgicErrorCode } from '../../../src/errors/vgic-error.ts'
import { configRecords } from '../../../src/gic/config/stored-config.ts'
import { blankImage, checkLength, HEADER, IMAGE_VERSION, openImage } from '../../../src/state/image.ts'
import { Layout, recordType } from '../../../src/state/layout.ts'

const [MAGIC, VERSION, KIND, LENGTH] = [0, 1, 2, 3]

/** Where an image has a field of the configuration. */
function stored(field: string): number {
  const layout = new Layout([[HEADER, 1], ...configRecords(new Gic({ cpus: 1 }).config)])
  const at = Array.from({ length: layout.length }, (_, word) => word).find(
    (word) => layout.nameOf(word) === `gicConfig.${field}`,
  )
  if (at === undefined) throw new Error(`no word is called ${field}`)
  return at
}

const snapshot = () => new Gic({ cpus: 2, version: '4.1' }).snapshot()

/** A snapshot with some words replaced. */
function changed(changes: Readonly<Record<number, number>>, image = snapshot()): ArrayBuffer {
  const words = new Int32Array(image)
  for (const [at, value] of Object.entries(changes)) words[Number(at)] = value
  return image
}

/** A snapshot cut or lengthened with zeros. */
function resized(bytes: number, image = snapshot()): ArrayBuffer {
  const other = new Uint8Array(bytes)
  other.set(new Uint8Array(image).subarray(0, bytes))
  return other.buffer
}

function refusal(act: () => unknown): VgicErrorCode {
  try {
    act()
  } catch (error) {
    expect(error).toBeInstanceOf(VgicError)
    expect(error).toBeInstanceOf(Error)
    expect((error as VgicError).name).toBe('VgicError')
    expect((error as VgicError).message).toMatch(/^[A-Z].{20,}\.$/)
    return (error as VgicError).code
  }
  throw new Error('it was not refused')
}

describe('a blank image', () => {
  const layout = new Layout([
    [HEADER, 1],
    [recordType('state', [{ name: 'a', at: 0, count: 4, class: 'authoritative' }]), 2],
  ])

  it('begins with vgic in ASCII, the version, the kind and the length, and is zero behind', () => {
    const image = blankImage('device', layout)
    expect(image.byteLength).toBe(4 * layout.length)
    expect(String.fromCharCode(...new Uint8Array(image, 0, 4))).toBe('vgic')
    expect([...new Int32Array(image)].slice(1, 4)).toEqual([IMAGE_VERSION, 1, layout.length])
    expect([...new Int32Array(image, 16)].every((word) => word === 0)).toBe(true)
  })

  it('opens as its own kind and no other', () => {
    const image = blankImage('scenario', layout)
    expect(openImage('scenario', image).buffer).toBe(image)
    expect(refusal(() => openImage('device', image))).toBe('image-mismatch')
  })

  it('has the length of its layout and no other', () => {
    checkLength(blankImage('device', layout), layout)
    expect(refusal(() => checkLength(blankImage('device', new Layout([[HEADER, 1]])), layout))).toBe(
      'image-truncated',
    )
  })
})

const foreign: [string, unknown][] = [
  ['nothing', undefined],
  ['null', null],
  ['a number', 4096],
  ['a string', 'vgic'],
  ['an object', { byteLength: 64 }],
  ['bytes that are no image', new Uint8Array(64)],
  ['a SharedArrayBuffer', new SharedArrayBuffer(64)],
  ['an empty buffer', new ArrayBuffer(0)],
  ['4 bytes', new ArrayBuffer(4)],
  ['7 bytes', new ArrayBuffer(7)],
  ['zeros', new ArrayBuffer(4096)],
  ['a text file', new TextEncoder().encode('# What good looks like here, in 40 bytes').buffer],
  ['an image of the other byte order', changed({ [MAGIC]: 0x76676963 })],
]

const refused: [string, () => ArrayBuffer, VgicErrorCode][] = [
  ['of the next version', () => changed({ [VERSION]: IMAGE_VERSION + 1 }), 'image-version'],
  ['of version 0', () => changed({ [VERSION]: 0 }), 'image-version'],
  [
    'of the next version and another length',
    () => changed({ [VERSION]: IMAGE_VERSION + 1, [LENGTH]: 9 }),
    'image-version',
  ],
  ['of a scenario', () => changed({ [KIND]: 2 }), 'image-mismatch'],
  ['of no known kind', () => changed({ [KIND]: 77 }), 'image-mismatch'],
  ['without its last pair of words', () => resized(snapshot().byteLength - 8), 'image-truncated'],
  ['cut to its first pair of words', () => resized(8), 'image-truncated'],
  ['cut to its header', () => resized(16), 'image-truncated'],
  ['with a pair of words more', () => resized(snapshot().byteLength + 8), 'image-truncated'],
  ['whose header claims more', () => changed({ [LENGTH]: 4096 }), 'image-truncated'],
  ['whose header claims a negative length', () => changed({ [LENGTH]: -1 }), 'image-truncated'],
  ['that is a header only, and says so', () => changed({ [LENGTH]: 4 }, resized(16)), 'image-foreign'],
  [
    'that is cut in its configuration, and says so',
    () => changed({ [LENGTH]: 10 }, resized(40)),
    'image-foreign',
  ],
  [
    'that is longer than its configuration needs, and says so',
    () => changed({ [LENGTH]: snapshot().byteLength / 4 + 2 }, resized(snapshot().byteLength + 8)),
    'image-truncated',
  ],
  ['that claims 3 CPUs in the room of 2', () => changed({ [stored('cpus')]: 3 }), 'image-foreign'],
  ['that claims 1 CPU in the room of 2', () => changed({ [stored('cpus')]: 1 }), 'image-truncated'],
  [
    'that claims 5 list registers in the room of 4',
    () => changed({ [stored('listRegisters')]: 5 }),
    'image-truncated',
  ],
  ['that claims no list registers', () => changed({ [stored('listRegisters')]: 0 }), 'image-foreign'],
  ['that claims 2^31 - 1 SPIs', () => changed({ [stored('spis')]: 0x7fffffff }), 'image-foreign'],
  ['that claims no redistributor region', () => changed({ [stored('regions')]: 0 }), 'image-foreign'],
  ['that claims 2^31 - 1 regions', () => changed({ [stored('regions')]: 0x7fffffff }), 'image-foreign'],
  [
    'with a choice that does not exist',
    () => changed({ [stored('choices.directPriority')]: 7 }),
    'image-foreign',
  ],
]

describe('Gic.from', () => {
  it.each(foreign)('refuses %s as foreign', (_, buffer) => {
    expect(refusal(() => Gic.from(buffer as ArrayBuffer))).toBe('image-foreign')
  })

  it.each(refused)('refuses an image %s', (_, make, code) => {
    expect(refusal(() => Gic.from(make()))).toBe(code)
  })

  it('says which versions and lengths it met', () => {
    expect(() => Gic.from(changed({ [VERSION]: IMAGE_VERSION + 1 }))).toThrow(
      `The image has format version ${IMAGE_VERSION + 1}, this library reads version ${IMAGE_VERSION}`,
    )
    const bytes = snapshot().byteLength
    expect(() => Gic.from(resized(bytes - 8))).toThrow(
      `The image has ${bytes - 8} bytes, but its header says ${bytes}`,
    )
  })

  it('works in the buffer that it is given', () => {
    const image = snapshot()
    const gic = Gic.from(image)
    const before = gic.snapshot()
    gic.setMasks(1, { irq: false, fiq: false })
    expect(new Uint8Array(image)).toEqual(new Uint8Array(gic.snapshot()))
    expect(new Uint8Array(image)).not.toEqual(new Uint8Array(before))
  })

  it('takes the bytes of an image, wherever they lie, and works in a copy of them', () => {
    const image = new Uint8Array(snapshot())
    const file = new Uint8Array(image.length + 7)
    file.set(image, 3)
    for (const bytes of [image, file.subarray(3, 3 + image.length), new Int32Array(image.buffer)]) {
      const gic = Gic.from(bytes)
      expect(new Uint8Array(gic.snapshot())).toEqual(image)
      gic.setMasks(1, { irq: false, fiq: false })
      gic.restore(bytes)
      expect(new Uint8Array(gic.snapshot())).toEqual(image)
      expect(gic.diff(bytes)).toEqual([])
    }
    expect(refusal(() => Gic.from(file))).toBe('image-foreign')
    expect(refusal(() => Gic.from(file.subarray(3, image.length)))).toBe('image-truncated')
  })
})

describe('restore', () => {
  it.each(foreign)('refuses %s as foreign', (_, buffer) => {
    expect(refusal(() => Gic.from(snapshot()).restore(buffer as ArrayBuffer))).toBe('image-foreign')
  })

  it('refuses an image of another configuration, names what differs, and changes nothing', () => {
    const gic = new Gic({ cpus: 2, version: '4.1' })
    const before = gic.snapshot()
    const others = [
      { version: '4.0' },
      { priorityBits: 6 },
      { gicd: 0x4000_0000 },
      { profile: 'qemu-7.2' },
    ] as const
    for (const other of others) {
      const image = new Gic({ cpus: 2, version: '4.1', ...other }).snapshot()
      expect(refusal(() => gic.restore(image))).toBe('image-mismatch')
      expect(refusal(() => gic.diff(image))).toBe('image-mismatch')
    }
    expect(() => gic.restore(new Gic({ cpus: 2 }).snapshot())).toThrow('gicConfig.version is 0, here 2')
    expect(() => gic.restore(new Gic({ cpus: 3, version: '4.1' }).snapshot())).toThrow(
      'gicConfig.cpus is 3, here 2',
    )
    expect(new Uint8Array(gic.snapshot())).toEqual(new Uint8Array(before))
  })

  it('refuses an image of this configuration and another length', () => {
    const gic = new Gic({ cpus: 2, version: '4.1' })
    const longer = new Int32Array(gic.snapshot().byteLength / 4 + 1)
    longer.set(new Int32Array(gic.snapshot()))
    longer[LENGTH] = longer.length
    expect(() => gic.restore(longer.buffer)).toThrow(`image.words is ${longer.length}, here`)
  })

  it('does not work in the buffer that it is given', () => {
    const gic = new Gic({ cpus: 2, version: '4.1' })
    const image = snapshot()
    gic.restore(image)
    gic.setMasks(0, { irq: false, fiq: false })
    expect(new Uint8Array(image)).toEqual(new Uint8Array(snapshot()))
  })
})
