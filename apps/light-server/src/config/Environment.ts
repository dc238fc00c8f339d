/** Reads tables of settings from the environment. */
import { Array as Arr, Either } from "effect"
import type { Knob, Table, Values } from "../ConfigKnob.ts"

/** Variables by name, as in `process.env`. */
export interface Environment {
  readonly [name: string]: string | undefined
}

/** The tables of all rooms. */
export interface Rooms {
  readonly [room: string]: Table
}

/** The options of all rooms. */
export type RoomValues<R extends Rooms> = { readonly [K in keyof R]: Values<R[K]> }

/** The text of a variable. An empty variable counts as unset: unit files and compose files leave such variables. */
export const textOf = (environment: Environment, name: string): string | undefined => {
  const text = environment[name]?.trim()
  return text === "" ? undefined : text
}

/** Passwords inside URLs are not shown either. */
const shown = (knob: Knob<unknown>, text: string) =>
  knob.isSecret ? "set to a value that is not shown" : JSON.stringify(text.replace(/\/\/[^/@]*@/, "//***@"))

/** The same for two spellings of one value. */
const canonical = (knob: Knob<unknown>, text: string) =>
  Either.match(knob.parse(text), { onLeft: () => text, onRight: (value) => JSON.stringify(value) })

/** Two names of one setting may both be set, as long as they agree. */
const conflictOf = (
  knob: Knob<unknown>,
  given: ReadonlyArray<{ readonly name: string; readonly text: string }>
): ReadonlyArray<string> => {
  const [first, ...others] = given
  if (first === undefined) return []
  return others.flatMap(({ name, text }) =>
    canonical(knob, text) === canonical(knob, first.text)
      ? []
      : [
          `${first.name} is ${shown(knob, first.text)} and ${name} is ${shown(knob, text)}, ` +
            "but both are the same setting; remove one of them"
        ]
  )
}

/** The value of one setting, or every problem with it: the variable, its value, what is allowed, and the reason. */
export const readKnob = <A>(knob: Knob<A>, environment: Environment): Either.Either<A, ReadonlyArray<string>> => {
  const given = [knob.name, ...knob.aliases].flatMap((name) => {
    const text = textOf(environment, name)
    return text === undefined ? [] : [{ name, text }]
  })
  const conflicts = conflictOf(knob, given)
  if (conflicts.length > 0) return Either.left(conflicts)
  const [first] = given
  return first === undefined
    ? Either.right(knob.fallback)
    : Either.mapLeft(knob.parse(first.text), (reason) => [
        `${first.name} is ${shown(knob, first.text)}; allowed: ${knob.allowed}${reason === "" ? "" : `. ${reason}`}`
      ])
}

/** All settings of all rooms, or all problems at once. */
export const read = <const R extends Rooms>(
  rooms: R,
  environment: Environment
): Either.Either<RoomValues<R>, Arr.NonEmptyReadonlyArray<string>> => {
  const problems: Array<string> = []
  const values = Object.entries(rooms).map(([room, table]) => {
    const options = Object.entries(table).map(([option, knob]) => {
      const value = readKnob(knob, environment)
      if (Either.isLeft(value)) problems.push(...value.left)
      return [option, Either.getOrUndefined(value)]
    })
    return [room, Object.fromEntries(options)]
  })
  return Arr.isNonEmptyReadonlyArray(problems)
    ? Either.left(problems)
    : Either.right(Object.fromEntries(values) as RoomValues<R>)
}
