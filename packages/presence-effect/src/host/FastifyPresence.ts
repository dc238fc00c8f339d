/**
 * Presence and the writer as a Fastify plugin: `fastify.presence`.
 *
 * @since 0.1.0
 */
import type { FastifyPluginAsync } from "fastify"
import fastifyPlugin from "fastify-plugin"
import type { PresenceKey } from "../presence/PresenceKey.ts"
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

const register: FastifyPluginAsync<PresenceHost.HostOptions> = async (fastify, options) => {
  const host = await PresenceHost.start({
    onLog: ({ fields, level, message }) => fastify.log[level](fields, message),
    ...options
  })
  // First the hook: what fails from here on, the decoration included, must not leave the host open.
  fastify.addHook("onClose", () => host.close())
  // The kinds come in as a value; what they are is declared by the program.
  fastify.decorate("presence", host as PresenceHost.PresenceHost as PresenceHost.PresenceHost<FastifyKey>)
}

/**
 * Starts a host and decorates the instance and its children with it.
 *
 * **Details**
 *
 * - Log lines go to `fastify.log` unless `onLog` takes them.
 * - When Fastify closes, requests in flight end first; then the last flush runs and the writer ends.
 *
 * **Errors**: whatever `PresenceHost.start` rejects with fails `ready()`.
 *
 * @category plugins
 * @since 0.1.0
 */
export const plugin: FastifyPluginAsync<PresenceHost.HostOptions> = fastifyPlugin(register, {
  name: "presence-effect",
  fastify: "5.x"
})
