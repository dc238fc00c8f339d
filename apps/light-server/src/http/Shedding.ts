/**
 * Which requests are refused while the event loop is late: the most expensive
 * ones first, those that clients need to be online last.
 */
import { Effect, Runtime } from "effect"
import type { FastifyInstance, FastifyRequest } from "fastify"
import * as Answer from "./Answer.ts"
import type { LoopDelay } from "../door/LoopDelay.ts"
import { LoopOverload } from "../Failure.ts"
import * as Tally from "../Tally.ts"

/**
 * How early a request is refused.
 *
 * - `heavy`: reads that may be large. Their clients have most of it already and ask again.
 * - `read`: other reads.
 * - `change`: requests that may change something.
 * - `control`: registrations and logins, without which a client is offline.
 */
export type Priority = "heavy" | "read" | "change" | "control"

declare module "fastify" {
  interface FastifyContextConfig {
    /** By default `read` for GET and HEAD, and `change` for other methods. */
    priority?: Priority
  }
}

/** How late the loop is when large reads are refused. */
export const delayMillisDefault = 250

/** How many times the limit the loop must be late before requests are refused. */
const patience: { readonly [priority in Priority]: number } = { heavy: 1, read: 2, change: 6, control: 20 }

const shed = Tally.counter(
  "http_shed_total",
  "Requests that were refused to relieve the server, by priority and reason",
  ["priority", "reason"]
)

export const priorityOf = ({ method, routeOptions }: FastifyRequest): Priority =>
  routeOptions.config.priority ?? (method === "GET" || method === "HEAD" ? "read" : "change")

export interface Shedding {
  /** Counts and logs a request that is refused, and creates its refusal. */
  readonly refusal: (priority: Priority, reason: "loop" | "bytes") => LoopOverload
}

/** Refuses before any work is done for a request. `limitMillis` zero: never. */
export const add = (
  fastify: FastifyInstance,
  runtime: Runtime.Runtime<never>,
  { currentMillis }: LoopDelay,
  limitMillis: number
): Shedding => {
  const refusal: Shedding["refusal"] = (priority, reason) => {
    shed({ priority, reason })
    const delayMillis = Math.round(currentMillis())
    // Repeated lines are rolled up.
    Runtime.runFork(runtime)(
      Effect.logWarning("The server is overloaded and refuses requests").pipe(
        Effect.annotateLogs({ code: "OVERLOADED", priority, reason })
      )
    )
    return new LoopOverload({ delayMillis })
  }
  // Each series is there from the start, so that its first rise is seen.
  for (const priority of ["heavy", "read", "change", "control"]) {
    for (const reason of ["loop", "bytes"]) shed({ priority, reason }, 0)
  }
  fastify.addHook("onRequest", (request, reply, done) => {
    // A late loop must not look like a dead process to a supervisor.
    if (limitMillis === 0 || request.routeOptions.config.answersWhileDraining === true) return done()
    const priority = priorityOf(request)
    if (currentMillis() <= limitMillis * patience[priority]) return done()
    Answer.refuse(reply, refusal(priority, "loop"), Math.random())
  })
  return { refusal }
}
