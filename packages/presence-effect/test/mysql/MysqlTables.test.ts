import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as MysqlEngine from "../../src/mysql/MysqlEngine.ts"
import * as MysqlPresenceStorage from "../../src/mysql/MysqlPresenceStorage.ts"
import * as MysqlReader from "../../src/mysql/MysqlReader.ts"
import * as MysqlTables from "../../src/mysql/MysqlTables.ts"
import { StorageInvalid } from "../../src/sqlite/SqlitePresenceStorage.ts"
import { describeMysql, makeMysql } from "../support/mysqlWorld.ts"
import { storyKinds, storySuite } from "../support/serverStories.ts"

describeMysql("the incident, in tables of MysqlTables", () => {
  storySuite({
    ddl: (kinds) => MysqlTables.ddl(kinds) + MysqlTables.ddl(kinds),
    make: (ddl) =>
      Effect.map(makeMysql(ddl), ({ connect, query, url }) => ({
        url,
        query,
        session: async () => {
          const client = await connect()
          return (sql: string) => client.query(sql)
        }
      })),
    engine: (url) => MysqlEngine.layer({ url }),
    reader: (url) => MysqlReader.layer({ url }),
    storage: MysqlPresenceStorage.layer({ kinds: storyKinds }),
    quote: (name) => `\`${name}\``
  })
})

describe("MysqlTables", () => {
  it("names each kind that it cannot make a table of", () => {
    assert.throws(() => MysqlTables.ddl({ a: { table: "" } }), StorageInvalid, /a\.table cannot be quoted/)
    assert.throws(() => MysqlTables.ddl({}), StorageInvalid)
  })
})
