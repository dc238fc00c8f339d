import { defineConfig } from "vitest/config"
import projects from "./vitest.workspace.ts"

// Many tests wait for a process, a lock or a turn of the event loop, so three files at once take a fifth less time than
// two, even on two cores. As many workers at least as at most: when one is ended because it is idle and recycled for the
// next project at the same moment, the run fails.
export default defineConfig({
  test: {
    projects,
    globalSetup: new URL("test/bundledThread.ts", import.meta.url).pathname,
    silent: "passed-only",
    maxWorkers: 3,
    minWorkers: 3
  }
})
