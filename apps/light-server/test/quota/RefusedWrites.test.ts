import { assert, describe, it } from "@effect/vitest"
import * as Write from "presence-effect/writer/Write"
import * as RefusedWrites from "../../src/quota/RefusedWrites.ts"

const raise = Write.statement(`UPDATE "Account" SET "seq" = "seq" + 1`)

const message = (text: string) =>
  Write.andThen(raise, Write.statement(`INSERT INTO "SessionMessage" VALUES (?, ?)`, [text, 5]))

const state = (text: string) => Write.andThen(raise, Write.statement(`UPDATE "Session" SET "agentState" = ?`, [text]))

describe("RefusedWrites", () => {
  it("knows for a second that no write of the form and at least the size passes", () => {
    const refused = RefusedWrites.make()
    refused.note("a1", message("xxxx"), "bytes", 1000)
    assert.strictEqual(refused.find("a1", message("xxxx"), 1999), "bytes")
    assert.strictEqual(refused.find("a1", message("xxxxx"), 1999), "bytes")
    assert.isUndefined(refused.find("a1", message("xxx"), 1999))
    assert.isUndefined(refused.find("a1", message("xxxx"), 2000))
  })

  it("knows nothing of other forms and other accounts", () => {
    const refused = RefusedWrites.make()
    refused.note("a1", message("xxxx"), "rows", 1000)
    assert.isUndefined(refused.find("a1", state("xxxxxxxxx"), 1000))
    assert.isUndefined(refused.find("a2", message("xxxx"), 1000))
  })

  it("forgets an account that has more room, and counts how often it had", () => {
    const refused = RefusedWrites.make()
    refused.note("a1", message("xxxx"), "bytes", 1000)
    refused.note("a2", message("xxxx"), "bytes", 1000)
    assert.strictEqual(refused.freedCount("a1"), 0)
    refused.free("a1")
    assert.isUndefined(refused.find("a1", message("xxxx"), 1000))
    assert.strictEqual(refused.find("a2", message("xxxx"), 1000), "bytes")
    assert.strictEqual(refused.freedCount("a1"), 1)
  })
})
