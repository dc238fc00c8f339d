/**
 * How long each step of the shutdown may take, so that all of them end before the
 * process is ended.
 */
import { Effect, type Exit, Layer, Option, Scope } from "effect"
import * as FinalizerLimit from "./FinalizerLimit.ts"

/** The shutdown settings of the operator, in milliseconds. */
export interface ShutdownTerms {
  readonly shutdownTimeoutMillis: number
  readonly socketCloseSpreadMillis: number
  readonly socketDrainTimeoutMillis: number
  readonly drainTimeoutMillis: number
  /** Whether spans have to be sent at the end. */
  readonly isTraced: boolean
}

/** The longest time of each step in milliseconds, in the order in which they run. */
export interface ShutdownBudget {
  /** Closing the sockets, a few at a time. */
  readonly sockets: number
  /** Closing the port, and the requests under way. */
  readonly requests: number
  /** Events that are being answered. */
  readonly events: number
  /** The last flush. */
  readonly presence: number
  /** The last copy of the log. */
  readonly log: number
  /** The end of the writer and of its thread. */
  readonly database: number
  /** Sending the last spans. */
  readonly traces: number
}

const requestsMinMillis = 500
const logMillis = 1000
const databaseMillis = 1000
const tracesMillis = 500

/** Timers of a busy process are late, and the process has to end as well. */
const marginMillis = 500

/** Extra time of a step, so that its own limit, which reports what was left undone, is reached first. */
const slackMillis = 50

const reservedMillis = logMillis + databaseMillis + marginMillis

/** The time that the shutdown needs even when nothing is left of it for requests. */
export const leastMillis = (terms: Omit<ShutdownTerms, "shutdownTimeoutMillis">): number =>
  terms.socketCloseSpreadMillis +
  terms.socketDrainTimeoutMillis +
  terms.drainTimeoutMillis +
  requestsMinMillis +
  (terms.isTraced ? tracesMillis : 0) +
  reservedMillis

/**
 * Splits the shutdown timeout. Requests get the rest, so all steps together,
 * limited by `closeWithin`, end before the timeout, provided it is at least
 * `leastMillis`.
 */
export const make = (terms: ShutdownTerms): ShutdownBudget => ({
  sockets: terms.socketCloseSpreadMillis,
  requests: requestsMinMillis + Math.max(0, terms.shutdownTimeoutMillis - leastMillis(terms)),
  events: terms.socketDrainTimeoutMillis,
  presence: terms.drainTimeoutMillis,
  log: logMillis,
  database: databaseMillis,
  traces: terms.isTraced ? tracesMillis : 0
})

/**
 * The same layer, with a limit of `limitMillis` on the wait for its end. Inner limits are usually shorter; this one
 * holds whatever the engine or the disk does.
 *
 * After the limit, the work goes on in the background until the process ends.
 */
export const closeWithin =
  (step: keyof ShutdownBudget, limitMillis: number) =>
  <A, E, R>(layer: Layer.Layer<A, E, R>): Layer.Layer<A, E, R> => {
    const close = (scope: Scope.CloseableScope, exit: Exit.Exit<unknown, unknown>) =>
      Scope.close(scope, exit).pipe(
        // The finalizers of a scope are uninterruptible: beyond the limit they run on, and are not waited for.
        Effect.uninterruptible,
        Effect.disconnect,
        FinalizerLimit.within(limitMillis + slackMillis),
        Effect.filterOrElse(Option.isSome, () =>
          Effect.logWarning("A step of the shutdown was cut").pipe(
            Effect.annotateLogs({ code: "SHUTDOWN_STEP_CUT", step, limitMillis })
          )
        )
      )
    return Layer.scopedContext(
      Effect.flatMap(Effect.acquireRelease(Scope.make(), close), (scope) => Layer.buildWithScope(layer, scope))
    )
  }
