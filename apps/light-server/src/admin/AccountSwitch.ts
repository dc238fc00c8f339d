/**
 * Disables an account, and enables it again. Its rows stay as they are.
 *
 * Clients of a disabled account are answered with a failure that passes: they keep their token and what they could not
 * send, and try again later. Every final answer would make them log out, or throw messages away.
 */
import { Clock, Context, Effect, Layer, Option, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import type { WriterError } from "presence-effect/writer/WriterError"
import { Tokens } from "../accounts/Tokens.ts"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import { StoredTime } from "../database/StoredTime.ts"
import * as TimeForm from "../database/TimeForm.ts"
import { NotFound } from "../Failure.ts"
import { SocketServer } from "../realtime/SocketServer.ts"
import { isShown, shownParams } from "./AccountDirectory.ts"
import type * as AdminProtocol from "./AdminProtocol.ts"

type Turn = (id: string) => Effect.Effect<AdminProtocol.AccountTurned, NotFound | WriterError | ReadFailed>

export class AccountSwitch extends Context.Tag("light-server/AccountSwitch")<
  AccountSwitch,
  {
    /** When it returns, no token of the account is accepted and its sockets are closing. */
    readonly disable: Turn
    readonly enable: Turn
  }
>() {}

const insert = `INSERT INTO "PresenceAccountDisablement" ("accountId", "disabledAt")
  SELECT "id", ? FROM "Account" WHERE "id" = ? AND ${isShown} ON CONFLICT DO NOTHING`

const remove = `DELETE FROM "PresenceAccountDisablement" WHERE "accountId" = ?`

const State = Schema.Struct({ disabledAt: Schema.NullOr(StoredTime) })

const selectState = `SELECT "disabledAt" FROM "Account"
  LEFT JOIN "PresenceAccountDisablement" ON "accountId" = "id" WHERE "id" = ? AND ${isShown}`

const make = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const writer = yield* Writer
  const tokens = yield* Tokens
  const form = yield* TimeForm.TimeForm
  const { disconnects } = yield* SocketServer

  const stateOf = (id: string) =>
    Effect.flatMap(
      reader.first(State, selectState, [id, ...shownParams]),
      Option.match({
        onNone: () => Effect.fail(new NotFound({ what: "Account" })),
        onSome: ({ disabledAt }) => Effect.succeed(disabledAt)
      })
    )

  /** A stored change takes effect even if the operator's command is killed now. */
  const turn = (id: string, isWanted: (disabledAt: number | null) => boolean, write: Write.Write<unknown>) =>
    Effect.gen(function* () {
      const before = yield* stateOf(id)
      if (isWanted(before)) return { id, disabledAt: before, isChanged: false }
      yield* Effect.uninterruptible(
        Effect.tap(writer.write(Lane.control, Write.withReserve(write)), () =>
          Effect.sync(() => {
            tokens.forget(id)
            disconnects.recall(id)
          })
        )
      )
      const disabledAt = yield* stateOf(id)
      const code = disabledAt === null ? "ACCOUNT_ENABLED" : "ACCOUNT_DISABLED"
      const text = disabledAt === null ? "An account was enabled" : "An account was disabled"
      yield* Effect.logInfo(text).pipe(Effect.annotateLogs({ code, accountId: id }))
      return { id, disabledAt, isChanged: true }
    })

  return AccountSwitch.of({
    disable: (id) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        turn(id, (disabledAt) => disabledAt !== null, Write.statement(insert, [form.encode(now), id, ...shownParams]))
      ),
    enable: (id) => turn(id, (disabledAt) => disabledAt === null, Write.statement(remove, [id]))
  })
})

export const layer: Layer.Layer<AccountSwitch, never, DatabaseReader | Writer | Tokens | SocketServer> = Layer.effect(
  AccountSwitch,
  make
)
