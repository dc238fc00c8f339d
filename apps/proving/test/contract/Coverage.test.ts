/**
 * Goal: no route and no event without a contract, and no contract without a file
 * that proves it.
 * Method: the whole server is built in this process, and what it registers is
 * compared with `Contract.ts`. That each file meets its part is the last test of
 * each file.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { FastifyInstance } from "fastify"
import diagnostics from "node:diagnostics_channel"
import fs from "node:fs"
import path from "node:path"
import { vi } from "vitest"
import * as LightServer from "light-server/src/LightServer"
import type * as EventRegistry from "light-server/src/realtime/events/EventRegistry"
import * as ServerConfig from "light-server/src/config/ServerConfig"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"
import { events, parts, routes } from "../../src/contract/Contract.ts"

/** The dispatcher answers the first one itself. */
const notedEvents = vi.hoisted(() => ["ping"])

vi.mock("light-server/src/realtime/events/EventRegistry", async (importOriginal) => {
  const { inPlaceOf } = await import("proving/drivers/NotedEvents")
  return inPlaceOf(await importOriginal<typeof EventRegistry>(), (event) => notedEvents.push(event))
})

/** Socket of the operator in the data directory: its routes are no part of the contract with clients. */
const operatorRoutes = "/v1/log-level"

/** Notes the routes of every Fastify instance that is made within the scope, each by itself. */
const noteRoutes = Effect.gen(function* () {
  const noted: Array<Array<string>> = []
  const watch = (message: unknown) => {
    const { fastify } = message as { readonly fastify: FastifyInstance }
    const routes: Array<string> = []
    noted.push(routes)
    fastify.addHook("onRoute", ({ method, url }) => {
      for (const one of [method].flat()) routes.push(`${one} ${url}`)
    })
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => diagnostics.subscribe("fastify.initialization", watch)),
    () => Effect.sync(() => diagnostics.unsubscribe("fastify.initialization", watch))
  )
  return noted
})

/** The routes of the server, once it serves. */
const registeredRoutes = Effect.gen(function* () {
  const directory = yield* TemporaryDirectory.make
  const port = yield* BuiltServer.freePort
  const { config } = yield* ServerConfig.load({
    HOME: directory,
    HAPPIER_SERVER_LIGHT_DATA_DIR: path.join(directory, "data"),
    PORT: String(port)
  })
  const noted = yield* noteRoutes
  yield* Layer.build(LightServer.layer(config))
  return noted.filter((routes) => !routes.some((route) => route.endsWith(operatorRoutes))).flat()
})

describe("the contract", () => {
  it.scopedLive(
    "has every route and every event that the server registers, and no other",
    () =>
      Effect.gen(function* () {
        const found = yield* registeredRoutes
        // HEAD is what Fastify makes of each GET.
        const foundRoutes = found.filter((route) => !/^(HEAD|OPTIONS) /.test(route))
        assert.sameMembers(foundRoutes, Object.keys(routes))
        assert.sameMembers(notedEvents, Object.keys(events))
      }),
    60_000
  )

  it("has a file for each of its parts", () => {
    const proves = (part: string) => {
      const file = path.join(import.meta.dirname, `${part}.test.ts`)
      return fs.existsSync(file) && new RegExp(`^contract\\(\\s*"${part}"`, "m").test(fs.readFileSync(file, "utf8"))
    }
    assert.deepStrictEqual(
      parts.filter((part) => !proves(part)),
      []
    )
  })
})
