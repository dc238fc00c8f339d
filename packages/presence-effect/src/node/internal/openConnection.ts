/**
 * One connection of `@effect/sql-sqlite-node`, reserved for good and brought into the one state all writes rely on.
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import type { Connection } from "@effect/sql/SqlConnection"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import type { Row, StatementResult } from "../../writer/Write.ts"
import { codeOf, faultOf } from "../../sqlite/internal/resultCode.ts"
import * as ConnectionState from "./connectionState.ts"
import { bound, exactRow } from "./driverValue.ts"

/** Opens the file. Throws a `Fault`. */
export const open: ConnectionState.Open = (options) => {
  const scope = Effect.runSync(Scope.make())
  const close = () => Effect.runSync(Scope.close(scope, Exit.void))
  try {
    const connection = Effect.runSync(
      SqliteClient.make({ filename: options.filename, disableWAL: true }).pipe(
        Effect.flatMap((client) => client.reserve),
        Effect.provide(Reactivity.layer),
        Scope.extend(scope)
      )
    )
    return { ...prepare(connection, options), close }
  } catch (cause) {
    close()
    throw faultOf(rootOf(cause), "queued")
  }
}

/** `runSync` wraps what it throws, and `SqlError` wraps what the driver threw. */
const rootOf = (cause: unknown): unknown =>
  cause instanceof Error && cause.cause !== undefined && codeOf(cause) === "SQLITE_ERROR" ? rootOf(cause.cause) : cause

const unwrap = (exit: Exit.Exit<unknown, SqlError>): unknown => {
  if (Exit.isSuccess(exit)) return exit.value
  const error = exit.cause._tag === "Fail" ? exit.cause.error : undefined
  throw error === undefined ? rootOf(exit.cause._tag === "Die" ? exit.cause.defect : exit.cause) : error.cause
}

/** Integers are read as bigints. Provided to the runtime once: to each statement it costs as much as a small one. */
const runExact = Runtime.runSyncExit(Runtime.provideService(Runtime.defaultRuntime, SqlClient.SafeIntegers, true))

/** Statements whose failure is remembered before all of it is forgotten. */
const unpreparedMax = 1_000

/**
 * Runs statements. The client keeps what it prepared, and for minutes also that it could not prepare a statement: one
 * that failed so is run past its cache from then on, since the table may have come meanwhile.
 */
const executor = (connection: Connection) => {
  const unprepared = new Set<string>()
  const raw = (sql: string, params: ReadonlyArray<unknown>) => runExact(connection.executeRaw(sql, params))
  const numberOf = (sql: string): number => Number((unwrap(raw(sql, [])) as ReadonlyArray<Row>)[0]?.["n"])
  const totalChanges = (): number => numberOf("SELECT total_changes() AS n")

  const pastTheCache = (sql: string, params: ReadonlyArray<unknown>): StatementResult => {
    const before = totalChanges()
    const run = Effect.suspend(() => connection.executeUnprepared(sql, params, undefined))
    const rows = unwrap(runExact(run)) as ReadonlyArray<Row>
    if (rows.length > 0) return { rows: rows.map(exactRow), changes: rows.length }
    const changes = totalChanges() === before ? 0 : numberOf("SELECT changes() AS n")
    return { rows: [], changes }
  }

  return (sql: string, params: ReadonlyArray<unknown>): StatementResult => {
    const values = params.map(bound)
    if (unprepared.has(sql)) return pastTheCache(sql, values)
    const exit = raw(sql, values)
    if (
      Exit.isFailure(exit) &&
      exit.cause._tag === "Fail" &&
      exit.cause.error.message.startsWith("Failed to prepare")
    ) {
      if (unprepared.size >= unpreparedMax) unprepared.clear()
      unprepared.add(sql)
    }
    const reply = unwrap(exit) as ReadonlyArray<Row> | { readonly changes: number }
    if ("changes" in reply) return { rows: [], changes: reply.changes }
    return { rows: reply.map(exactRow), changes: reply.length }
  }
}

const prepare = (connection: Connection, options: ConnectionState.Options): ConnectionState.Settled => {
  const once = (sql: string): ReadonlyArray<Row> =>
    unwrap(
      Effect.runSyncExit(Effect.suspend(() => connection.executeUnprepared(sql, [], undefined)))
    ) as ReadonlyArray<Row>
  const pragma = (text: string) => once(`PRAGMA ${text}`)
  const settled = ConnectionState.settle({ execute: executor(connection), pragma }, options)
  for (const sql of options.setup) once(sql)
  return settled
}
