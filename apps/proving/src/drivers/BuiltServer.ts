/**
 * The built server as a process of its own, as an operator runs it: it keeps
 * its directory and its port over restarts.
 */
import Sqlite from "better-sqlite3"
import { Context, Duration, Effect, Layer, type Scope } from "effect"
import { randomInt } from "node:crypto"
import net from "node:net"
import path from "node:path"
import type { SqlValue } from "presence-effect/writer/Write"
import * as ServerDatabase from "./ServerDatabase.ts"
import * as ServerChild from "./ServerChild.ts"
import * as TemporaryDirectory from "./TemporaryDirectory.ts"

export interface Ended {
  readonly code: number | null
  /** From the signal to the end. */
  readonly millis: number
}

export interface Server {
  readonly url: string
  readonly directory: string
  readonly databaseFile: string
  /** Starts it, and waits until it reports that it is ready. */
  readonly start: Effect.Effect<void>
  /** Starts it, and waits for nothing. */
  readonly launch: Effect.Effect<void>
  /** Of the process that was started last. */
  readonly pid: Effect.Effect<number>
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** How the process that was started last ended, once it has. */
  readonly ended: Effect.Effect<{ readonly code: number | null }>
  /** Sends a signal and waits for the end. */
  readonly end: (signal: NodeJS.Signals) => Effect.Effect<Ended>
  /** Everything that all its processes printed. */
  readonly output: () => string
  /** Its database from outside, whether or not the server runs. */
  readonly database: ServerDatabase.ServerDatabase
  /** The same at once, of a file only. */
  readonly rows: (sql: string, ...params: ReadonlyArray<SqlValue>) => ReadonlyArray<Record<string, unknown>>
}

export class BuiltServer extends Context.Tag("test/BuiltServer")<BuiltServer, Server>() {}

/**
 * A port that is not in use, below those the system gives to outgoing
 * connections: a client that reconnects while the server is down could
 * otherwise be connected to itself.
 */
export const freePort: Effect.Effect<number> = Effect.async<number>((resume) => {
  const attempt = () => {
    const port = randomInt(12_000, 32_000)
    const probe = net.createServer()
    probe.once("error", attempt)
    probe.listen(port, "127.0.0.1", () => probe.close(() => resume(Effect.succeed(port))))
  }
  attempt()
})

export interface Place {
  /** A file in the directory unless given. */
  readonly database?: ServerDatabase.ServerDatabase
  /** A new one unless given. */
  readonly directory?: string
  /** A program that prepares something and then replaces itself with the server, with its arguments. */
  readonly through?: ReadonlyArray<string>
}

/** A server that is not started yet. What runs of it is killed when the scope closes. */
export const make = (
  environment: Readonly<Record<string, string>> = {},
  place: Place = {}
): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = place.directory ?? path.join(yield* TemporaryDirectory.make, "data")
    const databaseFile = path.join(directory, "happier-server-light.sqlite")
    const database = place.database ?? ServerDatabase.ofFile(databaseFile)
    const port = yield* freePort
    let output = ""
    let running: ServerChild.ServerChild | undefined

    const spawned = Effect.sync(() => {
      const hear = (text: string) => void (output += text)
      running = ServerChild.start({
        directory,
        port,
        environment: { ...database.environment, ...environment },
        through: place.through,
        hear
      })
      return running
    })

    const current = Effect.suspend(() =>
      running === undefined ? Effect.dieMessage("not started") : Effect.succeed(running)
    )
    const ended = Effect.flatMap(current, (running) => Effect.promise(() => running.ended)).pipe(
      Effect.map((code) => ({ code }))
    )
    const pid = Effect.map(current, ({ child }) => child.pid ?? 0)
    const signal = (signal: NodeJS.Signals) => Effect.map(current, ({ child }) => void child.kill(signal))

    yield* Effect.addFinalizer(() =>
      running === undefined ? Effect.void : Effect.zipRight(signal("SIGKILL"), Effect.asVoid(ended))
    )
    return {
      url: `http://127.0.0.1:${port}`,
      directory,
      databaseFile,
      database,
      start: Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(spawned, ({ ready }) => restore(Effect.asVoid(Effect.promise(() => ready))))
      ),
      launch: Effect.asVoid(spawned),
      pid,
      signal,
      ended,
      end: (name) =>
        Effect.map(Effect.timed(Effect.zipRight(signal(name), ended)), ([duration, { code }]) => ({
          code,
          millis: Math.round(Duration.toMillis(duration))
        })),
      output: () => output,
      rows: (sql, ...params) => {
        const database = new Sqlite(databaseFile, { readonly: true })
        try {
          return database.prepare(sql).all(...params) as ReadonlyArray<Record<string, unknown>>
        } finally {
          database.close()
        }
      }
    }
  })

/** A server that runs until the scope closes. */
export const start = (
  environment?: Readonly<Record<string, string>>,
  place?: Place
): Effect.Effect<Server, never, Scope.Scope> => Effect.tap(make(environment, place), (server) => server.start)

/** One server for a whole file. */
export const layer = (
  environment?: Readonly<Record<string, string>>,
  place: Effect.Effect<Place, never, Scope.Scope> = Effect.succeed({})
): Layer.Layer<BuiltServer> =>
  Layer.scoped(
    BuiltServer,
    Effect.flatMap(place, (place) => start(environment, place))
  )
