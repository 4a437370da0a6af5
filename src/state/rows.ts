/**
 * Rows that declare the words of a record, and the fields of packed words: each once, under the name of its constant.
 * Offsets follow from the order of the rows; `npm run generate` writes the constants that hot code uses.
 *
 * To add a word:
 * 1. Write its row in its record, at the position that it is to have: src/hyp/records, src/gic/records.
 * 2. State what the word holds, its class, and who may write it.
 * 3. Run `npm run generate`: it writes the constant, and renumbers those after it.
 * 4. Increment IMAGE_VERSION: images have another layout now.
 * 5. Use it: `words[v + VCPU_NEW]`. Snapshots, hash, diff and the explorer find it by its row.
 */
import { type Field, field, type RegisterView, res0, view } from '../arch/field.ts'
import { VgicError } from '../errors/vgic-error.ts'
import { recordType, sizeOf, type WordClass, type WordDeclaration, type Writer } from './layout.ts'

/**
 * One or several words of a record; see {@link WordDeclaration} for the fields that it shares. `C` is the type of the
 * configuration that a record's size depends on.
 */
export interface WordRow<C = unknown> extends Pick<WordDeclaration, 'wide' | 'view' | 'packed'> {
  readonly name: string
  readonly class: WordClass
  /** The constant's doc comment. */
  readonly says: string
  /** The kinds of steps that may write it, besides those that may write every word. */
  readonly by: readonly Writer[]
  /**
   * How many words; a function of the configuration if it depends on that, and then no row after it has a constant.
   */
  readonly count?: number | ((context: C) => number)
  readonly n?: (element: number, index: number, context: C) => number | string
  readonly means?: 'record' | 'word' | ((value: number, index: number, context: C) => string | undefined)
}

/** A record within a record. Its constant is the offset of its first word, aligned to a pair. */
export interface RowGroup<C = unknown> {
  readonly rows: Rows<C>
  readonly says: string
  /** How many there are of it, if there are several; in the names of its words `<n>` stands for which. */
  readonly count?: number
}

/** Rows by the names of their constants, in the order of the layout. */
export type Rows<C = unknown> = { readonly [name: string]: WordRow<C> | RowGroup<C> }

/** A constant that `npm run generate` writes. */
export interface Constant {
  readonly name: string
  readonly value: number
  readonly says?: string
}

/** A padding word before a pair, to align it. */
const spare = (at: number, wordClass: WordClass): WordDeclaration => ({
  name: 'spare word',
  at,
  class: wordClass,
})

const isGroup = <C>(row: WordRow<C> | RowGroup<C>): row is RowGroup<C> => 'rows' in row

/** The words of a record, the first of them at offset `from`. */
export function wordsOf<C>(rows: Rows<C>, context: C, from = 0): WordDeclaration[] {
  const words: WordDeclaration[] = []
  let at = from
  for (const row of Object.values(rows)) {
    if (at < aligned(row, at)) words.push(spare(at++, words.at(-1)?.class ?? 'authoritative'))
    const more = isGroup(row) ? wordsOfGroup(row, context, at) : [declarationOf(row, at, context)]
    words.push(...more.filter(({ count }) => count !== 0))
    for (const word of more) at += sizeOf(word)
  }
  return words
}

/** The words of a record within a record, or of several. */
function wordsOfGroup<C>({ rows, count }: RowGroup<C>, context: C, from: number): WordDeclaration[] {
  if (count === undefined) return wordsOf(rows, context, from)
  const size = fixedSize(rows)
  return Array.from({ length: count }, (_, k) =>
    wordsOf(rows, context, from + k * size).map((word) => ({
      ...word,
      count: 1,
      n: (_element: number, index: number) => word.n?.(k, index) ?? k,
    })),
  ).flat()
}

const aligned = <C>(row: WordRow<C> | RowGroup<C>, at: number): number =>
  isGroup(row) || row.wide ? at + (at % 2) : at

function declarationOf<C>(row: WordRow<C>, at: number, context: C): WordDeclaration {
  const { name, class: wordClass, by, wide, view, packed, count, n, means } = row
  return {
    name,
    at,
    class: wordClass,
    by,
    ...(wide && { wide }),
    ...(view && { view }),
    ...(packed && { packed }),
    ...(count !== undefined && { count: typeof count === 'function' ? count(context) : count }),
    ...(n && { n: (element: number, index: number) => n(element, index, context) }),
    ...(means && {
      means:
        typeof means === 'function' ? (value: number, index: number) => means(value, index, context) : means,
    }),
  }
}

/** The words of a record of single words, by their rows' names. */
export const wordsByName = <R extends Rows>(
  rows: R,
  values: { readonly [name in keyof R]: number },
): number[] => Object.keys(rows).map((name) => values[name])

/** The offset of a row in its record, in words. */
export function offsetOf<C>(rows: Rows<C>, name: string, context: C, from = 0): number {
  let at = from
  for (const [key, row] of Object.entries(rows)) {
    at = aligned(row, at)
    if (key === name) return at
    at = endOf(row, context, at)
  }
  throw new VgicError('argument', `There is no word ${name} in this record.`)
}

/** The offset after the words of a row that begins at `from`. */
function endOf<C>(row: WordRow<C> | RowGroup<C>, context: C, from: number): number {
  if (!isGroup(row)) return from + sizeOf(declarationOf(row, from, context))
  if (row.count !== undefined) return from + row.count * fixedSize(row.rows)
  return Object.values(row.rows).reduce((at, each) => endOf(each, context, aligned(each, at)), from)
}

/** Constants of the offsets that are the same in every configuration. */
export function offsetConstants<C>(rows: Rows<C>, from = 0): Constant[] {
  const constants: Constant[] = []
  let at = from
  for (const [name, row] of Object.entries(rows)) {
    at = aligned(row, at)
    constants.push({ name, value: at, says: row.says })
    if (isGroup(row)) at += (row.count ?? 1) * fixedSize(row.rows)
    else if (typeof row.count === 'function') break
    else at += (row.count ?? 1) * (row.wide ? 2 : 1)
  }
  return constants
}

/** The size in words of a record within a record, which is the same in every configuration. */
function fixedSize<C>(rows: Rows<C>): number {
  const last = Object.values(rows).at(-1)
  if (last === undefined || isGroup(last) || typeof last.count === 'function') {
    throw new VgicError('argument', 'A record within a record ends with words whose number is fixed.')
  }
  return (offsetConstants(rows).at(-1)?.value ?? 0) + (last.count ?? 1) * (last.wide ? 2 : 1)
}

/** The constant of a record's size, which must be the same in every configuration. */
export const sizeConstant = (name: string, rows: Rows): Constant => ({
  name,
  value: recordType(name, wordsOf(rows, undefined)).size,
  says: 'Size of a record in words: the distance to the next.',
})

/**
 * A field of a packed word. Its constant is its mask; if it has several bits, another with the suffix `_SHIFT` is the
 * number of its lowest bit.
 */
export interface BitRow {
  readonly name: string
  /** Its bit, or its most and least significant ones. */
  readonly bits: number | readonly [hi: number, lo: number]
  readonly says?: string
  /** Generates the `_SHIFT` constant of a field of one bit too. */
  readonly shift?: true
  /**
   * Names of constants for its values from 0 on, shifted into the field; for each the printed name, if the values are
   * an enumeration, and a doc comment.
   */
  readonly values?: Readonly<Record<string, readonly [name?: string, says?: string]>>
  /** Names of constants for its single bits from the lowest on, each with a doc comment. */
  readonly flags?: Readonly<Record<string, string>>
}

/** Fields by the names of their constants, most significant first. */
export type BitRows = Readonly<Record<string, BitRow>>

const rangeOf = ({ bits }: BitRow): readonly [hi: number, lo: number] =>
  typeof bits === 'number' ? [bits, bits] : bits

/** How a packed word is printed. Bits of no field are RES0. */
export function bitView(name: string, rows: BitRows): RegisterView {
  const fields: Field[] = []
  let next = 31
  for (const row of Object.values(rows)) {
    const [hi, lo] = rangeOf(row)
    if (hi < next) fields.push(res0(next, hi + 1))
    const values = Object.values(row.values ?? {}).flatMap(([value]) => value ?? [])
    fields.push(field(row.name, hi, lo, values.length > 0 ? { values } : {}))
    next = lo - 1
  }
  if (next >= 0) fields.push(res0(next, 0))
  return view(name, 32, fields)
}

/** The constants of fields: masks, shifts, and values shifted into their fields. */
export const bitConstants = (rows: BitRows): Constant[] =>
  Object.entries(rows).flatMap(([name, row]) => constantsOfField(name, row))

function constantsOfField(name: string, row: BitRow): Constant[] {
  const [hi, lo] = rangeOf(row)
  const { says, shift = hi > lo, values = {}, flags = {} } = row
  const mask = (2 ** (hi - lo + 1) - 1) * 2 ** lo
  return [
    { name, value: mask | 0, ...(says && { says }) },
    ...(shift && lo > 0 ? [{ name: `${name}_SHIFT`, value: lo }] : []),
    ...Object.entries(values).map(([key, [, means]], i) => ({
      name: key,
      value: (i * 2 ** lo) | 0,
      ...(means && { says: means }),
    })),
    ...Object.entries(flags).map(([key, means], i) => ({
      name: key,
      value: (2 ** (lo + i)) | 0,
      says: means,
    })),
  ]
}

/** A constant that is the OR of several. */
export function combined(
  name: string,
  constants: readonly Constant[],
  names: readonly string[],
  says: string,
): Constant {
  const parts = constants.filter((constant) => names.includes(constant.name))
  if (parts.length < names.length)
    throw new VgicError(
      'argument',
      `${name} is made of constants that do not exist: name rows of the same word.`,
    )
  return { name, value: parts.reduce((bits, { value }) => bits | value, 0), says }
}
