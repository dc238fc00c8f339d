/**
 * Records the calls of a writer and their answers, in order.
 *
 * Lets a test wait for a state ("two writes wait in the data lane") instead of
 * for a time.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { deepStrictEqual } from "node:assert/strict"
 * import * as SimulatedConnection from "presence-effect/testing/SimulatedConnection"
 * import * as WriterProbe from "presence-effect/testing/WriterProbe"
 * import * as Lane from "presence-effect/writer/Lane"
 * import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 * import * as Write from "presence-effect/writer/Write"
 *
 * const program = Effect.gen(function* () {
 *   const { layer } = yield* SimulatedConnection.make()
 *   const probe = yield* WriterProbe.make
 *   const services = probe.layer.pipe(Layer.provide(SqliteWriter.layer()), Layer.provide(layer))
 *   const write = Effect.flatMap(SqliteWriter.SqliteWriter, (writer) =>
 *     writer.write(Lane.data, Write.statement("DELETE FROM Message"))
 *   )
 *   yield* Effect.provide(write, services)
 *   deepStrictEqual(
 *     probe.events.map(({ event, lane }) => `${lane} ${event}`),
 *     ["data called", "data answered"]
 *   )
 * })
 * await Effect.runPromise(program)
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Lane from "../writer/Lane.ts"
import { SqliteWriter } from "../writer/SqliteWriter.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface ProbeEvent {
  readonly event: "called" | "answered" | "failed" | "interrupted"
  readonly lane: Lane.Lane
  readonly atMillis: number
  /** Statements of the write; none for an opaque effect. */
  readonly statements: ReadonlyArray<string>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface WriterProbe {
  /** Oldest first. */
  readonly events: ReadonlyArray<ProbeEvent>
  /** Writer that reports to this probe, in the place of the one it needs. */
  readonly layer: Layer.Layer<SqliteWriter, never, SqliteWriter>
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<WriterProbe> = Effect.sync(() => {
  const events: Array<ProbeEvent> = []
  const note = (event: ProbeEvent["event"], lane: Lane.Lane, statements: ReadonlyArray<string>) =>
    Effect.map(Clock.currentTimeMillis, (atMillis) => {
      events.push({ event, lane, atMillis, statements })
    })
  const watch = <A, E, R>(lane: Lane.Lane, statements: ReadonlyArray<string>, self: Effect.Effect<A, E, R>) =>
    Effect.zipRight(
      note("called", lane, statements),
      Effect.onExit(self, (exit) =>
        note(Exit.isSuccess(exit) ? "answered" : Exit.isInterrupted(exit) ? "interrupted" : "failed", lane, statements)
      )
    )
  return {
    events,
    layer: Layer.effect(
      SqliteWriter,
      Effect.map(SqliteWriter, (writer) =>
        SqliteWriter.of({
          ...writer,
          write: (lane, write) =>
            watch(
              lane,
              write.statements.map(({ sql }) => sql),
              writer.write(lane, write)
            ),
          writeMeasured: (lane, write) =>
            watch(
              lane,
              write.statements.map(({ sql }) => sql),
              writer.writeMeasured(lane, write)
            ),
          withPermit: (lane) => (self) => watch(lane, [], writer.withPermit(lane)(self))
        })
      )
    )
  }
})

/**
 * Lets other fibers run until `count` writes wait in `lane`. Moves no clock.
 *
 * @category combinators
 * @since 0.1.0
 */
export const awaitWaiting = (lane: Lane.Lane, count: number): Effect.Effect<void, never, SqliteWriter> =>
  Effect.flatMap(SqliteWriter, (writer) =>
    Effect.repeat(Effect.zipRight(Effect.yieldNow(), writer.status), {
      until: ({ lanes }) => lanes.some((one) => one.lane === lane && one.waiterCount >= count)
    })
  )
