/** The time between the request to end and the closed port. */
import { Effect } from "effect"
import type { FastifyInstance } from "fastify"
import * as Answer from "./Answer.ts"
import { Draining as Refusal } from "../Failure.ts"

declare module "fastify" {
  interface FastifyContextConfig {
    /** For routes about the server itself, which are answered until the end. */
    answersWhileDraining?: boolean
  }
}

export interface Draining {
  readonly isDraining: () => boolean
  readonly begin: () => void
  /** Adds a step to `drain`. */
  readonly onDrain: (step: Effect.Effect<void>) => Effect.Effect<void>
  /** From here on no new work is accepted; then the steps run in the order in which they were added. */
  readonly drain: Effect.Effect<void>
}

export const make = (): Draining => {
  let isDraining = false
  const steps: Array<Effect.Effect<void>> = []
  const begin = () => {
    isDraining = true
  }
  return {
    begin,
    isDraining: () => isDraining,
    onDrain: (step) => Effect.sync(() => void steps.push(step)),
    drain: Effect.zipRight(
      Effect.sync(begin),
      Effect.suspend(() => Effect.forEach(steps, (step) => step, { discard: true }))
    )
  }
}

/**
 * Adds the behaviour of requests from then on: no new work, and each connection
 * ends with its current answer. A close without an announcement begins it, too.
 */
export const add = (fastify: FastifyInstance, { begin, isDraining }: Draining): void => {
  fastify.addHook("preClose", (done) => {
    begin()
    done()
  })
  fastify.addHook("onRequest", (request, reply, done) => {
    if (!isDraining() || request.routeOptions.config.answersWhileDraining === true) return done()
    Answer.refuse(reply, new Refusal(), Math.random())
  })
  fastify.addHook("onSend", (_, reply, payload, done) => {
    // `close` waits for keep-alive sockets, so they must not outlive their answer.
    if (isDraining()) reply.header("connection", "close")
    done(null, payload)
  })
}
