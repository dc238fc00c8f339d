import { assert, describe, it } from "@effect/vitest"
import { Either } from "effect"
import fs from "node:fs"
import * as KnobTable from "../../src/config/KnobTable.ts"
import { rooms } from "../../src/config/ServerConfig.ts"
import { codes, table } from "../Document.ts"

const document = new URL("../../../../docs/operations.md", import.meta.url)

const knobs = KnobTable.knobsOf(rooms)

describe("KnobTable", () => {
  it("is the table of docs/operations.md (UPDATE_DOCS=1 writes it)", () => {
    const found = fs.readFileSync(document, "utf8")
    const expected = KnobTable.replaceIn(found, KnobTable.render(rooms))
    if (process.env["UPDATE_DOCS"] === "1") fs.writeFileSync(document, expected)
    else assert.strictEqual(found, expected)
    assert.include(expected, KnobTable.render(rooms))
  })

  it("has every setting once, with all its names", () => {
    const documented = table("operations.md", "Variable").flatMap(([name]) => codes(name))
    assert.deepStrictEqual(
      documented,
      knobs.flatMap(({ aliases, name }) => [name, ...aliases])
    )
    assert.deepStrictEqual([...new Set(documented)], documented)
  })

  it("documents defaults that are read as the defaults", () => {
    for (const { fallback, fallbackText, name, parse } of knobs) {
      if (fallbackText === "") continue
      assert.deepStrictEqual(Either.getOrUndefined(parse(fallbackText)), fallback, name)
    }
  })

  it("replaces the table of a document and nothing else", () => {
    const before = "a\n\n| Variable | x |\n| --- | --- |\n| old | y |\n\nb\n"
    assert.strictEqual(KnobTable.replaceIn(before, "| new |"), "a\n\n| new |\n\nb\n")
    assert.strictEqual(KnobTable.replaceIn("no table", "| new |"), "no table")
  })
})
