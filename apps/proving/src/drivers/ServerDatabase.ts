/** The database of a server under test, seen from outside: a file, or a schema of a PostgreSQL server. */
import Sqlite from "better-sqlite3"
import { Effect, type Scope } from "effect"
import { Client, types as pgTypes } from "pg"
import * as ForeignLock from "presence-effect/testing/ForeignLock"
import type { SqlValue } from "presence-effect/writer/Write"

export type Rows = ReadonlyArray<Record<string, unknown>>

export interface ServerDatabase {
  /** What the server must be told to find it. */
  readonly environment: Readonly<Record<string, string>>
  /** One statement with `?` for its parameters and names in quotes, and its rows. */
  readonly query: (sql: string, ...params: ReadonlyArray<SqlValue>) => Effect.Effect<Rows>
  /** Keeps every write out until the scope closes. */
  readonly lock: Effect.Effect<void, never, Scope.Scope>
}

export const ofFile = (databaseFile: string): ServerDatabase => ({
  environment: {},
  query: (sql, ...params) =>
    Effect.sync(() => {
      const sqlite = new Sqlite(databaseFile)
      try {
        const statement = sqlite.prepare<Array<SqlValue>, Record<string, unknown>>(sql)
        if (statement.reader) return statement.all(...params)
        statement.run(...params)
        return []
      } finally {
        sqlite.close()
      }
    }),
  lock: Effect.orDie(Effect.asVoid(ForeignLock.hold(databaseFile)))
})

const numbered = (sql: string): string => {
  let count = 0
  return sql.replaceAll("?", () => `$${++count}`)
}

const bigint = 20

const types = {
  getTypeParser: ((oid: number) =>
    oid === bigint ? Number : pgTypes.getTypeParser(oid)) as typeof pgTypes.getTypeParser
}

const connect = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Client({ connectionString: url, types })
      client.on("error", () => undefined)
      await client.connect()
      return client
    }),
    (client) => Effect.promise(() => client.end().catch(() => undefined))
  )

/** A connection that is opened again after the server of the database has ended it. */
const lasting = (url: string) => {
  let current: Client | undefined
  const connected = async (): Promise<Client> => {
    if (current !== undefined) return current
    const client = new Client({ connectionString: url, types })
    const forget = () => {
      if (current === client) current = undefined
    }
    client.on("error", forget).on("end", forget)
    await client.connect()
    current = client
    return client
  }
  return Effect.acquireRelease(
    Effect.sync(() => ({
      query: async (sql: string, params: Array<SqlValue> = []) =>
        (await connected()).query<Record<string, unknown>>(sql, params)
    })),
    () => Effect.promise(async () => current?.end().catch(() => undefined))
  )
}

const selectTables = `SELECT quote_ident(relname) AS name FROM pg_class
  WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'`

let count = 0

/** A new schema of the database at `serverUrl`, which is dropped when the scope closes. */
export const ofPostgres = (serverUrl: string): Effect.Effect<ServerDatabase, never, Scope.Scope> =>
  Effect.gen(function* () {
    const schema = `proving_${process.pid}_${++count}`
    const url = `${serverUrl}?options=-csearch_path%3D${schema}`
    const client = yield* lasting(url)
    yield* Effect.acquireRelease(
      Effect.promise(() => client.query(`CREATE SCHEMA ${schema}`)),
      () => Effect.promise(() => client.query(`DROP SCHEMA ${schema} CASCADE`))
    )
    return {
      environment: { DATABASE_URL: url },
      query: (sql, ...params) => Effect.promise(async () => (await client.query(numbered(sql), [...params])).rows),
      lock: Effect.flatMap(connect(url), (holder) =>
        Effect.promise(async () => {
          const { rows } = await holder.query<{ readonly name: string }>(selectTables)
          await holder.query(`BEGIN; LOCK TABLE ${rows.map(({ name }) => name).join(", ")} IN EXCLUSIVE MODE`)
        })
      )
    }
  })
