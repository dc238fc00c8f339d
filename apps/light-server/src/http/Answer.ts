/** Runs an effect and sends its result as the answer to a request. */
import { Effect, Either, Exit, Random, Runtime, type Tracer } from "effect"
import type { IncomingMessage, ServerResponse } from "node:http"
import { AnswerTimeout, RequestDefect } from "../Failure.ts"
import { type Failure, toHttp } from "./FailureTable.ts"
import type { CostMeter } from "../door/CostMeter.ts"

/** Runs an effect without requirements. */
export type Run = <A, E>(effect: Effect.Effect<A, E>) => Promise<A>

/** The part of a request that is used, whatever its route declares. */
export interface AnyRequest {
  readonly id: string
  readonly raw: IncomingMessage
  readonly cost: CostMeter
  readonly span: Tracer.AnySpan | undefined
}

/** The part of a reply that is used, whatever its route declares. */
export interface AnyReply {
  readonly raw: ServerResponse
  readonly sent: boolean
  code(status: number): unknown
  header(name: string, value: string): unknown
  send(payload?: unknown): unknown
  hijack(): unknown
}

/** Sends a failure as its status, `Retry-After` and body. */
export const refuse = (reply: AnyReply, failure: Failure, jitter: number): void => {
  const { status, body, retryAfterMillis } = toHttp(failure, jitter)
  reply.code(status)
  if (retryAfterMillis !== undefined) reply.header("retry-after", String(Math.ceil(retryAfterMillis / 1000)))
  reply.send(body)
}

/** Logged, not sent to the client. One text for all, so that repetitions are rolled up into one line. */
const report = (failure: Failure): Effect.Effect<void> => {
  const { status } = toHttp(failure)
  if (status < 500) return Effect.void
  const log = status === 500 ? Effect.logError : Effect.logWarning
  return log("A request could not be done").pipe(
    Effect.annotateLogs({ code: failure._tag, status, reason: failure.message })
  )
}

/**
 * Runs effects for requests.
 *
 * **Details**
 *
 * - A client that disconnects interrupts its effect, which then leaves its
 *   lane. The event is `close` of the response before it is finished;
 *   `request.signal` also aborts for bodies that have arrived completely.
 * - `limitMillis` holds even for an effect that is stuck in an
 *   uninterruptible: it is disconnected, and answered with `AnswerTimeout`.
 * - A failure becomes its line of `toHttp`, a defect is logged and becomes a
 *   bare 500.
 */
export const make =
  (runtime: Runtime.Runtime<never>, limitMillis: number) =>
  <A>(request: AnyRequest, reply: AnyReply, effect: Effect.Effect<A, Failure>): Promise<A | undefined> =>
    new Promise<A | undefined>((resolve) => {
      const bounded = Effect.disconnect(effect).pipe(
        Effect.timeoutFail({ duration: limitMillis, onTimeout: () => new AnswerTimeout({ limitMillis }) }),
        Effect.tapError(report),
        Effect.either,
        Effect.zip(Random.next),
        Effect.tapDefect((cause) => Effect.logError("A request died", cause, { code: "REQUEST_DEFECT" })),
        Effect.annotateLogs("requestId", request.id)
      )
      const traced = request.span === undefined ? bounded : Effect.withParentSpan(bounded, request.span)
      // The first part runs at once, all others when the scheduler runs them.
      const fiber = request.cost.run(() => Runtime.runFork(runtime)(traced, { scheduler: request.cost.scheduler }))
      const hangUp = () => {
        if (!reply.raw.writableFinished) fiber.unsafeInterruptAsFork(fiber.id())
      }
      reply.raw.once("close", hangUp)
      fiber.addObserver((exit) => {
        reply.raw.off("close", hangUp)
        if (reply.sent || reply.raw.destroyed) return resolve(undefined)
        if (Exit.isFailure(exit)) {
          refuse(reply, new RequestDefect(), 0)
          return resolve(undefined)
        }
        const [outcome, jitter] = exit.value
        if (Either.isRight(outcome)) return resolve(outcome.right)
        refuse(reply, outcome.left, jitter)
        resolve(undefined)
      })
    })
