import { assert, describe, it } from "@effect/vitest"
import { Either } from "effect"
import { parse } from "../../src/http/CorsOrigins.ts"

describe("origins", () => {
  it("are taken as browsers send them, those of apps in a web view included", () => {
    for (const [text, origins] of [
      ["tauri://localhost", ["tauri://localhost"]],
      ["capacitor://LOCALHOST/", ["capacitor://localhost"]],
      ["HTTPS://A.Example:443/", ["https://a.example"]],
      ["http://a.example:8080, http://a.example:8080/", ["http://a.example:8080"]],
      ["*", ["*"]],
      ["", []]
    ] as const) {
      assert.deepStrictEqual(Either.getOrThrow(parse(text)), [...origins], text)
    }
  })

  it("have no path, no user and no query, and * stands alone", () => {
    for (const text of [
      "https://a.example/app",
      "a.example",
      "https://u:p@a.example",
      "tauri://",
      "https://a.example?x",
      "*, https://a.example"
    ]) {
      assert.isTrue(Either.isLeft(parse(text)), text)
    }
  })
})
