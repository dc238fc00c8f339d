/**
 * Entry of the thread that `AutocheckpointThread` starts. Not TypeScript, because
 * Node 20 runs none in a thread.
 */
import { parentPort, workerData } from "node:worker_threads"
import Database from "better-sqlite3"

const database = new Database(String(workerData))
const prepared = new Map()

const execute = ({ params, sql }) => {
  const statement = prepared.get(sql) ?? database.prepare(sql)
  prepared.set(sql, statement)
  if (!statement.reader) return { rows: [], changes: statement.run(...params).changes }
  const rows = statement.all(...params)
  return { rows, changes: rows.length }
}

const run = ({ durability, statements }) => {
  database.pragma(`synchronous = ${durability === "power-loss" ? "FULL" : "NORMAL"}`)
  database.exec("BEGIN IMMEDIATE")
  try {
    const results = statements.map(execute)
    database.exec("COMMIT")
    return { results }
  } catch (cause) {
    if (database.inTransaction) database.exec("ROLLBACK")
    return { detail: String(cause) }
  }
}

parentPort?.on("message", (request) => parentPort?.postMessage(run(request)))
