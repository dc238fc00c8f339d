/** The end of a process that a test started. */
import type { ChildProcess } from "node:child_process"

/** Waits until it has ended, also when that is long ago. */
export const wait = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => void child.once("exit", () => resolve()))
