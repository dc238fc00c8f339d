import { Deferred, Effect, Schedule, type Scope } from "effect"
import { spawn } from "node:child_process"
import path from "node:path"
import { fileURLToPath } from "node:url"
import * as TemporaryDirectory from "./TemporaryDirectory.ts"

const main = fileURLToPath(new URL("../../../light-server/dist/bundle/main.js", import.meta.url))

export interface ServerProcess {
  readonly directory: string
  readonly databaseFile: string
  /** Where it listens, once it says so. */
  readonly url: Effect.Effect<string>
  readonly exitCode: Effect.Effect<number | null>
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  readonly output: () => { readonly stdout: string; readonly stderr: string }
}

/** The server as a process of its own, in `directory` or a new one. Killed when the scope closes. */
export const start = (
  options: {
    readonly directory?: string
    readonly environment?: Record<string, string>
    readonly arguments?: ReadonlyArray<string>
  } = {}
): Effect.Effect<ServerProcess, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = options.directory ?? path.join(yield* TemporaryDirectory.make, "data")
    const url = yield* Deferred.make<string>()
    const exitCode = yield* Deferred.make<number | null>()
    let stdout = ""
    let stderr = ""
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [main, ...(options.arguments ?? [])], {
          env: {
            PATH: process.env["PATH"],
            HOME: directory,
            HAPPIER_SERVER_LIGHT_DATA_DIR: directory,
            PORT: "0",
            ...options.environment
          },
          stdio: ["ignore", "pipe", "pipe"]
        })
      ),
      (child) =>
        Effect.zipRight(
          Effect.sync(() => child.kill("SIGKILL")),
          Deferred.await(exitCode)
        )
    )
    child.stderr.on("data", (data) => (stderr += String(data)))
    child.stdout.on("data", (data) => {
      stdout += String(data)
      const ready = /^light-server is ready at (\S+?)(?: \(.*\))?, data in /m.exec(stdout)?.[1]
      if (ready !== undefined) Effect.runSync(Deferred.succeed(url, ready))
    })
    child.on("close", (code) => Effect.runSync(Deferred.succeed(exitCode, code)))
    return {
      directory,
      databaseFile: path.join(directory, "happier-server-light.sqlite"),
      url: Effect.raceFirst(
        Deferred.await(url),
        Effect.flatMap(Deferred.await(exitCode), (code) => Effect.dieMessage(`ended with ${code}: ${stdout}${stderr}`))
      ),
      exitCode: Deferred.await(exitCode),
      kill: (signal) => Effect.sync(() => child.kill(signal)),
      output: () => ({ stdout, stderr })
    }
  })

export interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
  readonly retryAfter: string | null
  readonly millis: number
}

export const request = (url: string, payload?: object, token?: string): Effect.Effect<Answer> =>
  Effect.promise(async (signal) => {
    const began = performance.now()
    const response = await fetch(url, {
      signal,
      ...(payload && {
        method: "POST",
        headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
        body: JSON.stringify(payload)
      })
    })
    return {
      status: response.status,
      body: (await response.json()) as Record<string, unknown>,
      retryAfter: response.headers.get("retry-after"),
      millis: performance.now() - began
    }
  })

/** Asks again until the answer has the status. */
export const until = (status: number, ask: Effect.Effect<Answer>): Effect.Effect<Answer> =>
  ask.pipe(
    Effect.repeat({ until: (answer) => answer.status === status, schedule: Schedule.spaced("50 millis") }),
    Effect.zipRight(ask)
  )

/** Asks again until nobody listens any more. */
export const untilClosed = (url: string): Effect.Effect<void> =>
  Effect.tryPromise(() => fetch(url)).pipe(Effect.repeat(Schedule.spaced("20 millis")), Effect.ignore)
