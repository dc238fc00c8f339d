/** How a call ends, in the terms of the protocol. */

/**
 * The ack of a call. Clients show `error`, and decide by `errorCode` where there
 * is one.
 */
export type RpcAnswer =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: string; readonly errorCode?: string }

/**
 * Why a call has no result.
 *
 * - `invalid`: no method was named.
 * - `unavailable`: no socket of this account has registered the method.
 * - `same-socket`: the caller is the registrant.
 * - `params-too-large`, `result-too-large`: beyond the limit of bytes, or too deep.
 * - `caller-limit`: the caller has too many open calls, or sent too many events.
 * - `registrant-limit`: the registrant has too many requests to answer.
 * - `timeout`: no answer in time. The request may have been carried out.
 * - `registrant-gone`: the registrant disconnected before it answered. The same.
 * - `caller-gone`: the caller disconnected; the answer is never sent.
 * - `failed`: a defect of the server.
 */
export type RpcRefusal =
  | "invalid"
  | "unavailable"
  | "same-socket"
  | "params-too-large"
  | "result-too-large"
  | "caller-limit"
  | "registrant-limit"
  | "timeout"
  | "registrant-gone"
  | "caller-gone"
  | "failed"

const refused = (error: string, errorCode?: string): RpcAnswer =>
  errorCode === undefined ? { ok: false, error } : { ok: false, error, errorCode }

/** The ack of each refusal. */
export const refusals: { readonly [refusal in RpcRefusal]: RpcAnswer } = {
  invalid: refused("Invalid parameters: method is required", "RPC_INVALID_PARAMETERS"),
  unavailable: refused("RPC method not available", "RPC_METHOD_NOT_AVAILABLE"),
  "same-socket": refused("Cannot call RPC on the same socket"),
  "params-too-large": refused("RPC parameters too large", "RPC_PARAMS_TOO_LARGE"),
  "result-too-large": refused("RPC result too large", "RPC_RESULT_TOO_LARGE"),
  "caller-limit": refused("Too many RPC calls", "RPC_TOO_MANY_CALLS"),
  "registrant-limit": refused("RPC method is busy", "RPC_METHOD_BUSY"),
  timeout: refused("operation has timed out", "RPC_TIMEOUT"),
  "registrant-gone": refused("RPC connection lost", "RPC_CONNECTION_LOST"),
  "caller-gone": refused("RPC caller disconnected", "RPC_CALLER_DISCONNECTED"),
  failed: refused("Internal error", "RPC_INTERNAL_ERROR")
}

export const result = (value: unknown): RpcAnswer => ({ ok: true, result: value })
