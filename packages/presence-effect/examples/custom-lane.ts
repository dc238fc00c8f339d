/** Adds a lane with its own limits at a chosen place in the order. The writer is not changed. */
import * as Effect from "effect/Effect"
import { pipe } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Lane from "presence-effect/writer/Lane"
import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
import * as SimulatedConnection from "presence-effect/testing/SimulatedConnection"
import * as WriterProbe from "presence-effect/testing/WriterProbe"
import * as Write from "presence-effect/writer/Write"
import type { WriterError } from "presence-effect/writer/WriterError"
import * as WriterPolicy from "presence-effect/writer/WriterPolicy"

// #region policy
/** Changes from another server, which waits up to 8 s for its answer. Many of them share a commit. */
export const replication = Lane.make("replication")
export const policy = pipe(
  WriterPolicy.defaults,
  WriterPolicy.addLane(
    {
      lane: replication,
      acquireTimeout: "3 seconds",
      holdLimit: "2 seconds",
      deadline: "8 seconds",
      capacity: 128,
      groupLimit: 32,
      retry: { retryFor: "2 seconds", retryDelay: "20 millis", retryDelayMax: "200 millis" },
      durability: "power-loss"
    },
    Lane.presence
  ),
  WriterPolicy.withLane(Lane.data, { capacity: 2_048 })
)

// #endregion

/** The same lanes for a standby, where nothing is more urgent than what the primary sends. */
export const standby = WriterPolicy.reorder(policy, [replication])

/** One write per lane, all waiting while the engine is busy with another: in which order are they served? */
export const servingOrder = (
  policy: WriterPolicy.WriterPolicy
): Effect.Effect<ReadonlyArray<string>, WriterPolicy.PolicyInvalid | WriterError> =>
  Effect.gen(function* () {
    const engine = yield* SimulatedConnection.make()
    const house = SqliteWriter.layer(policy).pipe(Layer.provide(engine.layer))
    return yield* Effect.gen(function* () {
      const writer = yield* SqliteWriter.SqliteWriter
      engine.stall()
      const holder = yield* Effect.fork(writer.write(Lane.maintenance, Write.statement("holder")))
      yield* Effect.yieldNow()
      const lanes = writer.policy.lanes.map(({ lane }) => lane).toReversed()
      const waiting = yield* Effect.forkAll(lanes.map((lane) => writer.write(lane, Write.statement(lane))))
      yield* Effect.forEach(lanes, (lane) => WriterProbe.awaitWaiting(lane, 1))
      engine.resume()
      yield* holder
      yield* waiting
      return engine.committed.flatMap(({ writes }) => writes.flat().map(({ sql }) => sql)).slice(1)
    }).pipe(Effect.provide(house))
  })
