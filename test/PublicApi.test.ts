/**
 * Goal: the public API of presence-effect does not change by accident.
 * Method: compare it with `test/public-api.txt`. A wanted change is written there
 * by `npm run api`, and a reviewer sees it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { publicModules, render } from "./publicApi.ts"
import { root } from "./sources.ts"

const listFile = path.join(root, "test/public-api.txt")

const modules = publicModules()

if (process.env["UPDATE_PUBLIC_API"] === "1") {
  fs.writeFileSync(listFile, render(modules))
}

describe("public API of presence-effect", () => {
  it("is the one that test/public-api.txt lists", () => {
    const listed = fs.existsSync(listFile) ? fs.readFileSync(listFile, "utf8") : ""
    assert.strictEqual(render(modules), listed, "run `npm run api` and review the difference")
  })

  it("tells since which version each export exists", () => {
    const silent = modules.flatMap(({ exports }) => exports.filter(({ hasSince }) => !hasSince))
    assert.deepStrictEqual(
      silent.map(({ place, signature }) => `${place} ${signature.slice(0, 60)}`),
      []
    )
  })

  it("tells since which version each module exists", () => {
    assert.deepStrictEqual(
      modules.filter(({ hasSince }) => !hasSince).map(({ file }) => file),
      []
    )
  })
})
