/** Events of registrants and callers. */
import { Effect, Layer, Schema } from "effect"
import type { Connection } from "../realtime/Connection.ts"
import { EventRegistry, type HeardAs, type Refusal } from "../realtime/events/EventRegistry.ts"
import { SocketLookup } from "../realtime/sending/SocketLookup.ts"
import { refusals, type RpcRefusal } from "./RpcAnswer.ts"
import { countCall, countRegistration } from "./RpcMetrics.ts"
import { RpcRelay } from "./RpcRelay.ts"

/** `<machineId>:<name>` or `<sessionId>:<name>`. */
const Method = Schema.String.pipe(Schema.maxLength(256), Schema.pattern(/^[^:]+:[^]+$/))

const isMethod = Schema.is(Schema.Struct({ method: Method }))

/** Params may be anything, or absent. Any name may be called; one that cannot be registered has no registrant. */
const Call = Schema.Struct({
  method: Schema.NonEmptyString,
  params: Schema.optionalWith(Schema.Unknown, { default: () => undefined })
})

const refusalOf: { readonly [reason in Refusal]: RpcRefusal } = {
  invalid: "invalid",
  "too-large": "params-too-large",
  limited: "caller-limit",
  failed: "failed"
}

const registrationErrors = {
  limited: "Too many methods",
  foreign: "The method belongs to another machine or session"
} as const

export const layer: Layer.Layer<never, never, EventRegistry | RpcRelay | SocketLookup> = Layer.effectDiscard(
  Effect.gen(function* () {
    const events = yield* EventRegistry
    const relay = yield* RpcRelay
    const socketLookup = yield* SocketLookup

    const refuse = (connection: Connection, type: "register" | "unregister", error: string) =>
      socketLookup.find(connection.id)?.say({ event: "rpc-error", payload: { type, error } })

    const register = (connection: Connection, payload: unknown): HeardAs => {
      if (!isMethod(payload)) {
        countRegistration("invalid")
        refuse(connection, "register", "Invalid method name")
        return "invalid"
      }
      const { method } = payload
      const registered = relay.register(connection, method)
      if (registered === "gone") return "ignored"
      countRegistration(registered)
      if (registered === "limited" || registered === "foreign") {
        refuse(connection, "register", registrationErrors[registered])
        return "ignored"
      }
      socketLookup.find(connection.id)?.say({ event: "rpc-registered", payload: { method } })
      return "accepted"
    }

    const unregister = (connection: Connection, payload: unknown): HeardAs => {
      if (!isMethod(payload)) {
        refuse(connection, "unregister", "Invalid method name")
        return "invalid"
      }
      relay.unregister(connection, payload.method)
      socketLookup.find(connection.id)?.say({ event: "rpc-unregistered", payload: { method: payload.method } })
      return "accepted"
    }

    // Plain, so that registrations of one socket are never overtaken by each other.
    yield* events.onPlain("rpc-register", register, (connection) => {
      countRegistration("limited")
      refuse(connection, "register", "Too many events")
    })
    yield* events.onPlain("rpc-unregister", unregister, (connection) =>
      refuse(connection, "unregister", "Too many events")
    )
    yield* events.on({
      event: "rpc-call",
      payload: Call,
      refusal: (reason) => {
        const refusal = refusalOf[reason]
        countCall(refusal)
        return refusals[refusal]
      },
      answer: (connection, call) => relay.call(connection, call)
    })
  })
)
