/** Takes usage reports and tells apps about them. */
import { Context, Effect, Layer } from "effect"
import * as PresenceKey from "presence-effect/presence/PresenceKey"
import type { WriterError } from "presence-effect/writer/WriterError"
import type { ReadFailed } from "../database/DatabaseReader.ts"
import { NotFound } from "../Failure.ts"
import { Emitter } from "../realtime/sending/Emitter.ts"
import { Ownership, requireOwned } from "../entities/Ownership.ts"
import * as Room from "../realtime/sending/Room.ts"
import { type Period, periodsOf, type UsageQuery } from "./UsageQuery.ts"
import type { Receipt, UsageReport } from "./UsageReport.ts"
import { UsageStore } from "./UsageStore.ts"

export class UsageLog extends Context.Tag("light-server/UsageLog")<
  UsageLog,
  {
    /** Stores a report. Apps hear of it when it is about a session. */
    readonly report: (
      accountId: string,
      report: UsageReport
    ) => Effect.Effect<Receipt, NotFound | WriterError | ReadFailed>
    /** What was used, the oldest period first. */
    readonly periods: (
      accountId: string,
      query: UsageQuery
    ) => Effect.Effect<ReadonlyArray<Period>, NotFound | ReadFailed>
  }
>() {}

export const make = Effect.gen(function* () {
  const store = yield* UsageStore
  const ownership = yield* Ownership
  const emitter = yield* Emitter
  const sessionNotFound = new NotFound({ what: "Session" })

  const requireSession = (accountId: string, sessionId: string) =>
    requireOwned(ownership, PresenceKey.session(accountId, sessionId))

  const storeOfSession = (accountId: string, sessionId: string, report: UsageReport) =>
    Effect.gen(function* () {
      yield* requireSession(accountId, sessionId)
      const receipt = yield* store.replace(accountId, report)
      emitter.ephemeral(Room.toApps(accountId), {
        type: "usage",
        id: sessionId,
        key: report.key,
        tokens: report.tokens,
        cost: report.cost,
        timestamp: receipt.updatedAt
      })
      return receipt
    }).pipe(
      // Deleted since it was looked up.
      Effect.catchTag("WriteConflict", () => Effect.fail(sessionNotFound))
    )

  return UsageLog.of({
    report: (accountId, report) =>
      report.sessionId === undefined
        ? store.replace(accountId, report)
        : storeOfSession(accountId, report.sessionId, report),
    periods: (accountId, query) =>
      Effect.gen(function* () {
        if (query.sessionId !== undefined) yield* requireSession(accountId, query.sessionId)
        return periodsOf(yield* store.sum(accountId, query))
      })
  })
})

export const layer: Layer.Layer<UsageLog, never, UsageStore | Ownership | Emitter> = Layer.effect(UsageLog, make)
