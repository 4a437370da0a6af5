/**
 * What an argument of a public call may be: a right value, which values it takes, and wrong ones. A wrong value is
 * anything at all, or a right object or array of which a part is anything.
 */
import fc from 'fast-check'

/** What an argument may be. */
export interface Kind {
  /** A value that is taken; a new one each time. */
  readonly right: () => unknown
  /** Whether a call may take a value. It may refuse it all the same, for what else it knows. */
  readonly takes: (value: unknown) => boolean
  /** Of a rest parameter: there may be none. */
  readonly rest?: true
  /** Values that are nearly right. */
  readonly nearly?: fc.Arbitrary<unknown>
}

/** What is passed by mistake: of every type, and of each the values that slip through comparisons. */
const mistakes = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    -1,
    0,
    1,
    1.5,
    2 ** 31,
    2 ** 32,
    2 ** 52,
    2 ** 53,
    1e300,
    0n,
    1n,
    -1n,
    1n << 64n,
    '',
    '0',
    '1',
    'constructor',
    true,
    false,
    Symbol('mistake'),
    Symbol.iterator,
  ),
  fc
    .constantFrom<() => unknown>(
      () => [],
      () => [undefined],
      () => ({}),
      () => ({ unknown: 1 }),
      () => Object.create(null),
      () => new Map(),
      () => new (class Mistake {})(),
      () => new Uint8Array(8),
      () => new ArrayBuffer(64),
      () => () => undefined,
    )
    .map((make) => make()),
  fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true }),
  fc.anything({ withNullPrototype: true, withSparseArray: true }),
)

/** Values that a call may be given in an argument's place. */
export const wrong = ({ nearly }: Kind): fc.Arbitrary<unknown> =>
  nearly ? fc.oneof(mistakes, nearly) : mistakes

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A value that nothing else is as good as. */
export const only = (right: () => unknown, nearly?: fc.Arbitrary<unknown>): Kind => ({
  right,
  takes: () => false,
  ...(nearly && { nearly }),
})

export const integer = (min: number, max: number, right = min): Kind => ({
  right: () => right,
  takes: (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
})

export const number = (right: number): Kind => ({
  right: () => right,
  takes: (value) => typeof value === 'number',
})

/** 64 bits as a bigint, or as a number too. */
export const bits64 = (right: number | bigint, ...types: ('number' | 'bigint')[]): Kind => ({
  right: () => right,
  takes: (value) => {
    if (typeof value !== 'bigint' && !Number.isInteger(value)) return false
    const bits = BigInt(value as number | bigint)
    return types.some((type) => type === typeof value) && bits >= -(1n << 63n) && bits < 1n << 64n
  },
})

export const text = (right: string): Kind => ({
  right: () => right,
  takes: (value) => typeof value === 'string',
})

export const oneOf = (...values: unknown[]): Kind => ({
  right: () => values[0],
  takes: (value) => values.includes(value),
})

export const boolean = oneOf(true, false)
export const level = oneOf(1, 0, true, false)

export const callback = (right: (...args: never[]) => unknown): Kind => ({
  right: () => right,
  takes: (value) => typeof value === 'function',
})

/** May be left out. */
export const optional = (kind: Kind): Kind => ({
  ...kind,
  takes: (value) => value === undefined || kind.takes(value),
})

/** One of a rest parameter. */
export const rest = (kind: Kind): Kind => ({ ...kind, rest: true })

export const list = (kind: Kind, length = 1): Kind => {
  const right = () => Array.from({ length }, () => kind.right())
  return {
    right,
    takes: (value) => Array.isArray(value) && Array.from(value).every((element) => kind.takes(element)),
    nearly: wrong(kind).map((element) => [...right().slice(1), element]),
  }
}

type Fields = Readonly<Record<string, Kind>>

const rightOf = (fields: Fields) => () =>
  Object.fromEntries(Object.entries(fields).map(([name, kind]) => [name, kind.right()]))

/** A right object with one of its fields changed. */
const changed = (fields: Fields): fc.Arbitrary<unknown> =>
  fc.oneof(
    ...Object.entries(fields).map(([name, kind]) =>
      wrong(kind).map((value) => ({ ...rightOf(fields)(), [name]: value })),
    ),
  )

const fieldsTake = (fields: Fields, value: Readonly<Record<string, unknown>>): boolean =>
  Object.entries(fields).every(([name, kind]) => kind.takes(value[name]))

/** An object of which only these fields are looked at. */
export const record = (fields: Fields): Kind => ({
  right: rightOf(fields),
  takes: (value) => isObject(value) && fieldsTake(fields, value),
  nearly: changed(fields),
})

/** A plain object with no other fields than these. */
export const options = (fields: Fields): Kind => ({
  right: rightOf(fields),
  takes: (value) =>
    isObject(value) &&
    (Object.getPrototypeOf(value) === null || Object.getPrototypeOf(value) === Object.prototype) &&
    Object.keys(value).every((name) => Object.hasOwn(fields, name)) &&
    fieldsTake(fields, value),
  nearly: fc.oneof(
    changed(fields),
    fc.string().map((name) => ({ ...rightOf(fields)(), [`${name}?`]: 1 })),
  ),
})
