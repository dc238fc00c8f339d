/**
 * Presence and the writer as a Fastify plugin: `fastify.presence`.
 *
 * @since 0.1.0
 */
import type { FastifyPluginAsync } from "fastify"
import fastifyPlugin from "fastify-plugin"
import * as PresenceHost from "./PresenceHost.ts"

declare module "fastify" {
  interface FastifyInstance {
    /** Of the plugin `presence-effect`. */
    readonly presence: PresenceHost.PresenceHost
  }
}

const register: FastifyPluginAsync<PresenceHost.HostOptions> = async (fastify, options) => {
  const host = await PresenceHost.start({
    onLog: ({ fields, level, message }) => fastify.log[level](fields, message),
    ...options
  })
  // First the hook: what fails from here on, the decoration included, must not leave the host open.
  fastify.addHook("onClose", () => host.close())
  fastify.decorate("presence", host)
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
