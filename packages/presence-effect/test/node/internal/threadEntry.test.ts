import { expect, it } from "@effect/vitest"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { entry } from "../../../src/node/internal/threadEntry.ts"

it("threads of tests run the bundle of this run: one that loads each module starts three times as slowly", () => {
  const file = fileURLToPath(entry)
  expect(file).toBe(process.env["BUNDLED_THREAD_ENTRY"])
  expect(existsSync(file)).toBe(true)
})
