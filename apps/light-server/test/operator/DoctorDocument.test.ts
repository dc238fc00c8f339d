import { assert, describe, it } from "@effect/vitest"
import fs from "node:fs"
import { codes, table } from "../Document.ts"

const source = new URL("../../src/", import.meta.url)

/** The codes that the sources of the checks declare. */
const declared = [
  "operator/FileChecks",
  "operator/DatabaseChecks",
  "operator/NetworkChecks",
  "operator/BackupChecks",
  "operator/PostgresChecks",
  "cli/DoctorCommand"
].flatMap((file) =>
  Array.from(
    fs.readFileSync(new URL(`${file}.ts`, source), "utf8").matchAll(/code: "(D\d{3})"/g),
    ([, code = ""]) => code
  )
)

describe("the table of the doctor", () => {
  it("has each check once", () => {
    const documented = table("operations.md", "Code").map(([code = ""]) => codes(code)[0] ?? code)
    const ofDoctor = documented.filter((code) => /^D\d/.test(code))
    assert.deepStrictEqual(ofDoctor, declared.toSorted())
  })
})
