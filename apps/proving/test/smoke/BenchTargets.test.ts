/**
 * Goal: README.md of the benchmarks has a row for each target, and each target a file that answers it.
 * Method: the list of targets, the table of questions, and the files.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as Command from "../../src/bench/Command.ts"
import * as Target from "../../src/bench/Target.ts"

const folder = new URL("../../src/bench/", import.meta.url)
const readme = fs.readFileSync(new URL("README.md", folder), "utf8")

describe("the targets of the benchmarks", () => {
  it("are explained in README.md, with a link to the file that answers them", () => {
    const rows = Array.from(readme.matchAll(/^\| (T\d+) \|.*?\]\((\S+\.bench\.ts)\)/gm), ([, id, file]) => ({
      id,
      file
    }))
    assert.deepStrictEqual(
      rows,
      Target.all.map(({ file, id }) => ({ id, file }))
    )
  })

  it("have files that are there", () => {
    for (const { file } of [...Target.all, ...Target.scale]) assert.isTrue(fs.existsSync(new URL(file, folder)), file)
  })

  it("are chosen by name, those of the scale too", () => {
    const request = Command.parse(["S5", "T20"])
    assert.strictEqual(request._tag, "Run")
    const chosen = request._tag === "Run" ? request.command.targets : []
    assert.deepStrictEqual(
      chosen.map(({ id, services }) => [id, services?.includes("postgres")]),
      [
        ["T20", true],
        ["S5", true]
      ]
    )
  })
})
