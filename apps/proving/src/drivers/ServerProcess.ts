import { Effect, Schedule, type Scope } from "effect"
import path from "node:path"
import * as ServerChild from "./ServerChild.ts"
import * as TemporaryDirectory from "./TemporaryDirectory.ts"

export interface ServerProcess {
  readonly directory: string
  readonly databaseFile: string
  /** Its address, once it reports it. */
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
    const { child, ended, output, ready } = yield* Effect.acquireRelease(
      Effect.sync(() => ServerChild.start({ ...options, directory, port: 0 })),
      ({ child, ended }) =>
        Effect.promise(() => {
          child.kill("SIGKILL")
          return ended
        })
    )
    return {
      directory,
      databaseFile: path.join(directory, "happier-server-light.sqlite"),
      url: Effect.promise(() => ready),
      exitCode: Effect.promise(() => ended),
      kill: (signal) => Effect.sync(() => child.kill(signal)),
      output
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

/** Repeats the request until the port is closed. */
export const untilClosed = (url: string): Effect.Effect<void> =>
  Effect.tryPromise(() => fetch(url)).pipe(Effect.repeat(Schedule.spaced("20 millis")), Effect.ignore)
