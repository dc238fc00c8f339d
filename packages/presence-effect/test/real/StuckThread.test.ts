/**
 * Goal: a host can close and end while its engine is stuck.
 * Method: a process of its own runs a statement that never ends, closes, and says so. No thread can be ended while it
 * is in such a statement, so this process is killed afterwards.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ChildProcess from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

const program = `
import Database from "better-sqlite3"
import * as PresenceHost from "presence-effect/host/PresenceHost"
import * as PresenceTables from "presence-effect/sqlite/PresenceTables"
import * as Lane from "presence-effect/writer/Lane"
import * as Write from "presence-effect/writer/Write"

const [filename] = process.argv.slice(2)
const kinds = { device: {} }
new Database(filename).exec(PresenceTables.ddl(kinds)).close()
const onLog = ({ fields, level, message }) => level === "error" && console.log(fields.code)
const host = await PresenceHost.start({ filename, kinds, onLog })
const endless = Write.statement("INSERT INTO device (id) WITH RECURSIVE n(x) AS " +
  "(SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n")
const written = host.write(Lane.control, endless).catch((error) => console.log(error._tag, error.reason))
await new Promise((resolve) => setTimeout(resolve, 100))
await host.close()
await written
console.log("closed")
process.kill(process.pid, "SIGKILL")
`

describe("a host whose engine is stuck", () => {
  it("answers the caller, closes, says that a thread is left, and can end its process", () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "presence-effect-stuck-"))
    const library = path.join(import.meta.dirname, "../..")
    const file = path.join(library, `stuck-${process.pid}.mjs`)
    try {
      fs.writeFileSync(file, program)
      const { signal, stdout } = ChildProcess.spawnSync(process.execPath, [file, path.join(folder, "stuck.sqlite")], {
        cwd: library,
        encoding: "utf8",
        timeout: 55_000,
        killSignal: "SIGTERM"
      })
      assert.deepStrictEqual(
        { signal, lines: stdout.trim().split("\n") },
        { signal: "SIGKILL", lines: ["WriteUnconfirmed hold-limit", "THREAD_STUCK", "closed"] }
      )
    } finally {
      fs.rmSync(file, { force: true })
      fs.rmSync(folder, { recursive: true, force: true })
    }
  })
})
