/** Whole servers over one database, as replicas. */
import { Context, Effect, ExecutionStrategy, Exit, Layer, Scope } from "effect"
import * as SharedPresence from "../../src/entities/SharedPresence.ts"
import type { ReplicaLink } from "../../src/replicas/ReplicaLink.ts"
import * as LinkedBus from "../../src/replicas/LinkedBus.ts"
import { type ReplicaBus, Replicas } from "../../src/replicas/ReplicaBus.ts"
import * as RpcEvents from "../../src/rpc/RpcEvents.ts"
import * as RpcOptions from "../../src/rpc/RpcOptions.ts"
import * as RpcRelay from "../../src/rpc/RpcRelay.ts"
import * as PresenceProbe from "./PresenceProbe.ts"
import * as TestDatabase from "./TestDatabase.ts"
import { layerOver, TestServer } from "./TestServer.ts"

export interface ReplicaServer {
  readonly server: TestServer["Type"]
  readonly probe: PresenceProbe.PresenceProbe["Type"]
  readonly bus: ReplicaBus
  readonly context: Context.Context<TestServer>
  /** Ends it, as a signal does. */
  readonly stop: Effect.Effect<void>
}

/** An account with a machine and a session. */
export const database = Effect.gen(function* () {
  const context = yield* Layer.build(TestDatabase.layer)
  const { addAccount, sqlite } = Context.get(context, TestDatabase.TestDatabase)
  addAccount("a1")
  addAccount("a2")
  sqlite.exec(
    `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
     VALUES ('s1', 't', 'a1', 'sealed', 5, 5, 5);
     INSERT INTO "Machine" ("id", "accountId", "metadata", "active", "lastActiveAt", "createdAt", "updatedAt")
     VALUES ('m1', 'a1', 'sealed', 0, 5, 5, 5)`
  )
  return context
})

/** A server of the replicas that the link joins. */
export const start = (
  shared: Effect.Effect.Success<typeof database>,
  link: ReplicaLink,
  rpc: Partial<RpcOptions.RpcOptions> = {}
): Effect.Effect<ReplicaServer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
    const bus = yield* Scope.extend(LinkedBus.make(link), scope)
    const calls = RpcEvents.layer.pipe(Layer.provide(RpcRelay.layer({ ...RpcOptions.defaults, ...rpc })))
    const presence = Layer.provideMerge(SharedPresence.layer, PresenceProbe.layer)
    const layer = layerOver(Layer.merge(Layer.succeedContext(shared), presence), {}, calls).pipe(
      Layer.provide(Layer.succeed(Replicas, bus))
    )
    const context = yield* Scope.extend(Layer.build(layer), scope)
    return {
      server: Context.get(context, TestServer),
      probe: Context.get(context, PresenceProbe.PresenceProbe),
      bus,
      context,
      stop: Scope.close(scope, Exit.void)
    }
  })
