/**
 * A client that disconnects after its write was committed and before its
 * answer.
 */
import { Deferred, Effect } from "effect"
import { request } from "node:http"
import { HttpApp } from "../../src/http/HttpApp.ts"
import { TestDatabase } from "./TestDatabase.ts"

/** Posts, disconnects after the commit, and lets the write end when the server has noticed. */
export const hangUpDuring = (
  url: string,
  post: { readonly path: string; readonly headers: Record<string, string>; readonly payload: object }
) =>
  Effect.gen(function* () {
    const database = yield* TestDatabase
    const { fastify } = yield* HttpApp
    const committed = yield* Deferred.make<void>()
    const noticed = yield* Deferred.make<void>()
    const open = yield* Deferred.make<void>()
    fastify.server.once("request", (_, response) => {
      response.once("close", () => Effect.runSync(Deferred.succeed(noticed, undefined)))
    })
    database.nextWrite = {
      _tag: "Slow",
      gate: Effect.zipRight(Deferred.succeed(committed, undefined), Deferred.await(open))
    }
    const client = request(`${url}${post.path}`, {
      method: "POST",
      headers: { ...post.headers, "content-type": "application/json" }
    })
    // Of its own hang-up.
    client.on("error", () => {})
    client.end(JSON.stringify(post.payload))
    yield* Deferred.await(committed)
    client.destroy()
    yield* Deferred.await(noticed)
    // The interruption, if there is one, comes first.
    yield* Effect.yieldNow().pipe(Effect.repeatN(32))
    yield* Deferred.succeed(open, undefined)
  })
