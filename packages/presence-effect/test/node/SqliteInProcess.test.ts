import { describe } from "@effect/vitest"
import * as SqliteInProcess from "../../src/node/SqliteInProcess.ts"
import * as Compaction from "../contract/CompactionContract.ts"
import * as FinalFaults from "../contract/FinalFaultContract.ts"
import * as Setup from "../contract/SetupContract.ts"
import * as Contract from "../contract/SqliteConnectionContract.ts"

describe("SqliteInProcess", () => {
  Contract.suite((filename, options) => SqliteInProcess.make({ filename, ...options }))
  FinalFaults.suite((filename, options) => SqliteInProcess.make({ filename, ...options }))
  Compaction.suite((filename, options) => SqliteInProcess.make({ filename, ...options }))
  Setup.suite((filename, options) => SqliteInProcess.make({ filename, ...options }))
})
