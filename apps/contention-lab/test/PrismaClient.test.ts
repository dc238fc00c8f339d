/**
 * Goal: the committed Prisma client speaks of the tables the server has.
 * Method: the models as the client embeds them, against the lines of the server's schema.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"

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
const generated = read("../prisma-client/generated/internal/class.ts")

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

  it("was made from the schema that lies beside it", () => {
    const inline = /"inlineSchema": ("(?:[^"\\]|\\.)*")/.exec(generated)?.[1] ?? '""'
    const models = (schema: string) => ["Session", "Machine"].map((model) => columnsOf(schema, model))
    assert.deepStrictEqual(models(JSON.parse(inline)), models(lab))
  })

  it("is of the version that runs it", () => {
    const { dependencies } = JSON.parse(read("../package.json"))
    assert.include(generated, `"clientVersion": "${dependencies["@prisma/client"]}"`)
  })
})
