import { Deferred, Effect, Layer, Ref } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { Presence } from "../../src/entities/Presence.ts"
import { type EngineFault, SqliteConnection } from "presence-effect/writer/SqliteConnection"
import type { WriterStatus } from "presence-effect/writer/SqliteWriter"
import { Writer } from "presence-effect/writer/Writer"
import { WriteRejected } from "presence-effect/writer/WriterError"
import * as WriterPolicy from "presence-effect/writer/WriterPolicy"
import { DatabaseReader, fromQuery, type ReadFailed } from "../../src/database/DatabaseReader.ts"
import * as FileState from "../../src/database/FileState.ts"
import { Authenticator } from "../../src/door/Authenticator.ts"
import { Unauthorized } from "../../src/Failure.ts"

const refused = Effect.dieMessage("not asked in these tests")

/** The inputs of the readiness check, each changed by the test. */
export const make = (options: { readonly heartbeatTable: boolean }) =>
  Effect.gen(function* () {
    const status = yield* Ref.make<WriterStatus>({
      state: "open",
      holder: undefined,
      lanes: [{ lane: Lane.control, waiterCount: 0, capacity: 10, oldestWaitMillis: 0 }],
      lastCommitMillis: 0,
      lastFailure: undefined
    })
    const identity = yield* Ref.make({ database: "1:2", log: "1:9" })
    const stopped = yield* Deferred.make<never, EngineFault>()
    const written = yield* Ref.make<ReadonlyArray<string>>([])
    /** Whether a write succeeds; one that does clears the last failure. */
    const accepts = yield* Ref.make(true)

    const policy = yield* WriterPolicy.resolve(WriterPolicy.defaults)
    const writer: Writer["Type"] = {
      policy,
      status: Ref.get(status),
      write: (lane, write) =>
        Effect.gen(function* () {
          const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
          yield* Ref.update(written, (before) => [...before, `${lane}: ${write.statements[0]?.sql.split(" ")[0]}`])
          if (yield* Ref.get(accepts)) {
            yield* Ref.update(status, (before) => ({ ...before, lastCommitMillis: now, lastFailure: undefined }))
            return undefined as never
          }
          const lastFailure = { tag: "DatabaseFull", atMillis: now } as const
          yield* Ref.update(status, (before) => ({ ...before, lastFailure }))
          return yield* new WriteRejected({ lane, code: "SQLITE_FULL", detail: "" })
        }),
      writeMeasured: () => refused
    }
    const connection = {
      run: () => refused,
      checkpoint: () => refused,
      compact: () => refused,
      space: refused,
      copyLog: refused,
      logState: refused,
      identity: Effect.map(Ref.get(identity), (files) => ({ ...files, databaseBytes: 0, logBytes: 0 })),
      untilStopped: Deferred.await(stopped),
      stop: (fault: EngineFault) => Effect.asVoid(Deferred.fail(stopped, fault)),
      isBusy: () => false
    }
    /** The failure of the next read. */
    const readFailure = yield* Ref.make<ReadFailed | undefined>(undefined)
    const reader = fromQuery(() =>
      Effect.flatMap(Ref.getAndSet(readFailure, undefined), (failure) =>
        failure === undefined
          ? Effect.succeed(options.heartbeatTable ? [{ name: "ServerHeartbeat" }] : [])
          : Effect.fail(failure)
      )
    )
    const layer = Layer.mergeAll(
      Layer.succeed(Writer, writer),
      Layer.provide(FileState.layer("/tmp/none.sqlite"), Layer.succeed(SqliteConnection, connection)),
      Layer.succeed(DatabaseReader, reader),
      Layer.succeed(Authenticator, { verify: () => Effect.fail(new Unauthorized({ error: "Invalid token" })) }),
      AlivePresence
    )
    return { status, identity, stopped, written, accepts, readFailure, layer }
  })

const AlivePresence = Layer.succeed(Presence, {
  beat: () => "alive",
  seen: () => "alive",
  connected: () => "alive",
  disconnected: () => {},
  end: () => Effect.void,
  forget: () => {},
  lastSeen: () => undefined,
  onTransition: () => Effect.void,
  flush: Effect.void,
  status: Effect.succeed({
    trackedCount: 0,
    capacity: 1,
    pendingCount: 0,
    parkedCount: 0,
    oldestPendingMillis: undefined,
    lastFlushMillis: 0,
    consecutiveFlushFailures: 0
  })
})
