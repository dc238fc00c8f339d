/** Stores usage reports and announces them to apps. */
import { Context, Effect, Layer, Option, Schema } from "effect"
import * as PresenceKey from "../entities/PresenceKey.ts"
import * as BoundedList from "../database/BoundedList.ts"
import type { ReadFailed } from "../database/DatabaseReader.ts"
import type { ReadFailure } from "../database/ReadFailure.ts"
import { NotFound } from "../Failure.ts"
import { Emitter } from "../realtime/sending/Emitter.ts"
import { Ownership, requireOwned } from "../entities/Ownership.ts"
import * as Room from "../realtime/sending/Room.ts"
import type { UsageQuery } from "./UsageQuery.ts"
import type { Receipt, UsageReport } from "./UsageReport.ts"
import { reportLimit, UsageStore } from "./UsageStore.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

/** An answer to a query. */
export interface Usage {
  readonly json: Uint8Array
  /** More reports match than are summed up, or more periods than are returned. The newest ones are. */
  readonly isCut: boolean
}

const keptOf = Schema.decodeUnknownSync(Schema.Tuple(Schema.Int))

const foundOf = Schema.decodeUnknownOption(Schema.Tuple(Schema.Int))

const usageOf = ({ first, isCut, rows }: BoundedList.BoundedList, { groupBy }: UsageQuery): Usage => {
  const totalReports = rows.reduce((total, { kept }) => total + keptOf(kept)[0], 0)
  const found = Option.match(foundOf(first), { onNone: () => 0, onSome: ([count]) => count })
  const more = JSON.stringify({ groupBy, totalReports }).slice(1)
  return {
    // Read from the newest, so that what is cut is the oldest.
    json: BoundedList.toJson(`{"usage":[`, rows.toReversed(), `],${more}`),
    isCut: isCut || found > reportLimit
  }
}

export class UsageLog extends Context.Tag("light-server/UsageLog")<
  UsageLog,
  {
    /** Stores a report. Apps receive it when it is about a session. */
    readonly report: (
      accountId: string,
      report: UsageReport
    ) => Effect.Effect<Receipt, NotFound | WriteFailure | ReadFailed>
    /** What was used, the oldest period first. */
    readonly periods: (accountId: string, query: UsageQuery) => Effect.Effect<Usage, NotFound | ReadFailure>
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
        const list = yield* store.sum(accountId, query)
        return usageOf(list, query)
      })
  })
})

export const layer: Layer.Layer<UsageLog, never, UsageStore | Ownership | Emitter> = Layer.effect(UsageLog, make)
