/**
 * Presence and the writer as a Fastify plugin: `fastify.presence`.
 *
 * @example
 * import Database from "better-sqlite3"
 * import Fastify from "fastify"
 * import { strictEqual } from "node:assert/strict"
 * import { mkdtempSync, rmSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import * as FastifyPresence from "presence-effect/host/FastifyPresence"
 * import * as PresenceTables from "presence-effect/sqlite/PresenceTables"
 *
 * const folder = mkdtempSync(join(tmpdir(), "example-"))
 * const filename = join(folder, "app.sqlite")
 * const kinds = { device: {} }
 * new Database(filename).exec(`${PresenceTables.ddl(kinds)} INSERT INTO device (id) VALUES ('phone')`).close()
 *
 * const app = Fastify({ pluginTimeout: 60_000 })
 * await app.register(FastifyPresence.plugin, { filename, kinds })
 * app.post<{ Params: { id: string } }>("/devices/:id/beats", async ({ params: { id } }) =>
 *   app.presence.beat({ kind: "device", id }, Date.now())
 * )
 * const { body } = await app.inject({ method: "POST", url: "/devices/phone/beats" })
 * await app.close() // with a last flush
 *
 * strictEqual(body, "online")
 * strictEqual(new Database(filename).prepare("SELECT active FROM device").pluck().get(), 1)
 * rmSync(folder, { recursive: true })
 *
 * @since 0.1.0
 */
import type { FastifyPluginAsync, FastifyRequest } from "fastify"
import fastifyPlugin from "fastify-plugin"
import type { PresenceKey } from "../presence/PresenceKey.ts"
import * as HttpFailure from "../writer/HttpFailure.ts"
import { isWriterError, type WriterError } from "../writer/WriterError.ts"
import * as PresenceHost from "./PresenceHost.ts"

/**
 * What `fastify.presence` takes for a key. Declare the keys of your kinds, and no others compile:
 *
 * ```ts
 * declare module "presence-effect/host/FastifyPresence" {
 *   interface FastifyPresenceTypes {
 *     key: PresenceKind.KeyOf<typeof kinds>
 *   }
 * }
 * ```
 *
 * @category models
 * @since 0.3.0
 */
export interface FastifyPresenceTypes {}

/**
 * The keys that were declared in `FastifyPresenceTypes`, or all.
 *
 * @category models
 * @since 0.3.0
 */
export type FastifyKey = FastifyPresenceTypes extends { key: infer Key extends PresenceKey } ? Key : PresenceKey

declare module "fastify" {
  interface FastifyInstance {
    /** Of the plugin `presence-effect`. */
    readonly presence: PresenceHost.PresenceHost<FastifyKey>
  }
}

/**
 * @category models
 * @since 0.3.0
 */
export interface PluginOptions extends PresenceHost.HostOptions {
  /**
   * Changes the answer to a failed write that a handler did not catch. `false`: the plugin sets no error handler. Then
   * Fastify answers with `statusCode` and the message of the error, which names tables and columns.
   */
  readonly onError?:
    | false
    | ((failure: HttpFailure.HttpFailure, error: WriterError, request: FastifyRequest) => HttpFailure.HttpFailure)
}

const register: FastifyPluginAsync<PluginOptions> = async (fastify, { onError, ...options }) => {
  const starting = PresenceHost.start({
    onLog: ({ fields, level, message }) => fastify.log[level](fields, message),
    ...options
  })
  // First the hook: what fails from here on, or takes Fastify too long, must not leave the host open.
  fastify.addHook("onClose", () =>
    starting.then(
      (host) => host.close(),
      () => undefined
    )
  )
  const host = await starting
  // The kinds come in as a value; what they are is declared by the program.
  fastify.decorate("presence", host as PresenceHost.PresenceHost as PresenceHost.PresenceHost<FastifyKey>)
  if (onError === false) return
  fastify.setErrorHandler((error, request, reply) => {
    // Any other error goes on to the error handler that was set before, or to the one of Fastify.
    if (!isWriterError(error)) return reply.send(error)
    const failure = HttpFailure.make(error, Math.random())
    const { body, headers, statusCode } = onError === undefined ? failure : onError(failure, error, request)
    request.log[statusCode >= 500 ? "error" : "info"]({ err: error }, error.message)
    return reply.code(statusCode).headers(headers).send(body)
  })
}

/**
 * Starts a host and decorates the instance and its children with it.
 *
 * **Details**
 *
 * - Log lines go to `fastify.log` unless `onLog` takes them.
 * - A failed write that a handler does not catch is answered as the table of `HttpFailure` says: a violated constraint
 *   with 409, a busy database with 503 and `Retry-After`, an unconfirmed write with 503 and `written: "unknown"`.
 *   `onError` changes that. This is an error handler of the scope in which the plugin is registered; every other error
 *   goes to the handler that was set before. To set another one in that scope later, pass `onError: false`.
 * - Fastify waits 10 s for a plugin (its option `pluginTimeout`). A start may take longer: it waits for the lock of
 *   another program, up to `openTimeout`, and for a thread of the database, which a busy machine is slow to start.
 * - When Fastify closes, requests in flight end first; then the last flush runs and the writer ends.
 *
 * **Errors**: whatever `PresenceHost.start` rejects with fails `ready()`.
 *
 * @category plugins
 * @since 0.1.0
 */
export const plugin: FastifyPluginAsync<PluginOptions> = fastifyPlugin(register, {
  name: "presence-effect",
  fastify: "5.x"
})
