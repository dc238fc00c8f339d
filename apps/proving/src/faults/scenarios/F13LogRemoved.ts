/** F13: the write-ahead log is deleted. */
import fs from "node:fs"
import type { Scenario } from "../Scenario.ts"
import * as Removal from "../support/Removal.ts"

export const F13LogRemoved: Scenario = {
  id: "F13",
  title: "the write-ahead log is deleted while the server runs",
  injected: "unlink of the -wal file",
  promises: ["P1", "P15"],
  needs: [],
  isQuick: false,
  within: "60 seconds",
  run: () => Removal.run("log unlinked", (file) => fs.unlinkSync(`${file}-wal`))
}
