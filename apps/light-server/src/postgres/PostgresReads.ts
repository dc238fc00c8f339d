/**
 * Reads of a PostgreSQL database, in the classes of the server.
 *
 * **Details**
 *
 * - Each class has connections of its own, so a list waits for lists only, and no read waits for a write.
 * - A class has a bounded queue and a deadline, from the question to the answer. PostgreSQL ends a statement that runs
 *   longer than the deadline.
 * - A list is bounded in rows and bytes by its statement. Its rows become JSON in the thread of the event loop.
 */
import { Duration, Effect, Redacted, type Scope } from "effect"
import * as PostgresReader from "presence-effect/postgres/PostgresReader"
import type { EngineFault } from "presence-effect/writer/Engine"
import type { SqlValue } from "presence-effect/writer/Write"
import * as DatabaseReader from "../database/DatabaseReader.ts"
import * as ListAnswer from "../database/ListAnswer.ts"
import { postgres } from "../database/PostgresDialect.ts"
import { ReadFailed, type ReadFailure, ReadOverflow, ReadTimeout } from "../database/ReadFailure.ts"
import * as ReadMetrics from "../database/ReadMetrics.ts"
import * as ReadPool from "../database/ReadPool.ts"
import type { StoredRow } from "../database/ReadRequest.ts"
import type { PostgresAddress } from "../PostgresAddress.ts"

/** A statement that met its time limit. */
const canceled = "57014"

type Ask = (
  sql: string,
  params: ReadonlyArray<SqlValue>
) => Effect.Effect<ReadonlyArray<StoredRow>, ReadFailed | ReadOverflow | ReadTimeout>

/** A text that PostgreSQL refuses even as a parameter. No row holds it, so no row is found by it, as in SQLite. */
const isNowhere = (value: SqlValue): boolean => typeof value === "string" && value.includes("\u0000")

/** Reads of one class. */
const makeClass = (
  readClass: ReadPool.ReadClass,
  { deadline, queueLimit }: ReadPool.ClassOptions,
  connections: number,
  { address: { url }, applicationName }: Options
): Effect.Effect<Ask, EngineFault, Scope.Scope> =>
  Effect.gen(function* () {
    const reader = yield* PostgresReader.make({
      url: Redacted.value(url),
      ...(applicationName === undefined ? {} : { applicationName }),
      connections,
      timeout: deadline
    })
    const limitMillis = Duration.toMillis(deadline)
    ReadMetrics.setWaiting(readClass, 0)
    ReadMetrics.setLimit(readClass, queueLimit)
    let asked = 0
    const count = (change: 1 | -1) => {
      asked += change
      ReadMetrics.setWaiting(readClass, Math.max(0, asked - connections))
    }
    const timeout = () => new ReadTimeout({ readClass, limitMillis })
    const failed = ({ code, detail }: EngineFault): ReadFailed | ReadTimeout =>
      code === canceled ? timeout() : new ReadFailed({ code, detail })
    return (sql, params) =>
      Effect.suspend((): ReturnType<Ask> => {
        if (asked >= connections + queueLimit) {
          ReadMetrics.countOverflow(readClass)
          return Effect.fail(new ReadOverflow({ readClass, limit: queueLimit }))
        }
        if (params.some(isNowhere)) return Effect.succeed([])
        count(1)
        return reader.query(postgres.text(sql), params).pipe(
          Effect.mapBoth({ onFailure: failed, onSuccess: (rows) => rows as ReadonlyArray<StoredRow> }),
          Effect.ensuring(Effect.sync(() => count(-1))),
          // The statement ends by itself; its caller does not wait for that.
          Effect.disconnect,
          Effect.timeoutFail({ duration: deadline, onTimeout: timeout })
        )
      })
  })

/** How a read of one row fails: without the failures of a queue, which its callers do not have. */
const asFailed = (failure: ReadFailure): ReadFailed =>
  failure._tag === "ReadFailed" ? failure : new ReadFailed({ code: failure._tag, detail: failure.message })

/** Connections of each class when there are `connections` in all, at least three. */
const sharesOf = (connections: number) => {
  const report = Math.max(1, Math.floor(connections / 6))
  const list = Math.max(1, Math.floor(connections / 3))
  return { point: Math.max(1, connections - list - report), list, report }
}

export interface Options {
  readonly address: PostgresAddress
  /** How many connections read. */
  readonly connections: number
  /** How they are called in `pg_stat_activity`. */
  readonly applicationName?: string
  readonly classes?: ReadPool.Options["classes"]
}

/** Opens one connection of each class; the others are opened when they are needed. */
export const make = (
  options: Options
): Effect.Effect<DatabaseReader.DatabaseReader["Type"], EngineFault, Scope.Scope> =>
  Effect.gen(function* () {
    const { classes = ReadPool.defaults.classes, connections } = options
    const shares = sharesOf(connections)
    const asks = {
      point: yield* makeClass("point", classes.point, shares.point, options),
      list: yield* makeClass("list", classes.list, shares.list, options),
      report: yield* makeClass("report", classes.report, shares.report, options)
    }
    const pool: ReadPool.ReadPool = {
      list: (readClass, request) =>
        Effect.map(asks[readClass](request.sql, request.params), (rows) => ListAnswer.make(request, rows)),
      rows: (readClass, request) => asks[readClass](request.sql, request.params)
    }
    return DatabaseReader.fromQuery((sql, params) => Effect.mapError(asks.point(sql, params), asFailed), pool, postgres)
  })
