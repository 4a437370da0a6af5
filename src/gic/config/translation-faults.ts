/** The reasons for which a message does not become a pending LPI. */
export type TranslationFault =
  | 'its-disabled'
  | 'memory-refused'
  | 'device-out-of-range'
  | 'device-unmapped'
  | 'event-out-of-range'
  | 'event-unmapped'
  | 'collection-unmapped'
  | 'vpe-unmapped'
  | 'lpis-disabled'
  | 'intid-out-of-range'

/** The numbers of the faults; 0 is success. */
export const TRANSLATED = 0
export const MEMORY_REFUSED = 1
export const DEVICE_OUT_OF_RANGE = 2
export const DEVICE_UNMAPPED = 3
export const EVENT_OUT_OF_RANGE = 4
export const EVENT_UNMAPPED = 5
export const COLLECTION_UNMAPPED = 6
export const VPE_UNMAPPED = 7

/** The faults by number. */
export const translationFaults: readonly TranslationFault[] = [
  'its-disabled',
  'memory-refused',
  'device-out-of-range',
  'device-unmapped',
  'event-out-of-range',
  'event-unmapped',
  'collection-unmapped',
  'vpe-unmapped',
]
