/** Pairing requests in the database. */
import { Context, Duration, Effect, Layer, type Option, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import type { WriterError } from "presence-effect/writer/WriterError"
import type { Values } from "../ConfigKnob.ts"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import { type Dialect, sqlite } from "../database/Dialect.ts"
import * as Ids from "../database/Ids.ts"
import { StoredFlag } from "../database/StoredValue.ts"
import * as TimeForm from "../database/TimeForm.ts"
import { pairingKnobs } from "./AccountKnobs.ts"

/**
 * The kind of the asking client: a terminal that asks for access to an account,
 * or a new device that asks for the account itself.
 */
export type PairingKind = "terminal" | "account"

export interface Options extends Partial<Values<typeof pairingKnobs>> {
  /**
   * Requests of one kind that are kept; the oldest is removed for a new one.
   * Answered requests are removed last, as long as they are no more than half.
   */
  readonly capacity?: number
}

/** A request that has not expired. */
export const PairingRequest = Schema.Struct({
  supportsV2: StoredFlag,
  response: Schema.NullOr(Schema.String),
  responseAccountId: Schema.NullOr(Schema.String)
})

export type PairingRequest = typeof PairingRequest.Type

/** The answer of a logged-in client to a request. */
export interface PairingAnswer {
  readonly accountId: string
  /** Encrypted for the key of the request. */
  readonly response: string
}

/**
 * Keys are 32 bytes in lower-case hex. An expired request does not exist,
 * whether or not its row has been removed.
 */
export class PairingStore extends Context.Tag("light-server/PairingStore")<
  PairingStore,
  {
    readonly find: (
      kind: PairingKind,
      key: string,
      nowMillis: number
    ) => Effect.Effect<Option.Option<PairingRequest>, ReadFailed>
    /** Stores a request, unless one with this key exists already. */
    readonly insert: (
      kind: PairingKind,
      key: string,
      supportsV2: boolean,
      nowMillis: number
    ) => Effect.Effect<void, WriterError>
    /** Conflicts when there is no request with this key, or when it is answered already. */
    readonly answer: (
      kind: PairingKind,
      key: string,
      answer: PairingAnswer,
      nowMillis: number
    ) => Effect.Effect<void, WriterError>
    /** Removes rows past their lifetime, at most 1000, in one statement. Writes nothing when there are none. */
    readonly prune: (kind: PairingKind, nowMillis: number) => Effect.Effect<void, WriterError | ReadFailed>
  }
>() {}

const pruneLimit = 1000

/** The statements of one kind. Both letter cases of the hex text are in use, and the index serves both. */
const statementsOf = (table: string, supportsV2: string | undefined) => ({
  find: `SELECT ${supportsV2 ?? "0"} AS "supportsV2", "response", "responseAccountId" FROM "${table}"
    WHERE "publicKey" IN (?, ?) AND "updatedAt" > ? LIMIT 1`,
  findExpired: `SELECT 1 AS "found" FROM "${table}" WHERE "updatedAt" <= ? LIMIT 1`,
  removeExpired: `DELETE FROM "${table}" WHERE "id" IN
    (SELECT "id" FROM "${table}" WHERE "updatedAt" <= ? ORDER BY "updatedAt" LIMIT ${pruneLimit})`,
  // It is not recorded that an answer was fetched. Answered requests keep at most half of the table: an account could
  // otherwise answer so many requests of its own that no room is left for others.
  makeRoom: `DELETE FROM "${table}" WHERE "id" IN (
      SELECT "id" FROM (
        SELECT "id", row_number() OVER (ORDER BY "isKept" DESC, "updatedAt" DESC) AS "place" FROM (
          SELECT "id", "updatedAt", "response" IS NOT NULL AND "updatedAt" > ?
            AND row_number() OVER (PARTITION BY "response" IS NULL ORDER BY "updatedAt" DESC) <= ? AS "isKept"
          FROM "${table}"
        ) AS "judged"
      ) AS "ranked" WHERE "place" > ?
    )`,
  insert:
    supportsV2 === undefined
      ? `INSERT INTO "${table}" ("id", "publicKey", "createdAt", "updatedAt") VALUES (?, ?, ?, ?)
         ON CONFLICT ("publicKey") DO NOTHING`
      : `INSERT INTO "${table}" ("id", "publicKey", "createdAt", "updatedAt", ${supportsV2}) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT ("publicKey") DO NOTHING`,
  answer: `UPDATE "${table}" SET "response" = ?, "responseAccountId" = ?, "updatedAt" = ?
    WHERE "publicKey" IN (?, ?) AND "response" IS NULL AND "updatedAt" > ?`
})

const statements: { readonly [kind in PairingKind]: ReturnType<typeof statementsOf> } = {
  terminal: statementsOf("TerminalAuthRequest", `"supportsV2"`),
  account: statementsOf("AccountAuthRequest", undefined)
}

/**
 * The write of a request. Removes expired rows first, then those beyond
 * `capacity`, so that the table is always bounded.
 */
export const insertWrite = (
  kind: PairingKind,
  request: { readonly key: string; readonly supportsV2: boolean },
  terms: { readonly nowMillis: number; readonly lifetimeMillis: number; readonly capacity: number },
  { encode }: TimeForm.Form = TimeForm.integer,
  { inTurn }: Pick<Dialect, "inTurn"> = sqlite
): Write.Write<void> => {
  const { insert, makeRoom, removeExpired } = statements[kind]
  const now = encode(terms.nowMillis)
  const row = [Ids.cuid(), request.key, now, now]
  const end = encode(terms.nowMillis - terms.lifetimeMillis)
  // Two that make room at once would leave one too many, or wait for each other's rows.
  return inTurn(`pairing ${kind}`).pipe(
    Write.andThen(Write.statement(removeExpired, [end])),
    Write.andThen(Write.statement(makeRoom, [end, Math.floor(terms.capacity / 2), terms.capacity - 1])),
    Write.andThen(Write.statement(insert, kind === "terminal" ? [...row, request.supportsV2 ? 1 : 0] : row)),
    Write.map(() => undefined)
  )
}

export const make = (options: Options = {}): Effect.Effect<PairingStore["Type"], never, DatabaseReader | Writer> =>
  Effect.gen(function* () {
    const reader = yield* DatabaseReader
    const writer = yield* Writer
    const lifetimeMillis = Duration.toMillis(options.lifetime ?? pairingKnobs.lifetime.fallback)
    const capacity = options.capacity ?? 1000
    const form = yield* TimeForm.TimeForm
    const dialect = reader.dialect
    /** Requests stored until then have expired. */
    const endOf = (nowMillis: number) => form.encode(nowMillis - lifetimeMillis)
    return PairingStore.of({
      find: (kind, key, nowMillis) =>
        reader.first(PairingRequest, statements[kind].find, [key, key.toUpperCase(), endOf(nowMillis)]),
      insert: (kind, key, supportsV2, nowMillis) =>
        writer.write(
          Lane.control,
          insertWrite(kind, { key, supportsV2 }, { nowMillis, lifetimeMillis, capacity }, form, dialect)
        ),
      answer: (kind, key, { accountId, response }, nowMillis) =>
        Effect.asVoid(
          writer.write(
            Lane.control,
            Write.statement(
              statements[kind].answer,
              [response, accountId, form.encode(nowMillis), key, key.toUpperCase(), endOf(nowMillis)],
              { changes: 1 }
            )
          )
        ),
      prune: (kind, nowMillis) =>
        Effect.gen(function* () {
          const before = endOf(nowMillis)
          const expired = yield* reader.rows(Schema.Unknown, statements[kind].findExpired, [before])
          if (expired.length === 0) return
          const remove = Write.statement(statements[kind].removeExpired, [before])
          yield* writer.write(Lane.maintenance, Write.withReserve(remove))
        })
    })
  })

export const layer = (options: Options = {}): Layer.Layer<PairingStore, never, DatabaseReader | Writer> =>
  Layer.effect(PairingStore, make(options))
