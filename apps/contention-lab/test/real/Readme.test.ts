/**
 * Goal: README.md shows what virtual time prints everywhere.
 * Method: the command of the page, run, and the part of its output that the page has. `UPDATE_DOCS=1` writes it.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../../dist/src/main.js", import.meta.url))
const readme = new URL("../../README.md", import.meta.url)

const announced = /`npm run lab -- (--virtual [^`]*)` prints this everywhere:\n\n```text\n([^]*?)\n```/

describe("README.md of the lab", () => {
  it("shows what virtual time prints (UPDATE_DOCS=1 writes it)", { timeout: 240_000 }, () => {
    const page = fs.readFileSync(readme, "utf8")
    const [, args = "", shown = ""] = announced.exec(page) ?? []
    assert.notStrictEqual(args, "")
    const output = execFileSync(process.execPath, [main, ...args.split(" ")], { encoding: "utf8", stdio: "pipe" })
    // The answer, the tables and the picture; after them come the terms.
    const printed = output.slice(0, output.indexOf("\n\n  p50, p99, max"))
    if (process.env["UPDATE_DOCS"] === "1") {
      fs.writeFileSync(
        readme,
        page.replace(`\n${shown}\n`, () => `\n${printed}\n`)
      )
      return
    }
    assert.strictEqual(shown, printed)
  })
})
