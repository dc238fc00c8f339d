/**
 * What requests and sockets may cost: by address before an account is known, by
 * account after it.
 *
 * Groups are counted apart, so that reading a lot never stops a login, and a
 * storm of logins never stops those that are logged in. A request costs one
 * point; what it took beyond that (see `CostMeter`) is charged after its answer.
 */
import { Effect, Metric } from "effect"
import { defaultsOf, type Values } from "../ConfigKnob.ts"
import type { TooManyRequests } from "../Failure.ts"
import * as CostLimiter from "./CostLimiter.ts"
import { knobs } from "./RateLimitKnobs.ts"

/**
 * What is counted together.
 *
 * - `auth`: requests without a good token that ask for one or need one, by address.
 * - `open`: other requests without an account, by address: health, version, the web app.
 * - `control`: requests that may change something, by account.
 * - `reads`: all others, by account.
 * - `tokens`: tokens that are not known to be good, by address.
 * - `sockets`: transports that are opened, by address.
 */
export type Group = "auth" | "open" | "control" | "reads" | "tokens" | "sockets"

/** Points of one key per window. Zero: no limit. */
export interface RateLimits extends Values<typeof knobs> {
  readonly windowMillis: number
  /** Keys that are remembered, in each group. */
  readonly keyCapacity: number
}

/**
 * Limits against loops, not against people: one address may pair ten terminals
 * at once, each of which asks once per second, and one account, behind one
 * address, may reconnect thousands of machines within a minute. Expensive reads
 * use a fifth of the event loop at most.
 */
export const defaults: RateLimits = {
  ...defaultsOf(knobs),
  windowMillis: 60_000,
  keyCapacity: 10_000
}

/** The groups of requests, which a route may name. */
export type RequestGroup = Exclude<Group, "tokens" | "sockets">

export interface RateLimiter {
  /** Takes a point of the key, or fails. */
  readonly take: (group: Group, key: string) => Effect.Effect<void, TooManyRequests>
  /** Takes points for work that was done already. */
  readonly charge: (group: Group, key: string, points: number) => Effect.Effect<void>
  /** Gives back a point that was taken within the current window. */
  readonly giveBack: (group: Group, key: string) => Effect.Effect<void>
}

const limited = Metric.counter("http_rate_limited_total", {
  description: "Requests that were refused because there were too many, by group",
  incremental: true
})

const charged = Metric.counter("http_cost_points_total", {
  description: "Points that requests cost beyond the first one, by group",
  incremental: true
})

const perGroup = (metric: Metric.Metric.Counter<number>) => ({
  auth: Metric.tagged(metric, "group", "auth"),
  open: Metric.tagged(metric, "group", "open"),
  control: Metric.tagged(metric, "group", "control"),
  reads: Metric.tagged(metric, "group", "reads"),
  tokens: Metric.tagged(metric, "group", "tokens"),
  sockets: Metric.tagged(metric, "group", "sockets")
})

/** `http_rate_limited_total{group}`: refused requests. */
export const limitedTotal: { readonly [group in Group]: Metric.Metric.Counter<number> } = perGroup(limited)

/** `http_cost_points_total{group}`: points charged after answers. */
export const chargedTotal: { readonly [group in Group]: Metric.Metric.Counter<number> } = perGroup(charged)

/** An operator finds out which key it is. Once per key and window, and repeated lines are rolled up. */
const report = (group: Group, key: string) =>
  Effect.logWarning("Too many requests, the rest of the window is refused").pipe(
    Effect.annotateLogs({ code: "RATE_LIMITED", group, key })
  )

/** Starts with nothing counted. `shareOf`: what is left of a limit for this replica. */
export const make = (limits: RateLimits, shareOf?: (points: number) => number): RateLimiter => {
  const { keyCapacity, windowMillis } = limits
  const of = (points: number) =>
    CostLimiter.make({ points, windowMillis, keyCapacity, ...(shareOf === undefined ? {} : { shareOf }) })
  // Each series is there from the start, so that its first rise is seen.
  for (const metric of [...Object.values(limitedTotal), ...Object.values(chargedTotal)]) metric.unsafeUpdate(0, [])
  const limiters: { readonly [group in Group]: CostLimiter.CostLimiter } = {
    auth: of(limits.auth),
    open: of(limits.open),
    control: of(limits.control),
    reads: of(limits.reads),
    tokens: of(limits.badTokens),
    sockets: of(limits.sockets)
  }
  return {
    take: (group, key) =>
      Effect.gen(function* () {
        const { isFirstRefusal, refusal } = yield* Effect.promise(() => limiters[group].take(key))
        if (refusal === undefined) return
        limitedTotal[group].unsafeUpdate(1, [])
        if (isFirstRefusal) yield* report(group, key)
        return yield* refusal
      }),
    charge: (group, key, points) =>
      Effect.suspend(() => {
        chargedTotal[group].unsafeUpdate(points, [])
        return Effect.promise(() => limiters[group].charge(key, points))
      }),
    giveBack: (group, key) => Effect.promise(() => limiters[group].giveBack(key))
  }
}
