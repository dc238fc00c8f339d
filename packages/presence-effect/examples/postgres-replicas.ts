/**
 * Two replicas of a host over one PostgreSQL: a client moves from one to the other, and what its first replica finds
 * out later is told to nobody.
 */
import { Effect, Layer, Schedule } from "effect"
import { Client } from "pg"
import { Presence, Writer } from "presence-effect"
import * as PostgresEngine from "presence-effect/postgres/PostgresEngine"
import * as PostgresPresenceStorage from "presence-effect/postgres/PostgresPresenceStorage"
import * as PostgresReader from "presence-effect/postgres/PostgresReader"
import * as PostgresReplica from "presence-effect/postgres/PostgresReplica"
import * as PostgresTables from "presence-effect/postgres/PostgresTables"

class Devices extends Presence.Tag("my-server/Devices", {
  device: { table: "Device", accountId: "accountId", servedBy: "servedBy" }
})<Devices>() {}

const replicaOf = (url: string) =>
  Presence.layer(Devices).pipe(
    Layer.provide(PostgresPresenceStorage.layer({ kinds: Devices.kinds })),
    // The lease of this process. Its times, and those of the rows, are those of the database.
    Layer.provide(PostgresReplica.layer()),
    Layer.provide(PostgresReader.layer({ url, connections: 2 })),
    Layer.provideMerge(Writer.layer()),
    Layer.provide(PostgresEngine.layer({ url, connections: 4 }))
  )

const migration = PostgresTables.ddl(Devices.kinds) + PostgresTables.replicaDdl

const phone = { kind: "device", accountId: "ann", id: "phone" } as const

export const run = async (url: string): Promise<unknown> => {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query(migration)
  await client.query(`INSERT INTO "Device" (id, "accountId") VALUES ('phone', 'ann')`)
  const told: Array<string> = []
  const program = Effect.gen(function* () {
    const [first, second] = [yield* Layer.build(replicaOf(url)), yield* Layer.build(replicaOf(url))]
    const [one, other] = [yield* Effect.provide(Devices, first), yield* Effect.provide(Devices, second)]
    yield* one.onTransition(({ reason }) => void told.push(reason))
    // A row that another transaction holds, or a database that is late, is for the next tick.
    const written = ({ flush, status }: typeof one) =>
      Effect.zipRight(flush, status).pipe(
        Effect.repeat({ schedule: Schedule.spaced("100 millis"), until: ({ pendingCount }) => pendingCount === 0 })
      )
    one.connected(phone)
    yield* written(one)
    other.connected(phone)
    yield* written(other)
    // Its first replica notices only now that the phone is gone.
    one.disconnected(phone)
    yield* one.flush
    const { replica } = yield* other.status
    const { rows } = yield* Effect.promise(() => client.query(`SELECT active, "servedBy" FROM "Device"`))
    return { active: rows[0]?.active, isServedByOther: rows[0]?.servedBy === replica?.epoch, told }
  })
  const outcome = await Effect.runPromise(Effect.scoped(program))
  await client.end()
  return outcome
}
