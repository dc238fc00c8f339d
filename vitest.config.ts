import { defineConfig } from "vitest/config"
import projects from "./vitest.workspace.ts"

// Many tests wait for a process or a lock, so two files at once are faster than one, even on two cores.
export default defineConfig({
  test: {
    projects,
    globalSetup: new URL("test/bundledThread.ts", import.meta.url).pathname,
    silent: "passed-only",
    maxWorkers: 2,
    minWorkers: 1
  }
})
