/** A small write whose caller waits for it: the state of one machine. */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Lane from "presence-effect/writer/Lane"
import * as Write from "presence-effect/writer/Write"
import * as WriterPolicy from "presence-effect/writer/WriterPolicy"

export const makeFile = (): string => {
  const filename = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "control-")), "control.sqlite")
  const database = new Database(filename)
  database.pragma("journal_mode = WAL")
  database.exec("CREATE TABLE Machine (id INTEGER PRIMARY KEY, state TEXT NOT NULL, version INTEGER NOT NULL)")
  const insert = database.prepare("INSERT INTO Machine VALUES (?, 'new', 0)")
  database.transaction(() => {
    for (let id = 0; id < 1_000; id++) insert.run(id)
  })()
  database.close()
  return filename
}

/** A measurement of a write does not time out, however busy the machine is. */
export const patient = WriterPolicy.withLane(WriterPolicy.defaults, Lane.control, {
  acquireTimeout: "30 seconds",
  holdLimit: "30 seconds",
  deadline: "2 minutes",
  capacity: 100_000
})

const sql = "UPDATE Machine SET state = ?, version = version + 1 WHERE id = ?"

let count = 0

export const next = (): Write.Write<Write.StatementResult> => {
  count++
  return Write.statement(sql, [`state ${count}`, count % 1_000], { changes: 1 })
}
