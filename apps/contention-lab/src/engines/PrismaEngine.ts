/**
 * A real Prisma client whose driver adapter runs SQLite in this very thread: an engine without any round trip.
 *
 * Messages, reports and registrations are raw statements in one `$transaction([...])`, with the same text as for every
 * other strategy. Heartbeats go through the model, as in the incident.
 */
import { PrismaBetterSqlite3 } from "@prisma/adapter-better-sqlite3"
import Database from "better-sqlite3"
import { Effect, type Scope } from "effect"
import type { Run } from "../Run.ts"
import { engineTimeoutMillis, slowSyncMillis } from "../Scenario.ts"
import type { DirtyRow } from "../Statements.ts"
import { type Engine, EngineFailed } from "./Engine.ts"
import { observed } from "./observedAdapter.ts"
import * as PrismaClient from "./PrismaClient.ts"

export interface PrismaTerms {
  readonly filename: string
  readonly run: Run
}

export const make = ({ filename, run }: PrismaTerms): Effect.Effect<Engine, never, Scope.Scope> =>
  Effect.gen(function* () {
    // Kept in the file, and so the mode of the connection that Prisma opens.
    yield* Effect.sync(() => {
      const database = new Database(filename)
      database.pragma("journal_mode = WAL")
      database.close()
    })
    const factory = new PrismaBetterSqlite3(
      { url: `file:${filename}`, timeout: engineTimeoutMillis },
      { timestampFormat: "unixepoch-ms" }
    )
    const adapter = observed(factory, {
      now: run.elapsedMillis,
      held: run.meter.held,
      syncMillis: run.scenario.disk === "slow" ? slowSyncMillis : 0
    })
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => PrismaClient.make(PrismaClient.labFolder(), adapter)),
      (client) => Effect.promise(() => client.$disconnect())
    )
    const call = (send: () => Promise<unknown>): Effect.Effect<void, EngineFailed> =>
      Effect.asVoid(Effect.tryPromise({ try: send, catch: (cause) => new EngineFailed({ detail: String(cause) }) }))

    const update = ({ key, seenAtMillis }: DirtyRow) => {
      const change = { where: { id: key.id }, data: { active: true, lastActiveAt: new Date(seenAtMillis) } }
      return key.kind === "session" ? client.session.updateMany(change) : client.machine.updateMany(change)
    }
    yield* Effect.promise(() => client.$connect())
    // The default of better-sqlite3 in WAL mode is NORMAL. An acknowledged registration must survive a power loss here.
    yield* Effect.promise(() => client.$queryRawUnsafe("PRAGMA synchronous = FULL"))

    return {
      transaction: (statements) =>
        call(() => client.$transaction(statements.map(({ params, sql }) => client.$executeRawUnsafe(sql, ...params)))),
      updateRow: (row) => call(() => update(row)),
      updateRows: (rows) => call(() => client.$transaction(rows.map(update)))
    }
  })
