import { describe, it } from "@effect/vitest"
import * as SqliteInProcess from "../../src/node/SqliteInProcess.ts"
import * as SqliteConnectionContract from "../../src/testing/SqliteConnectionContract.ts"

SqliteConnectionContract.suite({ describe, it }, "SqliteInProcess", (filename, options) =>
  SqliteInProcess.make({ filename, ...options })
)
