/** Several replicas of this server, if they are asked for. */
import { Effect, Layer, type Redacted } from "effect"
import type { RedisUnusable } from "./RedisUnusable.ts"
import { Replicas } from "./ReplicaBus.ts"

/** Without an address nothing is loaded, and this is the only replica. */
export const layer = (redisUrl: Redacted.Redacted | undefined): Layer.Layer<never, RedisUnusable> =>
  redisUrl === undefined
    ? Layer.empty
    : Layer.scoped(
        Replicas,
        Effect.gen(function* () {
          const [link, bus] = yield* Effect.promise(() =>
            Promise.all([import("./RedisLink.ts"), import("./LinkedBus.ts")])
          )
          return yield* bus.make(yield* link.make(redisUrl))
        })
      )
