/**
 * Goal: the two schemas stay one: the same tables and columns, whatever each database calls their types.
 * Method: `prisma/schema.prisma`, `prisma/postgresql/schema.prisma` and what the migrations make are compared.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as PostgresMigrator from "../../src/postgres/PostgresMigrator.ts"
import * as PostgresWorld from "../support/PostgresWorld.ts"

const prisma = path.resolve(import.meta.dirname, "../../../../prisma")

interface Field {
  readonly name: string
  readonly type: string
  readonly isOptional: boolean
}

const scalars = new Set(["String", "Int", "BigInt", "Boolean", "Bytes", "DateTime", "Json"])

const modelsOf = (file: string): ReadonlyMap<string, ReadonlyArray<Field>> =>
  new Map(
    Array.from(
      fs.readFileSync(path.join(prisma, file), "utf8").matchAll(/^model (\w+) \{\n([^}]*)^\}/gm),
      ([, name = "", body = ""]) => [
        name,
        Array.from(body.matchAll(/^\s*(\w+)\s+(\w+)(\??)/gm), ([, name = "", type = "", optional = ""]) => ({
          name,
          type,
          isOptional: optional === "?"
        })).filter(({ type }) => scalars.has(type))
      ]
    )
  )

/** The type in PostgreSQL of a column of the file. */
const counterparts: { readonly [type: string]: string } = {
  String: "String",
  Int: "BigInt",
  BigInt: "BigInt",
  Boolean: "Boolean",
  Bytes: "Bytes",
  DateTime: "BigInt",
  Json: "String"
}

const sqlTypes: { readonly [type: string]: string } = {
  String: "text",
  BigInt: "bigint",
  Boolean: "boolean",
  Bytes: "bytea"
}

const migrated = Effect.flatMap(PostgresWorld.PostgresWorld, ({ address }) =>
  PostgresMigrator.migrate(address, { isAllowed: true })
)

const postgresModels = modelsOf("postgresql/schema.prisma")

describe("the schema for PostgreSQL", () => {
  it("has the tables and columns of the file, in their order, and what several servers need", () => {
    const expected = new Map(
      Array.from(modelsOf("schema.prisma"), ([name, fields]) => [
        name,
        fields.map((field) => ({ ...field, type: counterparts[field.type] ?? "" }))
      ])
    )
    assert.isAbove(expected.size, 15)
    const mark = { name: "servedBy", type: "String", isOptional: true }
    for (const table of ["Session", "Machine"]) expected.set(table, [...(expected.get(table) ?? []), mark])
    const own = new Map([...postgresModels].filter(([name]) => name !== "Replica"))
    assert.deepStrictEqual(own, expected)
    assert.deepStrictEqual(
      postgresModels.get("Replica")?.map(({ name }) => name),
      ["epoch", "startedAt", "beatAt"]
    )
  })
})

PostgresWorld.describePostgres("the migrations for PostgreSQL", () => {
  it.scopedLive("create the tables and columns of their schema, and no others", () =>
    Effect.gen(function* () {
      const { query, schema } = yield* PostgresWorld.PostgresWorld
      yield* migrated
      const columns = yield* query(
        `SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
         WHERE table_schema = $1 AND table_name <> '_prisma_migrations' ORDER BY table_name, ordinal_position`,
        [schema]
      )
      const found = columns.map(
        (row) => `${row["table_name"]}.${row["column_name"]} ${row["data_type"]} ${row["is_nullable"]}`
      )
      const wanted = Array.from(postgresModels).flatMap(([table, fields]) =>
        fields.map(({ isOptional, name, type }) => `${table}.${name} ${sqlTypes[type]} ${isOptional ? "YES" : "NO"}`)
      )
      assert.sameMembers(found, wanted)
    }).pipe(Effect.provide(PostgresWorld.empty))
  )

  it.scopedLive("compare every text of an index byte for byte", () =>
    Effect.gen(function* () {
      const { query, schema } = yield* PostgresWorld.PostgresWorld
      yield* migrated
      const loose = yield* query(
        `SELECT i.indexrelid::regclass::text AS index, a.attname FROM pg_index i
         JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
         JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation co ON co.oid = a.attcollation
         WHERE c.relnamespace = $1::regnamespace AND c.relname <> '_prisma_migrations'
           AND t.typname = 'text' AND co.collname <> 'C'`,
        [schema]
      )
      assert.deepStrictEqual(loose, [])
    }).pipe(Effect.provide(PostgresWorld.empty))
  )

  it.scopedLive(
    "have no index with a column that a heartbeat changes, and leave room in the pages of both tables",
    () =>
      Effect.gen(function* () {
        const { query, schema } = yield* PostgresWorld.PostgresWorld
        yield* migrated
        const moved = yield* query(
          `SELECT i.indexrelid::regclass::text AS index FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
         WHERE c.relnamespace = $1::regnamespace AND a.attname IN ('active', 'lastActiveAt')`,
          [schema]
        )
        assert.deepStrictEqual(moved, [])
        const roomy = yield* query(
          `SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace
           AND 'fillfactor=70' = ANY (reloptions) ORDER BY relname`,
          [schema]
        )
        assert.deepStrictEqual(
          roomy.map(({ relname }) => relname),
          ["Machine", "Session"]
        )
      }).pipe(Effect.provide(PostgresWorld.empty))
  )
})
