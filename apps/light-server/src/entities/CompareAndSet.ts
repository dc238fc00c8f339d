/**
 * Replaces texts of an entity if they are at the expected versions, and announces
 * it. Machines, sessions and settings share it.
 */
import { Array as Arr, Effect, Option } from "effect"
import type { WriteConflict } from "presence-effect/writer/WriterError"
import type { ReadFailed } from "../database/DatabaseReader.ts"
import type { Unauthorized } from "../Failure.ts"
import * as AccountCursor from "./AccountCursor.ts"
import type * as Outbox from "./Outbox.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

/** A text to store, and the version it is based on. */
export interface TextChange<Text extends string> {
  readonly text: Text
  readonly value: string | null
  readonly expectedVersion: number
}

/** A text as it is stored. */
export interface CurrentText<Text extends string> {
  readonly text: Text
  readonly value: string | null
  readonly version: number
}

/** Result of a compare-and-set: the current form of each text that it was to replace. */
export interface Replaced<Text extends string> {
  readonly _tag: "Replaced" | "VersionMismatch"
  readonly texts: Arr.NonEmptyReadonlyArray<CurrentText<Text>>
}

type Texts<Text extends string> = { readonly [text in Text]: string | null }

type Versions<Text extends string> = { readonly [version in `${Text}Version`]: number }

/** A row that contains each text and its version. */
export type Versioned<Text extends string> = Texts<Text> & Versions<Text>

export interface Options<Text extends string, Row extends Versioned<Text>, E, E2> {
  readonly outbox: Outbox.Outbox
  readonly accountId: string
  readonly change: AccountCursor.Change
  /** Each text at most once. */
  readonly changes: Arr.NonEmptyReadonlyArray<TextChange<Text>>
  /** Runs first. Fails when the entity is not the account's own. */
  readonly authorize?: Effect.Effect<unknown, E>
  /** Returns the cursor. Conflicts when the account or the row is missing, or one of the versions differs. */
  readonly write: Effect.Effect<number, WriteFailure>
  readonly find: Effect.Effect<Option.Option<Row>, ReadFailed>
  /** Fails when the row found is not one that the account may change. */
  readonly require: (found: Option.Option<Row>) => Effect.Effect<Row, E2>
  /** Announces the new texts. */
  readonly send: (texts: Replaced<Text>["texts"], cursor: number) => void
}

const currentOf = <Text extends string>(
  texts: Texts<Text>,
  versions: Versions<Text>,
  text: Text
): CurrentText<Text> => ({
  text,
  value: texts[text],
  version: versions[`${text}Version`]
})

/**
 * Runs a compare-and-set. A mismatch answers with the current texts. A client
 * that disconnects cancels neither the write nor its announcement.
 */
export const run = <Text extends string, Row extends Versioned<Text>, E = never, E2 = never>({
  outbox,
  accountId,
  change,
  changes,
  authorize = Effect.void,
  write,
  find,
  require,
  send
}: Options<Text, Row, E, E2>): Effect.Effect<
  Replaced<Text>,
  E | E2 | Unauthorized | ReadFailed | Exclude<WriteFailure, WriteConflict>
> => {
  const texts = Arr.map(changes, ({ text, value, expectedVersion }) => ({ text, value, version: expectedVersion + 1 }))
  const isStoredIn = (row: Row) =>
    texts.every(({ text, value, version }) => {
      const current = currentOf(row, row, text)
      return current.value === value && current.version === version
    })
  const commit = outbox.commit(
    { accountId, change, mark: texts.map(({ text, version }) => `${text} ${version}`).join(", ") },
    { write, isStored: Effect.map(find, Option.exists(isStoredIn)), send: (cursor) => send(texts, cursor) }
  )
  const mismatch = Effect.map(Effect.flatMap(find, require), (row) => ({
    _tag: "VersionMismatch" as const,
    texts: Arr.map(changes, ({ text }) => currentOf(row, row, text))
  }))
  const replaced = commit.pipe(
    Effect.as({ _tag: "Replaced" as const, texts }),
    Effect.catchTag("WriteConflict", (conflict) => Effect.zipRight(AccountCursor.requireAccount(conflict), mismatch))
  )
  return Effect.uninterruptible(Effect.zipRight(authorize, replaced))
}

/** The ack of an event that replaces one text. */
export const ackOf = <Text extends string>({ _tag, texts: [current] }: Replaced<Text>) => ({
  result: _tag === "Replaced" ? "success" : "version-mismatch",
  version: current.version,
  [current.text]: current.value
})
