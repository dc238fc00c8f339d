/**
 * Which events clients may send, and who answers them.
 *
 * Features register their events while their layers are built; `RealtimeApp`
 * looks them up. Neither knows the other.
 */
import { Context, Effect, Either, Layer, Schema } from "effect"
import type { Connection } from "../Connection.ts"
import { startEvent } from "../RealtimeMetrics.ts"

/**
 * Why an event is not handled: the payload does not fit, the socket is over its
 * limits, or the handler died.
 */
export type Refusal = "invalid" | "limited" | "failed"

/** An event whose handler is an effect. */
export interface EventSpec<A, I> {
  readonly event: string
  readonly payload: Schema.Schema<A, I>
  /**
   * Those of one socket are handled one at a time and in order, and so many of
   * them may wait. Without it each begins when it comes.
   */
  readonly queueLimit?: number
  /** The ack of an event that is not handled. `undefined`: none is sent. */
  readonly refusal: (reason: Refusal) => unknown
  /** The success is the ack, if the client asked for one. */
  readonly answer: (connection: Connection, payload: A) => Effect.Effect<unknown>
}

/** What became of an event that needs no answer. */
export type HeardAs = "accepted" | "invalid" | "ignored"

/**
 * What a plain listener did. An effect when memory did not suffice; it is run
 * within the limits of the socket.
 */
export type PlainOutcome = HeardAs | Effect.Effect<HeardAs>

/** A registered event, its payload type forgotten. */
export type Registration =
  | {
      readonly _tag: "Plain"
      readonly listen: (connection: Connection, payload: unknown) => PlainOutcome
      /** Says that the event was over a limit, where somebody waits for word. */
      readonly refuse: (connection: Connection) => void
    }
  | {
      readonly _tag: "Effect"
      readonly queueLimit: number | undefined
      readonly refusal: (reason: Refusal) => unknown
      /** `undefined`: the payload does not fit. */
      readonly answer: (connection: Connection, payload: unknown) => Effect.Effect<unknown> | undefined
    }

export class EventRegistry extends Context.Tag("light-server/EventRegistry")<
  EventRegistry,
  {
    /** Registers an event. A name that is taken dies: that is a mistake of the program. */
    readonly on: <A, I>(spec: EventSpec<A, I>) => Effect.Effect<void>
    /**
     * Registers a callback for an event that comes too often to run an effect each time, or whose order
     * counts. `refuse` is called instead when the event is over a limit; without it nothing is said.
     */
    readonly onPlain: (
      event: string,
      listen: (connection: Connection, payload: unknown) => PlainOutcome,
      refuse?: (connection: Connection) => void
    ) => Effect.Effect<void>
    readonly find: (event: string) => Registration | undefined
  }
>() {}

export const make: Effect.Effect<EventRegistry["Type"]> = Effect.sync(() => {
  const registrations = new Map<string, Registration>()
  const add = (event: string, registration: Registration) =>
    Effect.suspend(() => {
      if (registrations.has(event)) return Effect.dieMessage(`the event ${event} is registered twice`)
      registrations.set(event, registration)
      startEvent(event)
      return Effect.void
    })
  return EventRegistry.of({
    on: (spec) => {
      const decode = Schema.decodeUnknownEither(spec.payload)
      return add(spec.event, {
        _tag: "Effect",
        queueLimit: spec.queueLimit,
        refusal: spec.refusal,
        answer: (connection, payload) =>
          Either.match(decode(payload), {
            onLeft: () => undefined,
            onRight: (decoded) => Effect.suspend(() => spec.answer(connection, decoded))
          })
      })
    },
    onPlain: (event, listen, refuse = () => {}) => add(event, { _tag: "Plain", listen, refuse }),
    find: (event) => registrations.get(event)
  })
})

export const layer: Layer.Layer<EventRegistry> = Layer.effect(EventRegistry, make)
