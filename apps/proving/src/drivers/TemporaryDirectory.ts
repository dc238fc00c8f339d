import { Effect } from "effect"
import fs from "node:fs"
import os from "node:os"
import path from "node:path"

/** A directory that is gone when the scope closes. */
export const make = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "light-server-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)
