/** A PostgreSQL for a test: a schema or a database of its own, and connections to look behind what is tested. */
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

const makeIn = (databaseUrl: string, ddl: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const schema = `w${process.pid}_${++count}`
      const url = `${databaseUrl}?options=-csearch_path%3D${schema}`
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

/** The schema is dropped with the scope. */
export const makePostgres = (ddl: string) => makeIn(serverUrl ?? "", ddl)

/**
 * The same with a database of its own, for a test that looks at all sessions, or whose rows must not be kept by
 * transactions of other tests.
 */
export const makeOwnPostgres = (ddl: string) =>
  Effect.gen(function* () {
    const name = `own_${process.pid}_${++count}`
    yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const client = new Client({ connectionString: serverUrl })
        await client.connect()
        await client.query(`CREATE DATABASE ${name} ENCODING 'UTF8' TEMPLATE template0`)
        return client
      }),
      (client) =>
        Effect.promise(async () => {
          await client.query(`DROP DATABASE ${name} WITH (FORCE)`)
          await client.end()
        })
    )
    const address = new URL(serverUrl ?? "")
    address.pathname = `/${name}`
    return yield* makeIn(address.href, ddl)
  })
