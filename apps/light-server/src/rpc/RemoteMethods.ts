/**
 * Methods whose registrant is connected to another replica.
 *
 * A registration is made known to all replicas, and each remembers where the newest registrant of a method is. What it
 * does not know, such as after its start, it asks.
 */
import { Effect, FiberSet, type Scope } from "effect"
import { randomUUID } from "node:crypto"
import * as LruCache from "../LruCache.ts"
import type { ReplicaBus } from "../replicas/ReplicaBus.ts"
import type { RpcAnswer } from "./RpcAnswer.ts"

/** How a call on another replica ended. `gone`: the replica cannot be reached any more. */
export type RemoteEnd = RpcAnswer | "unavailable" | "gone"

export interface Requested {
  readonly accountId: string
  readonly method: string
  readonly params: unknown
}

/** What this replica has. */
export interface LocalMethods {
  /** Nothing when no registrant of the method is connected here. */
  readonly answer: (requested: Requested) => Effect.Effect<RpcAnswer> | undefined
  readonly has: (accountId: string, method: string) => boolean
  /** How much longer a call waits for the row of the method, which was connected here. */
  readonly awayMillis: (accountId: string, method: string) => number
  /** The method was registered on another replica. */
  readonly registered: (accountId: string, method: string) => void
}

/** Where a method may be, on replicas that were asked. */
export interface Found {
  readonly replica: string | undefined
  readonly awayMillis: number
}

export interface RemoteMethods {
  /** Makes a registration on this replica known. */
  readonly claim: (accountId: string, method: string) => void
  /** The other replica where the newest known registrant is. */
  readonly claimant: (accountId: string, method: string) => string | undefined
  /** The registrant is not there any more. */
  readonly disclaim: (accountId: string, method: string) => void
  readonly find: (accountId: string, method: string) => Effect.Effect<Found>
  /** Calls `onEnd` once. Returns a function after which it is not called any more. */
  readonly call: (replica: string, requested: Requested, onEnd: (end: RemoteEnd) => void) => () => void
}

/** Methods that are remembered. Others are asked for. */
const methodsMax = 50_000

/** How long a replica that does not answer delays a call of a method that nobody is known to have. */
const findMillis = 300

/** A machine registers all its methods in one go. */
const claimDelay = "10 millis"

const topics = { claim: "rpc-claim", find: "rpc-find", call: "rpc-call", end: "rpc-end" } as const

interface Claim {
  readonly accountId: string
  readonly method: string
}

const keyOf = (accountId: string, method: string) => `${accountId}:${method}`

/** Sends registrations together. */
const makeClaims = (replicas: ReplicaBus) =>
  Effect.gen(function* () {
    const waiting = new Map<string, Claim>()
    const isNeeded = Effect.unsafeMakeLatch(false)
    const send = Effect.sync(() => {
      isNeeded.unsafeClose()
      replicas.send(topics.claim, [...waiting.values()])
      waiting.clear()
    })
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(isNeeded.await, Effect.delay(send, claimDelay))))
    return (accountId: string, method: string) => {
      waiting.set(keyOf(accountId, method), { accountId, method })
      isNeeded.unsafeOpen()
    }
  })

/** Calls that wait for another replica. */
const makeCalls = (replicas: ReplicaBus) =>
  Effect.gen(function* () {
    const calls = new Map<string, { readonly replica: string; readonly end: (end: RemoteEnd) => void }>()
    yield* replicas.listen(topics.end, (body) => {
      const { end, id } = body as { readonly id: string; readonly end: RemoteEnd }
      calls.get(id)?.end(end)
    })
    yield* replicas.onChange((name, change) => {
      if (change !== "gone") return
      for (const { end, replica } of calls.values()) if (replica === name) end("gone")
    })
    const call: RemoteMethods["call"] = (replica, requested, onEnd) => {
      const id = randomUUID()
      const end = (end: RemoteEnd) => {
        if (calls.delete(id)) onEnd(end)
      }
      calls.set(id, { replica, end })
      if (!replicas.send(topics.call, { id, ...requested }, replica)) end("gone")
      return () => void calls.delete(id)
    }
    return call
  })

/** Answers what other replicas ask of this one. */
const serve = (replicas: ReplicaBus, local: LocalMethods) =>
  Effect.gen(function* () {
    const run = yield* FiberSet.makeRuntime<never, void>()
    yield* replicas.answer(topics.find, (asked) => {
      const { accountId, method } = asked as Claim
      return { has: local.has(accountId, method), awayMillis: local.awayMillis(accountId, method) }
    })
    yield* replicas.listen(topics.call, (body, from) => {
      const { id, ...requested } = body as Requested & { readonly id: string }
      const end = (end: RemoteEnd) => void replicas.send(topics.end, { id, end }, from)
      const answered = local.answer(requested)
      if (answered === undefined) end("unavailable")
      else run(Effect.map(answered, end))
    })
  })

const nowhere: RemoteMethods = {
  claim: () => {},
  claimant: () => undefined,
  disclaim: () => {},
  find: () => Effect.succeed({ replica: undefined, awayMillis: 0 }),
  call: () => () => {}
}

export const make = (replicas: ReplicaBus, local: LocalMethods): Effect.Effect<RemoteMethods, never, Scope.Scope> =>
  Effect.gen(function* () {
    if (replicas.isAlone) return nowhere
    const claimants = LruCache.make<string>(methodsMax)
    const claim = yield* makeClaims(replicas)
    yield* serve(replicas, local)
    yield* replicas.listen(topics.claim, (body, from) => {
      for (const { accountId, method } of body as ReadonlyArray<Claim>) {
        claimants.set(keyOf(accountId, method), from)
        local.registered(accountId, method)
      }
    })
    return {
      claim: (accountId, method) => {
        claimants.delete(keyOf(accountId, method))
        claim(accountId, method)
      },
      claimant: (accountId, method) => {
        const name = claimants.get(keyOf(accountId, method))
        return name !== undefined && replicas.others().includes(name) ? name : undefined
      },
      disclaim: (accountId, method) => void claimants.delete(keyOf(accountId, method)),
      find: (accountId, method) =>
        Effect.map(replicas.ask(topics.find, { accountId, method }, findMillis), (answers) => {
          const found = answers.map(({ body, from }) => ({ from, ...(body as { has: boolean; awayMillis: number }) }))
          const replica = found.find(({ has }) => has)?.from
          if (replica !== undefined) claimants.set(keyOf(accountId, method), replica)
          return { replica, awayMillis: Math.max(0, ...found.map(({ awayMillis }) => awayMillis)) }
        }),
      call: yield* makeCalls(replicas)
    }
  })
