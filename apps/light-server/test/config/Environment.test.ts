import { assert, describe, it } from "@effect/vitest"
import { Either } from "effect"
import * as Knob from "../../src/ConfigKnob.ts"
import { type Environment, read } from "../../src/config/Environment.ts"

/** A room as a feature would add it. */
const rooms = {
  shelf: {
    size: Knob.integer("SHELF_SIZE", { fallback: 3, min: 1, max: 9, unit: "books", meaning: "Books on the shelf." }),
    wait: Knob.millis("SHELF_WAIT_MS", { fallback: "2 seconds", min: 0, max: "1 minute", meaning: "A wait." }),
    label: Knob.make<string | undefined>(
      "SHELF_LABEL",
      { aliases: ["OLD_LABEL", "OLDER_LABEL"], fallback: undefined, allowed: "a word", meaning: "A label." },
      (text) => Either.right(text.toLowerCase())
    ),
    key: Knob.make(
      "SHELF_KEY",
      { aliases: ["OLD_KEY"], fallback: "", allowed: "a key", isSecret: true, meaning: "A key." },
      (text) => (text.startsWith("k") ? Either.right(text) : Either.left("Keys begin with k"))
    )
  }
}

const valuesOf = (environment: Environment) => Either.getOrThrow(read(rooms, environment)).shelf

const problemsOf = (environment: Environment) =>
  Either.match(read(rooms, environment), { onLeft: (problems) => problems, onRight: () => [] })

describe("Environment", () => {
  it("gives every option its default", () => {
    assert.deepStrictEqual(valuesOf({}), { size: 3, wait: 2000, label: undefined, key: "" })
    assert.deepStrictEqual(Knob.defaultsOf(rooms.shelf), valuesOf({}))
  })

  it("treats an empty variable as unset, and trims all others", () => {
    assert.strictEqual(valuesOf({ SHELF_SIZE: "  " }).size, 3)
    assert.strictEqual(valuesOf({ SHELF_SIZE: " 9\n" }).size, 9)
  })

  for (const text of ["0", "10", "1.5", "1e0", "0x1", "9999999999999999", "two", "-1"]) {
    it(`refuses ${text} where 1 to 9 is allowed`, () => {
      assert.deepStrictEqual(problemsOf({ SHELF_SIZE: text }), [`SHELF_SIZE is "${text}"; allowed: 1 to 9 books`])
    })
  }

  it("reads a setting by any of its names", () => {
    assert.strictEqual(valuesOf({ OLD_LABEL: "A" }).label, "a")
    assert.strictEqual(valuesOf({ OLDER_LABEL: "B", SHELF_LABEL: " " }).label, "b")
  })

  it("accepts two names with the same value, and refuses different values", () => {
    assert.strictEqual(valuesOf({ SHELF_LABEL: "a", OLD_LABEL: "A" }).label, "a")
    assert.deepStrictEqual(problemsOf({ SHELF_LABEL: "a", OLD_LABEL: "a", OLDER_LABEL: "c" }), [
      `SHELF_LABEL is "a" and OLDER_LABEL is "c", but both are the same setting; remove one of them`
    ])
  })

  it("names the variable that was set, and never shows a secret or a password", () => {
    assert.deepStrictEqual(problemsOf({ OLD_KEY: "canary" }), [
      "OLD_KEY is set to a value that is not shown; allowed: a key. Keys begin with k"
    ])
    assert.notInclude(problemsOf({ OLD_KEY: "k canary", SHELF_KEY: "k other" }).join(), "canary")
    assert.deepStrictEqual(problemsOf({ SHELF_SIZE: "http://me:canary@host" }), [
      `SHELF_SIZE is "http://***@host"; allowed: 1 to 9 books`
    ])
  })

  it("reports all problems of all rooms", () => {
    assert.lengthOf(problemsOf({ SHELF_SIZE: "x", SHELF_WAIT_MS: "60001", SHELF_KEY: "x" }), 3)
  })
})
