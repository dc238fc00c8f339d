/**
 * Goal: comments and documents stay in plain English, see CONTRIBUTING.md.
 * Method: search them for phrases of a list. A phrase that is quoted as code does not count.
 */
import { assert, describe, it } from "@effect/vitest"
import { offences } from "./plainEnglish.ts"
import { filesBelow, isCode, read } from "./sources.ts"

const rule = 'see "Plain English" in CONTRIBUTING.md; the list is in test/plainEnglish.ts'

describe("plain English", () => {
  it("holds in comments and Markdown", () => {
    const files = filesBelow("").filter((file) => isCode(file) || file.endsWith(".md"))
    assert.isAbove(files.length, 100)
    assert.deepStrictEqual(
      files.flatMap((file) => offences(file, read(file))),
      [],
      rule
    )
  })

  it("is checked in every kind of comment, also across lines", () => {
    const code = [
      ["const a = 1", "Whoever calls this waits."].join(" // "),
      "/** It tells of a change. */",
      "/**",
      " * A look: it looks",
      " * whether the file is there.",
      " */",
      "// Never fails."
    ].join("\n")
    assert.deepStrictEqual(
      offences("planted.ts", code).map((offence) => offence.replace(/: write .*/, "")),
      ['planted.ts:1 "Whoever"', 'planted.ts:4 "looks whether"', 'planted.ts:2 "tells of"']
    )
  })

  it("is checked in the prose of Markdown, and not in code", () => {
    const markdown = ["# Title", "```sh", "echo whoever", "```", "`thrice` or", "a key that is none."].join("\n")
    assert.deepStrictEqual(offences("planted.md", markdown), [
      'planted.md:6 "is none": write "is not a ...", "is invalid"'
    ])
  })

  it("leaves strings and names in code alone", () => {
    assert.deepStrictEqual(offences("planted.ts", 'const whoever = "tells of"'), [])
  })
})
