/** From an event of a socket to its handler, within the limits of the socket. */
import { Cause, Effect } from "effect"
import type { Connection } from "../Connection.ts"
import * as Span from "../../tracing/Span.ts"
import * as PayloadSize from "../PayloadSize.ts"
import { countEvent } from "../RealtimeMetrics.ts"
import type { RealtimeOptions } from "../RealtimeOptions.ts"
import * as EventDefect from "./EventDefect.ts"
import * as EventBudget from "./EventBudget.ts"
import type { EventRegistry, Handling, Refusal, Registration } from "./EventRegistry.ts"
import * as KeptEvents from "./KeptEvents.ts"

/** Takes every event of one socket. */
export type Dispatcher = (event: string, args: ReadonlyArray<unknown>) => void

/** What a dispatcher needs from outside its socket. */
export interface Surroundings extends KeptEvents.KeptSocket {
  /** By `Clock`. */
  readonly nowMillis: () => number
  /** The socket sent an event other than a plain one, within its limits: the row of its scope exists. */
  readonly onEvent: () => void
  /** The socket goes on sending far beyond its budget. Called once. */
  readonly onFlood: () => void
}

type Options = Pick<
  RealtimeOptions,
  | "eventsPerSecond"
  | "eventBurst"
  | "inFlightLimit"
  | "payloadBytesMax"
  | "ackPatience"
  | "keepPatience"
  | "leftPatience"
>

type Reply = (value: unknown) => void

type EffectRegistration = Extract<Registration, { readonly _tag: "Effect" }>

/** The last argument is a function exactly when the client waits for an ack. */
const replyIn = (args: ReadonlyArray<unknown>): Reply | undefined => {
  const last = args.at(-1)
  return typeof last === "function" ? (value) => void last(value) : undefined
}

/** Whether an event is over the budget of its socket or of its account. */
const makeLimiter = (options: Options, { accountBudget, nowMillis, onFlood }: Surroundings) => {
  const terms = { perSecond: options.eventsPerSecond, burst: options.eventBurst }
  const budget = EventBudget.make(terms, nowMillis())
  const patience = EventBudget.make(terms, nowMillis())
  let isPatient = true
  return (): "limited" | "crowded" | undefined => {
    const now = nowMillis()
    if (!budget.take(now)) {
      if (isPatient && !patience.take(now)) {
        isPatient = false
        onFlood()
      }
      return "limited"
    }
    return accountBudget.take(now) ? undefined : "crowded"
  }
}

/** Handlers that run, no more than a limit at once. */
const makeInFlight = (limit: number, run: Surroundings["run"]) => {
  let count = 0
  return {
    isFull: () => count >= limit,
    fork: (event: string, effect: Effect.Effect<void>, onFailure: () => void) => {
      count += 1
      run(
        effect.pipe(
          Span.within(`event ${event}`, { event }),
          EventDefect.caught(event, onFailure),
          Effect.ensuring(
            Effect.sync(() => {
              count -= 1
            })
          )
        )
      )
    }
  }
}

const logTooLarge = (event: string, bytesMax: number) =>
  Effect.annotateLogs(Effect.logWarning(`An event was refused: its payload is larger than ${bytesMax} bytes`), {
    code: "EVENT_TOO_LARGE",
    event
  })

/** The first failure of an event that is not kept is final. */
const answered = (event: string, { attempt }: Handling, reply: Reply | undefined, refuse: () => void) =>
  Effect.matchEffect(attempt, {
    onSuccess: (value) => Effect.sync(() => reply?.(value)),
    onFailure: (failure) =>
      Effect.zipRight(
        Effect.annotateLogs(Effect.logWarning("An event was refused", failure), { code: failure._tag, event }),
        Effect.zipRight(
          Effect.annotateCurrentSpan("outcome", failure._tag),
          Effect.sync(() => {
            countEvent(event, "failed")
            refuse()
          })
        )
      )
  })

/**
 * Makes the dispatcher of one socket.
 *
 * **Details**
 *
 * - More events than the budget of the socket or of its account, or more
 *   running handlers than the limit: the event is refused, never queued.
 * - An event that is kept is never refused because of its number: it waits for
 *   its turn, and the socket is not read while too much waits.
 * - A payload beyond `payloadBytesMax` is refused, and the connection stays.
 * - A socket that empties a second budget of the same size with refused events
 *   is closed: refusing further events costs more.
 * - A handler that fails or dies is logged, refused and counted, without
 *   further effects.
 * - A socket that closes does not interrupt its handlers: an agent sends the
 *   end of its session and disconnects at once.
 */
export const make = (
  registry: Pick<EventRegistry["Type"], "find">,
  connection: Connection,
  options: Options,
  surroundings: Surroundings
): Dispatcher => {
  const { nowMillis, onEvent, run } = surroundings
  const limitNow = makeLimiter(options, surroundings)
  const inFlight = makeInFlight(options.inFlightLimit, run)
  const kept = KeptEvents.make(options, surroundings)

  const listen = (event: string, registration: Exclude<Registration, EffectRegistration>, payload: unknown): void => {
    const limit = limitNow()
    if (limit !== undefined) {
      countEvent(event, limit)
      return registration.refuse(connection)
    }
    const outcome = registration.listen(connection, payload)
    if (typeof outcome === "string") return countEvent(event, outcome)
    if (inFlight.isFull()) return countEvent(event, "limited")
    inFlight.fork(
      event,
      Effect.map(outcome, (known) => countEvent(event, known)),
      () => {}
    )
  }

  const handle = (event: string, registration: EffectRegistration, payload: unknown, reply: Reply | undefined) => {
    const refuse = (reason: Refusal) => {
      const refusal = registration.refusal(reason)
      if (refusal !== undefined) reply?.(refusal)
    }
    const isOverLimit = () => {
      const limit = limitNow() ?? (inFlight.isFull() ? "limited" : undefined)
      if (limit === undefined) return false
      countEvent(event, limit)
      refuse("limited")
      return true
    }
    if (!registration.isKept && isOverLimit()) return
    const bytes = PayloadSize.measure(payload, options.payloadBytesMax)
    const handling = bytes === undefined ? undefined : registration.handle(connection, payload)
    if (bytes === undefined || handling === undefined) {
      if (registration.isKept && isOverLimit()) return
      if (bytes === undefined) run(logTooLarge(event, options.payloadBytesMax))
      const reason = bytes === undefined ? "too-large" : "invalid"
      countEvent(event, reason)
      return refuse(reason)
    }
    const { keep } = handling
    onEvent()
    if (keep !== undefined) {
      countEvent(event, "accepted")
      const fail = () => refuse("failed")
      return kept.add(event, { handling, keep, bytes, reply, refuse: fail, arrivedAt: nowMillis() })
    }
    countEvent(event, "accepted")
    inFlight.fork(
      event,
      answered(event, handling, reply, () => refuse("failed")),
      () => refuse("failed")
    )
  }

  const dispatch = (event: string, args: ReadonlyArray<unknown>): void => {
    const reply = replyIn(args)
    const payload = typeof args[0] === "function" ? undefined : args[0]
    const registration = registry.find(event)
    if (registration?._tag === "Effect") return handle(event, registration, payload, reply)
    if (registration !== undefined) return listen(event, registration, payload)
    const limit = limitNow()
    if (limit === undefined) onEvent()
    if (event !== "ping") return countEvent("other", "unknown")
    countEvent(event, limit ?? "accepted")
    if (limit === undefined) reply?.({})
  }

  return (event, args) => {
    try {
      dispatch(event, args)
    } catch (defect) {
      // A plain listener threw. No caller of this callback would catch it.
      countEvent(registry.find(event) === undefined ? "other" : event, "failed")
      run(
        Effect.logError("An event listener threw", Cause.die(defect)).pipe(
          Effect.annotateLogs({ code: "EVENT_DEFECT", event })
        )
      )
    }
  }
}
