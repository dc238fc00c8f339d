/** A PostgreSQL for a test: a schema of its own, and connections of the test to look behind what is tested. */
import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Client } from "pg"
import { inject } from "vitest"

const serverUrl = inject("postgresUrl")

/** A suite that is skipped, visibly, where no PostgreSQL is. */
export const describePostgres = (name: string, body: () => void): void => {
  describe.skipIf(serverUrl === undefined)(name, body)
}

export interface PostgresWorld {
  readonly url: string
  readonly schema: string
  readonly query: (sql: string, params?: ReadonlyArray<unknown>) => Promise<ReadonlyArray<Record<string, unknown>>>
  /** Another connection to the same schema, for a transaction that is left open. */
  readonly connect: () => Promise<Client>
}

let count = 0

/** The schema is dropped with the scope. */
export const makePostgres = (ddl: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const schema = `w${process.pid}_${++count}`
      const url = `${serverUrl}?options=-csearch_path%3D${schema}`
      const clients: Array<Client> = []
      const connect = async (): Promise<Client> => {
        const client = new Client({ connectionString: url })
        client.on("error", () => undefined)
        await client.connect()
        clients.push(client)
        return client
      }
      const client = await connect()
      await client.query(`CREATE SCHEMA ${schema}; ${ddl}`)
      const query: PostgresWorld["query"] = async (sql, params = []) => (await client.query(sql, [...params])).rows
      return { url, schema, query, connect, clients }
    }),
    ({ clients, query, schema }) =>
      Effect.promise(async () => {
        const [client, ...others] = clients
        // An open transaction would hold up the drop.
        await Promise.allSettled(others.map((other) => other.end()))
        await query(`DROP SCHEMA ${schema} CASCADE`)
        await client?.end()
      })
  )
