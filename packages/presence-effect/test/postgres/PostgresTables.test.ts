import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as PostgresEngine from "../../src/postgres/PostgresEngine.ts"
import * as PostgresPresenceStorage from "../../src/postgres/PostgresPresenceStorage.ts"
import * as PostgresReader from "../../src/postgres/PostgresReader.ts"
import * as PostgresTables from "../../src/postgres/PostgresTables.ts"
import { StorageInvalid } from "../../src/sqlite/SqlitePresenceStorage.ts"
import { describePostgres, makePostgres } from "../support/postgresWorld.ts"
import { storyKinds, storySuite } from "../support/serverStories.ts"

describePostgres("the incident, in tables of PostgresTables", () => {
  storySuite({
    ddl: (kinds) => PostgresTables.ddl(kinds) + PostgresTables.ddl(kinds),
    make: (ddl) =>
      Effect.map(makePostgres(ddl), ({ connect, query, url }) => ({
        url,
        query,
        session: async () => {
          const client = await connect()
          return (sql: string) => client.query(sql)
        }
      })),
    engine: (url) => PostgresEngine.layer({ url }),
    reader: (url) => PostgresReader.layer({ url }),
    storage: PostgresPresenceStorage.layer({ kinds: storyKinds }),
    quote: (name) => `"${name}"`
  })
})

describe("PostgresTables", () => {
  it("names each kind that it cannot make a table of", () => {
    assert.throws(() => PostgresTables.ddl({ a: { table: "" } }), StorageInvalid, /a\.table cannot be quoted/)
    assert.throws(() => PostgresTables.ddl({}), StorageInvalid)
  })

  it("has a column and an index for the marks of replicas where a kind asks for them, and the table of leases", () => {
    assert.notInclude(PostgresTables.ddl({ device: {} }), "servedBy")
    const ddl = PostgresTables.ddl({ device: { servedBy: "server" } })
    assert.include(ddl, `"server" TEXT COLLATE "C"\n`.replace("\n", ""))
    assert.include(ddl, `CREATE INDEX IF NOT EXISTS "device_server" ON "device" ("server") WHERE "active"`)
    assert.include(PostgresTables.replicaDdl, `CREATE TABLE IF NOT EXISTS "Replica"`)
    assert.throws(() => PostgresTables.ddl({ a: { servedBy: "" } }), StorageInvalid, /a\.servedBy cannot be quoted/)
  })
})
