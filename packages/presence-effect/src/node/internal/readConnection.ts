/** A connection that only reads, in the calling thread. It knows of each statement whether it would write. */
import Database from "better-sqlite3"
import { faultOf } from "../../sqlite/internal/resultCode.ts"
import type { SqlValue, Row } from "../../writer/Write.ts"
import { bound, exact, exactRow } from "./driverValue.ts"
import * as OpenFailure from "./openFailure.ts"

export interface ReadConnection {
  /** Whether the statement may write. Throws the driver's error when it does not prepare. */
  readonly writes: (sql: string) => boolean
  /** Throws the driver's error. `isExact`: every integer as a bigint. */
  readonly rows: (sql: string, params: ReadonlyArray<unknown>, isExact: boolean) => ReadonlyArray<Row>
  /** The same as arrays, in the order of the columns. */
  readonly values: (
    sql: string,
    params: ReadonlyArray<unknown>,
    isExact: boolean
  ) => ReadonlyArray<ReadonlyArray<SqlValue>>
  readonly close: () => void
}

/** Statements that stay prepared. The one that was used longest ago goes first. */
const preparedMax = 200

/** Opens the file, which a write connection has open already. Throws a `Fault`. */
export const open = (filename: string): ReadConnection => {
  let database: Database.Database
  try {
    // It never waits: that would stop the event loop.
    database = new Database(filename, { readonly: true, fileMustExist: true, timeout: 0 })
  } catch (cause) {
    throw OpenFailure.explained(filename, faultOf(cause, "queued"))
  }
  const prepared = new Map<string, Database.Statement<Array<unknown>, Row>>()

  const statement = (sql: string): Database.Statement<Array<unknown>, Row> => {
    const found = prepared.get(sql) ?? database.prepare<Array<unknown>, Row>(sql).safeIntegers(true)
    prepared.delete(sql)
    prepared.set(sql, found)
    const [oldest] = prepared.keys()
    if (prepared.size > preparedMax && oldest !== undefined) prepared.delete(oldest)
    return found
  }

  return {
    writes: (sql) => !statement(sql).readonly,
    rows: (sql, params, isExact) => {
      const found = statement(sql)
      const rows = found.raw(false).all(...params.map(bound))
      return isExact ? rows : rows.map(exactRow)
    },
    values: (sql, params, isExact) => {
      const found = statement(sql)
      const rows = found.raw(true).all(...params.map(bound)) as unknown as ReadonlyArray<ReadonlyArray<SqlValue>>
      return isExact ? rows : rows.map((row) => row.map(exact))
    },
    close: () => database.close()
  }
}
