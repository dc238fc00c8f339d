/**
 * How often somebody may ask: by address before the login, by account after it.
 *
 * Three groups are counted apart, so that reading a lot never stops a login,
 * and a storm of logins never stops who is logged in. Memory is bounded: each
 * group remembers a number of keys, and forgets the least recent one first.
 */
import rateLimit from "@fastify/rate-limit"
import { Metric } from "effect"
import type { FastifyInstance, FastifyRequest } from "fastify"
import { defaultsOf, type Values } from "../ConfigKnob.ts"
import { TooManyRequests } from "../Failure.ts"
import { knobs } from "./RateLimitKnobs.ts"

/**
 * What is counted together.
 *
 * - `auth`: requests without a token that is good, by address.
 * - `control`: requests that may change something, by account.
 * - `reads`: all others, by account.
 */
export type Group = "auth" | "control" | "reads"

/** Requests of one key per window. Zero: no limit. */
export interface RateLimits extends Values<typeof knobs> {
  readonly windowMillis: number
  /** Keys that are remembered, in each group. */
  readonly keyCapacity: number
}

/**
 * Limits that stop loops, not people: one address may pair ten terminals at
 * once, each of which asks once per second, and one account, behind one address,
 * may bring back thousands of machines within a minute.
 */
export const defaults: RateLimits = {
  ...defaultsOf(knobs),
  windowMillis: 60_000,
  keyCapacity: 10_000
}

declare module "fastify" {
  interface FastifyContextConfig {
    /** `auth`: counted by address, before anything else. Otherwise for methods that say it wrong. */
    limitedAs?: Group
  }
}

export interface RateLimiter {
  /** Counts a request. Answers with the refusal when it is one too many. */
  readonly take: (request: FastifyRequest, group: Group) => Promise<TooManyRequests | undefined>
}

const limited = Metric.counter("http_rate_limited_total", {
  description: "Requests that were refused because there were too many, by group",
  incremental: true
})

/**
 * `http_rate_limited_total{group}`: requests that were refused. The group of
 * tokens nobody looked at is `tokens`, that of transports is `sockets`.
 */
export const limitedTotal: { readonly [group in Group | "tokens" | "sockets"]: Metric.Metric.Counter<number> } = {
  auth: Metric.tagged(limited, "group", "auth"),
  control: Metric.tagged(limited, "group", "control"),
  reads: Metric.tagged(limited, "group", "reads"),
  tokens: Metric.tagged(limited, "group", "tokens"),
  sockets: Metric.tagged(limited, "group", "sockets")
}

/** The group of a request whose account is known. */
export const groupOf = (request: FastifyRequest): Group =>
  request.routeOptions.config.limitedAs ?? (request.method === "GET" || request.method === "HEAD" ? "reads" : "control")

/**
 * Adds the plugin to the instance. Limits apply once the instance is ready.
 *
 * Addresses are counted whole for IPv4, and by their first 64 bits for IPv6,
 * which is what one customer has.
 */
export const make = (fastify: FastifyInstance, limits: RateLimits): RateLimiter => {
  const takes = new Map<Group, ReturnType<FastifyInstance["createRateLimit"]>>()
  fastify.register(rateLimit, { global: false })
  fastify.after(() => {
    const terms = (max: number) => ({ max, timeWindow: limits.windowMillis, cache: limits.keyCapacity, ipv6Subnet: 64 })
    const keyGenerator = (request: FastifyRequest) => request.accountId
    if (limits.auth > 0) takes.set("auth", fastify.createRateLimit(terms(limits.auth)))
    if (limits.control > 0) takes.set("control", fastify.createRateLimit({ ...terms(limits.control), keyGenerator }))
    if (limits.reads > 0) takes.set("reads", fastify.createRateLimit({ ...terms(limits.reads), keyGenerator }))
  })
  return {
    take: async (request, group) => {
      const taken = await takes.get(group)?.(request)
      if (taken === undefined || taken.isAllowed || !taken.isExceeded) return undefined
      limitedTotal[group].unsafeUpdate(1, [])
      return new TooManyRequests({ retryAfterMillis: taken.ttl })
    }
  }
}
