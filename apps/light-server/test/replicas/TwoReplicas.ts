/** Two replicas joined in memory, and what tests of them do again and again. */
import { decode } from "@msgpack/msgpack"
import { Effect } from "effect"
import * as MemoryHub from "../support/MemoryHub.ts"
import { database, start } from "../support/ReplicaServers.ts"
import type { RpcOptions } from "../../src/rpc/RpcOptions.ts"

const topicOf = (bytes: Uint8Array) => {
  try {
    return String((decode(bytes) as ReadonlyArray<unknown>)[1])
  } catch {
    return "malformed"
  }
}

export const makeHub = () => MemoryHub.make(topicOf)

/** Waits in real time until `isTrue` returns true: sockets do not follow the test clock. */
export const until = (isTrue: () => boolean): Effect.Effect<void> =>
  Effect.promise(async () => {
    while (!isTrue()) await new Promise((resolve) => setImmediate(resolve))
  })

/** Lets everything arrive that was sent between replicas. */
export const arrived = Effect.promise(async () => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
})

export const two = (rpc: Partial<RpcOptions> = {}) =>
  Effect.gen(function* () {
    const hub = makeHub()
    const shared = yield* database
    const a = yield* start(shared, hub.link("a"), rpc)
    const b = yield* start(shared, hub.link("b"), rpc)
    yield* until(() => a.bus.others().length === 1 && b.bus.others().length === 1)
    return { hub, shared, a, b }
  })
