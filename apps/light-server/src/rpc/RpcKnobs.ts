/** The variables behind `RpcOptions`. */
import { Duration } from "effect"
import * as Knob from "../ConfigKnob.ts"
import { defaults, type RpcOptions } from "./RpcOptions.ts"

const limit = (name: string, fallback: number, meaning: string) =>
  Knob.integer(name, { fallback: String(fallback), min: 1, max: 100_000, meaning })

export const knobs = {
  rpcCallTimeoutMillis: Knob.integer("HAPPIER_RPC_CALL_TIMEOUT_MS", {
    fallback: String(Duration.toMillis(defaults.callTimeout)),
    min: 100,
    max: 600_000,
    meaning: "Longest wait for the answer to a call between two sockets."
  }),
  rpcMethodLimit: limit("HAPPIER_RPC_METHOD_LIMIT", defaults.methodLimit, "Methods that one socket may register."),
  rpcCallLimit: limit("HAPPIER_RPC_CALL_LIMIT", defaults.callLimit, "Calls that one socket may wait for at once."),
  rpcRequestLimit: limit("HAPPIER_RPC_REQUEST_LIMIT", defaults.requestLimit, "Calls that one socket may owe at once."),
  rpcPayloadLimitBytes: Knob.optionalInteger("HAPPIER_RPC_PAYLOAD_LIMIT_BYTES", {
    min: 1024,
    max: 104_857_600,
    meaning: "Largest parameters and largest result of a call. Unset: as HAPPIER_BODY_LIMIT_BYTES, which limits both."
  })
} as const

type Values = { readonly [K in keyof typeof knobs]: (typeof knobs)[K] extends Knob.Knob<infer A> ? A : never }

/** The options that the variables and the rest of the configuration make. */
export const optionsOf = (values: Values, server: { readonly bodyLimitBytes: number }): RpcOptions => ({
  ...defaults,
  callTimeout: values.rpcCallTimeoutMillis,
  methodLimit: values.rpcMethodLimit,
  callLimit: values.rpcCallLimit,
  requestLimit: values.rpcRequestLimit,
  payloadBytesMax: values.rpcPayloadLimitBytes ?? server.bodyLimitBytes
})
