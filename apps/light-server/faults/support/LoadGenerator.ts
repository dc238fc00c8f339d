/**
 * Clients in a process of their own, so that neither the server nor the
 * scenario can slow them down.
 */
import { Deferred, Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import { createRequire } from "node:module"
import path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import * as TemporaryDirectory from "../../test/TemporaryDirectory.ts"
import * as AckFile from "./AckFile.ts"

const entry = fileURLToPath(new URL("loadEntry.ts", import.meta.url))
const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href

export interface LoadOptions {
  readonly url: string
  readonly token: string
  readonly registrationsPerSecond: number
  readonly messagesPerSecond: number
  /** Questions whether the process lives. */
  readonly probesPerSecond: number
  /** Time between two heartbeats of a session; 0: none. */
  readonly beatMillis: number
  /** Each has a socket, which beats and sends messages. */
  readonly sessionIds: ReadonlyArray<string>
}

export interface Load {
  /** What it has written down until now. */
  readonly entries: () => ReadonlyArray<AckFile.Entry>
  /** Nothing more arrives; waits for the answers to what did. */
  readonly stop: Effect.Effect<void>
}

/** A load that runs, with all its sockets connected, until it is stopped or the scope closes. */
export const start = (options: LoadOptions): Effect.Effect<Load, never, Scope.Scope> =>
  Effect.gen(function* () {
    const file = path.join(yield* TemporaryDirectory.make, "acknowledged.jsonl")
    const running = yield* Deferred.make<void>()
    const ended = yield* Deferred.make<void>()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const args = ["--import", tsx, entry, JSON.stringify({ ...options, file })]
        const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] })
        child.stdout.once("data", () => Deferred.unsafeDone(running, Effect.void))
        child.once("close", () => Deferred.unsafeDone(ended, Effect.void))
        return child
      }),
      (child) =>
        Effect.zipRight(
          Effect.sync(() => child.kill("SIGKILL")),
          Deferred.await(ended)
        )
    )
    yield* Effect.raceFirst(
      Deferred.await(running),
      Effect.zipRight(Deferred.await(ended), Effect.dieMessage("the load generator ended instead of starting"))
    )
    return {
      entries: AckFile.reader(file),
      stop: Effect.zipRight(
        Effect.sync(() => child.stdin.end()),
        Deferred.await(ended)
      )
    }
  })
