/** From an event of a socket to its handler, within the limits of the socket. */
import { Cause, Effect } from "effect"
import type { Connection } from "../Connection.ts"
import * as EventBudget from "./EventBudget.ts"
import * as EventQueue from "./EventQueue.ts"
import type { EventRegistry, Refusal } from "./EventRegistry.ts"
import { countEvent } from "../RealtimeMetrics.ts"
import type { RealtimeOptions } from "../RealtimeOptions.ts"

/** Takes every event of one socket. */
export type Dispatcher = (event: string, args: ReadonlyArray<unknown>) => void

/** What a dispatcher needs from outside its socket. */
export interface Surroundings {
  readonly run: (effect: Effect.Effect<void>) => void
  /** The socket sent an event other than a plain one, within its limits: the row that it speaks for is there. */
  readonly onEvent: () => void
  /** The budget that the sockets of the account share. */
  readonly accountBudget: EventBudget.EventBudget
  /** The socket goes on sending far beyond its budget. Called once. */
  readonly onFlood: () => void
}

type Reply = (value: unknown) => void

/** The last argument is a function exactly when the client waits for an ack. */
const replyIn = (args: ReadonlyArray<unknown>): Reply | undefined => {
  const last = args.at(-1)
  return typeof last === "function" ? (value) => void last(value) : undefined
}

/**
 * Makes the dispatcher of one socket.
 *
 * **Details**
 *
 * - More events than the budget of the socket or of its account, or more running
 *   handlers than the limit: the event is refused, never queued.
 * - An event that asks for it waits for its predecessors of the same name; it
 *   counts as running while it does.
 * - A socket that empties a second budget of the same size with refused events is
 *   not confused but out of control: refusing it costs more than closing it.
 * - A handler that fails or dies is logged, refused and counted; it takes
 *   nothing else with it.
 * - A socket that closes does not interrupt its handlers: an agent says that
 *   its session ends, and leaves.
 */
export const make = (
  registry: Pick<EventRegistry["Type"], "find">,
  connection: Connection,
  options: Pick<RealtimeOptions, "eventsPerSecond" | "eventBurst" | "inFlightLimit">,
  { run, accountBudget, onEvent, onFlood }: Surroundings
): Dispatcher => {
  const terms = { perSecond: options.eventsPerSecond, burst: options.eventBurst }
  const budget = EventBudget.make(terms, Date.now())
  const patience = EventBudget.make(terms, Date.now())
  const queues = new Map<string, EventQueue.EventQueue>()
  let isPatient = true
  let inFlight = 0

  const limitAt = (nowMillis: number): "limited" | "crowded" | undefined => {
    if (!budget.take(nowMillis)) {
      if (isPatient && !patience.take(nowMillis)) {
        isPatient = false
        onFlood()
      }
      return "limited"
    }
    return accountBudget.take(nowMillis) ? undefined : "crowded"
  }

  const fork = (event: string, effect: Effect.Effect<void>, onFailure: () => void) => {
    inFlight += 1
    run(
      effect.pipe(
        Effect.catchAllCause((cause) =>
          Effect.logError("An event handler died", cause).pipe(
            Effect.annotateLogs({ code: "EVENT_DEFECT", event }),
            Effect.zipRight(
              Effect.sync(() => {
                countEvent(event, "failed")
                onFailure()
              })
            )
          )
        ),
        Effect.ensuring(
          Effect.sync(() => {
            inFlight -= 1
          })
        )
      )
    )
  }

  const inTurn = (event: string, limit: number | undefined, handler: Effect.Effect<void>) => {
    if (limit === undefined) return handler
    const queue = queues.get(event) ?? EventQueue.make(limit)
    queues.set(event, queue)
    return queue.enter(handler)
  }

  const dispatch = (event: string, args: ReadonlyArray<unknown>): void => {
    const reply = replyIn(args)
    const payload = typeof args[0] === "function" ? undefined : args[0]
    const limit = limitAt(Date.now())
    const registration = registry.find(event)
    // Heartbeats are plain events: they say themselves which row they are for, and when they were sent.
    if (limit === undefined && registration?._tag !== "Plain") onEvent()
    if (event === "ping") {
      countEvent(event, limit ?? "accepted")
      if (limit === undefined) reply?.({})
      return
    }
    if (registration === undefined) return countEvent("other", "unknown")

    if (registration._tag === "Plain") {
      if (limit !== undefined) {
        countEvent(event, limit)
        return registration.refuse(connection)
      }
      const outcome = registration.listen(connection, payload)
      if (typeof outcome === "string") return countEvent(event, outcome)
      if (inFlight >= options.inFlightLimit) return countEvent(event, "limited")
      fork(
        event,
        Effect.map(outcome, (known) => countEvent(event, known)),
        () => {}
      )
      return
    }

    const refuse = (reason: Refusal) => {
      const refusal = registration.refusal(reason)
      if (refusal !== undefined) reply?.(refusal)
    }
    if (limit !== undefined || inFlight >= options.inFlightLimit) {
      countEvent(event, limit ?? "limited")
      return refuse("limited")
    }
    const answer = registration.answer(connection, payload)
    if (answer === undefined) {
      countEvent(event, "invalid")
      return refuse("invalid")
    }
    const handler = inTurn(
      event,
      registration.queueLimit,
      Effect.map(answer, (value) => reply?.(value))
    )
    if (handler === undefined) {
      countEvent(event, "limited")
      return refuse("limited")
    }
    countEvent(event, "accepted")
    fork(event, handler, () => refuse("failed"))
  }

  return (event, args) => {
    try {
      dispatch(event, args)
    } catch (defect) {
      // A plain listener threw. Nothing above this callback would catch it.
      countEvent(registry.find(event) === undefined ? "other" : event, "failed")
      run(
        Effect.logError("An event listener threw", Cause.die(defect)).pipe(
          Effect.annotateLogs({ code: "EVENT_DEFECT", event })
        )
      )
    }
  }
}
