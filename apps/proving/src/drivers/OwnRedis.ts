/** A Redis server of a test alone, which it ends, freezes and starts again. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import net from "node:net"
import path from "node:path"
import * as BuiltServer from "./BuiltServer.ts"
import * as ProcessEnd from "./ProcessEnd.ts"
import * as TemporaryDirectory from "./TemporaryDirectory.ts"

export interface OwnRedis {
  readonly port: number
  readonly url: string
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Kills it. It keeps nothing. */
  readonly end: Effect.Effect<void>
  /** Starts it, empty, and waits until it takes connections. */
  readonly start: Effect.Effect<void>
}

export interface Options {
  /** More arguments of `redis-server`. */
  readonly arguments?: ReadonlyArray<string>
  /** Takes encrypted connections only. */
  readonly tls?: { readonly certificate: string; readonly key: string }
}

const program = "redis-server"

const version = spawnSync(program, ["--version"], { encoding: "utf8" })

/** Whether it is installed. Throws where `REQUIRE_SERVICES` is set and it is not. */
export const isInstalled = (): boolean => {
  if (version.status === 0) return true
  if (process.env["REQUIRE_SERVICES"] !== undefined) throw new Error(`${program} is not installed`)
  return false
}

const connects = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = net.connect({ host: "127.0.0.1", port })
    const end = (does: boolean) => {
      socket.destroy()
      resolve(does)
    }
    socket.once("connect", () => end(true)).once("error", () => end(false))
  })

export const make = (options: Options = {}): Effect.Effect<OwnRedis, never, Scope.Scope> =>
  Effect.gen(function* () {
    const port = yield* BuiltServer.freePort
    const directory = yield* TemporaryDirectory.make
    const { tls } = options
    const listening =
      tls === undefined
        ? ["--port", String(port)]
        : ["--port", "0", "--tls-port", String(port), "--tls-auth-clients", "no"].concat([
            "--tls-cert-file",
            tls.certificate,
            "--tls-key-file",
            tls.key
          ])
    const args = [
      "--bind",
      "127.0.0.1",
      "--save",
      "",
      "--appendonly",
      "no",
      "--dir",
      path.resolve(directory),
      ...listening,
      ...(options.arguments ?? [])
    ]
    let child: ChildProcess | undefined
    let output = ""
    const start = Effect.promise(async () => {
      const started = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] })
      child = started
      for (const stream of [started.stdout, started.stderr]) stream.on("data", (data) => (output += String(data)))
      // oxlint-disable-next-line no-await-in-loop
      while (!(await connects(port))) {
        if (started.exitCode !== null) throw new Error(`${program} ended\n${output}`)
        // oxlint-disable-next-line no-await-in-loop
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    })
    const end = Effect.promise(async () => {
      // One that is stopped is killed as well.
      child?.kill("SIGKILL")
      if (child !== undefined) await ProcessEnd.wait(child)
    })
    yield* Effect.acquireRelease(start, () => end)
    return {
      port,
      url: `${tls === undefined ? "redis" : "rediss"}://127.0.0.1:${port}`,
      signal: (signal) => Effect.sync(() => void child?.kill(signal)),
      end,
      start
    }
  })
