/** F12: the database file is deleted, or another one is put in its place. */
import { Effect } from "effect"
import fs from "node:fs"
import type { Scenario } from "../Scenario.ts"
import * as Removal from "../support/Removal.ts"

/** Like an operator who restores a backup onto a running server. */
const replace = (file: string) => {
  fs.copyFileSync(file, `${file}.backup`)
  fs.renameSync(`${file}.backup`, file)
}

export const F12FileReplaced: Scenario = {
  id: "F12",
  title: "the database file is deleted or replaced while the server runs",
  injected: "unlink of the database file; on another server, a copy is moved over it",
  promises: ["P1", "P15"],
  needs: [],
  isQuick: false,
  within: "60 seconds",
  run: () =>
    Effect.gen(function* () {
      const unlinked = yield* Removal.run("unlinked", (file) => fs.unlinkSync(file))
      return [...unlinked, ...(yield* Removal.run("replaced", replace))]
    })
}
