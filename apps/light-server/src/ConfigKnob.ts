/** One setting that the environment may change. */
import { Either } from "effect"

/**
 * A setting: its variable, what stands in for it when it is unset, and how its
 * text is read. `docs/operations.md` shows the same four texts.
 */
export interface Knob<out A> {
  readonly name: string
  /** An older name of the same setting, read when `name` is unset. */
  readonly alias: string | undefined
  /** The text that is read when the variable is unset. Empty: there is none, and the meaning says what follows. */
  readonly fallback: string
  readonly allowed: string
  readonly meaning: string
  /** Secrets and addresses with passwords are never shown. */
  readonly isSecret: boolean
  /** Left: why not, or an empty text when `allowed` says it all. */
  readonly parse: (text: string) => Either.Either<A, string>
}

interface Terms {
  readonly fallback?: string
  readonly alias?: string
  readonly isSecret?: boolean
  readonly meaning: string
}

export const make = <A>(
  name: string,
  terms: Terms & { readonly allowed: string },
  parse: (text: string) => Either.Either<A, string>
): Knob<A> => ({
  name,
  alias: terms.alias,
  fallback: terms.fallback ?? "",
  allowed: terms.allowed,
  meaning: terms.meaning,
  isSecret: terms.isSecret ?? false,
  parse
})

const whole = (text: string): number | undefined => (/^-?\d{1,15}$/.test(text) ? Number(text) : undefined)

/** A whole number between two bounds, both allowed. */
export const integer = (name: string, terms: Terms & { readonly min: number; readonly max: number }): Knob<number> =>
  make(name, { ...terms, allowed: `${terms.min} to ${terms.max}` }, (text) => {
    const value = whole(text)
    return value === undefined || value < terms.min || value > terms.max ? Either.left("") : Either.right(value)
  })

/** A whole number between two bounds, or nothing at all. */
export const optionalInteger = (
  name: string,
  terms: Terms & { readonly min: number; readonly max: number }
): Knob<number | undefined> => {
  const knob = integer(name, terms)
  return { ...knob, parse: (text) => (text === "" ? Either.right(undefined) : knob.parse(text)) }
}

/** One of some words, in any letter case. */
export const choice = <const Words extends ReadonlyArray<string>>(
  name: string,
  words: Words,
  terms: Terms & { readonly refusals?: { readonly [word: string]: string } }
): Knob<Words[number]> =>
  make(name, { ...terms, allowed: words.join(", ") }, (text) => {
    const word = words.find((word) => word.toLowerCase() === text.toLowerCase())
    return word === undefined ? Either.left(terms.refusals?.[text.toUpperCase()] ?? "") : Either.right(word)
  })

const yes = ["1", "true", "yes", "on"]
const no = ["0", "false", "no", "off"]

export const flag = (name: string, terms: Terms): Knob<boolean> =>
  make(name, { ...terms, allowed: `${yes.join(", ")}; ${no.join(", ")}` }, (text) => {
    const word = text.toLowerCase()
    return yes.includes(word) ? Either.right(true) : no.includes(word) ? Either.right(false) : Either.left("")
  })

/**
 * What is wrong with a value, for the person who set it: the variable, the
 * value, what is allowed, and why if that does not say it all.
 */
export const problemOf = (knob: Knob<unknown>, name: string, text: string, reason: string): string =>
  `${name} is ${knob.isSecret ? "set to a value that is not shown" : JSON.stringify(text)}; allowed: ${knob.allowed}` +
  (reason === "" ? "" : `. ${reason}`)
