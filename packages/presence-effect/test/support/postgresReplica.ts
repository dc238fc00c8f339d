/** A replica over a PostgreSQL of a test: a process with a clock of its own, that can be cut short. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as PostgresEngine from "../../src/postgres/PostgresEngine.ts"
import * as PostgresPresenceStorage from "../../src/postgres/PostgresPresenceStorage.ts"
import * as PostgresReader from "../../src/postgres/PostgresReader.ts"
import * as PostgresReplica from "../../src/postgres/PostgresReplica.ts"
import * as PostgresTables from "../../src/postgres/PostgresTables.ts"
import * as Presence from "../../src/Presence.ts"
import type { PresenceKinds } from "../../src/presence/PresenceKind.ts"
import { PresenceStorage } from "../../src/presence/PresenceStorage.ts"
import { Replica } from "../../src/presence/Replica.ts"
import * as Writer from "../../src/writer/Writer.ts"
import { makePostgres, type PostgresWorld } from "./postgresWorld.ts"

export const kinds = {
  device: { table: "Device", accountId: "accountId", servedBy: "servedBy" },
  seat: { table: "Seat", accountId: "room", key: ["accountId", "id"], servedBy: "server" },
  sensor: {}
} as const

export class Devices extends Presence.Tag("test/Devices", kinds)<Devices>() {}

export const device = (id: string) => ({ kind: "device", accountId: "a", id }) as const

/** What a clock that is wrong shows. */
const wrongClock = (base: Clock.Clock, aheadMillis: number): Clock.Clock => ({
  ...base,
  [Clock.ClockTypeId]: Clock.ClockTypeId,
  unsafeCurrentTimeMillis: () => base.unsafeCurrentTimeMillis() + aheadMillis,
  unsafeCurrentTimeNanos: () => base.unsafeCurrentTimeNanos(),
  currentTimeMillis: Effect.map(base.currentTimeMillis, (millis) => millis + aheadMillis),
  currentTimeNanos: base.currentTimeNanos,
  sleep: (duration) => base.sleep(duration)
})

export const makeReplica = (
  url: string,
  { ahead = 0, ...replica }: Partial<PostgresReplica.PostgresReplicaOptions> & { readonly ahead?: number } = {}
) =>
  Effect.gen(function* () {
    const clock = wrongClock(yield* Effect.clock, ahead)
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
    const services = yield* Layer.buildWithScope(
      Presence.layer(Devices, { startGrace: "1 hour" }).pipe(
        Layer.provideMerge(PostgresPresenceStorage.layer({ kinds, chunkRows: 400 })),
        Layer.provideMerge(PostgresReplica.layer(replica)),
        Layer.provide(PostgresReader.layer({ url })),
        Layer.provide(Writer.layer()),
        Layer.provide(PostgresEngine.layer({ url }))
      ),
      scope
    ).pipe(Effect.withClock(clock))
    const presence = Context.get(services, Devices)
    const told: Array<readonly [id: string, reason: string]> = []
    yield* Scope.extend(
      presence.onTransition(({ key, reason }) => void told.push([key.id, reason])),
      scope
    )
    const storage = Context.get(services, PresenceStorage)
    return {
      presence,
      replica: Context.get(services, Replica),
      told,
      storage: {
        flush: (entries: Parameters<typeof storage.flush>[0]["entries"]) => storage.flush({ entries }),
        findStale: storage.findStale,
        markOffline: storage.markOffline,
        takeOver: storage.shared?.takeOver(500) ?? Effect.dieMessage("not shared")
      },
      /** As the host asks for it, on the clock of its process. */
      flush: Effect.withClock(presence.flush, clock),
      close: Scope.close(scope, Exit.void)
    }
  })

/** The storage of one more replica, closed with the scope. */
export const openShared = (url: string, kinds: PresenceKinds) =>
  Effect.map(
    Layer.build(
      PostgresPresenceStorage.layer({ kinds, chunkRows: 60 }).pipe(
        Layer.provide(PostgresReplica.layer()),
        Layer.provide(PostgresReader.layer({ url })),
        Layer.provide(Writer.layer()),
        Layer.provide(PostgresEngine.layer({ url }))
      )
    ),
    Context.get(PresenceStorage)
  )

export interface ReplicaWorld extends PostgresWorld {
  /** As if the replica had been away for so long, by the clock of the database. */
  readonly ageLease: (epoch: string, seconds: number) => Effect.Effect<void>
  /** As if the replica had begun so long ago. */
  readonly ageStart: (epoch: string, seconds: number) => Effect.Effect<void>
  /** Moves the stored time: clocks are measured to some milliseconds, and what follows must not be within those. */
  readonly moveTime: (id: string, millis: number) => Effect.Effect<void>
  readonly row: (
    id: string
  ) => Effect.Effect<{ readonly active: boolean; readonly servedBy: string | null } | undefined>
  readonly insert: (...ids: ReadonlyArray<string>) => Effect.Effect<void>
}

export const makeReplicaWorld = Effect.map(
  makePostgres(PostgresTables.ddl(kinds) + PostgresTables.replicaDdl),
  (world): ReplicaWorld => {
    const run = (sql: string, params: ReadonlyArray<unknown>) => Effect.promise(() => world.query(sql, params))
    return {
      ...world,
      ageLease: (epoch, seconds) =>
        run(`UPDATE "Replica" SET "beatAt" = "beatAt" - $2::bigint WHERE epoch = $1`, [epoch, seconds * 1_000]),
      ageStart: (epoch, seconds) =>
        run(`UPDATE "Replica" SET "startedAt" = "startedAt" - $2::bigint WHERE epoch = $1`, [epoch, seconds * 1_000]),
      moveTime: (id, millis) =>
        Effect.asVoid(
          run(`UPDATE "Device" SET "lastActiveAt" = "lastActiveAt" + $2::bigint WHERE id = $1`, [id, millis])
        ),
      row: (id) =>
        Effect.map(run(`SELECT active, "servedBy" FROM "Device" WHERE id = $1`, [id]), ([row]) => row as never),
      insert: (...ids) =>
        Effect.asVoid(run(`INSERT INTO "Device" (id, "accountId") SELECT unnest($1::text[]), 'a'`, [ids]))
    }
  }
)
