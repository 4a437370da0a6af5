/**
 * Numbers that say what they are, to the compiler only: nothing of this is there when the library runs. A handle is the
 * place of a record in the words, and one record's handle is wrong for every other. Each kind has one function that makes
 * it of a number, `asPe` and the like, whose calls the build leaves out. Where there may be none, the type is `Vcpu | 0`.
 */

declare const kind: unique symbol

/** A number of one kind: no other number passes for it, and it passes for a plain one. */
export type Brand<Name extends string> = number & { readonly [kind]: Name }

/** A number of one kind that people write as a literal: a plain number passes for it, one of another kind does not. */
export type Flavour<Name extends string> = number & { readonly [kind]?: Name }
