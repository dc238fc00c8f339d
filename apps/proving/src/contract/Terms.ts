/** The contract of a route or an event. */
import type { Schema } from "effect"

/** A file of this folder: `<part>.test.ts`. */
export type Part =
  | "Auth"
  | "Pairing"
  | "Account"
  | "Devices"
  | "Quota"
  | "Push"
  | "Connect"
  | "Artifacts"
  | "KeyValues"
  | "AccessKeys"
  | "Social"
  | "Machines"
  | "Sessions"
  | "Messages"
  | "Changes"
  | "Usage"
  | "Rpc"
  | "Recipients"
  | "Handshake"
  | "Health"
  | "Busy"
  | "Limits"

type Shape = Schema.Schema.AnyNoContext

export interface RouteTerms {
  readonly part: Part
  /** Whether the route needs a token. */
  readonly for: "anybody" | "account"
  /** Cannot do its work while another process keeps the write lock. Proven in `Busy.test.ts`. */
  readonly writes?: true
  readonly answers: { readonly [status: number]: Shape }
}

export interface EventTerms {
  readonly part: Part
  readonly writes?: true
  /** By outcome. Empty: the event has no ack. */
  readonly acks: { readonly [outcome: string]: Shape }
}
