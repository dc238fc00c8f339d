import { assert, describe, it } from "@effect/vitest"
import * as DocumentBlock from "../../src/drivers/DocumentBlock.ts"

describe("DocumentBlock", () => {
  it("gives every block of a page its section, and shown answers to the block before them", () => {
    const [first, ...others] = DocumentBlock.of("docs/start.md")
    assert.deepInclude(first, { section: "Install", language: "sh", text: "npm run pack -- --out ~", shown: undefined })
    assert.strictEqual(others[0]?.shown, "…\n0.1.0")
    assert.notInclude(
      others.map(({ language }) => language),
      "text"
    )
  })

  it("compares whole lines, with … for the rest of a line, or for any number of lines", () => {
    const shown = '{"id":"…","active":false,…}\n…\nthe end'
    assert.isUndefined(DocumentBlock.difference(shown, '{"id":"m1","active":false,"seq":1}\na\nb\nthe end\n'))
    assert.isUndefined(DocumentBlock.difference(shown, '{"id":"m1","active":false,}\nthe end'))
    assert.include(DocumentBlock.difference(shown, '{"id":"m1","active":true,}\nthe end'), "printed:\n")
    assert.isDefined(DocumentBlock.difference(shown, '{"id":"m1","active":false,}\nthe end\nand more'))
    assert.isDefined(DocumentBlock.difference("a.c", "abc"))
  })

  it("reads a usage as the shortest and the longest command", () => {
    assert.deepStrictEqual(DocumentBlock.usages("backup [--to <directory>] [--json]", { directory: "/b" }), [
      "backup",
      "backup --to /b --json"
    ])
    assert.deepStrictEqual(DocumentBlock.usages("compact"), ["compact"])
    assert.throws(() => DocumentBlock.usages("restore --from <path>"), "<path> has no value")
  })
})
