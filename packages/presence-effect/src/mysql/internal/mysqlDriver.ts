/** Connections of `mysql2`, as the engine and the reader use them. */
import * as Duration from "effect/Duration"
import mysql from "mysql2/promise"
import {
  type Command,
  type Driver,
  makeEnd,
  makeSteering,
  type Outcome,
  type Session
} from "../../node/internal/serverSession.ts"
import type { Row, SqlValue, StatementResult } from "../../writer/Write.ts"
import type { MysqlOptions } from "../MysqlOptions.ts"
import { endsTransaction, faultOf } from "./mysqlFault.ts"

const isChanging = /^\s*(INSERT|REPLACE|DELETE)\b/i

/** Number of the type of a column of 64 bits. The driver returns its values as texts when no number can hold them. */
const longlong = 8

const rowsOf = (
  rows: ReadonlyArray<Row>,
  fields: ReadonlyArray<{ readonly name: string; readonly columnType?: number | undefined }> = []
): ReadonlyArray<Row> => {
  const large = fields.filter(({ columnType }) => columnType === longlong)
  if (large.length === 0) return rows
  return rows.map((row) => {
    const texts = large.filter(({ name }) => typeof row[name] === "string")
    if (texts.length === 0) return row
    return { ...row, ...Object.fromEntries(texts.map(({ name }) => [name, BigInt(String(row[name]))])) }
  })
}

const resultOf = ({ sql }: Command, result: unknown, fields: ReadonlyArray<mysql.FieldPacket>): StatementResult => {
  if (Array.isArray(result)) {
    const rows = rowsOf(result, fields)
    // MariaDB counts what a statement with RETURNING has changed by its rows.
    return { rows, changes: isChanging.test(sql) ? rows.length : 0 }
  }
  return { rows: [], changes: (result as { readonly affectedRows?: number }).affectedRows ?? 0 }
}

/** Parameters travel apart from the text. A command of the library has none, and not all of them can be prepared. */
const send = async (client: mysql.Connection, command: Command): Promise<Outcome> => {
  const { params, sql } = command
  try {
    const [result, fields] = params === undefined ? await client.query(sql) : await client.execute(sql, bound(params))
    return { _tag: "Done", result: resultOf(command, result, fields) }
  } catch (cause) {
    return { _tag: "Failed", cause }
  }
}

/** As texts the server compares numbers exactly; the driver would send them as floating point numbers. */
const bound = (params: ReadonlyArray<SqlValue>): Array<string | Buffer | null> =>
  params.map((param) => {
    if (param === null || typeof param === "string") return param
    return typeof param === "object" ? Buffer.from(param) : String(param)
  })

const sessionOf = (client: mysql.Connection): Session => {
  const { end, isEnded, unlessEnded } = makeEnd()
  client.on("error", end)
  // The wrapper of promises passes on errors only, and has no other way to its socket.
  const { connection } = client as unknown as {
    readonly connection: NodeJS.EventEmitter & { readonly stream: { readonly destroy: () => void } }
  }
  connection.on("end", () => end(new Error("the connection has ended")))
  return {
    // One by one: what is sent after a deadlock would run outside the transaction, which is gone.
    run: async (commands) => {
      const outcomes: Array<Outcome> = []
      for (const command of commands) {
        // oxlint-disable-next-line no-await-in-loop
        const outcome = await unlessEnded(send(client, command)).catch((cause): Outcome => ({ _tag: "Failed", cause }))
        outcomes.push(outcome)
        if (outcome._tag === "Failed") break
      }
      return outcomes
    },
    isAlive: () => !isEnded(),
    close: () => client.end(),
    destroy: () => {
      end(new Error("the connection was cut off"))
      client.destroy()
      connection.stream.destroy()
    }
  }
}

/**
 * Read committed, because repeatable read also locks the gaps between rows; UTC, so that times mean the same for every
 * replica; strict, so that a value that does not fit fails instead of being cut; and room for the keys of a sweep.
 */
const setup = [
  "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
  "SET SESSION time_zone = '+00:00'",
  "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')",
  "SET SESSION group_concat_max_len = 16777216"
]

const connect = async (options: MysqlOptions, more: ReadonlyArray<string>): Promise<Session> => {
  const client = await mysql.createConnection({
    uri: options.url,
    ...(options.tls === undefined ? {} : { ssl: options.tls as mysql.SslOptions }),
    connectTimeout: Duration.toMillis(options.connectTimeout ?? "2 seconds"),
    charset: "utf8mb4_bin",
    dateStrings: true,
    enableKeepAlive: true,
    supportBigNumbers: true,
    jsonStrings: true
  })
  const session = sessionOf(client)
  for (const sql of [...setup, ...more]) {
    // oxlint-disable-next-line no-await-in-loop
    await client.query(sql)
  }
  return session
}

/** Statements that commit by themselves end the transaction too. */
const steering = makeSteering(
  "BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|XA|SET|USE|LOCK|UNLOCK|CREATE|ALTER|DROP|RENAME|TRUNCATE|GRANT|" +
    "REVOKE|ANALYZE|OPTIMIZE|REPAIR|FLUSH|CALL"
)

/** `more`: run on each new connection. */
export const make = (options: MysqlOptions, more: ReadonlyArray<string> = []): Driver => ({
  connect: () => connect(options, more),
  begin: (_, limitMillis) => [
    // Whole seconds, and one at least: a write of a lane with a shorter limit is answered by the writer before.
    { sql: `SET SESSION innodb_lock_wait_timeout = ${Math.max(1, Math.floor((limitMillis * 0.8) / 1_000))}` },
    { sql: "START TRANSACTION READ WRITE" }
  ],
  faultOf,
  endsTransaction,
  steers: steering
})
