/**
 * The engine of the incident, as far as its log shows it: one writer behind round trips, first come first served.
 * Over a database server it is a pool of connections, with the same queue in front of it.
 *
 * - Every statement crosses to the engine and back, `BEGIN` and `COMMIT` too, and the lock is held meanwhile.
 * - A caller gets an error after five seconds. What it asked for stays in the queue and is done when its turn comes:
 *   were it dropped, some rows of every flush would have been written, and the log showed none for minutes.
 *
 * How a statement crosses is not known here, so the same queue runs in real time and in virtual time.
 */
import { Clock, Deferred, Effect, Queue, type Scope } from "effect"
import type { Statement } from "presence-effect/writer/Write"
import { engineTimeoutMillis } from "../Scenario.ts"
import type { Run } from "../Run.ts"
import * as Statements from "../Statements.ts"
import { type Engine, EngineFailed } from "./Engine.ts"

/** Brings one statement to the engine and its answer back. */
export type Crossing = (statement: Pick<Statement, "sql" | "params">) => Effect.Effect<void, EngineFailed>

interface Job {
  readonly statements: ReadonlyArray<Statement>
  readonly done: Deferred.Deferred<void, EngineFailed>
}

/** A caller, and when it gets a timeout. */
interface Waiting extends Pick<Job, "done"> {
  readonly untilMillis: number
}

const tooLate = new EngineFailed({ detail: `no answer within ${engineTimeoutMillis} ms` })

const bare = (sql: string) => ({ sql, params: [] })

/** The same crossing, timed. */
const timed =
  ({ elapsedMillis, meter }: Run, cross: Crossing): Crossing =>
  (statement) =>
    Effect.suspend(() => {
      const startedAt = elapsedMillis()
      return Effect.tap(cross(statement), () => meter.crossed(elapsedMillis() - startedAt))
    })

/** `crossings`: one for each connection. Each serves one caller at a time. */
export const make = (
  run: Run,
  crossings: ReadonlyArray<Crossing>,
  begin = "BEGIN IMMEDIATE"
): Effect.Effect<Engine, never, Scope.Scope> =>
  Effect.gen(function* () {
    // Without a bound, as the engine of the incident: that is what is being shown.
    const queue = yield* Queue.unbounded<Job>()

    const perform = (cross: Crossing, statements: ReadonlyArray<Statement>) =>
      Effect.flatMap(cross(bare(begin)), () => {
        const lockedAt = run.elapsedMillis()
        return Effect.forEach(statements, cross, { discard: true }).pipe(
          Effect.zipRight(cross(bare("COMMIT"))),
          Effect.tapError(() => Effect.ignore(cross(bare("ROLLBACK")))),
          Effect.ensuring(Effect.sync(() => run.meter.held((run.elapsedMillis() - lockedAt) / crossings.length)))
        )
      })

    const serveNext = (cross: Crossing) =>
      Effect.flatMap(Queue.take(queue), ({ done, statements }) =>
        Effect.flatMap(Effect.exit(perform(cross, statements)), (exit) => Deferred.done(done, exit))
      )
    for (const crossing of crossings) yield* Effect.forkScoped(Effect.forever(serveNext(timed(run, crossing))))

    // All wait equally long, so their times come in the order of their calls, and one fiber is enough.
    const called = yield* Queue.unbounded<Waiting>()
    const giveUpNext = Effect.flatMap(Queue.take(called), ({ done, untilMillis }) => {
      const left = Math.ceil(untilMillis - run.elapsedMillis())
      const given = Deferred.fail(done, tooLate)
      return left > 0 ? Effect.zipRight(Clock.sleep(left), given) : given
    })
    yield* Effect.forkScoped(Effect.forever(giveUpNext))

    const transaction: Engine["transaction"] = (statements) =>
      Effect.flatMap(Deferred.make<void, EngineFailed>(), (done) => {
        queue.unsafeOffer({ statements, done })
        called.unsafeOffer({ done, untilMillis: run.elapsedMillis() + engineTimeoutMillis })
        return Deferred.await(done)
      })

    return {
      transaction,
      updateRow: (row) => transaction([Statements.updateRow(row)]),
      updateRows: (rows) => transaction(rows.map(Statements.updateRow))
    }
  })
