/**
 * Goal: the Prisma client of the comparators uses the tables that the server has, and sends what Prisma sends.
 * Method: the models as the client's runtime gets them, against the lines of the server's schema, and one update.
 */
import { assert, describe, it } from "@effect/vitest"
import { PrismaBetterSqlite3 } from "@prisma/adapter-better-sqlite3"
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as PrismaClient from "../src/engines/PrismaClient.ts"

const read = (file: string): string => fs.readFileSync(new URL(file, import.meta.url), "utf8")

/** Columns of a model as lines, without spaces that only align. */
const columnsOf = (schema: string, model: string): ReadonlyArray<string> => {
  const body = new RegExp(`^model ${model} \\{([^}]*)\\}`, "m").exec(schema)?.[1] ?? ""
  return body
    .split("\n")
    .map((line) => line.trim().replaceAll(/\s+/g, " "))
    .filter((line) => line !== "" && !line.startsWith("/"))
}

const server = read("../../../prisma/schema.prisma")
const lab = read("../prisma-client/schema.prisma")
const models = JSON.parse(read("../prisma-client/models.json"))

interface Field {
  readonly name: string
  readonly type: string
}

describe("prisma-client", () => {
  it.each(["Session", "Machine"])("has columns of %s that the server has too", (model) => {
    const known = new Set(columnsOf(server, model))
    const columns = columnsOf(lab, model)
    assert.isAtLeast(columns.length, 4)
    assert.deepStrictEqual(
      columns.filter((column) => !known.has(column)),
      []
    )
  })

  it.each(["Session", "Machine"])("knows the fields of %s that the schema beside it has", (model) => {
    const fields: ReadonlyArray<Field> = models.runtimeDataModel.models[model].fields
    assert.deepStrictEqual(
      fields.map(({ name, type }) => `${name} ${type}`),
      columnsOf(lab, model).map((column) => column.split(" ").slice(0, 2).join(" "))
    )
  })

  it("is of the version that runs it", () => {
    const { dependencies } = JSON.parse(read("../package.json"))
    assert.strictEqual(models.clientVersion, dependencies["@prisma/client"])
  })

  it("updates the rows that match, and counts them", async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "prisma-client-"))
    const database = new Database(path.join(folder, "lab.sqlite"))
    const adapter = new PrismaBetterSqlite3({ url: `file:${database.name}` }, { timestampFormat: "unixepoch-ms" })
    const client = PrismaClient.make(PrismaClient.labFolder(), adapter)
    try {
      for (const table of ["Session", "Machine"]) {
        database.exec(
          `CREATE TABLE ${table} (id TEXT PRIMARY KEY, accountId TEXT, active INTEGER, lastActiveAt INTEGER)`
        )
        database.exec(`
          INSERT INTO ${table} VALUES ('one', 'a1', 0, 1), ('two', 'a1', 0, 1)`)
      }
      const data = { active: true, lastActiveAt: new Date(5) }
      assert.deepStrictEqual(await client.session.updateMany({ where: { id: "one", accountId: "a1" }, data }), {
        count: 1
      })
      assert.deepStrictEqual(await client.machine.updateMany({ where: { id: "none" }, data }), { count: 0 })
      assert.deepStrictEqual(database.prepare("SELECT * FROM Session").raw().all(), [
        ["one", "a1", 1, 5],
        ["two", "a1", 0, 1]
      ])
      assert.deepStrictEqual(database.prepare("SELECT DISTINCT active FROM Machine").pluck().all(), [0])
    } finally {
      await client.$disconnect()
      database.close()
      fs.rmSync(folder, { recursive: true })
    }
  })
})
