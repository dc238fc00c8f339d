/**
 * A connection of better-sqlite3 alone, in the same state as the one that writes.
 *
 * The thread that copies the log runs pragmas and no statement of a caller. Without the modules of a SQL client it
 * takes 15 MB less memory and half of the time to start.
 */
import Sqlite from "better-sqlite3"
import { faultOf } from "../../sqlite/internal/resultCode.ts"
import type { Row } from "../../writer/Write.ts"
import * as ConnectionState from "./connectionState.ts"

export const open: ConnectionState.Open = (options) => {
  let sqlite: Sqlite.Database | undefined
  try {
    const opened = (sqlite = new Sqlite(options.filename, { timeout: 0 }))
    const execute: ConnectionState.OpenConnection["execute"] = (sql, params) => {
      const rows = opened.prepare<Array<unknown>, Row>(sql).all(...params)
      return { rows, changes: rows.length }
    }
    const pragma = (text: string) => opened.pragma(text) as ReadonlyArray<Row>
    return { ...ConnectionState.settle({ execute, pragma }, options), close: () => void opened.close() }
  } catch (cause) {
    sqlite?.close()
    throw faultOf(cause, "queued")
  }
}
