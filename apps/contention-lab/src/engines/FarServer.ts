/**
 * A database server that is further away than it is: what is sent to it arrives later, and what it answers does not.
 * Its thread shares nothing with the event loop of the strategy, and knows nothing of what it carries, so a strategy
 * pays for each time that it waits for an answer.
 */
import { Effect, type Scope } from "effect"
import { Worker } from "node:worker_threads"
import * as PostgresAddress from "../postgres/PostgresAddress.ts"
import type { FarServerTerms } from "./farServerEntry.ts"

// Node 20 runs no TypeScript in a thread: seen from the sources, the entry is the built one.
const entry = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/src/engines/farServerEntry.js" : "./farServerEntry.js",
  import.meta.url
)

/** The address of the same database, `delayMillis` away. */
export const make = (url: string, delayMillis: number): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<{ readonly thread: Worker; readonly port: number }>((resume) => {
      const terms: FarServerTerms = { endpoint: PostgresAddress.endpointOf(url), delayMillis }
      const thread = new Worker(entry, { workerData: terms })
      thread.once("message", (port: number) => resume(Effect.succeed({ thread, port })))
      thread.once("error", (cause) => resume(Effect.die(cause)))
    }),
    ({ thread }) => Effect.promise(() => thread.terminate())
  ).pipe(Effect.map(({ port }) => PostgresAddress.through(url, port)))
