/**
 * The LPIs of a VM and what its ITSs map to them, in slots of a fixed number: LPI objects (KVM's struct vgic_irq of an
 * LPI), devices, events (struct its_ite) and collections. A slot that is free is all zero. Where lists have an order that
 * a guest can see, slots are linked by their numbers, counted from 1; 0 is the end.
 */
import { intidName } from '../../arch/intid.ts'
import { type Layout, type RecordType, recordType } from '../../state/layout.ts'
import { type Rows, wordsOf } from '../../state/rows.ts'
import { type PoolLayout, slotPoolRows } from '../../state/slot-pool.ts'
import {
  COLLECTION_ID,
  COLLECTION_ITS,
  DEVICE_ID,
  DEVICE_ITS,
  EVENT_DEVICE,
  EVENT_ID,
  LPI_INTID,
} from './lpi-offsets.ts'
import { VGIC_IRQ_VIEW } from './vgic-irq.ts'

export * from './lpi-offsets.ts'

/** An LPI object. Its handle is that of its first word. */
export const lpiRows = {
  LPI_IRQ: {
    name: 'irq',
    class: 'authoritative',
    by: ['queue'],
    says: 'The word of the interrupt; an LPI that goes to no vCPU has the target {@link TARGET_NONE}.',
    view: VGIC_IRQ_VIEW,
  },
  LPI_LINK: {
    name: 'apNext',
    class: 'normalised',
    by: ['queue'],
    says: 'The LPI, or other interrupt, after it on its ap_list: its {@link IRQ_LINK}.',
    means: 'word',
  },
  LPI_INTID: {
    name: 'INTID',
    class: 'authoritative',
    by: [],
    says: 'Its INTID; 0 in a slot that is free.',
    means: (value: number) => (value === 0 ? undefined : intidName(value)),
  },
  LPI_REFS: {
    name: 'references',
    class: 'authoritative',
    by: ['queue'],
    says: 'Who holds it: events that are mapped to it, cached translations, an ap_list, list registers, messages and prunes on their way. It is freed with the last one.',
  },
  LPI_NEXT: {
    name: 'next',
    class: 'authoritative',
    by: [],
    says: 'The LPI that was made after it: its slot, counted from 1.',
  },
  LPI_PREVIOUS: {
    name: 'previous',
    class: 'authoritative',
    by: [],
    says: 'The LPI that was made before it.',
  },
  LPI_FORWARD: {
    name: 'forward',
    class: 'authoritative',
    by: [],
    says: "One more than the number of the device's interrupt that is forwarded as this LPI, which hardware delivers then; 0 if none is.",
  },
} as const satisfies Rows

/** A device that a MAPD has mapped. */
export const itsDeviceRows = {
  DEVICE_ITS: {
    name: 'its',
    class: 'authoritative',
    by: [],
    says: 'One more than the number of its ITS; 0 in a slot that is free.',
  },
  DEVICE_ID: { name: 'DeviceID', class: 'authoritative', by: [], says: 'Its DeviceID.' },
  DEVICE_ITT: { name: 'ITT', wide: true, class: 'authoritative', by: [], says: 'The address of its ITT.' },
  DEVICE_BITS: { name: 'EventID bits', class: 'authoritative', by: [], says: 'Bits of its EventIDs.' },
  DEVICE_EVENTS: {
    name: 'events',
    class: 'authoritative',
    by: [],
    says: 'Its first event: the slot, counted from 1.',
  },
} as const satisfies Rows

/** An event of a device that is mapped to an LPI. */
export const itsEventRows = {
  EVENT_DEVICE: {
    name: 'device',
    class: 'authoritative',
    by: [],
    says: 'The slot of its device, counted from 1; 0 in a slot that is free.',
  },
  EVENT_ID: { name: 'EventID', class: 'authoritative', by: [], says: 'Its EventID.' },
  EVENT_LPI: { name: 'LPI', class: 'authoritative', by: [], says: 'The slot of its LPI, counted from 1.' },
  EVENT_COLLECTION: {
    name: 'collection',
    class: 'authoritative',
    by: [],
    says: 'The slot of its collection, counted from 1; 0 if that was unmapped.',
  },
  EVENT_NEXT: { name: 'next', class: 'authoritative', by: [], says: 'The next event of its device.' },
  EVENT_PREVIOUS: { name: 'previous', class: 'authoritative', by: [], says: 'The one before it.' },
} as const satisfies Rows

/** A collection that a MAPC has mapped, or that an event is in. */
export const itsCollectionRows = {
  COLLECTION_ITS: {
    name: 'its',
    class: 'authoritative',
    by: [],
    says: 'One more than the number of its ITS; 0 in a slot that is free.',
  },
  COLLECTION_ID: { name: 'ICID', class: 'authoritative', by: [], says: 'Its number, ICID.' },
  COLLECTION_TARGET: {
    name: 'target',
    class: 'authoritative',
    by: [],
    says: 'The index of the vCPU that it goes to; {@link TARGET_NONE} if it is not mapped.',
  },
} as const satisfies Rows

/** What is one for a VM. */
export const lpiListRows = {
  LPIS_FIRST: {
    name: 'first',
    class: 'authoritative',
    by: [],
    says: 'The LPI that was made first: its slot, counted from 1.',
  },
  LPIS_LAST: { name: 'last', class: 'authoritative', by: [], says: 'The LPI that was made last.' },
  LPIS_CACHE_NEXT: {
    name: 'next',
    class: 'authoritative',
    by: [],
    says: 'Where the translation cache puts the next one.',
  },
} as const satisfies Rows

/** A translation that is cached. */
export const translationRows = {
  CACHED_ITS: {
    name: 'its',
    class: 'authoritative',
    by: [],
    says: 'One more than the number of the ITS; 0 if the entry is free.',
  },
  CACHED_DEVICE: { name: 'DeviceID', class: 'authoritative', by: [], says: 'The DeviceID of the message.' },
  CACHED_EVENT: { name: 'EventID', class: 'authoritative', by: [], says: 'Its EventID.' },
  CACHED_LPI: { name: 'LPI', class: 'authoritative', by: [], says: 'The slot of the LPI, counted from 1.' },
} as const satisfies Rows

/** How many of each a VM can have. */
export interface LpiSizes {
  /** LPI objects, and events. */
  readonly lpis: number
  readonly itsDevices: number
  readonly itsCollections: number
  /** Translations that are cached. */
  readonly translations: number
}

/** A kind of slots: its records, and the words of its pool beside them. */
export interface SlotRecords {
  readonly record: RecordType
  readonly pool: RecordType
  readonly count: number
}

export interface LpiRecords {
  readonly lpi: SlotRecords
  readonly device: SlotRecords
  readonly event: SlotRecords
  readonly collection: SlotRecords
  readonly translation: RecordType
  readonly common: RecordType
  readonly list: readonly (readonly [RecordType, number])[]
}

function slots(name: string, rows: Rows, count: number): SlotRecords {
  const record = recordType(`${name}[<n>]`, wordsOf(rows, undefined))
  const pool = recordType(`${name}Pool`, wordsOf(slotPoolRows, count))
  return { record, pool, count }
}

const placed = ({ record, pool, count }: SlotRecords): [RecordType, number][] => [
  [record, count],
  [pool, count === 0 ? 0 : 1],
]

/** The record types, and how many of each there are: none without LPIs. The LPI objects come first. */
export function lpiRecords({ lpis, itsDevices, itsCollections, translations }: LpiSizes): LpiRecords {
  const has = (count: number): number => (lpis === 0 ? 0 : count)
  const lpi = slots('lpi', lpiRows, lpis)
  const device = slots('itsDevice', itsDeviceRows, has(itsDevices))
  const event = slots('itsEvent', itsEventRows, lpis)
  const collection = slots('itsCollection', itsCollectionRows, has(itsCollections))
  const translation = recordType('translation[<n>]', wordsOf(translationRows, undefined))
  const common = recordType('lpis', wordsOf(lpiListRows, undefined))
  return {
    lpi,
    device,
    event,
    collection,
    translation,
    common,
    list: [
      ...[lpi, device, event, collection].flatMap(placed),
      [translation, has(translations)],
      // Also without LPIs: whoever goes through their list finds it empty.
      [common, 1],
    ],
  }
}

/** Where the LPIs of a VM are, and all that maps to them. */
export interface LpiLayout {
  readonly lpi: PoolLayout
  readonly device: PoolLayout
  readonly event: PoolLayout
  readonly collection: PoolLayout
  /** The translation cache. */
  readonly translations: number
  readonly translationCount: number
  /** The words that are one for a VM. */
  readonly common: number
}

export function lpiLayoutOf(records: LpiRecords, layout: Layout, { translations }: LpiSizes): LpiLayout {
  const pool = ({ record, pool, count }: SlotRecords, key0: number, key1: number): PoolLayout => ({
    records: layout.baseOf(record),
    size: record.size,
    count,
    key0,
    key1,
    index: layout.baseOf(pool),
  })
  return {
    lpi: pool(records.lpi, LPI_INTID, LPI_INTID),
    device: pool(records.device, DEVICE_ITS, DEVICE_ID),
    event: pool(records.event, EVENT_DEVICE, EVENT_ID),
    collection: pool(records.collection, COLLECTION_ITS, COLLECTION_ID),
    translations: layout.baseOf(records.translation),
    translationCount: records.lpi.count === 0 ? 0 : translations,
    common: layout.baseOf(records.common),
  }
}
