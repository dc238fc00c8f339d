/**
 * Turns of the large reads of one account: few run at once, the others wait in
 * the order in which they came. So when many come together, each checks before
 * it reads whether there is still room for its answer.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import { priorityOf } from "./Shedding.ts"

export interface HeavyLimits {
  /** Large reads of one account that are under way at once. The others wait. */
  readonly heavyReads: number
  /** A large read that waits for longer is refused. */
  readonly heavyWaitMillis: number
}

/** As many as there are threads that read. */
export const defaults: HeavyLimits = { heavyReads: 2, heavyWaitMillis: 4000 }

export interface HeavyTurns {
  /**
   * Calls `begin` when it is the caller's turn: at once if one is free, else in a turn of the event loop of its own.
   * The function that is returned gives the turn back, or the place in the queue; more than once does nothing.
   */
  readonly take: (key: string, begin: () => void) => () => void
}

interface Queue {
  underWay: number
  readonly waiting: Set<() => void>
}

/** `limit`: turns of one key at once. */
export const make = (limit: number): HeavyTurns => {
  const queues = new Map<string, Queue>()

  const next = (key: string, queue: Queue) => {
    const [begin] = queue.waiting
    if (begin !== undefined) {
      queue.waiting.delete(begin)
      return begin()
    }
    queue.underWay--
    if (queue.underWay === 0) queues.delete(key)
  }

  return {
    take: (key, begin) => {
      const queue = queues.get(key) ?? { underWay: 0, waiting: new Set() }
      queues.set(key, queue)
      let state: "waits" | "has" | "gone" = "waits"
      // A queue of refusals would otherwise be one long call.
      const enter = () => {
        state = "has"
        setImmediate(() => state === "has" && begin())
      }
      if (queue.underWay < limit) {
        queue.underWay++
        state = "has"
        begin()
      } else {
        queue.waiting.add(enter)
      }
      return () => {
        const was = state
        state = "gone"
        if (was === "waits") queue.waiting.delete(enter)
        if (was === "has") next(key, queue)
      }
    }
  }
}

/** Runs when it is the turn of the request. */
export interface Room {
  readonly isFull: (request: FastifyRequest) => boolean
  readonly refuse: (reply: FastifyReply) => void
}

/** Adds turns to the instance. A turn ends when the answer was passed on, or the connection is closed. */
export const add = (fastify: FastifyInstance, { isFull, refuse }: Room, limits: HeavyLimits): void => {
  const turns = make(limits.heavyReads)
  const givesBack = new WeakMap<FastifyRequest, () => void>()
  fastify.addHook("preHandler", (request, reply, done) => {
    if (priorityOf(request) !== "heavy") return done()
    const begin = () => {
      clearTimeout(timer)
      if (isFull(request)) refuse(reply)
      else done()
    }
    const timer = setTimeout(() => {
      giveBack()
      refuse(reply)
    }, limits.heavyWaitMillis).unref()
    const leave = turns.take(request.accountId, begin)
    const giveBack = () => {
      clearTimeout(timer)
      leave()
    }
    givesBack.set(request, giveBack)
    reply.raw.once("close", giveBack)
  })
  fastify.addHook("onSend", (request, _, payload: unknown, done) => {
    givesBack.get(request)?.()
    done(null, payload)
  })
}
