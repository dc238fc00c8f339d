/**
 * Many clients that come back by themselves.
 */
import { Deferred, Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import { createRequire } from "node:module"
import readline from "node:readline"
import { fileURLToPath, pathToFileURL } from "node:url"

const entry = fileURLToPath(new URL("swarmEntry.ts", import.meta.url))
const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href

export interface Counts {
  readonly connected: number
  /** Since the beginning. */
  readonly connections: number
  /** Times that one of them heard of a row that is offline. */
  readonly offline: number
}

/** Begins to connect, and stays until the scope closes. */
export const start = (options: {
  readonly url: string
  readonly count: number
  readonly tokens: ReadonlyArray<string>
  readonly sessionIds: ReadonlyArray<ReadonlyArray<string>>
}): Effect.Effect<() => Counts, never, Scope.Scope> =>
  Effect.gen(function* () {
    let counts: Counts = { connected: 0, connections: 0, offline: 0 }
    const ended = yield* Deferred.make<void>()
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn(process.execPath, ["--import", tsx, entry, JSON.stringify(options)], {
          stdio: ["pipe", "pipe", "inherit"]
        })
        readline.createInterface(child.stdout).on("line", (line) => (counts = JSON.parse(line) as Counts))
        child.once("close", () => Deferred.unsafeDone(ended, Effect.void))
        return child
      }),
      (child) =>
        Effect.zipRight(
          Effect.sync(() => child.kill("SIGKILL")),
          Deferred.await(ended)
        )
    )
    return () => counts
  })
