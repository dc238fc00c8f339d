/**
 * The storage quota of accounts.
 *
 * Triggers keep the totals and refuse. This names the refusal, counts accounts anew when that is due, and spares the
 * writer an account that goes on trying.
 */
import { Clock, Context, Effect, Layer, Schema, type Scope } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import type { WriterError } from "presence-effect/writer/WriterError"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import { QuotaExceeded } from "../Failure.ts"
import type { Limits } from "./QuotaKnobs.ts"
import { countRefusal } from "./QuotaMetrics.ts"
import * as QuotaTriggers from "./QuotaTriggers.ts"
import * as Recounts from "./Recounts.ts"
import * as RefusedWrites from "./RefusedWrites.ts"

export interface QuotaTerms {
  /** `undefined`: an account may store whatever the disk takes. */
  readonly limits: Limits | undefined
  /** Whether the writes of this server change the totals of accounts, also where it limits none. */
  readonly isCounted: boolean
  /** Runs a write of an account. Fails with `QuotaExceeded`, and writes nothing, when it would go beyond a limit. */
  readonly guard: <A>(
    accountId: string,
    write: Write.Write<A>,
    run: Effect.Effect<A, WriterError>
  ) => Effect.Effect<A, WriterError | QuotaExceeded>
  /** Counts an account anew after a change that the triggers do not follow. */
  readonly recount: (accountId: string) => Effect.Effect<void>
}

const unlimited: QuotaTerms = {
  limits: undefined,
  isCounted: false,
  guard: (_accountId, _write, run) => run,
  recount: () => Effect.void
}

/** Beside servers that may have a quota. */
const counted: QuotaTerms = { ...unlimited, isCounted: true }

/** The quota of the server. None unless a layer says otherwise. */
export class Quota extends Context.Reference<Quota>()("light-server/Quota", {
  defaultValue: (): QuotaTerms => unlimited
}) {}

const isFreeing = ({ statements }: Write.Write<unknown>): boolean =>
  statements.every(({ usesReserve }) => usesReserve === true)

export const make = (limits: Limits): Effect.Effect<QuotaTerms, never, Writer | DatabaseReader | Scope.Scope> =>
  Effect.gen(function* () {
    const refused = RefusedWrites.make()
    // A write that was refused before a count ended, and hears of it afterwards, is tried again.
    const recounts = yield* Recounts.make(refused.free)

    const refuse = (accountId: string, kind: QuotaTriggers.QuotaKind) =>
      Effect.logWarning("A write was refused: its account has used up its storage quota").pipe(
        Effect.annotateLogs({ code: "QUOTA_EXCEEDED", accountId, quota: kind, limit: limits[kind] }),
        Effect.zipRight(Effect.sync(() => countRefusal(kind))),
        Effect.zipRight(Effect.fail(new QuotaExceeded({ quota: kind, limit: limits[kind] })))
      )

    /** An attempt that reaches the writer, and a second one if the totals may not have been those of the rows. */
    const attempt = <A>(
      accountId: string,
      write: Write.Write<A>,
      run: Effect.Effect<A, WriterError>,
      isLast = false
    ): Effect.Effect<A, WriterError | QuotaExceeded> =>
      Effect.suspend(() => {
        const freedBefore = refused.freedCount(accountId)
        return Effect.catchTag(run, "WriteRejected", (rejected) =>
          Effect.gen(function* () {
            const kind = QuotaTriggers.kindOf(rejected)
            if (kind === undefined) return yield* rejected
            // They may be those of before the start, and room may have come meanwhile.
            const isOutdated = (yield* recounts.now(accountId)) || refused.freedCount(accountId) !== freedBefore
            if (isOutdated && !isLast) return yield* attempt(accountId, write, run, true)
            if (!isOutdated) refused.note(accountId, write, kind, yield* Clock.currentTimeMillis)
            return yield* refuse(accountId, kind)
          })
        )
      })

    const guard: QuotaTerms["guard"] = (accountId, write, run) => {
      if (isFreeing(write)) return Effect.tap(run, () => Effect.sync(() => refused.free(accountId)))
      return Effect.gen(function* () {
        const known = refused.find(accountId, write, yield* Clock.currentTimeMillis)
        if (known !== undefined) return yield* refuse(accountId, known)
        const result = yield* attempt(accountId, write, run)
        yield* recounts.later(accountId)
        return result
      })
    }

    return {
      limits,
      isCounted: true,
      guard,
      recount: (accountId) =>
        Effect.zipRight(
          recounts.anew(accountId),
          Effect.sync(() => refused.free(accountId))
        )
    }
  })

const hasTotals = `SELECT 1 AS "found" FROM "PresenceAccountUsage" LIMIT 1`

/** Without a quota nothing keeps the totals, and old ones must not be taken for right when there is one again. */
const forgetTotals = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const writer = yield* Writer
  const found = yield* reader.rows(Schema.Unknown, hasTotals)
  if (found.length === 0) return
  const remove = Write.statement(`DELETE FROM "PresenceAccountUsage"`)
  yield* writer.write(Lane.maintenance, Write.withReserve(remove))
}).pipe(
  Effect.catchAll((failure) =>
    Effect.annotateLogs(Effect.logWarning("Old totals of accounts could not be removed", failure), {
      code: "QUOTA_NOT_COUNTED"
    })
  )
)

/**
 * `isAlone`: no other server keeps the totals of the database. Connections that write must have been prepared for the
 * same limits, with `QuotaTriggers`.
 */
export const layer = (
  limits: Limits | undefined,
  { isAlone = true }: { readonly isAlone?: boolean } = {}
): Layer.Layer<Quota, never, Writer | DatabaseReader> => {
  if (limits !== undefined) return Layer.scoped(Quota, make(limits))
  return Layer.effect(Quota, isAlone ? Effect.as(forgetTotals, unlimited) : Effect.succeed(counted))
}
