/**
 * The connection port on bare better-sqlite3 in a thread, with SQLite's own
 * checkpoints: every thousand pages, inside a commit. For comparison only: it
 * has no groups, conflicts or faults.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqliteFault from "presence-effect/sqlite/SqliteFault"
import { SqliteConnection } from "presence-effect/writer/SqliteConnection"
import type { Durability } from "presence-effect/writer/Durability"
import type { Statement, StatementResult } from "presence-effect/writer/Write"
import { Worker } from "node:worker_threads"

interface Request {
  readonly statements: ReadonlyArray<Statement>
  readonly durability: Durability
}

type Reply = { readonly results: ReadonlyArray<StatementResult> } | { readonly detail: string }

const entry = new URL("./autocheckpointThreadEntry.mjs", import.meta.url)

const unused = Effect.fail(SqliteFault.make({ code: "SQLITE_MISUSE", detail: "not here", phase: "queued" }))

export const layer = (filename: string): Layer.Layer<SqliteConnection> =>
  Layer.scoped(
    SqliteConnection,
    Effect.gen(function* () {
      const thread = yield* Effect.acquireRelease(
        Effect.sync(() => new Worker(entry, { workerData: filename })),
        (thread) => Effect.promise(() => thread.terminate())
      )
      return SqliteConnection.of({
        run: (group, durability) =>
          Effect.async((resume) => {
            thread.once("message", (reply: Reply) =>
              resume(
                "results" in reply
                  ? Effect.succeed([{ _tag: "Done", results: reply.results }])
                  : Effect.fail(SqliteFault.make({ code: "SQLITE_ERROR", detail: reply.detail, phase: "statement" }))
              )
            )
            const request: Request = { statements: group.flat(), durability }
            thread.postMessage(request)
          }),
        checkpoint: () => unused,
        compact: () => unused,
        space: unused,
        logState: unused,
        copyLog: unused,
        identity: unused,
        untilStopped: Effect.never,
        stop: () => Effect.void,
        isBusy: () => false
      })
    })
  )
