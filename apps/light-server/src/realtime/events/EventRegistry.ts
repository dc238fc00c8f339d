/**
 * Which events clients may send, and their handlers. Features register their
 * events while their layers are built; `RealtimeApp` looks them up. Neither
 * imports the other.
 */
import { Context, Effect, Either, Layer, Schema } from "effect"
import type { Failure } from "../../http/FailureTable.ts"
import type { Connection } from "../Connection.ts"
import { startEvent } from "../RealtimeMetrics.ts"

/**
 * Why an event is not handled: the payload does not fit, it is larger than an
 * event may be, the socket is over its limits, or the handler failed for good.
 */
export type Refusal = "invalid" | "too-large" | "limited" | "failed"

/**
 * How an event that contains a write is kept: those of one socket are handled
 * one at a time and in order, none is refused because of their number, and a
 * temporary failure is never answered.
 */
export interface Keeping<A> {
  /**
   * How the client is made to send the event again, in place of an ack.
   * `silence`: it stops waiting by itself. `close`: it waits as long as the
   * transport is open.
   */
  readonly withoutAck: "silence" | "close"
  /** The event can arrive twice and is stored once. */
  readonly isRepeatable: (payload: A) => boolean
  /**
   * Handles several that wait in one write: all of them or none, with an ack for
   * each. After any failure each is handled alone, so this must be idempotent with
   * `answer`.
   */
  readonly answerAll?: (
    connection: Connection,
    payloads: ReadonlyArray<A>
  ) => Effect.Effect<ReadonlyArray<unknown>, Failure>
}

/** An event whose handler is an effect. */
export interface EventSpec<A, I> {
  readonly event: string
  readonly payload: Schema.Schema<A, I>
  /** Without it each event begins when it arrives, and its failure is final. */
  readonly keep?: Keeping<A>
  /** The ack of an event that is not handled. `undefined`: none is sent. */
  readonly refusal: (reason: Refusal) => unknown
  /**
   * Called once for each event. The success of the effect is the ack, if the
   * client requested one. A failure is logged and becomes a refusal, unless it
   * is temporary and the event is kept: then the same effect runs again, so it
   * must be idempotent.
   */
  readonly answer: (connection: Connection, payload: A) => Effect.Effect<unknown, Failure>
}

/** The handler of one event. */
export interface Handling {
  readonly attempt: Effect.Effect<unknown, Failure>
  readonly keep:
    | {
        readonly withoutAck: "silence" | "close"
        readonly isRepeatable: boolean
        /** One attempt for several of the same event. `undefined`: each has its own. */
        readonly attemptAll:
          | ((handlings: ReadonlyArray<Handling>) => Effect.Effect<ReadonlyArray<unknown>, Failure>)
          | undefined
      }
    | undefined
}

/** The outcome of an event that needs no answer. */
export type HeardAs = "accepted" | "invalid" | "ignored"

/**
 * The outcome of a plain listener. An effect when the database is needed; it is
 * run within the limits of the socket.
 */
export type PlainOutcome = HeardAs | Effect.Effect<HeardAs>

/** A registered event, without its payload type. */
export type Registration =
  | {
      readonly _tag: "Plain"
      readonly listen: (connection: Connection, payload: unknown) => PlainOutcome
      /** Reports that the event was over a limit, if its client expects an answer. */
      readonly refuse: (connection: Connection) => void
    }
  | {
      readonly _tag: "Effect"
      readonly isKept: boolean
      readonly refusal: (reason: Refusal) => unknown
      /** `undefined`: the payload does not fit. */
      readonly handle: (connection: Connection, payload: unknown) => Handling | undefined
    }

export class EventRegistry extends Context.Tag("light-server/EventRegistry")<
  EventRegistry,
  {
    /** Registers an event. A duplicate name dies, because it is a defect of the program. */
    readonly on: <A, I>(spec: EventSpec<A, I>) => Effect.Effect<void>
    /**
     * Registers a callback for an event that comes too often to run an effect each time, or whose order matters.
     * `refuse` is called instead when the event is over a limit; without it there is no answer.
     */
    readonly onPlain: (
      event: string,
      listen: (connection: Connection, payload: unknown) => PlainOutcome,
      refuse?: (connection: Connection) => void
    ) => Effect.Effect<void>
    readonly find: (event: string) => Registration | undefined
  }
>() {}

/** Creates the effect when it runs for the first time, so that an exception in it becomes a defect. */
const once = <A, E>(make: () => Effect.Effect<A, E>): Effect.Effect<A, E> => {
  let made: Effect.Effect<A, E> | undefined
  return Effect.suspend(() => (made ??= make()))
}

/** Decodes payloads of the event, and recognizes them when several are handled at once. */
const handlerOf = <A, I>(spec: EventSpec<A, I>) => {
  const decode = Schema.decodeUnknownEither(spec.payload)
  const payloads = new WeakMap<Handling, { readonly payload: A }>()
  const { keep } = spec
  return (connection: Connection, input: unknown): Handling | undefined => {
    const decoded = decode(input)
    if (Either.isLeft(decoded)) return undefined
    const payload = decoded.right
    const { answerAll } = keep ?? {}
    const handling: Handling = {
      attempt: once(() => spec.answer(connection, payload)),
      keep: keep && {
        withoutAck: keep.withoutAck,
        isRepeatable: keep.isRepeatable(payload),
        attemptAll:
          answerAll &&
          ((handlings) =>
            Effect.suspend(() =>
              answerAll(
                connection,
                handlings.flatMap((each) => payloads.get(each) ?? []).map((known) => known.payload)
              )
            ))
      }
    }
    payloads.set(handling, { payload })
    return handling
  }
}

export const make: Effect.Effect<EventRegistry["Type"]> = Effect.sync(() => {
  const registrations = new Map<string, Registration>()
  const add = (event: string, registration: Registration) =>
    Effect.suspend(() => {
      if (registrations.has(event)) return Effect.dieMessage(`the event ${event} is registered twice`)
      registrations.set(event, registration)
      startEvent(event, registration._tag === "Effect" && registration.isKept)
      return Effect.void
    })
  return EventRegistry.of({
    on: (spec) =>
      add(spec.event, {
        _tag: "Effect",
        isKept: spec.keep !== undefined,
        refusal: spec.refusal,
        handle: handlerOf(spec)
      }),
    onPlain: (event, listen, refuse = () => {}) => add(event, { _tag: "Plain", listen, refuse }),
    find: (event) => registrations.get(event)
  })
})

export const layer: Layer.Layer<EventRegistry> = Layer.effect(EventRegistry, make)
