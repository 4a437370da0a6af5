/**
 * Numbers with a kind, which only the compiler knows: nothing of it is left at run time. A handle is the word offset
 * of a record, and is wrong for every other type of record. Each kind has one function that makes it from a number,
 * such as `asPe`, whose calls the build removes. A handle that may be missing has a type such as `Vcpu | 0`.
 */

declare const kind: unique symbol

/** A number of one kind. No other number is assignable to it; it is assignable to a plain number. */
export type Brand<Name extends string> = number & { readonly [kind]: Name }

/**
 * A number of one kind that is also written as a literal. A plain number is assignable to it, one of another kind is
 * not.
 */
export type Flavour<Name extends string> = number & { readonly [kind]?: Name }
