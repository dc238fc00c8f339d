/**
 * The socket on which commands of the operator reach the running server: HTTP with JSON over a Unix socket in the data
 * directory, mode 0600. The file system decides who may connect; no port of the network leads here.
 */
import { Cause, Effect, Exit, Layer, Option, Runtime } from "effect"
import Fastify, { type FastifyInstance, type FastifyReply } from "fastify"
import fs from "node:fs/promises"
import net from "node:net"
import type { EngineFault } from "presence-effect/writer/SqliteConnection"
import * as FinalizerLimit from "../FinalizerLimit.ts"
import { RequestDefect } from "../Failure.ts"
import { type Failure, toHttp } from "../http/FailureTable.ts"
import * as SystemCode from "../SystemCode.ts"

/** Runs the effect of a route, and answers its failure. */
export type Answer = <A>(reply: FastifyReply, effect: Effect.Effect<A, Failure | EngineFault>) => Promise<A | undefined>

/** The paths of Unix sockets are short: 108 bytes with the zero at the end on Linux, 104 elsewhere. */
const pathBytesMax = 103

/** Whether a process listens on the socket. */
const isServed = (path: string) =>
  Effect.async<boolean>((resume) => {
    const probe = net.connect(path)
    probe.once("connect", () => {
      probe.destroy()
      resume(Effect.succeed(true))
    })
    probe.once("error", () => resume(Effect.succeed(false)))
  })

/** Removes what a process that was killed has left. Anything but a socket stays. */
const removeStale = (path: string) =>
  Effect.gen(function* () {
    const found = yield* Effect.option(Effect.tryPromise(() => fs.lstat(path)))
    if (Option.isNone(found)) return
    if (!found.value.isSocket()) return yield* Effect.fail("there is a file that is not a socket")
    if (yield* isServed(path)) return yield* Effect.fail("another server listens there")
    yield* Effect.tryPromise({ try: () => fs.rm(path, { force: true }), catch: SystemCode.of })
  })

const makeAnswer =
  (runtime: Runtime.Runtime<never>): Answer =>
  async (reply, effect) => {
    const exit = await Runtime.runPromiseExit(runtime)(
      Effect.tapErrorCause(effect, (cause) =>
        Cause.isFailure(cause) ? Effect.void : Effect.logError("A request of the operator died", cause)
      )
    )
    if (Exit.isSuccess(exit)) return exit.value
    const failure = Option.getOrElse(Cause.failureOption(exit.cause), () => new RequestDefect())
    if (failure._tag === "EngineFault") {
      reply.code(503).send({ error: failure.message, code: failure.code })
    } else {
      const { body, status } = toHttp(failure)
      reply.code(status).send({ code: failure._tag, ...body })
    }
    return undefined
  }

const listen = (fastify: FastifyInstance, path: string) =>
  Effect.gen(function* () {
    if (Buffer.byteLength(path) > pathBytesMax) {
      return yield* Effect.fail(`the path has more than ${pathBytesMax} bytes`)
    }
    yield* removeStale(path)
    yield* Effect.tryPromise({
      try: async () => {
        await fastify.listen({ path })
        await fs.chmod(path, 0o600)
      },
      catch: SystemCode.of
    })
  })

/**
 * Serves `routes` on `path` until the scope closes, then removes the socket.
 *
 * A server without the socket serves its clients all the same, so a path that cannot be used is a warning.
 */
export const layer = <R>(options: {
  readonly path: string
  readonly routes: Effect.Effect<(app: FastifyInstance, answer: Answer) => void, never, R>
}): Layer.Layer<never, never, R> =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      const { path } = options
      const add = yield* options.routes
      // Sockets of this kind are files on Unix only.
      if (process.platform === "win32") return
      const fastify = Fastify({ logger: false, bodyLimit: 65_536, forceCloseConnections: true })
      fastify.setNotFoundHandler((_, reply) => reply.code(404).send({ error: "unknown to this version of the server" }))
      add(fastify, makeAnswer(yield* Effect.runtime<never>()))
      yield* Effect.addFinalizer(() =>
        Effect.promise(() => fastify.close()).pipe(FinalizerLimit.within("500 millis"), Effect.asVoid)
      )
      yield* Effect.catchAll(listen(fastify, path), (reason) =>
        Effect.logWarning("Commands of the operator cannot reach this server").pipe(
          Effect.annotateLogs({ code: "ADMIN_SOCKET", path, reason: String(reason) })
        )
      )
    })
  )
