import { defineConfig } from "vitest/config"
import projects from "./vitest.workspace.ts"

// Many tests wait for a process, a lock or a turn of the event loop, so three files at once take less time than two,
// even on two cores. There are as many workers at least as at most: a worker that ends because it is idle, while it is
// recycled for the next project, would fail the run.
export default defineConfig({
  test: {
    projects,
    globalSetup: new URL("test/bundledThread.ts", import.meta.url).pathname,
    silent: "passed-only",
    maxWorkers: 3,
    minWorkers: 3,
    // A worker keeps the modules of all its files, and each collection of new objects goes through what points at them:
    // with four times the room there are a quarter as many, which saves an eighth of the processor time.
    poolOptions: { forks: { execArgv: ["--max-semi-space-size=64"] } }
  }
})
