/** A thread that reads: one read-only connection, one request at a time. */
import Sqlite from "better-sqlite3"
import { type MessagePort, parentPort, workerData } from "node:worker_threads"
import * as ListAnswer from "./ListAnswer.ts"
import type { Answered, Asked, ReadReply, ReadRequest, StoredRow } from "./ReadRequest.ts"

/** A lock that keeps readers out lasts for a moment only: a log is recovered, or a file is brought into WAL mode. */
const busyTimeoutMillis = 500

const { filename } = workerData as { readonly filename: string }

let sqlite: Sqlite.Database | undefined

/** The texts of statements are constant, so there are few. */
const statements = new Map<string, Sqlite.Statement<Array<unknown>, StoredRow>>()

const prepare = (sql: string) => {
  sqlite ??= new Sqlite(filename, { readonly: true, fileMustExist: true, timeout: busyTimeoutMillis })
  const known = statements.get(sql)
  if (known !== undefined) return known
  const made = sqlite.prepare<Array<unknown>, StoredRow>(sql)
  statements.set(sql, made)
  return made
}

const answer = (request: ReadRequest): ReadReply => {
  const rows = prepare(request.sql).all(...request.params)
  return request._tag === "List" ? ListAnswer.make(request, rows) : rows
}

const faultOf = (cause: unknown) => ({
  code: cause instanceof Error && "code" in cause ? String(cause.code) : "SQLITE_ERROR",
  detail: cause instanceof Error ? cause.message : String(cause)
})

const listen = (port: MessagePort): void => {
  port.on("message", ({ id, request }: Asked) => {
    let answered: Answered
    try {
      answered = { id, reply: answer(request) }
    } catch (cause) {
      answered = { id, fault: faultOf(cause) }
    }
    const { reply } = answered
    // The text moves instead of being copied.
    port.postMessage(answered, reply !== undefined && "bytes" in reply ? [reply.bytes.buffer as ArrayBuffer] : [])
  })
}

if (parentPort !== null) listen(parentPort)
