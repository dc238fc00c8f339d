/**
 * The incident as a mutant: presence as it was before this library.
 *
 * One statement per row, one round trip per statement, everything in one line
 * behind a plain semaphore without an order, which waits without a limit and is freed
 * when its caller leaves. The stories of `Incident.test.ts` must fail on it, or
 * they prove nothing.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PresenceStorage from "../../src/presence/PresenceStorage.ts"
import { SqliteConnection } from "../../src/writer/SqliteConnection.ts"
import { SqliteWriter } from "../../src/writer/SqliteWriter.ts"
import * as Lane from "../../src/writer/Lane.ts"
import { toWriterError } from "../../src/writer/internal/engineFailure.ts"
import * as Write from "../../src/writer/Write.ts"
import * as WriterPolicy from "../../src/writer/WriterPolicy.ts"

/** One plain semaphore; lanes and terms are ignored. */
export const layerWriter: Layer.Layer<SqliteWriter, never, SqliteConnection> = Layer.effect(
  SqliteWriter,
  Effect.gen(function* () {
    const connection = yield* SqliteConnection
    const semaphore = yield* Effect.makeSemaphore(1)
    const policy = Effect.runSync(WriterPolicy.resolve(WriterPolicy.defaults))
    const write = <A>(lane: Lane.Lane, one: Write.Write<A>) =>
      semaphore
        .withPermits(1)(connection.run([one.statements], one.durability ?? "power-loss"))
        .pipe(
          Effect.flatMap(([answer]) =>
            answer?._tag === "Done" ? Effect.succeed(answer.results) : Effect.fail(answer!.fault)
          ),
          Effect.flatMap((results) => Effect.orDie(one.decode(results))),
          Effect.mapError((fault) => toWriterError(fault, { lane, attempts: 1, heldMillis: 0 }))
        )
    return SqliteWriter.of({
      policy,
      write,
      writeMeasured: (lane, one) =>
        Effect.map(write(lane, one), (value) => ({ value, waitMillis: 0, holdMillis: 0, attempts: 1, groupSize: 1 })),
      withPermit: () => (self) => semaphore.withPermits(1)(self),
      checkpoint: () => Effect.die("the incident had no keeper"),
      compact: () => Effect.die("the incident had no keeper"),
      status: Effect.succeed({
        state: "open" as const,
        holder: undefined,
        lanes: [],
        lastCommitMillis: undefined,
        lastFailure: undefined
      })
    })
  })
)

/** One update per row, one after the other; what was taken is gone when one fails. */
export const layerStorage: Layer.Layer<PresenceStorage.PresenceStorage, never, SqliteWriter> = Layer.effect(
  PresenceStorage.PresenceStorage,
  Effect.map(SqliteWriter, (writer) =>
    PresenceStorage.PresenceStorage.of({
      flush: (batch) =>
        Effect.forEach(batch.entries, (entry) =>
          Effect.ignore(
            writer.write(
              Lane.presence,
              Write.statement("UPDATE row SET lastActiveAt = ? WHERE id = ?", [entry.seenAtMillis, entry.id])
            )
          )
        ).pipe(Effect.as({ written: batch.entries, superseded: [], missing: [], chunkCount: batch.entries.length })),
      findStale: () => Effect.succeed({ rows: [], next: undefined }),
      markOffline: () => Effect.succeed([])
    })
  )
)
