/**
 * Clients in a process of their own, so that neither the server nor the
 * scenario can slow them down.
 */
import { Deferred, Effect, type Scope } from "effect"
import path from "node:path"
import { fileURLToPath } from "node:url"
import * as TemporaryDirectory from "../../drivers/TemporaryDirectory.ts"
import * as AckFile from "./AckFile.ts"
import * as ChildProgram from "./ChildProgram.ts"

const entry = fileURLToPath(new URL("loadEntry.ts", import.meta.url))

export interface LoadOptions {
  readonly url: string
  readonly token: string
  readonly registrationsPerSecond: number
  readonly messagesPerSecond: number
  /** Checks whether the process is alive. */
  readonly probesPerSecond: number
  /** Time between two heartbeats of a session; 0: none. */
  readonly beatMillis: number
  /** Each has a socket, which beats and sends messages. */
  readonly sessionIds: ReadonlyArray<string>
}

export interface Load {
  /** What it has recorded until now. */
  readonly entries: () => ReadonlyArray<AckFile.Entry>
  /** Nothing more arrives; waits for the answers to what did. */
  readonly stop: Effect.Effect<void>
}

/** A load that runs, with all its sockets connected, until it is stopped or the scope closes. */
export const start = (options: LoadOptions): Effect.Effect<Load, never, Scope.Scope> =>
  Effect.gen(function* () {
    const file = path.join(yield* TemporaryDirectory.make, "acknowledged.jsonl")
    const running = yield* Deferred.make<void>()
    const { begun, child, ended } = yield* ChildProgram.run(() => {
      const child = ChildProgram.node(ChildProgram.typescript(entry, { ...options, file }))
      child.stdout.once("data", () => Deferred.unsafeDone(running, Effect.void))
      return child
    })
    yield* begun(running, () => "the load generator ended instead of starting")
    return {
      entries: AckFile.reader(file),
      stop: Effect.zipRight(
        Effect.sync(() => child.stdin.end()),
        ended
      )
    }
  })
