/**
 * What replicas of one server tell each other. A server without other replicas has a bus that does nothing.
 *
 * Sending only fills buffers and never waits. A message may be lost: whatever must not be lost is in the database as
 * well, and a message only makes it known sooner.
 */
import { Context, Effect, type Scope } from "effect"
import type { Namespace } from "socket.io"
import type { Adapter } from "socket.io-adapter"

/** Makes the part of socket.io that passes broadcasts on to other replicas. */
export type AdapterFactory = (namespace: Namespace) => Adapter

/** The answer of one replica. */
export interface Answer {
  readonly from: string
  readonly body: unknown
}

export interface ReplicaBus {
  /** The name of this process. Each start has another one. */
  readonly self: string
  /** No other replica can exist. */
  readonly isAlone: boolean
  /** Replicas that were heard of within the last moments, without this one. */
  readonly others: () => ReadonlyArray<string>
  /** Sends to one replica, or to all others. `false`: it was certainly not sent. */
  readonly send: (topic: string, body: unknown, to?: string) => boolean
  /** Calls `listener` with each message of the topic, in the order in which one replica sent them. */
  readonly listen: (
    topic: string,
    listener: (body: unknown, from: string) => void
  ) => Effect.Effect<void, never, Scope.Scope>
  /**
   * Asks all other replicas, and returns the answers that come within the time. Ends early when all that are known
   * have answered, or are gone.
   */
  readonly ask: (topic: string, body: unknown, withinMillis: number) => Effect.Effect<ReadonlyArray<Answer>>
  /** Answers what other replicas ask about the topic. */
  readonly answer: (
    topic: string,
    handler: (body: unknown, from: string) => unknown
  ) => Effect.Effect<void, never, Scope.Scope>
  /** Calls `listener` when a replica was heard of for the first time, and when it is gone. */
  readonly onChange: (
    listener: (name: string, change: "joined" | "gone") => void
  ) => Effect.Effect<void, never, Scope.Scope>
  /** Calls `listener` when broadcasts of another replica were lost: clients here may have missed updates. */
  readonly onLoss: (listener: () => void) => Effect.Effect<void, never, Scope.Scope>
  /** `undefined`: the adapter of socket.io for one process. */
  readonly adapter: AdapterFactory | undefined
  /** Why other replicas cannot be reached now. `undefined`: they can, or none can exist. */
  readonly problem: () => string | undefined
}

/** The bus of a process without others. */
export const alone: ReplicaBus = {
  self: "alone",
  isAlone: true,
  others: () => [],
  send: () => false,
  listen: () => Effect.void,
  ask: () => Effect.succeed([]),
  answer: () => Effect.void,
  onChange: () => Effect.void,
  onLoss: () => Effect.void,
  adapter: undefined,
  problem: () => undefined
}

/** The bus of this process. */
export class Replicas extends Context.Reference<Replicas>()("light-server/Replicas", {
  defaultValue: (): ReplicaBus => alone
}) {}

/**
 * This replica's share of a limit that holds for all of them together: at least a quarter of it, because clients are
 * not spread evenly. Zero, for no limit, stays zero. Nothing when there can be no other replica.
 */
export const limitShare: Effect.Effect<((limit: number) => number) | undefined> = Effect.map(
  Replicas,
  ({ isAlone, others }) =>
    isAlone ? undefined : (limit: number) => Math.ceil(limit / Math.min(4, others().length + 1))
)
