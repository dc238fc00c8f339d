/**
 * What two replicas do to each other on one PostgreSQL, as a number of failures and as waiting: bundled with a planted
 * bug, or as it is.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PostgresEngine from "../../src/postgres/PostgresEngine.ts"
import * as PostgresPresenceStorage from "../../src/postgres/PostgresPresenceStorage.ts"
import * as PostgresReader from "../../src/postgres/PostgresReader.ts"
import type { FlushEntry } from "../../src/presence/FlushBatch.ts"
import { PresenceStorage } from "../../src/presence/PresenceStorage.ts"
import { Engine } from "../../src/writer/Engine.ts"
import * as Lane from "../../src/writer/Lane.ts"
import * as Write from "../../src/writer/Write.ts"
import * as Writer from "../../src/writer/Writer.ts"
import * as WriterPolicy from "../../src/writer/WriterPolicy.ts"

const kinds = { device: { table: "Device", accountId: "accountId" } } as const

export interface Contention {
  /** Writes that the database gave up: two waited for each other, or one for a lock that stayed held. */
  readonly givenUp: number
  /** Rows of a flush that another transaction held, and that were left for the next one. */
  readonly deferred: number
}

/** A deadlock, and a lock that is not free in time: which comes first depends on the limits. */
const isGivenUp = ({ code }: { readonly code: string }): boolean => code === "40P01" || code === "55P03"

/** A replica whose engine counts what the database gives up. */
const makeReplica = (url: string, counts: { givenUp: number }) =>
  Layer.build(
    PostgresPresenceStorage.layer({ kinds, chunkRows: 400 }).pipe(
      Layer.provideMerge(Writer.layer({ ...WriterPolicy.defaults, bypassLimit: 8 })),
      Layer.provide(
        Layer.map(PostgresEngine.layer({ url }), (context) => {
          const engine = Context.get(context, Engine)
          return Context.make(Engine, {
            ...engine,
            run: (group, ...rest) =>
              engine.run(group, ...rest).pipe(
                Effect.tap((answers) =>
                  Effect.sync(() => {
                    for (const answer of answers) {
                      if (answer._tag === "Failed" && isGivenUp(answer.fault)) counts.givenUp++
                    }
                  })
                ),
                Effect.tapError((fault) => Effect.sync(() => void (isGivenUp(fault) && counts.givenUp++)))
              )
          })
        })
      ),
      Layer.provide(PostgresReader.layer({ url }))
    )
  )

const entriesOf = (ids: ReadonlyArray<string>, seenAtMillis: number): ReadonlyArray<FlushEntry> =>
  ids.map((id) => ({ kind: "device", id, accountId: "a", seenAtMillis, state: "alive" }))

/** A flush of rows of which some are held by a transaction that stays open. */
export const flush = (url: string, ids: ReadonlyArray<string>): Promise<Contention> =>
  Effect.gen(function* () {
    const counts = { givenUp: 0, deferred: 0 }
    const storage = Context.get(yield* makeReplica(url, counts), PresenceStorage)
    const exit = yield* Effect.either(storage.flush({ entries: entriesOf(ids, 1) }))
    counts.deferred += exit._tag === "Right" ? (exit.right.deferred?.length ?? 0) : 0
    return counts
  }).pipe(Effect.scoped, Effect.runPromise)

/** Two replicas raise counters of the same accounts, whose writes share commits, until the database gives one up. */
export const groups = (url: string, accounts: ReadonlyArray<string>, rounds: number): Promise<Contention> =>
  Effect.gen(function* () {
    const counts = { givenUp: 0, deferred: 0 }
    const writers = [yield* makeReplica(url, counts), yield* makeReplica(url, counts)].map(Context.get(Writer.Writer))
    const raise = (id: string) =>
      Write.statement(`UPDATE "Account" SET seq = seq + 1 WHERE id = $1`, [id], { changes: 1 }).pipe(Write.withLock(id))
    const round = Effect.all(
      writers.flatMap(({ write }, index) =>
        (index === 0 ? accounts : accounts.toReversed()).map((id) => Effect.exit(write(Lane.control, raise(id))))
      ),
      { concurrency: "unbounded" }
    )
    for (let left = rounds; left > 0 && counts.givenUp === 0; left--) yield* round
    return counts
  }).pipe(Effect.scoped, Effect.runPromise)
