/**
 * One setting that the environment may change, and the tables of them.
 *
 * **To add a setting**: add one entry to the table of its room (`*Knobs.ts`).
 * The key is the name of the option; the entry holds the variable, the default,
 * the bounds with their unit, and the meaning:
 *
 *     socketLimit: Knob.integer("HAPPIER_SOCKET_LIMIT", {
 *       fallback: 10_000, min: 1, max: 1_000_000, unit: "sockets", meaning: "Sockets open at once."
 *     })
 *
 * The options type of the room, its defaults, the reader of the environment and
 * `config print` follow from the entry. The table in `docs/operations.md` is
 * written by
 *
 *     UPDATE_DOCS=1 npx vitest run --project light-server test/config/KnobTable.test.ts
 *
 * A setting that no operator needs is a code option instead: a property of the
 * options type of its room, with its default beside it. A new room is added to
 * `rooms` in `config/ServerConfig.ts`. A variable that is removed gets a line in
 * `config/OtherNames.ts`.
 */
import { Duration, Either } from "effect"

/** A setting: its variable, its default, and how its text is read. */
export interface Knob<out A> {
  readonly name: string
  /** Other names of the same setting. Two names that are set to different values are refused. */
  readonly aliases: ReadonlyArray<string>
  readonly fallback: A
  /** The default as it is written in the environment. Empty: it has no text form, and the meaning describes it. */
  readonly fallbackText: string
  readonly allowed: string
  /** Of a number: `ms`, `bytes`. Empty for anything else. */
  readonly unit: string
  readonly meaning: string
  /** Secrets and addresses with passwords are never shown. */
  readonly isSecret: boolean
  /** Reads a text that is not empty. Left: the reason, or an empty text when `allowed` is sufficient as the reason. */
  readonly parse: (text: string) => Either.Either<A, string>
}

/** The settings of a room, by the name of the option. */
export interface Table {
  readonly [option: string]: Knob<unknown>
}

/** The options that a table describes. */
export type Values<T extends Table> = { readonly [K in keyof T]: T[K] extends Knob<infer A> ? A : never }

interface Terms {
  readonly aliases?: ReadonlyArray<string>
  readonly isSecret?: boolean
  readonly meaning: string
}

const textOf = (value: unknown): string => {
  if (value === undefined) return ""
  return typeof value === "boolean" ? String(Number(value)) : String(value)
}

/** A setting with a reader of its own. */
export const make = <A>(
  name: string,
  terms: Terms & {
    readonly fallback: A
    readonly fallbackText?: string
    readonly allowed: string
    readonly unit?: string | undefined
  },
  parse: (text: string) => Either.Either<A, string>
): Knob<A> => ({
  name,
  aliases: terms.aliases ?? [],
  fallback: terms.fallback,
  fallbackText: terms.fallbackText ?? textOf(terms.fallback),
  allowed: terms.allowed,
  unit: terms.unit ?? "",
  meaning: terms.meaning,
  isSecret: terms.isSecret ?? false,
  parse
})

interface Range extends Terms {
  readonly min: number
  readonly max: number
  readonly unit?: string
}

const rangeOf = ({ max, min, unit }: Range) => `${min} to ${max}${unit === undefined ? "" : ` ${unit}`}`

const parseWithin =
  ({ max, min }: Pick<Range, "min" | "max">) =>
  (text: string): Either.Either<number, string> => {
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    return value >= min && value <= max ? Either.right(value) : Either.left("")
  }

/** A whole number between two bounds, both allowed. */
export const integer = (name: string, terms: Range & { readonly fallback: number }): Knob<number> =>
  make(name, { ...terms, allowed: rangeOf(terms) }, parseWithin(terms))

/** A whole number between two bounds, or nothing at all. */
export const optionalInteger = (name: string, terms: Range): Knob<number | undefined> =>
  make<number | undefined>(name, { ...terms, fallback: undefined, allowed: rangeOf(terms) }, parseWithin(terms))

/** A time, whole milliseconds in the environment. */
export const millis = (
  name: string,
  terms: Terms & {
    readonly fallback: Duration.DurationInput
    readonly min: Duration.DurationInput
    readonly max: Duration.DurationInput
  }
): Knob<Duration.DurationInput> => {
  const range = { ...terms, min: Duration.toMillis(terms.min), max: Duration.toMillis(terms.max), unit: "ms" }
  const fallback = Duration.toMillis(terms.fallback)
  return make<Duration.DurationInput>(name, { ...range, fallback, allowed: rangeOf(range) }, parseWithin(range))
}

/** One of some words, in any letter case. */
export const choice = <const Words extends ReadonlyArray<string>>(
  name: string,
  words: Words,
  terms: Terms & { readonly fallback: Words[number]; readonly refusals?: { readonly [word: string]: string } }
): Knob<Words[number]> =>
  make<Words[number]>(name, { ...terms, allowed: words.join(", ") }, (text) => {
    const word = words.find((word) => word.toLowerCase() === text.toLowerCase())
    return word === undefined ? Either.left(terms.refusals?.[text.toUpperCase()] ?? "") : Either.right(word)
  })

/** Words for on and for off, in lower case. */
export const yes: ReadonlyArray<string> = ["1", "true", "yes", "on"]
export const no: ReadonlyArray<string> = ["0", "false", "no", "off"]

/** What the words for on and off are documented as. */
export const flagAllowed = `${yes.join(", ")}; ${no.join(", ")}`

export const flag = (name: string, terms: Terms & { readonly fallback: boolean }): Knob<boolean> =>
  make(name, { ...terms, allowed: flagAllowed }, (text) => {
    const word = text.toLowerCase()
    return yes.includes(word) ? Either.right(true) : no.includes(word) ? Either.right(false) : Either.left("")
  })

/** The options of a room when no variable is set. */
export const defaultsOf = <T extends Table>(table: T): Values<T> =>
  Object.fromEntries(Object.entries(table).map(([option, { fallback }]) => [option, fallback])) as Values<T>

/** The items of a list that is separated by commas. */
export const itemsOf = (text: string): ReadonlyArray<string> =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "")
