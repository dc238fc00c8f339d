/** A MariaDB for a test: a database of its own, and connections of the test to look behind what is tested. */
import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import mysql from "mysql2/promise"
import { inject } from "vitest"

const serverUrl = inject("mariadbUrl")

/** A suite that is skipped, visibly, where no MariaDB is. */
export const describeMysql = (name: string, body: () => void): void => {
  describe.skipIf(serverUrl === undefined)(name, body)
}

type Rows = ReadonlyArray<Record<string, unknown>>

export interface MysqlWorld {
  readonly url: string
  readonly query: (sql: string, params?: ReadonlyArray<unknown>) => Promise<Rows>
  /** Another connection to the same database, for a transaction that is left open. */
  readonly connect: () => Promise<mysql.Connection>
}

let count = 0

/** The database is dropped with the scope. */
export const makeMysql = (ddl: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      // Each worker counts for itself.
      const suffix = `_${process.pid}_${++count}`
      const name = `${serverUrl?.split("/").at(-1)}${suffix}`
      const admin = await mysql.createConnection({ uri: serverUrl ?? "" })
      await admin.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4`)
      const url = `${serverUrl}${suffix}`
      const clients: Array<mysql.Connection> = []
      const connect = async (): Promise<mysql.Connection> => {
        const client = await mysql.createConnection({ uri: url, multipleStatements: true })
        clients.push(client)
        return client
      }
      const client = await connect()
      await client.query(ddl)
      const query: MysqlWorld["query"] = async (sql, params = []) => {
        const [rows] = await client.query(sql, [...params])
        return rows as unknown as Rows
      }
      return { url, name, query, connect, clients, admin }
    }),
    ({ admin, clients, name }) =>
      Effect.promise(async () => {
        // An open transaction would hold up the drop.
        for (const client of clients) client.destroy()
        await admin.query(`DROP DATABASE ${name}`)
        await admin.end()
      })
  )
